"""Trying a merge policy in GraphQL: what is asked, what is refused, and how long it may take."""

import asyncpg
import pytest
from client import Client
from world import record

from gateway.api.execution.limits import Limits
from gateway.api.ids import global_id

ANA, PHONE = ("Email", "ana@x.io"), ("Phone", "+49")
DIFF = """query ($base: ID!, $candidate: MergePolicyInput!, $sample: Int, $first: Int) {
  diffMergePolicies(base: $base, candidate: $candidate, sample: $sample) {
    profilesCompared isComplete profilesChanged fields { path profilesChanged }
    examples(first: $first) { identity { value } changes { path base candidate } } } }"""
NEWEST = {"type": "TIMESTAMP_ORDERED"}
ALONE = {"name": "Alone", "identityGraph": "NONE", "attributeMerge": NEWEST}


@pytest.fixture
async def people(client):
    """Six people with two identities each, records under both."""
    for n in range(6):
        named = ("Email", f"{n}@x.io"), ("Phone", f"+{n}")
        await client.world.records(record(*named, first_name=f"{n}"), record(*reversed(named)))
    return client


async def default_of(client):
    return global_id("MergePolicy", (await client.world.config()).default_policy.policy_id)


async def diff(client, candidate=ALONE, **variables):
    given = {"base": await default_of(client), "candidate": candidate, **variables}
    return (await client.data(DIFF, **given))["diffMergePolicies"]


async def refusal(client, candidate=ALONE, **variables):
    given = {"base": await default_of(client), "candidate": candidate, **variables}
    error = await client.error(DIFF, **given)
    return error["extensions"]["code"], error["message"]


async def test_ten_examples_are_shown_by_default(people):
    found = await diff(people)
    assert (found["profilesCompared"], found["profilesChanged"], found["isComplete"]) == (12, 12, True)
    everybody = (await diff(people, first=100))["examples"]
    assert len(everybody) == 12
    assert found["examples"] == everybody[:10]
    assert (await diff(people, first=0))["examples"] == []


async def test_two_candidates_can_be_tried_in_one_request(people):
    one = 'diffMergePolicies(base: $base, candidate: {name: "A", identityGraph: %s, attributeMerge: {type: TIMESTAMP_ORDERED}})'
    query = f"query ($base: ID!) {{ a: {one % 'NONE'} {{ profilesChanged }} b: {one % 'PDG'} {{ profilesChanged }} }}"
    data = await people.data(query, base=await default_of(people))
    assert data == {"a": {"profilesChanged": 12}, "b": {"profilesChanged": 0}}


async def test_a_mistake_in_a_candidate_is_refused_with_its_path(people):
    shop = global_id("Dataset", people.world.shop.dataset_id)
    for change, place in [
        ({"name": ""}, "candidate.name: "),
        ({"class": "EXPERIENCE_EVENT"}, "candidate.class: "),
        ({"attributeMerge": {"type": "DATASET_PRECEDENCE"}}, "candidate.attributeMerge.order: "),
        ({"attributeMerge": {"type": "DATASET_PRECEDENCE", "order": [shop]}}, "candidate.attributeMerge.order.0: "),
        ({"attributeMerge": {"type": "DATASET_PRECEDENCE", "order": ["x"]}}, "candidate.attributeMerge.order: "),
    ]:
        code, message = await refusal(people, ALONE | change)
        assert code == "BAD_INPUT"
        assert message.startswith(place), message


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"sample": 100_001}, "LIMIT_EXCEEDED"),
        ({"sample": 0}, "BAD_INPUT"),
        ({"first": 101}, "LIMIT_EXCEEDED"),
        ({"first": -1}, "BAD_INPUT"),
        ({"base": "policy_AAAAAAAAAAAAAAAAAAAAAA"}, "BAD_INPUT"),
        ({"base": "x"}, "BAD_INPUT"),
    ],
)
async def test_what_cannot_be_asked_is_explained(client, variables, code):
    assert (await refusal(client, **variables))[0] == code


async def test_a_comparison_stops_in_time_for_an_answer(people, dsn):
    hurried, base = Client.of(people.world, Limits(seconds=3)), await default_of(people)
    await hurried.data("{ __typename }")  # the schema is at hand
    blocker = await asyncpg.connect(dsn)
    try:
        async with blocker.transaction():
            await blocker.execute("lock gateway.fragment in access exclusive mode")
            found = (await hurried.data(DIFF, base=base, candidate=ALONE))["diffMergePolicies"]
    finally:
        await blocker.close()
    assert (found["profilesCompared"], found["isComplete"]) == (0, False)

"""How large an answer may be: known before its text is put together, whatever is told again and again, and by whichever way."""

import tracemalloc

import orjson
import pytest
from client import Client
from world import record

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome
from gateway.api.finished import Budget
from gateway.errors import AnswerTooLarge

MOST = 100_000
NAME = "A" * 10_000


@pytest.fixture
async def small(client):
    """A client whose answers are small, of ten people with long names."""
    await client.world.records(*(record(("Email", f"p{n}@example.com"), first_name=NAME) for n in range(20)))
    return Client.of(client.world, Limits(answer_bytes=MOST))


def people(count, of=20):
    return [{"key": {"namespace": "Email", "value": f"p{n % of}@example.com"}} for n in range(count)]


NAMES = "entity { person { name { firstName } } }"
SELECTIONS = [
    "entityJson",
    'entityJson(select: "person")',
    NAMES,
    f"{NAMES} entityJson",
    f"identities {{ value }} {NAMES}",
    "explain { value }",
    "fragments { document }",
    "events(first: 1) { nodes { id } } entity { n: person { f: name { firstName } } }",
]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("same", [True, False])
async def test_an_answer_that_would_be_too_large_is_refused_with_what_to_do(small, selection, same):
    query = f"query ($i: [IdentityInput!]!) {{ profiles(identities: $i) {{ status profile {{ {selection} }} }} }}"
    _, body = await small.answer(query, {"i": people(3, of=1 if same else 20)})
    if "errors" in body:
        assert "Cannot query field" in body["errors"][0]["message"]  # the field is not there yet
        return
    outcome, body = await small.answer(query, {"i": people(20, of=1 if same else 20)})
    assert outcome is Outcome.REFUSED
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "more than 100,000 bytes. Ask for smaller pages" in error["message"]
    assert "data" not in body


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_one_person_a_thousand_times_over_is_refused_before_the_text_is_put_together(small, selection):
    lists = " ".join(f"a{n}: profiles(identities: $i) {{ profile {{ {selection} }} }}" for n in range(5))
    query = f"query ($i: [IdentityInput!]!) {{ {lists} }}"
    await small.answer(query, {"i": people(1)})
    tracemalloc.start()
    try:
        outcome, _ = await small.answer(query, {"i": people(1_000, of=1)})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome is Outcome.REFUSED
    assert peak < 5_000_000, peak


async def test_a_field_under_several_aliases_is_read_once(small):
    (profile,) = (await small.data("query ($i: [IdentityInput!]!) { profiles(identities: $i) { profile { id } } }", i=people(1)))["profiles"]  # fmt: skip
    ids = [profile["profile"]["id"]]
    part = "nodes(ids: $i) {{ ... on Profile {{ {} }} }}"
    for selection in ("entityJson", NAMES):
        both = "query ($i: [ID!]!) {{ {} }}"
        few = " ".join(f"a{n}: {part.format(selection)}" for n in range(5))
        assert len((await small.data(both.format(few), i=ids))["a4"]) == 1
        error = await small.error(both.format(few), i=ids * 3)
        assert error["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_equal_keys_keep_their_order_and_number(client, small):
    query = f"query ($i: [IdentityInput!]!) {{ profiles(identities: $i) {{ status profile {{ profileId {NAMES} }} }} }}"
    given = people(6, of=3)
    told = (await small.data(query, i=given))["profiles"]
    assert told[:3] == told[3:]
    assert len({each["profile"]["profileId"] for each in told}) == 3
    written = f"query ($i: [IdentityInput!]!) {{ profiles(identities: $i) {{ status profile {{ {NAMES} }} }} }}"
    unknown = {"key": {"namespace": "Email", "value": "nobody@example.com"}}
    told = (await small.data(written, i=[*given, unknown, *given[:1]]))["profiles"]
    assert [each["status"] for each in told] == ["FOUND"] * 6 + ["NOT_FOUND", "FOUND"]


async def test_many_profiles_are_read_in_pieces_and_answered_as_one_list(client, small, statements):
    await client.world.records(*(record(("Email", f"q{n}@example.com"), first_name=f"N{n}") for n in range(600)))
    given = [{"key": {"namespace": "Email", "value": f"q{n}@example.com"}} for n in range(600)]
    query = f"query ($i: [IdentityInput!]!) {{ profiles(identities: $i) {{ status profile {{ {NAMES} }} }} }}"
    with statements() as names:
        told = (await client.data(query, i=given))["profiles"]
    assert [each["profile"]["entity"]["person"]["name"]["firstName"] for each in told] == [f"N{n}" for n in range(600)]
    assert names.count("people.read_texts") == 3


async def test_an_answer_within_the_limit_is_no_longer_than_it(small):
    query = f"query ($i: [IdentityInput!]!) {{ profiles(identities: $i) {{ status profile {{ {NAMES} }} }} }}"
    for count in range(5, 12):
        outcome, body = await small.answer(query, {"i": people(count)})
        if outcome is Outcome.ANSWERED:
            assert len(orjson.dumps(body)) < MOST * 1.1


async def test_reading_ends_at_the_piece_that_exceeds_the_budget():
    budget, asked = Budget(100), []

    async def read(keys):
        asked.append(len(keys))
        return ["x" * 10] * len(keys)

    assert len(await budget.read(range(12), read, len, piece=10)) == 12
    assert asked == [10, 2]
    with pytest.raises(AnswerTooLarge):
        await budget.read(range(1000), read, len, piece=5)
    assert sum(asked) <= 12 + 10

"""Events in GraphQL: of one person, of several as one list, filtered, in both directions."""

import asyncio

import orjson
import pytest
from citus import STATEMENTS
from world import day, event, record

from gateway.api.execution.operations import Request

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")
EVENTS = """query ($asked: [IdentityInput!]!, $policy: ID, $filter: EventFilter, $order: EventOrder,
                   $first: Int, $after: String, $last: Int, $before: String) {
  events(identities: $asked, mergePolicyId: $policy, filter: $filter, orderBy: $order,
         first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { eventId } edges { cursor node { eventId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
CREATE_POLICY = "mutation ($given: MergePolicyInput!) { createMergePolicy(input: $given) { mergePolicy { id } userErrors { message } } }"
WITHOUT_GRAPH = {"name": "Alone", "identityGraph": "NONE", "attributeMerge": {"type": "TIMESTAMP_ORDERED"}}


def keys(*identities):
    return [{"key": {"namespace": namespace, "value": value}} for namespace, value in identities]


@pytest.fixture(scope="module")
async def history(module_client):
    """Ana's events under two identities, and Ben's."""
    await module_client.world.records(record(ANA, PHONE, first_name="Ana"))
    await module_client.world.events(
        event("view", day(1), ANA, eventType="web.webpagedetails.pageViews", web={"webPageDetails": {"name": "Home"}}),
        event("buy", day(2), PHONE, eventType="commerce.purchases", commerce={"order": {"priceTotal": 12.5}}),
        event("buy", day(3), BEN, eventType="commerce.purchases", commerce={"order": {"priceTotal": 3}}),
        event("late", day(4), ANA),
    )
    return module_client


async def ids(client, *identities, **variables):
    page = (await client.data(EVENTS, asked=keys(*identities), **variables))["events"]
    return [node["eventId"] for node in page["nodes"]]


async def test_events_of_identities_are_those_of_the_whole_persons_each_once(history):
    assert await ids(history, ANA) == await ids(history, PHONE, ANA, PHONE) == ["view", "buy", "late"]
    assert await ids(history, BEN, ANA) == ["view", "buy", "buy", "late"]
    assert await ids(history, ("Email", "nobody@x.io")) == await ids(history) == []


async def test_without_a_graph_they_are_those_of_the_identities_alone(history):
    policy = (await history.changed(CREATE_POLICY, WITHOUT_GRAPH))["mergePolicy"]["id"]
    assert await ids(history, ANA, policy=policy) == ["view", "late"]


async def test_on_a_cluster_a_page_and_its_total_are_the_same(history, monkeypatch):
    asked = {"asked": keys(ANA, BEN), "first": 2}
    on_one_postgres = await history.data(EVENTS, **asked)
    assert on_one_postgres["events"]["totalCount"] == 4
    monkeypatch.setattr(history.world.db, "is_distributed", True)
    assert await history.data(EVENTS, **asked) == on_one_postgres


OF_PERSON = """query ($key: IdentityInput!, $since: DateTime, $type: [String!], $first: Int, $after: String) { profile(identity: $key) {
  entity { person { name { firstName } } }
  events(first: $first, after: $after, filter: {since: $since, eventTypes: $type}) {
    totalCount nodes { eventId } pageInfo { hasNextPage hasPreviousPage endCursor } } } }"""


async def test_pages_behind_other_cursors_that_are_asked_for_at_the_same_moment_share_a_statement(history, statements):
    """And so do those since other times; others than these alone, such as types, have their own."""
    scope = await history.scope()

    async def answered(person, **variables):
        asked = Request(OF_PERSON, {"key": keys(person)[0], **variables})
        response = await history.operations.run(scope, asked, only_queries=True)
        return orjson.loads(orjson.dumps(response.body))["data"]["profile"]

    ends = [(await answered(ANA, first=size))["events"]["pageInfo"]["endCursor"] for size in (1, 2, 3)]
    behind = [*((ANA, {"first": 1, "after": end}) for end in ends), (BEN, {"first": 1, "after": ends[0]})]
    since = [(ANA, {"since": day(date)}) for date in (1, 2, 4)]
    typed = [(ANA, {"type": [kind]}) for kind in ("commerce.purchases", "none")]
    for asked, most in ((behind, 2), (since, 2), (typed, 2), (behind + since + typed, 4)):
        alone = [await answered(person, **variables) for person, variables in asked]
        with statements() as names:
            together = await asyncio.gather(*(answered(person, **variables) for person, variables in asked))
        assert together == alone
        assert names.count("people.read_texts") <= most
    found = [[node["eventId"] for node in each["events"]["nodes"]] for each in together]
    assert found == [["buy"], ["late"], [], ["buy"], ["view", "buy", "late"], ["buy", "late"], ["late"], ["buy"], []]


async def test_an_event_shows_its_person_and_its_sources(history):
    (found,) = (
        await history.data(
            """query ($asked: [IdentityInput!]!) { events(identities: $asked, last: 1) { nodes {
                 id eventId timestamp eventType ingestedAt identity { value } dataset { name } batch { status }
                 entity { eventType } entityJson profile { entityJson(select: "person") } } } }""",
            asked=keys(BEN),
        )
    )["events"]["nodes"]
    assert found["timestamp"] == day(3)
    assert found["eventType"] == found["entity"]["eventType"] == "commerce.purchases"
    assert (found["identity"], found["dataset"], found["batch"]) == (
        {"value": "ben@x.io"},
        {"name": "Shop"},
        {"status": "LOADING"},
    )
    assert found["entityJson"]["commerce"] == {"order": {"priceTotal": 3}}
    assert found["profile"] == {"entityJson": {}}
    query = "query ($id: ID!) { node(id: $id) { id ... on ExperienceEvent { eventId } } }"
    assert (await history.data(query, id=found["id"]))["node"] == {"id": found["id"], "eventId": "buy"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["view", "buy", "late"]),
        (dict.fromkeys(("since", "until", "eventTypes", "datasetIds", "properties", "where")), ["view", "buy", "late"]),
        ({"since": day(2), "until": day(4)}, ["buy"]),
        ({"since": "2026-01-02T01:00:00+02:00"}, ["buy", "late"]),
        ({"eventTypes": ["commerce.purchases", "x"]}, ["buy"]),
        ({"eventTypes": []}, []),
        ({"properties": [{"path": "commerce.order.priceTotal", "operator": "GT", "value": 12}]}, ["buy"]),
        ({"properties": [{"path": "eventType", "operator": "NE", "value": "commerce.purchases"}]}, ["view"]),
        (
            {"properties": [{"path": "web.webPageDetails.name", "operator": "EQ", "value": "Home"}], "since": day(2)},
            [],
        ),
    ],
)
async def test_all_that_a_filter_gives_must_hold(history, given, expected):
    assert await ids(history, ANA, filter=given) == expected


async def test_a_dataset_is_named_by_its_id(history):
    datasets = (await history.data("{ datasets { nodes { id name } } }"))["datasets"]["nodes"]
    by_name = {each["name"]: each["id"] for each in datasets}
    assert await ids(history, ANA, filter={"datasetIds": [by_name["Shop"]]}) == ["view", "buy", "late"]
    assert await ids(history, ANA, filter={"datasetIds": [by_name["CRM"]]}) == []


async def test_pages_go_both_ways_in_any_order(history):
    for order in ({}, {"direction": "DESC"}, {"field": "INGESTED_AT"}, {"field": "INGESTED_AT", "direction": "DESC"}):
        whole = await ids(history, ANA, BEN, order=order)
        for size, cursor, end in (("first", "after", "endCursor"), ("last", "before", "startCursor")):
            collected, arguments = [], {size: 3}
            for _ in range(2):
                page = (await history.data(EVENTS, asked=keys(ANA, BEN), order=order, **arguments))["events"]
                mine = [node["eventId"] for node in page["nodes"]]
                collected = collected + mine if size == "first" else mine + collected
                arguments = {size: 3, cursor: page["pageInfo"][end]}
            assert collected == whole
            assert page["totalCount"] == 4
    assert await ids(history, ANA, BEN, order={"direction": "DESC"}) == (await ids(history, ANA, BEN))[::-1]


async def test_a_cursor_of_another_order_is_refused(history):
    cursor = (await history.data(EVENTS, asked=keys(ANA)))["events"]["pageInfo"]["endCursor"]
    error = await history.error(EVENTS, asked=keys(ANA), after=cursor, order={"direction": "DESC"})
    assert error["extensions"]["code"] == "BAD_CURSOR"


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"filter": {"where": "eventTyp = 1"}}, "BAD_PQL"),
        ({"filter": {"properties": [{"path": "a", "operator": "EQ", "value": 1}] * 4}}, "BAD_INPUT"),
        ({"filter": {"properties": [{"path": "a..b", "operator": "EQ", "value": 1}]}}, "BAD_INPUT"),
        ({"filter": {"properties": [{"path": "a", "operator": "EQ", "value": [1]}]}}, "BAD_INPUT"),
        ({"filter": {"properties": [{"path": "a", "operator": "EQ", "value": None}]}}, "BAD_INPUT"),
        ({"filter": {"datasetIds": ["x"]}}, "BAD_INPUT"),
        ({"filter": {"eventTypes": ["\0"]}}, "BAD_INPUT"),
        ({"filter": {"since": "yesterday"}}, "BAD_INPUT"),
        ({"policy": "x"}, "BAD_INPUT"),
        ({"asked": [{"key": {"namespace": "x", "value": "y"}}]}, "BAD_INPUT"),
        ({"first": 1001}, "LIMIT_EXCEEDED"),
        ({"asked": keys(ANA) * 1001}, "LIMIT_EXCEEDED"),
        ({"before": "AAAA"}, "BAD_CURSOR"),
    ],
)
async def test_what_cannot_be_asked_is_explained(module_client, variables, code):
    error = await module_client.error(EVENTS, **{"asked": keys(ANA), **variables})
    assert error["extensions"]["code"] == code, error


async def test_profile_read_is_needed(client):
    error = await client.error(EVENTS, asked=keys(ANA), scopes=["profile:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.one_postgres(STATEMENTS)
async def test_the_total_is_counted_only_when_asked_for(history, statements):
    with statements() as seen:
        await history.data(
            "query ($asked: [IdentityInput!]!) { events(identities: $asked) { nodes { id } } }", asked=keys(ANA)
        )
    reads = [name for name in seen if not name.startswith(("tenants", "configuration"))]
    assert reads == ["people.read_people", "events.read_lists"]

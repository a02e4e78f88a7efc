"""Wants: a query asks the store for no more than it shows."""

import pytest
from client import Client
from world import World, event, record

from gateway.api.execution import wants
from gateway.api.loading import FEW

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")
ONE = 'query { profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) { %s } }'
MANY = "query ($asked: [IdentityInput!]!) { profiles(identities: $asked) { %s } }"
NAME = "entity { person { name { firstName } } }"
NODES = "nodes { id eventId timestamp __typename entity { eventType } }"
INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
TWO = ["people.find_people", "timelines.list_timelines"]


@pytest.fixture
async def people(db):
    """Ana, whom a record tells of; Ben, of whom there is an event only."""
    world = await World.create(db)
    await world.records(record(ANA, PHONE, first_name="Ana"))
    await world.events(event("e1", "2026-02-01T00:00:00.000Z", ANA), event("e2", "2026-02-02T00:00:00.000Z", BEN))
    return Client.of(world)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (NAME, ["people.glimpse_people"]),
        (f"id profileId mergePolicy {{ name }} {NAME}", ["people.glimpse_people"]),
        ("entity { identityMap }", ["people.find_people"]),
        (f"{NAME} identities {{ value }}", ["people.find_people", "identities.read_identities"]),
        (f"{NAME} events {{ nodes {{ timestamp }} }}", ["people.glimpse_timelines"]),
        (f"id profileId events {{ {NODES} {INFO} }}", ["people.glimpse_timelines"]),
        ("profileId events { nodes { timestamp } totalCount }", [*TWO, "events.count_events"]),
        (f"a: events {{ {NODES} }} b: events(first: 1) {{ {NODES} }}", [*TWO, "timelines.list_timelines"]),
        ("entity { identityMap } events { nodes { timestamp } }", TWO),
        ("events { edges { node { timestamp } } }", ["people.find_people", "events.list_events"]),
        ("events { nodes { id } }", ["people.glimpse_timelines"]),
        ("events { nodes { dataset { name } } }", ["people.find_people", "events.list_events"]),
        ('events { nodes { entityJson(select: "timestamp") } }', ["people.find_people", "events.list_events"]),
    ],
)
async def test_each_selection_has_its_statements(people, statements, fields, expected):
    await people.data("{ __typename }")
    with statements() as seen:
        await people.data(ONE % fields)
    assert [name for name in seen if not name.startswith(("tenants", "configuration"))] == expected


@pytest.mark.parametrize(
    "fields",
    [
        f"status profile {{ {NAME} }}",
        f"__typename profile {{ __typename {NAME} __typename }} status again: status",
        f"profile {{ a: {NAME} b: {NAME} }} status",
        f"profile {{ {NAME} }} more: profile {{ {NAME} }}",
        f"status requested {{ xid value }} profile {{ {NAME} }}",
        "status profile { profileId }",
        f"status profile {{ id events {{ {NODES} {INFO} }} profileId }}",
        f"profile {{ {NAME} events(first: 1, orderBy: {{direction: DESC}}) {{ {INFO} {NODES} __typename }} }}",
        f"profile {{ events(last: 1) {{ __typename {INFO} info: {INFO} more: {NODES} {NODES} }} }}",
        f"profile {{ events(last: 0) {{ {INFO} {NODES} }} }}",
        f"profile {{ a: events {{ {NODES} }} b: events {{ {INFO} }} {NAME} }}",
        f"status profile {{ events(first: -1) {{ {NODES} }} }}",
        f'status profile {{ events(first: 1, after: "x") {{ {NODES} }} }}',
        f'profile {{ events(filter: {{eventTypes: ["\\u0000"]}}) {{ {NODES} }} }}',
        "status",
    ],
)
@pytest.mark.parametrize("is_distributed", [False, True])
@pytest.mark.parametrize("often", [1, FEW])
async def test_results_are_the_same_however_they_are_written(people, fields, often, is_distributed):
    people.world.db.is_distributed = is_distributed
    stock = Client.of(people.world)
    stock.operations._compiles = False
    asked = often * [
        {"key": {"namespace": namespace, "value": value}} for namespace, value in (ANA, BEN, PHONE, ("Email", "no"))
    ]
    query = MANY % fields
    told = await people.answer(query, {"asked": asked}), await stock.answer(query, {"asked": asked})
    for _, body in told:
        body.get("errors", []).sort(key=str)  # which of them is told first depends on who fails first
    assert str(told[0]) == str(told[1])  # the order of keys included


@pytest.mark.parametrize(
    ("count", "fields", "expected"),
    [
        (FEW, f"status profile {{ {NAME} }}", "people.glimpse_people"),
        (FEW + 1, f"status profile {{ {NAME} }}", "people.write_people"),
        (FEW + 1, f"status profile {{ {NAME} events {{ {NODES} }} }}", "people.write_timelines"),
        (FEW + 1, f"status profile {{ {NAME} events {{ {NODES} {INFO} }} }}", "people.glimpse_timelines"),
        (FEW + 1, f"status profile {{ {NAME} profileId }}", "people.glimpse_people"),
        (FEW + 1, f"requested {{ xid }} profile {{ {NAME} }}", "people.glimpse_people"),
    ],
)
async def test_results_of_many_with_status_and_entity_only_are_written_as_one_text(
    people, statements, count, fields, expected
):
    values = ["ana@x.io", *(f"nobody{number}@x.io" for number in range(1, count))]
    asked = [{"key": {"namespace": "Email", "value": value}} for value in values]
    with statements() as seen:
        results = (await people.data(MANY % fields, asked=asked))["profiles"]
    assert seen[-1] == expected
    entities = [each["profile"] and each["profile"]["entity"] for each in results]
    assert entities == [{"person": {"name": {"firstName": "Ana"}}}, *[None] * (count - 1)]


async def test_an_identity_that_is_requested_twice_is_read_and_written_once(people, statements):
    ana = {"key": {"namespace": "Email", "value": "ana@x.io"}}
    with statements() as seen:
        results = (await people.data(MANY % f"status profile {{ {NAME} }}", asked=[ana] * 20))["profiles"]
    assert results == [results[0]] * 20
    assert seen[-1] == "people.glimpse_people"


async def test_a_page_of_variables_is_read_with_the_person_and_fails_at_its_own_path(people, statements):
    page = f"profileId events(first: $size, after: $place) {{ {NODES} }}"
    query = "query ($size: Int, $place: String) { " + ONE.removeprefix("query { ") % page
    with statements() as seen:
        assert len((await people.data(query, size=1))["profile"]["events"]["nodes"]) == 1
    assert seen[-1] == "people.glimpse_timelines"
    elsewhere = (await people.data("{ datasets(first: 1) { pageInfo { endCursor } } }"))["datasets"]["pageInfo"]
    _, answer = await people.answer(query, {"size": 1, "place": elsewhere["endCursor"]})
    assert [error["path"] for error in answer["errors"]] == [["profile", "events"]]


async def test_too_many_leaves_take_the_whole_document(people, statements, monkeypatch):
    monkeypatch.setattr(wants, "WIDE", 2)
    query = ONE % "entity { person { name { firstName lastName } } workEmail { address } }"
    with statements() as seen:
        entity = (await people.data(query))["profile"]["entity"]
    assert entity == {"person": {"name": {"firstName": "Ana", "lastName": None}}, "workEmail": None}
    assert seen[-1] == "people.find_people"

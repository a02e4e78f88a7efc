"""Wants: a query asks the store for no more than it shows."""

import pytest
from client import Client
from world import World, event, record

from gateway.api.execution import wants

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")
ONE = 'query { profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) { %s } }'
MANY = "query ($asked: [IdentityInput!]!) { profiles(identities: $asked) { %s } }"
NAME = "entity { person { name { firstName } } }"


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
        ("events { nodes { timestamp entity { eventType } } }", ["people.find_people", "events.list_finished"]),
        ("events { edges { node { timestamp } } }", ["people.find_people", "events.list_events"]),
        ("events { nodes { id } }", ["people.find_people", "events.list_events"]),
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
        "status",
    ],
)
async def test_results_are_the_same_however_they_are_written(people, fields):
    stock = Client.of(people.world)
    stock.operations._compiles = False
    asked = [
        {"key": {"namespace": namespace, "value": value}} for namespace, value in (ANA, BEN, PHONE, ("Email", "no"))
    ]
    query = MANY % fields
    told = await people.answer(query, {"asked": asked}), await stock.answer(query, {"asked": asked})
    assert str(told[0]) == str(told[1])  # the order of keys included


async def test_too_many_leaves_take_the_whole_document(people, statements, monkeypatch):
    monkeypatch.setattr(wants, "WIDE", 2)
    query = ONE % "entity { person { name { firstName lastName } } workEmail { address } }"
    with statements() as seen:
        entity = (await people.data(query))["profile"]["entity"]
    assert entity == {"person": {"name": {"firstName": "Ana", "lastName": None}}, "workEmail": None}
    assert seen[-1] == "people.find_people"

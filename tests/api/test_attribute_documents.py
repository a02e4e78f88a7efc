"""Values of computed attributes as fields of documents: typed, and by selectors; there where they are selected, and nowhere else."""

import pytest
from client import Client
from world import event, record

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.api.schema import build_schema
from gateway.domain.config.computed_attributes import AttributeStatus, update_attribute
from gateway.xdm.classes import XdmClass

ADA, BOB = ("Email", "ada@example.com"), ("Email", "bob@example.com")
WHO = {"who": [{"key": {"namespace": "Email", "value": value}} for _, value in (ADA, BOB)]}
OF_PEOPLE = {
    "visits": "xEvent.count()",
    "spent": "xEvent.sum(commerce.order.priceTotal)",
    "kinds": "xEvent.topN(timestamp, 5).map(eventType)",
    "byKind": "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))",
    "last": 'xEvent.topN(timestamp, 1).map({"kind": eventType, "order": commerce.order}).head()',
    "caller": "person.name.firstName",
}
OF_EVENTS = {"double": "commerce.order.priceTotal * 2", "words": "[eventType, producedBy]"}
EVENTS = [
    event("1", "2026-01-01T00:00:00Z", ADA, eventType="look"),
    event("2", "2026-01-02T00:00:00Z", ADA, commerce={"order": {"priceTotal": 7}}),
    event("3", "2026-01-03T00:00:00Z", ADA, eventType="buy", commerce={"order": {"priceTotal": 2.5, "currencyCode": "EUR"}}),
]  # fmt: skip


@pytest.fixture
async def clients(client):
    """Callers whose operations are compiled, and executed by graphql-core, in a sandbox with two people."""
    world = client.world
    await world.records(record(ADA, first_name="Ada"), record(BOB))
    await world.events(*EVENTS)
    for xdm_class, texts in ((XdmClass.INDIVIDUAL_PROFILE, OF_PEOPLE), (XdmClass.EXPERIENCE_EVENT, OF_EVENTS)):
        for name, text in texts.items():
            await world.publish(name, text, xdm_class=xdm_class)
    plain = Operations(world.db, world.configurations, build_schema(), Limits(), compiles=False)
    return client, Client(world, plain)


async def told(clients, text, **variables):
    """Run an operation both ways, and return its data, which is the same."""
    text = text.replace("_own", f"_{clients[0].world.scope.organization.code}")
    compiled, executed = [await client.data(text, **variables) for client in clients]
    assert compiled == executed
    return compiled


async def test_attributes_are_typed_fields_of_people_which_are_computed_where_they_are_selected(clients):
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile { profileId
        entity { person { name { firstName } } _own { ComputedAttributes { visits total: spent byKind ...Rest } } }
        bare: entity { _own { __typename } } } } }
      fragment Rest on XdmProfileTestComputedAttributes { kinds caller last { kind order { priceTotal currencyCode } } }"""
    code = clients[0].world.scope.organization.code
    ada, bob = (
        each["profile"] for each in (await told(clients, text.replace("Test", code.title()), **WHO))["profiles"]
    )
    assert ada["entity"] == {
        "person": {"name": {"firstName": "Ada"}},
        f"_{code}": {"ComputedAttributes": {
            "visits": 3, "total": 9.5, "byKind": {"look": 1, "buy": 1}, "kinds": ["buy", "look"], "caller": "Ada",
            "last": {"kind": "buy", "order": {"priceTotal": 2.5, "currencyCode": "EUR"}},
        }},
    }  # fmt: skip
    assert bob["entity"][f"_{code}"]["ComputedAttributes"] == {
        "visits": 0, "total": 0, "byKind": {}, "kinds": [], "caller": None, "last": None,
    }  # fmt: skip
    assert (ada["bare"], bob["bare"]) == ({f"_{code}": None}, {f"_{code}": None})


async def test_attributes_are_typed_fields_of_events_in_lists_and_pages(clients):
    fields = "eventId entity { eventType _own { ComputedAttributes { double words } } }"
    text = f"""query ($who: [IdentityInput!]!, $where: String) {{ events(identities: $who, filter: {{where: $where}}) {{ nodes {{ {fields} }} }}
        profiles(identities: $who) {{ profile {{ events(last: 1) {{ totalCount edges {{ node {{ {fields} }} }} }} }} }} }}"""
    code = clients[0].world.scope.organization.code
    data = await told(clients, text, **WHO, where=f"_{code}.ComputedAttributes.double < 10")
    assert data["events"]["nodes"] == [
        {
            "eventId": "3",
            "entity": {"eventType": "buy", f"_{code}": {"ComputedAttributes": {"double": 5, "words": ["buy"]}}},
        }
    ]
    (last, none) = (each["profile"]["events"]["edges"] for each in data["profiles"])
    assert ([each["node"] for each in last], none) == (data["events"]["nodes"], [])


async def test_json_has_attributes_where_a_selector_names_them_and_not_else(clients):
    text = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile {
        whole: entityJson own: entityJson(select: "_own") some: entityJson(select: "person,_own.ComputedAttributes(visits,byKind.look)")
        all: entityJson(select: "_own.ComputedAttributes")
        events(first: 1) { nodes { entityJson(select: "eventType,_own.ComputedAttributes") bare: entityJson } } } } }"""
    code = clients[0].world.scope.organization.code
    ada, bob = (each["profile"] for each in (await told(clients, text, **WHO))["profiles"])
    assert (f"_{code}" in ada["whole"], ada["own"]) == (False, {})
    assert ada["some"] == {
        "person": {"name": {"firstName": "Ada"}},
        f"_{code}": {"ComputedAttributes": {"visits": 3, "byKind": {"look": 1}}},
    }
    assert set(ada["all"][f"_{code}"]["ComputedAttributes"]) == set(OF_PEOPLE)
    assert set(bob["all"][f"_{code}"]["ComputedAttributes"]) == set(OF_PEOPLE) - {"caller", "last"}
    (first,) = ada["events"]["nodes"]
    assert first["entityJson"] == {"eventType": "look", f"_{code}": {"ComputedAttributes": {"words": ["look"]}}}
    assert f"_{code}" not in first["bare"]
    error = await clients[0].error(text.replace("_own", f"_{code}").replace("visits", "visit"), **WHO)
    assert (error["extensions"]["code"], "Did you mean 'visits'?" in error["message"]) == ("BAD_SELECTOR", True)


async def test_publishing_and_disabling_change_the_schema_of_the_sandbox(client):
    world, code = client.world, client.world.scope.organization.code
    text = """{ __type(name: "XdmProfile%sComputedAttributes") { fields { name type { name } description } }
                unionSchema(class: INDIVIDUAL_PROFILE) { jsonSchema sdl } }""" % code.title()  # noqa: UP031

    async def fields():
        data = await client.data(text)
        own = data["unionSchema"]["jsonSchema"]["properties"].get(f"_{code}", {}).get("properties", {})
        names = list(own.get("ComputedAttributes", {}).get("properties", {}))
        assert all(f"  {name}: " in data["unionSchema"]["sdl"] for name in names)
        assert names == [each["name"] for each in (data["__type"] or {"fields": []})["fields"]]
        return data["__type"] and data["__type"]["fields"]

    assert await fields() is None
    visits = await world.publish("visits", "xEvent.count()")
    await world.publish("length", "eventType", xdm_class=XdmClass.EXPERIENCE_EVENT)
    assert await fields() == [{"name": "visits", "type": {"name": "Long"}, "description": "visits"}]
    unions = (await world.config()).unions
    await update_attribute(
        world.db, world.scope, unions, visits.attribute_id, {}, most=25, status=AttributeStatus.DISABLED
    )
    assert await fields() is None

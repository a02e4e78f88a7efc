"""Filters of events and merge policies in arguments: those that cannot be are refused before anything is read, whoever is found."""

from dataclasses import replace

import pytest
from client import Client
from graphql import get_named_type, is_object_type
from world import World, event, record

from gateway.api.context import PRECONDITION
from gateway.api.execution.prepared import Prepared
from gateway.api.schema import build_schema
from gateway.domain.config import registry
from gateway.runtime.threads import DOCUMENTS

NOBODY = 'profile(identity: {key: {namespace: "Email", value: "nobody@example.com"}})'
ADA = 'profile(identity: {key: {namespace: "Email", value: "ada@example.com"}})'
GRAPH = 'identityGraph(identity: {key: {namespace: "Email", value: "nobody@example.com"}})'


@pytest.fixture(scope="module")
async def stored(module_db) -> World:
    world = await World.create(module_db)
    await world.records(record(("Email", "ada@example.com")))
    await world.events(event("1", "2026-01-01T00:00:00Z", ("Email", "ada@example.com"), eventType="a"))
    return world


@pytest.fixture
def client(stored) -> Client:
    return Client.of(stored)


def given(path="eventType", value: object = "a", **more):
    return {"properties": [{"path": path, "operator": "EQ", "value": value}], **more}


@pytest.mark.parametrize("person", [NOBODY, ADA])
@pytest.mark.parametrize(
    ("filter_", "says"),
    [
        (given("a..b"), "`theirs`: `properties[0]`: The path of a property is names"),
        (given("eventTyp"), "`theirs`: `properties[0]`: There is no field 'eventTyp' in an event. Did you mean 'eventType'"),
        (given("commerce.ordr.priceTotal"), "`theirs`: `properties[0]`: There is no field 'ordr' below `commerce`. Did you mean 'order'?"),
        (given("productListItems.x"), "`theirs`: `properties[0]`: There is no field 'x' below `productListItems`."),
        (given("identityMap.email.id"), "`theirs`: `properties[0]`: There is no identity namespace 'email' below `identityMap`. Did you mean 'Email'?"),
        (given("eventType.x"), "`theirs`: `properties[0]`: There is no field 'x' below `eventType`."),
        ({"properties": [*given()["properties"], *given("nowhere")["properties"]]}, "`theirs`: `properties[1]`: There is no field 'nowhere'"),
        ({"properties": given("nowhere")["properties"][0]}, "`theirs`: `properties[0]`: There is no field 'nowhere'"),
        (given(value=[1]), "`theirs`: `properties[0]`: `eventType` is compared with a text, a number or a boolean."),
        ({"properties": given()["properties"] * 4}, "`theirs`: A filter has at most 3 conditions"),
        ({"datasetIds": ["x"]}, "`theirs`: "),
        ({"eventTypes": ["\0"]}, "`theirs`: No event type has a NUL character."),
        ({"where": "a"}, "`theirs`: `filter.where`: Line 1, column 1: There is no field `a` here."),
    ],
)  # fmt: skip
async def test_an_invalid_filter_is_refused_whether_a_person_is_found_or_not(client, statements, person, filter_, says):
    whole = f"query ($f: EventFilter) {{ {person} {{ theirs: events(filter: $f) {{ nodes {{ id }} }} }} }}"
    spread = f"query ($f: EventFilter) {{ {person} {{ ...F }} }} fragment F on Profile {{ theirs: events(filter: $f) {{ totalCount }} }}"
    default = f'query ($f: EventFilter = {{where: "a"}}) {{ {person} {{ theirs: events(filter: $f) {{ nodes {{ id }} }} }} }}'  # fmt: skip
    for query in (whole, spread, default):
        with statements() as seen:
            _, body = await client.answer(query, {"f": filter_})
        (error,) = body["errors"]
        assert (body.get("data"), error["extensions"]["code"]) == (
            None,
            "BAD_PQL" if "where" in filter_ else "BAD_INPUT",
        )
        assert error["message"].startswith(says)
        assert not {name.partition(".")[0] for name in seen} & {
            "people",
            "profiles",
            "identities",
            "events",
        }
    _, body = await client.answer(default)
    assert body["errors"][0]["message"].startswith("`theirs`: `filter.where`: Line 1")


async def test_a_path_in_the_text_is_checked_together_with_values_of_variables(client):
    query = f"query ($p: String!) {{ {NOBODY} {{ events(filter: {{properties: [{{path: $p, operator: EQ, value: 1}}]}}) {{ totalCount }} }} }}"
    assert await client.data(query, p="commerce.order.priceTotal") == {"profile": None}
    error = await client.error(query, p="commerce.order.price")
    assert "no field 'price' below `commerce.order`" in error["message"]
    literal = query.replace("($p: String!) ", "").replace("$p", '"nowhere"')
    assert "no field 'nowhere'" in (await client.error(literal))["message"]
    two = f"query A {{ {NOBODY} {{ id }} }} {literal.replace('query', 'query B')}"
    _, body = await client.answer(two, operation_name="A")
    assert body == {"data": {"profile": None}}


@pytest.mark.parametrize("path", ["identityMap.Email.id", "productListItems.SKU", "_id", "timestamp", "web"])
async def test_paths_through_maps_and_arrays_and_of_every_standard_field_can_be(client, path):  # fmt: skip
    for person in (NOBODY, ADA):
        query = f"query ($f: EventFilter) {{ {person} {{ events(filter: $f) {{ totalCount }} }} }}"
        assert await client.data(query, f=given(path))


async def test_a_field_of_ones_own_is_known_from_the_moment_that_the_sandbox_has_it(client):
    client = Client(await World.create(client.world.db), client.operations)
    world, path = client.world, f"_{client.world.scope.organization.code}.score"
    query = f"query ($f: EventFilter) {{ {NOBODY} {{ events(filter: $f) {{ totalCount }} }} }}"
    assert (await client.error(query, f=given(path, 7)))["extensions"]["code"] == "BAD_INPUT"
    fields = {"score": {"type": "integer"}}
    await registry.update_schema(world.db, world.scope, world.shop.schema_id, custom_fields=fields)
    client.world = replace(world, scope=replace(world.scope, sandbox=await world.fresh_sandbox()))
    assert await client.data(query, f=given(path, 7)) == {"profile": None}


@pytest.mark.parametrize("policy", ["x", "policy_AAAAAAAAAAAAAAAAAAAAAA"])
async def test_an_unknown_policy_is_refused_whether_a_person_is_found_or_not(client, policy):
    nobody = 'identity(identity: {key: {namespace: "Email", value: "nobody@example.com"}})'
    query = f"query ($p: ID) {{ {nobody} {{ theirs: profile(mergePolicyId: $p) {{ id }} }} viewer {{ organization }} }}"
    error = await client.error(query, p=policy)
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert error["message"].startswith("`theirs`: ")
    assert (await client.data(query, p=None))["identity"] is None


async def test_an_unknown_policy_of_a_root_field_fails_that_field_alone(client):
    _, body = await client.answer(f'{{ {NOBODY[:-1]}, mergePolicyId: "x") {{ id }} viewer {{ organization }} }}')  # fmt: skip
    assert [error["path"] for error in body["errors"]] == [["profile"]]
    assert body["data"]["viewer"]


async def test_a_mutation_whose_payload_has_an_invalid_argument_changes_nothing(client, statements):
    mutation = """mutation ($a: IdentityInput!, $b: IdentityInput!, $f: EventFilter) { unlinkIdentities(input: {a: $a, b: $b}) {
      identityGraphs { identities { profile { events(filter: $f) { totalCount } } } } userErrors { code } } }"""
    a, b = ({"key": {"namespace": "Email", "value": f"{name}@example.com"}} for name in ("ada", "bob"))
    with statements() as seen:
        error = await client.error(mutation, a=a, b=b, f=given("nowhere"))
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert not [name for name in seen if name.startswith(("identity_graphs", "graph_union", "identities"))]


async def test_many_values_are_checked_beside_the_event_loop(client, monkeypatch):
    ran, run = [], DOCUMENTS.run

    async def spy(work, *given):
        ran.append(work)
        return await run(work, *given)

    monkeypatch.setattr(DOCUMENTS, "run", spy)
    query = f"query ($f: EventFilter) {{ {NOBODY} {{ events(filter: $f) {{ totalCount }} }} }}"
    error = await client.error(query, f={"datasetIds": ["x"] * 19_000, **given()})
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert Prepared.read in [getattr(work, "__func__", None) for work in ran]


def test_every_filter_of_events_and_every_policy_declares_its_precondition():
    declared = {"EventFilter": 0, "mergePolicyId": 0}
    for named in filter(is_object_type, build_schema().type_map.values()):
        for name, field in named.fields.items():
            for key, each in field.args.items():
                for kind in declared.keys() & {key, get_named_type(each.type).name}:
                    declared[kind] += 1
                    assert PRECONDITION in each.extensions["strawberry-definition"].metadata, (named.name, name, key)
    assert min(declared.values()) > 1

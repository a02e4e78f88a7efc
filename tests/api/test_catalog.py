"""The nouns of the configuration: all are made, changed, logged, looked up, listed, filtered and ordered in the same way.

A noun is a row of `NOUNS`; one that is added to the schema without a row fails `test_every_noun_with_a_version_is_tested_here`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from graphql import is_object_type
from reflection import SCHEMA
from working import work_off

from gateway.api.ids import global_id
from gateway.storage.queries import Query

ENTRIES = Query(
    "test.entries",
    "select actor, action, before, after from gateway.audit_entry where organization_id = $1 order by entry_id",
    ("organization_id",), (), "rows", "For these tests.",
)  # fmt: skip


@dataclass(frozen=True)
class Noun:
    """One kind of configuration.

    `name` is the argument and the field by which people call its objects; `made` is what else it takes to make one, "schema" standing for the
    id of one; `change` changes what was made. `filters` are values of `filter`, each with the condition that it means, over `fields`.
    """

    type: str
    one: str
    many: str
    name: str
    made: dict[str, Any]
    change: dict[str, Any]
    fields: str = ""
    orders: tuple[str, ...] = ()
    filters: tuple[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]], ...] = ()

    @property
    def selection(self) -> str:
        return f"{{ id {self.name} version createdAt updatedAt createdBy {self.fields} }}"

    def mutation(self, verb: str) -> str:
        return f"{verb}{self.one[0].upper()}{self.one[1:]}"


NOUNS = [
    Noun(
        "Dataset", "dataset", "datasets", "name", {"schemaId": "schema", "enableForProfile": False}, {"description": "Changed"},
        "isProfileEnabled schema { id }", ("NAME", "CREATED_AT"),
        (
            ({"name": "ETA"}, lambda node: node["name"] == "beta"),
            ({"isProfileEnabled": True}, lambda node: node["isProfileEnabled"]),
            ({"name": "a", "isProfileEnabled": False}, lambda node: not node["isProfileEnabled"]),
            ({"schemaId": "schema"}, lambda node: node["name"] != "Shop"),
            ({"schemaId": None}, lambda _: True),
        ),
    ),
    Noun(
        "XdmSchema", "schema", "schemas", "title", {"class": "EXPERIENCE_EVENT", "enableForProfile": False}, {"enableForProfile": True},
        "isProfileEnabled",
        filters=(
            ({"title": "ETA"}, lambda node: node["title"] == "beta"),
            ({"isProfileEnabled": False}, lambda node: not node["isProfileEnabled"]),
        ),
    ),
    Noun(
        "IdentityNamespace", "identityNamespace", "identityNamespaces", "code", {"name": "Name", "idType": "PARTNER"}, {"name": "Changed"},
        "isCustom idType",
        filters=(
            ({"isCustom": True}, lambda node: node["isCustom"]),
            ({"idType": ["EMAIL", "PHONE"]}, lambda node: node["idType"] in {"EMAIL", "PHONE"}),
            ({"isCustom": False, "idType": ["COOKIE", "PARTNER"]}, lambda node: node["idType"] == "COOKIE"),
            ({"idType": []}, lambda _: False),
        ),
    ),
    Noun(
        "MergePolicy", "mergePolicy", "mergePolicies", "name", {"identityGraph": "NONE", "attributeMerge": {"type": "TIMESTAMP_ORDERED"}},
        {"identityGraph": "PDG"}, "isDefault identityGraph", ("NAME", "CREATED_AT", "UPDATED_AT"),
        (
            ({"isDefault": True}, lambda node: node["isDefault"]),
            ({"identityGraph": "NONE", "attributeMerge": "TIMESTAMP_ORDERED"}, lambda node: node["identityGraph"] == "NONE"),
            ({"class": "EXPERIENCE_EVENT"}, lambda _: False),
        ),
    ),
    Noun(
        "ComputedAttribute", "computedAttribute", "computedAttributes", "name", {"expression": "xEvent.count()"}, {"description": "Changed"},
        "status mergeFunction", ("NAME", "CREATED_AT", "UPDATED_AT"),
        (
            ({"name": "ETA"}, lambda node: node["name"] == "beta"),
            ({"status": ["DRAFT"], "mergeFunction": "COUNT"}, lambda _: True),
            ({"status": ["PROCESSED"]}, lambda _: False),
            ({"mergeFunction": "SUM"}, lambda _: False),
        ),
    ),
    Noun("Sandbox", "sandbox", "sandboxes", "name", {}, {"title": "Changed"}),
]  # fmt: skip
ALWAYS_GUARDED = {"ProjectionConfiguration", "ProjectionDestination"}
"""Nouns that no update changes without `currentVersion`: `test_projection_configurations.py` tests these."""
NAMES = ["gamma", "beta", "alpha"]  # in the order in which they are made
of_each_noun = pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.type)


@pytest.fixture
def client(client):
    client.world.scope = replace(client.world.scope, actor="ann")
    return client


def named(client, given):
    """Put the id of a schema where it is to stand."""
    schema = global_id("XdmSchema", client.world.crm.schema_id)
    return {key: schema if value == "schema" else value for key, value in given.items()}


async def mutate(client, mutation, /, **given):
    """Run a mutation and return the codes of its user errors."""
    input_type = SCHEMA.mutation_type.fields[mutation].args["input"].type
    text = f"mutation ($given: {input_type}) {{ {mutation}(input: $given) {{ userErrors {{ code }} }} }}"
    payload = (await client.data(text, given=named(client, given)))[mutation]
    return [error["code"] for error in payload["userErrors"]]


async def query(client, name, selection, /, **arguments):
    """Run a query of one field and return its answer, or the code of its error."""
    types = {argument: given.type for argument, given in SCHEMA.query_type.fields[name].args.items()}
    declared = ", ".join(f"${argument}: {types[argument]}" for argument in arguments)
    passed = ", ".join(f"{argument}: ${argument}" for argument in arguments)
    text = f"query {f'({declared})' if declared else ''} {{ {name} {f'({passed})' if passed else ''} {selection} }}"
    _, body = await client.answer(text, arguments)
    return body["errors"][0]["extensions"]["code"] if "errors" in body else body["data"][name]


async def look_up(client, noun, /, **by):
    return await query(client, noun.one, noun.selection, **by)


async def page(client, noun, /, **arguments):
    return await query(client, noun.many, f"{{ totalCount nodes {noun.selection} edges {{ cursor }} }}", **arguments)


async def make(client, noun, name):
    assert await mutate(client, noun.mutation("create"), **{noun.name: name}, **noun.made) == []
    return await look_up(client, noun, **{noun.name: name})


async def entries(client):
    """The audit log as (actor, action, version before, version after)."""
    rows = await client.world.db.rows(ENTRIES, client.world.scope.organization.organization_id)
    states = [[state and orjson.loads(state).get("version") for state in (row["before"], row["after"])] for row in rows]
    return [(row["actor"], row["action"], *versions) for row, versions in zip(rows, states, strict=True)]


def test_every_noun_with_a_version_is_tested_here():
    edited = {"version", "updatedAt"}
    versioned = {
        each.name for each in SCHEMA.type_map.values() if is_object_type(each) and edited <= each.fields.keys()
    }
    assert versioned == {noun.type for noun in NOUNS} | {"IdentitySettings", *ALWAYS_GUARDED}


# ------------------------------------------------------------------------------------------------ changes


@of_each_noun
async def test_a_change_of_an_object_that_another_changed_meanwhile_is_refused(client, noun):
    made, change = await make(client, noun, "alpha"), noun.mutation("update")
    assert (made["version"], made["createdBy"], made["updatedAt"]) == (1, "ann", made["createdAt"])
    assert await mutate(client, change, id=made["id"], **noun.change, currentVersion=1) == []
    changed = await look_up(client, noun, id=made["id"])
    assert (changed["version"], changed["createdAt"], changed["createdBy"]) == (2, made["createdAt"], "ann")
    assert changed["updatedAt"] > made["updatedAt"]
    assert await mutate(client, change, id=made["id"], **noun.change, currentVersion=1) == ["STALE"]
    assert await mutate(client, change, id=made["id"], **noun.change) == []  # which changes nothing
    assert await look_up(client, noun, id=made["id"]) == changed
    assert (await entries(client))[-2:] == [("ann", noun.mutation("create"), None, 1), ("ann", change, 1, 2)]


async def test_a_policy_that_another_changed_meanwhile_is_not_deleted(client):
    noun = next(noun for noun in NOUNS if noun.type == "MergePolicy")
    policy = await make(client, noun, "alpha")
    await mutate(client, "updateMergePolicy", id=policy["id"], **noun.change)
    assert await mutate(client, "deleteMergePolicy", id=policy["id"], currentVersion=1) == ["STALE"]
    assert await mutate(client, "deleteMergePolicy", id=policy["id"], currentVersion=2) == []
    assert await look_up(client, noun, id=policy["id"]) is None
    assert (await entries(client))[-1] == ("ann", "deleteMergePolicy", 2, None)


async def test_a_policy_that_is_no_longer_the_default_is_in_the_log_with_the_one_that_is(client):
    policies = next(noun for noun in NOUNS if noun.type == "MergePolicy")
    await make(client, replace(policies, made=policies.made | {"isDefault": True}), "alpha")
    assert (await look_up(client, policies, name="Default"))["version"] == 2
    assert (await entries(client))[-2:] == [("ann", "createMergePolicy", 1, 2), ("ann", "createMergePolicy", None, 1)]


async def test_identity_settings_have_a_version_and_tell_who_changed_them(client):
    told = "{ identitySettings { status version updatedAt updatedBy namespaces { namespace { code version } } } }"

    async def settings():
        return (await query(client, "sandbox", told, name="prod"))["identitySettings"]

    first = {"status": "ACTIVE", "version": 1, "updatedAt": None, "updatedBy": None, "namespaces": []}
    assert await settings() == first
    ranked = {"namespaces": [{"namespace": "Email", "isUniquePerGraph": True}]}
    assert await mutate(client, "updateIdentitySettings", **ranked, currentVersion=1) == []
    changed = await settings()
    assert changed["updatedAt"]
    email = {"namespace": {"code": "Email", "version": 1}}  # its rank is none of its own
    now = {
        "status": "BUILDING",
        "version": 2,
        "updatedAt": changed["updatedAt"],
        "updatedBy": "ann",
        "namespaces": [email],
    }
    assert changed == now
    assert await mutate(client, "updateIdentitySettings", namespaces=[], currentVersion=1) == ["STALE"]
    assert await mutate(client, "updateIdentitySettings", **ranked) == []  # which changes nothing
    assert await settings() == changed
    assert (await entries(client))[-1] == ("ann", "updateIdentitySettings", 1, 2)
    await work_off(client.world.db, client.world.configurations)
    assert await settings() == changed | {"status": "ACTIVE"}


# ------------------------------------------------------------------------------------------------ look-ups and lists


@of_each_noun
async def test_a_look_up_takes_an_id_or_a_name(client, noun):
    made = await make(client, noun, "alpha")
    assert made[noun.name] == "alpha"
    assert await look_up(client, noun, id=made["id"]) == made
    assert await look_up(client, noun, **{"id": None, noun.name: "alpha"}) == made
    node = await query(client, "node", f"{{ ... on {noun.type} {noun.selection} }}", id=made["id"])
    assert node == made
    for unknown in (
        {noun.name: "ALPHA"},
        {noun.name: ""},
        {"id": "x"},
        {"id": global_id("Batch", client.world.crm.schema_id)},
    ):
        assert await look_up(client, noun, **unknown) is None
    for several in ({}, {"id": None}, {"id": made["id"], noun.name: "alpha"}, {"id": "x", noun.name: "x"}):
        assert await look_up(client, noun, **several) == "BAD_INPUT"


@of_each_noun
async def test_a_list_has_what_fits_in_order_and_page_by_page(client, noun):
    for name in NAMES:
        await make(client, noun, name)
    everything = (await page(client, noun))["nodes"]
    assert [node[noun.name] for node in everything] == sorted(node[noun.name] for node in everything)
    assert {*NAMES} <= {node[noun.name] for node in everything}
    fields = {"NAME": noun.name, "CREATED_AT": "createdAt", "UPDATED_AT": "updatedAt"}
    for by in noun.orders:
        for direction in ("ASC", "DESC"):
            order = {"orderBy": {"field": by, "direction": direction}}
            ordered = [node[fields[by]] for node in (await page(client, noun, **order))["nodes"]]
            assert ordered == sorted(ordered, reverse=direction == "DESC")
            await walk(client, noun, order)
    for wanted, fits in noun.filters:
        found = await page(client, noun, filter=named(client, wanted))
        expected = [node for node in everything if fits(node)]
        assert (found["nodes"], found["totalCount"]) == (expected, len(expected)), wanted
        await walk(client, noun, {"filter": named(client, wanted)})


async def walk(client, noun, arguments):
    """Go through a list in pages of two, forwards and backwards, and meet everything once; a cursor is of no use in another order."""
    whole = await page(client, noun, **arguments)
    for size, beyond, end in (("first", "after", -1), ("last", "before", 0)):
        met, cursor = [], {}
        while (part := await page(client, noun, **arguments, **cursor, **{size: 2}))["nodes"]:
            met = [*met, *part["nodes"]] if size == "first" else [*part["nodes"], *met]
            cursor = {beyond: part["edges"][end]["cursor"]}
        assert met == whole["nodes"]
    if "orderBy" in arguments:
        other = {
            "orderBy": arguments["orderBy"]
            | {"direction": "ASC" if arguments["orderBy"]["direction"] == "DESC" else "DESC"}
        }
        assert await page(client, noun, **other, after=whole["edges"][0]["cursor"]) == "BAD_CURSOR"


async def test_a_filter_that_refers_to_no_id_is_refused(client):
    datasets = NOUNS[0]
    assert await page(client, datasets, filter={"schemaId": "x"}) == "BAD_INPUT"
    assert (await page(client, datasets, filter={"schemaId": global_id("XdmSchema", client.world.crm.dataset_id)}))[
        "nodes"
    ] == []

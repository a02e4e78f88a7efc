"""Custom fields of every kind, right and wrong: either `createSchema` says what is wrong and where, or everything goes on working."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from client import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from world import World, record

from gateway.api.execution.operations import Outcome
from gateway.domain.config import datasets, sandboxes, tenants
from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Scope

ADA = ("Email", "ada@example.com")
NUMBERS = count(1)

CREATE = """mutation ($given: CreateSchemaInput!) {
  createSchema(input: $given) { schema { id } userErrors { code message path } }
}"""
READ = """{
  a: unionSchema(class: INDIVIDUAL_PROFILE) { sdl jsonSchema schemas { title jsonSchema } }
  b: unionSchema(class: EXPERIENCE_EVENT) { sdl jsonSchema }
  __schema { types { name fields { name } } }
  profiles(identities: [{key: {namespace: "Email", value: "ada@example.com"}}]) { profile { entityJson } }
}"""

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYWORDS = [
    *("type", "meta:xdmType", "title", "description", "default", "examples", "const", "enum", "format", "pattern"),
    *("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items"),
    *("minItems", "maxItems", "uniqueItems", "contains", "additionalItems", "properties", "required", "not", "if"),
    *("additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties", "dependencies"),
    *("allOf", "anyOf", "oneOf", "then", "else", "$ref", "$id", "$schema", "$comment", "definitions", "meta:composite"),
    *("readOnly", "contentEncoding", "contentMediaType", "meta:typeName", "meta:typeDescription", "meta:enum"),
]
TYPES = ["string", "integer", "number", "boolean", "array", "object", "null", "map", "date", "long", "double", "byte"]
PATTERNS = ["^[a-z]+$", "(", "a{1,1000}{1,1000}", r"\p{L}{2}", "(?=x)", r"(a)\1", "[", "(?i)x", "", "\x00", "^\\d{3}$"]
NAMES = st.sampled_from(["a", "a_b", "a-b", "A", "id", "_id", "__x", "1st", "@id", "$", "", "x" * 65, "a.b", "ü", "on"])
VALUES: dict[str, Any] = {
    "type": st.sampled_from(TYPES),
    "meta:xdmType": st.sampled_from(TYPES),
    "format": st.sampled_from(["date", "date-time", "email", "uri", "uuid"]),
    "pattern": st.sampled_from(PATTERNS),
    "enum": st.lists(st.sampled_from(["a", "b", "ü", "\x00", ""]), max_size=3),
    "required": st.lists(NAMES, max_size=2),
    **dict.fromkeys(("minLength", "maxLength"), st.integers(-1, 5)),
    **dict.fromkeys(("minimum", "maximum"), st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)),
    **dict.fromkeys(("title", "description"), st.text(max_size=8)),
}


def sensible(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields that are more often right than wrong."""
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("string")}, optional={k: VALUES[k] for k in ("enum", "pattern", "title")}
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])}, optional={"minimum": VALUES["minimum"]}
        ),
        st.fixed_dictionaries({"type": st.just("boolean")}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
        st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)}),
    )


def arbitrary(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A keyword of JSON Schema more, with a value that may or may not suit it."""
    worth = {keyword: VALUES.get(keyword, JUNK) | JUNK | inner for keyword in KEYWORDS}
    more = st.sampled_from(KEYWORDS).flatmap(lambda keyword: worth[keyword].map(lambda value: {keyword: value}))
    return st.builds(lambda field, added: {**field, **added}, sensible(inner), more) | JUNK


FIELD = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(TYPES)}) | st.just({"type": "string"}),
    lambda inner: sensible(inner) | arbitrary(inner),
    max_leaves=4,
)
CUSTOM_FIELDS = st.dictionaries(NAMES, FIELD, min_size=1, max_size=3) | JUNK


def new_organization(db) -> Any:
    return sandboxes.create_organization(db, f"fields{next(NUMBERS)}", "An organization")


async def fresh(db) -> Client:
    """A client of a sandbox without any schema, so that the first one meets no other."""
    organization = await new_organization(db)
    sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
    assert sandbox is not None
    scope = Scope(organization, sandbox, frozenset({Permission.ADMIN}), frozenset({EVERY_SANDBOX}))
    return Client.of(World(db, scope, *([None] * 3)))


async def made(client: Client, given: dict[str, Any]) -> dict[str, Any]:
    """What `createSchema` says; whatever it says, the sandbox goes on, also for a process that starts now."""
    outcome, body = await client.answer(CREATE, {"given": given})
    assert outcome is Outcome.ANSWERED, body
    assert "errors" not in body, body
    if body["data"]["createSchema"]["schema"]:
        await client.data(READ)
    await Client.of(replace(client.world, configurations=Configurations())).data(READ)
    return body["data"]["createSchema"]


@pytest.mark.parametrize("keyword", KEYWORDS)
async def test_a_keyword_is_taken_or_refused_with_its_path(module_db, keyword):
    for xdm_class in ("INDIVIDUAL_PROFILE", "EXPERIENCE_EVENT"):
        client = await fresh(module_db)
        given = {"title": keyword, "class": xdm_class, "customFields": {"f": {"type": "string", keyword: "x"}}}
        payload = await made(client, given)
        assert (payload["schema"] is None) == bool(payload["userErrors"])
        for error in payload["userErrors"]:
            assert error["path"][:2] == ["customFields", "f"]
            assert keyword in error["message"]


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(custom_fields=CUSTOM_FIELDS, more=CUSTOM_FIELDS)
async def test_custom_fields_are_refused_with_their_path_or_everything_works(module_db, custom_fields, more):
    client = await fresh(module_db)
    for title, fields in (("One", custom_fields), ("Two", more)):
        payload = await made(client, {"title": title, "class": "INDIVIDUAL_PROFILE", "customFields": fields})
        if payload["schema"] is None:
            assert all(error["path"][0] == "customFields" for error in payload["userErrors"])
            continue
        (schema,) = [s for s in (await client.world.config()).schemas.values() if s.title == title]
        dataset = await datasets.create_dataset(module_db, client.world.scope, name=title, schema_id=schema.schema_id)
        await client.world.config()  # have it read anew
        assert (await client.world.records(record(ADA, first_name=title), dataset=dataset)).accepted == 1
        read = await client.data(READ)
        assert read["profiles"][0]["profile"]["entityJson"]["person"]["name"]["firstName"] == title


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({f"f{n}": {"type": "string", "pattern": rf"[\p{{L}}\p{{M}}]{{0,60}}|a{n}"} for n in range(200)}, ["f0"]),
        ({"f": {"type": "string", "description": "x" * 5_000_000}}, ["f"]),
        ({f"f{n}": {"type": "string", "enum": [f"{k}-{'x' * 90}" for k in range(1_000)]} for n in range(20)}, []),
        ({f"f{n}": {"type": "string"} for n in range(10_001)}, []),
    ],
)
async def test_fields_that_would_hold_too_much_are_refused_with_the_limit(module_db, fields, path):
    client = await fresh(module_db)
    payload = await made(client, {"title": "Large", "class": "INDIVIDUAL_PROFILE", "customFields": fields})
    (error,) = payload["userErrors"]
    assert error["path"] == ["customFields", *path]
    assert payload["schema"] is None

"""Limits of the number of things hold under concurrent creation, from any number of processes."""

import asyncio
from dataclasses import replace

import pytest
from world import World

from gateway.domain.config import api_keys, datasets, namespaces, policies, registry, sandboxes, tokens
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.config.tenants import read_sandbox
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import SandboxType
from gateway.errors import TooMany
from gateway.storage.database import Database
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

TEXT = {"type": "string"}
MADE_AT_ONCE = 8

KINDS = {
    "sandboxes": (sandboxes, "SANDBOXES", "select count(*) from gateway.sandbox"),
    "api keys": (api_keys, "API_KEYS", "select count(*) from gateway.api_key"),
    "revocations": (tokens, "REVOCATIONS", "select count(*) from gateway.revocation"),
    "merge policies": (policies, "POLICIES", "select count(*) from gateway.merge_policy"),
    "schemas": (registry, "SCHEMAS", "select count(*) from gateway.xdm_schema"),
    "datasets": (datasets, "DATASETS", "select count(*) from gateway.dataset"),
    "namespaces": (namespaces, "NAMESPACES", "select count(*) from gateway.namespace where is_custom"),
}


async def make(kind: str, db: Database, world: World, number: int) -> None:
    """Create one more thing of a kind, through one process's connections."""
    scope, name = world.scope, f"n{number}"
    match kind:
        case "sandboxes":
            await sandboxes.create_sandbox(db, scope, name, None, SandboxType.DEVELOPMENT)
        case "api keys":
            await api_keys.create_api_key(db, scope, name)
        case "revocations":
            await tokens.revoke_token(db, scope, name)
        case "merge policies":
            await policies.create_policy(db, scope, replace(policies.DEFAULT, name=name, is_default=False))
        case "schemas":
            await registry.create_schema(db, scope, title=name, xdm_class=XdmClass.EXPERIENCE_EVENT)
        case "datasets":
            await datasets.create_dataset(db, scope, name=name, schema_id=world.shop.schema_id)
        case "namespaces":
            await namespaces.create_namespace(db, scope, code=name, name=name, kind=IdentityType.COOKIE)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_limit_holds_for_all_that_are_made_at_once(db, dsn, monkeypatch, kind):
    world = await World.create(db)
    module, limit, counting = KINDS[kind]
    count = Query("test.count", counting, (), (), "value", "For this test.")
    most = await db.value(count) + 3
    monkeypatch.setattr(module, limit, most)
    other = await Database.connect(dsn, size=4)
    try:
        calls = (make(kind, (db, other)[number % 2], world, number) for number in range(MADE_AT_ONCE))
        results = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await other.close()
    refused = [result for result in results if result is not None]
    assert {type(each) for each in refused} == {TooMany}
    assert len(refused) == MADE_AT_ONCE - 3
    assert f"at most {most}" in str(refused[0])
    assert await db.value(count) == most


async def test_the_custom_fields_of_a_sandbox_have_a_limit_together(db, scope, monkeypatch):
    async def create(title: str, fields: int) -> registry.XdmSchema:
        return await registry.create_schema(
            db,
            scope,
            title=title,
            xdm_class=XdmClass.INDIVIDUAL_PROFILE,
            custom_fields={f"{title}{number}": TEXT for number in range(fields)},
        )

    one = await create("one", 10)
    monkeypatch.setattr(registry, "CUSTOM_FIELDS", 20)
    with pytest.raises(TooMany, match="at most 20 custom fields") as caught:
        await create("two", 11)
    assert caught.value.path == ["customFields"]
    more = {**one.custom_fields, **{f"more{number}": TEXT for number in range(11)}}
    with pytest.raises(TooMany, match="would be 21"):
        await registry.update_schema(db, scope, one.schema_id, custom_fields=more)
    monkeypatch.setattr(registry, "CUSTOM_FIELD_BYTES", 300)
    with pytest.raises(TooMany, match="300 bytes"):
        await create("two", 2)
    assert (await registry.update_schema(db, scope, one.schema_id, title="Still")).title == "Still"


async def test_identities_of_a_schema_have_a_limit(db, scope):
    fields = {f"f{number}": TEXT for number in range(21)}
    with pytest.raises(TooMany) as caught:
        await registry.create_schema(
            db,
            scope,
            title="Many",
            xdm_class=XdmClass.INDIVIDUAL_PROFILE,
            custom_fields=fields,
            identities=[IdentityDescriptor(f"_acme.{name}", "Email") for name in fields],
        )
    assert caught.value.path == ["identities"]


async def test_a_change_of_configuration_reads_no_custom_fields_again_that_are_known(db, scope, monkeypatch):
    """The cost of a change must not grow with unchanged schemas."""
    kept = await registry.create_schema(
        db, scope, title="Kept", xdm_class=XdmClass.INDIVIDUAL_PROFILE, custom_fields={"a": TEXT}
    )
    grown = await registry.create_schema(
        db, scope, title="Grown", xdm_class=XdmClass.INDIVIDUAL_PROFILE, custom_fields={"b": TEXT}
    )
    configurations = Configurations()
    before = await configurations.read(db, scope)
    read = []
    parse = registry._schema
    monkeypatch.setattr(registry, "_schema", lambda scope, row: read.append(row["title"]) or parse(scope, row))
    await registry.update_schema(db, scope, grown.schema_id, custom_fields={"b": TEXT, "c": TEXT})
    read.clear()
    sandbox = await read_sandbox(db, scope.organization.organization_id, None)
    after = await configurations.read(db, replace(scope, sandbox=sandbox))
    assert read == ["Grown"]
    assert after.schemas[kept.schema_id] is before.schemas[kept.schema_id]
    assert after.schemas[grown.schema_id].custom_fields == {"b": TEXT, "c": TEXT}

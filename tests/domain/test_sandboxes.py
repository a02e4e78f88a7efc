"""Sandboxes that are reset: nothing is left but what a new one has, and nothing else is touched."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from world import record

from gateway.domain import batches, namespaces, policies, sandboxes, tenants
from gateway.domain.graphs import IdentityType
from gateway.domain.namespaces import STANDARD
from gateway.domain.tenants import Permission, SandboxType
from gateway.errors import Forbidden, Invalid, NotFound

ANA, PHONE = ("Email", "ana@x.io"), ("Phone", "+49")


async def reset(world, **changes):
    sandbox = world.scope.sandbox
    given = {"sandbox_id": sandbox.sandbox_id, "confirm_name": sandbox.name} | changes
    return await sandboxes.reset_sandbox(world.db, world.scope, **given)


async def rows_by_table(dsn, sandbox_id):
    """How many rows each table has of the sandbox, tables without any left out."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "select distinct table_name as name from information_schema.columns"
            " where table_schema = 'gateway' and column_name = 'sandbox_id' and table_name !~ '_[0-7]$'"
        )
        counts = {
            table["name"]: await connection.fetchval(
                f"select count(*) from gateway.{table['name']} where sandbox_id = $1", sandbox_id
            )
            for table in tables
        }
    finally:
        await connection.close()
    return {name: count for name, count in counts.items() if count}


@pytest.fixture
async def lived_in(world):
    """A sandbox in which something of nearly everything is."""
    await namespaces.create_namespace(world.db, world.scope, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    await world.records(record(ANA, PHONE, ("ECID", "0"), first_name="Ana"), {"nobody": 1})
    await batches.create_batch(world.db, world.scope, await world.config(), world.crm.dataset_id, "key")
    return world


async def test_a_reset_sandbox_is_as_new(lived_in, dsn):
    scope = lived_in.scope
    fresh = await sandboxes.create_sandbox(lived_in.db, scope, "dev", None, SandboxType.DEVELOPMENT)
    before = await rows_by_table(dsn, scope.sandbox_id)
    assert before.keys() > {"identity", "graph", "tie", "record", "fragment", "profile", "batch", "ingest_error"}
    version = (await lived_in.config()).version
    sandbox = await reset(lived_in)
    assert await rows_by_table(dsn, sandbox.sandbox_id) == await rows_by_table(dsn, fresh.sandbox_id)
    assert replace(sandbox, config_version=1) == scope.sandbox
    assert sandbox.config_version > version
    config = await lived_in.configurations.read(lived_in.db, replace(scope, sandbox=sandbox))
    assert {namespace.code for namespace in config.namespaces.values()} == {namespace.code for namespace in STANDARD}
    assert (config.schemas, config.datasets) == ({}, {})
    assert config.default_policy.settings == policies.DEFAULT


async def test_what_is_in_other_sandboxes_stays(lived_in, dsn):
    dev = await sandboxes.create_sandbox(lived_in.db, lived_in.scope, "dev", None, SandboxType.DEVELOPMENT)
    before = await rows_by_table(dsn, lived_in.scope.sandbox_id)
    await reset(lived_in, sandbox_id=dev.sandbox_id, confirm_name="dev")
    assert await rows_by_table(dsn, lived_in.scope.sandbox_id) == before


async def test_a_reset_sandbox_can_be_used_at_once_and_knows_the_same_xids(lived_in):
    xid = await lived_in.xid(*ANA)
    await reset(lived_in)
    with pytest.raises(NotFound):
        await lived_in.records(record(ANA))
    assert await lived_in.xid(*ANA) == xid


async def test_who_writes_while_the_sandbox_is_reset_finishes_first_or_finds_no_dataset(lived_in, dsn):
    writers = (lived_in.records(record(("Email", f"{number}@x.io"))) for number in range(10))
    results = await asyncio.gather(*writers, reset(lived_in), return_exceptions=True)
    assert {type(result) for result in results if isinstance(result, Exception)} <= {NotFound}
    left = await rows_by_table(dsn, lived_in.scope.sandbox_id)
    assert left.keys() == {"sandbox", "namespace", "merge_policy"}


@pytest.mark.parametrize("name", ["", "dev", "PROD", "prod "])
async def test_the_name_must_be_given_as_it_is(lived_in, dsn, name):
    before = await rows_by_table(dsn, lived_in.scope.sandbox_id)
    with pytest.raises(Invalid) as caught:
        await reset(lived_in, confirm_name=name)
    assert caught.value.path == ["confirmName"]
    assert await rows_by_table(dsn, lived_in.scope.sandbox_id) == before


async def test_only_sandboxes_of_the_organization_are_reset_and_only_by_an_admin(world):
    other = await sandboxes.create_organization(world.db, "other", "Other")
    theirs = await tenants.read_sandbox(world.db, other.organization_id, None)
    for sandbox_id in (theirs.sandbox_id, 999):
        with pytest.raises(NotFound) as caught:
            await reset(world, sandbox_id=sandbox_id)
        assert caught.value.path == ["id"]
    world.scope = replace(world.scope, permissions=frozenset(Permission) - {Permission.ADMIN})
    with pytest.raises(Forbidden):
        await reset(world)


# ------------------------------------------------------------------------------------------------ reading them


async def test_sandboxes_are_read_in_the_order_asked_for_and_others_only_by_an_admin(db, scope):
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    asked = [dev.sandbox_id, 999, scope.sandbox_id]
    assert await tenants.read_sandboxes(db, scope, asked) == [dev, None, scope.sandbox]
    loader = replace(scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    assert await tenants.read_sandboxes(db, loader, [scope.sandbox_id]) == [scope.sandbox]
    with pytest.raises(Forbidden):
        await tenants.read_sandboxes(db, loader, asked)
    with pytest.raises(Forbidden):
        await tenants.list_sandboxes(db, loader)


async def test_identity_settings_of_many_sandboxes_are_read_at_once(db, scope, statements):
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    with statements() as names:
        assert await namespaces.read_settings(db, scope, [dev.sandbox_id, scope.sandbox_id]) == [[], []]
    assert names == ["namespaces.list_ruled"]
    reader = replace(scope, permissions=frozenset({Permission.PROFILE_READ}))
    assert await namespaces.read_settings(db, reader, [scope.sandbox_id]) == [[]]
    with pytest.raises(Forbidden):
        await namespaces.read_settings(db, reader, [dev.sandbox_id])


async def test_a_title_is_a_line_of_text(db, scope):
    with pytest.raises(Invalid) as caught:
        await sandboxes.create_sandbox(db, scope, "dev", "two\nlines", SandboxType.DEVELOPMENT)
    assert caught.value.path == ["title"]

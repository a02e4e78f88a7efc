"""Reset and deletion of sandboxes: nothing is left beyond what a new one has, and other sandboxes are untouched."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest
from working import work_off
from world import World, event, record

from gateway.domain.config import datasets, identity_settings, namespaces, policies, registry, sandboxes, tenants
from gateway.domain.config.identity_settings import IdentitySettings, NamespaceRule
from gateway.domain.config.namespaces import STANDARD
from gateway.domain.config.policies import HAS_RECORDS
from gateway.domain.facts import batches
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.domain.rules.versions import Mode
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from gateway.telemetry import FaultMasked, listen
from gateway.xdm.classes import XdmClass

ANA, PHONE = ("Email", "ana@x.io"), ("Phone", "+49")


async def reset(world, **changes):
    sandbox = world.scope.sandbox
    given = {"sandbox_id": sandbox.sandbox_id, "confirm_name": sandbox.name} | changes
    return await sandboxes.reset_sandbox(world.db, world.scope, **given)


async def rows_by_table(dsn, sandbox_id):
    """Count the sandbox's rows per table, without empty tables and the audit log, which outlives sandboxes."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "select distinct table_name as name from information_schema.columns"
            " where table_schema = 'gateway' and column_name = 'sandbox_id' and table_name !~ '_[0-7]$|^audit_entry$'"
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
    """Create a sandbox with rows in nearly every table."""
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
    assert replace(sandbox, config_version=1, version=1, updated_at=sandbox.created_at) == scope.sandbox
    assert (sandbox.config_version > version, sandbox.version) == (True, 2)
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


async def test_a_call_that_meets_a_reset_finishes_first_or_finds_no_dataset(lived_in, dsn):
    writers = (lived_in.records(record(("Email", f"{number}@x.io"))) for number in range(10))
    results = await asyncio.gather(*writers, reset(lived_in), return_exceptions=True)
    assert {type(result) for result in results if isinstance(result, Exception)} <= {NotFound}
    left = await rows_by_table(dsn, lived_in.scope.sandbox_id)
    assert left.keys() == {"sandbox", "namespace", "identity_settings", "merge_policy"}


async def inside_another(world) -> World:
    """Create a world in a sandbox that can be deleted."""
    sandbox = await sandboxes.create_sandbox(world.db, world.scope, "dev", None, SandboxType.DEVELOPMENT)
    return await World.inside(world.db, replace(world.scope, sandbox=sandbox))


async def keep_writing(world, number: int, gone: asyncio.Event) -> list[Exception]:
    """Call every mutation until all of them fail because the sandbox is gone. Return unexpected errors."""
    errors: list[Exception] = []
    config = await world.config()
    for turn in range(1_000):
        was_gone = gone.is_set()
        name, at = f"{number}-{turn}", f"2024-05-01T00:00:{turn % 60:02}Z"
        email = ("Email", f"{name}@x.io")
        for call in (
            world.records(record(email, PHONE, first_name="Ana")),
            world.events(event(name, at, email)),
            world.records(record(email), mode=Mode.DELETE),
            batches.create_batch(world.db, world.scope, config, world.crm.dataset_id, name),
            datasets.create_dataset(world.db, world.scope, name=name, schema_id=world.crm.schema_id),
            namespaces.create_namespace(world.db, world.scope, code=name, name=name, kind=IdentityType.COOKIE),
            registry.create_schema(world.db, world.scope, title=name, xdm_class=XdmClass.EXPERIENCE_EVENT),
            policies.create_policy(world.db, world.scope, replace(policies.DEFAULT, name=name, is_default=True)),
            identity_settings.update_identity_settings(world.db, world.scope, [NamespaceRule("Email", turn % 2 == 0)]),
            work_off(world.db, world.configurations),
        ):
            try:
                await call
            except Exception as error:  # noqa: BLE001 (they are looked at)
                errors.append(error)
        if was_gone:
            return errors
    raise AssertionError("The sandbox was never deleted.")


@pytest.mark.timeout(180)
async def test_a_sandbox_is_deleted_although_a_job_locks_its_rows_in_another_order(db, world, dsn):
    doomed = await inside_another(world)
    sandbox_id = doomed.scope.sandbox_id
    async with db.transaction(sandbox_id) as tx:
        await jobs.enqueue(tx, doomed.scope, JobKind.REGROUP_IDENTITIES)
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("update gateway.job set done = 1 where sandbox_id = $1", sandbox_id)
            deleting = asyncio.create_task(sandboxes.delete_sandbox(db, world.scope, sandbox_id, "dev"))
            while not await connection.fetchval("select exists (select from pg_locks where not granted)"):
                pass
            with suppress(asyncpg.DeadlockDetectedError):  # either of the two may be the one that Postgres ends
                await connection.execute("update gateway.sandbox set title = 'x' where sandbox_id = $1", sandbox_id)
    finally:
        await connection.close()
    await deleting
    assert await rows_by_table(dsn, sandbox_id) == {}


async def test_every_writer_of_a_sandbox_that_is_deleted_meanwhile_learns_that_it_is_gone(db, world, dsn):
    """Every writer finishes first or gets an error: there is no deadlock, and no row is left."""
    masked: list[BaseException] = []
    stop = listen(lambda seen: masked.append(seen.error) if isinstance(seen, FaultMasked) else None)
    for _ in range(3):
        doomed, gone = await inside_another(world), asyncio.Event()
        writers = [asyncio.create_task(keep_writing(doomed, number, gone)) for number in range(3)]
        while not await db.value(HAS_RECORDS, doomed.scope.sandbox_id):  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0)
        await sandboxes.delete_sandbox(db, world.scope, doomed.scope.sandbox_id, "dev")
        gone.set()
        errors = [error for found in await asyncio.gather(*writers) for error in found]
        kinds = {type(error) for error in errors}
        assert kinds & {NotFound, Forbidden}
        assert kinds <= {NotFound, Forbidden, TooMany}, [e for e in errors if type(e) not in {NotFound, Forbidden}]
        assert await rows_by_table(dsn, doomed.scope.sandbox_id) == {}
    stop()
    assert {type(error) for error in masked} <= {NotFound, Forbidden}


async def test_the_default_sandbox_stays(db, scope):
    with pytest.raises(Conflict) as caught:
        await sandboxes.delete_sandbox(db, scope, scope.sandbox_id, scope.sandbox.name)
    assert caught.value.path == ["id"]


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
    none = IdentitySettings((), 1, None, None, None)
    with statements() as names:
        asked = [dev.sandbox_id, 999, scope.sandbox_id]
        assert await identity_settings.read_identity_settings(db, scope, asked) == [none, None, none]
    assert names == ["identity_settings.read_settings"]
    reader = replace(scope, permissions=frozenset({Permission.PROFILE_READ}))
    assert await identity_settings.read_identity_settings(db, reader, [scope.sandbox_id]) == [none]
    with pytest.raises(Forbidden):
        await identity_settings.read_identity_settings(db, reader, [dev.sandbox_id])


async def test_a_title_is_a_line_of_text(db, scope):
    with pytest.raises(Invalid) as caught:
        await sandboxes.create_sandbox(db, scope, "dev", "two\nlines", SandboxType.DEVELOPMENT)
    assert caught.value.path == ["title"]


# ------------------------------------------------------------------------------------------------ changing them


async def update(world, **changes):
    return await sandboxes.update_sandbox(world.db, world.scope, world.scope.sandbox_id, changes)


async def expiry(world):
    (found,) = await sandboxes.read_expiries(world.db, world.scope, [world.scope.sandbox_id])
    return found and ([namespace.code for namespace in found.namespaces], found.days)


async def test_what_is_given_of_a_sandbox_changes_and_the_rest_stays(world):
    version = (await world.config()).version
    await update(world, title="Shop", pseudonymous_expiry=(["ECID", "IDFA"], 30))
    assert await expiry(world) == (["ECID", "IDFA"], 30)
    assert (await world.config()).version > version
    assert (await update(world, title=None)).title is None
    assert await expiry(world) == (["ECID", "IDFA"], 30)
    sandbox = await update(world, pseudonymous_expiry=(["IDFA", "ECID"], 30))
    assert sandbox.version == 3  # the order of namespaces means nothing
    assert (await update(world, title="Store", pseudonymous_expiry=None)).version == 4
    assert await expiry(world) is None
    await update(world, pseudonymous_expiry=(["ECID"], 1))
    assert (await reset(world)).title == "Store"
    assert await expiry(world) is None


@pytest.mark.parametrize(
    ("change", "error", "path"),
    [
        ({"title": "two\nlines"}, Invalid, ["title"]),
        ({"pseudonymous_expiry": ([], 30)}, Invalid, ["pseudonymousExpiry", "namespaces"]),
        ({"pseudonymous_expiry": (["ECID", "ECID"], 30)}, Invalid, ["pseudonymousExpiry", "namespaces"]),
        ({"pseudonymous_expiry": (["ECID", "ecid"], 30)}, NotFound, ["pseudonymousExpiry", "namespaces", "1"]),
        ({"pseudonymous_expiry": (["ECID"], 0)}, Invalid, ["pseudonymousExpiry", "days"]),
        ({"pseudonymous_expiry": (["ECID"], 36_501)}, Invalid, ["pseudonymousExpiry", "days"]),
    ],
)
async def test_a_change_that_breaks_a_rule_changes_nothing(world, change, error, path):
    before = await world.fresh_sandbox()
    with pytest.raises(error) as caught:
        await update(world, **{"title": "New", **change})
    assert caught.value.path == path
    assert await world.fresh_sandbox() == before


async def test_an_expiry_names_namespaces_of_the_sandbox_that_is_changed(db, scope):
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    inside = replace(scope, sandbox=dev)
    await namespaces.create_namespace(db, inside, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    change = {"pseudonymous_expiry": (["Card"], 7)}
    with pytest.raises(NotFound):
        await sandboxes.update_sandbox(db, scope, scope.sandbox_id, change)
    await sandboxes.update_sandbox(db, scope, dev.sandbox_id, change)
    found = await sandboxes.read_expiries(db, scope, [scope.sandbox_id, dev.sandbox_id, 999])
    assert [each and each.days for each in found] == [None, 7, None]


async def test_a_sandbox_is_changed_by_an_admin_only(world):
    weak = replace(world.scope, permissions=frozenset(Permission) - {Permission.ADMIN})
    with pytest.raises(Forbidden):
        await sandboxes.update_sandbox(world.db, weak, weak.sandbox_id, {"title": "Mine"})

"""What is left of an identity is told store by store, and of one that was erased only what is from before."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from domain.reading.test_kept_values import found
from world import day, event, record

from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.manual_links import unlink_identities
from gateway.domain.rules.scope import Permission
from gateway.domain.work.stores import OF_PEOPLE
from gateway.errors import Forbidden
from gateway.storage.queries import Query

ANA, BOB, PHONE, DEVICE = (
    ("Email", "ana@example.com"),
    ("Email", "bob@example.com"),
    ("Phone", "+1"),
    ("ECID", "1" * 38),
)
ERASE = Query(
    "test.erase",
    "update gateway.identity set erased_at = $3 where sandbox_id = $1 and xid = $2",
    ("sandbox_id", "xid", "at"),
    (),
    "none",
    "For tests.",
)
EMPTY = {
    table: Query("test.empty", f"delete from gateway.{table} where sandbox_id = $1", ("sandbox_id",), (), "none", "For tests.")
    for table in OF_PEOPLE
}  # fmt: skip


EXPORT = UUID(int=1)
HOLD = [
    Query("test.hold", sql, (), (), "none", "As an export does that is under way, and has written a file.")
    for sql in (
        "insert into gateway.export_identity values ($1, $2, $3, $3)",
        "insert into gateway.export_person values ($1, $2, $3, '{}')",
        "insert into gateway.export_file values ($1, $2, 'p', 'f', false, $3, $3, 1, 1, 'x')",
    )
]


async def checked(world, identity):
    return await verify_erasure(world.db, world.scope, await world.xid(*identity))


async def erased(world, identity):
    """Note that an identity is erased, and take nothing away."""
    async with world.db.transaction() as tx:
        await tx.execute(ERASE, world.scope.sandbox_id, await world.xid(*identity), datetime.now(UTC))


async def filled(world):
    """Bring something of Ana into every store but jobs."""
    await world.publish("visits", "xEvent.count()")
    await world.records(record(ANA, PHONE, first_name="Ana"), record(ANA, unknown="x"))
    await world.events(event("e", day(1), ANA))
    await world.events(event("e", day(1), ANA), batch_id=await world.batch("again", world.shop))
    await unlink_identities(world.db, world.scope, world.configurations, await world.xid(*ANA), await world.xid(*PHONE))
    assert await found(world, "{own}.visits = 1") == {"Ana"}  # a search has values of attributes kept
    async with world.db.transaction() as tx:
        for statement in HOLD:
            await tx.execute(statement, world.scope.sandbox_id, EXPORT, await world.xid(*ANA))


async def test_each_store_that_holds_something_is_named_until_it_does_no_longer(world):
    await filled(world)
    left = set(OF_PEOPLE) - {"job"}
    assert set((await checked(world, ANA)).traces) == left
    await erased(world, ANA)
    for table in sorted(left, key=lambda table: (table == "export_identity", table)):  # which leads to the other two
        check = await checked(world, ANA)
        assert (set(check.traces), check.is_erased) == (left, False)
        if table != "identity":
            async with world.db.transaction() as tx:
                await tx.execute(EMPTY[table], world.scope.sandbox_id)
            left.remove(table)
    assert (await checked(world, BOB)).traces == ()
    assert not (await checked(world, BOB)).is_erased  # it was never here


async def test_a_device_that_is_used_again_is_no_trace(world):
    await world.events(event("e", day(1), DEVICE))
    await erased(world, DEVICE)
    assert not (await checked(world, DEVICE)).is_erased
    async with world.db.transaction() as tx:
        for table in ("event", "fragment", "record", "change"):
            await tx.execute(EMPTY[table], world.scope.sandbox_id)
    await world.events(event("f", datetime.now(UTC).isoformat(), DEVICE, BOB))
    check = await checked(world, DEVICE)
    assert (check.is_erased, check.traces) == (True, ())


async def test_a_warning_of_a_document_that_lands_without_an_erased_identity_is_no_trace(world):
    await world.records(record(ANA), record(BOB))
    await world.erase(await world.xid(*ANA))
    sent = await world.records(record(BOB, ANA, ("Phone", "guest")))
    assert {warning.code for warning in sent.warnings} == {"IDENTITY_PLACEHOLDER", "ERASED_IDENTITY"}
    assert (await checked(world, ANA)).traces == ()


async def test_only_who_may_read_or_erase_people_may_ask(world):
    scope = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    with pytest.raises(Forbidden):
        await verify_erasure(world.db, scope, await world.xid(*ANA))

"""A scan tells in which columns of which tables something of an identity stands, without telling what."""

import asyncio

import pytest
from world import World, day, event, record

from gateway.domain.operations import erasure_scan
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.operations.erasure_scan import GivenIdentity, Place, scan_for_erased
from gateway.domain.operations.manual_links import link_identities
from gateway.domain.rules.traces import SoughtValues
from gateway.postgres.account import server_account
from gateway.postgres.binaries import server_binaries
from gateway.postgres.dumps import dump
from gateway.storage.queries import Query

ANA, BOB, PHONE = ("Email", "Ana.Lee@example.com"), ("Email", "bob@example.com"), ("Phone", "+49151000001")


async def scanned(world, *identities):
    given = [GivenIdentity(*identity) for identity in identities]
    return await scan_for_erased(world.db, world.scope, world.configurations, given)


def columns(scan):
    return {place for place, count in scan.found.items() if count}


async def test_a_scan_tells_every_column_that_holds_a_value(world, monkeypatch):
    monkeypatch.setattr(erasure_scan, "PIECE_CHARACTERS", 1_000)
    await world.records(
        record(BOB, ANA, first_name="Bob"), *(record(("Email", f"{n}@example.com")) for n in range(300))
    )
    await world.records(record(ANA), record(BOB, unknown="for ana.lee@example.com"))
    await world.events(event("ana.lee@example.com", day(1), ANA, ("ECID", "9" * 38)))
    await world.events(
        event("ana.lee@example.com", day(1), BOB, ANA), batch_id=await world.batch("ANA.LEE@EXAMPLE.COM", world.shop)
    )
    await link_identities(world.db, world.scope, world.configurations, await world.xid(*ANA), await world.xid(*BOB))
    scan = await scanned(world, ANA, PHONE)
    assert (scan.identities, scan.not_erased, scan.used_again) == (2, 2, 0)
    assert scan.rows > 900
    values = {
        *(
            ("identity", "value"),
            ("graph", "identity_map"),
            ("record", "input"),
            ("event", "event_id"),
            ("event", "document"),
        ),
        *(("event_resend", "event_id"), ("event_resend", "document"), ("batch", "key"), ("ingest_error", "document")),
    }
    keys = {
        *(
            ("graph", "xids"),
            ("tie", "xid"),
            ("tie", "origin"),
            ("tie", "xids"),
            ("record", "xid"),
            ("fragment", "xid"),
        ),
        *(("event", "xid"), ("event_resend", "xid"), ("event_resend", "named_xids")),
    }
    assert columns(scan) >= {Place(*each) for each in values | keys}
    assert set(scan.traces) >= {"identity", "graph", "tie", "record", "fragment", "event", "event_resend", "change"}
    (rows,) = (count for place, count in scan.found.items() if place == Place("identity", "value"))
    assert rows == 1
    nobody = await scanned(world, PHONE)
    assert (columns(nobody), nobody.traces.total()) == (set(), 0)


CELLS = (
    """'{"id": "josu\\u00e9 \\"\\\\ö\\"@example.com"}'::json""",
    """'{"id": "JOSU\\u00C9 \\u0022\\u005c\\u00F6\\"@example.com"}'::json""",
    """convert_to('x, josué "\\ö"@example.com', 'UTF8')""",
    """convert_to('{"id": "josu\\u00e9 \\"\\\\\\u00D6\\"@example.com"}', 'UTF8') || '\\x00ff'""",
    """array[null, convert_to('josué "\\ö"@example.com', 'UTF8')]""",
    """array['josué "\\ö"@example.com']""",
)


async def test_a_scan_reads_tables_of_others_too_whatever_a_column_holds(world):
    cells = {f"told_{number}": cell for number, cell in enumerate(CELLS)}
    async with world.db.transaction() as tx:
        selected = ", ".join(f"{cell} as {name}" for name, cell in cells.items())
        await tx.execute(
            Query("test.copy", f"create table public.copy as select {selected}", (), (), "none", "For tests.")
        )
    assert columns(await scanned(world, ("Email", 'josué "\\ö"@example.com'))) == {
        Place("copy", name) for name in cells
    }


async def test_a_scan_reads_what_postgres_notes_of_columns_and_expressions(world):
    async with world.db.transaction() as tx:
        for text in (
            "create table public.copy (id integer primary key, value text, told text, words text[])",
            "insert into public.copy select n, 'v' || n, 'ana.lee@example.com', array['ana.lee@example.com'] from generate_series(1, 50) as n",
            "create index copy_idx on public.copy (lower(told))",
            "create statistics public.copied (mcv) on told, value from public.copy",
            "analyze public.copy",
            "update public.copy set told = null, words = null",
        ):
            await tx.execute(Query("test.copy", text, (), (), "none", "For tests."))
    found = {"copy.told", "copy.words", "copy.copied", "copy_idx.lower"}
    assert columns(await scanned(world, ANA)) == {Place("pg_stats", each) for each in found}


async def test_what_is_erased_is_in_no_statistics(world):
    people = [("Email", f"{number}@example.com") for number in range(30)]
    await world.records(*(record(one) for one in people))
    await world.events(*(event(value, day(1), (namespace, value)) for namespace, value in people))
    async with world.db.transaction() as tx:
        await tx.execute(Query("test.analyze", "analyze", (), (), "none", "For tests."))
    await world.erase(*[await world.xid(*one) for one in people])
    assert columns(await scanned(world, *people)) == set()


async def dumped(dsn, file):
    """The text of a dump of the whole database, with the statistics of its tables."""
    await dump(dsn, file)
    program = server_binaries(server_account()).program("pg_restore")
    restored = await asyncio.create_subprocess_exec(program, "--file=-", file, stdout=asyncio.subprocess.PIPE)
    text, _ = await restored.communicate()
    file.unlink()
    assert restored.returncode == 0
    return text.decode()


@pytest.mark.one_postgres("a cluster is dumped node by node")
async def test_a_dump_holds_people_until_they_are_erased_and_nothing_of_them_afterwards(world, dsn, cluster):
    people = [("Email", f"{number}@example.com") for number in range(30)]
    await world.records(*(record(one, ("Phone", f"+4915100{n:04}")) for n, one in enumerate(people)))
    await world.records(*(record(BOB, one, first_name="Bob") for one in people), dataset=world.loyalty)
    await world.records(*(record(one, nothing="red") for one in people))
    await world.events(*(event(value, day(1), (namespace, value), BOB) for namespace, value in people))
    async with world.db.transaction() as tx:
        await tx.execute(Query("test.analyze", "analyze", (), (), "none", "For tests."))
    file = cluster.data_dir / "test.dump"
    before = await dumped(dsn, file)
    assert all(SoughtValues([value]).are_in(before) for _, value in people)
    await world.erase(*[await world.xid(*one) for one in people], reach=DeleteScope.IDENTITY)
    after = await dumped(dsn, file)
    assert "pg_restore_attribute_stats" in after
    assert not SoughtValues(value for _, value in people).are_in(after)
    assert SoughtValues([BOB[1]]).are_in(after)


async def test_a_scan_leaves_other_sandboxes_alone(world):
    other_world = await World.create(world.db)
    await other_world.records(record(ANA))
    assert columns(await scanned(world, ANA)) == set()
    assert columns(await scanned(other_world, ANA)) >= {Place("identity", "value")}

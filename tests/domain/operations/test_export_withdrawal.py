"""People who are erased leave exports, too: no file that holds one can be read any more, and none is written."""

import asyncio

import pytest
from crashes import WRITTEN, at_commits, killed_at
from exported import MOST, exported, folder_of, rows_of, working
from world import event, record

from gateway.cli.jobs import counted
from gateway.domain.config.sandboxes import reset_sandbox
from gateway.domain.operations import export_files, export_rows, export_spool
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.export_jobs import (
    ExportEvents,
    ExportFormat,
    ExportRequest,
    create_export_job,
    read_export_jobs,
)
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_profiles import export_profiles
from gateway.domain.operations.export_retention import expire_exports
from gateway.domain.operations.export_spool import take_instant
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.leases import LeaseLost
from gateway.storage.queries import Query

ANA, BOB = ("Email", "ana@example.com"), ("Email", "bob@example.com")
PHONE, DEVICE = ("Phone", "+1"), ("ECID", "1" * 38)
IS_ROW_AWAITED = Query(
    "test.is_row_awaited",
    "select exists (select from pg_locks where locktype in ('transactionid', 'tuple') and not granted)",
    (),
    (),
    "value",
    "For tests.",
)
HELD = Query("test.held", "select count(*) from gateway.export_person", (), (), "row", "For tests.")


@pytest.fixture
def locations(tmp_path):
    return Locations(tmp_path / "exports", ("memory://shared/exports",))


@pytest.fixture
async def peopled(world, monkeypatch):
    """Ana, of whom an event lies under her device, and Bob; each export has a file for each row."""
    monkeypatch.setattr(export_rows, "ROWS_PER_READ", 1)
    monkeypatch.setattr(export_files, "ROWS_PER_FILE", 1)
    await world.records(record(ANA, PHONE, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.events(event("e1", "2026-01-01T00:00:00Z", DEVICE, ANA), event("e2", "2026-01-02T00:00:00Z", BOB))
    return world


async def requested(world, locations, **wanted):
    """Ask for an export."""
    policy = (await world.config()).default_policy
    request = ExportRequest(policy.policy_id, policy.version, **wanted)
    return await create_export_job(world.db, world.scope, await world.config(), request, locations)


async def expired(world, locations):
    """Do the recurring job that removes files, which is due at once."""
    claim = await leases.claim(world.db, [JobKind.EXPIRE_EXPORTS])
    await leases.carry_out(
        world.db, claim, expire_exports(world.db, world.scope, world.configurations, claim, locations=locations)
    )


async def test_files_that_hold_an_erased_person_are_withdrawn_and_the_others_stay(peopled, locations):
    world = peopled
    await jobs.schedule(world.db)
    wanted = {"format": ExportFormat.JSONL, "events": ExportEvents()}
    export, other = [
        await exported(world, locations, **each)
        for each in (wanted, {**wanted, "where": 'person.name.firstName = "Bob"'})
    ]
    folder, before = folder_of(world, locations, export), {file.path for file in export.files}
    assert len(before) == 5
    xid = await world.xid(*ANA)
    dry = await world.erase(xid, is_dry_run=True)
    done = await world.erase(xid)
    assert (dry.receipt.export_files, done.receipt.export_files) == (2, 2)
    for identity in (ANA, PHONE, DEVICE):
        check = await verify_erasure(world.db, world.scope, await world.xid(*identity))
        assert (check.is_erased, check.traces) == (True, ())
    (left, of_other) = await read_export_jobs(world.db, world.scope, [export.job_id, other.job_id])
    assert {row["person"]["name"]["firstName"] for row in rows_of(world, locations, left, "profiles")} == {"Bob"}
    assert [row["_id"] for row in rows_of(world, locations, left, "events")] == ["e2"]
    assert of_other.files == other.files
    await expired(world, locations)
    assert {path.name for path in folder.iterdir()} == {file.path for file in left.files} < before


@pytest.mark.parametrize("is_read", [False, True])
async def test_an_export_under_way_is_cancelled_and_writes_nothing_more(peopled, locations, is_read):
    world = peopled
    made, waiting = [await requested(world, locations, format=ExportFormat.JSONL) for _ in range(2)]
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    if is_read:
        await take_instant(world.db, world.scope, world.configurations, claim, made.request, most=MOST)
    await world.erase(await world.xid(*ANA))
    (ended, other) = await read_export_jobs(
        world.db, world.scope, [claim.job_id, ({made.job_id, waiting.job_id} - {claim.job_id}).pop()]
    )
    assert (ended.job.status, other.job.status) == (JobStatus.CANCELLED, JobStatus.NEW)
    assert "was erased" in ended.job.error
    assert tuple(await world.db.row(HELD)) == (1 if is_read else 0,)  # of Bob
    assert (await verify_erasure(world.db, world.scope, await world.xid(*ANA))).is_erased
    with pytest.raises(LeaseLost):
        async with world.db.transaction() as tx:
            await leases.advance(tx, claim, claim.cursor, done=0)


async def erased(world):
    """Erase Ana; return how many people are kept of an export then: Bob."""
    await world.erase(await world.xid(*ANA))
    return 1


async def emptied(world):
    await reset_sandbox(world.db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
    return 0


@pytest.mark.parametrize("wanted", [{}, {"where": "person.name.firstName.isNotNull()"}])
@pytest.mark.parametrize("remove", [erased, emptied])
async def test_an_export_keeps_no_person_who_is_removed_while_it_reads_people(
    peopled, locations, monkeypatch, remove, wanted
):
    """Nobody sees yet what the export has kept of them: it is undone."""
    world, keep, began = peopled, export_spool._keep, []

    async def removing(*args):
        found = await keep(*args)
        if not began:
            began.append(True)
            await remove(world)
        return found

    monkeypatch.setattr(export_spool, "_keep", removing)
    await requested(world, locations, format=ExportFormat.JSONL, **wanted)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    with pytest.raises(LeaseLost):
        await export_profiles(
            world.db, world.scope, world.configurations, claim, locations=locations, days=7, most=MOST
        )
    assert began
    assert tuple(await world.db.row(HELD)) == (0,)
    assert not locations.directory.exists()


@pytest.mark.parametrize("remove", [erased, emptied])
async def test_a_removal_waits_until_an_export_has_committed_its_people(peopled, locations, remove):
    """The export has looked at its lease by then, so that the other one waits for it."""
    world, tasks = peopled, []

    async def removing(point):
        if point == WRITTEN:
            tasks.append(asyncio.create_task(remove(world)))
            async with asyncio.timeout(60):
                while not await world.db.value(IS_ROW_AWAITED):  # noqa: ASYNC110 (only Postgres knows)
                    await asyncio.sleep(0.005)

    request = (await requested(world, locations, format=ExportFormat.JSONL)).request
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    with at_commits(before=removing):
        await take_instant(world.db, world.scope, world.configurations, claim, request, most=MOST)
        left = await tasks[0]
    assert tuple(await world.db.row(HELD)) == (left,)
    with pytest.raises(LeaseLost):
        async with world.db.transaction() as tx:
            await leases.advance(tx, claim, claim.cursor, done=0)


async def test_a_receipt_names_the_urls_at_which_files_were(peopled, locations):
    """Of files that hold the person, and of an export under way that had begun to write there; by a dry run, of those that there are."""
    world, place = peopled, "memory://shared/exports/out"
    out = await exported(world, locations, format=ExportFormat.JSONL, location=place)
    await exported(
        world, locations, format=ExportFormat.JSONL, location=f"{place}/bob", where='person.name.firstName = "Bob"'
    )
    await exported(world, locations, format=ExportFormat.JSONL)
    begun = await requested(world, locations, format=ExportFormat.JSONL, location=f"{place}/begun")
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    assert await killed_at(1, working(world, claim, locations), "export_jobs.finish_file")  # which is not committed
    xid = await world.xid(*ANA)
    dry, done = await world.erase(xid, is_dry_run=True), await world.erase(xid)
    assert (dry.receipt.export_files, done.receipt.export_files) == (2, 2)
    assert dry.receipt.export_locations == (f"{place}/{out.job_id}",)
    assert done.receipt.export_locations == tuple(sorted([f"{place}/{out.job_id}", f"{place}/begun/{begun.job_id}"]))
    assert "://" in counted(done.receipt)

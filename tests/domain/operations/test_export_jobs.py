"""Exports: what is in their files, by which programs these can be read, and how they end."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import duckdb
import fsspec
import orjson
import pytest
from crashes import killed_at
from exported import MOST, exported, folder_of, rows_of, work, working
from world import event, record

from gateway.domain.config import policies
from gateway.domain.config.sandboxes import reset_sandbox
from gateway.domain.operations import export_files, export_rows, export_spool
from gateway.domain.operations.export_jobs import (
    ExportEvents,
    ExportFormat,
    ExportRequest,
    cancel_export_job,
    create_export_job,
    delete_export_job,
    list_export_jobs,
    read_export_jobs,
    understand,
)
from gateway.domain.operations.export_keeping import Keeping, KeepingStatement, NoSuchStatement, parts
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_reading import Reading
from gateway.domain.operations.export_retention import expire_exports
from gateway.domain.reading.changes import list_changes
from gateway.domain.rules.keyset import Window
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Conflict, Invalid
from gateway.storage.queries import Query
from gateway.telemetry import StatementRan, listen
from gateway.xdm.classes import XdmClass

ANA, BOB, EVE = [("Email", f"{name}@example.com") for name in ("ana", "bob", "eve")]
PHONE, DEVICE = ("Phone", "+1"), ("ECID", "1" * 38)
HELD = Query(
    "test.held",
    "select (select count(*) from gateway.export_person), (select count(*) from gateway.export_identity), (select count(*) from gateway.export_file)",
    (), (), "row", "For tests.",
)  # fmt: skip
FORGET_FILES = Query("test.forget_files", "delete from gateway.export_file", (), (), "none", "For tests.")
CRASH = Query("test.crash", "truncate gateway.export_person", (), (), "none", "As Postgres does after a crash.")


@pytest.fixture
def locations(tmp_path):
    return Locations(tmp_path / "exports", ("memory://shared/exports",))


@pytest.fixture
async def peopled(world):
    await world.records(record(ANA, PHONE, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.events(event("e1", "2026-01-01T00:00:00Z", ANA), event("e2", "2026-01-02T00:00:00Z", DEVICE))
    return world


async def expired(world, locations, db=None):
    """Do the recurring job that removes what exports leave."""
    db = db or world.db
    await jobs.schedule(db)
    async with db.transaction() as tx:
        await jobs.hasten(tx, world.scope, JobKind.EXPIRE_EXPORTS)
    claim = await leases.claim(db, [JobKind.EXPIRE_EXPORTS])
    await leases.carry_out(db, claim, expire_exports(db, world.scope, world.configurations, claim, locations=locations))


async def names(world, locations, **wanted):
    export = await exported(world, locations, format=ExportFormat.JSONL, fields="person.name.firstName", **wanted)
    assert export.job.status is JobStatus.COMPLETED, export.job.error
    rows = rows_of(world, locations, export, "profiles")
    return sorted(row.get("person", {}).get("name", {}).get("firstName", "") for row in rows)


async def test_an_export_has_the_people_that_pass_its_filter(peopled, locations):
    world = peopled
    assert await names(world, locations) == ["Ana", "Bob"]
    assert await names(world, locations, empty_profiles=True) == ["", "Ana", "Bob"]
    assert await names(world, locations, where='person.name.firstName = "Ana"') == ["Ana"]
    between = (await exported(world, locations)).state.snapshot_at
    await world.records(record(EVE, first_name="Eve"))
    assert await names(world, locations, from_ingested_at=between) == ["Eve"]
    assert await names(world, locations, to_ingested_at=between) == ["Ana", "Bob"]
    await world.publish("visits", "xEvent.count()")
    own = f"_{world.scope.organization.code}.ComputedAttributes.visits"
    assert await names(world, locations, where=f"{own} > 0") == ["Ana"]
    export = await exported(world, locations, fields=f"person,{own}", where=f"{own} > 0")
    (row,) = rows_of(world, locations, export, "profiles")
    assert row[own.partition(".")[0]] == {"ComputedAttributes": {"visits": 1}}


async def test_people_are_the_same_whether_the_policy_keeps_their_profiles_or_not(peopled, locations):
    """Postgres puts together what is kept, computed values included; all else is read profile by profile."""
    world = peopled
    between = (await exported(world, locations)).state.snapshot_at
    await world.records(record(EVE, first_name="Eve"))
    await world.events(event("e3", "2026-01-03T00:00:00Z", ("ECID", "2" * 38)))
    await world.publish("visits", "xEvent.count()")
    kept = (await world.config()).default_policy
    other = await policies.create_policy(world.db, world.scope, replace(kept.settings, name="Other", is_default=False))
    own, found = f"_{world.scope.organization.code}.ComputedAttributes.visits", []
    for window, count in (({}, 5), ({"from_ingested_at": between}, 2), ({"to_ingested_at": between}, 3)):
        for policy in (kept, other):
            for fields in (None, f"person,{own}"):
                export = await exported(world, locations, policy, fields=fields, empty_profiles=True, **window)
                found.append(rows_of(world, locations, export, "profiles"))
        assert (found[-4], found[-3]) == (found[-2], found[-1])
        assert len(found[-1]) == count


@pytest.mark.one_postgres("a cluster reads people one by one")
async def test_postgres_puts_no_people_together_by_another_version_of_the_configuration(peopled, locations):
    """Computed values are of one version: by another one, people are read one by one."""
    world = peopled
    await world.publish("visits", "xEvent.count()")
    own, former = f"_{world.scope.organization.code}.ComputedAttributes.visits", await world.config()
    await world.publish("days", "xEvent.max(timestamp)")
    await create_export_job(world.db, world.scope, former, await requested(world), locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    for config, is_told in ((former, False), (await world.config(), True)):
        asked = await understand(config, ExportRequest(config.default_policy.policy_id, 1, fields=own))
        async with world.db.writing_at_one_moment() as still:
            reading = Reading(still, world.scope, config, config.default_policy, asked)
            statement = KeepingStatement(Keeping(world.db, claim, 0, MOST), reading, reading.way)
            with nullcontext() if is_told else pytest.raises(NoSuchStatement):
                await statement.keep_next(*parts(1), 10)
        assert ((await world.db.row(HELD))[0] > 0) == is_told


async def test_events_have_fields_a_window_and_a_condition_of_their_own(peopled, locations):
    world = peopled
    await world.publish("month", "timestamp.getMonth()", xdm_class=XdmClass.EXPERIENCE_EVENT)
    before = (await exported(world, locations)).state.snapshot_at
    await world.events(
        event("e3", "2026-01-03T05:00:00Z", ANA, eventType="late"), event("e4", "2026-01-04T00:00:00Z", BOB)
    )
    own = f"_{world.scope.organization.code}.ComputedAttributes.month"
    wanted = ExportEvents(f"eventType,{own}", before, None, 'eventType = "late"')
    for form in ExportFormat:
        export = await exported(world, locations, events=wanted, format=form)
        (row,) = rows_of(world, locations, export, "events")
        assert row.pop("identity") == {"namespace": "Email", "value": ANA[1]}
        (person,) = [row for row in rows_of(world, locations, export, "profiles") if "Ana" in str(row)]
        assert row.pop("profileId") == person["profileId"]
        fields = {"_id": "e3", "timestamp": "2026-01-03T05:00:00.000Z", "eventType": "late"}
        assert row == {**fields, own.partition(".")[0]: {"ComputedAttributes": {"month": 1}}}
        assert (export.state.events, export.state.found_events, export.job.progress) == (1, 1, 1)


async def test_more_events_of_one_identity_than_are_read_at_once_are_all_there(peopled, locations, later, monkeypatch):
    """Killed in the middle of the identity, the export goes on behind its last whole file."""
    world = peopled
    monkeypatch.setattr(export_rows, "ROWS_PER_READ", 2)
    monkeypatch.setattr(export_files, "ROWS_PER_FILE", 4)
    await world.events(*(event(f"m{n}", f"2026-02-0{n + 1}T00:00:00Z", BOB) for n in range(9)))
    await world.publish("month", "timestamp.getMonth()", xdm_class=XdmClass.EXPERIENCE_EVENT)
    for fields in (None, "eventType", f"_{world.scope.organization.code}.ComputedAttributes.month"):
        request = await requested(world, events=ExportEvents(fields))
        made = await create_export_job(world.db, world.scope, await world.config(), request, locations)
        claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
        assert await killed_at(
            4, leases.carry_out(world.db, claim, working(world, claim, locations)), "export_jobs.finish_file"
        )
        await work(replace(world, db=await later(timedelta(minutes=2))), locations)
        (ended,) = await read_export_jobs(world.db, world.scope, [made.job_id])
        assert sorted(row["_id"] for row in rows_of(world, locations, ended, "events")) == [
            "e1",
            *(f"m{n}" for n in range(9)),
        ]
        assert len([file for file in ended.files if file.path.startswith("events")]) == 3


async def test_duckdb_reads_what_was_written(peopled, locations):
    for form, name, read in (
        (ExportFormat.PARQUET, "*.parquet", "read_parquet('{}')"),
        (ExportFormat.JSONL, "*.jsonl.gz", "read_json('{}', format = 'newline_delimited')"),
    ):
        export = await exported(
            peopled, locations, format=form, events=ExportEvents(), fields="person.name,identityMap"
        )
        folder = folder_of(peopled, locations, export)
        people, events = (read.format(folder / f"{kind}-{name}") for kind in ("profiles", "events"))
        found = duckdb.sql(f"""
            select p.person.name.firstName, e._id, e.identity.namespace
              from {people} p left join {events} e using (profileId) order by all""")
        assert found.fetchall() == [("Ana", "e1", "Email"), ("Bob", None, None)]


async def test_the_manifest_tells_of_each_file_and_the_feed_goes_on_from_the_instant(peopled, locations):
    world = peopled
    export = await exported(world, locations, events=ExportEvents(), empty_profiles=True)
    told = orjson.loads((folder_of(world, locations, export) / "manifest.json").read_bytes())
    shown = [{name: getattr(file, name) for name in ("path", "rows", "bytes", "sha256")} for file in export.files]
    assert told["files"] == [file for file in shown if file["path"] != "manifest.json"]
    assert (told["profiles"], told["events"], told["byNamespace"]) == (3, 2, {"Email": 2, "Phone": 1, "ECID": 1})
    policy = (await world.config()).default_policy
    after = Window(after=tuple(export.state.position))
    assert (await list_changes(world.db, world.scope, policy, after)).items == []
    await world.records(record(EVE))
    assert len((await list_changes(world.db, world.scope, policy, after)).items) == 1


async def test_a_file_is_there_whole_or_not_at_all_and_a_crash_of_postgres_begins_anew(peopled, locations, later):
    world, request = peopled, await requested(peopled)
    made = await create_export_job(world.db, world.scope, await world.config(), request, locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    assert await killed_at(
        1, leases.carry_out(world.db, claim, working(world, claim, locations)), "export_jobs.finish_file"
    )
    (half,) = await read_export_jobs(world.db, world.scope, [made.job_id])
    assert half.files == ()
    assert half.state.people == 2
    await world.db.rows(CRASH)
    await world.records(record(EVE, first_name="Eve"))
    await work(replace(world, db=await later(timedelta(minutes=2))), locations)
    (ended,) = await read_export_jobs(world.db, world.scope, [made.job_id])
    assert ended.state.snapshot_at > half.state.snapshot_at
    assert len(rows_of(world, locations, ended, "profiles")) == 3
    assert sorted(path.name for path in folder_of(world, locations, ended).iterdir()) == [f.path for f in ended.files]
    assert (await world.db.row(HELD))[0] == 0


async def requested(world, **wanted):
    policy = (await world.config()).default_policy
    return ExportRequest(policy.policy_id, policy.version, **wanted)


async def test_an_export_fails_at_once_where_it_cannot_be_done(peopled, locations):
    world = peopled
    request = await requested(world)
    await create_export_job(world.db, world.scope, await world.config(), request, locations)
    await work(world, locations, most=100)
    policy = (await world.config()).default_policy
    await create_export_job(world.db, world.scope, await world.config(), request, locations)
    await policies.update_policy(world.db, world.scope, policy.policy_id, replace_name(policy))
    await work(world, locations)
    found = (await list_export_jobs(world.db, world.scope)).items
    assert [export.job.status for export in found] == [JobStatus.FAILED] * 2
    assert "GATEWAY_EXPORT_SPOOL_GB" in found[1].job.error
    assert "policy was changed" in found[0].job.error
    await expired(world, locations)
    assert tuple(await world.db.row(HELD)) == (0, 0, 0)


@pytest.mark.parametrize("location", [None, "memory://shared/exports/killed"])
async def test_a_file_that_was_finished_and_not_yet_noted_goes_with_its_export(peopled, locations, location):
    """Killed between the two, and cancelled: what the file holds of people is in no list of files, and yet on disk."""
    world, request = peopled, await requested(peopled, location=location, events=ExportEvents())
    made = await create_export_job(world.db, world.scope, await world.config(), request, locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    work_ = leases.carry_out(world.db, claim, working(world, claim, locations))
    assert await killed_at(2, work_, "export_jobs.finish_file")
    assert left(world, locations, made) == ["events-00001.parquet", "profiles-00001.parquet"]
    (half,) = await read_export_jobs(world.db, world.scope, [made.job_id])
    assert [file.path for file in half.files] == ["profiles-00001.parquet"]
    await cancel_export_job(world.db, world.scope, made.job_id)
    await expired(world, locations)
    assert left(world, locations, made) == []
    assert tuple(await world.db.row(HELD)) == (0, 0, 0)


def left(world, locations, made):
    """The names of the files that lie in the folder of an export."""
    files, path = fsspec.core.url_to_fs(locations.folder_of(world.scope, made.job_id, made.request.location))
    if made.request.location is None:
        path = str(folder_of(world, locations, made))
    return sorted(each.rpartition("/")[2] for each in files.ls(path, detail=False)) if files.exists(path) else []


async def test_a_worker_that_ends_a_file_after_the_export_was_cancelled_takes_it_away(peopled, locations, monkeypatch):
    world, finish = peopled, export_files._finish
    made = await create_export_job(world.db, world.scope, await world.config(), await requested(world), locations)

    async def finishing(*args):
        assert left(world, locations, made) == ["profiles-00001.parquet"]
        await cancel_export_job(world.db, world.scope, made.job_id)
        await world.db.rows(FORGET_FILES)  # as the job does that removes files
        await finish(*args)

    monkeypatch.setattr(export_files, "_finish", finishing)
    await work(world, locations)
    assert left(world, locations, made) == []


async def test_what_an_export_has_read_is_emptied_in_pieces(world, locations, monkeypatch):
    """Of many people, so many at a time: by the job itself, begun anew after a crash, and by the one that looks after those that ended."""
    await world.records(*(record(("Email", f"{n}@example.com")) for n in range(7)))
    monkeypatch.setattr(export_spool, "ROWS_PER_PIECE", 3)
    emptied = []
    stop = listen(
        lambda seen: emptied.append(seen.rows) if isinstance(seen, StatementRan) and "empty_" in seen.name else None
    )
    export = await exported(world, locations)
    assert (export.state.profiles, tuple(await world.db.row(HELD))) == (7, (0, 7, 2))
    assert emptied == [0, 0, 3, 3, 1]
    await delete_export_job(world.db, world.scope, export.job_id, locations)
    await expired(world, locations)
    assert (emptied[5:], tuple(await world.db.row(HELD))) == ([3, 3, 1], (0, 0, 0))
    made = await create_export_job(world.db, world.scope, await world.config(), await requested(world), locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    assert await killed_at(1, working(world, claim, locations), "export_jobs.begin_file")
    await cancel_export_job(world.db, world.scope, made.job_id)
    await expired(world, locations)
    assert (emptied[8:], tuple(await world.db.row(HELD))) == ([0, 0, 3, 3, 1, 3, 3, 1], (0, 0, 0))
    stop()


def replace_name(policy):
    return {"name": f"{policy.settings.name} again"}


async def test_a_request_that_cannot_be_exported_is_refused_with_its_place(peopled, locations):
    world = peopled
    config = await world.config()
    for wanted, path in (
        ({"fields": "person.nmae"}, ["fields"]),
        ({"where": "person.nmae = 1"}, ["where"]),
        ({"events": ExportEvents(fields="x(")}, ["events", "fields"]),
        ({"events": ExportEvents(where="1 +")}, ["events", "where"]),
        ({"location": "../up"}, ["location"]),
    ):
        with pytest.raises(Invalid) as refused:
            await create_export_job(world.db, world.scope, config, await requested(world, **wanted), locations)
        assert refused.value.path == path
    stale = replace(await requested(world), policy_version=9)
    with pytest.raises(Conflict):
        await create_export_job(world.db, world.scope, config, stale, locations)


async def test_cancelled_deleted_and_expired_exports_leave_nothing(peopled, locations, later):
    world = peopled
    cancelled = await create_export_job(world.db, world.scope, await world.config(), await requested(world), locations)
    with pytest.raises(Conflict):
        await delete_export_job(world.db, world.scope, cancelled.job_id, locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    assert await killed_at(1, working(world, claim, locations), "export_jobs.read_people")
    await cancel_export_job(world.db, world.scope, cancelled.job_id)
    deleted, kept = await exported(world, locations), await exported(world, locations)
    remote = await exported(world, locations, location="memory://shared/exports/daily")
    assert remote.job.status is JobStatus.COMPLETED
    await delete_export_job(world.db, world.scope, deleted.job_id, locations)
    assert not folder_of(world, locations, deleted).exists()
    await expired(world, locations)
    assert [one.job_id for one in (await list_export_jobs(world.db, world.scope)).items] == [
        each.job_id for each in (remote, kept, cancelled)
    ]
    policy = (await world.config()).default_policy
    assert len(rows_of(world, locations, kept, "profiles")) == 2
    await expired(world, locations, await later(timedelta(days=7, minutes=1)))
    assert not folder_of(world, locations, kept).exists()
    with pytest.raises(FileNotFoundError):
        locations.at(locations.folder_of(world.scope, remote.job_id, remote.request.location)).open("manifest.json")
    assert tuple(await world.db.row(HELD)) == (0, 0, 0)
    other = await policies.create_policy(
        world.db, world.scope, replace(policy.settings, name="Other", is_default=False)
    )
    await exported(world, locations, other)
    with pytest.raises(Conflict):
        await policies.delete_policy(world.db, world.scope, other.policy_id)


async def test_a_sandbox_that_is_reset_takes_its_exports_along(peopled, locations):
    world = peopled
    gone = folder_of(world, locations, await exported(world, locations))
    await reset_sandbox(world.db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    assert tuple(await world.db.row(HELD)) == (0, 0, 0)
    await expired(world, locations)
    assert not gone.exists()


async def test_nobody_writes_while_the_instant_is_taken_and_everybody_afterwards(peopled, locations, monkeypatch):
    """The lock is held for two statements: not while people are read."""
    world, keep = peopled, export_spool._keep

    async def writing(*args, **more):
        await world.records(record(EVE))
        return await keep(*args, **more)

    monkeypatch.setattr(export_spool, "_keep", writing)
    assert (await exported(world, locations)).state.people == 2

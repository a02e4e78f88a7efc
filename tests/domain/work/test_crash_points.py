"""Wherever a job commits, its worker may be killed right after: another one ends it as if nothing had happened.

Each kind of job has its commit points listed here, by the last statement before the commit. A kind that is not listed fails, and so does a
commit at a new place.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from crashes import killed_after
from world import World, event, record

from gateway.domain.config import datasets, policies, sandboxes
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.facts import batches
from gateway.domain.operations import (
    change_retention,
    event_retention,
    ingest_error_retention,
    policy_materialization,
    profile_retention,
    removal,
    sandbox_regrouping,
)
from gateway.domain.operations.batch_removal import abort_batch, delete_batch, revert_batch
from gateway.domain.operations.dataset_removal import delete_dataset
from gateway.domain.operations.verification import verify
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import RULES, JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.server.worker import handlers
from gateway.settings import Settings
from gateway.storage.queries import Query

HANDLERS = handlers(Settings())
LEASE = {"leases.claim_job", "leases.advance_job"}
ONCE, AGAIN = LEASE | {"leases.release_job"}, LEASE | {"leases.rearm_job"}
REMOVAL = {"configuration.read_version", "locks.is_awaited"}
OF_BATCH = REMOVAL | {"batch_removal.remove_resends", "batch_removal.remove_events_concurrently"}
OF_EVENTS = {
    *("event_retention.remove_resends", "event_retention.remove_events_concurrently", "removal.count_removed"),
}
COMMIT_POINTS = {
    JobKind.MATERIALIZE_POLICY: ONCE | {"configuration.read_version", "policy_materialization.lock_people"},
    JobKind.REGROUP_IDENTITIES: ONCE | {"configuration.read_version"},
    JobKind.ABORT_BATCH: ONCE | OF_BATCH,
    JobKind.REVERT_BATCH: ONCE | OF_BATCH,
    JobKind.DELETE_BATCH: ONCE | OF_BATCH | {"batch_removal.remove_errors"},
    JobKind.DELETE_DATASET: ONCE | OF_BATCH | {"batch_removal.remove_errors", "dataset_removal.open_dataset"},
    JobKind.EXPIRE_EVENTS: AGAIN | REMOVAL | OF_EVENTS,
    JobKind.EXPIRE_PROFILES: AGAIN | REMOVAL,
    JobKind.EXPIRE_ERRORS: AGAIN,
    JobKind.EXPIRE_CHANGES: AGAIN | {"changes.move_journal_since", "changes.expire_changes"},
    JobKind.COMPLETE_BATCHES: AGAIN,
    JobKind.EXPIRE_JOBS: AGAIN,
}
NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
OTHER = PolicySettings("Other", IdentityGraphType.PDG, NEWEST, is_default=True)
ANA, BOB, CARL = [("Email", f"{name}@example.com") for name in ("ana", "bob", "carl")]
DEVICES = [("ECID", str(n) * 38) for n in range(1, 6)]
PHONE = ("Phone", "+1")
TABLES = (
    *("identity", "graph", "tie", "record", "fragment", "profile", "event", "event_resend"),
    *("ingest_error", "ingestion_warning"),
)
FORGET = Query("test.forget", "delete from gateway.job where sandbox_id <> $1", (), (), "none", "For tests.")
SHARE_SECRET = Query(
    "test.secret", "update gateway.sandbox set secret = $2 where sandbox_id = $1", (), (), "none", "For tests."
)
"""Gives a sandbox the xids of all others, and so the same pieces in the same order."""
SMALL = [
    *((removal, name, size) for name, size in [("FIRST_SIZE", 2), ("PIECE_SECONDS", 0)]),
    (event_retention, "IDENTITIES_PER_PIECE", 4),
    (profile_retention, "PEOPLE_PER_LOOK", 3),
    (profile_retention, "PEOPLE_PER_PIECE", 1),
    (ingest_error_retention, "ERRORS_PER_PIECE", 2),
    (change_retention, "CHANGES_PER_PIECE", 3),
    (sandbox_regrouping, "PEOPLE_PER_PIECE", 3),
    (policy_materialization, "PEOPLE_PER_PIECE", 3),
    (policy_materialization, "DELETED_PER_PIECE", 3),
]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    for module, name, size in SMALL:
        monkeypatch.setattr(module, name, size)


def ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def filled(db):
    """Make a sandbox in which there is something to do for each kind of job."""
    world = await World.create(db)
    async with db.transaction() as tx:
        await tx.execute(SHARE_SECRET, world.scope.sandbox_id, b"s" * 32)
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    batch_id = await world.batch("people")
    await world.records(
        record(ANA, PHONE, first_name="Ana"), record(BOB, PHONE), record(CARL), {}, {}, {}, batch_id=batch_id
    )
    await world.records(record(ANA, ("Email", "null"), first_name="Anna"), dataset=world.loyalty)
    old = [event(f"e{n}", ago(150), device) for n, device in enumerate(DEVICES)]
    await world.events(*old, event("tie", ago(150), DEVICES[0], DEVICES[1]), event("known", ago(150), ANA, DEVICES[2]))
    await world.events(old[0], batch_id=await world.batch("again", world.shop))
    await datasets.update_dataset(db, world.scope, world.shop.dataset_id, {"event_retention_days": 100})
    expiry = (["ECID"], 14)
    await sandboxes.update_sandbox(db, world.scope, world.scope.sandbox_id, {"pseudonymous_expiry": expiry})
    async with db.transaction() as tx:
        await jobs.enqueue(tx, world.scope, JobKind.REGROUP_IDENTITIES)
        await jobs.end(tx, world.scope, JobKind.REGROUP_IDENTITIES, jobs.SANDBOX, JobStatus.CANCELLED)
    return world, batch_id


async def start(world, batch_id, kind):
    """Ask for a job of this kind, or let it be due."""
    db, scope = world.db, world.scope
    if RULES[kind].every:
        return await jobs.schedule(db)
    if kind is JobKind.MATERIALIZE_POLICY:
        return await policies.create_policy(db, scope, OTHER)
    if kind is JobKind.REGROUP_IDENTITIES:
        return await update_identity_settings(db, scope, [NamespaceRule("Email", is_unique=True)])
    if kind is JobKind.ABORT_BATCH:
        return await abort_batch(db, scope, batch_id)
    await batches.complete_batch(db, scope, batch_id)
    if kind is JobKind.REVERT_BATCH:
        return await revert_batch(db, scope, batch_id)
    if kind is JobKind.DELETE_BATCH:
        return await delete_batch(db, scope, batch_id)
    if kind is JobKind.DELETE_DATASET:
        return await delete_dataset(db, scope, world.crm.dataset_id)
    raise AssertionError(f"Say here what starts {kind}, and below where it commits.")


async def started(db, kind):
    """Make a sandbox, and in it a job of this kind."""
    world, batch_id = await filled(db)
    await start(world, batch_id, kind)
    async with db.transaction() as tx:
        await tx.execute(FORGET, world.scope.sandbox_id)
    return world


async def worked(world, db, kind):
    """Do the jobs of this kind that are due at the time of this database."""
    while claim := await leases.claim(db, [kind]):
        scope = replace(world.scope, sandbox=await world.fresh_sandbox())
        await leases.carry_out(db, claim, HANDLERS[kind](db, scope, world.configurations, claim))


async def outcome(world, kind):
    """Tell what there is: how many rows, what state batches, policies and the job are in."""
    assert await verify(world.db, world.scope, world.configurations) == []
    rows = {}
    for table in (*TABLES, *(["change"] if kind is JobKind.EXPIRE_CHANGES else [])):
        count = f"select count(*) from gateway.{table} where sandbox_id = $1"
        rows[table] = await world.db.value(Query("test.count", count, (), (), "value", "x."), world.scope.sandbox_id)
    states = "select array_agg(status order by status) from gateway.batch where sandbox_id = $1"
    rows["batch"] = await world.db.value(Query("test.states", states, (), (), "value", "x."), world.scope.sandbox_id)
    rows["policy"] = sorted(policy.status for policy in (await world.config()).policies.values())
    found = (await list_jobs(world.db, world.scope, JobFilter(kinds=[kind]))).items
    return rows, [(job.status, job.metrics.records, job.receipt) for job in found]


def places(points):
    """Return the numbers of the first and the last commit at each point."""
    numbers = {}
    for number, point in enumerate(points, 1):
        numbers.setdefault(point, []).append(number)
    return sorted({number for each in numbers.values() for number in (each[0], each[-1])})


@pytest.mark.parametrize("kind", HANDLERS)
async def test_a_job_whose_worker_is_killed_after_any_commit_ends_as_if_it_had_not_been(kind, db, later):
    then, after = await later(timedelta(days=200)), await later(timedelta(days=200, minutes=30))
    world, points = await started(db, kind), []
    assert not await killed_after(0, worked(world, then, kind), points)
    expected = await outcome(world, kind)
    assert set(points) == COMMIT_POINTS[kind]
    for number in places(points):
        world = await started(db, kind)
        assert await killed_after(number, worked(world, then, kind), [])
        await worked(world, after, kind)
        assert await outcome(world, kind) == expected, f"killed after commit {number}, {points[number - 1]}"

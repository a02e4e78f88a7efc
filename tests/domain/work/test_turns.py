"""Which job a worker gets next: sandboxes take turns, recurring jobs come again, and no piece is lost or done twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from crashes import killed_at

from gateway.domain.config import sandboxes
from gateway.domain.operations import job_retention
from gateway.domain.rules.scope import SandboxType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import RULES, JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.leases import LEASE_SECONDS, LeaseLost
from gateway.domain.work.receipts import DeletionReceipt

KIND, RECURRING = JobKind.ABORT_BATCH, JobKind.EXPIRE_JOBS
LEASE = timedelta(seconds=LEASE_SECONDS + 1)
DAY = timedelta(days=1)
PIECES = 3


async def enqueued(db, scope, kind=KIND):
    async with db.transaction() as tx:
        return await jobs.enqueue(tx, scope, kind, uuid4())


@pytest.fixture
async def others(db, scope):
    """Two more sandboxes beside that of the scope."""
    made = [await sandboxes.create_sandbox(db, scope, name, None, SandboxType.DEVELOPMENT) for name in ("b", "c")]
    return [replace(scope, sandbox=sandbox) for sandbox in made]


async def in_pieces(db, claim):
    """Work whose effect is what its metrics say: one record a piece."""
    for piece in range(claim.cursor or 0, PIECES):
        async with db.transaction() as tx:
            await leases.advance(tx, claim, piece + 1, done=piece + 1, total=PIECES, records=1)


async def worked(db):
    """Do the jobs that are due, as one worker does."""
    while claim := await leases.claim(db, [KIND]):
        await leases.carry_out(db, claim, in_pieces(db, claim))


async def test_a_sandbox_with_many_jobs_holds_up_no_other_one(db, scope, others):
    for _ in range(20):
        await enqueued(db, scope)
    first = await leases.claim(db, [KIND])
    for other in others:
        await enqueued(db, other)
    claims = [first, *[await leases.claim(db, [KIND]) for _ in range(4)]]
    assert [claim.sandbox_id for claim in claims] == [
        scope.sandbox_id,
        *(other.sandbox_id for other in others),
        *[scope.sandbox_id] * 2,
    ]


async def test_a_sandbox_waits_its_turn_also_when_its_jobs_come_late(db, scope, others, later):
    for minute, each in enumerate((scope, *others)):
        then = await later(timedelta(minutes=minute))
        await enqueued(then, each)
        await worked(then)
    await asyncio.gather(*(enqueued(db, each) for each in (*others, scope)))
    then = await later(timedelta(minutes=9))
    turns = [(await leases.claim(then, [KIND])).sandbox_id for _ in range(3)]
    assert turns == [scope.sandbox_id, *(other.sandbox_id for other in others)]


async def test_a_worker_killed_at_any_statement_loses_and_repeats_no_piece(db, scope, later):
    number, was_killed, waited = 0, True, timedelta()
    while was_killed:
        number += 1
        then, waited = await later(waited), waited + LEASE
        await enqueued(then, scope)
        was_killed = await killed_at(number, worked(then))
        await worked(await later(waited))
    ended = (await list_jobs(db, scope)).items
    assert len(ended) > 2 * PIECES
    assert {(job.status, job.done, job.total, job.metrics.records) for job in ended} == {
        (JobStatus.COMPLETED, PIECES, PIECES, PIECES)
    }


async def test_two_workers_do_each_piece_once_though_one_takes_over_from_the_other(db, scope, later):
    made = [await enqueued(db, scope) for _ in range(6)]
    then = await later(LEASE)
    slow = await leases.claim(db, [KIND])  # it lives, and goes on when its lease is over
    await asyncio.gather(worked(then), worked(then), worked(db))
    with pytest.raises(LeaseLost):
        await in_pieces(db, slow)
    ended = (await list_jobs(db, scope)).items
    assert {job.job_id for job in ended} == set(made)
    assert {(job.status, job.metrics.records) for job in ended} == {(JobStatus.COMPLETED, PIECES)}


# ------------------------------------------------------------------------------------------------ recurring jobs


async def recurring(db, scope):
    return (await list_jobs(db, scope, JobFilter(kinds=[kind for kind, rules in RULES.items() if rules.every]))).items


async def test_each_sandbox_gets_each_recurring_job_once(db, scope, others):
    await asyncio.gather(*(jobs.schedule(db) for _ in range(3)))
    kinds = sorted(kind for kind, rules in RULES.items() if rules.every)
    for each in (scope, *others):
        assert sorted(job.kind for job in await recurring(db, each)) == kinds
    await sandboxes.reset_sandbox(db, scope, scope.sandbox_id, scope.sandbox.name)
    assert await recurring(db, scope) == []
    await jobs.schedule(db)
    assert sorted(job.kind for job in await recurring(db, scope)) == kinds


async def test_a_recurring_job_comes_again_after_its_interval_and_tells_of_its_last_run(db, scope, later, monkeypatch):
    await jobs.schedule(db)
    assert await leases.claim(db, [RECURRING]) is None
    claim = await leases.claim(first := await later(DAY), [RECURRING])
    await leases.carry_out(first, claim, in_pieces(first, claim))
    (job,) = [job for job in await recurring(db, scope) if job.kind is RECURRING]
    assert (job.status, job.done, job.total, job.attempts) == (JobStatus.NEW, PIECES, PIECES, 0)
    every = RULES[RECURRING].every
    assert await leases.claim(await later(DAY + every - timedelta(seconds=1)), [RECURRING]) is None
    again = await leases.claim(second := await later(DAY + every), [RECURRING])
    assert (again.job_id, again.cursor, again.done, again.metrics) == (job.job_id, None, 0, jobs.NOTHING_DONE)
    monkeypatch.setattr(jobs, "RULES", {RECURRING: replace(RULES[RECURRING], every=DAY)})
    await jobs.schedule(second)
    await leases.carry_out(second, again, in_pieces(second, again))
    assert await leases.claim(await later(2 * DAY), [RECURRING]) is None
    assert await leases.claim(await later(2 * DAY + every), [RECURRING]) is not None


async def test_jobs_that_ended_are_kept_for_some_days_and_those_that_deleted_for_good(db, scope, later):
    await enqueued(db, scope)
    await worked(db)
    deleting = await enqueued(db, scope, JobKind.DELETE_BATCH)
    async with db.transaction() as tx:
        claim = await leases.claim(db, [JobKind.DELETE_BATCH])
        await leases.advance(tx, claim, None, done=1, receipt=DeletionReceipt(events=1))
        await jobs.end(tx, scope, JobKind.DELETE_BATCH, claim.subject, JobStatus.CANCELLED)
    open_id = await enqueued(db, scope)
    await enqueued(then := await later(DAY), scope, JobKind.REGROUP_IDENTITIES)
    recent = await leases.claim(then, [JobKind.REGROUP_IDENTITIES])
    await leases.carry_out(then, recent, in_pieces(then, recent))
    await jobs.schedule(db)
    claim = await leases.claim(end := await later(30 * DAY + timedelta(seconds=1)), [RECURRING])
    await leases.carry_out(end, claim, job_retention.expire_jobs(end, scope, None, claim, days=30))
    kept = (await list_jobs(db, scope)).items
    assert {job.job_id for job in kept} == {open_id, recent.job_id, deleting}
    (told,) = [job for job in await recurring(db, scope) if job.kind is RECURRING]
    assert (told.done, told.metrics.records) == (1, 1)

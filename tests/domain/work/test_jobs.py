"""Jobs: added with their cause, done by one worker at a time, continued by the next."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from gateway.domain.config import sandboxes
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import RULES, Equal, JobKind
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.leases import LEASE_SECONDS, MAX_JOB_ATTEMPTS, MAX_WAIT_SECONDS, LeaseLost
from gateway.errors import Conflict, Forbidden, JobOpen, NotFound

KIND = JobKind.MATERIALIZE_POLICY
POLICY = uuid4()
MINUTE = timedelta(seconds=LEASE_SECONDS + 1)


async def enqueued(db, scope, subject=POLICY, **given):
    async with db.transaction() as tx:
        return await jobs.enqueue(tx, scope, KIND, subject, **given)


async def advanced(db, claim, cursor, done=1, total=None):
    async with db.transaction() as tx:
        await leases.advance(tx, claim, cursor, done=done, total=total)


async def statuses(db, scope):
    return [job.status for job in (await list_jobs(db, scope)).items]


async def nothing():
    pass


async def failing(error):
    raise error


async def test_a_job_exists_if_and_only_if_its_cause_was_committed(db, scope):
    with suppress(ZeroDivisionError):
        async with db.transaction() as tx:
            await jobs.enqueue(tx, scope, KIND, POLICY)
            raise ZeroDivisionError
    assert await leases.claim(db, [KIND]) is None
    job_id = await enqueued(db, scope)
    assert (await leases.claim(db, [KIND])).job_id == job_id


async def test_each_job_goes_to_one_worker_the_longest_due_first(db, scope):
    made = [await enqueued(db, scope, uuid4()) for _ in range(5)]
    claims = await asyncio.gather(*(leases.claim(db, [KIND]) for _ in range(8)))
    assert sorted(claim.job_id for claim in claims if claim) == sorted(made)
    made = [await enqueued(db, scope, uuid4()) for _ in range(3)]
    assert [(await leases.claim(db, [KIND])).job_id for _ in made] == made


async def test_a_worker_takes_only_what_it_can_do_and_what_is_due(db, scope, later):
    await enqueued(db, scope, seconds=50)
    assert await leases.claim(db, [KIND]) is None
    soon = await later(MINUTE)
    assert await leases.claim(soon, [JobKind.ABORT_BATCH]) is None
    assert await leases.claim(soon, [KIND]) is not None


async def test_a_new_job_takes_the_place_of_an_open_one_like_it(db, scope):
    await enqueued(db, scope)
    taken = await leases.claim(db, [KIND])
    await enqueued(db, scope, uuid4())
    await enqueued(db, scope)
    assert sorted(await statuses(db, scope)) == [JobStatus.CANCELLED, JobStatus.NEW, JobStatus.NEW]
    with pytest.raises(LeaseLost):
        await advanced(db, taken, "further")


async def test_work_that_is_asked_for_again_is_the_open_job_or_refused_as_its_kind_says(db, scope, monkeypatch):
    job_id = await enqueued(db, scope)
    monkeypatch.setattr(jobs, "RULES", {KIND: replace(RULES[KIND], equal=Equal.JOIN)})
    assert await enqueued(db, scope) == job_id
    monkeypatch.setattr(jobs, "RULES", {KIND: replace(RULES[KIND], equal=Equal.REFUSE)})
    with pytest.raises(JobOpen) as refused:
        await enqueued(db, scope)
    assert refused.value.job_id == job_id
    claim = await leases.claim(db, [KIND])
    with pytest.raises(JobOpen):
        await enqueued(db, scope)
    await leases.carry_out(db, claim, nothing())
    assert await enqueued(db, scope) != job_id


@pytest.mark.parametrize("equal", Equal)
async def test_of_equal_jobs_that_are_added_at_once_one_is_open(equal, db, scope, monkeypatch):
    monkeypatch.setattr(jobs, "RULES", {KIND: replace(RULES[KIND], equal=equal)})
    added = await asyncio.gather(*(enqueued(db, scope) for _ in range(6)), return_exceptions=True)
    (job,) = [job for job in (await list_jobs(db, scope)).items if job.status is JobStatus.NEW]
    assert job.job_id in added
    expected = {Equal.REPLACE: 6, Equal.JOIN: 6, Equal.REFUSE: 1}[equal]
    assert sum(not isinstance(one, Conflict) for one in added) == expected


async def test_the_job_of_a_killed_worker_goes_on_where_it_was(db, scope, later):
    await enqueued(db, scope)
    killed = await leases.claim(db, [KIND])
    await advanced(db, killed, ["at", 7], done=7, total=9)
    assert await leases.claim(db, [KIND]) is None
    claim = await leases.claim(await later(MINUTE), [KIND])
    assert (claim.job_id, claim.cursor, claim.done, claim.total) == (killed.job_id, ["at", 7], 7, 9)
    with pytest.raises(LeaseLost):  # the first one was only slow: what it does now is undone
        await advanced(db, killed, ["at", 8])


async def test_a_heartbeat_keeps_the_job(db, scope, later):
    await enqueued(db, scope)
    claim = await leases.claim(db, [KIND])
    soon, afterwards = await later(MINUTE / 2), await later(MINUTE)
    assert await leases.extend_lease(soon, claim)
    assert await leases.claim(afterwards, [KIND]) is None
    assert await leases.claim(await later(MINUTE * 2), [KIND]) is not None
    assert not await leases.extend_lease(soon, claim)


async def test_work_that_ends_well_is_complete(db, scope):
    await enqueued(db, scope)
    claim = await leases.claim(db, [KIND])
    await advanced(db, claim, None, done=3, total=3)
    await leases.carry_out(db, claim, nothing())
    (job,) = (await list_jobs(db, scope)).items
    assert (job.kind, job.subject, job.status, job.done, job.total) == (KIND, POLICY, JobStatus.COMPLETED, 3, 3)


@pytest.fixture
def may_fail(monkeypatch):
    """Let jobs of the kind fail, as those may on whose end nothing else depends."""
    monkeypatch.setattr(leases, "RULES", {KIND: replace(RULES[KIND], must_complete="")})


@pytest.mark.usefixtures("may_fail")
async def test_a_job_that_raises_is_tried_again_ever_later_and_fails_in_the_end(db, scope, later):
    await enqueued(db, scope)
    waited = timedelta()
    for attempt in range(1, MAX_JOB_ATTEMPTS + 1):
        then = await later(waited)
        claim = await leases.claim(then, [KIND])
        assert claim.attempt == attempt
        with pytest.raises(Conflict):
            await leases.carry_out(then, claim, failing(Conflict("Not now.")))
        if attempt < MAX_JOB_ATTEMPTS:
            assert await leases.claim(then, [KIND]) is None
        waited += timedelta(seconds=2**attempt)
    (job,) = (await list_jobs(db, scope)).items
    assert (job.status, job.error) == (JobStatus.FAILED, "Not now.")
    assert await leases.claim(await later(timedelta(days=1)), [KIND]) is None


async def test_what_a_job_raises_that_is_open_no_more_is_nobody_s_fault(db, scope):
    await enqueued(db, scope)
    claim = await leases.claim(db, [KIND])
    await enqueued(db, scope)  # it takes the place of the first, as when a sandbox goes with its jobs
    await leases.carry_out(db, claim, failing(NotFound("It went with the job.")))
    assert sorted((job.status, job.error) for job in (await list_jobs(db, scope)).items) == [
        (JobStatus.CANCELLED, None),
        (JobStatus.NEW, None),
    ]


async def test_progress_resets_the_count_of_attempts(db, scope, later):
    await enqueued(db, scope)
    with pytest.raises(Conflict):
        await leases.carry_out(db, await leases.claim(db, [KIND]), failing(Conflict()))
    then = await later(MINUTE)
    claim = await leases.claim(then, [KIND])
    assert claim.attempt == 2
    await advanced(then, claim, 1)
    assert claim.attempt == 0
    assert [job.error for job in (await list_jobs(db, scope)).items] == [None]


async def claimed_by_workers_that_are_killed(later, times):
    """Claim the job as often as that, each time as soon as it is free again; return when it is the next time."""
    waited = timedelta()
    for attempt in range(1, times + 1):
        then = await later(waited)
        assert (await leases.claim(then, [KIND])).attempt == attempt
        pause = timedelta(seconds=LEASE_SECONDS + min(2**attempt - 2, MAX_WAIT_SECONDS))
        assert await leases.claim(await later(waited + pause - timedelta(seconds=1)), [KIND]) is None
        waited += pause
    return waited


@pytest.mark.usefixtures("may_fail")
async def test_a_job_that_kills_its_workers_fails_in_the_end(db, scope, later):
    await enqueued(db, scope)
    waited = await claimed_by_workers_that_are_killed(later, MAX_JOB_ATTEMPTS)
    assert await leases.claim(await later(waited), [KIND]) is None
    assert await statuses(db, scope) == [JobStatus.FAILED]


async def test_a_job_that_must_complete_never_fails(db, scope, later):
    await enqueued(db, scope)
    waited = await claimed_by_workers_that_are_killed(later, MAX_JOB_ATTEMPTS + 1)
    then = await later(waited)
    claim = await leases.claim(then, [KIND])
    with pytest.raises(Conflict):
        await leases.carry_out(then, claim, failing(Conflict("Not now.")))
    (job,) = (await list_jobs(db, scope)).items
    assert (job.status, job.error, job.attempts) == (JobStatus.NEW, "Not now.", MAX_JOB_ATTEMPTS + 2)
    assert await leases.claim(await later(waited + timedelta(seconds=MAX_WAIT_SECONDS)), [KIND]) is not None


async def test_an_unexpected_error_is_kept_without_its_text(db, scope):
    await enqueued(db, scope)
    with pytest.raises(ValueError):
        await leases.carry_out(db, await leases.claim(db, [KIND]), failing(ValueError("ana@example.com")))
    assert [job.error for job in (await list_jobs(db, scope)).items] == ["Something broke inside (ValueError)."]


async def test_a_worker_that_is_stopped_frees_its_job(db, scope):
    await enqueued(db, scope)
    claim = await leases.claim(db, [KIND])
    working = asyncio.Event()

    async def endless():
        working.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(leases.carry_out(db, claim, endless()))
    await working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await leases.claim(db, [KIND])).job_id == claim.job_id


async def test_jobs_go_with_their_sandbox(db, scope):
    await enqueued(db, scope)
    claim = await leases.claim(db, [KIND])
    await sandboxes.reset_sandbox(db, scope, scope.sandbox_id, scope.sandbox.name)
    await leases.carry_out(db, claim, nothing())
    assert (await list_jobs(db, scope)).items == []


async def test_listing_jobs_needs_a_permission(db, scope):
    with pytest.raises(Forbidden):
        await list_jobs(db, replace(scope, permissions=frozenset()))

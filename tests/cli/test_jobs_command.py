"""`gateway jobs`: what people at a terminal see of jobs, and do with them."""

import re
from functools import partial
from threading import Timer
from uuid import uuid4

import pytest

from gateway.api.ids import global_id
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Conflict, NotFound

KIND, BATCH = JobKind.ABORT_BATCH, uuid4()


@pytest.fixture
def command(gateway_here):
    """Runs `gateway jobs`; raises the error that ends it."""
    gateway_here("jobs", "list")  # creates the organization
    return partial(gateway_here, "jobs")


async def enqueued(db, scope):
    async with db.transaction() as tx:
        return global_id("SystemJob", await jobs.enqueue(tx, scope, KIND, BATCH))


async def half_done(db, _):
    claim = await leases.claim(db, [KIND])
    async with db.transaction() as tx:
        await leases.advance(tx, claim, None, done=1, total=2, records=1_000)


def ended(status):
    async def end(db, scope):
        async with db.transaction() as tx:
            await jobs.end(tx, scope, KIND, BATCH, status)

    return end


async def recurring(db, scope):
    await jobs.schedule(db)
    (job,) = (await list_jobs(db, scope, JobFilter(kinds=[JobKind.EXPIRE_JOBS]))).items
    return global_id("SystemJob", job.job_id)


def test_jobs_are_listed_and_shown(command, in_database):
    job_id = in_database(enqueued)
    (line,) = [line for line in command("list").stdout.splitlines() if job_id in line]
    assert re.search(r"ABORT_BATCH +NEW +0 of \? +0 .* ana +-", line)
    assert job_id not in command("list", "--status", "COMPLETED").stdout
    assert job_id in command("list", "--type", "ABORT_BATCH", "--status", "NEW", "--size", "1").stdout
    in_database(half_done)
    shown = command("show", job_id).stdout
    assert re.search(r"done +1 of 2 \(50%\)", shown)
    assert re.search(r"records processed +1,000", shown)
    assert global_id("Batch", BATCH) in shown
    assert in_database(recurring) not in command("list").stdout


@pytest.mark.parametrize(("status", "code"), [(JobStatus.COMPLETED, 0), (JobStatus.CANCELLED, 1)])
def test_a_watched_job_is_followed_to_its_end_and_the_exit_code_says_how_it_ended(command, in_database, status, code):
    job_id = in_database(enqueued)
    ending = Timer(0.3, in_database, [ended(status)])
    ending.start()
    watched = command("watch", job_id)
    ending.join()
    assert (watched.exit_code, watched.stdout) == (code, f"{status}\n")


def test_a_job_that_cannot_be_watched_or_cancelled_says_why(command, in_database):
    job_id = in_database(enqueued)
    with pytest.raises(Conflict, match="cannot be cancelled"):
        command("cancel", job_id)
    with pytest.raises(Conflict, match="no end"):
        command("watch", in_database(recurring))
    for unknown in (global_id("SystemJob", uuid4()), global_id("Batch", BATCH), "nonsense"):
        with pytest.raises(NotFound):
            command("show", unknown)

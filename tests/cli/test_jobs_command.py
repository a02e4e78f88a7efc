"""`gateway jobs`: what people at a terminal see of jobs, and do with them."""

import asyncio
import re
from threading import Timer
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from gateway.api.ids import global_id
from gateway.cli import options, program
from gateway.domain.config import tenants
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Conflict, NotFound
from gateway.storage.database import Database

KIND, BATCH = JobKind.ABORT_BATCH, uuid4()


@pytest.fixture
def command(dsn, tmp_path, monkeypatch):
    """Runs `gateway jobs` in this process, over a deployment of its own; raises the error that ends it."""
    monkeypatch.setattr(options, "configure_logs", lambda _: None)  # the log of this process goes on
    env = {"GATEWAY_DATABASE_URL": dsn, "GATEWAY_DATA_DIR": str(tmp_path), "COLUMNS": "300"}

    def run(*arguments):
        result = CliRunner().invoke(program.app, ["jobs", *arguments], env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    run("list")  # creates the organization
    return run


def in_database(dsn, work):
    """Run work with a database and the scope of the default sandbox."""

    async def run():
        db = await Database.connect(dsn, size=2)
        (organization,) = await tenants.list_organizations(db)
        sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
        try:
            return await work(db, Scope(organization, sandbox, frozenset(Permission), actor="ana"))
        finally:
            await db.close()

    return asyncio.run(run())


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


def test_jobs_are_listed_and_shown(command, dsn):
    job_id = in_database(dsn, enqueued)
    (line,) = [line for line in command("list").stdout.splitlines() if job_id in line]
    assert re.search(r"ABORT_BATCH +NEW +0 of \? +0 .* ana +-", line)
    assert job_id not in command("list", "--status", "COMPLETED").stdout
    assert job_id in command("list", "--type", "ABORT_BATCH", "--status", "NEW", "--size", "1").stdout
    in_database(dsn, half_done)
    shown = command("show", job_id).stdout
    assert re.search(r"done +1 of 2 \(50%\)", shown)
    assert re.search(r"records processed +1,000", shown)
    assert global_id("Batch", BATCH) in shown
    assert in_database(dsn, recurring) not in command("list").stdout


@pytest.mark.parametrize(("status", "code"), [(JobStatus.COMPLETED, 0), (JobStatus.CANCELLED, 1)])
def test_a_watched_job_is_followed_to_its_end_and_the_exit_code_says_how_it_ended(command, dsn, status, code):
    job_id = in_database(dsn, enqueued)
    ending = Timer(0.3, in_database, [dsn, ended(status)])
    ending.start()
    watched = command("watch", job_id)
    ending.join()
    assert (watched.exit_code, watched.stdout) == (code, f"{status}\n")


def test_a_job_that_cannot_be_watched_or_cancelled_says_why(command, dsn):
    job_id = in_database(dsn, enqueued)
    with pytest.raises(Conflict, match="cannot be cancelled"):
        command("cancel", job_id)
    with pytest.raises(Conflict, match="no end"):
        command("watch", in_database(dsn, recurring))
    for unknown in (global_id("SystemJob", uuid4()), global_id("Batch", BATCH), "nonsense"):
        with pytest.raises(NotFound):
            command("show", unknown)

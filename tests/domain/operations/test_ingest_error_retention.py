"""What is stored of refused documents and of warnings holds data of people: it goes after some days, and the counts of batches stay."""

from dataclasses import replace
from datetime import timedelta

from world import record

from gateway.domain.facts import batches, ingest_errors, warnings
from gateway.domain.facts.ingest_errors import ErrorPage
from gateway.domain.facts.warnings import WarningPage
from gateway.domain.operations import ingest_error_retention
from gateway.domain.operations.ingest_error_retention import expire_errors
from gateway.domain.rules.keyset import Window
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind

ANA = ("Email", "ana@example.com")
NOBODY = {"person": {"name": {"firstName": "Nobody"}}}
WARNED = record(ANA, ("Email", "null"))
DAYS = 30


async def expired(world, db):
    """Do the recurring job at the time of this database, and return how many rows it removed."""
    await jobs.schedule(world.db)
    job = await leases.claim(db, [JobKind.EXPIRE_ERRORS])
    await leases.carry_out(db, job, expire_errors(db, world.scope, world.configurations, job, days=DAYS))
    return job.metrics.records


async def test_refused_documents_go_after_some_days(world, later, monkeypatch):
    monkeypatch.setattr(ingest_error_retention, "ERRORS_PER_PIECE", 2)
    batch_id = await world.batch("b")
    young, old = await later(timedelta(days=15)), await later(timedelta(days=DAYS, minutes=5))
    await world.records(*[NOBODY] * 5, batch_id=batch_id)
    await replace(world, db=young).records(NOBODY, batch_id=batch_id)
    assert await expired(world, young) == 0
    assert await expired(world, old) == 5
    (page,) = await ingest_errors.list_errors(world.db, world.scope, ErrorPage(Window(10)), [batch_id])
    (batch,) = await batches.read_batches(world.db, world.scope, [batch_id])
    assert ([error.index for error in page.items], batch.failed_count) == ([0], 6)


async def test_a_warning_goes_after_some_days_without_another_one_and_its_sample_after_some_days(world, later):
    async def listed():
        return [
            (one.count, one.sample is None)
            for one in (await warnings.list_warnings(world.db, world.scope, WarningPage(Window(10)))).items
        ]

    young, old, oldest = [await later(timedelta(days=days)) for days in (15, DAYS + 1, 2 * DAYS)]
    await world.records(WARNED)
    await replace(world, db=young).records(WARNED)
    assert await expired(world, young) == 0
    assert await listed() == [(2, False)]
    assert await expired(world, old) == 0
    assert await listed() == [(2, True)]
    await replace(world, db=old).records(WARNED)
    assert await listed() == [(3, False)]
    assert await expired(world, oldest) == 0
    assert await expired(world, await later(timedelta(days=3 * DAYS))) == 1
    assert await listed() == []

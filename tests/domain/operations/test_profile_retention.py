"""Pseudonymous people about whom nothing comes in any more go whole; whoever is known by another identity, or is heard of, stays."""

from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.config import sandboxes
from gateway.domain.facts import batches
from gateway.domain.operations import profile_retention
from gateway.domain.operations.profile_retention import expire_profiles
from gateway.domain.operations.verification import verify
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus

ANA = ("Email", "ana@example.com")
DEVICES = [("ECID", str(n) * 38) for n in range(1, 8)]
GONE, TIED, OTHER, KNOWN, SENDING, RESENDING, CHANGED = DEVICES
NOON = "2026-01-01T12:00:00Z"
DAYS = 14


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(profile_retention, "PEOPLE_PER_LOOK", 2)
    monkeypatch.setattr(profile_retention, "PEOPLE_PER_PIECE", 1)


async def keep(world, days=DAYS):
    expiry = None if days is None else (["ECID"], days)
    await sandboxes.update_sandbox(world.db, world.scope, world.scope.sandbox_id, {"pseudonymous_expiry": expiry})


async def expire(world, db):
    """Do the recurring job at the time of this database, and tell of it."""
    await jobs.schedule(world.db)
    if claim := await leases.claim(db, [JobKind.EXPIRE_PROFILES]):
        await leases.carry_out(db, claim, expire_profiles(db, world.scope, world.configurations, claim))
    (job,) = (await list_jobs(world.db, world.scope, JobFilter(kinds=[JobKind.EXPIRE_PROFILES]))).items
    return job


async def people(world):
    """List the values of the identities of each person, once every view is as the facts make it."""
    assert await verify(world.db, world.scope, world.configurations) == []
    named = {await world.xid(*one): one for one in (ANA, *DEVICES)}
    return {frozenset(named[xid] for xid in xids) for xids in await world.people()}


async def visits(world):
    """Two people who are to go, one of them of two devices, and one who is known."""
    await world.records(record(ANA, KNOWN, first_name="Ana"), record(GONE, first_name="Somebody"))
    await world.events(
        event("e1", NOON, GONE),
        event("e2", NOON, TIED, OTHER),
        event("e3", NOON, OTHER, TIED),
        event("e4", NOON, KNOWN),
    )
    await world.events(event("e3", NOON, OTHER, TIED, eventType="again"), batch_id=await world.batch("2", world.shop))


async def test_pseudonymous_people_go_whole_when_nothing_has_come_in_for_some_days(world, later):
    before, after = await later(timedelta(days=DAYS - 1)), await later(timedelta(days=DAYS, minutes=5))
    await visits(world)
    await world.events(*[event(f"s{n}", NOON, one) for n, one in enumerate((SENDING, RESENDING))])
    await world.records(record(CHANGED, first_name="Carl"))
    await expire(world, await later(timedelta(days=1)))  # no expiry is set: everybody stays
    await keep(world)
    assert (await expire(world, before)).metrics.records == 0
    then = replace(world, db=before)
    batch_id = await world.batch("3", world.shop)
    await then.events(event("s2", NOON, SENDING), event("s1", NOON, RESENDING), batch_id=batch_id)
    await then.records(record(CHANGED, first_name="Carl"))
    job = await expire(world, after)
    assert (job.status, job.done, job.metrics.records) == (JobStatus.NEW, 6, 4)
    went = {name: count for name, count in asdict(job.receipt).items() if count}
    assert went == {"record_versions": 1, "events": 4, "ties": 3, "identities": 3, "profiles": 2}
    assert await people(world) == {frozenset(each) for each in ((ANA, KNOWN), (SENDING,), (RESENDING,), (CHANGED,))}
    names = sorted(document["person"]["name"]["firstName"] for document in await world.documents())
    assert names == ["Ana", "Carl"]
    rolling = await batches.rolling_batch(world.db, world.scope, world.shop.dataset_id)
    (batch,) = await batches.read_batches(world.db, world.scope, [rolling])
    assert batch.record_count == 3


async def test_a_job_that_is_killed_after_any_piece_removes_nobody_by_half(world, later):
    await keep(world)
    number, killed, days = 0, True, 0
    while killed:
        number, days = number + 1, days + 2 * DAYS
        await replace(world, db=await later(timedelta(days=days))).events(event("a", NOON, GONE))
        await visits(replace(world, db=await later(timedelta(days=days))))
        ended = await later(timedelta(days=days + DAYS + 1))
        killed = await killed_at(number, expire(world, ended), "leases.advance_job")
        assert (
            {frozenset([ANA, KNOWN])}
            <= await people(world)
            <= {frozenset(each) for each in ((ANA, KNOWN), (GONE,), (TIED, OTHER))}
        )
        await expire(world, await later(timedelta(days=days + DAYS + 1, hours=1)))
        assert await people(world) == {frozenset([ANA, KNOWN])}
    assert number > 3

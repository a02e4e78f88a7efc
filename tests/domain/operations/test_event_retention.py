"""Events that are older than their dataset keeps them go, as if they had never been sent; whatever is younger stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.config import datasets
from gateway.domain.facts import batches
from gateway.domain.operations import event_retention, removal
from gateway.domain.operations.verification import verify
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.server.worker import handlers
from gateway.settings import Settings
from gateway.storage.queries import Query

ANA, BOB, PHONE = ("Email", "ana@example.com"), ("Email", "bob@example.com"), ("Phone", "+1")
DEVICE, TABLET = ("ECID", "1" * 38), ("ECID", "2" * 38)
KEPT_DAYS = 100
EVENTS = Query(
    "test.events",
    "select event_id, document->>'eventType' as type from gateway.event where sandbox_id = $1 order by 1",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)


def ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
async def other(world):
    """Another dataset of events, which keeps them for good."""
    return await datasets.create_dataset(world.db, world.scope, name="Kept", schema_id=world.shop.schema_id)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(removal, "FIRST_SIZE", 2)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 0)
    monkeypatch.setattr(event_retention, "IDENTITIES_PER_PIECE", 2)


async def keep(world, days=KEPT_DAYS):
    await datasets.update_dataset(world.db, world.scope, world.shop.dataset_id, {"event_retention_days": days})


async def expire(world, db):
    """Do the recurring job at the time of this database, and tell of it."""
    await jobs.schedule(world.db)
    handler = handlers(Settings())[JobKind.EXPIRE_EVENTS]
    if claim := await leases.claim(db, [JobKind.EXPIRE_EVENTS]):
        await leases.carry_out(db, claim, handler(db, world.scope, world.configurations, claim))
    (job,) = (await list_jobs(world.db, world.scope, JobFilter(kinds=[JobKind.EXPIRE_EVENTS]))).items
    return job


async def events(world):
    return [(row["event_id"], row["type"]) for row in await world.db.rows(EVENTS, world.scope.sandbox_id)]


async def people(world, *named):
    """Tell whether these, each a list of identities, are all people that there are."""
    assert await verify(world.db, world.scope, world.configurations) == []
    return set(map(frozenset, await world.people())) == {
        frozenset([await world.xid(*one) for one in of]) for of in named
    }


async def visits(world, other):
    """Send old and young events: of a device alone, of people whom only old ones tie, of one who has a record, and into another dataset."""
    await world.records(record(ANA, first_name="Ana"))
    old, young = ago(150), ago(1)
    await world.events(
        *(event(f"old{n}", old, DEVICE) for n in range(5)),
        event("tie", old, ANA, TABLET),
        event("bob", old, BOB, PHONE),
        event("young", young, TABLET),
    )
    await replace(world, shop=other).events(event("kept", old, PHONE))


@pytest.mark.usefixtures("small_pieces")
async def test_old_events_go_with_their_ties_and_with_people_who_have_nothing_left(world, other, later):
    await visits(world, other)
    assert (await expire(world, await later(timedelta(days=1)))).done == 0  # no dataset has a retention
    assert await people(world, [ANA, TABLET], [DEVICE], [BOB, PHONE])
    await keep(world)
    job = await expire(world, await later(timedelta(days=2)))
    assert (job.status, job.done, job.total, job.metrics.records) == (JobStatus.NEW, 7, 7, 7)
    assert job.metrics.profiles > 0
    assert [event_id for event_id, _ in await events(world)] == ["kept", "young"]
    assert await people(world, [ANA], [TABLET], [PHONE])
    (batch,) = await batches.read_batches(
        world.db, world.scope, [await batches.rolling_batch(world.db, world.scope, world.shop.dataset_id)]
    )
    assert batch.record_count == 1


async def test_an_event_goes_on_the_day_on_which_ingestion_refuses_it(world, later):
    await keep(world)
    await world.events(event("e", ago(98), DEVICE))
    await expire(world, await later(timedelta(days=1.9)))
    assert await events(world) == [("e", None)]
    await expire(world, after := await later(timedelta(days=3)))
    assert await events(world) == []
    assert await people(world)
    again = await replace(world, db=after).events(event("e", ago(98), DEVICE))
    assert (again.accepted, [one.code for one in again.failed[0].violations]) == (0, ["EXPIRED"])


async def test_a_younger_body_of_an_event_takes_the_place_of_an_older_one(world, later):
    """So it would have come, had the older one never been sent; an older resend goes and leaves the younger event."""
    await keep(world)
    old, young = {"timestamp": ago(98), "eventType": "old"}, {"timestamp": ago(1), "eventType": "young"}
    for key, first, second in [("1", old, young), ("2", young, old)]:
        sent = event("e", "", DEVICE) | first, event("f", "", TABLET) | second
        await world.events(*sent, batch_id=await world.batch(key, world.shop))
    await expire(world, await later(timedelta(days=3)))
    assert await events(world) == [("e", "young"), ("f", "young")]
    assert await people(world, [DEVICE], [TABLET])


@pytest.mark.usefixtures("small_pieces")
async def test_a_job_that_is_killed_after_any_piece_is_finished_by_another_worker(world, other, later):
    await keep(world, 200)
    number, killed, day = 0, True, 1
    while killed:
        number, day = number + 1, day + 2
        await keep(world, 200)
        await visits(world, other)
        await keep(world)
        killed = await killed_at(number, expire(world, await later(timedelta(days=day))), "leases.advance_job")
        assert await verify(world.db, world.scope, world.configurations) == []
        job = await expire(world, await later(timedelta(days=day, hours=1)))
        assert (job.done, job.total) == (7, 7)
        assert [event_id for event_id, _ in await events(world)] == ["kept", "young"]
    assert number > 6

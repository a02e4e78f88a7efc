"""A dataset that is deleted stays, empty: all that came into it goes with its batches, and nothing comes in meanwhile."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.config.datasets import DatasetStatus, count_records
from gateway.domain.facts import batches
from gateway.domain.operations import dataset_removal, removal
from gateway.domain.operations.batch_removal import abort_batch, delete_batch, revert_batch
from gateway.domain.operations.dataset_removal import delete_dataset, empty_dataset, preview_dataset
from gateway.domain.operations.verification import verify
from gateway.domain.reading.changes import READ_PRESENT
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus, cancel_job
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import Conflict, JobOpen, NotFound
from gateway.storage.queries import Query

ANA, BOB, PHONE = ("Email", "ana@example.com"), ("Email", "bob@example.com"), ("Phone", "+1")
NOON = "2026-01-01T12:00:00Z"
TOLD = Query(
    "test.told",
    "select xid, count(*) from gateway.change cross join unnest(xids) as xid where sandbox_id = $1 and seq > $2 and kind = 'EVENTS' group by xid",
    ("sandbox_id", "seq"),
    (),
    "rows",
    "How often the journal tells of events of each identity, behind a call.",
)


async def status(world, dataset):
    return (await world.config()).datasets[dataset.dataset_id].status


async def newest_job(world):
    return (await list_jobs(world.db, world.scope)).items[0]


async def fill(world, number):
    """Send Ana to the CRM; Ana, Bob, what joins them, and a mistake to the loyalty programme, in two batches; two events to the shop."""
    await world.records(record(ANA, first_name="Ana"))
    batch_id = await world.batch(f"members {number}", world.loyalty)
    await world.records(
        record(ANA, PHONE), record(BOB, PHONE, first_name="Bob"), dataset=world.loyalty, batch_id=batch_id
    )
    await world.records(record(BOB), {"nonsense": True}, dataset=world.loyalty)
    await world.events(event("e1", NOON, ANA), event("e2", NOON, BOB))
    return batch_id


async def test_a_deleted_dataset_is_empty_and_as_if_nothing_had_ever_come_into_it(world):
    batch_id = await fill(world, 1)
    assert len(await world.people()) == 1
    there_is = await preview_dataset(world.db, world.scope, world.loyalty.dataset_id)
    assert there_is == DeletionReceipt(record_versions=3, ties=2, errors=1)
    await world.clear(world.loyalty)
    assert await world.people() == {(await world.xid(*ANA),), (await world.xid(*BOB),)}
    assert [document["person"]["name"] for document in await world.documents()] == [{"firstName": "Ana"}]
    assert await verify(world.db, world.scope, world.configurations) == []
    job = await newest_job(world)
    assert (job.status, job.done, job.total) == (JobStatus.COMPLETED, 3, 3)
    assert job.receipt == replace(there_is, identities=1)
    assert await status(world, world.loyalty) is DatasetStatus.ACTIVE
    assert await batches.read_batches(world.db, world.scope, [batch_id]) == [None]
    assert await count_records(world.db, world.scope, [world.loyalty.dataset_id]) == [0]
    await fill(world, 1)
    assert len(await world.people()) == 1
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_dataset_that_is_being_deleted_takes_nothing_until_the_job_is_done_or_cancelled(world):
    batch_id = await fill(world, 1)
    await batches.complete_batch(world.db, world.scope, batch_id)
    loading = await world.batch("loading", world.loyalty)
    job = await delete_dataset(world.db, world.scope, world.loyalty.dataset_id)
    assert await status(world, world.loyalty) is DatasetStatus.DELETING
    for doing in (
        world.records(record(BOB), dataset=world.loyalty),
        world.records(record(BOB), dataset=world.loyalty, batch_id=loading),
        world.batch("another", world.loyalty),
        abort_batch(world.db, world.scope, loading),
        revert_batch(world.db, world.scope, batch_id),
        delete_batch(world.db, world.scope, batch_id),
    ):
        with pytest.raises(Conflict, match="DELETING"):
            await doing
    with pytest.raises(JobOpen) as refused:
        await delete_dataset(world.db, world.scope, world.loyalty.dataset_id)
    assert refused.value.job_id == job.job_id
    before = await world.documents()
    assert (await cancel_job(world.db, world.scope, job.job_id)).status is JobStatus.CANCELLED
    assert await status(world, world.loyalty) is DatasetStatus.ACTIVE
    await world.records(record(BOB), dataset=world.loyalty, batch_id=loading)
    assert await world.documents() == before


async def test_a_dataset_is_not_deleted_while_a_job_empties_one_of_its_batches_and_an_unknown_one_never(world):
    batch_id = await fill(world, 1)
    _, job_id = await abort_batch(world.db, world.scope, batch_id)
    with pytest.raises(JobOpen) as refused:
        await delete_dataset(world.db, world.scope, world.loyalty.dataset_id)
    assert (refused.value.job_id, refused.value.path) == (job_id, ["deleteDataset"])
    assert await status(world, world.loyalty) is DatasetStatus.ACTIVE
    with pytest.raises(NotFound):
        await delete_dataset(world.db, world.scope, uuid4())
    await world.empty_batches()
    await world.clear(world.loyalty)
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_calls_that_race_with_a_deletion_are_refused_or_removed(world):
    async def send(number):
        with suppress(Conflict):
            await world.records(record(("Email", f"{number}@example.com")), dataset=world.loyalty)

    deleting = delete_dataset(world.db, world.scope, world.loyalty.dataset_id)
    await asyncio.gather(*map(send, range(5)), deleting, *map(send, range(5, 10)))
    while job := await leases.claim(world.db, [JobKind.DELETE_DATASET]):
        work = empty_dataset(world.db, world.scope, world.configurations, job)
        await asyncio.gather(leases.carry_out(world.db, job, work), *map(send, range(10, 15)))
    await world.clear(world.loyalty)
    assert await count_records(world.db, world.scope, [world.loyalty.dataset_id]) == [0]
    assert await world.people() == set()
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_deletion_that_fails_gives_the_dataset_back(world, monkeypatch):
    monkeypatch.setattr(leases, "MAX_JOB_ATTEMPTS", 1)
    await fill(world, 1)
    await delete_dataset(world.db, world.scope, world.loyalty.dataset_id)
    job = await leases.claim(world.db, [JobKind.DELETE_DATASET])

    async def break_down():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await leases.carry_out(world.db, job, break_down())
    assert (await newest_job(world)).status is JobStatus.FAILED
    assert await status(world, world.loyalty) is DatasetStatus.ACTIVE


async def test_events_of_an_identity_go_together_so_that_the_journal_tells_of_them_once(world, monkeypatch):
    monkeypatch.setattr(removal, "FIRST_SIZE", 4)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 1_000)  # the next piece is twice as large, however long one takes
    people = [ANA, BOB, PHONE]
    await world.records(*map(record, people))
    await world.events(*(event(f"e{n}", NOON, people[n % 3]) for n in range(12)))
    before = await world.db.row(READ_PRESENT, world.scope.sandbox_id)
    await world.clear(world.shop)
    told = await world.db.rows(TOLD, world.scope.sandbox_id, before["seq"])
    assert dict(told) == {await world.xid(*one): 1 for one in people}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_deletion_that_is_killed_between_any_two_pieces_is_finished_by_another_worker(
    world, later, monkeypatch
):
    """Its receipt counts each thing once, whatever was killed."""
    monkeypatch.setattr(removal, "FIRST_SIZE", 1)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 0)
    monkeypatch.setattr(dataset_removal, "BATCHES_AT_ONCE", 1)
    after = await later(timedelta(hours=1))
    number, killed = 0, True
    while killed:
        number += 1
        await fill(world, number)
        expected = await preview_dataset(world.db, world.scope, world.loyalty.dataset_id)
        killed = await killed_at(number, world.clear(world.loyalty), "leases.advance_job")
        assert await verify(world.db, world.scope, world.configurations) == []
        moved = replace(world, db=after)
        while job := await leases.claim(after, [JobKind.DELETE_DATASET]):
            await leases.carry_out(after, job, empty_dataset(after, world.scope, world.configurations, job))
        job = await newest_job(moved)
        assert job.receipt == replace(expected, identities=job.receipt.identities)
        assert (job.status, job.receipt.identities, await status(world, world.loyalty)) == ("COMPLETED", 1, "ACTIVE")
        assert await world.people() == {(await world.xid(*ANA),), (await world.xid(*BOB),)}
        assert await verify(world.db, world.scope, world.configurations) == []
    assert number > 6

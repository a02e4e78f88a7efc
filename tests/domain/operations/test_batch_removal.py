"""An aborted batch is removed with all its facts; facts that other batches sent as well stay."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.facts import batches
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.operations import removal
from gateway.domain.operations.batch_removal import abort_batch, delete_batch, preview_batch, revert_batch
from gateway.domain.operations.verification import verify
from gateway.domain.rules.versions import Mode
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus, cancel_job
from gateway.domain.work.locks import IS_AWAITED
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import Conflict, JobOpen, NotFound
from gateway.storage.queries import Query

ANA, BOB, PHONE = ("Email", "ana@example.com"), ("Email", "bob@example.com"), ("Phone", "+1")
DEVICE, TABLET, VISITOR = ("ECID", "1" * 38), ("ECID", "2" * 38), ("ECID", f"{3:038d}")
NOON = "2026-01-01T12:00:00Z"
EVENTS_OF = Query(
    "test.events_of",
    "select count(*) from gateway.event where sandbox_id = $1 and batch_id = $2",
    ("sandbox_id", "batch_id"),
    (),
    "value",
    "For tests.",
)
RESENDS_OF = Query(
    "test.resends_of",
    "select count(*) from gateway.event_resend where sandbox_id = $1 and batch_id = $2",
    ("sandbox_id", "batch_id"),
    (),
    "value",
    "For tests.",
)
HOLD_BATCH = Query(
    "test.hold_batch",
    "select from gateway.batch where sandbox_id = $1 and batch_id = $2 for update",
    ("sandbox_id", "batch_id"),
    (),
    "none",
    "For tests.",
)
IS_ADVISORY_AWAITED = Query(
    "test.is_advisory_awaited",
    "select exists (select from pg_locks where locktype = 'advisory' and not granted)",
    (),
    (),
    "value",
    "For tests.",
)
IS_ROW_AWAITED = Query(
    "test.is_row_awaited",
    "select exists (select from pg_locks where locktype in ('transactionid', 'tuple') and not granted)",
    (),
    (),
    "value",
    "For tests.",
)


async def read(world, batch_id):
    (batch,) = await batches.read_batches(world.db, world.scope, [batch_id])
    return batch


async def test_people_linked_by_the_batch_alone_are_split_again(world):
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    batch_id = await world.batch("links", world.loyalty)
    await world.records(record(ANA, PHONE), record(BOB, PHONE), dataset=world.loyalty, batch_id=batch_id)
    assert len(await world.people()) == 1
    await world.abort(batch_id)
    batch = await read(world, batch_id)
    assert (batch.status, batch.record_count) == (BatchStatus.ABORTED, 0)
    assert await world.people() == {(await world.xid(*ANA),), (await world.xid(*BOB),)}
    assert sorted(d["person"]["name"]["firstName"] for d in await world.documents()) == ["Ana", "Bob"]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_batch_with_more_facts_than_one_step_takes_is_emptied(world):
    batch_id = await world.batch("many", world.shop)
    for start in (0, 1000):
        documents = [event(f"e{n}", NOON, ("ECID", f"{n + 1:038d}")) for n in range(start, start + 1000)]
        await world.events(*documents, batch_id=batch_id)
    await world.abort(batch_id)
    assert await world.people() == set()
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_an_event_stays_with_the_next_batch_that_sent_it(world):
    first, second = await world.batch("1", world.shop), await world.batch("2", world.shop)
    for batch_id in (first, second):
        await world.events(event("e1", NOON, ANA), batch_id=batch_id)
    await world.abort(first)
    assert len(await world.people()) == 1
    await world.abort(second)
    assert await world.people() == set()


async def test_an_aborted_batch_takes_nothing_more_at_once_and_is_aborted_once_nothing_of_it_is_left(world):
    """Until then it says that it is ABORTING. The job that empties it is the same for everybody who aborts it meanwhile."""
    batch_id = await world.batch("b")
    await world.records(record(ANA), batch_id=batch_id)
    (first, job), (second, same) = [await abort_batch(world.db, world.scope, batch_id) for _ in range(2)]
    assert first == second == await read(world, batch_id)
    assert (first.status, first.record_count, same) == (BatchStatus.ABORTING, 1, job)
    with pytest.raises(Conflict, match="ABORTING"):
        await world.records(record(BOB), batch_id=batch_id)
    with pytest.raises(Conflict, match="ABORTING"):
        await batches.complete_batch(world.db, world.scope, batch_id)
    assert len(await world.people()) == 1
    other = await world.batch("b")
    await world.records(record(BOB), batch_id=other)
    await world.abort(batch_id)
    assert await abort_batch(world.db, world.scope, batch_id) == (await read(world, batch_id), None)
    assert [(await read(world, one)).status for one in (batch_id, other)] == ["ABORTED", "LOADING"]
    assert await world.people() == {(await world.xid(*BOB),)}
    (entry,) = (await list_jobs(world.db, world.scope)).items
    assert (entry.job_id, entry.status) == (job, JobStatus.COMPLETED)


async def test_only_a_batch_that_exists_and_is_loading_is_aborted(world):
    batch_id = await world.batch("complete")
    await world.records(record(ANA), batch_id=batch_id)
    await batches.complete_batch(world.db, world.scope, batch_id)
    with pytest.raises(Conflict, match="complete"):
        await abort_batch(world.db, world.scope, batch_id)
    with pytest.raises(NotFound):
        await abort_batch(world.db, world.scope, uuid4())
    assert len(await world.people()) == 1
    assert (await list_jobs(world.db, world.scope)).items == []


async def names(world):
    return [document["person"]["name"] for document in await world.documents()]


async def test_a_complete_batch_is_reverted_and_earlier_versions_come_back(world):
    """The key names another batch then, so that the same documents can come again. Nothing more can be done to the old one."""
    await world.records(record(ANA, first_name="Ana", personalEmail={"address": "a@example.com"}))
    batch_id = await world.batch("corrections")
    correction = record(ANA, PHONE, person={"name": {"firstName": "Anna", "lastName": "Ash"}})
    await world.records(correction, {"nonsense": 1}, mode=Mode.MERGE, batch_id=batch_id)
    with pytest.raises(Conflict, match="abortBatch"):
        await revert_batch(world.db, world.scope, batch_id)
    await world.revert(batch_id)
    batch = await read(world, batch_id)
    assert (batch.status, batch.record_count, batch.failed_count) == (BatchStatus.REVERTED, 0, 1)
    assert await names(world) == [{"firstName": "Ana"}]
    (job,) = (await list_jobs(world.db, world.scope)).items
    assert (job.kind, job.receipt) == ("REVERT_BATCH", DeletionReceipt(record_versions=1, ties=1, identities=1))
    for verb in (revert_batch, delete_batch):
        with pytest.raises(Conflict, match="REVERTED already"):
            await verb(world.db, world.scope, batch_id)
    again = await world.batch("corrections")
    await world.records(correction, mode=Mode.MERGE, batch_id=again)
    assert (again != batch_id, await names(world)) == (True, [{"firstName": "Anna", "lastName": "Ash"}])
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.parametrize("mode", Mode)
async def test_what_a_batch_counts_does_not_depend_on_another_one_that_went(world, mode):
    first, second = await world.batch("first"), await world.batch("second")
    await world.records(record(ANA, first_name="Ana"), batch_id=first)
    await world.records(record(ANA, first_name="Ana"), record(BOB), batch_id=second, mode=mode)
    assert (await read(world, second)).record_count == 2
    await world.revert(first)
    assert (await read(world, second)).record_count == 2
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_deleted_batch_is_gone_for_good_and_its_key_is_refused(world):
    batch_id = await world.batch("leaked", world.shop)
    await world.events(event("e1", NOON, ANA, PHONE), event("e2", NOON, ANA), {"nonsense": 1}, batch_id=batch_id)
    await world.events(event("e2", NOON, ANA))
    there_is = await preview_batch(world.db, world.scope, batch_id, JobKind.DELETE_BATCH)
    assert there_is == DeletionReceipt(events=2, ties=1, errors=1)
    await world.delete(batch_id)
    batch = await read(world, batch_id)
    assert (batch.status, batch.record_count, batch.failed_count) == (BatchStatus.DELETED, 0, 0)
    (job,) = (await list_jobs(world.db, world.scope)).items
    assert job.receipt == replace(there_is, identities=1)
    with pytest.raises(Conflict, match="deleted for good"):
        await world.batch("leaked", world.shop)
    with pytest.raises(Conflict, match="DELETED"):
        await world.events(event("e3", NOON, ANA), batch_id=batch_id)
    assert await world.people() == {(await world.xid(*ANA),)}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_rolling_batch_can_be_reverted_and_what_comes_then_goes_into_another(world):
    first = (await world.records(record(ANA))).batch_id
    await revert_batch(world.db, world.scope, first)
    second = (await world.records(record(BOB))).batch_id
    await world.empty_batches()
    assert [(await read(world, one)).status for one in (first, second)] == ["REVERTED", "LOADING"]
    assert await world.people() == {(await world.xid(*BOB),)}


async def test_one_job_at_a_time_empties_a_batch_and_the_refusal_names_it(world):
    batch_id = await world.batch("b")
    await world.records(record(ANA), batch_id=batch_id)
    job = await delete_batch(world.db, world.scope, batch_id)
    with pytest.raises(JobOpen) as refused:
        await delete_batch(world.db, world.scope, batch_id)
    assert (refused.value.job_id, refused.value.path) == (job.job_id, ["deleteBatch"])
    for verb in (revert_batch, abort_batch):
        with pytest.raises(Conflict):
            await verb(world.db, world.scope, batch_id)
    with pytest.raises(NotFound):
        await delete_batch(world.db, world.scope, uuid4())


async def test_a_batch_whose_job_is_cancelled_is_given_back_as_it_was(world):
    """A deletion can be cancelled at any time, a revert until it begins."""
    loading, complete = await world.batch("loading"), await world.batch("complete", world.loyalty)
    await world.records(record(ANA), batch_id=loading)
    await world.records(record(BOB), dataset=world.loyalty, batch_id=complete)
    await batches.complete_batch(world.db, world.scope, complete)
    before = [await read(world, one) for one in (loading, complete)]
    for verb, batch_id in ((delete_batch, loading), (delete_batch, complete), (revert_batch, complete)):
        job = await verb(world.db, world.scope, batch_id)
        await cancel_job(world.db, world.scope, job.job_id)
    assert [await read(world, one) for one in (loading, complete)] == before
    await world.records(record(ANA), batch_id=loading)
    begun = await revert_batch(world.db, world.scope, complete)
    await leases.claim(world.db, [JobKind.REVERT_BATCH])
    with pytest.raises(Conflict, match="cannot be cancelled"):
        await cancel_job(world.db, world.scope, begun.job_id)


@pytest.mark.usefixtures("small_pieces")
async def test_a_deletion_that_is_cancelled_between_two_pieces_leaves_the_rest_and_can_be_asked_for_again(world, later):
    after = await later(timedelta(hours=1))
    batch_id = await world.batch("many")
    people = [("Email", f"{n}@example.com") for n in range(5)]
    await world.records(*map(record, people), batch_id=batch_id)
    assert await killed_at(3, world.delete(batch_id), "leases.advance_job")
    (job,) = (await list_jobs(world.db, world.scope)).items
    cancelled = await cancel_job(world.db, world.scope, job.job_id)
    left = await world.people()
    assert 0 < len(left) < 5
    assert cancelled.receipt == DeletionReceipt(*(5 - len(left), 0, 0), 5 - len(left), 5 - len(left))
    assert ((await read(world, batch_id)).status, (await read(world, batch_id)).record_count) == ("LOADING", len(left))
    assert await verify(world.db, world.scope, world.configurations) == []
    await replace(world, db=after).delete(batch_id)
    assert await world.people() == set()


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(removal, "FIRST_SIZE", 2)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 0)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("how", "ended"), [("abort", "ABORTED"), ("revert", "REVERTED"), ("delete", "DELETED")])
async def test_a_job_that_is_killed_after_any_piece_is_finished_by_another_worker(world, later, how, ended):
    """Whatever it has committed, views are right, and status and count agree with what is there."""
    after = await later(timedelta(hours=1))
    await world.records(record(ANA, first_name="Ana"))
    number, killed = 0, True
    while killed:
        number += 1
        batch_id = await world.batch(f"b{number}")
        await world.records(record(ANA, PHONE), record(BOB, PHONE), record(PHONE), batch_id=batch_id)
        killed = await killed_at(number, getattr(world, how)(batch_id), "leases.advance_job")
        batch = await read(world, batch_id)
        if batch.status == ended:
            assert (batch.record_count, await world.people()) == (0, {(await world.xid(*ANA),)})
        assert await verify(world.db, world.scope, world.configurations) == []
        await replace(world, db=after).empty_batches()
        assert (await read(world, batch_id)).status == ended
        assert await world.people() == {(await world.xid(*ANA),)}
        assert await verify(world.db, world.scope, world.configurations) == []
    assert number > 3
    removals = (await list_jobs(world.db, world.scope)).items
    assert {job.status for job in removals} == {JobStatus.COMPLETED}
    assert {(job.receipt.record_versions, job.receipt.ties, job.receipt.identities) for job in removals} == {(3, 2, 2)}


async def visits(world, batch_id, number):
    """Send events of visitors, of somebody who is known, of devices that only they tie, and some that another batch sends again."""
    of_visitors = [event(f"v{n}/{number}", NOON, ("ECID", f"{place:038d}")) for n, place in enumerate((3, 4, 4, 5))]
    of_ana = [event(f"a{n}/{number}", NOON, ANA, DEVICE) for n in range(3)]
    of_bob = [
        event(f"b{n}/{number}", NOON, *named) for n, named in enumerate([(DEVICE,), (BOB, TABLET), (TABLET, BOB)])
    ]
    await world.events(*of_visitors, *of_ana, *of_bob, batch_id=batch_id)
    again = [of_visitors[0], of_ana[1], event(f"b2/{number}", NOON, BOB, TABLET, eventType="again")]
    await world.events(*again, batch_id=await world.batch("kept", world.shop))


@pytest.mark.usefixtures("small_pieces")
async def test_an_event_of_the_batch_that_repeats_another_one_once_the_first_is_gone_goes_too(world):
    """Six times, as the order in which events are removed is free: the batch's second event must be left once its first has gone."""
    batch_id, other_id = await world.batch("gone", world.shop), await world.batch("kept", world.shop)
    threes = [[("Email", f"{letter}{n}@example.com") for letter in "abc"] for n in range(6)]
    for n, (first, between, last) in enumerate(threes):
        await world.events(event(f"e{n}", NOON, first), batch_id=batch_id)
        await world.events(event(f"e{n}", NOON, between, first), batch_id=other_id)  # a resend of the first
        await world.events(event(f"e{n}", NOON, last, between), batch_id=batch_id)  # new, and later one of the second
    await world.delete(batch_id)
    assert await world.db.value(RESENDS_OF, world.scope.sandbox_id, batch_id) == 0
    assert await world.db.value(EVENTS_OF, world.scope.sandbox_id, other_id) == 6
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.usefixtures("small_pieces")
async def test_a_job_that_is_killed_between_any_two_pieces_leaves_events_that_came_again(world, later):
    """What is left in the end is what the other batch alone would have brought, and its count says so."""
    after = await later(timedelta(hours=1))
    await world.records(record(ANA, first_name="Ana"))
    number, killed = 0, True
    while killed:
        number += 1
        batch_id = await world.batch(f"b{number}", world.shop)
        await visits(world, batch_id, number)
        killed = await killed_at(number, world.abort(batch_id), "leases.advance_job")
        before = await read(world, batch_id)
        stored = await world.db.value(EVENTS_OF, world.scope.sandbox_id, batch_id)
        assert before.record_count == stored
        assert await verify(world.db, world.scope, world.configurations) == []
        await replace(world, db=after).abort(batch_id)
        assert await verify(world.db, world.scope, world.configurations) == []
    assert number > 6
    kept = await read(world, await world.batch("kept", world.shop))
    (job, *_) = (await list_jobs(world.db, world.scope)).items
    assert (kept.record_count, job.done, job.total) == (3 * number, 10, 10)
    named = [[ANA, DEVICE], [VISITOR], [BOB, TABLET]]
    assert set(map(frozenset, await world.people())) == {
        frozenset([await world.xid(*one) for one in of]) for of in named
    }


async def until(world, condition, *args):
    """Wait until a statement says true."""
    async with asyncio.timeout(30):
        while not await world.db.value(condition, *args):  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.01)


async def test_an_event_that_a_writer_is_sending_again_stays_until_that_is_stored(world):
    """The writer has found the event and noted its resend, and has not committed: nobody else sees the resend."""
    await world.records(record(ANA))
    first, again = [await world.batch(name, world.shop) for name in ("first", "again")]
    visits_of_ana = [event(f"e{n}", NOON, ANA) for n in range(3)]
    await world.events(*visits_of_ana, batch_id=first)
    async with world.db.transaction() as tx:
        await tx.execute(HOLD_BATCH, world.scope.sandbox_id, again)  # which a writer counts last
        writer = asyncio.create_task(world.events(visits_of_ana[1], batch_id=again))
        await until(world, IS_ROW_AWAITED)
        removal_of_first = asyncio.create_task(world.abort(first))
        await until(world, IS_AWAITED, world.scope.sandbox_id)
    await asyncio.gather(writer, removal_of_first)
    assert [await world.db.value(EVENTS_OF, world.scope.sandbox_id, one) for one in (first, again)] == [0, 1]
    assert ((await read(world, first)).status, (await read(world, again)).record_count) == ("ABORTED", 1)
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_of_two_batches_that_go_at_once_none_relies_on_events_of_the_other(world):
    """The first has removed its event and has not committed: the second still sees it beside its own, as if somebody kept one."""
    first, second = [await world.batch(name, world.shop) for name in ("first", "second")]
    for number, batch_id in enumerate((first, second)):
        await world.events(event(f"e{number}", NOON, VISITOR), batch_id=batch_id)
        await abort_batch(world.db, world.scope, batch_id)
    async with world.db.transaction() as tx:
        await tx.execute(HOLD_BATCH, world.scope.sandbox_id, first)  # which a piece counts last
        working = [asyncio.create_task(world.empty_batches())]
        await until(world, IS_ROW_AWAITED)
        working.append(asyncio.create_task(world.empty_batches()))
        await until(world, IS_ADVISORY_AWAITED)
    await asyncio.gather(*working)
    assert await world.people() == set()
    assert await verify(world.db, world.scope, world.configurations) == []

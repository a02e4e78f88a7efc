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
from gateway.domain.operations.batch_removal import abort_batch
from gateway.domain.operations.verification import verify
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.locks import IS_AWAITED
from gateway.errors import Conflict, NotFound
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


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(removal, "FIRST_SIZE", 2)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 0)


@pytest.mark.usefixtures("small_pieces")
async def test_a_job_that_is_killed_after_any_piece_is_finished_by_another_worker(world, later):
    """Whatever it has committed, views are right, and status and count agree with what is there."""
    after = await later(timedelta(hours=1))
    await world.records(record(ANA, first_name="Ana"))
    number, killed = 0, True
    while killed:
        number += 1
        batch_id = await world.batch(f"b{number}")
        await world.records(record(ANA, PHONE), record(BOB, PHONE), record(PHONE), batch_id=batch_id)
        killed = await killed_at(number, world.abort(batch_id), "leases.advance_job")
        batch = await read(world, batch_id)
        if batch.status == "ABORTED":
            assert (batch.record_count, await world.people()) == (0, {(await world.xid(*ANA),)})
        assert await verify(world.db, world.scope, world.configurations) == []
        await replace(world, db=after).abort(batch_id)
        assert (await read(world, batch_id)).status == "ABORTED"
        assert await world.people() == {(await world.xid(*ANA),)}
        assert await verify(world.db, world.scope, world.configurations) == []
    assert number > 3
    assert {job.status for job in (await list_jobs(world.db, world.scope)).items} <= {JobStatus.COMPLETED}


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
        working = [asyncio.create_task(world.abort(first))]
        await until(world, IS_ROW_AWAITED)
        working.append(asyncio.create_task(world.abort(second)))
        await until(world, IS_ADVISORY_AWAITED)
    await asyncio.gather(*working)
    assert await world.people() == set()
    assert await verify(world.db, world.scope, world.configurations) == []

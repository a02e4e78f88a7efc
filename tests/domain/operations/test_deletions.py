"""An aborted batch is removed with all its facts; facts that other batches sent as well stay."""

from datetime import timedelta
from uuid import uuid4

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.facts import batches
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.operations import deletions
from gateway.domain.operations.deletions import abort_batch, empty_batch
from gateway.domain.operations.verification import verify
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Conflict, NotFound

ANA, BOB, PHONE = ("Email", "ana@example.com"), ("Email", "bob@example.com"), ("Phone", "+1")
NOON = "2026-01-01T12:00:00Z"


async def aborted(world, batch_id):
    return await abort_batch(world.db, world.scope, world.configurations, batch_id)


async def test_people_linked_by_the_batch_alone_are_split_again(world):
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    batch_id = await world.batch("links", world.loyalty)
    await world.records(record(ANA, PHONE), record(BOB, PHONE), dataset=world.loyalty, batch_id=batch_id)
    assert len(await world.people()) == 1
    batch = await aborted(world, batch_id)
    assert (batch.status, batch.record_count) == (BatchStatus.ABORTED, 2)
    assert await world.people() == {(await world.xid(*ANA),), (await world.xid(*BOB),)}
    assert sorted(d["person"]["name"]["firstName"] for d in await world.documents()) == ["Ana", "Bob"]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_batch_with_more_facts_than_one_step_takes_is_emptied(world):
    batch_id = await world.batch("many", world.shop)
    for start in (0, 1000):
        documents = [event(f"e{n}", NOON, ("ECID", f"{n + 1:038d}")) for n in range(start, start + 1000)]
        await world.events(*documents, batch_id=batch_id)
    await aborted(world, batch_id)
    assert await world.people() == set()
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_an_event_stays_with_the_next_batch_that_sent_it(world):
    first, second = await world.batch("1", world.shop), await world.batch("2", world.shop)
    for batch_id in (first, second):
        await world.events(event("e1", NOON, ANA), batch_id=batch_id)
    await aborted(world, first)
    assert len(await world.people()) == 1
    await aborted(world, second)
    assert await world.people() == set()


async def test_aborting_again_changes_nothing_and_a_complete_batch_stays(world):
    batch_id, complete = await world.batch("1"), await world.batch("2")
    await world.records(record(ANA), batch_id=complete)
    await batches.complete_batch(world.db, world.scope, complete)
    await aborted(world, batch_id)
    await aborted(world, batch_id)
    with pytest.raises(Conflict):
        await aborted(world, complete)
    with pytest.raises(Conflict):
        await world.records(record(BOB), batch_id=batch_id)
    assert len(await world.people()) == 1


async def test_an_unknown_batch_is_not_found(world):
    with pytest.raises(NotFound):
        await aborted(world, uuid4())


async def test_an_abort_that_is_killed_anywhere_is_finished_by_a_job(world, later, monkeypatch):
    monkeypatch.setattr(deletions, "MAX_FACTS_PER_STEP", 2)
    after = await later(timedelta(hours=1))
    await world.records(record(ANA, first_name="Ana"))
    number, killed = 0, True
    while killed:
        number += 1
        batch_id = await world.batch(f"b{number}")
        await world.records(record(ANA, PHONE), record(BOB, PHONE), record(PHONE), batch_id=batch_id)
        killed = await killed_at(number, aborted(world, batch_id))
        if claim := await leases.claim(after, [JobKind.ABORT_BATCH]):
            await leases.carry_out(after, claim, empty_batch(after, world.scope, world.configurations, claim))
        else:  # killed before anything was committed, or done
            await aborted(world, batch_id)
        assert await world.people() == {(await world.xid(*ANA),)}
        assert await verify(world.db, world.scope, world.configurations) == []
    assert number > 20
    assert {job.status for job in await jobs.list_jobs(world.db, world.scope)} <= {JobStatus.COMPLETED}

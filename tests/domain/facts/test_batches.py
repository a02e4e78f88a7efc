"""Batches: one per key, a rolling one a day for calls that name none."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from world import event, record

from gateway.domain.config import sandboxes
from gateway.domain.facts import batch_lists, batches
from gateway.domain.facts.batch_lists import BatchFilter, BatchPage
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.operations import batch_removal
from gateway.domain.operations.batch_completion import complete_batches
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import JobFilter, list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Conflict, Forbidden, Invalid, NotFound
from gateway.storage.database import Database

ANA = ("Email", "ana@x.io")


async def create(world, key=None, dataset=None):
    dataset_id = (dataset or world.crm).dataset_id
    return await batches.create_batch(world.db, world.scope, await world.config(), dataset_id, key)


async def find(world, key):
    return await batches.find_batch(world.db, world.scope, world.crm.dataset_id, key)


async def read(world, batch_id):
    (batch,) = await batches.read_batches(world.db, world.scope, [batch_id])
    return batch


# ------------------------------------------------------------------------------------------------ keys


async def test_the_same_key_gives_the_same_batch_even_once_it_is_complete(world):
    batch = await create(world, "2026-01-01.ndjson")
    assert (batch.status, batch.record_count, batch.failed_count, batch.completed_at) == ("LOADING", 0, 0, None)
    await world.records(record(ANA, first_name="Ana"), {}, batch_id=batch.batch_id)
    complete = await batches.complete_batch(world.db, world.scope, batch.batch_id)
    assert await create(world, "2026-01-01.ndjson") == complete
    assert (complete.record_count, complete.failed_count) == (1, 1)


async def test_a_key_identifies_a_batch_within_its_dataset_and_sandbox(world):
    dev = await sandboxes.create_sandbox(world.db, world.scope, "dev", None, SandboxType.DEVELOPMENT)
    there = replace(world, scope=replace(world.scope, sandbox=dev))
    batch = await create(world, "key")
    assert (await create(world, "key", world.shop)).batch_id != batch.batch_id
    assert await read(there, batch.batch_id) is None
    with pytest.raises(NotFound):
        await batches.complete_batch(there.db, there.scope, batch.batch_id)


async def test_without_a_key_each_batch_is_new(world):
    assert await create(world) != await create(world)


async def test_many_at_once_get_one_batch(world):
    made = await asyncio.gather(*(create(world, "key") for _ in range(8)))
    assert made == [made[0]] * 8
    rolling = await asyncio.gather(
        *(batches.rolling_batch(world.db, world.scope, world.crm.dataset_id) for _ in range(8))
    )
    assert rolling == [rolling[0]] * 8


@pytest.mark.parametrize("key", ["", " ", "a\x00b", "x" * 256])
async def test_a_key_is_a_line_of_text(world, key):
    with pytest.raises(Invalid) as caught:
        await create(world, key)
    assert caught.value.path == ["key"]


async def test_an_unknown_dataset_is_not_found(world):
    with pytest.raises(NotFound) as caught:
        await batches.create_batch(world.db, world.scope, await world.config(), uuid4(), "key")
    assert caught.value.path == ["datasetId"]
    with pytest.raises(NotFound):
        await batches.rolling_batch(world.db, world.scope, uuid4())


# ------------------------------------------------------------------------------------------------ their end


@pytest.mark.parametrize("documents", [(), ({},), ({}, {"x": 1})])
async def test_a_batch_that_brought_nothing_fails_when_it_is_completed(world, documents):
    batch = await create(world)
    if documents:
        await world.records(*documents, batch_id=batch.batch_id)
    failed = await batches.complete_batch(world.db, world.scope, batch.batch_id)
    assert (failed.status, failed.record_count, failed.failed_count) == (BatchStatus.FAILED, 0, len(documents))
    assert await batches.complete_batch(world.db, world.scope, batch.batch_id) == failed
    with pytest.raises(Conflict):
        await world.records(record(ANA), batch_id=batch.batch_id)


async def test_a_batch_that_brought_what_was_there_already_is_active(world):
    """With records and with events, also if its events are successors of those in an aborted batch."""
    before, again, records = (
        await create(world, "1", world.shop),
        await create(world, "2", world.shop),
        await create(world),
    )
    visit = event("e1", "2026-01-01T00:00:00Z", ANA)
    await world.events(visit, batch_id=before.batch_id)
    await world.events(visit, batch_id=again.batch_id)
    await world.records(record(ANA))
    await world.records(record(ANA), {}, batch_id=records.batch_id)
    await world.abort(before.batch_id)
    for batch, count in ((again, 1), (records, 1)):
        complete = await batches.complete_batch(world.db, world.scope, batch.batch_id)
        assert (complete.status, complete.record_count) == (BatchStatus.ACTIVE, count)


async def test_completing_twice_changes_nothing(world):
    batch = await create(world)
    await world.records(record(ANA), batch_id=batch.batch_id)
    batch = await read(world, batch.batch_id)
    complete = await batches.complete_batch(world.db, world.scope, batch.batch_id)
    assert complete == replace(batch, status=BatchStatus.ACTIVE, completed_at=complete.completed_at)
    assert complete.completed_at > batch.created_at
    assert await batches.complete_batch(world.db, world.scope, batch.batch_id) == complete
    with pytest.raises(Conflict):
        await world.records(record(ANA), batch_id=batch.batch_id)


async def test_an_aborted_batch_cannot_be_completed_and_its_key_gives_another(world, statements):
    batch = await create(world, "key")
    assert await find(world, "key") == batch
    await world.abort(batch.batch_id)
    with pytest.raises(Conflict, match="ABORTED"):
        await batches.complete_batch(world.db, world.scope, batch.batch_id)
    assert await find(world, "key") is None
    with statements() as names:
        other = await create(world, "key")
    assert names[-2:] == ["batches.create_batch", "audit.record"]
    assert (other.status, other.key, other.created_by) == ("LOADING", "key", world.scope.actor)
    with statements() as names:
        assert await create(world, "key") == other == await find(world, "key")
    assert names[-2:] == ["batches.create_batch", "batches.find_batch"]
    assert (await read(world, batch.batch_id)).status is BatchStatus.ABORTED
    with pytest.raises(NotFound):
        await batches.complete_batch(world.db, world.scope, uuid4())


async def complete_idle(world, db):
    """Do the recurring job at the time of this database."""
    await jobs.schedule(world.db)
    claim = await leases.claim(db, [JobKind.COMPLETE_BATCHES])
    await leases.carry_out(db, claim, complete_batches(db, world.scope, world.configurations, claim))


async def test_a_batch_that_nobody_completes_is_completed_a_week_after_its_last_document(world, later):
    """The week of a batch without documents begins with the batch."""
    empty, filled = await create(world, "empty"), await create(world, "filled")
    rolling = await batches.rolling_batch(world.db, world.scope, world.crm.dataset_id)
    await world.records(record(ANA), batch_id=filled.batch_id)
    after = [await later(timedelta(days=days)) for days in (6.9, 13.8, 14)]
    await complete_idle(world, after[0])
    assert (await read(world, empty.batch_id)).status is BatchStatus.LOADING
    await replace(world, db=after[0]).records(record(ANA), batch_id=filled.batch_id)
    await complete_idle(world, after[1])
    ids = [empty.batch_id, rolling, filled.batch_id]
    assert [(await read(world, one)).status for one in ids] == ["FAILED", "FAILED", "LOADING"]
    await complete_idle(world, after[2])
    assert (await read(world, filled.batch_id)).status is BatchStatus.ACTIVE
    (job,) = (await list_jobs(world.db, world.scope, JobFilter(kinds=[JobKind.COMPLETE_BATCHES]))).items
    assert (job.status, job.done, job.metrics.records) == (JobStatus.NEW, 1, 1)


# ------------------------------------------------------------------------------------------------ rolling batches


async def rolling(dsn, world, now):
    """Read the rolling batch of a time."""
    then = await Database.connect(f"{dsn}&gateway.now={quote(now)}", size=1)
    try:
        return await batches.rolling_batch(then, world.scope, world.crm.dataset_id)
    finally:
        await then.close()


async def test_calls_that_name_no_batch_share_one_each_day_which_completes_the_one_before(world, dsn):
    first = await rolling(dsn, world, "2026-03-01T00:00:00Z")
    assert await rolling(dsn, world, "2026-03-01T23:59:59.999Z") == first
    assert await rolling(dsn, world, "2026-03-02T01:00:00+02:00") == first  # a day is one of UTC
    batch = await read(world, first)
    assert (batch.key, batch.status, batch.dataset_id) == (None, "LOADING", world.crm.dataset_id)
    own = await create(world, "a batch of one's own")
    await world.records(record(ANA), batch_id=first)
    second = await rolling(dsn, world, "2026-03-02T00:00:00Z")
    statuses = [(await read(world, batch_id)).status for batch_id in (first, second, own.batch_id)]
    assert statuses == ["ACTIVE", "LOADING", "LOADING"]
    assert await rolling(dsn, world, "2026-03-01T12:00:00Z") == second  # by a clock that is late


async def test_a_rolling_batch_that_was_closed_is_followed_by_another_and_none_can_be_aborted(world):
    """It holds what others sent, too: whoever aborts one gets told how to make one of their own."""
    db, scope, dataset_id = world.db, world.scope, world.crm.dataset_id
    first = await batches.rolling_batch(db, scope, dataset_id)
    await batches.complete_batch(db, scope, first)
    second = (await world.records(record(ANA))).batch_id
    assert second == await batches.rolling_batch(db, scope, dataset_id) != first
    for batch_id in (first, second):
        with pytest.raises(Conflict, match="createBatch"):
            await batch_removal.abort_batch(db, scope, batch_id)
    assert (await read(world, second)).record_count == len(await world.people()) == 1


async def test_a_keyed_batch_is_never_a_rolling_one(world):
    batch = await create(world, "key")
    assert await batches.rolling_batch(world.db, world.scope, world.crm.dataset_id) != batch.batch_id


# ------------------------------------------------------------------------------------------------ lists


async def test_batches_are_read_in_the_order_asked_for_in_one_statement(world, statements):
    made = [await create(world, f"{number}") for number in range(3)]
    asked = [made[2].batch_id, uuid4(), made[0].batch_id, made[2].batch_id]
    with statements() as names:
        assert await batches.read_batches(world.db, world.scope, asked) == [made[2], None, made[0], made[2]]
    assert names == ["batches.read_batches"]


async def test_a_batch_tells_who_began_it(world):
    ana, bob = (replace(world.scope, actor=name) for name in ("ana", "bob"))
    config = await world.config()
    for scope in (ana, bob):
        keyed = await batches.create_batch(world.db, scope, config, world.crm.dataset_id, "key")
        shared = await batches.rolling_batch(world.db, scope, world.crm.dataset_id)
    assert (keyed.created_by, (await read(world, shared)).created_by) == ("ana", "ana")


async def test_clients_that_load_data_see_batches(world):
    def scope(*permissions):
        return replace(world.scope, permissions=frozenset(permissions))

    batch = await create(world)
    loader = scope(Permission.PROFILE_WRITE)
    assert await batches.read_batches(world.db, loader, [batch.batch_id]) == [batch]
    outsider = scope(Permission.JOBS_WRITE)
    for read_verb in (
        batches.read_batches(world.db, outsider, []),
        batch_lists.list_batches(world.db, outsider, BatchPage(Window())),
        batch_lists.list_batches_of_datasets(world.db, outsider, BatchPage(Window()), []),
        batch_lists.count_batches(world.db, outsider, BatchFilter()),
        batch_lists.count_batches_of_datasets(world.db, outsider, BatchFilter(), []),
    ):
        with pytest.raises(Forbidden):
            await read_verb
    reader = scope(Permission.PROFILE_READ)
    for write_verb in (
        batches.create_batch(world.db, reader, await world.config(), world.crm.dataset_id, "key"),
        batches.complete_batch(world.db, reader, batch.batch_id),
        batches.rolling_batch(world.db, reader, world.crm.dataset_id),
    ):
        with pytest.raises(Forbidden, match="profile:write"):
            await write_verb

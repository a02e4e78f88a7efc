"""Versions of records that nothing needs go once no batch that could need them can be reverted; what is read stays, and reverts are exact."""

from dataclasses import replace
from datetime import timedelta

import pytest
from world import record

from gateway.domain.facts import batches
from gateway.domain.operations import version_retention
from gateway.domain.operations.batch_removal import preview_batch, revert_batch
from gateway.domain.operations.verification import verify
from gateway.domain.operations.version_retention import expire_versions
from gateway.domain.reading.identities import read_sightings
from gateway.domain.reading.record_versions import list_record_versions, read_inputs
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.versions import Mode
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import Conflict

ANA, BOB, PHONE = ("Email", "ana@example.com"), ("Email", "bob@example.com"), ("Phone", "+1")
DAYS = 30


async def expired(world, db):
    """Do the recurring job at the time of this database, and return it."""
    await jobs.schedule(world.db)
    job = await leases.claim(db, [JobKind.EXPIRE_VERSIONS])
    await leases.carry_out(db, job, expire_versions(db, world.scope, world.configurations, job, days=DAYS))
    return job


async def sent(world, key, *documents, mode=Mode.REPLACE):
    """Send records in a batch of their own, and complete it."""
    batch_id = await world.batch(key)
    await world.records(*documents, mode=mode, batch_id=batch_id)
    await batches.complete_batch(world.db, world.scope, batch_id)
    return batch_id


async def inputs(world, identity):
    """What is kept of the versions of an identity's records, the newest first."""
    (page,) = await list_record_versions(world.db, world.scope, [(await world.xid(*identity),)], Window(10))
    kept = await read_inputs(world.db, world.scope, [version.key for version in page.items])
    return [(one.document.get("person") or {}).get("name", {}).get("firstName") for one in kept]


async def test_versions_that_were_replaced_go_and_a_younger_batch_is_reverted_to_what_is_kept(world, later):
    first = await sent(world, "first", record(ANA, PHONE, first_name="A"), record(BOB, first_name="B"))
    second = await sent(world, "second", record(ANA, first_name="Ana"))
    await sent(world, "patch", {**record(ANA), "person": {"name": {"lastName": "Lee"}}}, mode=Mode.MERGE)
    moment = await later(timedelta(days=DAYS, minutes=-5))
    assert (await expired(world, moment)).receipt is None
    young = replace(world, db=moment)
    third = await young.batch("third")
    await young.records(record(ANA, first_name="Anna"), batch_id=third)
    before, people = await world.documents(), await world.people()
    job = await expired(world, await later(timedelta(days=DAYS, minutes=65)))
    assert (job.metrics.records, job.receipt.record_versions) == (1, 1)
    assert await inputs(world, ANA) == ["Anna", None, "Ana"]
    assert (await world.documents(), await world.people()) == (
        before,
        people,
    )  # the phone is Ana's by a version that went
    for batch_id in (first, second):
        with pytest.raises(Conflict, match="could be reverted until"):
            await revert_batch(world.db, world.scope, batch_id)
        with pytest.raises(Conflict):
            await preview_batch(world.db, world.scope, batch_id, JobKind.REVERT_BATCH)
    await world.revert(third)
    assert {"firstName": "Ana", "lastName": "Lee"} in [one["person"]["name"] for one in await world.documents()]
    assert await verify(world.db, world.scope, world.configurations) == []
    await world.delete(first)
    assert (await world.graphs([await world.xid(*PHONE)])) == [None]


async def test_of_a_record_that_was_deleted_nothing_is_kept_but_that_and_when_it_was_there(world, later):
    await sent(world, "first", record(ANA, first_name="A"))
    await sent(world, "gone", record(ANA), mode=Mode.DELETE)
    xid = await world.xid(*ANA)
    (seen,) = await read_sightings(world.db, world.scope, [xid])
    assert (await expired(world, await later(timedelta(days=DAYS, minutes=65)))).receipt.record_versions == 1
    assert await inputs(world, ANA) == [None]
    assert await read_sightings(world.db, world.scope, [xid]) == [seen]
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.parametrize("size", [2, 3])
async def test_versions_of_one_record_beyond_a_piece_go_piece_by_piece_and_chains_of_patches_stay(
    world, later, monkeypatch, size
):
    monkeypatch.setattr(version_retention, "VERSIONS_PER_PIECE", size)
    await sent(world, "first", record(BOB, first_name="B"), record(ANA, PHONE, first_name="A"))
    for number in range(4):
        await sent(world, f"replaced {number}", record(ANA, first_name=f"A{number}"))
        await sent(world, f"gone {number}", record(ANA), mode=Mode.DELETE)
        await sent(world, f"gone again {number}", record(ANA), mode=Mode.DELETE)
    for number in range(7):
        await sent(
            world, f"patch {number}", {**record(ANA), "person": {"name": {"lastName": str(number)}}}, mode=Mode.MERGE
        )
    await sent(world, "last", record(BOB, first_name="Bobby"))
    before, people = await world.documents(), await world.people()
    (seen,) = await read_sightings(world.db, world.scope, [await world.xid(*PHONE)])
    job = await expired(world, await later(timedelta(days=DAYS, minutes=65)))
    assert job.receipt.record_versions == 11 + 1
    assert await inputs(world, ANA) == [None] * 9  # the last deletions, and what each patch brought
    assert (await world.documents(), await world.people()) == (before, people)
    assert await read_sightings(world.db, world.scope, [await world.xid(*PHONE)]) == [seen]
    assert await verify(world.db, world.scope, world.configurations) == []

"""What is removed between two statements of a request is missed by none of its answers: the request is read again, at one moment.

Its reads then share a connection: none outlasts the moment, and one that fails takes no other along.
"""

import asyncio
from contextlib import AsyncExitStack

import pytest
from client import Client
from world import World, event, record

from gateway.api.ids import global_id
from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.reading import identities, profiles
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.errors import StatementFailed, Unavailable
from gateway.storage.queries import Query

ANA, PHONE, DEVICE = ("Email", "ana@x.io"), ("Phone", "+49"), ("ECID", "1" * 38)
WRONG = Query("test.wrong", "select 1 / 0", (), (), "value", "For this test.")
ONE = Query("test.one", "select 1", (), (), "value", "For this test.")
LOCK = Query("test.lock", "lock table gateway.event in access exclusive mode", (), (), "none", "For this test.")
PEOPLE = "query ($asked: [IdentityInput!]!, $policy: ID) { profiles(identities: $asked, mergePolicyId: $policy) { status profile { %s } } }"


@pytest.fixture
async def parting(db):
    """People of open batches: Ana, who is joined with her phone by one, and somebody who is known by the event of another."""
    world = await World.create(db)
    await world.records(record(ANA, first_name="Ana"))
    batch = await world.batch("b")
    await world.records(record(ANA, PHONE), batch_id=batch)
    visits = await world.batch("v", world.shop)
    await world.events(event("e", "2026-02-01T00:00:00.000Z", DEVICE), batch_id=visits)
    return Client.of(world), (batch, visits)


def aborting(world, batches, read):
    """Return a read that aborts the batches before its first call."""
    left = list(batches)

    async def removed_first(*args, **options):
        while left:
            await world.abort(left.pop())
        return await read(*args, **options)

    return removed_first


@pytest.mark.parametrize(
    ("module", "read", "fields"),
    [
        (identities, "read_identities", "identities { value firstSeenAt profile { profileId } } profileId"),
        (identities, "read_sightings", "identities { value firstSeenAt } entity { person { name { firstName } } }"),
        (profiles, "read_origins", "sources { name } lastModifiedAt"),
    ],
)
async def test_people_who_are_removed_while_they_are_read_are_read_again(parting, monkeypatch, module, read, fields):
    client, batches = parting
    world, rule = client.world, AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
    merging = PolicySettings(
        "Merging", IdentityGraphType.PDG, rule
    )  # where nothing is kept merged, several statements read a person
    policy = global_id("MergePolicy", (await policies.create_policy(world.db, world.scope, merging)).policy_id)
    asked = [{"key": {"namespace": namespace, "value": value}} for namespace, value in (ANA, PHONE, DEVICE) * 10]
    with monkeypatch.context() as patched:
        patched.setattr(module, read, aborting(world, batches, getattr(module, read)))
        answer = await client.data(PEOPLE % fields, asked=asked, policy=policy)
    assert answer == await client.data(PEOPLE % fields, asked=asked, policy=policy)
    assert {each["status"] for each in answer["profiles"]} == {"FOUND", "NOT_FOUND"}


async def test_reads_at_one_moment_go_side_by_side_and_see_nothing_that_comes_later(parting):
    client, batches = parting
    xids = [await client.world.xid(*name) for name in (ANA, PHONE, DEVICE)]
    db, scope = client.world.db, client.world.scope
    async with db.at_one_moment() as still:
        before = await identities.read_identities(still, scope, xids)
        for batch in batches:
            await client.world.abort(batch)
        together = [identities.read_identities(still, scope, xids) for _ in range(3)]
        assert await asyncio.gather(*together) == [before] * 3
        async with still.snapshot() as session:
            assert await identities.read_identities(session, scope, xids) == before
    assert await identities.read_identities(db, scope, xids) != before


async def test_a_read_that_fails_at_one_moment_fails_alone_and_for_its_own_reason(parting):
    client, _ = parting
    world = client.world
    xids = [await world.xid(*name) for name in (ANA, PHONE)]
    async with world.db.at_one_moment() as still:
        reads = [identities.read_identities(still, world.scope, xids) for _ in range(2)]
        before, wrong, after = await asyncio.gather(reads[0], still.value(WRONG), reads[1], return_exceptions=True)
        assert isinstance(wrong, StatementFailed)
        assert (wrong.condition, wrong.sqlstate) == ("DivisionByZero", "22012")
        assert before == after == await identities.read_identities(still, world.scope, xids)


async def test_nothing_is_read_at_a_moment_that_is_over(parting):
    """A reader that is left over neither waits for ever nor reads on a connection that is another's by then."""
    client, _ = parting
    world = client.world
    go_on = asyncio.Event()

    async def left_over(still):
        await go_on.wait()
        return await identities.read_identities(still, world.scope, [])

    async with world.db.at_one_moment() as still:
        reader = asyncio.create_task(left_over(still))
        running, waiting = (asyncio.create_task(still.value(ONE)) for _ in range(2))
        await asyncio.sleep(0)
    assert await running == 1
    for refused in (waiting, reader):
        go_on.set()
        with pytest.raises(Unavailable):
            await refused


async def test_what_an_operation_that_is_given_up_reads_is_given_up_too(parting, monkeypatch):
    """Connections are free while what they wait for is still locked."""
    client, _ = parting
    has_begun, read, db = asyncio.Event(), identities.read_primaries, client.world.db

    async def noted(*args):
        has_begun.set()
        return await read(*args)

    monkeypatch.setattr(identities, "read_primaries", noted)
    async with asyncio.timeout(20), db.transaction() as tx, AsyncExitStack() as lent:
        await tx.execute(LOCK)
        asked = [{"key": {"namespace": "Email", "value": "ana@x.io"}}]
        running = asyncio.create_task(
            client.data(PEOPLE % "identities { isPrimary profile { profileId } }", asked=asked)
        )
        await has_begun.wait()
        running.cancel()
        for _ in range(db._pool._size - 1):
            await lent.enter_async_context(db._pool.lend())

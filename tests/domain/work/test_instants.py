"""What a snapshot sees of a sandbox whose people are on several nodes. The cluster is the one that `GATEWAY_TEST_DATABASE_URL` names, if any."""

import asyncio

import asyncpg
import pytest
from citus import WorkerLine, needs_cluster
from world import World, event

from gateway.domain.work.instants import snapshot_of
from gateway.errors import Unavailable
from gateway.storage.queries import Query

COUNT = Query(
    "test.count",
    "select (select count(*) from gateway.event where sandbox_id = $1) + (select count(*) from gateway.graph where sandbox_id = $1)",
    ("sandbox_id",),
    (),
    "value",
    "Count people and their events.",
)


def events(batch):
    """So many that each node stores some."""
    return [event(f"{batch}-{n}", "2026-01-01T00:00:00Z", ("Email", f"{batch}-{n}@example.com")) for n in range(20)]


async def test_a_snapshot_sees_nothing_that_comes_after_it_on_any_node(db):
    world = await World.create(db)
    await world.events(*events("before"))
    async with world.configurations.snapshot(db, world.scope) as (still, _):
        await world.events(*events("after"))
        assert await still.value(COUNT, world.scope.sandbox_id) == 40
    assert await db.value(COUNT, world.scope.sandbox_id) == 80


@needs_cluster
async def test_no_snapshot_is_taken_while_a_node_has_yet_to_commit_what_others_have(db, dsn):
    coordinator = await asyncpg.connect(dsn)
    async with WorkerLine(coordinator) as line:
        world = await World.create(db)
        line.hold(b"COMMIT PREPARED")
        call = asyncio.create_task(world.events(*events("lost")))
        await line.held.wait()
        line.cut()
        await call
        with pytest.raises(Unavailable, match="has yet to commit"):
            async with snapshot_of(db, world.scope.sandbox_id):
                pytest.fail("half of a transaction is seen")
        await line.recover()
        async with snapshot_of(db, world.scope.sandbox_id) as still:
            assert await still.value(COUNT, world.scope.sandbox_id) == 40
    await coordinator.close()

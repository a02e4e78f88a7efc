"""What a cluster spreads over its nodes; on one Postgres nothing is. The cluster is the one that `GATEWAY_TEST_DATABASE_URL` names, if any."""

import asyncio

import asyncpg
import pytest
from citus import WorkerLine, needs_cluster
from world import World, event, record

from gateway.domain.operations.verification import verify
from gateway.domain.reading.changes import list_changes, read_position
from gateway.domain.rules.keyset import Window
from gateway.domain.work.stores import OF_FACTS_AND_VIEWS
from gateway.errors import Unavailable
from gateway.storage.database import Database
from gateway.storage.distribution import FIRST, KEYS, missing
from gateway.storage.migrations import spread

ON_THE_COORDINATOR = {"change", "unlinked_pair"}
"""The journal, which is ordered by transactions of one server; and pairs, which are few and asked for by each call."""


def fail(table):
    pytest.fail(table)


def test_all_facts_and_views_are_spread_but_those_that_every_call_asks_for():
    assert set(KEYS) == set(OF_FACTS_AND_VIEWS) - ON_THE_COORDINATOR


async def test_what_a_table_is_spread_by_is_in_all_of_its_unique_keys(module_dsn):
    connection = await asyncpg.connect(module_dsn)
    rows = await connection.fetch("""
        select c.relname, array_agg(a.attname) as columns
          from pg_index i
          join pg_class c on c.oid = i.indrelid
          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
         where c.relnamespace = 'gateway'::regnamespace and i.indisunique
         group by c.relname, i.indexrelid
    """)
    await connection.close()
    keys = [(row["relname"], row["columns"]) for row in rows if row["relname"] in KEYS]
    assert {table for table, _ in keys} == set(KEYS)
    assert [table for table, columns in keys if KEYS[table] not in columns] == []


@pytest.mark.one_postgres("a cluster's template is spread already")
async def test_on_one_postgres_nothing_is_to_be_spread(dsn):
    connection = await asyncpg.connect(dsn)
    assert await missing(connection) == []
    await connection.close()
    assert await spread(dsn, fail) == ()


@needs_cluster
async def test_a_filled_store_is_spread_table_by_table_and_a_second_time_changes_nothing(dsn):
    connection = await asyncpg.connect(dsn)
    for table in reversed(KEYS):
        await connection.execute("select undistribute_table($1::text::regclass)", f"gateway.{table}")
    db = await Database.connect(dsn, size=2)
    world = await World.create(db)
    await world.records(*({"identityMap": {"Email": [{"id": f"{n}@example.com", "primary": True}]}} for n in range(20)))
    told: list[str] = []
    assert await spread(dsn, told.append) == tuple(told) == tuple(KEYS)
    assert next(iter(KEYS)) == FIRST
    assert await spread(dsn, fail) == ()
    groups = await connection.fetchval("select count(distinct colocationid) from pg_dist_partition")
    assert (groups, await connection.fetchval("select count(*) from gateway.graph")) == (1, 20)
    assert await verify(db, world.scope, world.configurations, None) == []
    await db.close()
    await connection.close()


@pytest.fixture
async def coordinator(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


EVENTS = [event(f"e{n}", "2026-01-01T00:00:00Z", ("Email", f"{n}@example.com")) for n in range(20)]
"""So many that each node stores some."""


@needs_cluster
@pytest.mark.parametrize("command", [b"PREPARE TRANSACTION", b"COMMIT PREPARED"])
async def test_a_worker_that_is_lost_while_it_commits_stores_its_part_exactly_if_the_others_do(
    db, coordinator, command
):
    async with WorkerLine(coordinator) as line:
        world = await World.create(db)
        line.hold(command)
        call = asyncio.create_task(world.events(*EVENTS))
        await line.held.wait()
        line.cut()
        is_stored = command == b"COMMIT PREPARED"
        if is_stored:
            assert (await call).accepted == 20
        else:
            with pytest.raises(Unavailable):
                await call
        await line.recover()
        assert await verify(db, world.scope, world.configurations, None) == []
        assert await coordinator.fetchval("select count(*) from gateway.event") == 20 * is_stored
        again = await world.events(*EVENTS)
        assert (again.accepted, again.duplicates) == ((0, 20) if is_stored else (20, 0))


@needs_cluster
async def test_followers_see_a_change_once_all_nodes_have_committed(db, coordinator):
    async with WorkerLine(coordinator) as line:
        world = await World.create(db)
        policy = (await world.config()).default_policy
        position, _ = await read_position(db, world.scope)
        line.hold(b"COMMIT PREPARED")
        call = asyncio.create_task(world.events(*EVENTS))
        await line.held.wait()
        assert await coordinator.fetchval("select count(*) from gateway.change") > 0
        window = Window(100, after=position.key)
        assert (await list_changes(db, world.scope, policy, window)).items == []
        line.release()
        await call
        assert len((await list_changes(db, world.scope, policy, window)).items) == 20


MOVE = "select citus_move_shard_placement($1, $2, $3, 'force_logical')"
SPLIT = """
  select citus_split_shard_by_split_points($1, array[((shardminvalue::bigint + shardmaxvalue::bigint) / 2)::text], $2, 'block_writes')
    from pg_dist_shard where shardid = $1
"""
SHARDS = """
  select s.shardid, p.groupid from pg_dist_shard s join pg_dist_placement p using (shardid)
   where s.logicalrelid = 'gateway.identity'::regclass order by s.shardid
"""
WORKERS = "select nodeid, groupid from pg_dist_node where groupid > 0 and noderole = 'primary' order by groupid"


@needs_cluster
async def test_shards_that_move_and_are_split_while_writers_write_lose_nothing_and_store_nothing_twice(db, coordinator):
    """What a writer is told could not be stored it sends again, as senders do. A split has writers wait: one that has them not, Citus never ends
    where a row is deleted meanwhile (14.0, "publisher did not send replica identity column")."""
    world = await World.create(db)
    sent, is_moving = [0] * 3, True

    async def write(writer):
        while is_moving:
            number = sent[writer]
            person = ("Email", f"{number % 40}@example.com"), ("ECID", f"{writer + 1}{number % 7:037d}")
            documents = [event(f"{writer} {number} {n}", "2026-01-01T00:00:00Z", person[n % 2]) for n in range(10)]
            try:
                stored = await world.records(record(*person, first_name=f"{writer} {number}"))
                assert stored.failed == []
                stored = await world.events(*documents)
            except Unavailable:
                continue
            assert (stored.accepted + stored.duplicates, stored.failed) == (len(documents), [])
            sent[writer] += 1

    async def move():
        (first, group), (second, _) = await coordinator.fetch(WORKERS)
        shards = await coordinator.fetch(SHARDS)
        there = [shard for shard, place in shards if place == group]
        for shard in there:
            await coordinator.execute(MOVE, shard, first, second)
        await coordinator.execute(SPLIT, there[0], [first, second])
        return len(shards)

    writers = [asyncio.create_task(write(writer)) for writer in range(len(sent))]
    try:
        before = await move()
    finally:
        is_moving = False
        await asyncio.gather(*writers)
    assert min(sent) > 0
    assert len(await coordinator.fetch(SHARDS)) == before + 1
    assert await coordinator.fetchval("select count(*) from gateway.event") == 10 * sum(sent)
    assert await verify(world.db, world.scope, world.configurations, None) == []

"""A server that stops responding delays no caller for longer than the time limit, and blocks no connection for good."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest
from stalls import stalled

from gateway.errors import Timeout
from gateway.storage.database import Database
from gateway.storage.queries import Query

SIZE = 8  # two of them for long reads
SECONDS = 1.0
IN_TIME = 4.0  # less than the time that a connection has for ending: nobody waits for that
SLEEP = Query("test.sleep", "select 1 from pg_sleep($1)", (), (), "value", "For this test.")
ECHO = Query("test.echo", "select $1::integer", (), (), "value", "For this test.")
RUNNING = "select count(*) from pg_stat_activity where query = $1 and wait_event = 'PgSleep'"
BACKENDS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@pytest.fixture
async def watcher(own_cluster):
    connection = await asyncpg.connect(own_cluster.dsn())
    yield connection
    await connection.close()


@pytest.fixture(params=["postgres", "pooler"])
async def db(request, own_cluster):
    """A database with the server's own time limits, and with ours alone, as behind a pooler."""
    cache = 500 if request.param == "postgres" else 0
    database = await Database.connect(own_cluster.dsn(), size=SIZE, statement_seconds=SECONDS, cache_size=cache)
    yield database
    await database.close()


async def read(db):
    return await db.value(SLEEP, 60)


async def write(db):
    async with db.transaction() as tx, tx.savepoint():
        await tx.value(ECHO, 1)
        return await tx.value(SLEEP, 60)


async def look(db):
    async with db.snapshot() as tx:
        return await tx.rows(SLEEP, 60)


@pytest.mark.parametrize("work", [read, write, look])
async def test_a_statement_under_way_ends_in_time(db, own_cluster, watcher, work):
    with suppress(Timeout):
        await db.value(SLEEP, 0)
    tasks = [asyncio.create_task(work(db)) for _ in range(2)]
    async with asyncio.timeout(60):
        while await watcher.fetchval(RUNNING, SLEEP.sql) < 2:
            pass
    with stalled(own_cluster):
        async with asyncio.timeout(IN_TIME):
            assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [Timeout] * 2
    await serves_again(db, watcher)


@pytest.mark.parametrize("work", [read, write, look])
async def test_a_caller_that_gives_up_is_released_at_once(db, own_cluster, watcher, work):
    """A request does so at its own time limit, or when its caller goes away."""
    task = asyncio.create_task(work(db))
    async with asyncio.timeout(60):
        while await watcher.fetchval(RUNNING, SLEEP.sql) < 1:
            pass
    with stalled(own_cluster):
        task.cancel()
        async with asyncio.timeout(IN_TIME):
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    await serves_again(db, watcher)


async def test_callers_that_wait_for_a_connection_get_an_error_in_time(db, own_cluster, watcher):
    with stalled(own_cluster):
        for _ in range(2):
            async with asyncio.timeout(IN_TIME):
                told = await asyncio.gather(*(db.value(ECHO, n) for n in range(10)), return_exceptions=True)
            assert [type(error) for error in told] == [Timeout] * 10
    await serves_again(db, watcher)


async def test_opening_the_pool_ends_in_time(own_cluster):
    with stalled(own_cluster):
        async with asyncio.timeout(IN_TIME):
            with pytest.raises(Timeout):
                await Database.connect(own_cluster.dsn(), size=2, statement_seconds=SECONDS)


async def serves_again(db, watcher):
    """Assert that statements run again, on as many connections as agreed, and no abandoned one still runs."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Timeout):
                assert await asyncio.gather(*(db.value(ECHO, n) for n in range(10))) == list(range(10))
                break
        while await watcher.fetchval(BACKENDS) > SIZE or await watcher.fetchval(RUNNING, SLEEP.sql):
            pass

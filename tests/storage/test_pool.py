"""Connections that are lent: never more than agreed, never in the middle of anything, never one that is gone."""

import asyncio

import asyncpg
import pytest

from gateway.errors import StatementFailed, Timeout, Unavailable
from gateway.storage import pool as module
from gateway.storage.pool import Pool

BACKEND = "select pg_backend_pid()"
LAST = "select query from pg_stat_activity where pid = $1"
RUNNING = "select pid from pg_stat_activity where query = $1 and state = 'active'"
SLEEP = "select pg_sleep(60)"
END = "select pg_terminate_backend($1::integer)"


@pytest.fixture
async def watcher(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def make_pool(dsn):
    made = []

    def make(size=1, **settings):
        made.append(Pool(lambda: asyncpg.connect(dsn, server_settings=settings), size))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()


async def backend(pool):
    async with pool.lend() as connection:
        return await connection.fetchval(BACKEND)


async def test_a_connection_is_used_again_without_a_statement_between(make_pool, watcher):
    pool = make_pool(2)
    first, second = await backend(pool), await backend(pool)
    assert first == second
    assert await watcher.fetchval(LAST, first) == BACKEND


async def test_no_more_connections_open_than_agreed_and_waiting_callers_have_their_turn(make_pool, watcher):
    pool, seen = make_pool(3), set()

    async def work(number):
        async with pool.lend() as connection:
            seen.add(await connection.fetchval(BACKEND))
            return await connection.fetchval("select $1::integer", number)

    assert await asyncio.gather(*map(work, range(50))) == list(range(50))
    assert len(seen) == 3


async def test_a_transaction_left_open_is_rolled_back(make_pool, watcher):
    pool = make_pool()
    async with pool.lend() as connection:
        await connection.execute("begin; create table gateway.left_open ()")
    assert await watcher.fetchval("select to_regclass('gateway.left_open')") is None
    async with pool.lend() as connection:
        assert not connection.is_in_transaction()


async def test_an_error_of_the_caller_or_of_the_statement_costs_no_connection(make_pool):
    pool = make_pool()
    first = await backend(pool)
    with pytest.raises(StatementFailed):
        async with pool.lend() as connection:
            await connection.execute("select * from nowhere")
    with pytest.raises(ZeroDivisionError):
        async with pool.lend() as connection, connection.transaction():
            raise ZeroDivisionError
    assert await backend(pool) == first


@pytest.mark.parametrize("statement", [SLEEP, f"begin; {SLEEP}"])
async def test_a_cancelled_caller_leaves_no_statement_running(make_pool, watcher, statement):
    pool = make_pool()

    async def sleep():
        async with pool.lend() as connection:
            await connection.execute(statement)

    task = asyncio.create_task(sleep())
    async with asyncio.timeout(10):
        while not await watcher.fetchval(RUNNING, statement):
            pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await backend(pool)
    assert not await watcher.fetchval(RUNNING, statement)


async def test_a_caller_that_stops_waiting_leaves_its_turn_to_others(make_pool):
    pool = make_pool()
    async with pool.lend():
        waiting = asyncio.create_task(backend(pool))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert await backend(pool)


async def test_a_connection_that_is_lost_is_unavailable_and_replaced(make_pool, watcher):
    pool = make_pool()
    first = await backend(pool)
    with pytest.raises(Unavailable):
        async with pool.lend() as connection:
            await asyncio.gather(connection.execute(SLEEP), watcher.execute(END, first))
    second = await backend(pool)
    async with pool.lend() as connection:
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        await watcher.execute(END, second)
        await asyncio.wait_for(gone.wait(), 10)
    assert await backend(pool) not in {first, second}


async def test_connections_that_were_idle_for_long_are_replaced(make_pool, monkeypatch):
    pool = make_pool()
    first = await backend(pool)
    monkeypatch.setattr(module, "MAX_IDLE_SECONDS", 0)
    assert await backend(pool) != first


async def test_a_statement_past_its_limit_is_a_timeout(make_pool):
    pool = make_pool(statement_timeout="10")
    with pytest.raises(Timeout):
        async with pool.lend() as connection:
            await connection.execute(SLEEP)
    assert await backend(pool)


async def test_closing_waits_for_lent_connections_and_lends_no_more(make_pool, watcher):
    pool = make_pool(2)
    async with pool.lend() as connection:
        process = await connection.fetchval(BACKEND)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await backend(pool)
        assert await connection.fetchval(BACKEND) == process
    await closing
    assert await watcher.fetchval("select pid from pg_stat_activity where pid = $1", process) is None


async def test_an_unreachable_server_is_unavailable_and_takes_no_turn(tmp_path):
    pool = Pool(lambda: asyncpg.connect(f"postgresql://nobody@/gateway?host={tmp_path}"), 1)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await backend(pool)
    await pool.close()

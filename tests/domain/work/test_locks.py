"""Callers that wait for one sandbox hold up no other: neither for a lock, nor by long reads, nor by many statements."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from gateway.domain.work.locks import LOCK_EXCLUSIVE, LOCK_SHARED, lock_exclusive, lock_shared
from gateway.errors import Timeout
from gateway.storage.database import Database
from gateway.storage.queries import Query

SIZE = 8
BUSY, OTHER = 101, 202
SLEEP = Query("test.sleep", "select $1::bigint from pg_sleep(60)", ("sandbox_id",), (), "value", "For this test.")
ECHO = Query("test.echo", "select $1::bigint", ("sandbox_id",), (), "value", "For this test.")
OPEN = "select count(*) from pg_stat_activity where application_name = 'tried' and state <> 'idle'"
WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


@pytest.fixture
async def tried(dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(f"{dsn}&application_name=tried", size=SIZE)
    yield database
    await database.close()


@pytest.fixture
async def watcher(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@asynccontextmanager
async def crowd(work, count: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """So many that do the same, and give up at the end."""
    tasks = [asyncio.create_task(work()) for _ in range(count)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(watcher: asyncpg.Connection, statement: str, count: int) -> None:
    async with asyncio.timeout(60):
        while await watcher.fetchval(statement) != count:
            pass


@pytest.mark.parametrize("lock", [lock_shared, lock_exclusive])
async def test_writers_that_wait_for_one_sandbox_hold_one_connection(
    db: Database, tried: Database, watcher, lock
) -> None:
    """Whoever has the lock is another process; another sandbox is read and written meanwhile, by as many as ever."""
    done = []

    async def work() -> None:
        async with lock(tried, BUSY) as tx:
            done.append(await tx.value(ECHO, BUSY))

    async with db.transaction() as holder:
        await holder.execute(LOCK_EXCLUSIVE, BUSY)
        async with crowd(work, 40) as tasks:
            await until(watcher, WAITING, 1)
            for _ in range(3):
                async with asyncio.timeout(60):
                    assert await asyncio.gather(*(other(tried) for _ in range(20))) == [OTHER] * 20
            await until(watcher, OPEN, 1)
            assert not done
            assert not any(task.done() for task in tasks)


async def other(db: Database) -> int:
    async with lock_shared(db, OTHER) as tx:
        await tx.value(ECHO, OTHER)
    return await db.value(ECHO, OTHER)


@pytest.mark.parametrize("lock", [lock_shared, lock_exclusive])
async def test_all_waiting_writers_get_the_lock_once_it_is_free(db: Database, tried: Database, watcher, lock) -> None:
    done = []

    async def work() -> None:
        async with lock(tried, BUSY) as tx:
            done.append(await tx.value(ECHO, BUSY))

    async with crowd(work, 40) as tasks:
        async with db.transaction() as holder:
            await holder.execute(LOCK_EXCLUSIVE, BUSY)
            await until(watcher, WAITING, 1)
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
    assert done == [BUSY] * 40


async def test_locks_of_many_sandboxes_leave_connections_to_others(db: Database, tried: Database, watcher) -> None:
    async with db.transaction() as holder:
        for sandbox_id in range(1, 31):
            await holder.execute(LOCK_SHARED, sandbox_id)
        waiting = iter(range(1, 31))

        async def work() -> None:
            async with lock_exclusive(tried, next(waiting)):
                raise AssertionError("it is not free")

        async with crowd(work, 30):
            await until(watcher, WAITING, SIZE // 4)
            async with asyncio.timeout(60):
                assert await asyncio.gather(*(other(tried) for _ in range(20))) == [OTHER] * 20


async def test_one_sandbox_leaves_connections_to_the_others(tried: Database, watcher) -> None:
    """However many statements it has under way, and however long they take."""

    async def read() -> None:
        await tried.value(SLEEP, BUSY)

    async def write() -> None:
        async with tried.transaction(BUSY) as tx:
            await tx.value(SLEEP, BUSY)

    for work in (read, write):
        async with crowd(work, 40):
            await until(watcher, OPEN, SIZE - SIZE // 4)
            async with asyncio.timeout(60):
                assert await asyncio.gather(*(other(tried) for _ in range(20))) == [OTHER] * 20
        await until(watcher, OPEN, 0)


async def test_long_reads_have_a_part_of_the_connections_together(tried: Database, watcher) -> None:
    sandboxes = iter(range(1, 31))

    async def look() -> None:
        async with tried.snapshot() as tx:
            await tx.value(SLEEP, next(sandboxes))

    async with crowd(look, 30):
        await until(watcher, OPEN, SIZE // 4)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(other(tried) for _ in range(20))) == [OTHER] * 20


async def test_a_writer_that_waits_for_too_long_gets_a_timeout_and_frees_its_place(db: Database, dsn: str) -> None:
    short = await Database.connect(dsn, size=4, statement_seconds=0.5)
    async with db.transaction() as holder:
        await holder.execute(LOCK_EXCLUSIVE, BUSY)

        async def work() -> None:
            async with lock_shared(short, BUSY):
                raise AssertionError("it is not free")

        tasks = [asyncio.create_task(work()) for _ in range(10)]
        assert {type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)} == {Timeout}
    async with lock_shared(short, BUSY) as tx:
        assert await tx.value(ECHO, BUSY) == BUSY
    await short.close()

"""Postgres as the domain sees it: named statements in, rows out, every statement observed.

`Database` reads on any connection of its pool; `transaction()` gives a `Session` with the same verbs on one connection. Errors of the
driver become ours: `faults` lists them.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

import asyncpg

from gateway.storage.faults import told
from gateway.storage.pool import Pool
from gateway.storage.queries import Query, query
from gateway.telemetry import StatementRan, observe

IS_DISTRIBUTED = query("maintenance.is_distributed")

CHUNKS = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)  # sizes of VALUES lists: few, so that each stays a prepared statement

SETTINGS = {
    "jit": "off",
    "search_path": "gateway",
    "enable_memoize": "off",  # hardly a statement looks for a key twice
    "plan_cache_mode": "force_generic_plan",  # each statement has one right plan; to plan it anew over partitions takes longer than to run it
}


class Session:
    """The four verbs of a statement, on one connection."""

    def __init__(self, connection: Any, *, is_distributed: bool = False) -> None:
        self._connection = connection
        self.is_distributed = is_distributed

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        """All rows of the statement."""
        begin = perf_counter()
        result: list[Any] = await told(self._connection, self._connection.fetch(query.sql, *args))
        _observe(query.name, begin, len(result))
        return result

    async def row(self, query: Query, *args: Any) -> Any | None:
        """The first row, or None."""
        begin = perf_counter()
        result = await told(self._connection, self._connection.fetchrow(query.sql, *args))
        _observe(query.name, begin)
        return result

    async def value(self, query: Query, *args: Any) -> Any:
        """The first column of the first row, or None."""
        begin = perf_counter()
        result = await told(self._connection, self._connection.fetchval(query.sql, *args))
        _observe(query.name, begin)
        return result

    async def execute(self, query: Query, *args: Any) -> None:
        """Run the statement for its effect."""
        begin = perf_counter()
        await told(self._connection, self._connection.execute(query.sql, *args))
        _observe(query.name, begin)

    async def update_rows(self, query: Query, *args: Any, rows: Sequence[Sequence[Any]]) -> int:
        """Run a `{rows}` statement over all rows, each of them once and in order; how many rows it touched in the store."""
        touched = 0
        for chunk in _chunks(rows):
            begin = perf_counter()
            values = (value for row in chunk for value in row)
            running = self._connection.execute(query.with_rows(len(chunk)), *args, *values)
            status: str = await told(self._connection, running)
            _observe(query.name, begin)
            touched += int(status.rpartition(" ")[2])
        return touched

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Inside a transaction: what the block did is undone, alone, when it raises."""
        async with self._connection.transaction():
            yield

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Append rows by COPY. Raises ConstraintViolated when a concurrent writer was first."""
        begin = perf_counter()
        copying = self._connection.copy_records_to_table(table, schema_name="gateway", columns=columns, records=rows)
        await told(self._connection, copying)
        _observe(f"copy {table}", begin)


class Database:
    """A pool of connections to one Postgres. `is_distributed`: it is the coordinator of a Citus cluster."""

    def __init__(self, pool: Pool, *, is_distributed: bool) -> None:
        self._pool = pool
        self.is_distributed = is_distributed

    @classmethod
    async def connect(
        cls, dsn: str, *, size: int = 10, statement_seconds: float = 30, cache_size: int = 500
    ) -> "Database":
        """Open the pool. Raises Unavailable when nothing answers. `cache_size=0` suits a pooler in transaction mode."""
        settings = SETTINGS | {"statement_timeout": f"{round(statement_seconds * 1000)}"}
        opened = partial(asyncpg.connect, dsn, statement_cache_size=cache_size, server_settings=settings)
        pool = Pool(opened, size)
        async with pool.lend() as connection:
            return cls(pool, is_distributed=await Session(connection).value(IS_DISTRIBUTED))

    async def close(self) -> None:
        """Let running statements end, then close every connection."""
        await self._pool.close()

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        async with self._pool.lend() as connection:
            return await Session(connection).rows(query, *args)

    async def row(self, query: Query, *args: Any) -> Any | None:
        async with self._pool.lend() as connection:
            return await Session(connection).row(query, *args)

    async def value(self, query: Query, *args: Any) -> Any:
        async with self._pool.lend() as connection:
            return await Session(connection).value(query, *args)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """All or nothing: commits at the end of the block, rolls back when it raises."""
        async with self._pool.lend() as connection, connection.transaction():
            yield Session(connection, is_distributed=self.is_distributed)

    @asynccontextmanager
    async def trial(self) -> AsyncIterator[Session]:
        """A transaction that is rolled back at the end of the block, whatever comes of it."""
        async with self._pool.lend() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield Session(connection, is_distributed=self.is_distributed)
            finally:
                await transaction.rollback()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Reads that all see the store as it was at the first of them, whatever is committed meanwhile."""
        async with (
            self._pool.lend() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Session(connection, is_distributed=self.is_distributed)


Reader: TypeAlias = Database | Session
"""Where a read looks: on any connection of the pool, or on the one whose transaction or snapshot it is a part of."""


def _observe(name: str, begin: float, rows: int = 0) -> None:
    observe(StatementRan(name, perf_counter() - begin, rows))


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size

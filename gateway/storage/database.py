"""Postgres as the domain sees it: named statements in, rows out, every statement observed.

`Database` reads on any connection of its pool; `transaction()` gives a `Transaction` with the same verbs on one connection. Connection
trouble becomes `Unavailable`, a statement past its time limit `Timeout`; every other database error passes through, so that a verb can
tell a unique violation from a bug.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any, TypeAlias

import asyncpg

from gateway.errors import Timeout, Unavailable
from gateway.storage.queries import Query, query
from gateway.telemetry import StatementRan, observe

IS_DISTRIBUTED = query("maintenance.is_distributed")

CHUNKS = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)  # sizes of VALUES lists: few, so that each stays a prepared statement


class Session:
    """The four verbs of a statement, on one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        """All rows of the statement."""
        with _observed(query.name) as seen:
            result: list[Any] = await self._connection.fetch(query.sql, *args)
            seen.append(len(result))
        return result

    async def row(self, query: Query, *args: Any) -> Any | None:
        """The first row, or None."""
        with _observed(query.name):
            return await self._connection.fetchrow(query.sql, *args)

    async def value(self, query: Query, *args: Any) -> Any:
        """The first column of the first row, or None."""
        with _observed(query.name):
            return await self._connection.fetchval(query.sql, *args)

    async def execute(self, query: Query, *args: Any) -> None:
        """Run the statement for its effect."""
        with _observed(query.name):
            await self._connection.execute(query.sql, *args)

    async def update_rows(self, query: Query, *args: Any, rows: Sequence[Sequence[Any]]) -> int:
        """Run a `{rows}` statement over all rows, each of them once and in order; how many rows it touched in the store."""
        touched = 0
        for chunk in _chunks(rows):
            with _observed(query.name):
                values = (value for row in chunk for value in row)
                status: str = await self._connection.execute(query.with_rows(len(chunk)), *args, *values)
            touched += int(status.rpartition(" ")[2])
        return touched

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Inside a transaction: what the block did is undone, alone, when it raises."""
        async with self._connection.transaction():
            yield

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Append rows by COPY. Raises asyncpg.UniqueViolationError when a concurrent writer was first."""
        with _observed(f"copy {table}"):
            await self._connection.copy_records_to_table(table, schema_name="gateway", columns=columns, records=rows)


class Connection(asyncpg.Connection):
    """Goes back to the pool without a trip: no statement of ours sets, locks or listens for longer than its transaction."""

    def get_reset_query(self) -> str:
        """Nothing. What a transaction left open is still rolled back."""
        return ""


class Database:
    """A pool of connections to one Postgres. `is_distributed`: it is the coordinator of a Citus cluster."""

    def __init__(self, pool: Any, *, is_distributed: bool) -> None:
        self._pool = pool
        self.is_distributed = is_distributed

    @classmethod
    async def connect(
        cls, dsn: str, *, size: int = 10, statement_seconds: float = 30, cache_size: int = 500
    ) -> "Database":
        """Open the pool. Raises Unavailable when nothing answers. `cache_size=0` suits a pooler in transaction mode."""
        settings = {"jit": "off", "search_path": "gateway", "statement_timeout": f"{round(statement_seconds * 1000)}"}
        with _translated():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                statement_cache_size=cache_size,
                server_settings=settings,
                connection_class=Connection,
            )
            return cls(pool, is_distributed=await pool.fetchval(IS_DISTRIBUTED.sql))

    async def close(self) -> None:
        """Let running statements end, then close every connection."""
        await self._pool.close()

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        async with self._session() as session:
            return await session.rows(query, *args)

    async def row(self, query: Query, *args: Any) -> Any | None:
        async with self._session() as session:
            return await session.row(query, *args)

    async def value(self, query: Query, *args: Any) -> Any:
        async with self._session() as session:
            return await session.value(query, *args)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """All or nothing: commits at the end of the block, rolls back when it raises."""
        with _translated():
            async with self._pool.acquire() as connection, connection.transaction():
                yield Session(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Reads that all see the store as it was at the first of them, whatever is committed meanwhile."""
        with _translated():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield Session(connection)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        with _translated():
            async with self._pool.acquire() as connection:
                yield Session(connection)


Reader: TypeAlias = Database | Session
"""Where a read looks: on any connection of the pool, or on the one whose transaction or snapshot it is a part of."""


@contextmanager
def _observed(name: str) -> Iterator[list[int]]:
    begin, seen = perf_counter(), list[int]()
    yield seen
    observe(StatementRan(name, perf_counter() - begin, sum(seen)))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise Timeout from error
    except (
        OSError,
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.TooManyConnectionsError,
    ) as error:
        raise Unavailable from error


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size

"""Named statements in, rows out: how the domain uses Postgres. Every statement is observed.

`Database` reads on any connection of its pool; `transaction()` gives a `Session` with the same verbs on one connection. Errors of the
driver become errors of `gateway.errors`: the module `faults` lists them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from copy import copy
from time import perf_counter
from typing import Any, Self, TypeAlias, TypeVar

from gateway.errors import StatementFailed, Timeout, Unavailable
from gateway.storage.connections import GRACE_SECONDS, SETTINGS_ON_A_CLUSTER, connect_apart, open_first, open_to_alter
from gateway.storage.faults import OPENING, of_a_copy, opening_failed, run_translated, run_unless_lost
from gateway.storage.listener import Listener, Waiter
from gateway.storage.notifications import Channel, Notifications
from gateway.storage.pool import Pool, quarter_of
from gateway.storage.queries import Query, query, template
from gateway.storage.shares import Shares
from gateway.storage.transactions import is_cut_off, transaction_on
from gateway.telemetry import StatementRan, observe

T = TypeVar("T")

ANALYZE = query("maintenance.analyze")
IS_DISTRIBUTED = query("maintenance.is_distributed")
LIMIT_TIME = query("maintenance.limit_time")
NOTIFY = query("maintenance.notify")
SHARE_SNAPSHOT = query("maintenance.share_snapshot")
SEE_SNAPSHOT = template("maintenance.see_snapshot")

ROWS_PER_STATEMENT = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Lengths of VALUES lists: few, so that each stays prepared."""
DAY_SECONDS = 24 * 60 * 60.0


class Session:
    """One connection, and the verbs that run statements on it. All of them raise the errors that the module `faults` lists."""

    def __init__(self, connection: Any, *, is_distributed: bool = False) -> None:
        self._connection = connection
        self._seconds: float | None = None  # the connection's own limit
        self.is_distributed = is_distributed
        self.channels = set[Channel]()

    def notify(self, channel: Channel) -> None:
        """Wake the waiters on this channel, in every process, soon after the transaction is committed."""
        self.channels.add(channel)

    async def lift_time_limit(self) -> None:
        """Allow each statement a day, until the transaction ends."""
        await self.limit_time(DAY_SECONDS)

    async def limit_time(self, seconds: float) -> None:
        """Allow each statement so many seconds, until the transaction ends."""
        self._seconds = seconds + GRACE_SECONDS
        await self.value(LIMIT_TIME, f"{max(1, round(seconds * 1_000))}")

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        """Run a statement and return all of its rows."""
        begin = perf_counter()
        running = self._connection.fetch(query.sql, *args, timeout=self._seconds)
        result: list[Any] = await run_translated(self._connection, running)
        _observe(query.name, begin, len(result))
        return result

    async def pages(self, query: Query, *args: Any, size: int) -> AsyncIterator[list[Any]]:
        """Run a statement and yield its rows, at most `size` at a time, while Postgres keeps the others. To be used inside a transaction."""
        cursor = await self._open(query, *args)
        while page := await self._next_page(query, cursor, size):
            yield page

    async def _open(self, query: Query, *args: Any) -> Any:
        return await run_translated(self._connection, self._connection.cursor(query.sql, *args, timeout=self._seconds))

    async def _next_page(self, query: Query, cursor: Any, size: int) -> list[Any]:
        begin = perf_counter()
        page: list[Any] = await run_translated(self._connection, cursor.fetch(size, timeout=self._seconds))
        _observe(query.name, begin, len(page))
        return page

    async def row(self, query: Query, *args: Any) -> Any | None:
        """Run a statement and return its first row, or None."""
        begin = perf_counter()
        running = self._connection.fetchrow(query.sql, *args, timeout=self._seconds)
        result = await run_translated(self._connection, running)
        _observe(query.name, begin)
        return result

    async def value(self, query: Query, *args: Any) -> Any:
        """Run a statement and return the first column of its first row, or None."""
        begin = perf_counter()
        running = self._connection.fetchval(query.sql, *args, timeout=self._seconds)
        result = await run_translated(self._connection, running)
        _observe(query.name, begin)
        return result

    async def execute(self, query: Query, *args: Any) -> None:
        """Run a statement for its effect."""
        begin = perf_counter()
        await run_translated(self._connection, self._connection.execute(query.sql, *args, timeout=self._seconds))
        _observe(query.name, begin)

    async def update_rows(self, query: Query, *args: Any, rows: Sequence[Sequence[Any]]) -> int:
        """Run a `{rows}` statement over all rows, each once and in order. Return how many rows of the database it touched."""
        touched = 0
        for chunk in _chunked(rows):
            begin = perf_counter()
            values = (value for row in chunk for value in row)
            sql = query.with_rows(len(chunk))
            running = self._connection.execute(sql, *args, *values, timeout=self._seconds)
            status: str = await run_translated(self._connection, running)
            _observe(query.name, begin)
            touched += int(status.rpartition(" ")[2])
        return touched

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what the block did, and nothing before it, when the block raises. To be used inside a transaction."""
        async with transaction_on(self._connection):
            yield

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Append rows by COPY, if there are any. Raises ConstraintViolated when a concurrent writer was first."""
        if rows:
            to = {"schema_name": "gateway", "columns": columns, "timeout": self._seconds}
            await self._copied(table, self._connection.copy_records_to_table(table, records=rows, **to))

    async def copy_packed(self, table: str, columns: Sequence[str], rows: bytearray) -> None:
        """Append rows that are in Postgres' binary format already (module `packing`), as `copy` does."""
        to = {"schema_name": "gateway", "columns": columns, "timeout": self._seconds}
        await self._copied(table, self._connection.copy_to_table(table, source=rows, format="binary", **to))

    async def _copied(self, table: str, copying: Coroutine[Any, Any, str]) -> None:
        begin = perf_counter()
        try:
            await run_translated(self._connection, run_unless_lost(self._connection, copying))
        except StatementFailed as error:
            if self.is_distributed:
                raise of_a_copy(error) from error.__cause__
            raise
        _observe(f"copy {table}", begin)


class SerialSession(Session):
    """A session for readers that run side by side: their statements wait for each other, and one that Postgres refuses ends no other read.

    With the end of its block it refuses the statements of readers that are left over, by Unavailable; so it does once one was cut off.
    """

    def __init__(self, connection: Any, *, is_distributed: bool) -> None:
        super().__init__(connection, is_distributed=is_distributed)
        self._turn = asyncio.Lock()
        self._is_over = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._is_over = True
        if error is None or not is_cut_off(error):
            async with self._turn:  # when the statement has ended that still runs
                pass

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        """Run a statement and return all of its rows."""
        return await self._in_turn(super().rows, query, *args)

    async def row(self, query: Query, *args: Any) -> Any | None:
        """Run a statement and return its first row, or None."""
        return await self._in_turn(super().row, query, *args)

    async def value(self, query: Query, *args: Any) -> Any:
        """Run a statement and return the first column of its first row, or None."""
        return await self._in_turn(super().value, query, *args)

    async def write(self, query: Query, *args: Any) -> Any | None:
        """Run a statement that writes and return its first row, without a savepoint, whose number others would look up until the transaction ends.

        Its error ends the transaction. Raises Unavailable once that has ended.
        """
        async with self._turn:
            if self._is_over:
                raise Unavailable("What this writes in has ended; try again.")
            try:
                return await super().row(query, *args)
            except BaseException:
                self._is_over = True
                raise

    async def _open(self, query: Query, *args: Any) -> Any:
        return await self._in_turn(super()._open, query, *args)

    async def _next_page(self, query: Query, cursor: Any, size: int) -> list[Any]:
        return await self._in_turn(super()._next_page, query, cursor, size)

    async def _in_turn(self, verb: Callable[..., Awaitable[T]], *args: Any) -> T:
        async with self._turn:
            if self._is_over:
                raise Unavailable("What this is read with has ended; try again.")
            try:
                return await run_translated(self._connection, self._apart(verb, *args))
            except BaseException as error:
                if is_cut_off(error):
                    self._is_over = True
                raise

    async def _apart(self, verb: Callable[..., Awaitable[T]], *args: Any) -> T:
        async with self.savepoint():
            return await verb(*args)


class Database:
    """A pool of connections to one Postgres. `is_distributed`: that one is the coordinator of a Citus cluster."""

    def __init__(
        self, pool: Pool, listener: Listener, direct_dsn: str, *, size: int, seconds: float, is_distributed: bool
    ) -> None:
        self._pool, self._listener, self._direct_dsn, self._seconds = pool, listener, direct_dsn, seconds
        self._notifications = Notifications(self._notify)
        self._long_reads, self._parallel_writes = (
            Shares(quarter_of(size), seconds),
            Shares(quarter_of(size) - 1, seconds),
        )
        self._queues, self._waiting = Shares(1, seconds), Shares(quarter_of(size), seconds)
        self.is_distributed = is_distributed
        self._moment: SerialSession | None = None

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        size: int = 10,
        statement_seconds: float = 30,
        cache_size: int = 500,
        listen_dsn: str | None = None,
    ) -> "Database":
        """Open the pool. `statement_seconds` limits each statement, and each wait for a connection.

        A pooler in transaction mode in front of Postgres is detected; `cache_size=0` says that there is one. Notifications do not come
        through such a pooler: `listen_dsn` is the address of Postgres itself, to which one more connection is opened when somebody waits, or
        changes the schema.
        Raises DatabaseRefused when Postgres refuses the connection, Unavailable when nothing answers, Timeout.
        """
        limits: dict[str, Any] = {"seconds": statement_seconds, "cache_size": cache_size}
        try:
            first, connect = await open_first(dsn, **limits)
            is_distributed = await Session(first).value(IS_DISTRIBUTED)
            if is_distributed:
                await first.close()
                first, connect = await open_first(dsn, **limits, settings=SETTINGS_ON_A_CLUSTER)
        except OPENING as error:
            raise opening_failed(error) from error
        pool = Pool(connect, size, seconds=statement_seconds)
        pool.keep(first)
        direct = listen_dsn or dsn
        listener = Listener(connect_apart(direct, seconds=statement_seconds, statement_seconds=statement_seconds))
        return cls(pool, listener, direct, size=size, seconds=statement_seconds, is_distributed=is_distributed)

    @property
    def is_still(self) -> bool:
        """Whether all reads see what one `snapshot` sees."""
        return self._moment is not None

    async def close(self) -> None:
        """Let running statements end, then close every connection."""
        await self._listener.close()
        await self._notifications.close()
        await self._pool.close()

    def waiter(self, channel: Channel) -> AbstractContextManager[Waiter]:
        """Wait for notifications on a channel as long as the block lasts."""
        return self._listener.waiter(channel)

    async def _notify(self, channels: Collection[Channel]) -> None:
        await self.rows(NOTIFY, list(channels))

    async def rows(self, query: Query, *args: Any) -> list[Any]:
        """Run a statement on a free connection and return all of its rows."""
        if self._moment is not None:
            return await self._moment.rows(query, *args)
        async with self._pool.lend(_owner(query, args)) as connection:
            return await Session(connection).rows(query, *args)

    async def row(self, query: Query, *args: Any) -> Any | None:
        """Run a statement on a free connection and return its first row, or None."""
        if self._moment is not None:
            return await self._moment.row(query, *args)
        async with self._pool.lend(_owner(query, args)) as connection:
            return await Session(connection).row(query, *args)

    async def value(self, query: Query, *args: Any) -> Any:
        """Run a statement on a free connection and return the first column of its first row, or None."""
        if self._moment is not None:
            return await self._moment.value(query, *args)
        async with self._pool.lend(_owner(query, args)) as connection:
            return await Session(connection).value(query, *args)

    async def write(self, query: Query, *args: Any) -> Any | None:
        """Run a statement that writes in the transaction of this database of one moment, and return its first row. Its error ends the transaction."""
        if self._moment is None:
            raise ValueError("only a database of one moment has a transaction")
        return await self._moment.write(query, *args)

    async def refresh_statistics(self) -> None:
        """Have Postgres analyze the keys of tables that have doubled since it last did: until then it plans for their former size."""
        async with self.transaction() as tx:
            await tx.execute(ANALYZE)

    @asynccontextmanager
    async def altering(self, *, wait_seconds: float) -> AsyncIterator[Session]:
        """Open a connection to change the schema by statements outside any transaction, for up to a day each, as long as the block lasts.

        A statement that waits for a lock for longer than `wait_seconds` raises Contended, and leaves what it has done. Raises Unavailable where
        only a pooler is known, DatabaseRefused, Timeout.
        """
        limits = {"seconds": self._seconds, "statement_seconds": DAY_SECONDS, "wait_seconds": wait_seconds}
        try:
            connection = await open_to_alter(self._direct_dsn, **limits)
        except OPENING as error:
            raise opening_failed(error) from error
        if connection is None:
            raise Unavailable(
                "The address of the database is that of a pooler, through which no index can be made: set GATEWAY_LISTEN_URL to Postgres itself."
            )
        try:
            yield Session(connection)
        except BaseException:
            connection.terminate()  # the server ends by itself a statement that was cut off
            raise
        await connection.close()

    @asynccontextmanager
    async def transaction(self, sandbox_id: int | None = None) -> AsyncIterator[Session]:
        """Commit at the end of the block, roll back when it raises. With a `sandbox_id`, take one of that sandbox's connections."""
        async with self._pool.lend(sandbox_id) as connection, transaction_on(connection):
            session = Session(connection, is_distributed=self.is_distributed)
            yield session
        self._notifications.add(session.channels)

    @asynccontextmanager
    async def trial(self, sandbox_id: int | None = None) -> AsyncIterator[Session]:
        """Begin a transaction that is always rolled back at the end of the block."""
        async with self._pool.lend(sandbox_id) as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield Session(connection, is_distributed=self.is_distributed)
            except BaseException as error:
                if not is_cut_off(error):
                    await transaction.rollback()
                raise
            await transaction.rollback()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SerialSession]:
        """Begin a transaction whose reads all see the database as it was at the first of them, whatever is committed meanwhile.

        All snapshots together use at most a quarter of the connections. Raises Timeout when none of these is free in time.
        """
        if self._moment is not None:
            yield self._moment
            return
        async with _in_time(self._long_reads.place()), self._of_one_moment(readonly=True) as session:
            yield session

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator["Database"]:
        """Give a database whose reads all see what one `snapshot` sees. Raises Timeout."""
        async with self.snapshot() as session:
            yield self._within(session)

    @asynccontextmanager
    async def writing_at_one_moment(self) -> AsyncIterator["Database"]:
        """Give a database of one moment whose `write`s are committed at the end of the block, or undone when it raises. Raises Timeout."""
        async with _in_time(self._long_reads.place()), self._of_one_moment() as session:
            yield self._within(session)

    @asynccontextmanager
    async def writing_in_parallel(self) -> AsyncIterator["Database | None"]:
        """Give another database that writes at the moment of this one, in a transaction of its own; None where no connection can be spared for it."""
        if not self._parallel_writes.enter_at_once():
            yield None
            return
        try:
            shared: Any = await self.write(SHARE_SNAPSHOT)
            async with self._of_one_moment() as session:
                await session.execute(SEE_SNAPSHOT.filled(name=shared["name"]))
                yield self._within(session)
        finally:
            self._parallel_writes.leave()

    @asynccontextmanager
    async def _of_one_moment(self, *, readonly: bool = False) -> AsyncIterator[SerialSession]:
        async with (
            self._pool.lend() as connection,
            transaction_on(connection, isolation="repeatable_read", readonly=readonly),
            SerialSession(connection, is_distributed=self.is_distributed) as session,
        ):
            yield session

    def _within(self, session: SerialSession) -> "Database":
        still = copy(self)
        still._moment = session  # noqa: SLF001 (of its own class)
        return still

    @asynccontextmanager
    async def waiting(self, lock: Hashable) -> AsyncIterator[None]:
        """Queue for a lock outside the database, before a transaction that waits for it: one transaction at a time waits for a lock.

        Transactions that wait for any lock use at most a quarter of the connections. Raises Timeout when the turn does not come in time."""
        async with _in_time(self._queues.place(lock)), _in_time(self._waiting.place()):
            yield


Reader: TypeAlias = Database | Session
"""What a read runs on: any connection of the pool, or the one whose transaction or snapshot the read is part of."""


@asynccontextmanager
async def _in_time(place: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
    async with AsyncExitStack() as held:
        try:
            await held.enter_async_context(place)
        except TimeoutError as error:
            raise Timeout("Too much like it is under way; try again.") from error
        yield


def _owner(query: Query, args: Sequence[Any]) -> Hashable:
    return args[0] if query.parameters[:1] == ("sandbox_id",) else None


def _observe(name: str, begin: float, rows: int = 0) -> None:
    observe(StatementRan(name, perf_counter() - begin, rows))


def _chunked(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    start = 0
    for size in ROWS_PER_STATEMENT:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size

"""Connections to one Postgres, each lent to one block at a time.

asyncpg's own pool runs a statement to reset a session that ours never changes, and makes a task, a timer and a proxy for each loan; small
reads then cost two to three times as much. Errors of the driver are translated: the module `faults` lists them.

No caller waits for a connection to end. One that was cut off in the middle of a statement is ended in the background, and no other is
opened in its place until then: a Postgres that no longer answers costs each caller its time limit, and the pool no extra connection.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

from gateway.errors import DatabaseRefused, Unavailable
from gateway.storage.faults import DRIVER, leaves_sound, opening_failed, translated
from gateway.storage.shares import Shares
from gateway.telemetry import ConnectionRefused, observe

MAX_IDLE_SECONDS = 300  # a proxy between us and the server may have dropped an older connection
CANCEL_TIMEOUT_SECONDS = 5  # for a statement to be cancelled, and for a connection to end


class Pool:
    """At most `size` connections, opened when they are needed, lent in the order of the callers."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int, *, seconds: float = 30) -> None:
        """`connect` opens a connection; `seconds` is the longest wait for a free one."""
        self._connect = connect
        self._size = size
        self._turns = Shares(size, seconds)
        self._shares = Shares(max(1, size - quarter_of(size)), seconds)
        self._idle = deque[tuple[float, Any]]()  # since when, and what; in this order
        self._ending = set[asyncio.Task[None]]()
        self._is_closed = False

    def lend(self, of: Hashable = None) -> "Loan":
        """Lend a connection to an `async with` block, counted to the share of `of` unless that is None.

        Raises Unavailable; Timeout when none is free, or none can be opened, in time.
        """
        return Loan(self, of)

    def keep(self, connection: Any) -> None:
        """Add a connection that is open already to the idle ones."""
        self._idle.append((monotonic(), connection))

    def take_idle(self, of: Hashable = None) -> Any | None:
        """Take a connection as `take` does, if that needs no waiting; None if it does."""
        if self._is_closed or not (of is None or self._shares.enter_at_once(of)):
            return None
        if self._turns.enter_at_once():
            if (connection := self._newest()) is not None:
                return connection
            self._turns.leave()
        if of is not None:
            self._shares.leave(of)
        return None

    async def take(self, of: Hashable = None) -> Any:
        """Take a connection outside any transaction, until it is given back. No share has all of them. Raises Unavailable, Timeout."""
        if self._is_closed:
            raise Unavailable("The gateway is ending.")
        if of is None:
            return await self._take()
        await self._shares.enter(of)
        try:
            return await self._take()
        except BaseException:
            self._shares.leave(of)
            raise

    async def _take(self) -> Any:
        await self._turns.enter()
        try:
            return self._newest() or await self._connect()
        except BaseException:
            self._turns.leave()
            raise

    def give(self, connection: Any, of: Hashable = None, *, is_sound: bool) -> None:
        """Take a connection back. It is ended before its place is free if it is in a transaction, or not `is_sound`: still in a statement."""
        if of is not None:
            self._shares.leave(of)
        if is_sound and not connection.is_in_transaction():
            self.keep(connection)
            self._turns.leave()
        else:
            task = asyncio.create_task(self._end(connection))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Wait until every connection is given back, then end them."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in range(self._size):
            await self._given_back()
        await asyncio.gather(*(_close(connection) for _, connection in self._idle))

    async def _given_back(self) -> None:
        """Wait for a connection to be given back, however long that takes."""
        while True:
            with suppress(TimeoutError):
                return await self._turns.enter()

    async def _end(self, connection: Any) -> None:
        try:
            await _close(connection)
        finally:
            self._turns.leave()

    def _newest(self) -> Any | None:
        """Return the connection that was given back last, so that connections which only a burst needed grow old and end."""
        while self._idle and monotonic() - self._idle[0][0] > MAX_IDLE_SECONDS:
            self._idle.popleft()[1].terminate()
        while self._idle:
            connection = self._idle.pop()[1]
            if not connection.is_closed():
                return connection
        return None


class Loan:
    """The connection of one `async with` block, which translates the driver's errors."""

    __slots__ = ("_connection", "_of", "_pool")

    def __init__(self, pool: Pool, of: Hashable) -> None:
        self._pool = pool
        self._of = of

    async def __aenter__(self) -> Any:
        self._connection: Any = self._pool.take_idle(self._of) or await self._taken()
        return self._connection

    async def _taken(self) -> Any:
        try:
            return await self._pool.take(self._of)
        except DRIVER as error:
            reason = opening_failed(error)
            if isinstance(reason, DatabaseRefused):
                observe(ConnectionRefused(reason.message))
                raise Unavailable("The database refuses the gateway, which only its operator can mend.") from error
            raise translated(error, is_closed=True) from error

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        is_closed: bool = self._connection.is_closed()
        self._pool.give(self._connection, self._of, is_sound=not is_closed and (error is None or leaves_sound(error)))
        if isinstance(error, DRIVER):
            raise translated(error, is_closed=is_closed) from error


def quarter_of(size: int) -> int:
    """Return a quarter of a pool's connections, at least 1.

    Each sandbox leaves so many to the others; all snapshots, and all transactions that wait for locks, use at most so many.
    """
    return max(1, size // 4)


async def _close(connection: Any) -> None:
    """End a connection and cancel the statement that runs on it; if that takes too long, drop the connection."""
    with suppress(Exception):
        await connection.close(timeout=CANCEL_TIMEOUT_SECONDS)

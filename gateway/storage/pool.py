"""Connections to one Postgres, each lent to one block at a time.

asyncpg's own pool resets with a statement what ours never set, and makes a task, a timer and a proxy for each loan; small reads then
cost two to three times as much. Errors of the driver become ours: `faults` lists them.

Nobody waits for a connection to end: one that was cut off in the middle of a statement is ended in the background, and as long as that
takes no other is opened in its place. So a Postgres that no longer answers costs each caller its time limit, and never a connection more
than agreed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

from gateway.errors import DatabaseRefused, Unavailable
from gateway.runtime.deadlines import Deadlines
from gateway.storage.faults import DRIVER, leaves_sound, opening_failed, translated
from gateway.storage.shares import Shares
from gateway.telemetry import ConnectionRefused, observe

IDLE = 300  # seconds: what stands between us and the server may have forgotten an older connection
PATIENCE = 5  # seconds for a statement to be called off, and for a connection to end


class Pool:
    """At most `size` connections, opened when they are needed. Who finds none free waits for its turn."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int, *, seconds: float = 30) -> None:
        """`connect` opens a connection; `seconds` is how long anybody waits for one that is free."""
        self._connect = connect
        self._size = size
        self._deadlines = Deadlines(seconds)
        self._turns = asyncio.Semaphore(size)
        self._shares = Shares(max(1, size - part_of(size)), seconds)
        self._idle = deque[tuple[float, Any]]()  # since when, and what; in this order
        self._ending = set[asyncio.Task[None]]()
        self._is_closed = False

    def lend(self, of: Hashable = None) -> "Loan":
        """A connection for an `async with` block, out of the share that is `of` somebody, or None. Raises Unavailable; Timeout when none is free, or none can be opened, in time."""
        return Loan(self, of)

    def keep(self, connection: Any) -> None:
        """Take in a connection that was opened elsewhere, to lend it."""
        self._idle.append((monotonic(), connection))

    async def take(self, of: Hashable = None) -> Any:
        """A connection outside any transaction, until it is given back. Nobody has all of them."""
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
        if self._turns.locked():
            with self._deadlines.begin():
                await self._turns.acquire()
        else:
            await self._turns.acquire()
        try:
            return self._newest() or await self._connect()
        except BaseException:
            self._turns.release()
            raise

    def give(self, connection: Any, of: Hashable = None, *, is_sound: bool) -> None:
        """Take a connection back. One in a transaction, or in the middle of a statement and so not sound, is ended before its place is free."""
        if of is not None:
            self._shares.leave(of)
        if is_sound and not connection.is_in_transaction():
            self.keep(connection)
            self._turns.release()
        else:
            task = asyncio.create_task(self._end(connection))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Wait for what is lent, then end every connection."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in range(self._size):
            await self._turns.acquire()
        await asyncio.gather(*(_close(connection) for _, connection in self._idle))

    async def _end(self, connection: Any) -> None:
        try:
            await _close(connection)
        finally:
            self._turns.release()

    def _newest(self) -> Any | None:
        """The one that came back last, so that those which only a burst needed grow old and end."""
        while self._idle and monotonic() - self._idle[0][0] > IDLE:
            self._idle.popleft()[1].terminate()
        while self._idle:
            connection = self._idle.pop()[1]
            if not connection.is_closed():
                return connection
        return None


class Loan:
    """One `async with` block's connection. What goes wrong with it inside the block is raised in our words."""

    __slots__ = ("_connection", "_of", "_pool")

    def __init__(self, pool: Pool, of: Hashable) -> None:
        self._pool = pool
        self._of = of

    async def __aenter__(self) -> Any:
        try:
            self._connection = await self._pool.take(self._of)
        except DRIVER as error:
            reason = opening_failed(error)
            if isinstance(reason, DatabaseRefused):
                observe(ConnectionRefused(reason.message))
                raise Unavailable("The database refuses the gateway, which only its operator can mend.") from error
            raise translated(error, is_closed=True) from error
        return self._connection

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        is_closed: bool = self._connection.is_closed()
        self._pool.give(self._connection, self._of, is_sound=not is_closed and (error is None or leaves_sound(error)))
        if isinstance(error, DRIVER):
            raise translated(error, is_closed=is_closed) from error


def part_of(size: int) -> int:
    """A quarter of a pool's connections: what one sandbox leaves to the others, what long reads may take, and those who wait for locks."""
    return max(1, size // 4)


async def _close(connection: Any) -> None:
    """End a connection, and call off the statement that still runs on it; when that takes too long, just hang up."""
    with suppress(Exception):
        await connection.close(timeout=PATIENCE)

"""Connections to one Postgres, each lent to one block at a time.

asyncpg's own pool resets with a statement what ours never set, and makes a task, a timer and a proxy for each loan; small reads then
cost two to three times as much. Errors of the driver become ours: `faults` lists them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

from gateway.errors import Unavailable
from gateway.storage.faults import DRIVER, leaves_sound, translated

IDLE = 300  # seconds: what stands between us and the server may have forgotten an older connection
PATIENCE = 5  # seconds for a statement to be called off, and for a connection to end


class Pool:
    """At most `size` connections, opened when they are needed. Who finds none free waits for its turn."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._turns = asyncio.Semaphore(size)
        self._idle = deque[tuple[float, Any]]()  # since when, and what; in this order
        self._is_closed = False

    def lend(self) -> "Loan":
        """A connection for an `async with` block. Raises Unavailable."""
        return Loan(self)

    async def take(self) -> Any:
        """A connection outside any transaction, until it is given back."""
        if self._is_closed:
            raise Unavailable("The gateway is ending.")
        await self._turns.acquire()
        try:
            return self._newest() or await self._connect()
        except BaseException:
            self._turns.release()
            raise

    async def give(self, connection: Any, *, is_sound: bool) -> None:
        """Take a connection back. One in a transaction, or in the middle of a statement and so not sound, ends here."""
        try:
            if is_sound and not connection.is_in_transaction():
                self._idle.append((monotonic(), connection))
            else:
                with suppress(Exception):
                    await connection.close(timeout=PATIENCE)
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Wait for what is lent, then end every connection."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in range(self._size):
            await self._turns.acquire()
        for _, connection in self._idle:
            await connection.close()

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

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        try:
            self._connection = await self._pool.take()
        except DRIVER as error:
            raise translated(error, is_closed=True) from error
        return self._connection

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        is_closed: bool = self._connection.is_closed()
        await self._pool.give(self._connection, is_sound=not is_closed and (error is None or leaves_sound(error)))
        if isinstance(error, DRIVER):
            raise translated(error, is_closed=is_closed) from error

"""Bounded shares of a pool of connections: who holds as many as it may waits, and holds none of the others' meanwhile."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from gateway.runtime.deadlines import Deadlines

EVERYBODY = None
"""The key of a share that all have together."""


class Shares:
    """At most `count` places for each key. Whoever finds none waits for its turn, at most `seconds`."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._deadlines = Deadlines(seconds)
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def place(self, key: Hashable = EVERYBODY) -> AsyncIterator[None]:
        """A place, as long as the block lasts. Raises TimeoutError."""
        await self.enter(key)
        try:
            yield
        finally:
            self.leave(key)

    async def enter(self, key: Hashable) -> None:
        """Take a place, to be left again. Raises TimeoutError."""
        held = self._held.get(key, 0)
        if held < self._count:
            self._held[key] = held + 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            with self._deadlines.begin():
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(key)  # it came in the same moment
            raise

    def leave(self, key: Hashable) -> None:
        """Give a place to whoever has waited longest, if anybody still does."""
        waiting = self._waiting.get(key)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(key, None)
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]

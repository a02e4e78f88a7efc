"""Bounded shares of a pool of connections: a key that holds its share waits, and takes none of the others' meanwhile."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from gateway.runtime.deadlines import Deadlines

EVERYBODY = None
"""The key of a share that all callers use together."""


class Shares:
    """At most `count` places for each key. A caller that finds none waits for its turn, at most `seconds`."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._deadlines = Deadlines(seconds)
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def place(self, key: Hashable = EVERYBODY) -> AsyncIterator[None]:
        """Hold a place as long as the block lasts. Raises TimeoutError."""
        await self.enter(key)
        try:
            yield
        finally:
            self.leave(key)

    def enter_at_once(self, key: Hashable = EVERYBODY) -> bool:
        """Take a place if there is one, as `enter` does, and return whether there was."""
        held = self._held.get(key, 0)
        if held >= self._count:
            return False
        self._held[key] = held + 1
        return True

    async def enter(self, key: Hashable = EVERYBODY) -> None:
        """Take a place; `leave` gives it back. Raises TimeoutError."""
        if self.enter_at_once(key):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            with self._deadlines.begin():
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(key)  # the place was given in the same moment
            raise

    def leave(self, key: Hashable = EVERYBODY) -> None:
        """Give a place back, to the caller that has waited for longest if there is one."""
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

"""Giving up what takes too long.

A timer for each operation costs a tenth of a short one. All of them have the same time, so the one that began first is due first, and a
single timer, set for that one, does for all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Deadlines:
    """The operations that run now, in the order in which they are due. `seconds` is what each may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def hold(self, run: Callable[[float], Awaitable[T]]) -> T:
        """What `run` gives, which is told the moment, by the loop's clock, at which it is given up. Raises TimeoutError then."""
        due = asyncio.get_running_loop().time() + self._seconds
        async with asyncio.timeout(None) as timeout:
            self._running[timeout] = due
            if self._timer is None:
                self._set_timer()
            try:
                return await run(due)
            finally:
                del self._running[timeout]

    def _set_timer(self) -> None:
        """For the first that has not been given up; the block of one that has is ending."""
        first = next((due for timeout, due in self._running.items() if timeout.when() is None), None)
        self._timer = None if first is None else asyncio.get_running_loop().call_at(first, self._expire)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for timeout, due in self._running.items():
            if due > now:
                break
            if timeout.when() is None:
                timeout.reschedule(now)
        self._set_timer()

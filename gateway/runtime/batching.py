"""Trips to the store that those who wait at the same moment make together.

Whoever asks while a trip is under way goes along with the next one: never with one that has begun, so that what was committed before the
question is in the answer. The busier it is, the more go together, and the less each of them costs.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

AT_ONCE: Final = 2
"""Trips under way, unless said otherwise: of more, each would be smaller, and of a single one, a long one would hold up all others."""


class Coalescer(Generic[K, V]):
    """Reads keys for many askers. `read` answers in the order of the keys; what is an exception is raised where its key was asked for.

    Whoever has waited for `seconds` is told so by a TimeoutError. Where a key has a `weight`, those of one trip weigh at most `most` together, if they are several.
    """

    def __init__(
        self,
        read: Callable[[Sequence[K]], Awaitable[Sequence[V | Exception]]],
        *,
        at_once: int = AT_ONCE,
        weight: Callable[[K], float] | None = None,
        most: float = 0,
        seconds: float | None = None,
    ) -> None:
        self._read = read
        self._at_once = at_once
        self._weight = weight
        self._most = most
        self._seconds = seconds
        self._due = deque[tuple[float, asyncio.Future[V]]]()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._under_way = 0
        self._is_called = False
        self._tasks = set[asyncio.Task[None]]()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Asked for once: it takes a system call."""
        return asyncio.get_running_loop()

    def load(self, key: K) -> "asyncio.Future[V]":
        """The key's value, read by a trip that begins after this call."""
        future: asyncio.Future[V] = self._loop.create_future()
        self._waiting.append((key, future))
        if self._seconds is not None:
            self._due.append((self._loop.time() + self._seconds, future))
            if self._timer is None:
                self._timer = self._loop.call_at(self._due[0][0], self._expire)
        if not self._is_called and self._under_way < self._at_once:
            self._is_called = True
            self._loop.call_soon(self._set_out)  # when all who are about to ask have asked
        return future

    def _set_out(self) -> None:
        self._is_called = False
        count = self._fitting()
        askers, self._waiting = self._waiting[:count], self._waiting[count:]
        self._under_way += 1
        task = self._loop.create_task(self._travel(askers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._waiting and self._under_way < self._at_once:
            self._set_out()

    def _fitting(self) -> int:
        """How many of those that wait go along with the next trip."""
        if self._weight is None:
            return len(self._waiting)
        left = self._most
        for count, (key, _) in enumerate(self._waiting):
            left -= self._weight(key)
            if left < 0:
                return max(count, 1)
        return len(self._waiting)

    async def _travel(self, askers: Sequence[tuple[K, "asyncio.Future[V]"]]) -> None:
        try:
            values = await self._read([key for key, _ in askers])
        except Exception as error:  # noqa: BLE001 (each of them is told)
            values = [error] * len(askers)
        finally:
            self._under_way -= 1
            if self._waiting:
                self._set_out()
        for (_, future), value in zip(askers, values, strict=True):
            if future.done():
                continue  # nobody waits any more
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)
        self._drop_done()

    def _expire(self) -> None:
        """Tell those who have waited for too long; set the timer for the next one."""
        now = self._loop.time()
        for due, future in self._due:
            if due > now:
                break
            if not future.done():
                future.set_exception(TimeoutError())
        self._drop_done()
        self._timer = self._loop.call_at(self._due[0][0], self._expire) if self._due else None

    def _drop_done(self) -> None:
        while self._due and self._due[0][1].done():
            self._due.popleft()

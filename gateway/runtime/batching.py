"""Coalesced reads: keys that are asked for at the same moment are read together.

A key that is asked for while a read runs waits for the next one, so that a value is never older than the question. The more keys are asked
for, the more of them share a read, and the less each of them costs.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Final, Generic, TypeVar

from gateway.errors import Timeout

K = TypeVar("K")
V = TypeVar("V")

MAX_CONCURRENT_READS: Final = 2
"""Reads that run at once by default: with more, each would hold fewer keys; with one, a long read would hold up all others."""


GATHERING_TURNS: Final = 3
"""Turns of the event loop before a read begins. Whose request has arrived by then shares it: at sixteen connections nearly all, in place of half of
them. A turn in which nothing else is to be done takes some microseconds."""


class Coalescer(Generic[K, V]):
    """Reads keys for many callers. `read` returns values in the order of its keys; a value that is an exception is raised for its key's callers.

    A caller that has waited for `seconds` gets a Timeout. With a `weight`, the keys of one read weigh at most `most` together, unless it is one key.
    """

    def __init__(
        self,
        read: Callable[[Sequence[K]], Awaitable[Sequence[V | Exception]]],
        *,
        at_once: int = MAX_CONCURRENT_READS,
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
        self._running = 0
        self._is_scheduled = False
        self._tasks: dict[asyncio.Task[None], Sequence[tuple[K, asyncio.Future[V]]]] = {}

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, looked up once: that takes a system call."""
        return asyncio.get_running_loop()

    def load(self, key: K) -> "asyncio.Future[V]":
        """Return a future of the key's value, from a read that begins after this call."""
        future: asyncio.Future[V] = self._loop.create_future()
        self._waiting.append((key, future))
        if self._seconds is not None:
            self._due.append((self._loop.time() + self._seconds, future))
            if self._timer is None:
                self._timer = self._loop.call_at(self._due[0][0], self._expire)
        self._schedule()
        return future

    async def value(self, key: K) -> V:
        """Return the key's value, from a read that begins after this call: the caller's own, without any task, where none runs."""
        if self._running:
            return await self.load(key)
        self._running = 1
        try:
            (value,) = await self._read((key,))
        finally:
            self._end_read()
        if isinstance(value, Exception):
            raise value
        return value

    def drop_unwanted(self) -> None:
        """Cancel the reads all of whose callers have cancelled their futures, and forget the keys of such callers."""
        self._waiting = [(key, future) for key, future in self._waiting if not future.done()]
        for task, callers in self._tasks.items():
            if all(future.done() for _, future in callers):
                task.cancel()

    def _schedule(self) -> None:
        if self._waiting and not self._is_scheduled and self._running < self._at_once:
            self._is_scheduled = True
            self._loop.call_soon(self._gather, GATHERING_TURNS)

    def _gather(self, turns: int) -> None:
        """Begin a read after so many turns of the event loop."""
        if turns > 1:
            self._loop.call_soon(self._gather, turns - 1)
            return
        self._is_scheduled = False
        if self._waiting and self._running < self._at_once:  # else all have given up, or a caller reads for itself
            self._begin()

    def _begin(self) -> None:
        count = self._fitting()
        callers, self._waiting = self._waiting[:count], self._waiting[count:]
        self._running += 1
        task = self._loop.create_task(self._read_batch(callers))
        self._tasks[task] = callers
        task.add_done_callback(self._tasks.pop)
        if self._waiting and self._running < self._at_once:
            self._begin()

    def _fitting(self) -> int:
        """Return how many of the waiting keys fit into the next read."""
        if self._weight is None:
            return len(self._waiting)
        left = self._most
        for count, (key, _) in enumerate(self._waiting):
            left -= self._weight(key)
            if left < 0:
                return max(count, 1)
        return len(self._waiting)

    async def _read_batch(self, callers: Sequence[tuple[K, "asyncio.Future[V]"]]) -> None:
        try:
            values = await self._read([key for key, _ in callers])
        except Exception as error:  # noqa: BLE001 (each caller gets it)
            values = [error] * len(callers)
        finally:
            self._end_read()
        for (_, future), value in zip(callers, values, strict=True):
            if future.done():
                continue  # its caller has given up
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)
        self._drop_done()

    def _end_read(self) -> None:
        self._running -= 1
        self._schedule()

    def _expire(self) -> None:
        """Raise Timeout for callers that have waited for too long, and set the timer for the next one."""
        now = self._loop.time()
        for due, future in self._due:
            if due > now:
                break
            if not future.done():
                future.set_exception(Timeout())
        self._drop_done()
        self._timer = self._loop.call_at(self._due[0][0], self._expire) if self._due else None

    def _drop_done(self) -> None:
        while self._due and self._due[0][1].done():
            self._due.popleft()

"""Work that only computes, done beside the event loop.

The interpreter runs one thread at a time and changes between them every few milliseconds. So one such piece of work at a time leaves the
loop its turns; several would leave it a fraction of them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Generic, ParamSpec, TypeVar

from gateway.errors import Unavailable

K = TypeVar("K", bound=Hashable)
P = ParamSpec("P")
T = TypeVar("T")

WAITING: Final = 100
"""Calls that may wait for one thread."""


class Thread:
    """A thread that does one piece of work after the other, in the order in which they came."""

    def __init__(self, name: str, waiting: int = WAITING) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._most = waiting
        self._waiting = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function gives or raises. A caller that gives up before its turn costs nothing.

        Raises Unavailable where too many wait already.
        """
        if self._waiting > self._most:
            raise Unavailable("Too much is being computed right now; try again.")
        work: partial[Any] = partial(function, *args, **kwargs)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


class Once(Generic[K, T]):
    """Work that several ask for at the same moment is done once, and to the end even if those who asked give up."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the work for this key gives or raises: that which is being done, or else is begun now."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: K, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to be told


DOCUMENTS: Final = Thread("documents")
"""For documents of operations: each takes up to a tenth of a second."""

COMPUTATIONS: Final = Thread("computations")
"""For what callers have computed: seconds, where they ask for much."""

WRITES: Final = Thread("writes")
"""For what transactions compute that hold locks, so that it never waits for what callers merely want to know."""

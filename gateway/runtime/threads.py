"""Computations in threads beside the event loop.

The interpreter runs one thread at a time and changes between them every few milliseconds. One computation at a time leaves the loop half of
the time; several would leave it a fraction.
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

MAX_WAITING: Final = 100
"""Calls that may wait for one thread."""


class Thread:
    """A thread that runs one call after the other, in the order in which they came."""

    def __init__(self, name: str, waiting: int = MAX_WAITING) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._most = waiting
        self._waiting = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in the thread, and return or raise what it does. A caller that gives up before its turn costs nothing.

        Raises Unavailable if too many calls wait already.
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
    """Runs the work for a key once for all that ask for it meanwhile, and to its end even if all of them give up."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return or raise what the running work for this key does; start it if none is running."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._done(key, done))
        try:
            return await asyncio.shield(task)
        finally:
            del task  # its error refers to this frame

    def _done(self, key: K, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # maybe nobody is left to receive it


SHORT_DOCUMENTS: Final = Thread("short documents", waiting=1_000)
"""Parses, validates and compiles short GraphQL documents, a few milliseconds each, which do not wait for long ones."""

DOCUMENTS: Final = Thread("documents")
"""Parses, validates and compiles long GraphQL documents, and reads much of what comes with them: up to a tenth of a second each."""

COMPUTATIONS: Final = Thread("computations")
"""Computes what callers ask for: seconds, if they ask for much."""

WRITES: Final = Thread("writes")
"""Computes for transactions that hold locks, so that they never wait for callers that only read."""

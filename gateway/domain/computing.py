"""Work that only computes, done beside the event loop.

The interpreter runs one thread at a time and changes between them every few milliseconds. So one such piece of work at a time leaves the
loop its turns; several would leave it a fraction of them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from gateway.errors import Unavailable

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


DOCUMENTS: Final = Thread("documents")
"""For documents of operations: each takes up to a tenth of a second."""

COMPUTATIONS: Final = Thread("computations")
"""For what callers have computed: seconds, where they ask for much."""

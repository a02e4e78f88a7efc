"""How often a process looks for objects that nobody holds any more but each other.

A request's objects hang together in circles (its executor, its loaders, its connection), so what it brought and what was read for it is
freed by a collection only. The interpreter counts objects, and collects after so many. It does not see that ten of them hold a body of
five megabytes each.
"""

import gc
from typing import Final

OBJECTS: Final = 100_000
"""New objects after which the interpreter collects."""

BYTES: Final = 16 << 20
"""Bytes that came in or were read from the store after which we collect. A request holds a few times as much as it brings."""


def collect_rarely() -> None:
    """Keep what is here now out of every later collection, and collect less often.

    To be called once the process is ready: documents are thousands of small objects without cycles, and looking through all that was
    imported for each thousand of them takes a third of the time of an ingestion.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS, 50, 100)


class Garbage:
    """Counts the bytes that pass through a process, and collects when there were many."""

    def __init__(self) -> None:
        self._size = 0

    def pass_through(self, size: int) -> None:
        """Note bytes that some request holds for a while."""
        self._size += size
        if self._size >= BYTES:
            self._size = 0
            gc.collect()


GARBAGE: Final = Garbage()
"""That of this process."""

"""How often a process collects garbage: objects that only refer to each other.

The objects of a request refer to each other in circles (its executor, its loaders, its connection), so its body and what was read for it are
freed by a collection only. The interpreter collects after a number of new objects. It does not see that ten of them hold a body of five
megabytes each.
"""

import gc
from typing import Final

COLLECT_AFTER_OBJECTS: Final = 100_000
"""New objects after which the interpreter collects garbage."""

COLLECT_AFTER_BYTES: Final = 16 << 20
"""Bytes received or read from the database after which the gateway collects. A request holds a few times as much as it brings."""


def collect_rarely() -> None:
    """Exclude all present objects from later collections, and collect less often. Call it once the process is ready.

    Documents are thousands of small objects without cycles. To look through everything imported for each thousand of them
    would take a third of the time of an ingestion.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 50, 100)


class Garbage:
    """Counts the bytes that pass through a process, and collects garbage after every COLLECT_AFTER_BYTES."""

    def __init__(self) -> None:
        self._size = 0

    def pass_through(self, size: int) -> None:
        """Count `size` bytes that some request holds for a while."""
        self._size += size
        if self._size >= COLLECT_AFTER_BYTES:
            self._size = 0
            gc.collect()


GARBAGE: Final = Garbage()
"""The counter of this process."""

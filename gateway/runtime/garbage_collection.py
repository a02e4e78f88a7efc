"""How often a process collects garbage: objects that only refer to each other.

The objects of a request refer to each other in circles (its executor, its loaders, its connection), so its body and what was read for it are
freed by a collection only. The interpreter collects after a number of new objects. It does not see that ten of them hold a body of five
megabytes each, nor that most of them are documents in use, which it looks through for nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

COLLECT_AFTER_OBJECTS: Final = 10_000
"""New objects after which the interpreter collects garbage, where no documents are ingested. Everybody waits while it frees so many: about 10 ms."""

OBJECTS_OF_A_DOCUMENT: Final = 50
"""About the most objects that a document holds which is ingested, with its rows."""

MAX_OBJECTS: Final = 100_000
"""New objects after which it collects however many documents are ingested."""

COLLECT_AFTER_BYTES: Final = 16 << 20
"""Bytes received or read from the database after which the gateway collects. A request holds a few times as much as it brings."""


def collect_rarely() -> None:
    """Exclude all present objects from later collections, and collect less often. Call it once the process is ready.

    Documents are thousands of small objects without cycles. To look through everything imported for each thousand of them
    would take a third of the time of an ingestion. What outlives a collection, as it is of a request that goes on, is looked through
    again soon: once those requests have ended, to free much of it at once would take as long as to free much new garbage.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 2, 5)


@contextmanager
def no_garbage() -> Iterator[None]:
    """Collect nothing as long as the block lasts, as what it makes is kept, such as modules; then collect rarely."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        collect_rarely()


class Garbage:
    """Decides when a process collects: after every COLLECT_AFTER_BYTES that pass through it, and after more new objects while documents are in use."""

    def __init__(self) -> None:
        self._size = 0
        self._documents = 0

    def pass_through(self, size: int) -> None:
        """Count `size` bytes that some request holds for a while."""
        self._size += size
        if self._size >= COLLECT_AFTER_BYTES:
            self._size = 0
            gc.collect()

    @contextmanager
    def in_use(self, documents: int) -> Iterator[None]:
        """Collect after as many more new objects as these documents hold, as long as the block lasts."""
        self._use(documents)
        try:
            yield
        finally:
            self._use(-documents)

    def _use(self, more: int) -> None:
        self._documents += more
        objects = COLLECT_AFTER_OBJECTS + OBJECTS_OF_A_DOCUMENT * self._documents
        gc.set_threshold(min(objects, MAX_OBJECTS), *gc.get_threshold()[1:])


GARBAGE: Final = Garbage()
"""The counter of this process."""

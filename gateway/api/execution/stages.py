"""How long the stages of an operation took."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stages:
    """The stages of one operation in their order, in seconds. What was kept from an earlier request has no stage."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What the block does is this stage."""
        begin = perf_counter()
        try:
            yield
        finally:
            self.seconds.append((name, perf_counter() - begin))

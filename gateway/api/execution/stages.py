"""Durations of the stages of an operation."""

from time import perf_counter


class Stages:
    """The stages of one operation in their order, in seconds. Results kept from an earlier request have no stage."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self._begin = perf_counter()

    def begin(self) -> None:
        """Begin a stage, whose name is given at its end."""
        self._begin = perf_counter()

    def end(self, name: str) -> None:
        """End the stage that began last, and record its duration under this name."""
        self.seconds.append((name, perf_counter() - self._begin))

    def has(self, name: str) -> bool:
        """Return whether a stage of this name was recorded."""
        return any(each == name for each, _ in self.seconds)

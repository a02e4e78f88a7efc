"""Durations of the stages of a request."""

from time import perf_counter


class Stages:
    """The stages of one request, one at a time: `seconds` has how long each took, in the order in which they first ended.

    What was kept from an earlier request takes no stage, and what lies between two stages belongs to none.
    """

    __slots__ = ("_begin", "_name", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name: str | None = None
        self._begin = 0.0

    def begin(self, name: str | None) -> None:
        """Begin a stage, and end the one before it, also where that broke off; None begins none."""
        now, ended = perf_counter(), self._name
        if ended is not None:
            self.seconds[ended] = self.seconds.get(ended, 0.0) + now - self._begin
        self._name, self._begin = name, now

    def end(self) -> None:
        """End the stage that began last."""
        self.begin(None)

    def forget_ended(self) -> None:
        """Forget all stages but the one that has not ended."""
        self.seconds.clear()

    def has(self, name: str) -> bool:
        """Return whether a stage of this name took place."""
        return name in self.seconds

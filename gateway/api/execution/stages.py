"""How long the stages of an operation took."""

from time import perf_counter


class Stages:
    """The stages of one operation in their order, in seconds. What was kept from an earlier request has no stage."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self._begin = perf_counter()

    def begin(self) -> None:
        """What comes now belongs to the stage that `end` will name."""
        self._begin = perf_counter()

    def end(self, name: str) -> None:
        """The stage is over."""
        self.seconds.append((name, perf_counter() - self._begin))

    def has(self, name: str) -> bool:
        """Whether there was such a stage."""
        return any(each == name for each, _ in self.seconds)

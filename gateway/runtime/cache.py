"""A cache of values that are expensive to make, bounded by the weight of the values, not by their number."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WeightedCache(Generic[K, V]):
    """Values by key, with a total weight of at most `most`, in the unit in which `put` gets weights. The least recently used are dropped first.

    `dropped` is called with every value that is dropped or replaced. For one thread: a computation beside the event loop returns what is to be kept.
    """

    def __init__(self, most: int, dropped: Callable[[V], None] | None = None) -> None:
        self._most = most
        self._dropped = dropped
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def weight(self) -> int:
        """The weight of all values together."""
        return self._weight

    def values(self) -> Iterator[V]:
        """Yield the values, the least recently used first."""
        return (value for value, _ in self._values.values())

    def get(self, key: K) -> V | None:
        """Return the value of the key, which counts as used now; None if the cache has none."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Store the value in place of the key's earlier one. A value that weighs more than all values may is dropped at once."""
        self.drop(key)
        self._values[key] = value, weight
        self._weight += weight
        while self._weight > self._most:
            self.drop(next(iter(self._values)))

    def drop(self, key: K) -> None:
        """Remove the value of the key, if there is one."""
        found = self._values.pop(key, None)
        if found is not None:
            value, weight = found
            self._weight -= weight
            if self._dropped is not None:
                self._dropped(value)

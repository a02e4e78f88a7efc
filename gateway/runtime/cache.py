"""What a process keeps because it was dear to make: bounded by what it holds, not by how many there are."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WeightedCache(Generic[K, V]):
    """Values by key. Together they weigh at most `most`, in whatever unit `put` is told; the least used are forgotten first."""

    def __init__(self, most: int, forgotten: Callable[[V], None] | None = None) -> None:
        self._most = most
        self._forgotten = forgotten
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def weight(self) -> int:
        """What all of them weigh."""
        return self._weight

    def get(self, key: K) -> V | None:
        """The value that is kept for the key; it counts as used."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Keep the value, or the one that is kept already with another weight. What weighs more than all may is not kept."""
        self._drop(key)
        self._values[key] = value, weight
        self._weight += weight
        while self._weight > self._most:
            self._drop(next(iter(self._values)))

    def _drop(self, key: K) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            value, weight = dropped
            self._weight -= weight
            if self._forgotten is not None:
                self._forgotten(value)

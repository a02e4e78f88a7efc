"""The statements that read projections, made once for all that differ in the values of conditions alone: cursors, filters."""

from collections.abc import Callable
from typing import Any, Final

from gateway.projection.predicates import Slot
from gateway.projection.tree import Projection
from gateway.runtime.cache import WeightedCache
from gateway.storage.queries import Query

MAX_CACHED_SQL_CHARACTERS: Final = 8_000_000
"""Of the statements of one noun."""

Made = tuple[Query, list[Any]]
"""A statement, and the values behind its own parameters."""


class Statements:
    """The statements that `make` makes of a projection and what else it needs, such as the named statement or the direction."""

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make
        self._made: WeightedCache[tuple[Any, ...], Made] = WeightedCache(MAX_CACHED_SQL_CHARACTERS)

    def of(self, projection: Projection, *more: Any) -> Made:
        """Return the statement that reads a projection, and the values behind its own parameters."""
        structure, given = projection.structure
        made = self._made.get((structure, *more))
        if made is None:
            made = self._make(structure, *more)
            self._made.put((structure, *more), made, len(made[0].sql))
        statement, values = made
        return statement, [given[value.place] if isinstance(value, Slot) else value for value in values]

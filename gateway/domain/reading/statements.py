"""The statements that read projections, made once for all that differ in the values of conditions alone: cursors, filters."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from gateway.domain.reading.conditions import within_range
from gateway.projection.predicates import Slot, Values
from gateway.projection.tree import Projection
from gateway.runtime.cache import WeightedCache
from gateway.runtime.uuids import uuid_of
from gateway.storage.database import Database, Reader
from gateway.storage.queries import Query

T = TypeVar("T")

MAX_CACHED_SQL_CHARACTERS: Final = 8_000_000
"""Of the statements of one noun."""


MAX_CACHED_KINDS: Final = 256

KINDS: Final[Mapping[Any, str]] = {datetime: "timestamptz", str: "text", UUID: "uuid", uuid_of: "uuid"}
"""The types of values that may differ among the keys of one statement: those of cursors and of windows of time, with their types in SQL."""


class Made(NamedTuple):
    """A statement, the values behind its own parameters, and whether a condition in it computes values."""

    query: Query
    values: Sequence[Any]
    computes: bool

    @classmethod
    def of(cls, query: Query, values: Values, own: int) -> "Made":
        """Return a statement that has `own` parameters, with the values of all."""
        return cls(query, values.given[own:], values.computes)

    async def rows(self, db: Reader, *own: Any) -> Sequence[Any]:
        """Read the rows for the values of its own parameters. Raises BadPql for a value that a condition computes and that is out of range."""
        reading = db.rows(self.query, *own, *self.values)
        return await (_in_range(reading) if self.computes else reading)

    async def row(self, db: Reader, *own: Any) -> Any:
        """Read the one row, as `rows` does."""
        reading = db.row(self.query, *own, *self.values)
        return await (_in_range(reading) if self.computes else reading)

    async def write(self, db: Database, *own: Any) -> Any:
        """Write at the moment of a database, as `Database.write` does, and return the one row, as `row` does."""
        writing = db.write(self.query, *own, *self.values)
        return await (_in_range(writing) if self.computes else writing)


async def _in_range(reading: Awaitable[T]) -> T:
    with within_range():
        return await reading


class Statements:
    """The statements that `make` makes of a projection and what else it needs, such as the named statement or the direction."""

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make
        self._made: WeightedCache[tuple[Any, ...], Made] = WeightedCache(MAX_CACHED_SQL_CHARACTERS)

    def of(self, projection: Projection, *more: Any) -> Made:
        """Return the statement that reads a projection, and the values behind its own parameters."""
        return self._filled(*projection.structure, *more)

    def of_each(self, projections: Sequence[Projection], *more: Any) -> Made:
        """Return the statement that reads one of these projections for each of as many keys. All have one structure, and `kinds_of` some kinds."""
        structures, values = zip(*(projection.structure for projection in projections), strict=True)
        return self._filled(structures[0], [list(column) for column in zip(*values, strict=True)], *more)

    def _filled(self, structure: Projection, given: Sequence[Any], *more: Any) -> Made:
        made = self._made.get((structure, *more))
        if made is None:
            made = self._make(structure, *more)
            self._made.put((structure, *more), made, len(made.query.sql))
        if not given:
            return made
        return made._replace(values=[given[value.place] if isinstance(value, Slot) else value for value in made.values])


def kinds_of(projection: Projection) -> tuple[str, ...]:
    """Return the types in SQL of the values of conditions; none if there is no such value, or one that may not differ among keys."""
    return _kinds(tuple(map(type, projection.structure[1])))


@lru_cache(MAX_CACHED_KINDS)
def _kinds(types: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(KINDS[kind] for kind in types) if KINDS.keys() >= {*types} else ()

"""Lists of hundreds of input objects with the same fields, held column by column: resolvers mostly read whole columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from strawberry import UNSET

T = TypeVar("T")


class Rows(Generic[T]):
    """A sequence of objects that holds a list of values for each field; an object is made when it is read."""

    def __init__(
        self, make: Callable[[dict[str, Any]], T], columns: "Mapping[str, list[Any] | Rows[Any]]", count: int
    ) -> None:
        self.columns = columns
        self._make = make
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> T:
        return self._make({name: column[index] for name, column in self.columns.items()})

    def __iter__(self) -> Iterator[T]:
        return map(self.__getitem__, range(self._count))


def column_of(given: Sequence[Any] | Rows[Any], name: str) -> Any:
    """Return the values of one field of all objects, in their order; None where an object leaves the field out."""
    if isinstance(given, Rows):
        return given.columns.get(name)
    values = [getattr(each, name) for each in given]
    return None if any(value is UNSET for value in values) else values

"""Lists of input objects as a request gives them: hundreds that name the same fields, of which resolvers mostly want columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from strawberry import UNSET

T = TypeVar("T")


class Rows(Generic[T]):
    """Objects that are kept field by field; each is made anew when it is looked at."""

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


def of_all(given: Sequence[Any] | Rows[Any], name: str) -> Any:
    """A field of all these objects, in their order; None where one of them leaves it out."""
    if isinstance(given, Rows):
        return given.columns.get(name)
    values = [getattr(each, name) for each in given]
    return None if any(value is UNSET for value in values) else values

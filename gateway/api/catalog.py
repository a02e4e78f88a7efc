"""Nouns of the configuration, which is in memory: listed by a filter and in an order, and looked up by id or by name.

A noun declares a `Catalog`: where its objects are, by what they can be ordered, and what people call them. Its filter declares, field by
field, the `condition` that a value makes. All else is the same for every noun, and stands here.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Annotated, Any, Final, Generic, Protocol, TypeAlias, TypeVar

import strawberry

from gateway.api.context import Context, plain
from gateway.api.ids import parse_id
from gateway.api.nodes import look_up
from gateway.api.pagination import Listing, OrderDirection, Slice
from gateway.domain.config.configuration import UsableRows
from gateway.domain.rules.keyset import Key
from gateway.errors import BadInput

T = TypeVar("T")

Paging: TypeAlias = tuple[int | None, str | None, int | None, str | None]
"""The arguments `first`, `after`, `last` and `before` of a list."""

Test: TypeAlias = Callable[[Any], bool]
"""Whether an object fits."""

ById = Annotated[
    strawberry.ID | None, strawberry.argument(name="id", description="Its global id. Exactly one argument is given.")
]
ByName = Annotated[
    str | None, strawberry.argument(name="name", description="Its name, case included. Exactly one argument is given.")
]


# ------------------------------------------------------------------------------------------------ filters

_CONDITION: Final = "condition"


class Filter:
    """The base of filters: an object fits if it fulfils the conditions of all fields that are given. Null is as good as left out."""

    def tests(self) -> list[Test]:
        """Return the conditions that are given. Raises BadInput for a value that none can be made of."""
        given = ((each, getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses
        return [each.metadata[_CONDITION](value) for each, value in given if value is not None]


def condition(description: str, test: Callable[[Any], Test], name: str | None = None) -> Any:
    """Return a field of a filter; `test` makes a condition of its value."""
    return plain(description, name=name, default=None, metadata={_CONDITION: test})


def equals(path: str) -> Callable[[Any], Test]:
    """Return the condition that the attribute at a path is the given value."""
    read = attrgetter(path)
    return lambda value: lambda item: read(item) == value


def among(path: str) -> Callable[[Iterable[Any]], Test]:
    """Return the condition that the attribute at a path is one of the given values."""
    read = attrgetter(path)

    def test(values: Iterable[Any]) -> Test:
        wanted = frozenset(values)
        return lambda item: read(item) in wanted

    return test


def contains(path: str) -> Callable[[str], Test]:
    """Return the condition that the text at a path contains the given one, without regard to case."""
    read = attrgetter(path)

    def test(text: str) -> Test:
        wanted = text.casefold()
        return lambda item: wanted in read(item).casefold()

    return test


def refers_to(type_name: str, path: str, argument: str) -> Callable[[str], Test]:
    """Return the condition that the attribute at a path is the key in the given id. Raises BadInput, naming the argument, for a text that is no id."""
    return lambda text: equals(path)(parse_id(text, type_name, argument))


# ------------------------------------------------------------------------------------------------ lists and look-ups


class Order(Protocol):
    """What lists are ordered by, and which end comes first: the input `orderBy`."""

    field: Any
    direction: OrderDirection


@dataclass(frozen=True, slots=True)
class Catalog(Generic[T]):
    """The objects of one noun that a caller may see.

    `rows` returns them by key, and raises Forbidden. `name` is the attribute by which people call them, which no two share; None if they have none. `orders` are the
    sort keys by what a list can be ordered by, the first of them where nothing is said. `key` turns the key in a global id into one of
    `rows`.
    """

    type_name: str
    plural: str
    rows: Callable[[Context], Awaitable[UsableRows[Any, T]]]
    name: str | None
    orders: Mapping[Any, Callable[[T], Key]]
    key: Callable[[Context, Any], Any] = lambda _context, key: key

    async def page(
        self, context: Context, paging: Paging, wanted: Filter | None = None, order: Order | None = None, *also: Test
    ) -> Slice[T]:
        """Return the page of the objects that fit the filter and all of `also`. Raises BadCursor, BadInput, Forbidden, LimitExceeded."""
        by, direction = (order.field, order.direction) if order else (next(iter(self.orders)), OrderDirection.ASC)
        listing = Listing(f"{self.plural} {by} {direction}", self.orders[by])
        window = listing.window(*paging)
        tests = [*also, *(wanted.tests() if wanted else ())]
        found = (item for item in (await self.rows(context)).values() if all(test(item) for test in tests))
        return listing.cut(found, window, descending=direction is OrderDirection.DESC)

    async def one(self, context: Context, global_id: str | None, name: str | None, argument: str = "name") -> T | None:
        """Return the object with this id, or with this name; None if there is none.

        Raises BadInput unless exactly one of the two is given; `argument` is the one that takes the name.
        """
        match global_id, name:
            case str(), None:
                return await look_up(context, self.read, global_id, self.type_name)
            case None, str() if self.name is not None:
                return (await self.rows(context)).named(name, attrgetter(self.name))
        raise BadInput(f"Give either `id` or `{argument}`, and not both.")

    async def read(self, context: Context, keys: Sequence[Any]) -> list[T | None]:
        """Return the objects with these keys, as ids hold them; None for those that are not there. Raises Forbidden, Misconfigured."""
        rows = await self.rows(context)
        return [rows.find(self.key(context, key)) for key in keys]


def configured(rows: Callable[[Context], UsableRows[Any, T]]) -> Callable[[Context], Awaitable[UsableRows[Any, T]]]:
    """Return `rows` for a catalog of a part of the sandbox's configuration, which those may see who may read that."""

    async def visible(context: Context) -> UsableRows[Any, T]:
        context.require_configuration()
        return rows(context)

    return visible

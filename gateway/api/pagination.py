"""Connections as Relay defines them: pages by keyset cursors, `nodes` beside `edges`, and a total that is counted on request only.

A `Listing` is one list in one order. It reads cursors into keys and makes cursors of items, and refuses a cursor of another list or
order. `cut` makes a page of a list in memory; `paged` takes a page that SQL read.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
import strawberry

from gateway.api.context import attribute, plain, resolved_by
from gateway.api.projections import count_of, each_of, object_of, place_of
from gateway.api.scalars import Long, described
from gateway.api.weights import OBJECT, Weight
from gateway.domain.rules.keyset import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Key, Page, Window, page_of, window_of
from gateway.errors import BadCursor
from gateway.projection.evaluate import EPOCH, MICROSECOND
from gateway.projection.tree import End, HasMore, Packed, Packing
from gateway.runtime.uuids import uuid_of

T = TypeVar("T")

First = Annotated[
    int | None,
    strawberry.argument(
        description=f"How many items from the start of the list, or behind `after`: at most {MAX_PAGE_SIZE:,}, and {DEFAULT_PAGE_SIZE} where neither `first` nor `last` is given."
    ),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description=f"How many items from the end of the list, or in front of `before`: at most {MAX_PAGE_SIZE:,}. Not together with `first`."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(description="A cursor of this list in this order: only what comes behind it is returned."),
]
Before = Annotated[
    str | None,
    strawberry.argument(description="A cursor of this list in this order: only what comes in front of it is returned."),
]


# ------------------------------------------------------------------------------------------------ lists and their pages


@dataclass(frozen=True, slots=True)
class Edge(Generic[T]):
    """An item of a page, and its cursor."""

    node: T
    cursor: str

    @property
    def parts(self) -> Any:
        """What was read of the item as JSON texts, None where it was read whole."""
        return getattr(self.node, "parts", None)


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """A page of a listing, with the attributes that `Connection` reads; `count` is called only for `totalCount`."""

    listing: "Listing[T]"
    page: Page[T]
    count: Callable[[], Awaitable[int]]

    @property
    def nodes(self) -> list[T]:
        return self.page.items

    @property
    def edges(self) -> list[Edge[T]]:
        return [Edge(item, self.listing.cursor(item)) for item in self.page.items]

    @property
    def page_info(self) -> "Slice[T]":
        """The slice itself, which `PageInfo` reads from."""
        return self

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the place where the page begins, None on an empty page of a whole list."""
        if self.page.start is not None:
            return self.listing.cursor_at(self.page.start)
        return self.listing.cursor(self.page.items[0]) if self.page.items else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the place where the page ends, None on an empty page of a whole list."""
        if self.page.end is not None:
            return self.listing.cursor_at(self.page.end)
        return self.listing.cursor(self.page.items[-1]) if self.page.items else None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list in one order. `name` is unique among all lists and orders; `key` returns the sort key of an item, as the domain orders it."""

    name: str
    key: Callable[[T], Key]

    def window(
        self, first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
    ) -> Window:
        """Return the window that a connection's arguments describe. Raises BadCursor, BadInput, LimitExceeded."""
        return window_of(first, last, self._read(after), self._read(before))

    def cut(self, items: Iterable[T], window: Window, *, descending: bool = False) -> Slice[T]:
        """Return the page of a list in memory."""
        everything = list(items)

        async def count() -> int:
            return len(everything)

        return self.paged(page_of(everything, self.key, window, descending=descending), count)

    def paged(self, page: Page[T], count: Callable[[], Awaitable[int]]) -> Slice[T]:
        """Return the slice of a page that was read from the store; `count` is to read the total."""
        return Slice(self, page, count)

    def cursor(self, item: T) -> str:
        """Return the cursor of an item: opaque text that is safe in an address."""
        return self.cursor_at(self.key(item))

    def cursor_at(self, key: Key) -> str:
        """Return the cursor of the item with this key."""
        values = orjson.dumps([value if type(value) in _PLAIN else _tagged(value) for value in key])
        return urlsafe_b64encode(self._mark + values).rstrip(b"=").decode()

    def packed_cursor(self, *columns: tuple[str, type]) -> Packed:
        """Return the cursor as a projection, for a key that consists of these columns of the item, with their types."""
        pieces: list[bytes | tuple[str, Packing]] = [self._mark]
        text = b"["
        for name, kind in columns:
            before, packing, after = _PACKED[kind]
            pieces += [text + before, (name, packing)]
            text = after + b","
        return Packed("", (*pieces, text[:-1] + b"]"))

    def _read(self, cursor: str | None) -> Key | None:
        if cursor is None:
            return None
        mark, key = _unpacked(cursor)
        if mark != self._mark:
            raise BadCursor
        return key

    @property
    def _mark(self) -> bytes:
        return _mark_of(self.name)


def check_page(first: int | None, last: int | None, after: str | None, before: str | None) -> None:
    """Check arguments of a connection, whichever list it is of. Raises BadCursor, BadInput, LimitExceeded."""
    window_of(first, last)
    for cursor in (after, before):
        if cursor is not None:
            _unpacked(cursor)


@lru_cache(maxsize=1_000)
def _mark_of(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=_MARK).digest()


@lru_cache(maxsize=256)
def _unpacked(cursor: str) -> tuple[bytes, Key]:
    """Split a cursor into the mark of its list and the key. Raises BadCursor for the cursor of no list.

    A request reads each of its cursors when it begins, and again where the page is read.
    """
    if len(cursor) > LONGEST_CURSOR:
        raise BadCursor
    try:
        payload = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        values = orjson.loads(payload[_MARK:])
        if isinstance(values, list):
            return payload[:_MARK], tuple(map(_untagged, values))
    except (ValueError, OverflowError) as error:
        raise BadCursor from error
    raise BadCursor


LONGEST_CURSOR: Final = 16_000
"""Characters; no key of any list is that long, where each character of a text of 1,024 takes six bytes in JSON."""

_MARK: Final = 4  # bytes in front of a cursor
_PACKED: Final[Mapping[type, tuple[bytes, Packing, bytes]]] = {
    UUID: (b'{"u":"', Packing.HEX, b'"}'),
    datetime: (b'{"t":', Packing.MICROSECONDS, b"}"),
    str: (b"", Packing.JSON, b""),
}
"""How values of a key are written in a cursor, as `_tagged` does."""
_PLAIN: Final = frozenset({int, str})  # values of keys that JSON has


def _tagged(value: Any) -> Any:
    """Return a value of a key for JSON, marked with its type. A time keeps its microseconds: losing one would repeat or skip an item."""
    match value:
        case UUID():
            return {"u": value.hex}
        case datetime():
            return {"t": (value - EPOCH) // MICROSECOND}
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, dict):  # patterns of mappings take ten times as long
        text, micros = value.get("u"), value.get("t")
        if isinstance(text, str):
            return uuid_of(bytes.fromhex(text))
        if isinstance(micros, int):
            return EPOCH + micros * MICROSECOND
        raise ValueError("no key has such an object")
    is_text, is_number = isinstance(value, str), isinstance(value, int)
    if value is None or (is_text and "\0" not in value) or (is_number and -(2**63) <= value < 2**63):
        return value
    raise ValueError("no key has such a value")


# ------------------------------------------------------------------------------------------------ GraphQL types


async def _total_count(slice_: strawberry.Parent[Slice[Any]]) -> int:
    return await slice_.count()


@strawberry.type(description="Where a page stands in its list, and the cursors to ask for its neighbours with.")
class PageInfo:
    is_loaded = False

    has_next_page: bool = attribute(
        "page.has_next", "Whether the list goes on behind this page.", reads=HasMore(behind=True)
    )
    has_previous_page: bool = attribute(
        "page.has_previous", "Whether the list has items in front of this page.", reads=HasMore(behind=False)
    )
    start_cursor: str | None = plain(
        "Cursor of the page's first item, for `before`; null on an empty page. Of a page of a search that ended before it was full, cursor of the place where it did.",
        End(is_first=True),
    )
    end_cursor: str | None = plain(
        "Cursor of the page's last item, for `after`; null on an empty page. Of a page of a search that ended before it was full, cursor of the place where it did.",
        End(is_first=False),
    )


@strawberry.type(name="Edge", description="An item of a list together with its place there.")
class EdgeType(Generic[T]):
    cursor: str = plain("The item's place in the list and order it was asked for in; opaque.", place_of)
    node: T = plain("The item itself, the same object that `nodes` holds.", object_of, is_record=True)


@strawberry.type(description="A page of a list, and what is needed to ask for the next one.")
class Connection(Generic[T]):
    edges: list[EdgeType[T]] = plain(
        "The page's items, each with its cursor, in the list's order.", each_of, is_record=True
    )
    nodes: list[T] = plain("The page's items without cursors, in the list's order.", each_of, is_record=True)
    page_info: PageInfo = plain("Whether the list goes on, and the cursors of the page's ends.", object_of)
    total_count: Long | None = resolved_by(
        _total_count,
        "How many items the whole list has under its filter. Counted only when asked for.",
        reads=count_of,
        weight=Weight(5 * OBJECT),
    )


def connection_of(node: Any) -> Any:
    """Return the connection of a type that is referred to by `later`."""
    generic: Any = Connection
    return generic[node]


class OrderDirection(StrEnum):
    """Which end of an order comes first."""

    ASC = "ASC"
    DESC = "DESC"


described(
    OrderDirection,
    "OrderDirection",
    "Which end of an order comes first.",
    ASC="The smallest, earliest or first in the alphabet comes first.",
    DESC="The exact reverse: the greatest, latest or last in the alphabet comes first.",
)

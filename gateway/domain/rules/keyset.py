"""Keyset pagination, forwards and backwards: a page begins behind the key of an item, so that items which come and go elsewhere do not move it.

A list is ordered by a key: a tuple of values that no two items share. A `Window` says which page is meant. A short list is
cut in memory (`page_of`); for a long one SQL reads one row more than the page holds, and `page_of_rows` cuts that off.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

from gateway.errors import BadCursor, BadInput, LimitExceeded

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

Key = tuple[Any, ...]
T = TypeVar("T")


class Window(NamedTuple):
    """The first `size` items between two keys, the last ones if `backward`. A key that is None bounds nothing."""

    size: int = DEFAULT_PAGE_SIZE
    backward: bool = False
    after: Key | None = None
    before: Key | None = None

    @property
    def fetch(self) -> int:
        """The number of rows that SQL reads: one more than the page holds, which shows whether the list goes on."""
        return self.size + 1

    @property
    def mirrored(self) -> "Window":
        """The window that selects these items when the list runs the other way: `after` and `before` change places, and so do its ends."""
        return Window(self.size, not self.backward, self.before, self.after)

    def bounds(self, *types: type) -> Key:
        """Return the values of `after`, then those of `before`; None for each value of a missing key. Raises BadCursor unless they have these types."""
        return (*_values(self.after, types), *_values(self.before, types))


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list that SQL reads: by these columns with values of these types, which together no two items share, and none is null."""

    columns: tuple[str, ...]
    types: tuple[type, ...]
    descending: bool = False

    def stretch(self, window: Window, least: Key | None = None, greatest: Key | None = None) -> "Stretch":
        """Return what SQL is to read for a window, nearest to its cursor first. Raises BadCursor if a key is one of another order.

        Only items between the keys `least` and `greatest` are read. Of two bounds at one end, the narrower one is given.
        """
        seen = window.mirrored if window.backward else window
        descending = self.descending != window.backward
        keys = [None if key is None else _values(key, self.types) for key in (seen.after, seen.before)]
        low, high = reversed(keys) if descending else keys
        bounds = [
            max((key for key in (low, least) if key is not None), default=None),
            min((key for key in (high, greatest) if key is not None), default=None),
        ]
        after, before = reversed(bounds) if descending else bounds
        return {"columns": self.columns, "after": after, "before": before, "descending": descending}


class Stretch(TypedDict):
    """Consecutive items of a list, as SQL reads them: the arguments of `Query.page`."""

    columns: tuple[str, ...]
    after: Key | None
    before: Key | None
    descending: bool


class Page(NamedTuple, Generic[T]):
    """Some items of a list, in its order, and whether the list has more behind and in front of them.

    `start` and `end` are the keys at which the page begins and ends where that is not at its first and last item.
    """

    items: list[T]
    has_next: bool
    has_previous: bool
    start: Key | None = None
    end: Key | None = None


def window_of(first: int | None, last: int | None, after: Key | None = None, before: Key | None = None) -> Window:
    """Return the window for GraphQL's arguments of pages: 50 items by default, 1,000 at most. Raises BadInput, LimitExceeded."""
    if first is not None and last is not None:
        raise BadInput("Ask for the `first` items or for the `last` ones, not for both.")
    size = next((size for size in (first, last) if size is not None), DEFAULT_PAGE_SIZE)
    if size < 0:
        raise BadInput(f"A page cannot have {size} items.")
    if size > MAX_PAGE_SIZE:
        raise LimitExceeded(f"A page has at most {MAX_PAGE_SIZE:,} items; page on with `after` or `before`.")
    return Window(size, last is not None, after, before)


def page_of(items: Iterable[T], key: Callable[[T], Key], window: Window, *, descending: bool = False) -> Page[T]:
    """Return the page of a whole list. Raises BadCursor if a key of the window does not compare with those of the list.

    `items` may be in any order; the list is ordered by `key`, from the least to the greatest, or the other way if `descending`.
    """
    if descending:
        page = page_of(items, key, window.mirrored)
        return Page(page.items[::-1], has_next=page.has_previous, has_previous=page.has_next)
    ordered = sorted(items, key=key)
    try:
        start = bisect_right(ordered, window.after, key=key) if window.after is not None else 0
        stop = bisect_left(ordered, window.before, key=key) if window.before is not None else len(ordered)
    except TypeError as error:
        raise BadCursor from error
    if window.backward:
        start = max(start, stop - window.size)
    else:
        stop = min(stop, start + window.size)
    return Page(ordered[start:stop], has_next=stop < len(ordered), has_previous=start > 0)


def page_of_rows(rows: Sequence[T], window: Window) -> Page[T]:
    """Return the page of a long list, in the list's order, from the rows that SQL found when it asked for `window.fetch` of them.

    `rows` are in the list's order; in reverse order if the window is backward.
    """
    items = list(rows[: window.size])
    return Page(items[::-1] if window.backward else items, *has_next_and_previous(len(rows), window))


def has_next_and_previous(found: int, window: Window) -> tuple[bool, bool]:
    """Return whether the list has more behind the page, and whether it has more in front.

    `found` is the number of rows that SQL found when it asked for `window.fetch` of them. With `before` more is
    said to be behind, with `after` more in front: nobody checks whether the item that had the key is still in the list.
    """
    more = found > window.size
    if window.backward:
        return window.before is not None, more or window.after is not None
    return more or window.before is not None, window.after is not None


def _values(key: Key | None, types: tuple[type, ...]) -> Key:
    if key is None:
        return (None,) * len(types)
    if len(key) != len(types) or not all(map(isinstance, key, types)):
        raise BadCursor
    return key

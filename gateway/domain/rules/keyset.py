"""Pages of ordered lists, forwards and backwards, by the key of the last item seen: what comes and goes elsewhere moves no page.

A list's order is a key: a tuple of values that no two items share. A page is asked for by a `Window`; a short list is cut in
memory (`page_of`), a long one by SQL that looks for one row more than wanted and hands its rows to `page_of_rows`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from gateway.errors import BadCursor, BadInput, LimitExceeded

DEFAULT_SIZE = 50
MAX_SIZE = 1000

Key = tuple[Any, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """The first `size` items between two keys, the last ones if `backward`. A key that is None bounds nothing."""

    size: int = DEFAULT_SIZE
    backward: bool = False
    after: Key | None = None
    before: Key | None = None

    @property
    def fetch(self) -> int:
        """How many rows SQL looks for: one more than the page holds tells whether the list goes on."""
        return self.size + 1

    @property
    def mirrored(self) -> "Window":
        """The same page of the same list in reverse order."""
        return replace(self, backward=not self.backward, after=self.before, before=self.after)

    def bounds(self, *types: type) -> Key:
        """The values of `after`, then of `before`; all None for a key that is. Raises BadCursor unless they have these types."""
        return (*_values(self.after, types), *_values(self.before, types))


class Page(NamedTuple, Generic[T]):
    """Some items of a list, in its order, and whether it goes on at either end."""

    items: list[T]
    has_next: bool
    has_previous: bool


def window_of(first: int | None, last: int | None, after: Key | None = None, before: Key | None = None) -> Window:
    """The window that these arguments ask for: 50 items unless told, 1,000 at most. Raises BadInput, LimitExceeded."""
    if first is not None and last is not None:
        raise BadInput("Ask for the `first` items or for the `last` ones, not for both.")
    size = next((size for size in (first, last) if size is not None), DEFAULT_SIZE)
    if size < 0:
        raise BadInput(f"A page cannot have {size} items.")
    if size > MAX_SIZE:
        raise LimitExceeded(f"A page has at most {MAX_SIZE:,} items; page on with `after` or `before`.")
    return Window(size, last is not None, after, before)


def page_of(items: Iterable[T], key: Callable[[T], Key], window: Window, *, descending: bool = False) -> Page[T]:
    """The page of a list that is wholly at hand, whatever order it comes in. Raises BadCursor for a key of another kind."""
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
    """The page out of up to `window.fetch` rows, the nearest first: those of a backward window come in reverse order."""
    items = list(rows[: window.size])
    return Page(items[::-1] if window.backward else items, *goes_on(len(rows), window))


def goes_on(found: int, window: Window) -> tuple[bool, bool]:
    """Whether the list goes on behind a page and in front of it, where up to `window.fetch` rows were looked for."""
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

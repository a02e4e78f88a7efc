"""Paths of the values of a column in an answer. A path is built only when an error has to name it."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

Path = list[str | int]

Places = Callable[[int], Path]
"""Returns the path of the value of a column with this index: keys and indexes from the root of the answer."""


def root(_index: int) -> Path:
    """Return the path of the root object of an operation."""
    return []


def places_of_field(parents: Places, key: str) -> Places:
    """Return the places of a field's values, which are under one key of each parent."""
    return lambda index: [*parents(index), key]


def places_of_subset(places: Places, indexes: Sequence[int]) -> Places:
    """Return the places of some of a column's values, which have these indexes in the column."""
    return lambda index: places(indexes[index])


def places_of_items(places: Places, lists: Sequence[Sequence[Any]]) -> Places:
    """Return the places of the items of a column of lists, one list after the other."""
    ends: list[int] = []

    def path(index: int) -> Path:
        if not ends:
            ends.extend(accumulate(map(len, lists)))
        number = bisect_right(ends, index)
        return [*places(number), index - (ends[number - 1] if number else 0)]

    return path

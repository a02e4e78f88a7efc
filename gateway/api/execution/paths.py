"""Paths of the values of a column in an answer. A path is built only when an error has to name it."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

Path = list[str | int]


class Places(ABC):
    """The paths of all values of a column."""

    @abstractmethod
    def path(self, index: int) -> Path:
        """Return the path of the value with this index: keys and indexes from the root of the answer."""


class RootPlace(Places):
    """The root object of an operation, whose path is empty."""

    def path(self, index: int) -> Path:  # noqa: ARG002 (it is the only one)
        return []


class FieldPlaces(Places):
    """The values of a field: one key below each parent."""

    def __init__(self, objects: Places, key: str) -> None:
        self._objects = objects
        self._key = key

    def path(self, index: int) -> Path:
        return [*self._objects.path(index), self._key]


class SubsetPlaces(Places):
    """A part of a column's values, by their indexes in it."""

    def __init__(self, places: Places, numbers: Sequence[int]) -> None:
        self._places = places
        self._numbers = numbers

    def path(self, index: int) -> Path:
        return self._places.path(self._numbers[index])


class ItemPlaces(Places):
    """The items of a column of lists, one list after the other."""

    def __init__(self, places: Places, lists: Sequence[Sequence[Any]]) -> None:
        self._places = places
        self._lists = lists

    def path(self, index: int) -> Path:
        number = bisect_right(self._ends, index)
        return [*self._places.path(number), index - (self._ends[number - 1] if number else 0)]

    @cached_property
    def _ends(self) -> list[int]:
        """The total number of items up to the end of each list."""
        return list(accumulate(map(len, self._lists)))

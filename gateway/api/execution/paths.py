"""Where the values of a column stand in an answer. A path is put together only when an error has to name it."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

Path = list[str | int]


class Places(ABC):
    """Of each value of a column: the way to it from the answer's root."""

    @abstractmethod
    def path(self, index: int) -> Path:
        """The path of the value with this number."""


class RootPlace(Places):
    """The one object that an operation begins with."""

    def path(self, index: int) -> Path:  # noqa: ARG002 (it is the only one)
        return []


class FieldPlaces(Places):
    """The same key under each of the objects above."""

    def __init__(self, objects: Places, key: str) -> None:
        self._objects = objects
        self._key = key

    def path(self, index: int) -> Path:
        return [*self._objects.path(index), self._key]


class SubsetPlaces(Places):
    """What is there of a column: those of its places with these numbers."""

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
        """Behind which item each list ends."""
        return list(accumulate(map(len, self._lists)))

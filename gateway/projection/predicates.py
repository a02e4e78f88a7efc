"""Conditions on records, as SQL with values that become parameters of a statement."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

MAX_CACHED: Final = 256
"""Of the comparisons of keys, and of the slots of conditions."""


class Predicate(NamedTuple):
    """A condition: SQL with `{}` in place of each value. `computes`: it works out values, which may be out of range."""

    sql: str
    values: tuple[Any, ...]
    computes: bool = False


class Slot(NamedTuple):
    """Stands for a value of a condition, the one at this place among the values of a projection."""

    place: int


@lru_cache(MAX_CACHED)
def slots_up_to(end: int, count: int) -> tuple[Slot, ...]:
    """Return the slots of so many places, the last of them in front of `end`."""
    return tuple(map(Slot, range(end - count, end)))


class Values:
    """The values of a statement's parameters, to which conditions add theirs; and whether one of these `computes` values.

    `slots`: SQL with a gap for the place of a slot, where slots stand for columns and not for parameters.
    """

    def __init__(self, *given: Any, slots: str = "") -> None:
        self.given = list(given)
        self.computes = False
        self._slots = slots

    def bind(self, value: Any) -> str:
        """Add a value, and return its parameter in SQL, such as `$4`."""
        if self._slots and isinstance(value, Slot):
            return self._slots.format(value.place)
        self.given.append(value)
        return f"${len(self.given)}"

    def conditions(self, predicates: Iterable[Predicate]) -> str:
        """Return SQL that goes behind another condition: all predicates hold. Their values are added."""
        given = list(predicates)
        self.computes |= any(each.computes for each in given)
        return "".join(f" and {each.sql.format(*map(self.bind, each.values))}" for each in given)


def at_least(column: str, value: Any) -> Predicate:
    """Return the condition that a column's value is not less than another."""
    return Predicate(f"{column} >= {{}}", (value,))


def less(column: str, value: Any) -> Predicate:
    """Return the condition that a column's value is less than another."""
    return Predicate(f"{column} < {{}}", (value,))


def one_of(column: str, kind: str, values: Sequence[Any]) -> Predicate:
    """Return the condition that a column has one of some values; `kind` is their type in SQL."""
    return Predicate(f"{column} = any({{}}::{kind}[])", (tuple(values),))


def has_path(column: str, path: str, variables: str) -> Predicate:
    """Return the condition that a jsonpath matches a document; `variables` are those of the path, as the text of a JSON object."""
    return Predicate(f"jsonb_path_exists({column}, {{}}::text::jsonpath, {{}}::jsonb)", (path, variables))


def beyond(columns: Sequence[str], key: Sequence[Any], *, descending: bool) -> Predicate:
    """Return the condition that a record comes after a key in the order of these columns, ascending or descending."""
    return Predicate(_comparison(tuple(columns), "<" if descending else ">"), tuple(key))


@lru_cache(MAX_CACHED)
def _comparison(columns: tuple[str, ...], operator: str) -> str:
    return f"({', '.join(columns)}) {operator} ({', '.join('{}' for _ in columns)})"

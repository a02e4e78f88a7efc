"""Conditions on records, as SQL with values that become parameters of a statement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition: SQL with `{}` in place of each value. `computes`: it works out values, which may be out of range."""

    sql: str
    values: tuple[Any, ...]
    computes: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands for a value of a condition, the one at this place among the values of a projection."""

    place: int


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
    places = ", ".join("{}" for _ in columns)
    return Predicate(f"({', '.join(columns)}) {'<' if descending else '>'} ({places})", tuple(key))

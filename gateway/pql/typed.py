"""What an expression means: names resolved, types known. Fewer constructs than can be written; `check` makes them, `sql` compiles them.

A missing array has no items for whatever goes through it. Nodes may be shared: a `let` puts one node in several places.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias

from gateway.pql.ast import Unit
from gateway.pql.types import ObjectOf, Type

Path: TypeAlias = tuple[str, ...]

Aggregation: TypeAlias = Literal["count", "sum", "average", "min", "max"]


@dataclass(frozen=True, slots=True, eq=False)
class Typed:
    """An expression, and the type of its values."""

    type: Type


@dataclass(frozen=True, slots=True, eq=False)
class Variable(Typed):
    """What stands for one value after another: the input, the item of an array, the parameter of a lambda.

    `path` leads to it from the input, through arrays; None where it is nothing of a document.
    """

    path: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Typed):
    """A value that is written in the expression."""

    value: str | bool | int | Decimal


@dataclass(frozen=True, slots=True, eq=False)
class Missing(Typed):
    """A value that is never there: an item of `[]`."""


@dataclass(frozen=True, slots=True, eq=False)
class Day(Typed):
    """A date that is written in the expression: year, month, day."""

    year: int
    month: int
    day: int


@dataclass(frozen=True, slots=True, eq=False)
class Now(Typed):
    """The instant of evaluation."""


@dataclass(frozen=True, slots=True, eq=False)
class Truncated(Typed):
    """The beginning of the unit in which a time lies, and `shift` units later; the time itself shifted, where `starts` is False."""

    of: Typed
    unit: Unit
    shift: int = 0
    starts: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Read(Typed):
    """A field of an object, by a path through objects."""

    of: Typed
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Computed(Typed):
    """A field that is in no document: what an expression over `input` gives for a record. `path` leads from the record to its name.

    `window`: the events of a profile that it looks at, all without one.
    """

    of: Typed
    path: Path
    input: Variable
    value: Typed
    window: "Window | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class LookUp(Typed):
    """The value under a key of a map."""

    of: Typed
    key: Typed


@dataclass(frozen=True, slots=True, eq=False)
class MadeList(Typed):
    """An array of the values of expressions."""

    items: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MadeObject(Typed):
    """An object of the values of expressions."""

    entries: tuple[tuple[str, Typed], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Applied(Typed):
    """A function of single values, by its name in `sql.FUNCTIONS`."""

    function: str
    arguments: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matched(Typed):
    """Whether a text matches a pattern of SQL (`like` or a regular expression); or, with `group`, the text of that group."""

    of: Typed
    pattern: str
    is_regular: bool = True
    group: int | None = None


# ------------------------------------------------------------------------------------------------ arrays and maps


@dataclass(frozen=True, slots=True, eq=False)
class Filtered(Typed):
    """The items of an array for which a condition holds."""

    of: Typed
    item: Variable
    condition: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Mapped(Typed):
    """A value for each item of an array; with `is_spread`, values that are missing are left out, and arrays give their items."""

    of: Typed
    item: Variable
    value: Typed
    is_spread: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Pair(Typed):
    """An entry of a map that is being made."""

    key: Typed
    value: Typed


@dataclass(frozen=True, slots=True, eq=False)
class MapMade(Typed):
    """A map with an entry for each item of an array that has key and value; of equal keys, the last entry."""

    of: Typed
    item: Variable
    key: Typed
    value: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Entries(Typed):
    """The entries of a map in the order of their keys, as objects with `key` and `value`."""

    of: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Grouped(Typed):
    """A map from the values of an expression to the items that have them."""

    of: Typed
    item: Variable
    key: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Top(Typed):
    """The items with the largest values of an expression, or the smallest; of equal ones, those in front."""

    of: Typed
    item: Variable
    key: Typed
    size: int
    is_largest: bool


@dataclass(frozen=True, slots=True, eq=False)
class Distinct(Typed):
    """Each item once, at its first place."""

    of: Typed


@dataclass(frozen=True, slots=True, eq=False)
class First(Typed):
    """The first item of an array."""

    of: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Aggregated(Typed):
    """A number, or a time, made of all items of an array: `count` of the items, the others of the values that are not missing."""

    function: Aggregation
    of: Typed
    item: Variable
    value: Typed | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Some(Typed):
    """Whether a condition holds for an item of an array."""

    of: Typed
    item: Variable
    condition: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Every(Typed):
    """Whether a condition holds for all items of an array."""

    of: Typed
    item: Variable
    condition: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Member(Typed):
    """Whether an array has an item that equals a value. Missing if the value or the array is."""

    value: Typed
    of: Typed


@dataclass(frozen=True, slots=True, eq=False)
class Chained(Typed):
    """Whether an array has an item for each condition, one later than the other by the time of `order`."""

    of: Typed
    item: Variable
    order: Typed
    steps: tuple[Typed, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression over one input: a profile, or an event.

    `paths` are the fields that it reads, dotted, through arrays and maps. `cost`: about how many single values are computed for one input.
    """

    text: str
    input: Variable
    body: Typed
    paths: tuple[str, ...]
    cost: int
    reads_events: bool
    reads_time: bool


class Lookback(Protocol):
    """How old something may be."""

    def before(self, at: datetime) -> datetime:
        """Return the time so long before another."""


@dataclass(frozen=True, slots=True)
class Window:
    """The events of a profile up to the instant of evaluation, of any age without a `lookback`."""

    lookback: Lookback | None = None


@dataclass(frozen=True, slots=True)
class ComputedFields(ObjectOf):
    """An object in a record whose fields are in no document: each is computed, by an expression over the record, some of a window of its events. It is no value itself."""

    expressions: Mapping[str, Expression] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)

    @classmethod
    def of(cls, expressions: Mapping[str, Expression], windows: Mapping[str, Window] | None = None) -> "ComputedFields":
        """Return the object with a field for each of these expressions."""
        return cls({}, {name: each.body.type for name, each in expressions.items()}, expressions, windows or {})


def children(node: Typed) -> list[Typed]:
    """Return the expressions that stand directly in one, in the order of its fields; variables are not among them."""
    return [each for each in below(node) if not isinstance(each, Variable)]


def below(node: Typed) -> list[Typed]:
    """Return the expressions that stand directly in one, in the order of its fields, variables among them."""
    found: list[Typed] = []
    for each in fields(node):
        _collect(getattr(node, each.name), found)
    return found


def _collect(value: Any, found: list[Typed]) -> None:
    if isinstance(value, Typed):
        found.append(value)
    elif isinstance(value, tuple):
        for each in value:
            _collect(each, found)


def path_of(node: Typed) -> Path | None:
    """Return the path from the input to where values of an expression stand in documents; None for values that stand in none."""
    match node:
        case Variable(path=path):
            return path
        case Read(of=of, path=steps) | Computed(of=of, path=steps):
            path = path_of(of)
            return None if path is None else path + steps
        case Filtered(of=of) | Top(of=of) | Distinct(of=of) | First(of=of) | LookUp(of=of):
            return path_of(of)
        case Mapped(value=value, is_spread=True):
            return path_of(value)
    return None


def path_from(item: Variable, node: Typed) -> Path | None:
    """Return the path of a field that is read of an item through objects alone; None for anything else, `()` for the item itself."""
    path: Path = ()
    while isinstance(node, Read):
        path, node = node.path + path, node.of
    return path if node is item else None


def parts_of(condition: Typed) -> Iterator[Typed]:
    """Yield the conditions that all have to hold, in their order."""
    if isinstance(condition, Applied) and condition.function == "and":
        for each in condition.arguments:
            yield from parts_of(each)
    else:
        yield condition


def value_sought(node: Some) -> tuple[Path, Constant] | None:
    """Return the field of an item and the value that it has to have, where a condition says just that; None for another condition."""
    match node.condition:
        case Applied(function="=", arguments=(Read() | Variable() as of, Constant() as value)):
            path = path_from(node.item, of)
            return None if path is None else (path, value)
    return None

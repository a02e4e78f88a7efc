"""What an expression says, as it is written: one class for each construct. `at` is the place in the text at which it is written."""

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal, TypeAlias

Comparison: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
Direction: TypeAlias = Literal["before", "after", "from"]
Unit: TypeAlias = Literal[
    "millisecond", "second", "minute", "hour", "day", "week", "month", "year", "decade", "century", "millennium"
]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression, and the place of the character that stands for it: the sign of an operator, the name of a field."""

    at: int


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A string, a truth value, an integer or, as Decimal, a number with a fraction."""

    value: str | bool | int | Decimal


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    """`[1, 4]`"""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ObjectLiteral(Node):
    """`{"key": value}`"""

    entries: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, or a field of what an expression is about: of the input, or of the current item in a filter."""

    name: str


@dataclass(frozen=True, slots=True)
class Position(Node):
    """`$1`: the input with this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Outer(Node):
    """`^name`: a field of what stands so many levels around the current item."""

    levels: int
    name: str


@dataclass(frozen=True, slots=True)
class This(Node):
    """`this`: the current item."""


@dataclass(frozen=True, slots=True)
class Moment(Node):
    """`now`, `today`, `yesterday` or `tomorrow`."""

    word: str


@dataclass(frozen=True, slots=True)
class Period(Node):
    """`this week`, `last month`, `next year`: a time only after `occurs`."""

    which: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`of.name`"""

    of: Node
    name: str


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """`of[condition]`"""

    of: Node
    condition: Node


@dataclass(frozen=True, slots=True)
class Method(Node):
    """`of.name(arguments)`"""

    of: Node
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(arguments)`"""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """`(A, B) => body`"""

    parameters: tuple[str, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`not of`, `!of`"""

    of: Node


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """`-of`"""

    of: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left sign right`, where the sign is `+`, `-`, `*`, `/` or `%`."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Compared(Node):
    """`left operator right`; the operator is a Comparison, `in`, `notin` or `like`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Two conditions or more, joined by `and` or by `or`."""

    operator: Literal["and", "or"]
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Distance(Node):
    """`< 7 days before time`"""

    comparison: Comparison
    count: int
    unit: Unit
    direction: Direction
    time: Node


@dataclass(frozen=True, slots=True)
class Order(Node):
    """`before time`"""

    direction: Direction
    time: Node


@dataclass(frozen=True, slots=True)
class Within(Node):
    """`on time`: in the same day, or in the period."""

    time: Node


@dataclass(frozen=True, slots=True)
class Between(Node):
    """`between start and end`"""

    start: Node
    end: Node


Occurrence: TypeAlias = Distance | Order | Within | Between


@dataclass(frozen=True, slots=True)
class Occurs(Node):
    """`of occurs occurrence`"""

    of: Node
    occurrence: Occurrence


@dataclass(frozen=True, slots=True)
class Source(Node):
    """`name from of where condition`: the items of an array, one after the other under a name."""

    name: str
    of: Node
    condition: Node | None


@dataclass(frozen=True, slots=True)
class Quantified(Node):
    """`select`, `exists` or `forall` over one source or several; those behind may read the items of those before."""

    kind: Literal["select", "exists", "forall"]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value in body`"""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Aggregated(Node):
    """`(sum value over source)`"""

    function: str
    value: Node
    source: Source


@dataclass(frozen=True, slots=True)
class Step(Node):
    """`label: WHAT(condition) WHEN(occurrence)`"""

    label: str
    condition: Node
    occurrence: Occurrence | None


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`chain(of, order, [steps])`"""

    of: Node
    order: Node
    steps: tuple[Step, ...]


def children(node: Node) -> list[Node]:
    """Return the nodes that stand directly in a node, in the order of its fields."""
    found: list[Node] = []
    for field in fields(node):
        _collect(getattr(node, field.name), found)
    return found


def _collect(value: Any, found: list[Node]) -> None:
    if isinstance(value, Node):
        found.append(value)
    elif isinstance(value, tuple):
        for each in value:
            _collect(each, found)

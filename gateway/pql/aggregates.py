"""Aggregations: an expression over a person that is one function of their events, such as `xEvent[eventType = "a"].sum(price)`.

What such a function is made of, the events, and what is taken of each, looks at one event alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.pql.names import item_of
from gateway.pql.typed import (
    Aggregated,
    Computed,
    Distinct,
    Entries,
    Expression,
    Filtered,
    First,
    Grouped,
    MadeObject,
    MapMade,
    Mapped,
    Read,
    Top,
    Typed,
    Variable,
    below,
)
from gateway.pql.types import EVENTS, ArrayOf, ObjectOf, Scalar

VALUE, COUNTED, AT = "value", "counted", "at"
"""Keys of what `explained` makes."""

_TIME: Final = ("timestamp",)


class AggregateFunction(StrEnum):
    """What is made of events.

    DISTINCT: how many different values there are. MOST_FREQUENT: the value that most of them have. GROUPBY: a map from values to what
    another function makes of the events with them. MOST_RECENT: of the newest event. LIST: of the newest ones.
    """

    SUM = "SUM"
    COUNT = "COUNT"
    MIN = "MIN"
    MAX = "MAX"
    AVERAGE = "AVERAGE"
    MOST_RECENT = "MOST_RECENT"
    LIST = "LIST"
    DISTINCT = "DISTINCT"
    MOST_FREQUENT = "MOST_FREQUENT"
    GROUPBY = "GROUPBY"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function of events. `events` are those that it is of; `newest` is the one event that a MOST_RECENT value is from, None for others."""

    function: AggregateFunction
    events: Typed
    newest: Top | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """A function as it is written: the array that it is of, and the expressions over single items of that."""

    function: AggregateFunction
    of: Typed
    inner: tuple[Typed | None, ...] = ()
    newest: Top | None = None


def aggregate_of(expression: Expression) -> Aggregate | None:
    """Return what function of the events an expression over a profile is; None for an expression that is more, or another."""
    shape = _shape_of(expression.body)
    if shape is None:
        return None
    of, inner = shape.of, list(shape.inner)
    events: Typed | None = None
    while isinstance(of, Filtered | Mapped):
        if isinstance(of, Mapped):
            events = None
        elif events is None:
            events = of
        inner.append(of.condition if isinstance(of, Filtered) else of.value)
        of = of.of
    is_whole = isinstance(of, Read) and of.path == (EVENTS,) and of.of is expression.input
    if not is_whole or any(mentions(each, expression.input) for each in inner if each is not None):
        return None
    return Aggregate(shape.function, events or of, shape.newest)


def explained(expression: Expression, aggregate: Aggregate | None) -> Expression:
    """Return an expression that gives an object: the value, how many events it is of, and the time of the event that it is from, if one is."""
    parts: dict[str, Typed] = {VALUE: expression.body}
    if aggregate is not None:
        item = item_of(aggregate.events)
        parts[COUNTED] = Aggregated(Scalar.LONG, "count", aggregate.events, item)
    if aggregate is not None and aggregate.newest is not None:
        item = item_of(aggregate.newest)
        times = Mapped(ArrayOf(Scalar.DATE_TIME), aggregate.newest, item, Read(Scalar.DATE_TIME, item, _TIME))
        parts[AT] = First(Scalar.DATE_TIME, times)
    kinds = {name: part.type for name, part in parts.items()}
    body = MadeObject(ObjectOf({}, kinds), tuple(parts.items()))
    of = expression
    return Expression(of.text, of.input, body, of.paths, of.cost, of.reads_events, of.reads_time)


def events_of(expression: Expression) -> Typed:
    """Return the events that an expression of `explained` counts. Raises TypeError for one that is no function of events."""
    body = expression.body
    counted = dict(body.entries)[COUNTED] if isinstance(body, MadeObject) else None
    if not isinstance(counted, Aggregated):
        raise TypeError("The expression is no explained function of events.")
    return counted.of


def _shape_of(body: Typed) -> _Shape | None:
    """Return how a function is written, whatever array it is of."""
    return _shape_of_all(body) or _shape_of_newest(body) or _shape_of_groups(body)


def _shape_of_all(body: Typed) -> _Shape | None:
    match body:
        case Aggregated(function="count", of=Distinct(of=of)):
            return _Shape(AggregateFunction.DISTINCT, of)
        case Aggregated(function=function, of=of, value=value):
            return _Shape(AggregateFunction(function.upper()), of, (value,))
    return None


def _shape_of_newest(body: Typed) -> _Shape | None:
    match body:
        case First(of=Mapped(of=Top(of=of) as top, value=value)) if _is_newest(top) and top.size == 1:
            return _Shape(AggregateFunction.MOST_RECENT, of, (value,), top)
        case Read(of=First(of=Top(of=of) as top)) if _is_newest(top):
            return _Shape(AggregateFunction.MOST_RECENT, of, (), top)
        case Mapped(of=Top(of=of) as top, value=value) if _is_newest(top):
            return _Shape(AggregateFunction.LIST, of, (value,))
    return None


def _shape_of_groups(body: Typed) -> _Shape | None:
    match body:
        case Read(of=First(of=Top(of=Mapped(of=Entries(of=Grouped(of=of, key=key)), item=entry, value=made)) as top)):
            is_most = _is_most_frequent(body, top, entry, made)
            return _Shape(AggregateFunction.MOST_FREQUENT, of, (key,)) if is_most else None
        case MapMade(of=Entries(of=Grouped(of=of, key=key)), item=entry, key=name, value=Aggregated() as value):
            is_of_group = _is_part(name, entry, "key") and _is_part(value.of, entry, "value")
            return _Shape(AggregateFunction.GROUPBY, of, (key, value.value)) if is_of_group else None
    return None


def _is_newest(top: Top) -> bool:
    """Return whether the largest items are the newest events; `aggregate_of` sees to it that they are events."""
    key, of = top.key, top.of
    while isinstance(of, Filtered):
        of = of.of
    is_of_events = isinstance(of, Read) and of.path == (EVENTS,)
    return is_of_events and top.is_largest and isinstance(key, Read) and key.of is top.item and key.path == _TIME


def _is_most_frequent(body: Read, top: Top, entry: Variable, made: Typed) -> bool:
    """Return whether a field is the key of the largest group: of `{k: K, n: G.count()}` for each, the `k` of that with the largest `n`."""
    if not isinstance(made, MadeObject) or not isinstance(top.key, Read) or not top.is_largest:
        return False
    parts = dict(made.entries)
    told_key, ranked = parts.get(body.path[0]), parts.get(top.key.path[0])
    is_count = isinstance(ranked, Aggregated) and ranked.function == "count" and _is_part(ranked.of, entry, "value")
    is_key = told_key is not None and _is_part(told_key, entry, "key")
    return is_key and is_count and top.key.of is top.item and len(body.path) == len(top.key.path) == 1


def _is_part(node: Typed, entry: Variable, name: str) -> bool:
    return isinstance(node, Read) and node.of is entry and node.path == (name,)


def takes_whole_input(expression: Expression) -> bool:
    """Return whether an expression takes all of its input as a value, and not fields of it alone."""
    seen, open_ = set[int](), [expression.body]
    while open_:
        node = open_.pop()
        inside = below(node)
        if node is expression.input or (expression.input in inside and not isinstance(node, Read | Computed)):
            return True
        open_ += [each for each in inside if each is not expression.input and id(each) not in seen]
        seen |= set(map(id, inside))
    return False


def mentions(node: Typed, variable: Variable) -> bool:
    """Return whether a variable stands anywhere in an expression."""
    seen, open_ = set[int](), [node]
    while open_:
        each = open_.pop()
        if each is variable:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            open_ += below(each)
    return False

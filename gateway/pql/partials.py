"""Partials: what an aggregation makes of some of its events, so that the partials of all of them together give its value.

A partial is three numbers, and for a MOST_RECENT value the newest event's place and value: sums add up, the least of the least is the least.
The partials of several aggregations stand in one row, each at a slot of its own: `NUMBERS` numbers of an array, one item of another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from gateway.pql.aggregates import AT, COUNTED, VALUE, Aggregate, AggregateFunction
from gateway.pql.inputs import Inputs
from gateway.pql.rows import Rows, Source, bound, rows
from gateway.pql.sql import Compiled, written
from gateway.pql.typed import (
    Aggregated,
    Applied,
    Constant,
    Expression,
    First,
    LookUp,
    Mapped,
    Read,
    Top,
    Truncated,
    Typed,
    children,
)
from gateway.pql.types import NUMBERS as OF_NUMBERS
from gateway.pql.types import TIMES, ArrayOf, Scalar, Type
from gateway.pql.values import Value, as_json, as_time, property_of, quoted

NUMBERS: Final = 3
"""Numbers of a partial: how many events it is of; how many values; and their sum, the least or the largest of them."""

MAX_DIGITS: Final = 100_000
"""Digits that a number of an expression may have, taken at the worst: Postgres has room for 131,072."""
MAX_YEARS: Final = 100_000
"""Years by which an expression may shift times, taken together: Postgres has room for 294,276."""

_DOUBLE_DIGITS: Final = 350
_YEARS: Final[Mapping[str, float]] = {"year": 1, "decade": 10, "century": 100, "millennium": 1_000}


class Fold(NamedTuple):
    """How numbers become one: the aggregate of Postgres over many, and the operation on two."""

    many: str
    two: str


_SUM: Final = Fold("sum({})", "coalesce({}, 0) + coalesce({}, 0)")
_FOLDS: Final[Mapping[AggregateFunction, tuple[Fold | None, Fold | None]]] = {
    AggregateFunction.COUNT: (_SUM, None),
    AggregateFunction.SUM: (None, _SUM),
    AggregateFunction.AVERAGE: (_SUM, _SUM),
    AggregateFunction.MIN: (None, Fold("min({})", "least({}, {})")),
    AggregateFunction.MAX: (None, Fold("max({})", "greatest({}, {})")),
    AggregateFunction.MOST_RECENT: (None, None),
}
"""For each function that has partials, how their second and third numbers are folded; the first adds up for all."""


class _Newest(NamedTuple):
    """The newest event of an expression, and what is taken of it."""

    top: Top
    taken: Mapped | Read


@dataclass(frozen=True, slots=True, eq=False)
class PartialOf:
    """An aggregation that has partials, in SQL.

    What it takes of one event are three columns: `c{slot}`, whether it counts; `n{slot}`, how many values it has; `v{slot}`, what they come to.
    """

    expression: Expression
    aggregate: Aggregate
    body: Aggregated | _Newest

    @property
    def folds(self) -> tuple[Fold | None, ...]:
        """How each of the numbers is folded."""
        return (_SUM, *_FOLDS[self.aggregate.function])

    @property
    def is_newest(self) -> bool:
        """Whether it is from the newest event."""
        return isinstance(self.body, _Newest)

    def columns(self, slot: int, event: str, parameters: int) -> Compiled:
        """Return what it takes of the event of this name. The statement around it has so many parameters, the sandbox being the first."""
        inputs = Inputs("'{}'::jsonb", parameters=parameters, event=event)
        return written(self.expression, inputs, lambda source: ", ".join(_columns(self, source, slot, event)))

    def result(self, numbers: tuple[str, ...], newest: str) -> str:
        """Return the object that `aggregates.explained` gives, of the numbers and the newest event of all partials."""
        counted, count, value = numbers
        sql = _value(self, count, value, newest)
        parts = {VALUE: sql, COUNTED: f"coalesce({counted}, 0)"}
        if self.is_newest:
            parts[AT] = as_json(Value(Scalar.DATE_TIME, _time(f"({newest} -> 0)::numeric")))
        return f"jsonb_build_object({', '.join(f'{quoted(name)}, {part}' for name, part in parts.items())})"


Parts: TypeAlias = Mapping[int, PartialOf]
"""Aggregations whose partials stand in one row, by their slots."""


def partial_of(expression: Expression, aggregate: Aggregate | None) -> PartialOf | None:
    """Return the partials of an expression that is an aggregation; None where it has none, or might not be computable for some event."""
    if aggregate is None or aggregate.function not in _FOLDS or not _is_bounded(expression.body):
        return None
    match expression.body:
        case Aggregated(value=value) as body if value is None or value.type in (*OF_NUMBERS, *TIMES):
            return PartialOf(expression, aggregate, body)
        case Read(of=First(of=Top() as top)) as read:
            return PartialOf(expression, aggregate, _Newest(top, read))
        case First(of=Mapped(of=Top() as top, value=value, is_spread=spread) as mapped):
            is_gone_through = spread and isinstance(value.type, ArrayOf)
            return None if is_gone_through else PartialOf(expression, aggregate, _Newest(top, mapped))
    return None


# ------------------------------------------------------------------------------------------------ rows of several


class Packed(NamedTuple):
    """SQL of the two arrays that partials stand in."""

    numbers: str
    newest: str


def made(parts: Parts, within: Callable[[int], str] | None = None) -> Packed:
    """Return partials of events, which are the rows `t` of a statement that groups them; of each slot, of those `within` a condition."""

    def number(slot: int, place: int, fold: Fold | None) -> str:
        if place == 0:
            return f"count(*) filter (where t.c{slot}{limit(slot)})"
        column = fold and fold.many.format(f"t.{'nv'[place - 1]}{slot}")
        is_sum = fold is _SUM
        found = f"{column} filter (where t.c{slot}{limit(slot)})" if column else "null"
        return f"coalesce({found}, 0)" if is_sum else found

    def limit(slot: int) -> str:
        return f" and {within(slot)}" if within else ""

    order = "t.timestamp desc, t.event_id, t.xid, t.dataset_id"
    newest = {
        slot: f"(array_agg(t.v{slot} order by {order}) filter (where t.c{slot}{limit(slot)}))[1]"
        for slot, part in parts.items()
        if part.is_newest
    }
    return _packed(parts, number, newest)


def added(parts: Parts, kept: str, new: str) -> Packed:
    """Return the partials of two rows of these names together."""

    def number(slot: int, place: int, fold: Fold | None) -> str:
        index = _index(slot, place)
        return fold.two.format(f"{kept}.numbers[{index}]", f"{new}.numbers[{index}]") if fold else "null"

    newest = {}
    for slot, part in parts.items():
        if part.is_newest:
            first, second = (f"{row}.newest[{slot + 1}]" for row in (kept, new))
            is_first = f"{second} is null or ({_ranked(first)}) < ({_ranked(second)})"
            newest[slot] = f"case when {is_first} then {first} else {second} end"
    return _packed(parts, number, newest)


def replaced(parts: Parts, kept: str, new: str) -> Packed:
    """Return a row of a name with these partials from another one, and all others as they are."""
    slots = range(max(parts) + 1)
    numbers = [
        f"{new if slot in parts else kept}.numbers[{_index(slot, place)}]" for slot in slots for place in range(NUMBERS)
    ]
    rest = f"{kept}.numbers[{len(numbers) + 1}:]"
    if not any(part.is_newest for part in parts.values()):
        return Packed(f"array[{', '.join(numbers)}] || {rest}", f"{kept}.newest")
    newest = [f"{new if slot in parts else kept}.newest[{slot + 1}]" for slot in slots]
    rest_of_newest = f"{kept}.newest[{len(newest) + 1}:]"
    return Packed(f"array[{', '.join(numbers)}] || {rest}", f"array[{', '.join(newest)}] || {rest_of_newest}")


def results(parts: Parts, within: Callable[[int], str]) -> str:
    """Return columns of values that the rows `p` of a statement come to, as `aggregates.explained` has them; of each slot, those `within` a condition."""
    columns = []
    for slot, part in parts.items():
        limit = f"filter (where {within(slot)})"
        numbers = tuple(
            f"{fold.many.format(f'p.numbers[{_index(slot, place)}]')} {limit}" if fold else "null"
            for place, fold in enumerate(part.folds)
        )
        newest = f"p.newest[{slot + 1}]"
        limit = f"filter (where {newest} is not null and {within(slot)})"
        columns.append(part.result(numbers, f"(array_agg({newest} order by {_ranked(newest)}) {limit})[1]"))
    return ", ".join(columns)


def _packed(parts: Parts, number: Callable[[int, int, Fold | None], str], newest: Mapping[int, str]) -> Packed:
    numbers = ["null"] * (NUMBERS * (max(parts) + 1))
    for slot, part in parts.items():
        for place, fold in enumerate(part.folds):
            numbers[_index(slot, place) - 1] = number(slot, place, fold)
    entries = [newest.get(slot, "null") for slot in range(max(newest) + 1)] if newest else []
    return Packed(f"array[{', '.join(numbers)}]::numeric[]", f"array[{', '.join(entries)}]::jsonb[]")


def count_place(slot: int) -> int:
    """Return where the number of events that count stands among the numbers of a row, for a slot."""
    return _index(slot, 0)


def _index(slot: int, place: int) -> int:
    return NUMBERS * slot + place + 1


def _ranked(newest: str) -> str:
    """Return what sorts the newest event first, and of equally new ones that with the smallest id."""
    keys = ", ".join(f'({newest} ->> {place}) collate "C"' for place in (1, 2, 3))
    return f"- ({newest} -> 0)::numeric, {keys}"


# ------------------------------------------------------------------------------------------------ of one event


def _columns(partial: PartialOf, source: Source, slot: int, event: str) -> tuple[str, ...]:
    counts = _holds(rows(source, partial.aggregate.events))
    body = partial.body
    if isinstance(body, _Newest):
        return _newest_columns(body, source, slot, event, counts)
    found = bound(source, body.of, body.item)
    value = None if body.value is None else _number(source.value(body.value))
    n, v = "null::numeric", "null::numeric"
    if not found.tables:
        holds = _holds(found)
        v = v if value is None else f"case when {holds} then {value} end"
        if partial.folds[1]:
            n = f"({holds if value is None else f'{holds} and {value} is not null'})::integer::numeric"
    else:
        fold = partial.folds[2]
        v = v if value is None or fold is None else f"({_over(source, found, value, fold.many)})"
        if partial.folds[1]:
            n = f"({found.select('count(*)') if value is None else _over(source, found, value, 'count({})')})::numeric"
    return f"{counts} as c{slot}", f"{n} as n{slot}", f"{v} as v{slot}"


def _over(source: Source, found: Rows, value: str, aggregate: str) -> str:
    name = source.alias()
    return f"select {aggregate.format(f'{name}.v')} from ({found.select(f'{value} as v')}) {name}"


def _newest_columns(newest: _Newest, source: Source, slot: int, event: str, counts: str) -> tuple[str, ...]:
    """Return columns whose last one is what sorts events, the newest first, and the value."""
    item, taken = rows(source, newest.top.of).item, newest.taken
    if isinstance(taken, Mapped):
        source.bind(taken.item, item)
        value = source.value(taken.value)
    else:
        value = property_of(item, taken.path, taken.type)
    keys = ", ".join(f"{event}.{column}" for column in ("event_id", "xid", "dataset_id"))
    entry = f"jsonb_build_array(extract(epoch from {event}.timestamp), {keys}, {as_json(value)})"
    return f"{counts} as c{slot}", f"null::numeric as n{slot}", f"case when {counts} then {entry} end as v{slot}"


def _holds(found: Rows) -> str:
    """Return whether an event is among rows that are made of it alone."""
    return f"(({' and '.join(found.conditions)}) is true)" if found.conditions else "true"


def _number(value: Value) -> str:
    """Return a value as a number; of a time, its seconds."""
    return f"extract(epoch from {as_time(value)})" if value.type in TIMES else value.sql


# ------------------------------------------------------------------------------------------------ of all


def _value(partial: PartialOf, count: str, value: str, newest: str) -> str:
    """Return the value that partials come to, as jsonb."""
    kind = partial.expression.body.type
    match partial.aggregate.function:
        case AggregateFunction.COUNT:
            return f"coalesce({count}, 0)"
        case AggregateFunction.SUM:
            return f"coalesce({value}, 0)"
        case AggregateFunction.AVERAGE:
            return f"{value} / nullif({count}, 0)"
        case AggregateFunction.MOST_RECENT:
            return f"{newest} -> 4"
    return as_json(Value(kind, _from_number(value, kind)))


def _from_number(sql: str, kind: Type) -> str:
    if kind is Scalar.DATE:
        return f"({_time(sql)} at time zone 'UTC')::date"
    return _time(sql) if kind is Scalar.DATE_TIME else sql


def _time(seconds: str) -> str:
    """Return a time of its seconds. Whole seconds and their parts are added one after the other, as one float has not room for both."""
    parts = (f"floor({seconds})", f"({seconds} - floor({seconds}))")
    whole, rest = (f"{part}::float8 * interval '1 second'" for part in parts)
    return f"('epoch'::timestamptz + {whole} + {rest})"


# ------------------------------------------------------------------------------------------------ bounds


def _is_bounded(body: Typed) -> bool:
    """Return whether no number or time of an expression can leave the ranges of Postgres, whatever the event says."""
    digits, years, seen, open_ = dict[int, int](), 0.0, list[Typed](), [body]
    known = set[int]()
    while open_:
        node = open_.pop()
        if id(node) not in known:
            known.add(id(node))
            seen.append(node)
            open_ += children(node)
    years = sum(abs(node.shift) * _YEARS.get(node.unit, 1) for node in seen if isinstance(node, Truncated))
    return years <= MAX_YEARS and _digits(body, digits) <= MAX_DIGITS


def _digits(node: Typed, known: dict[int, int]) -> int:
    """Return how many digits the numbers in an expression may have at most, each node looked at once."""
    if id(node) not in known:
        below = [_digits(each, known) for each in children(node)]
        match node:
            case Constant(value=Decimal() as value):
                found = len(value.as_tuple().digits) + abs(value.adjusted())
            case Applied(function="*" | "/"):
                found = sum(below)
            case Read() | LookUp():
                found = max(below, default=_DOUBLE_DIGITS)
            case _:
                found = 1 + max(below, default=_DOUBLE_DIGITS)
        known[id(node)] = found
    return known[id(node)]

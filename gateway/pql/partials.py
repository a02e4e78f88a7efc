"""Partials: what an aggregation makes of some of its events, so that the partials of all of them together give its value.

A partial is three numbers, and for some aggregations items of events: sums add up, the least of the least is the least, the newest of the newest is
the newest. The partials of several aggregations stand in one row, each at a slot of its own: `NUMBERS` numbers of an array, one element of another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from gateway.pql.aggregates import AT, COUNTED, VALUE, Aggregate
from gateway.pql.folds import FOLDS, SUM, Fold, folded, number_of
from gateway.pql.inputs import Inputs
from gateway.pql.partial_items import Items, items_of
from gateway.pql.rows import Rows, Source, bound, rows
from gateway.pql.sql import Compiled, written
from gateway.pql.typed import Aggregated, Expression, Typed
from gateway.pql.types import NUMBERS as OF_NUMBERS
from gateway.pql.types import TIMES
from gateway.pql.values import quoted

NUMBERS: Final = 3
"""Numbers of a partial: how many events it is of; how many values; and their sum, the least or the largest of them."""

FOLDED: Final = "folded"
"""A key of what partials come to, beside those of `aggregates.explained`: it is true."""


@dataclass(frozen=True, slots=True, eq=False)
class PartialOf:
    """An aggregation that has partials, in SQL: one of numbers or times, or one that keeps items.

    What it takes of one event are three columns: `c{slot}`, whether it counts; `n{slot}`, how many values it has; `v{slot}`, what they come to.
    """

    expression: Expression
    aggregate: Aggregate
    of: Aggregated | Items

    @property
    def folds(self) -> tuple[Fold | None, ...]:
        """How each of the numbers is folded."""
        return (SUM, *FOLDS.get(self.aggregate.function, (None, None)))

    @property
    def items(self) -> Items | None:
        """What it keeps beside numbers."""
        return None if isinstance(self.of, Aggregated) else self.of

    def columns(self, slot: int, event: str, parameters: int) -> Compiled:
        """Return what it takes of the event of this name. The statement around it has so many parameters, the sandbox being the first."""
        inputs = Inputs("'{}'::jsonb", parameters=parameters, event=event)
        return written(self.expression, inputs, lambda source: ", ".join(_columns(self, source, slot)))

    def result(self, numbers: tuple[str, ...], items: str) -> str:
        """Return the object that `aggregates.explained` gives, of the numbers and the array of the items of all partials; NULL where items were left out."""
        parts = {FOLDED: "true", COUNTED: f"coalesce({numbers[0]}, 0)"}
        if self.items is None:
            return _object({**parts, VALUE: self.value(numbers, items)})
        at = {} if self.aggregate.newest is None else {AT: "r.at"}
        told = _object({**parts, **at, VALUE: "r.value"})
        return f"(select case when r.is_whole then {told} end from ({self.items.result(items)}) as r)"

    def value(self, numbers: tuple[str, ...], items: str) -> str:
        """Return the value alone, a number or jsonb; of items a JSON null where it is missing, and NULL where some were left out."""
        if self.items is None:
            return folded(self.aggregate.function, self.expression.body.type, *numbers[1:])
        return (
            f"(select case when r.is_whole then coalesce(r.value, 'null') end from ({self.items.result(items)}) as r)"
        )

    def at(self, items: str) -> str:
        """Return the time of the event that the value is from, as jsonb; NULL where it is from none."""
        return f"(select r.at from ({self.items.result(items)}) as r)" if self.items else "null::jsonb"


Parts: TypeAlias = Mapping[int, PartialOf]
"""Aggregations whose partials stand in one row, by their slots."""


def partial_of(expression: Expression, aggregate: Aggregate | None) -> PartialOf | None:
    """Return the partials of an expression that is an aggregation; None where it has none."""
    if aggregate is None:
        return None
    of: Aggregated | Items | None = items_of(expression.body, aggregate)
    match expression.body:
        case Aggregated(value=value) as body if aggregate.function in FOLDS and _is_of_numbers(value):
            of = body
    return None if of is None else PartialOf(expression, aggregate, of)


def _is_of_numbers(value: Typed | None) -> bool:
    return value is None or value.type in (*OF_NUMBERS, *TIMES)


def _object(parts: Mapping[str, str]) -> str:
    return f"jsonb_build_object({', '.join(f'{quoted(name)}, {part}' for name, part in parts.items())})"


# ------------------------------------------------------------------------------------------------ rows of several


class Packed(NamedTuple):
    """SQL of the two arrays that partials stand in."""

    numbers: str
    items: str


def made(parts: Parts, within: Callable[[int], str] | None = None) -> Packed:
    """Return partials of events, which are the rows `t` of a statement that groups them; of each slot, of those `within` a condition."""

    def number(slot: int, place: int, fold: Fold | None) -> str:
        if place == 0:
            return f"count(*) filter (where {limit(slot)})"
        column = fold and fold.many.format(f"t.{'nv'[place - 1]}{slot}")
        found = f"{column} filter (where {limit(slot)})" if column else "null"
        return f"coalesce({found}, 0)" if fold is SUM else found

    def limit(slot: int) -> str:
        return f"t.c{slot} and {within(slot)}" if within else f"t.c{slot}"

    return _packed(parts, number, lambda slot, items: items.made(f"t.v{slot}", limit(slot)))


def of_one(parts: Parts) -> Packed:
    """Return partials of an event, which is a row `t` of a statement."""

    def number(slot: int, place: int, fold: Fold | None) -> str:
        own = f"t.{'nv'[place - 1]}{slot}" if place else "1"
        return f"case when t.c{slot} then {own} end" if fold else "null"

    return _packed(
        parts,
        number,
        lambda slot, _: f"case when t.c{slot} and t.v{slot} is not null then jsonb_build_array(t.v{slot}) end",
    )


def added(parts: Parts, kept: str, new: str) -> Packed:
    """Return the partials of two rows of these names together."""

    def number(slot: int, place: int, fold: Fold | None) -> str:
        index = _index(slot, place)
        return fold.two.format(f"{kept}.numbers[{index}]", f"{new}.numbers[{index}]") if fold else "null"

    return _packed(parts, number, lambda slot, items: items.added(item_of(kept, slot), item_of(new, slot)))


def normal_items(parts: Parts, row: str) -> str:
    """Return the items of a row of this name, each in the one form that equal ones have."""
    return _array({slot: part.items.normal(item_of(row, slot)) for slot, part in parts.items() if part.items})


def replaced(parts: Parts, kept: str, new: str) -> Packed:
    """Return a row of a name with these partials from another one, and all others as they are."""
    slots = range(max(parts) + 1)
    numbers = [
        f"{new if slot in parts else kept}.numbers[{_index(slot, place)}]" for slot in slots for place in range(NUMBERS)
    ]
    rest = f"{kept}.numbers[{len(numbers) + 1}:]"
    if not any(part.items for part in parts.values()):
        return Packed(f"array[{', '.join(numbers)}] || {rest}", f"{kept}.items")
    items = [item_of(new if slot in parts else kept, slot) for slot in slots]
    rest_of_items = f"{kept}.items[{len(items) + 1}:]"
    return Packed(f"array[{', '.join(numbers)}] || {rest}", f"array[{', '.join(items)}] || {rest_of_items}")


def results(parts: Parts, within: Callable[[int], str]) -> str:
    """Return columns of values that the rows `part` of a statement come to, as `aggregates.explained` has them; of each slot, those `within` a condition."""
    return ", ".join(part.result(*_together(part, slot, within(slot))) for slot, part in parts.items())


def values_of(parts: Parts, within: Callable[[int], str], is_wanted: Callable[[str], bool]) -> str:
    """Return columns of `results` apart, each called by a letter and its slot: `v`, the value; where such a name is wanted, `n`, of how many events
    it is, and `a`, the time of that which it is from."""
    columns = list[str]()
    for slot, part in parts.items():
        numbers, items = _together(part, slot, within(slot))
        found = {"v": part.value(numbers, items), "n": f"coalesce({numbers[0]}, 0)", "a": part.at(items)}
        columns += (
            f"{sql} as {name}{slot}" for name, sql in found.items() if name == "v" or is_wanted(f"{name}{slot}")
        )
    return ", ".join(columns)


def _together(part: PartialOf, slot: int, within: str) -> tuple[tuple[str, ...], str]:
    """Return what the numbers at a slot of the rows `part` come to that are `within` a condition, and the array of their items."""
    limit = f"filter (where {within})"
    numbers = tuple(
        f"{fold.many.format(f'part.numbers[{_index(slot, place)}]')} {limit}" if fold else "null"
        for place, fold in enumerate(part.folds)
    )
    return numbers, f"array_agg({item_of('part', slot)}) {limit}"


def _packed(parts: Parts, number: Callable[[int, int, Fold | None], str], item: Callable[[int, Items], str]) -> Packed:
    numbers = ["null"] * (NUMBERS * (max(parts) + 1))
    for slot, part in parts.items():
        for place, fold in enumerate(part.folds):
            numbers[_index(slot, place) - 1] = number(slot, place, fold)
    items = {slot: item(slot, part.items) for slot, part in parts.items() if part.items}
    return Packed(f"array[{', '.join(numbers)}]::numeric[]", _array(items))


def _array(items: Mapping[int, str]) -> str:
    elements = [items.get(slot, "null") for slot in range(max(items) + 1)] if items else []
    return f"array[{', '.join(elements)}]::jsonb[]"


def count_place(slot: int) -> int:
    """Return where the number of events that count stands among the numbers of a row, for a slot."""
    return _index(slot, 0)


def item_of(row: str, slot: int) -> str:
    """Return the items at a slot of a row of this name."""
    return f"{row}.items[{slot + 1}]"


def _index(slot: int, place: int) -> int:
    return NUMBERS * slot + place + 1


# ------------------------------------------------------------------------------------------------ of one event


def _columns(partial: PartialOf, source: Source, slot: int) -> tuple[str, ...]:
    counts = _holds(rows(source, partial.aggregate.events))
    body = partial.of
    if not isinstance(body, Aggregated):
        return f"{counts} as c{slot}", f"null::numeric as n{slot}", f"{body.column(source, counts)} as v{slot}"
    found = bound(source, body.of, body.item)
    value = None if body.value is None else number_of(source.value(body.value))
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


def _holds(found: Rows) -> str:
    """Return whether an event is among rows that are made of it alone."""
    return f"(({' and '.join(found.conditions)}) is true)" if found.conditions else "true"

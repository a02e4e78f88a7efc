"""Partials: what an aggregation makes of some of its events, so that the partials of all of them together give its value.

A partial is three numbers, and for some aggregations items of events: sums add up, the least of the least is the least, the newest of the newest is
the newest. The partials of several aggregations stand in one row, each at a slot of its own: `NUMBERS` numbers of an array, one element of another.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.pql.aggregates import AT, COUNTED, VALUE, Aggregate
from gateway.pql.folds import FOLDS, SUM, Fold, folded, number_of
from gateway.pql.inputs import Inputs
from gateway.pql.partial_items import Items, items_of
from gateway.pql.rows import Rows, Source, bound, rows
from gateway.pql.sql import written_apart
from gateway.pql.typed import Aggregated, Expression, Typed
from gateway.pql.types import NUMBERS as OF_NUMBERS
from gateway.pql.types import TIMES
from gateway.pql.values import quoted
from gateway.projection.predicates import Predicate

NUMBERS: Final = 3
"""Numbers of a partial: how many events it is of; how many values; and their sum, the least or the largest of them."""

FOLDED: Final = "folded"
"""A key of what partials come to, beside those of `aggregates.explained`: it is true."""


@dataclass(frozen=True, slots=True, eq=False)
class PartialOf:
    """An aggregation that has partials, in SQL: one of numbers or times, or one that keeps items.

    What it takes of one event are three columns: `c`, whether it counts; `n`, how many values it has; `v`, what they come to, NULL for an event
    that does not count.
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

    def columns(self, event: str) -> Mapping[str, Predicate]:
        """Return what it takes of the event of this name, in SQL with gaps for values, by the letter of the column."""
        inputs = Inputs("'{}'::jsonb", event=event)
        return dict(
            zip("cnv", written_apart(self.expression, inputs, lambda source: _columns(self, source)), strict=True)
        )

    def result(self, numbers: tuple[str, ...], items: str) -> str:
        """Return the object that `aggregates.explained` gives, of the numbers and the items of all partials; NULL where items were left out."""
        parts = {FOLDED: "true", COUNTED: f"coalesce({numbers[0]}, 0)"}
        if self.items is None:
            return _object({**parts, VALUE: self.value(numbers, items)})
        at = {} if self.aggregate.newest is None else {AT: self.at(items)}
        told = _object({**parts, **at, VALUE: "r.v"})
        return f"(select case when r.v is not null then {told} end from (select {self.value(numbers, items)} as v offset 0) as r)"

    def value(self, numbers: tuple[str, ...], items: str) -> str:
        """Return the value alone, a number or jsonb; of items a JSON null where it is missing, and NULL where some were left out."""
        if self.items is None:
            return folded(self.aggregate.function, self.expression.body.type, *numbers[1:])
        return self.items.value(items)

    def at(self, items: str) -> str:
        """Return the time of the event that the value is from, as jsonb; NULL where it is from none."""
        return self.items.at(items) if self.items and self.aggregate.newest else "null::jsonb"


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


class Taken(NamedTuple):
    """Columns that partials take of an event, each once: in SQL, the values of its parameters, and the name of the column for each letter and slot."""

    sql: str
    values: tuple[Any, ...]
    names: Mapping[tuple[str, int], str]

    def of(self, letter: str, slot: int) -> str:
        """Return the column of a row `t`."""
        return f"t.{self.names[letter, slot]}"


def taken(parts: Parts, event: str, parameters: int) -> Taken:
    """Return what partials take of the event of this name. The statement around it has so many parameters, the sandbox being the first.

    Attributes often look at the same events and values, and Postgres would work out each of equal columns.
    """
    names, first = dict[tuple[str, int], str](), dict[Predicate, str]()
    columns, values = list[str](), list[Any]()
    for slot, part in parts.items():
        for letter, column in part.columns(event).items():
            name = f"{letter}{slot}"
            names[letter, slot] = first.setdefault(column, name)
            if names[letter, slot] == name:
                places = (
                    f"${parameters + place}" for place in range(len(values) + 1, len(values) + len(column.values) + 1)
                )
                columns.append(f"{column.sql.format(*places)} as {name}")
                values += column.values
    return Taken(", ".join(columns), tuple(values), names)


class Packed(NamedTuple):
    """SQL of the two arrays that partials stand in."""

    numbers: str
    items: str


def made(parts: Parts, of: Taken, within: Callable[[int], str] | None = None) -> Packed:
    """Return partials of events, which are the rows `t` of a statement that groups them, with what was taken of each; of a slot, of those `within`
    a condition."""

    def number(slot: int, place: int, fold: Fold | None) -> str:
        if place == 0:
            return f"count(*) filter (where {limit(slot)})"
        column = fold and fold.many.format(of.of("cnv"[place], slot))
        found = f"{column} filter (where {limit(slot)})" if column else "null"
        return f"coalesce({found}, 0)" if fold is SUM else found

    def limit(slot: int) -> str:
        return f"{of.of('c', slot)} and {within(slot)}" if within else of.of("c", slot)

    return _packed(parts, number, lambda slot, items: items.made(of.of("v", slot), limit(slot)))


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


class Within(NamedTuple):
    """Which of the rows `part` a value is of, as a condition; and one on all of them together under which it is unknown, None for none."""

    rows: str
    unknown: str | None = None


def results(parts: Parts, within: Callable[[int], Within]) -> str:
    """Return columns of values that the rows `part` of a statement come to, as `aggregates.explained` has them, NULL for one that is unknown;
    of each slot, those `within` a condition. What these rows have to have, `columns_mentioned` says."""

    def result(slot: int, part: PartialOf) -> str:
        limit = within(slot)
        told = part.result(*_together(part, slot, limit.rows))
        return f"case when ({limit.unknown}) is not true then {told} end" if limit.unknown else told

    return ", ".join(result(slot, part) for slot, part in parts.items())


def values_of(parts: Parts, within: Callable[[int], Within], is_wanted: Callable[[str], bool]) -> str:
    """Return columns of `results` apart, each called by a letter and its slot: `v`, the value; where such a name is wanted, `n`, of how many events
    it is, and `a`, the time of that which it is from. And `is_unknown`, whether some of the values are unknown."""
    columns = list[str]()
    for slot, part in parts.items():
        numbers, items = _together(part, slot, within(slot).rows)
        found = {"v": part.value(numbers, items), "n": f"coalesce({numbers[0]}, 0)", "a": part.at(items)}
        columns += (
            f"{sql} as {name}{slot}" for name, sql in found.items() if name == "v" or is_wanted(f"{name}{slot}")
        )
    unknown = dict.fromkeys(limit for slot in parts if (limit := within(slot).unknown))
    return ", ".join([*columns, f"{' or '.join(unknown) or 'false'} as is_unknown"])


class Mentioned(NamedTuple):
    """Columns of the rows `part`: their names, how a kept row `o` has them, and how an event does, a row `t` with what was taken of it."""

    names: str
    kept: str
    of_event: str


def columns_mentioned(values: str, of: Taken) -> Mentioned:
    """Return the columns of the rows `part` that SQL of values mentions; nothing is said of events where nothing was taken of them."""
    found = dict.fromkeys((letter, int(number)) for letter, number in _MENTIONED.findall(values))
    names, kept, of_event = list[str](), list[str](), list[str]()
    for letter, number in found:
        names.append(f"{letter}{number}")
        if letter == "i":
            kept.append(f"{item_of('o', number)} as i{number}")
            of_event.append(_item(of, number) if ("v", number) in of.names else "null::jsonb")
        else:
            slot, place = divmod(number - 1, NUMBERS)
            kept.append(f"o.numbers[{number}] as m{number}")
            of_event.append(_number(of, slot, place) if ("c", slot) in of.names else "null::numeric")
    return Mentioned(", ".join(names), ", ".join(kept), ", ".join(of_event))


def _item(of: Taken, slot: int) -> str:
    return f"case when {of.of('v', slot)} is not null then jsonb_build_array({of.of('v', slot)}) end"


def _number(of: Taken, slot: int, place: int) -> str:
    return of.of("cnv"[place], slot) if place else f"case when {of.of('c', slot)} then 1::numeric end"


_MENTIONED: Final = re.compile(r"\bpart\.([im])([0-9]+)\b")
"""A column of the rows `part`: an element of the numbers of a kept row, by its index, or the items of a slot."""


def _together(part: PartialOf, slot: int, within: str) -> tuple[tuple[str, ...], str]:
    """Return what the numbers at a slot of the rows `part` come to that are `within` a condition, and what their items come to."""
    numbers = tuple(
        f"{fold.many.format(f'part.m{_index(slot, place)}')} filter (where {within})" if fold else "null"
        for place, fold in enumerate(part.folds)
    )
    return numbers, part.items.together(f"part.i{slot}", within) if part.items else "null"


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


def _columns(partial: PartialOf, source: Source) -> tuple[str, str, str]:
    counts = _holds(rows(source, partial.aggregate.events))
    body, n, v = partial.of, "null::numeric", "null::numeric"
    if not isinstance(body, Aggregated):
        return counts, n, body.column(source, counts)
    found = bound(source, body.of, body.item)
    value = None if body.value is None else number_of(source.value(body.value))
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
    return counts, n, v


def _over(source: Source, found: Rows, value: str, aggregate: str) -> str:
    name = source.alias()
    return f"select {aggregate.format(f'{name}.v')} from ({found.select(f'{value} as v')}) {name}"


def _holds(found: Rows) -> str:
    """Return whether an event is among rows that are made of it alone."""
    return f"(({' and '.join(found.conditions)}) is true)" if found.conditions else "true"

"""The compiler: a checked expression to SQL of Postgres, with every value in it a parameter.

Times are in UTC; weeks begin on Sunday. See `docs/pql.md` for what is decided where the language leaves it open.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from gateway.pql.functions import FUNCTIONS, equal, of_type
from gateway.pql.inputs import Inputs, event_rows, record, with_document
from gateway.pql.ranges import as_double
from gateway.pql.rows import (
    MADE,
    Rows,
    Source,
    bound,
    conditions,
    constants,
    contained,
    grouped,
    item_columns,
    item_from,
    made_map,
    rows,
    unnested,
)
from gateway.pql.typed import (
    Aggregated,
    Applied,
    Chained,
    Computed,
    Constant,
    Day,
    Every,
    Expression,
    First,
    Grouped,
    Lookback,
    LookUp,
    MadeObject,
    MapMade,
    Mapped,
    Matched,
    Member,
    Missing,
    Now,
    Read,
    Some,
    Truncated,
    Typed,
    Variable,
    Window,
)
from gateway.pql.types import EVENTS, NUMBERS, ArrayOf, Scalar
from gateway.pql.values import Value, as_json, as_time, from_json, missing, property_of, sql_type
from gateway.projection.predicates import Predicate

_MARK: Final = "\x01"
_MARKED: Final = re.compile(f"{_MARK}([0-9]+){_MARK}")
"""Stands for a parameter until it is known which of them the SQL mentions; no name of a field has such a character."""

NOW: Final = object()
"""Stands for the instant of evaluation among the values of parameters."""


@dataclass(frozen=True, slots=True)
class Since:
    """Stands for the time so long before the instant of evaluation among the values of parameters."""

    lookback: Lookback


def at_instant(values: Iterable[Any], instant: datetime) -> tuple[Any, ...]:
    """Return the values of parameters at an instant of evaluation."""
    return tuple(
        instant if value is NOW else value.lookback.before(instant) if isinstance(value, Since) else value
        for value in values
    )


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression in SQL, and the values of its parameters, which come behind those of the statement around it."""

    sql: str
    values: tuple[Any, ...]


def compiled(expression: Expression, inputs: Inputs) -> Compiled:
    """Return an expression as jsonb, which is NULL where its value is missing."""
    return written(expression, inputs, lambda source: as_json(source.value(expression.body)))


def written(expression: Expression, inputs: Inputs, write: Callable[[Source], str]) -> Compiled:
    """Return SQL that a function writes of values in an expression."""
    compiler = _Compiler(expression, inputs)
    found = compiler.parametrized(write(compiler))
    places = (f"${inputs.parameters + number}" for number in range(1, len(found.values) + 1))
    return Compiled(found.sql.format(*places), found.values)


def written_apart(expression: Expression, inputs: Inputs, write: Callable[[Source], Iterable[str]]) -> list[Predicate]:
    """Return SQL of each of several things that a function writes of values in an expression, with gaps for the values of its parameters."""
    compiler = _Compiler(expression, inputs)
    return list(map(compiler.parametrized, write(compiler)))


def condition(expression: Expression, inputs: Inputs) -> Predicate:
    """Return an expression that is a condition as a predicate, whose SQL is NULL where that is not known."""
    compiler = _Compiler(expression, inputs)
    return compiler.parametrized(f"({compiler.condition(expression.body)})")


class _Compiler:
    """Compiles one expression; see `rows.Source`."""

    def __init__(self, expression: Expression, inputs: Inputs) -> None:
        self.inputs = inputs
        self._given: list[object] = []
        self._places: dict[tuple[str, str, object], str] = {}
        self._aliases = 0
        self._input = record(expression.input.type, inputs)
        self._bound: dict[int, Value] = {id(expression.input): self._input}

    def parametrized(self, sql: str) -> Predicate:
        """Return SQL of a value with its parameters; what it does not mention, because nothing asks for it, is none of them."""
        sql = with_document(self.inputs.aside, sql)
        used = list(dict.fromkeys(map(int, _MARKED.findall(sql))))
        places = {place: number for number, place in enumerate(used)}
        text = sql.replace("{", "{{").replace("}", "}}")
        text = _MARKED.sub(lambda found: f"{{{places[int(found[1])]}}}", text)
        return Predicate(text, tuple(self._given[place] for place in used), computes=True)

    # -------------------------------------------------------------------------------------------- what rows need

    def value(self, node: Typed) -> Value:
        """Return the SQL of an expression."""
        if isinstance(node, MADE) or self.rows_of(node):
            return Value(node.type, rows(self, node).array)
        return _VALUES[type(node)](self, node)

    def condition(self, node: Typed) -> str:
        """Return the SQL of a condition, as boolean."""
        return of_type(self.value(node), Scalar.BOOLEAN)

    def rows_of(self, node: Typed) -> Rows | None:
        """Return the events, where a node is the profile's."""
        if not isinstance(node, Read) or node.path != (EVENTS,) or self._bound.get(id(node.of)) is not self._input:
            return None
        return event_rows(self.alias(), node.type, self.inputs)

    def bind(self, variable: Variable, value: Value) -> None:
        """Say what a variable stands for."""
        self._bound[id(variable)] = value

    def alias(self) -> str:
        """Return a name of a table that no other has."""
        self._aliases += 1
        return f"t{self._aliases}"

    def parameter(self, value: object, kind: str) -> str:
        """Return the place of a parameter with this value; equal values have one place."""
        key = (kind, type(value).__name__, repr(value))
        if key not in self._places:
            self._places[key] = f"{_MARK}{len(self._given)}{_MARK}::{kind}"
            self._given.append(value)
        return self._places[key]

    # -------------------------------------------------------------------------------------------- single values

    def variable(self, node: Variable) -> Value:
        return self._bound[id(node)]

    def constant(self, node: Constant) -> Value:
        value = Decimal(node.value) if node.type in NUMBERS and not isinstance(node.value, str) else node.value
        return Value(node.type, self.parameter(value, sql_type(node.type)))

    def day(self, node: Day) -> Value:
        return Value(node.type, self.parameter(date(node.year, node.month, node.day), "date"))

    def missing(self, node: Missing) -> Value:
        return Value(node.type, missing(node.type))

    def now(self, node: Now) -> Value:
        return Value(node.type, self.inputs.now or self.parameter(NOW, "timestamptz"))

    def truncated(self, node: Truncated) -> Value:
        """Return the start of a unit, or a shifted time. Calendars are UTC's, and a month is as long as it is."""
        local = f"({as_time(self.value(node.of))} at time zone 'UTC')"
        if node.starts and node.unit == "week":
            local = f"(date_trunc('week', {local} + interval '1 day') - interval '1 day')"
        elif node.starts:
            local = f"date_trunc('{node.unit}', {local})"
        if node.shift:
            count, unit = _INTERVALS[node.unit]
            local = f"({local} + interval '{node.shift * count} {unit}')"
        return Value(node.type, f"({local} at time zone 'UTC')")

    def read(self, node: Read) -> Value:
        return property_of(self.value(node.of), node.path, node.type)

    def computed(self, node: Computed) -> Value:
        """Return what the expression of a field gives for a record, which is worked out once however often that reads it."""
        record = self.value(node.of)
        if record is self._input and node.path[-1] in self.inputs.computed:
            return from_json(self.inputs.computed[node.path[-1]], node.type, is_stored=True)
        if isinstance(node.of, Variable):
            self.bind(node.input, record)
            with self._within(node.window):
                return as_double(self, node.value)
        name = self.alias()
        self.bind(node.input, item_from(name, record))
        found = as_double(self, node.value)
        sql = as_json(found) if sql_type(found.type) == "jsonb" else found.sql
        return Value(
            node.type, f"(select {sql} from (select {item_columns(record)}) {name})", is_stored=found.is_stored
        )

    @contextmanager
    def _within(self, window: Window | None) -> Iterator[None]:
        """Let the profile's events be those of a window, if one is given, as long as the block lasts."""
        outside = self.inputs
        if window is not None:
            lookback = window.lookback
            since = "'-infinity'" if lookback is None else self.parameter(Since(lookback), "timestamptz")
            now = self.inputs.now or self.parameter(NOW, "timestamptz")
            self.inputs = replace(self.inputs, since=since, now=now)
        yield
        self.inputs = outside

    def looked_up(self, node: LookUp) -> Value:
        of = self.value(node.of)
        return from_json(f"({of.sql} -> {self.value(node.key).sql})", node.type, is_stored=of.is_stored)

    def made_object(self, node: MadeObject) -> Value:
        parts = [f"{self.parameter(key, 'text')}, {as_json(self.value(each))}" for key, each in node.entries]
        objects = [f"jsonb_build_object({', '.join(parts[start : start + 40])})" for start in range(0, len(parts), 40)]
        return Value(node.type, f"({' || '.join(objects or [_EMPTY])})")

    def applied(self, node: Applied) -> Value:
        sql = FUNCTIONS[node.function](node, [self.value(each) for each in node.arguments])
        return Value(node.type, f"({sql})")

    def matched(self, node: Matched) -> Value:
        text, pattern = self.value(node.of).sql, self.parameter(node.pattern, "text")
        if not node.is_regular:
            return Value(node.type, f"({text} like {pattern})")
        text = f'({text} collate "C")'
        if node.group is None:
            return Value(node.type, f"({text} ~ {pattern})")
        if node.group == 0:
            return Value(node.type, f"regexp_substr({text}, {pattern})")
        return Value(node.type, f"(regexp_match({text}, {pattern}))[{int(node.group)}]")

    # -------------------------------------------------------------------------------------------- of arrays

    def first(self, node: First) -> Value:
        found = rows(self, node.of)
        item = found.item
        sql = as_json(item) if sql_type(item.type) == "jsonb" else item.sql
        return Value(node.type, f"({found.select(sql, f' {found.in_order} limit 1')})", is_stored=item.is_stored)

    def aggregated(self, node: Aggregated) -> Value:
        if node.value is None:
            return Value(node.type, f"({bound(self, node.of, node.item).select('count(*)::numeric')})")
        mapped = node.of
        if node.value is node.item and isinstance(mapped, Mapped) and not isinstance(mapped.value.type, ArrayOf):
            found = bound(self, mapped.of, mapped.item)  # what is missing of the values counts for nothing
            value = self.value(mapped.value)
        else:
            found = bound(self, node.of, node.item)
            value = self.value(node.value)
        sql = missing(node.type) if value.type is Scalar.UNKNOWN else value.sql
        return Value(node.type, f"({self._over(found, sql, _AGGREGATIONS[node.function])})")

    def _over(self, found: Rows, sql: str, aggregation: str) -> str:
        """Return an aggregation of SQL over rows. It is of a column, since one of an outer table's would be an aggregation of that."""
        name = self.alias()
        return f"select {aggregation.format(f'{name}.v')} from ({found.select(f'{sql} as v')}) {name}"

    def some(self, node: Some) -> Value:
        if held := contained(self, node):
            return Value(node.type, held)
        found = bound(self, node.of, node.item)
        return Value(node.type, f"exists ({found.where(*conditions(self, node.condition)).select('1')})")

    def every(self, node: Every) -> Value:
        found = bound(self, node.of, node.item)
        breach = found.where(f"({self.condition(node.condition)}) is not true")
        return Value(node.type, f"(not exists ({breach.select('1')}))")

    def member(self, node: Member) -> Value:
        value = self.value(node.value)
        listed = constants(node.of)
        if listed is not None and value.type in (Scalar.STRING, *NUMBERS):
            of_text = value.type is Scalar.STRING
            given = tuple(listed) if of_text else tuple(Decimal(each) for each in listed)  # type: ignore[arg-type]
            return Value(
                node.type, f"({value.sql} = any({self.parameter(given, 'text[]' if of_text else 'numeric[]')}))"
            )
        return Value(node.type, self._searched(node, value))

    def _searched(self, node: Member, value: Value) -> str:
        """Return whether an array has a value; missing where the value is, or an array that is not made here."""
        name = self.alias()
        is_json = sql_type(value.type) == "jsonb"
        sought = Value(value.type, f"{name}.v")
        columns, present = [f"{as_json(value) if is_json else value.sql} as v"], f"{name}.v is not null"
        if isinstance(node.of, MADE) or self.rows_of(node.of):
            found = rows(self, node.of)
        else:
            array = self.value(node.of)
            columns.append(f"{array.sql} as a")
            present += f" and {name}.a is not null"
            found = unnested(self, Value(array.type, f"{name}.a", is_stored=array.is_stored))
        held = found.where(equal(found.item, sought)).select("1")
        return f"(select case when {present} then exists ({held}) end from (select {', '.join(columns)}) {name})"

    def chained(self, node: Chained) -> Value:
        """Return whether there is a run: the earliest item for the first step, the earliest behind that for the second, and so on."""
        time = ""
        for step in node.steps:
            found = bound(self, node.of, node.item)
            order = as_time(self.value(node.order))
            found = found.where(*conditions(self, step))
            if time:
                found = found.where(f"{order} > ({time})")
            time = self._over(found, order, "min({})")
        return Value(node.type, f"(({time}) is not null)")

    def map_made(self, node: MapMade) -> Value:
        return Value(node.type, made_map(self, node))

    def grouped(self, node: Grouped) -> Value:
        return Value(node.type, grouped(self, node))


_AGGREGATIONS: Final = {"sum": "coalesce(sum({}), 0)", "average": "avg({})", "min": "min({})", "max": "max({})"}
_EMPTY: Final = "'{}'::jsonb"
_INTERVALS: Final = {
    **{unit: (1, unit) for unit in ("millisecond", "second", "minute", "hour", "day", "week", "month", "year")},
    "decade": (10, "year"),
    "century": (100, "year"),
    "millennium": (1_000, "year"),
}
_VALUES: Final[Mapping[type[Typed], Callable[[_Compiler, Any], Value]]] = {
    Variable: _Compiler.variable,
    Constant: _Compiler.constant,
    Day: _Compiler.day,
    Missing: _Compiler.missing,
    Now: _Compiler.now,
    Truncated: _Compiler.truncated,
    Read: _Compiler.read,
    Computed: _Compiler.computed,
    LookUp: _Compiler.looked_up,
    MadeObject: _Compiler.made_object,
    Applied: _Compiler.applied,
    Matched: _Compiler.matched,
    First: _Compiler.first,
    Aggregated: _Compiler.aggregated,
    Some: _Compiler.some,
    Every: _Compiler.every,
    Member: _Compiler.member,
    Chained: _Compiler.chained,
    MapMade: _Compiler.map_made,
    Grouped: _Compiler.grouped,
}
"""For each kind of expression but arrays that are rows: its SQL."""

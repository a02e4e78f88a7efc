"""Arrays in SQL: rows of tables, in an order, under conditions, so that a filter of a filter is one WHERE and no array is put together
that is only gone through."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gateway.pql.names import item_type, value_type
from gateway.pql.typed import (
    Constant,
    Distinct,
    Entries,
    Filtered,
    Grouped,
    MadeList,
    MapMade,
    Mapped,
    Some,
    Top,
    Typed,
    Variable,
    parts_of,
    value_sought,
)
from gateway.pql.types import ArrayOf, ObjectOf, Scalar
from gateway.pql.values import Value, as_json, as_text, from_json, missing, sql_type


@dataclass(frozen=True, slots=True)
class Aside:
    """A document beside the row of a table that has it: it is taken out of the row once, and only where something mentions its name."""

    name: str
    sql: str

    def is_in(self, sql: str) -> bool:
        """Return whether SQL mentions the document."""
        return f"{self.name}." in sql


@dataclass(frozen=True, slots=True)
class Sought:
    """The rows of a table that conditions let through, each with the document of its row."""

    name: str
    table: str
    document: Aside
    conditions: tuple[str, ...]

    def sql(self, mentioned: str) -> str:
        """Return the table as SQL, for a statement that has this besides.

        If a condition reads documents, Postgres gets those on columns alone, which may be an index's; the others are tested in their order,
        which it would not keep.
        """
        name, document = self.name, self.document
        slow = [each for each in self.conditions if document.is_in(each) or "select " in each]
        if not any(map(document.is_in, slow)):
            slow = []
        tested = [f"({' and '.join(slow)}) is true"] if slow else []
        where = " and ".join([*(each for each in self.conditions if each not in slow), *tested]) or "true"
        columns, tables, tail = f"{name}.*", f"{self.table} {name}", ""
        if document.is_in(where + mentioned):
            tables += f" cross join {document.sql}"
        if document.is_in(mentioned):
            columns += f", {document.name}.document as whole"
            tail = f" cross join lateral (select {name}.whole as document) {document.name}"
        return f"lateral (select {columns} from {tables} where {where} offset 0) {name}{tail}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The items of an array: one for each row of the tables under the conditions; without a table, one at most.

    A table may look at the tables before it.
    """

    tables: tuple[str | Sought, ...]
    item: Value
    order: tuple[str, ...]
    conditions: tuple[str, ...] = ()

    def select(self, columns: str, tail: str = "") -> str:
        """Return a statement over the rows."""
        where = f" where {' and '.join(self.conditions)}" if self.conditions else ""
        mentioned = columns + where + tail
        tables: list[str] = []
        for table in reversed(self.tables):
            tables.insert(0, table if isinstance(table, str) else table.sql(mentioned))
            mentioned += tables[0]
        source = f" from {' cross join '.join(tables)}" if tables else ""
        return f"select {columns}{source}{where}{tail}"

    def where(self, *conditions: str) -> "Rows":
        """Return the rows for which conditions hold as well."""
        last = self.tables[-1] if self.tables else None
        added = tuple(f"({each})" for each in conditions)
        if isinstance(last, Sought):
            return replace(self, tables=(*self.tables[:-1], replace(last, conditions=last.conditions + added)))
        return replace(self, conditions=self.conditions + added)

    @property
    def in_order(self) -> str:
        """The order as a clause of SQL."""
        return f"order by {', '.join(self.order)}"

    @property
    def array(self) -> str:
        """The items as an array of jsonb."""
        items = f"jsonb_agg({as_json(self.item)} {self.in_order})"
        statement = self.select(f"coalesce({items}, '[]')")
        return f"({statement})"


class Source(Protocol):
    """Where rows come from that no expression makes, and what else the compiler of arrays needs of the whole one."""

    def value(self, node: Typed) -> Value:
        """Return the SQL of an expression."""

    def condition(self, node: Typed) -> str:
        """Return the SQL of a condition, as boolean."""

    def rows_of(self, node: Typed) -> Rows | None:
        """Return the rows of a stored array that has a table of its own; None for any other."""

    def bind(self, variable: Variable, value: Value) -> None:
        """Say what a variable stands for."""

    def alias(self) -> str:
        """Return a name of a table that no other has."""

    def parameter(self, value: object, kind: str) -> str:
        """Return the place of a parameter with this value."""


MADE = (Filtered, Mapped, MadeList, Entries, Top, Distinct)
"""Kinds of expressions whose arrays are rows."""


def rows(source: Source, node: Typed) -> Rows:
    """Return the rows of an array."""
    found = source.rows_of(node)
    if found is not None:
        return found
    if isinstance(node, MADE):
        return _MADE[type(node)](source, node)
    return unnested(source, source.value(node))


def newest_keys(source: Source, *, of: Typed, most: int) -> str:
    """Return SQL of an array of jsonb with the keys of the newest of some events: of each its id, xid and dataset."""
    found, name = rows(source, of), source.alias()
    newest = ", ".join(f"{column} desc" for column in found.order)
    _, *key = found.order
    columns = f"jsonb_build_array({', '.join(key)}) as v, row_number() over (order by {newest}) as o"
    limited = found.select(columns, f" order by {newest} limit {int(most)}")
    return f"(select coalesce(jsonb_agg({name}.v order by {name}.o), '[]') from ({limited}) {name})"


def bound(source: Source, of: Typed, item: Variable) -> Rows:
    """Return the rows of an array, whose item a variable stands for from now on."""
    below = rows(source, of)
    source.bind(item, below.item)
    return below


def conditions(source: Source, node: Typed) -> Iterator[str]:
    """Yield the SQL of the conditions that one is made of."""
    return map(source.condition, parts_of(node))


def unnested(source: Source, array: Value) -> Rows:
    """Return the items of an array of jsonb."""
    name = source.alias()
    kind = array.type.item if isinstance(array.type, ArrayOf) else Scalar.UNKNOWN
    item = from_json(f"{name}.v", kind, is_stored=array.is_stored)
    return Rows((f"jsonb_array_elements({array.sql}) with ordinality as {name} (v, o)",), item, (f"{name}.o",))


def contained(source: Source, node: Some) -> str | None:
    """Return SQL of a condition that a stored array has an item with one value, which is written in the expression; None for another condition.

    Postgres looks for such an item without making rows of them.
    """
    sought = value_sought(node)
    if sought is None or isinstance(node.of, MADE) or source.rows_of(node.of):
        return None
    array = source.value(node.of)
    if not array.is_stored:
        return None
    path, constant = sought
    value = constant.value
    item = json.dumps(value) if isinstance(value, str | bool) else str(value)
    for step in reversed(path):
        item = f"{{{json.dumps(step)}: {item}}}"
    return f"coalesce({array.sql} @> {source.parameter(f'[{item}]', 'jsonb')}, false)"


def _filtered(source: Source, node: Filtered) -> Rows:
    below = bound(source, node.of, node.item)
    return below.where(*conditions(source, node.condition))


def _mapped(source: Source, node: Mapped) -> Rows:
    below = bound(source, node.of, node.item)
    if node.is_spread and isinstance(node.value.type, ArrayOf):
        inner = rows(source, node.value)
        return Rows(
            (*below.tables, *inner.tables),
            inner.item,
            (*below.order, *inner.order),
            (*below.conditions, *inner.conditions),
        )
    found = source.value(node.value)
    if not node.is_spread:
        return replace(below, item=found)
    name = source.alias()
    wrapped = f"lateral (select {found.sql} as v) {name}"
    item = replace(found, sql=f"{name}.v")
    return Rows((*below.tables, wrapped), item, below.order, (*below.conditions, f"{name}.v is not null"))


def _listed(source: Source, node: MadeList) -> Rows:
    kind, name = item_type(node), source.alias()
    values = [source.value(each) for each in node.items]
    cast = sql_type(kind)
    lines = ", ".join(
        f"({place}, ({as_json(each) if cast == 'jsonb' else each.sql})::{cast})" for place, each in enumerate(values)
    )
    table = f"(values {lines})" if values else f"(select 0, {missing(kind)} where false)"
    return Rows((f"lateral {table} {name} (o, v)",), Value(kind, f"{name}.v"), (f"{name}.o",))


def _entries(source: Source, node: Entries) -> Rows:
    name, found = source.alias(), source.value(node.of)
    kind = value_type(node.of)
    columns = {
        "key": Value(Scalar.STRING, f"{name}.k"),
        "value": from_json(f"{name}.v", kind, is_stored=found.is_stored),
    }
    whole = f"jsonb_build_object('key', {name}.k, 'value', {name}.v)"
    item = Value(ObjectOf({}, {part: each.type for part, each in columns.items()}), whole, columns)
    return Rows((f"jsonb_each({found.sql}) as {name} (k, v)",), item, (f'{name}.k collate "C"',))


def _top(source: Source, node: Top) -> Rows:
    below = bound(source, node.of, node.item)
    key = source.value(node.key)
    by = f'({key.sql}) collate "C"' if key.type is Scalar.STRING else f"({key.sql})"
    inner, outer = source.alias(), source.alias()
    direction = "desc" if node.is_largest else "asc"
    numbered = below.select(f"{item_columns(below.item)}, {by} as k, row_number() over ({below.in_order}) as p")
    limited = (
        f"select {inner}.*, row_number() over (order by {inner}.k {direction}, {inner}.p) as o from ({numbered}) {inner} "
        f"where {inner}.k is not null order by {inner}.k {direction}, {inner}.p limit {int(node.size)}"
    )
    return Rows((f"lateral ({limited}) {outer}",), item_from(outer, below.item), (f"{outer}.o",))


def _distinct(source: Source, node: Distinct) -> Rows:
    below = rows(source, node.of)
    inner, outer = source.alias(), source.alias()
    item = below.item
    sql = as_json(item) if sql_type(item.type) == "jsonb" else item.sql
    numbered = below.select(f"{sql} as v, row_number() over ({below.in_order}) as o")
    once = (
        f"select distinct on ({inner}.v) {inner}.v, {inner}.o from ({numbered}) {inner} order by {inner}.v, {inner}.o"
    )
    return Rows((f"lateral ({once}) {outer}",), Value(item.type, f"{outer}.v"), (f"{outer}.o",))


_MADE: Mapping[type[Typed], Callable[[Source, Any], Rows]] = {
    Filtered: _filtered,
    Mapped: _mapped,
    MadeList: _listed,
    Entries: _entries,
    Top: _top,
    Distinct: _distinct,
}


def item_columns(item: Value) -> str:
    """Return the columns of a subquery that hand an item on."""
    parts = [f"{item.sql} as v", *(f"{each.sql} as c{place}" for place, each in enumerate(item.columns.values()))]
    if item.whole is not None:
        parts.append(f"{item.whole} as w")
    return ", ".join(parts)


def item_from(name: str, item: Value) -> Value:
    """Return an item that a subquery of this name has handed on."""
    columns: Mapping[str, Value] = {
        part: replace(each, sql=f"{name}.c{place}") for place, (part, each) in enumerate(item.columns.items())
    }
    return replace(item, sql=f"{name}.v", columns=columns, whole=None if item.whole is None else f"{name}.w")


# ------------------------------------------------------------------------------------------------ maps


def made_map(source: Source, node: MapMade) -> str:
    """Return SQL of a map with an entry for each item that has key and value."""
    below = bound(source, node.of, node.item)
    name = source.alias()
    entries = below.select(
        f"{source.value(node.key).sql} as k, {as_json(source.value(node.value))} as v, row_number() over ({below.in_order}) as o"
    )
    return (
        f"(select coalesce(jsonb_object_agg({name}.k, {name}.v order by {name}.o), '{{}}') from ({entries}) {name} "
        f"where {name}.k is not null and {name}.v is not null)"
    )


def grouped(source: Source, node: Grouped) -> str:
    """Return SQL of a map from the values of an expression to the items that have them."""
    below = bound(source, node.of, node.item)
    inner, outer = source.alias(), source.alias()
    numbered = below.select(
        f"{as_text(source.value(node.key))} as k, {as_json(below.item)} as v, row_number() over ({below.in_order}) as o"
    )
    groups = (
        f"select {inner}.k, jsonb_agg({inner}.v order by {inner}.o) as v from ({numbered}) {inner} "
        f"where {inner}.k is not null group by {inner}.k"
    )
    return f"(select coalesce(jsonb_object_agg({outer}.k, {outer}.v), '{{}}') from ({groups}) {outer})"


def constants(node: Typed) -> list[str | bool | int | object] | None:
    """Return the values of an array that is written in the expression; None for any other array."""
    if isinstance(node, MadeList) and node.items and all(isinstance(each, Constant) for each in node.items):
        return [each.value for each in node.items if isinstance(each, Constant)]
    return None

"""Items of partials: what is kept of events beside numbers, as a JSON array: the newest of them, or what those with each key come to.

Items are bounded. Of an event with a large value the newest keep that it was there; of events with more keys than are kept, only that it were
too many. The result is NULL where such items have a part in it, and the value has to be computed from the events.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from gateway.pql.aggregates import Aggregate, AggregateFunction, mentions
from gateway.pql.folds import FOLDS, folded, number_of, time_of
from gateway.pql.rows import Rows, Source, bound, rows
from gateway.pql.typed import (
    Aggregated,
    Distinct,
    Entries,
    First,
    Grouped,
    MapMade,
    Mapped,
    Read,
    Top,
    Typed,
)
from gateway.pql.types import NUMBERS, TIMES, ArrayOf, Scalar
from gateway.pql.values import Value, as_json, as_text, property_of

NEWEST: Final = 20
"""Of how many events, the newest ones, a partial keeps values, at most; a longer list is computed from the events."""
VALUE_BYTES: Final = 500
"""The size of a value that is kept, at most."""
KEYS: Final = 64
KEYS_BYTES: Final = 2_000
"""How many keys a partial keeps at most, and the size of all of them together."""
MAPS: Final = 8
"""How many maps of keys stand behind each other until they are put together: adding one costs a tenth of putting it in."""

_TOO_MANY: Final = "'null'::jsonb"
"""Stands among the maps for one of too many keys."""
_MAPS: Final = "from jsonb_path_query({}, '$[*][*]') as m (v)"
"""Where the elements `m` of an array of arrays come from: one function costs half of two."""
_MAP: Final = "jsonb_object_agg(g.k, jsonb_build_array(g.n, g.v))"
_NO_NUMBER: Final = "null::numeric"
_NEWEST_FIRST: Final = "t.timestamp desc, t.event_id, t.xid, t.dataset_id"


class Items(Protocol):
    """What is kept of events. SQL of items is used more than once, so it is a column."""

    def column(self, source: Source, counts: str) -> str:
        """Return what is taken of one event, if it `counts`, as jsonb; NULL for nothing."""

    def made(self, column: str, limit: str) -> str:
        """Return the items of the events `t` that a statement groups, of the column of what is taken of each, and under a condition."""

    def added(self, kept: str, new: str) -> str:
        """Return two items as one. Either may be NULL."""

    def normal(self, items: str) -> str:
        """Return items in the one form that equal ones have."""

    def together(self, column: str, limit: str) -> str:
        """Return what the items of the rows that a statement folds come to, of their column, and under a condition."""

    def value(self, items: str) -> str:
        """Return the value as jsonb of what items come to: JSON null where it is missing, and NULL where something was left out."""

    def at(self, items: str) -> str:
        """Return the time of the event that the value is from, as jsonb."""


def items_of(body: Typed, aggregate: Aggregate) -> Items | None:
    """Return the items of an aggregation; None for one that keeps numbers alone, or none of whose partials would be bounded."""
    match aggregate.function:
        case AggregateFunction.MOST_RECENT | AggregateFunction.LIST:
            return _newest(body)
        case AggregateFunction.DISTINCT | AggregateFunction.MOST_FREQUENT | AggregateFunction.GROUPBY:
            return _keyed(body)
    return None


# ------------------------------------------------------------------------------------------------ the newest


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """The newest `size` events: of each the seconds of its time, its key, and an array of its values; without this, they are too large.

    `taken`: what is taken of an event, a field of it or an expression over it.
    """

    of: Typed
    size: int
    taken: Mapped | Read

    def column(self, source: Source, counts: str) -> str:
        """Return an array with the event, or NULL."""
        found = rows(source, self.of)
        time, *keys = found.order
        key = ", ".join((f"extract(epoch from {time})", *keys))
        entry = f"case when pg_column_size(r.v) <= {VALUE_BYTES} then jsonb_build_array({key}, r.v) else jsonb_build_array({key}) end"
        return (
            f"case when {counts} then (select {entry} from (select {self._values(source, found.item)} as v) as r) end"
        )

    def made(self, column: str, limit: str) -> str:
        """Return the newest of many events."""
        return f"to_jsonb((array_agg({column} order by {_NEWEST_FIRST}) filter (where {limit}))[1:{self.size}])"

    def added(self, kept: str, new: str) -> str:
        """Return the newest of two arrays. Where all of one are newer, they stand in front of the other."""
        is_behind = f"({new} -> -1 -> 0)::numeric > ({kept} -> 0 -> 0)::numeric"
        in_front = f"jsonb_path_query_array({new} || {kept}, '$[0 to {self.size - 1}]')"
        among = f"(select jsonb_agg(b.v order by {_ranked('b.v')}) from ({self._best(f'array[{kept}, {new}]')}) as b)"
        return f"case when {new} is null then {kept} when {kept} is null then {new} when {is_behind} then {in_front} else {among} end"

    def normal(self, items: str) -> str:
        """Return the array as it is: it is in order."""
        return items

    def together(self, column: str, limit: str) -> str:
        """Return an array of the arrays of rows."""
        return f"array_agg({column}) filter (where {limit})"

    def value(self, items: str) -> str:
        """Return the values of the newest events."""
        is_told = "i.v <> 'null'" if self._drops_missing else "i.v is not null"
        values = f"coalesce(jsonb_agg(i.v order by {_ranked('b.v')}, i.o) filter (where {is_told}), '[]')"
        return (
            f"(select case when coalesce(bool_and(b.v -> 4 is not null), true) then {values} end from ({self._best(items)}) as b "
            "left join lateral jsonb_array_elements(b.v -> 4) with ordinality as i (v, o) on true)"
        )

    def at(self, _: str) -> str:
        """Return NULL: it is from several."""
        return "null::jsonb"

    def _best(self, items: str) -> str:
        ranked = _ranked("m.v")
        return f"select m.v {_elements(items)} order by {ranked} limit {self.size}"

    def _values(self, source: Source, item: Value) -> str:
        """Return the values of an event as an array."""
        taken = self.taken
        if isinstance(taken, Read):
            return f"jsonb_build_array({as_json(property_of(item, taken.path, taken.type))})"
        source.bind(taken.item, item)
        if taken.is_spread and isinstance(taken.value.type, ArrayOf):
            return rows(source, taken.value).array
        return f"jsonb_build_array({as_json(source.value(taken.value))})"

    @property
    def _drops_missing(self) -> bool:
        return (
            isinstance(self.taken, Mapped) and self.taken.is_spread and not isinstance(self.taken.value.type, ArrayOf)
        )


class Latest(Newest):
    """The newest event alone: the first of its values is the result."""

    def together(self, column: str, limit: str) -> str:
        """Return the newest event of rows. The newest one of each row is in front."""
        event = f"({column} -> 0)"
        return f"(array_agg({event} order by {_ranked(event)}) filter (where {limit} and {column} is not null))[1]"

    def value(self, items: str) -> str:
        """Return the first value of an event."""
        return f"coalesce({items} -> 4 -> 0, case when {items} is null or {items} -> 4 = '[]' then 'null'::jsonb end)"

    def at(self, items: str) -> str:
        """Return the time of an event."""
        return as_json(Value(Scalar.DATE_TIME, time_of(f"({items} -> 0)::numeric")))


def _newest(body: Typed) -> Newest | None:
    match body:
        case Read(of=First(of=Top(of=of))) as read:
            return Latest(of, 1, read)
        case First(of=Mapped(of=Top(of=of)) as mapped):
            return Latest(of, 1, mapped)
        case Mapped(of=Top(of=of, size=size)) as mapped if size <= NEWEST:
            return Newest(of, size, mapped)
    return None


def _ranked(entry: str) -> str:
    """Return what sorts the newest event first, and of equally new ones that with the smallest id."""
    keys = ", ".join(f'({entry} ->> {place}) collate "C"' for place in (1, 2, 3))
    return f"- ({entry} -> 0)::numeric, {keys}"


# ------------------------------------------------------------------------------------------------ by keys


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """What events with each key come to: maps from keys to two numbers, to be added up; NULL in place of a map: it has too many keys.

    `of`: an array whose items are keys, or are grouped by a key of each. `value_of`: what groups come to; None where their items are counted.
    """

    aggregate: AggregateFunction
    of: Typed | Grouped
    value_of: Aggregated | None = None

    @property
    def function(self) -> AggregateFunction:
        """What is made of each group."""
        return AggregateFunction.COUNT if self.value_of is None else AggregateFunction(self.value_of.function.upper())

    def column(self, source: Source, counts: str) -> str:
        """Return a map for the event, or NULL."""
        found, key, value = self._taken(source)
        if found.tables:
            every = found.select(f"{key} as k, {value} as v")
            n, v = self._folds("count(*)" if self.function is not AggregateFunction.AVERAGE else "count(r.v)", "r.v")
            grouped = f"select r.k, {n} as n, {v} as v from ({every}) as r where r.k is not null group by r.k"
            made = f"case when count(*) > {KEYS} then {_TOO_MANY} else {_MAP} end"  # of one event, and so bounded as documents are
            return f"case when {counts} then (select {made} from ({grouped}) as g) end"
        n = "1" if self.function is not AggregateFunction.AVERAGE else f"({value} is not null)::integer"
        one = f"jsonb_build_object({key}, jsonb_build_array({n}, {value}))"
        holds = " and ".join((*found.conditions, f"{key} is not null"))
        return (
            f"case when {holds} then case when octet_length({key}) <= {KEYS_BYTES} then {one} else {_TOO_MANY} end end"
        )

    def made(self, column: str, limit: str) -> str:
        """Return the maps of events one behind the other, or as one where they are many."""
        has_keys = f"filter (where {limit} and {column} is not null)"
        every = f"array_agg({column}) {has_keys}"
        return f"case when count({column}) {has_keys} > {MAPS} then {self._one(f'from unnest({every}) as m (v)')} else to_jsonb({every}) end"

    def added(self, kept: str, new: str) -> str:
        """Return the maps of both one behind the other, or as one where they are many."""
        is_few = f"jsonb_array_length({kept}) + jsonb_array_length({new}) <= {MAPS}"
        together = self._one(f"from jsonb_array_elements({kept} || {new}) as m (v)")
        has_too_many = f"{new} is null or {kept} -> 0 = {_TOO_MANY}"
        return f"case when {has_too_many} then {kept} when {kept} is null then {new} when {is_few} then {kept} || {new} else {together} end"

    def normal(self, items: str) -> str:
        """Return all maps as one."""
        return f"case when {items} is not null then {self._one(f'from jsonb_array_elements({items}) as m (v)')} end"

    def together(self, column: str, limit: str) -> str:
        """Return an array of the arrays of rows."""
        return f"jsonb_agg({column}) filter (where {limit} and {column} is not null)"

    def value(self, items: str) -> str:
        """Return the number of keys, that which most have, or a map of all."""
        match self.aggregate:
            case AggregateFunction.DISTINCT:
                value = "to_jsonb(count(g.k))"
            case AggregateFunction.MOST_FREQUENT:
                most = '(array_agg(g.k order by g.n desc, g.k collate "C") filter (where g.k is not null))[1]'
                value = f"coalesce(to_jsonb({most}), 'null')"
            case _:
                kind = Scalar.LONG if self.value_of is None else self.value_of.type
                each = folded(self.function, kind, "g.n", "g.v")
                value = f"coalesce(jsonb_object_agg(g.k, {each}) filter (where g.k is not null and {each} is not null), '{{}}')"
        return f"(select case when coalesce(bool_and(g.k is not null), true) then {value} end from ({self._by_key(_MAPS.format(items))}) as g)"

    def at(self, _: str) -> str:
        """Return NULL: it is from several events."""
        return "null::jsonb"

    def _taken(self, source: Source) -> tuple[Rows, str, str]:
        """Return the items of an event, and SQL of the key and the value of each, NULL where it is missing."""
        if not isinstance(self.of, Grouped):
            return *_distinct(source, self.of), _NO_NUMBER
        found = bound(source, self.of.of, self.of.item)
        key, value = as_text(source.value(self.of.key)), _NO_NUMBER
        if self.value_of is not None and self.value_of.value is not None:
            source.bind(self.value_of.item, found.item)
            value = number_of(source.value(self.value_of.value))
        return found, key, value

    def _folds(self, count: str, value: str) -> tuple[str, str]:
        """Return SQL of both numbers of many, each the one and the other of a column."""
        _, fold = FOLDS[self.function]
        return count, fold.many.format(value) if fold else _NO_NUMBER

    def _by_key(self, elements: str) -> str:
        """Return a statement with a row for each key of maps, which are the elements `m`; without a key, for those that have too many."""
        n, v = self._folds("sum((o.e -> 0)::numeric)", "(o.e ->> 1)::numeric")
        return f"select o.k, {n} as n, {v} as v {elements} left join lateral jsonb_each({_as_map('m.v')}) as o (k, e) on true group by o.k"

    def _one(self, elements: str) -> str:
        """Return maps as an array of one."""
        return f"(select jsonb_build_array({_bounded()}) from ({self._by_key(elements)}) as g)"


def _as_map(element: str) -> str:
    """Return an element if it is a map; NULL for one of too many keys, and for an item of another attribute that stood at the slot before."""
    return f"case jsonb_typeof({element}) when 'object' then {element} end"


def _bounded() -> str:
    """Return SQL of a map of the keys in the rows `g`, if they are not too many."""
    is_too_much = f"count(*) > {KEYS} or sum(octet_length(g.k)) > {KEYS_BYTES} or bool_or(g.k is null)"
    return f"case when {is_too_much} then {_TOO_MANY} else {_MAP} filter (where g.k is not null) end"


def _keyed(body: Typed) -> Keyed | None:
    match body:
        case Aggregated(of=Distinct(of=of, type=ArrayOf(item=Scalar() as kind))) if kind is not Scalar.UNKNOWN:
            return Keyed(AggregateFunction.DISTINCT, of)
        case Read(of=First(of=Top(of=Mapped(of=Entries(of=Grouped() as grouped))))):
            return Keyed(AggregateFunction.MOST_FREQUENT, grouped)
        case MapMade(of=Entries(of=Grouped() as grouped), item=entry, value=Aggregated(value=value) as made):
            is_number = value is None or (value.type in (*NUMBERS, *TIMES) and not mentions(value, entry))
            return Keyed(AggregateFunction.GROUPBY, grouped, made) if is_number else None
    return None


def _distinct(source: Source, of: Typed) -> tuple[Rows, str]:
    """Return values of an event, and SQL of a text that equal ones have alone; a missing one has one, too, unless it is left out."""
    if isinstance(of, Mapped) and not isinstance(of.value.type, ArrayOf):
        found = bound(source, of.of, of.item)
        key = _text(source.value(of.value))
        return found, key if of.is_spread else f"coalesce('=' || {key}, '')"
    found = rows(source, of)
    return found, f"coalesce('=' || {_text(found.item)}, '')"


def _text(value: Value) -> str:
    if value.type in NUMBERS:
        return as_text(value)
    return f"({number_of(value)})::text"


def _elements(items: str) -> str:
    """Return where the elements `m` of an array of items come from."""
    return f"from unnest({items}) as l (v) cross join lateral jsonb_array_elements(l.v) as m (v)"

"""Indexes that serve an expression: which conditions of it an index could answer, and the SQL of the index and of asking it.

An index finds no fewer people than a condition holds for, and the whole expression decides: so texts are kept by their first characters, numbers
as doubles, times to the millisecond or the day, and bounds are always included. A leaf is indexed where it stands in objects, not in arrays or maps.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.pql.inputs import EVENT_COLUMNS
from gateway.pql.rows import Source
from gateway.pql.typed import (
    Aggregated,
    Applied,
    ComputedFields,
    Constant,
    Day,
    Expression,
    Filtered,
    MadeList,
    Member,
    Now,
    Path,
    Read,
    Some,
    Truncated,
    Typed,
    Variable,
    parts_of,
    path_from,
)
from gateway.pql.types import EVENTS, NUMBERS, TIMES, ArrayOf, ObjectOf, Scalar, Type
from gateway.pql.values import as_time, quoted

MAX_INDEXED_CHARACTERS: Final = 100
"""Characters of a text that an index has; of longer ones, the first."""

INDEXED: Final = (Scalar.STRING, *NUMBERS, *TIMES)
"""Types of leaves that have indexes."""

TIME: Final = ("timestamp",)
"""The time of an event, which every index of events has beside its leaf."""

_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INCLUSIVE: Final = {"<": "<=", ">": ">="}
_FORMS: Final = {Scalar.DATE: "YYYY-MM-DD", Scalar.DATE_TIME: 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'}
_FIRST, _LAST = "'0001-01-01 00:00:00Z'", "'9999-12-31 23:59:59.999Z'"


@dataclass(frozen=True, slots=True)
class Leaf:
    """What an index is over: a leaf of profiles, or with `is_of_events` one of events, together with their time."""

    path: Path
    type: Scalar
    is_of_events: bool = False

    @property
    def name(self) -> str:
        """The dotted path, that of events under `xEvent`."""
        return ".".join((EVENTS, *self.path) if self.is_of_events else self.path)


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison of a leaf with a value that no document has a part in: `=` one of several values, `<=` or `>=` one."""

    sign: str
    values: tuple[Typed, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """A way to people that may meet an expression: those that have the leaf within all `bounds`.

    Of an index of events: those with at least `least` events, each within all bounds, at a time within `times`.
    """

    leaf: Leaf
    bounds: tuple[Bound, ...]
    times: tuple[Bound, ...] = ()
    least: int = 1

    @property
    def is_exact(self) -> bool:
        """Whether the leaf equals a value, so that few are expected to have it."""
        return any(bound.sign == "=" for bound in self.bounds)


def leaf_of(input_type: ObjectOf, name: str) -> Leaf | None:
    """Return the leaf with this dotted path, None where there is none that can be indexed."""
    first, *rest = name.split(".")
    more = input_type.more.get(first)
    is_of_events = first == EVENTS and more is not None
    kind: Type | None = more.item if is_of_events and isinstance(more, ArrayOf) else input_type
    path = tuple(rest) if is_of_events else (first, *rest)
    for step in path:
        kind = kind.property_type(step) if isinstance(kind, ObjectOf) and not isinstance(kind, ComputedFields) else None
    return Leaf(path, kind, is_of_events) if path and isinstance(kind, Scalar) and kind in INDEXED else None


# ------------------------------------------------------------------------------------------------ what an expression asks for


def accesses(expression: Expression) -> tuple[Access, ...]:
    """Return the ways to the people that may meet an expression, those that promise fewest first: equal before ranges."""
    body = expression.body
    if isinstance(body, Filtered):  # holds where something is left of it
        body = Some(Scalar.BOOLEAN, body.of, body.item, body.condition)
    found = [*_of_leaves(body, expression.input), *_of_events(body, expression.input)]
    return tuple(sorted(found, key=lambda access: not access.is_exact))


def _of_leaves(condition: Typed, item: Variable) -> Iterator[Access]:
    """Give an access for each leaf of an item that the parts of a condition bound, in their order."""
    bounds: dict[tuple[Path, Scalar], list[Bound]] = {}
    for part in parts_of(condition):
        for path, kind, bound in _bounds(part, item):
            bounds.setdefault((path, kind), []).append(bound)
    for (path, kind), found in bounds.items():
        yield Access(Leaf(path, kind), tuple(found))


def _of_events(condition: Typed, root: Variable) -> Iterator[Access]:
    """Give an access for each leaf by which the parts of a condition ask for events."""
    for part in parts_of(condition):
        conditions, least = _asked(part, root)
        each = [access for item, one in conditions for access in _of_leaves(one, item)]
        times = tuple(bound for access in each if access.leaf.path == TIME for bound in access.bounds)
        for access in each:
            if access.leaf.path != TIME:
                yield Access(Leaf(access.leaf.path, access.leaf.type, is_of_events=True), access.bounds, times, least)
        if times:
            yield Access(Leaf(TIME, Scalar.DATE_TIME, is_of_events=True), (), times, least)


def _asked(part: Typed, root: Variable) -> tuple[list[tuple[Variable, Typed]], int]:
    """Return the conditions of the events that a condition demands, each with what stands for an event in it, and how many; none and 0 for another."""
    match part:
        case Some(of=of, item=item, condition=condition):
            conditions, least = [(item, condition)], 1
        case Applied(function=sign, arguments=(Aggregated(function="count", of=of), Constant(value=int(number)))):
            conditions, least = [], {">": number + 1, ">=": number, "=": number}.get(sign, 0)
        case _:
            return [], 0
    while isinstance(of, Filtered):
        conditions.append((of.item, of.condition))
        of = of.of
    is_of_events = isinstance(of, Read) and of.path == (EVENTS,) and of.of is root
    return (conditions, least) if is_of_events and least > 0 else ([], 0)


def _bounds(part: Typed, item: Variable) -> Iterator[tuple[Path, Scalar, Bound]]:
    """Give the leaf of an item that a condition bounds, if it is one that can be indexed."""
    match part:
        case Applied(function=sign, arguments=(left, right)) if sign in _MIRRORED:
            sides: list[tuple[str, Typed, tuple[Typed, ...]]] = [
                (sign, left, (right,)),
                (_MIRRORED[sign], right, (left,)),
            ]
        case Applied(function="or", arguments=choices):
            equal = [each.arguments for each in choices if isinstance(each, Applied) and each.function == "="]
            sides = [("=", equal[0][0], tuple(right for _, right in equal))] if _is_one_leaf(equal, choices) else []
        case Member(value=value, of=MadeList(items=items)) if items:
            sides = [("=", value, items)]
        case _:
            return
    for sign, leaf, values in sides:
        path = path_from(item, leaf)
        if path and isinstance(leaf.type, Scalar) and leaf.type in INDEXED and all(map(_is_fixed, values)):
            yield path, leaf.type, Bound(_INCLUSIVE.get(sign, sign), values)


def _is_one_leaf(equal: Sequence[tuple[Typed, ...]], choices: Sequence[Typed]) -> bool:
    """Return whether all choices say of one leaf what it equals, as `equals("a", "b")` does."""
    return len(equal) == len(choices) and len({id(left) for left, _ in equal}) == 1


def _is_fixed(node: Typed) -> bool:
    """Return whether a value is the same for all documents."""
    return isinstance(node, Constant | Day | Now) or (isinstance(node, Truncated) and _is_fixed(node.of))


# ------------------------------------------------------------------------------------------------ SQL


def index_columns(leaf: Leaf) -> str:
    """Return what an index of a leaf is over, as `create index` lists it."""
    if not leaf.is_of_events:
        return f"({_key(leaf)})"
    return "timestamp, xid" if leaf.path == TIME else f"({_key(leaf)}), timestamp"


def column_of(leaf: Leaf) -> str | None:
    """Return the column of events that has a leaf as well as the document does; None for a leaf that only the document has."""
    return EVENT_COLUMNS.get(leaf.path[0]) if leaf.is_of_events and len(leaf.path) == 1 else None


def presence(leaf: Leaf) -> str:
    """Return the condition of the rows that an index of a leaf has: those with the leaf. So an index of another leaf never looks as good."""
    column = column_of(leaf)
    return f"{column} is not null" if column else f"document{_steps(leaf.path[:-1])} ? {quoted(leaf.path[-1])}"


def condition_of(access: Access, source: Source) -> str:
    """Return the condition that an access puts on the rows of the table with its leaf, as an index serves it."""
    key = _key(access.leaf)
    found = [presence(access.leaf)]
    found += [_compared(key, access.leaf, bound, source) for bound in access.bounds]
    found += [f"timestamp {bound.sign} {as_time(source.value(bound.values[0]))}" for bound in access.times]
    return " and ".join(found)


def order_of(access: Access) -> str:
    """Return by what the rows of an access are ordered, so that a planner without statistics takes the index; nothing for an exact one."""
    return "" if access.is_exact else f"order by {_key(access.leaf)}"


def _key(leaf: Leaf) -> str:
    """Return SQL of what an index has of a leaf. It fails for no document, also of a time when the leaf had another type.

    A number is looked at where it stands and taken out as text: as jsonb it would take a kilobyte each, which costs writers more than the index does.
    """
    if column := column_of(leaf):
        return f'{column} collate "C"' if leaf.type is Scalar.STRING else column
    if leaf.type in NUMBERS:
        number = f'strict ${"".join(f".{json.dumps(step)}" for step in leaf.path)} ? (@.type() == "number")'
        text = f"document #>> array[{', '.join(map(quoted, leaf.path))}]"
        return f"case when document @? {quoted(number)} then ({text})::double precision end"
    text = f"document{_steps(leaf.path[:-1])} ->> {quoted(leaf.path[-1])}"
    return f'left({text}, {MAX_INDEXED_CHARACTERS}) collate "C"'


def _steps(path: Path) -> str:
    return "".join(f" -> {quoted(step)}" for step in path)


def _compared(key: str, leaf: Leaf, bound: Bound, source: Source) -> str:
    values = [_keyed(leaf, each, source) for each in bound.values]
    if len(values) > 1:
        return f"({key}) = any(array[{', '.join(values)}])"
    return f"({key}) {bound.sign} {values[0]}"


def _keyed(leaf: Leaf, node: Typed, source: Source) -> str:
    """Return SQL of a value as an index of a leaf has it."""
    value = source.value(node)
    if leaf.type in _FORMS:
        within = f"least(greatest({as_time(value)}, {_FIRST}), {_LAST})"
        return f"to_char({within} at time zone 'UTC', '{_FORMS[leaf.type]}')"
    if leaf.type in NUMBERS:
        return f"({value.sql})::double precision"
    return value.sql if column_of(leaf) else f"left({value.sql}, {MAX_INDEXED_CHARACTERS})"

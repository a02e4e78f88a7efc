"""Projections as SQL: expressions that give JSON text, put together for one statement.

The text is put together by `||`: `json_build_object` looks up the type of each argument every time, and takes twice as long for five
leaves. For that reason, too, an array of leaves is printed whole. A page of a list is a sub-select of its own, so that any number of pages,
counts and parts of a document are read by one statement.

A number is the same number as in `evaluate`, but not always in the same letters: Postgres writes `12` as it was sent, and `1e300` in three
hundred digits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Final, TypeAlias

import orjson

from gateway.projection.predicates import Values
from gateway.projection.tree import (
    Column,
    Computed,
    ComputedValues,
    Constant,
    Count,
    Document,
    Each,
    End,
    Format,
    HasMore,
    Items,
    Leaf,
    Node,
    Object,
    Packed,
    Packing,
    Page,
    Place,
    Related,
    Rows,
    Subset,
    Under,
    keys_of,
    nodes_of,
)

_WIDTH: Final = 50  # pieces side by side: Postgres reads `a || b || c` as deep as it is long, and its stack has an end
_FEW: Final = 4
"""Leaves of an object that are looked for before it is known to be there: to ask for that costs about as much as they do."""

COMPUTED: Final = (
    "computed."  # and the name of a value that is computed for a record: where a statement has it, in jsonb
)

_NULL: Final = "'null'"
_Piece: TypeAlias = tuple[bool, str]
"""JSON text that is always the same (True), or SQL that gives some."""


@dataclass(frozen=True, eq=False)
class Listed:
    """How a statement reads a list of a record: SQL with gaps that reads a page, and that counts; and the source of the list's records."""

    page: Callable[..., str]
    count: Callable[..., str]
    source: "Source"


@dataclass(frozen=True, eq=False)
class Relation:
    """How a statement reads records that a record is related to: SQL from `from` on, for the alias of that record; the source of the related
    ones, the columns of the record that lead there, and the order of a list."""

    sql: Callable[..., str]
    source: "Source"
    by: tuple[str, ...] = ()
    order: str = ""


@dataclass(frozen=True, eq=False)
class Source:
    """Where a statement has the parts of a record: columns behind this alias, the document in jsonb, fields of it that stand elsewhere (json), the
    keys (uuid[]) that its lists are of, how these are read, and what it is related to. `derived` has SQL of columns that are worked out;
    `computed` the sources of what is known of values that are computed, by their keys."""

    alias: str
    document: str = ""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    members: str = ""
    lists: Mapping[str, Listed] = field(default_factory=dict)
    related: Mapping[str, Relation] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, "Source"] = field(default_factory=dict)


def columns(nodes: Iterable[Node], source: Source, values: Values) -> list[str]:
    """Return SQL of the JSON text of each node, null where a node is an object that is missing. Parameters are added to `values`."""
    return [_whole(node, source, values) for node in nodes]


def literal(text: str) -> str:
    """Return a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def page_parts(rows: Rows, names: Iterable[str], size: str, values: Values) -> dict[str, str]:
    """Return the SQL for the gaps of a statement that reads a page of each of several members of a record.

    `names` are the columns that are looked at beside those of the order; `size` is the parameter of the limit.
    """
    order = rows.order
    if (
        order.indexed
    ):  # sorting for the rest would cost more than to read ties at the end, which are cut with the record's page
        nearest = f"{_ordered(order.columns[: order.indexed], rows.direction)} fetch first ({size}) rows with ties"
    else:
        nearest = f"{_ordered(order.columns, rows.direction)} limit {size}"
    return {
        "carried": ", ".join(f"e.{name}" for name in dict.fromkeys([*order.columns, *names])),
        "where": values.conditions(rows.conditions),
        "nearest": nearest,
        "order": _ordered(order.columns, rows.direction),
        "size": size,
    }


# ------------------------------------------------------------------------------------------------ records


def _whole(node: Node, source: Source, values: Values) -> str:
    writer = _Writer(source, values)
    return _joined(writer.object(node, missing="") if isinstance(node, Object) else writer.pieces(node))


class _Writer:
    """Writes nodes of a record."""

    def __init__(self, source: Source, values: Values) -> None:
        self._source = source
        self._values = values

    def column(self, name: str) -> str:
        return self._source.derived.get(name) or f"{self._source.alias}.{name}"

    def pieces(self, node: Node) -> Iterator[_Piece]:
        match node:
            case Constant(value):
                yield True, orjson.dumps(value).decode()
            case Column(name, form):
                yield False, f"coalesce({_FORMATS[form].format(self.column(name))}, {_NULL})"
            case Packed():
                yield from self.packed(node)
            case Document(of):
                yield from self.document(of)
            case Object():
                yield from self.object(node)
            case Page():
                yield False, _Page(node, self._source, self._values).sql()
            case Count(rows):
                yield False, self.count(rows)
            case Related():
                yield False, self.related(node)
            case ComputedValues(each):
                yield from self.computed(each)
            case _:
                raise TypeError(f"{node} is no part of a record")

    def object(self, node: Object, missing: str = f" else {_NULL}") -> Iterator[_Piece]:
        fields = _braced((name, self.pieces(below)) for name, below in node.fields)
        if node.present is None:
            return fields
        return iter([(False, f"case when {self.column(node.present)} then {_joined(fields)}{missing} end")])

    def packed(self, node: Packed) -> Iterator[_Piece]:
        yield True, f'"{node.prefix}'
        yield False, _packed(node, self.column)
        yield True, '"'

    def document(self, of: Node) -> Iterator[_Piece]:
        document, instead = self._source.document, self._source.elsewhere
        if isinstance(of, Object):
            yield from _object(of, document, _NULL, instead)
        elif isinstance(of, Subset):
            yield False, _subset(of, document, instead)
        elif isinstance(of, Leaf) and instead:
            yield False, f"left({document}::text, -1) || case when {document} = '{{}}' then '' else ',' end"
            (_, first), *rest = _braced((name, [(False, f"{sql}::text")]) for name, sql in instead.items())
            yield from [(True, first.removeprefix("{")), *rest]
        else:
            yield from _pieces(of, document, _NULL)

    def computed(self, each: Sequence[tuple[str, Node]]) -> Iterator[_Piece]:
        yield True, "["
        for place, (key, of) in enumerate(each):
            yield True, "," if place else ""
            yield from _Writer(self._source.computed[key], self._values).pieces(of)
        yield True, "]"

    def related(self, node: Related) -> str:
        relation = self._source.related[node.name]
        text = _joined(_Writer(relation.source, self._values).pieces(node.of))
        found = relation.sql(owner=self._source.alias) + self._values.conditions(node.filter)
        if node.is_list:
            return f"(select '[' || coalesce(string_agg({text}, ',' order by {relation.order}), '') || ']' {found})"
        return f"coalesce((select {text} {found}), {_NULL})"

    def count(self, rows: Rows) -> str:
        listed = self._source.lists[rows.list]
        where = self._values.conditions(rows.filter)
        return f"(select count(*)::text {listed.count(members=self._source.members, where=where)})"


class _Page(_Writer):
    """Writes a page of a record's list. Its records come nearest to the end that is read first; maybe there is one more than the page has."""

    def __init__(self, node: Page, source: Source, values: Values) -> None:
        super().__init__(source.lists[node.rows.list].source, values)
        self._node = node
        self._owner = source
        rows = node.rows
        reads_on = any(isinstance(below, HasMore) and _is_open(below, rows) for below in nodes_of(node.of))
        self._is_read = reads_on or any(isinstance(below, Each | End) for below in nodes_of(node.of))
        self._size = values.bind(rows.size + reads_on) if self._is_read else ""
        self._order = ""
        self._bounds = ("1", f"least({self._size} - 1, count(*))" if reads_on else "count(*)")
        if rows.backward:
            self._order = f" order by {_ordered(rows.order.columns, 'desc' if rows.order.descending else 'asc')}"
            self._bounds = (f"greatest(count(*) - {self._size} + 2, 1)" if reads_on else "1", "count(*)")

    def sql(self) -> str:
        listed = self._owner.lists[self._node.rows.list]
        text = _joined(self.pieces(self._node.of))
        if not self._is_read:
            return f"({text})"
        names = chain.from_iterable(_names(below, self._source) for below in nodes_of(self._node.of))
        parts = page_parts(self._node.rows, names, self._size, self._values)
        return f"(select {text} {listed.page(members=self._owner.members, **parts)})"

    def pieces(self, node: Node) -> Iterator[_Piece]:
        match node:
            case Place():
                yield from self.packed(self._node.rows.key)
            case Each(of):
                yield False, self._each(_joined(self.pieces(of)))
            case HasMore() if _is_open(node, self._node.rows):
                yield False, f"case when count(*) = {self._size} then 'true' else 'false' end"
            case HasMore(behind):
                rows = self._node.rows
                yield True, "true" if (rows.before if behind else rows.after) else "false"
            case End() if not self._node.rows.size:
                yield True, "null"
            case End(is_first):
                bound = self._bounds[0 if is_first else 1]
                key = _packed(self._node.rows.key, lambda name: f"(array_agg(e.{name}{self._order}))[{bound}]")
                yield False, f"coalesce('\"{self._node.rows.key.prefix}' || {key} || '\"', {_NULL})"
            case Count(rows):
                yield False, _Writer(self._owner, self._values).count(rows)
            case _:
                yield from super().pieces(node)

    def _each(self, text: str) -> str:
        first, last = self._bounds
        texts = f"(array_agg(({text})::text{self._order}))[{first}:{last}]"
        return f"'[' || coalesce(array_to_string({texts}, ','), '') || ']'"


def _names(node: Node, source: Source) -> Iterable[str]:
    """Return the columns that a node of a record looks at itself."""
    match node:
        case Column(name):
            return (name,)
        case Packed(_, pieces):
            return (piece[0] for piece in pieces if not isinstance(piece, bytes))
        case Document():
            return ("document",)
        case Related(name):
            return source.related[name].by
    return ()


def _is_open(node: HasMore, rows: Rows) -> bool:
    """Whether only a record more tells if the list goes on there. Where a cursor bounds that end, it does."""
    return node.behind is not rows.backward and not (rows.before if node.behind else rows.after)


def _ordered(names: Sequence[str], direction: str) -> str:
    return ", ".join(f"e.{name} {direction}" for name in names)


# ------------------------------------------------------------------------------------------------ columns

# Milliseconds are cut, not rounded.
_FORMATS: Final[Mapping[Format, str]] = {
    Format.TEXT: "to_json({})::text",
    Format.TIME: r"""to_char({} at time zone 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""')""",
    Format.UUID: """'"' || {} || '"'""",
    Format.NUMBER: "{}::text",
    Format.BOOLEAN: "{}::text",
    Format.JSON: "{}::text",
}
_TEXTS: Final[Mapping[Packing, str]] = {
    Packing.TEXT: "{}",
    Packing.JSON: "to_json({})::text",
    Packing.HEX: "encode(uuid_send({}), 'hex')",
    Packing.MICROSECONDS: "(extract(epoch from {}) * 1000000)::bigint::text",
}
_BYTES: Final[Mapping[Packing, str]] = {Packing.UUID: "uuid_send({})", Packing.LONG: "int8send({})"}


def _packed(node: Packed, column: Callable[[str], str]) -> str:
    """Return SQL of the text behind the prefix."""
    pieces = []
    for is_text, group in groupby(node.pieces, key=_is_text):
        if is_text:
            texts = [literal(p.decode()) if isinstance(p, bytes) else _TEXTS[p[1]].format(column(p[0])) for p in group]
            pieces.append(f"convert_to({' || '.join(texts)}, 'UTF8')")
        else:
            pieces += [
                rf"'\x{p.hex()}'::bytea" if isinstance(p, bytes) else _BYTES[p[1]].format(column(p[0])) for p in group
            ]
    text = f"rtrim(encode({' || '.join(pieces)}, 'base64'), '=')"
    return rf"replace(replace(replace({text}, E'\n', ''), '+', '-'), '/', '_')"  # translate takes ten times as long


def _is_text(piece: bytes | tuple[str, Packing]) -> bool:
    if isinstance(piece, bytes):
        return piece.isascii() and piece.decode().isprintable()
    return piece[1] in _TEXTS


# ------------------------------------------------------------------------------------------------ documents


def _joined(pieces: Iterable[_Piece]) -> str:
    texts: list[str] = []
    for is_fixed, group in groupby(pieces, key=lambda piece: piece[0]):
        parts = [text for _, text in group]
        texts += [literal("".join(parts))] if is_fixed else parts
    while len(texts) > _WIDTH:
        texts = [f"({' || '.join(texts[at : at + _WIDTH])})" for at in range(0, len(texts), _WIDTH)]
    return " || ".join(texts)


def _pieces(node: Node, value: str, missing: str) -> Iterator[_Piece]:
    """Yield a part of a document; `missing` is SQL of what the answer has where the value is missing."""
    match node:
        case Constant(constant):
            yield True, orjson.dumps(constant).decode()
        case Under(key, of):
            yield from _under(key, of, value, missing, None)
        case Computed(of):
            named = {key: f'{COMPUTED}"{key}"' for key in keys_of(node)}
            yield from _object(of, "", _NULL, named) if isinstance(of, Object) else [(False, _subset(of, "", named))]
        case Object():
            yield False, f"coalesce({_object_or_null(node, value)}, {missing})"
        case Subset() if _has_computed(node):
            yield False, _subset(node, value, {})
        case Subset():
            found = f"case when jsonb_typeof({value}) = 'object' then {_subset(node, value, {})} end"
            yield False, f"coalesce({found}, {missing})"
        case Items(of) if not _is_leaf(of):
            yield False, f"coalesce({_array(of, value)}, {missing})"
        case _:
            yield False, f"coalesce(({value})::text, {missing})"


def _object_or_null(node: Object, value: str) -> str:
    """Of an object that may be missing. Of one with few leaves the first field tells: only where that is missing, the object is asked
    for, and if it is missing, too, the field makes all of it null."""
    if _has_computed(node):
        return _joined(_object(node, value, _NULL))
    exists = f"jsonb_typeof({value}) = 'object'"
    if 0 < _leaves(node) <= _FEW:
        return _joined(_object(node, value, f"case when {exists} then {_NULL} end"))
    return f"case when {exists} then {_joined(_object(node, value, _NULL))} end"


def _object(node: Object, value: str, missing: str, instead: Mapping[str, str] | None = None) -> Iterator[_Piece]:
    """`missing` is what the first field gives that is missing and no constant; `instead` has SQL of fields that stand elsewhere."""
    first = next((place for place, (_, below) in enumerate(node.fields) if not isinstance(below, Constant)), None)

    def pieces(place: int, below: Node) -> Iterator[_Piece]:
        absent = missing if place == first else _NULL
        return (
            _under(below.key, below.of, value, absent, instead)
            if isinstance(below, Under)
            else _pieces(below, value, absent)
        )

    return _braced((name, pieces(place, below)) for place, (name, below) in enumerate(node.fields))


def _subset(node: Subset, value: str, instead: Mapping[str, str]) -> str:
    """What is missing is null in SQL, which `concat_ws` passes over."""
    fields = [
        _joined(chain([(True, f"{orjson.dumps(name).decode()}:")], _under(name, below, value, "null", instead)))
        for name, below in node.fields
    ]
    while len(fields) > _WIDTH:
        fields = [
            f"nullif(concat_ws(',', {', '.join(fields[at : at + _WIDTH])}), '')" for at in range(0, len(fields), _WIDTH)
        ]
    return f"('{{' || concat_ws(',', {', '.join(fields)}) || '}}')"


def _under(key: str, of: Node, value: str, missing: str, instead: Mapping[str, str] | None) -> Iterator[_Piece]:
    """Yield what is wanted of the field of an object with this key."""
    if instead and key in instead:
        # whole it stays as it is, since jsonb would put its keys into another order
        return _pieces(of, instead[key] + ("" if isinstance(of, Leaf) else "::jsonb"), missing)
    return _pieces(of, f"{value} -> {literal(key)}", missing)


def _braced(values: Iterable[tuple[str, Iterable[_Piece]]]) -> Iterator[_Piece]:
    before = "{"
    for name, pieces in values:
        yield True, f"{before}{orjson.dumps(name).decode()}:"
        yield from pieces
        before = ","
    yield True, "{}" if before == "{" else "}"


def _array(item: Node, value: str) -> str:
    items = f"jsonb_array_elements({value}) with ordinality item (value, place)"
    each = _joined(_pieces(item, "item.value", _NULL))
    listed = f"(select '[' || coalesce(string_agg({each}, ',' order by item.place), '') || ']' from {items})"
    return f"case when jsonb_typeof({value}) = 'array' then {listed} end"


def _leaves(node: Node) -> int:
    """Return how many values of the document are looked for; an array counts as one."""
    match node:
        case Constant():
            return 0
        case Object(fields):
            return sum(_leaves(below) for _, below in fields)
        case Under(_, of):
            return _leaves(of)
    return 1


def _has_computed(node: Object | Subset) -> bool:
    """Return whether the object around values that are computed is wanted, which is there whether a document has it or not."""
    below = (field.of if isinstance(field, Under) else field for _, field in node.fields)
    return any(isinstance(each, Computed) for each in below)


def _is_leaf(node: Node) -> bool:
    while isinstance(node, Items | Under):
        node = node.of
    return isinstance(node, Leaf)

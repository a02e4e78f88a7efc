"""What of a document is wanted: a tree of leaves, objects and lists, each under the name that the answer gives it.

    pick         the document, as `orjson.loads` gives it  →  the answer, plain data
    expression   a column that holds the document          →  SQL that gives the same answer as JSON text

Both give what graphql-core's executor gives over the generated types of entities, for every document that validation lets in: values
have the types that the union of all schemas says, Ints have 32 bits, and nothing is null. A number is the same number; of a Float not
always in the same letters: Postgres writes `12` as it was sent, and `1e300` in three hundred digits.

The text is put together by `||`: `json_build_object` looks up the type of each argument every time, and takes twice as long for five
leaves. For that reason, too, an array of leaves is printed whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from typing import Any, Final, TypeAlias

import orjson

from gateway.runtime.cache import WeightedCache

KEPT_SQL: Final = 8_000_000
"""Characters of SQL that is kept for the shapes, and of that for the timelines, which are read again."""

_WIDTH: Final = 50  # pieces side by side: Postgres reads `a || b || c` as deep as it is long, and its stack has an end


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of a GraphQL scalar, or what `JSON` stands for."""

    scalar: str


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text in each object: the name of its type."""

    text: str


@dataclass(frozen=True)
class Fields:
    """An object's fields: the answer's key, the document's key, and what is wanted below. Cheap as a key: it is hashed once."""

    fields: tuple[tuple[str, str, "Shape"], ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.fields)


@dataclass(frozen=True, slots=True)
class Items:
    """Each item of an array."""

    item: "Shape"


Shape: TypeAlias = Leaf | Constant | Fields | Items

_NUMBERS: Final[Mapping[str, type]] = {"Int": int, "Long": int, "Float": float}


def pick(shape: Shape, document: Any) -> Any:
    """What is wanted of the document, or of a part of it. What is not there is null."""
    match shape:
        case Constant(text):
            return text
        case _ if document is None:
            return None
        case Fields(fields):
            return {name: pick(part, document.get(key)) for name, key, part in fields}
        case Items(item):
            return [pick(item, each) for each in document]
        case Leaf(scalar):
            return _NUMBERS[scalar](document) if scalar in _NUMBERS else document


def printed(at: datetime) -> str:
    """A time as answers write it: RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ------------------------------------------------------------------------------------------------ SQL

_Piece: TypeAlias = tuple[bool, str]
"""JSON text that is always the same (True), or SQL that gives some."""

_NULL: Final = "'null'"

_FEW: Final = 4
"""Leaves of an object that are looked for before it is known to be there: to ask for that costs about as much as they do."""


_expressions: WeightedCache[tuple[Shape, str, str | None], str] = WeightedCache(KEPT_SQL)


def expression(shape: Shape, document: str, identity_map: str | None = None) -> str:
    """SQL of the answer as JSON text. `document` is SQL of a jsonb object; what stands there several times should be cheap.

    `identity_map` is SQL of the jsonb that stands in for the document's own field of that name.
    """
    key = (shape, document, identity_map)
    sql = _expressions.get(key)
    if sql is None:
        sql = _joined(_whole(shape, document, {} if identity_map is None else {"identityMap": identity_map}))
        _expressions.put(key, sql, len(sql))
    return sql


def object_of(values: Iterable[tuple[str, str | Shape]], document: str) -> str:
    """SQL of an object as JSON text, out of its keys and SQL of their values as JSON text, or what is wanted of the document."""

    def pieces(value: str | Shape) -> Iterable[_Piece]:
        return [(False, value)] if isinstance(value, str) else _whole(value, document)

    return _joined(_braced((name, pieces(value)) for name, value in values))


def between(texts: Sequence[str], values: Sequence[str]) -> str:
    """SQL of a text that has the values, each SQL of a text, between these."""
    pieces = [(True, texts[0])]
    for value, text in zip(values, texts[1:], strict=True):
        pieces += [(False, value), (True, text)]
    return _joined(pieces)


def literal(text: str) -> str:
    """The text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _joined(pieces: Iterable[_Piece]) -> str:
    texts: list[str] = []
    for is_fixed, group in groupby(pieces, key=lambda piece: piece[0]):
        parts = [text for _, text in group]
        texts += [literal("".join(parts))] if is_fixed else parts
    while len(texts) > _WIDTH:
        texts = [f"({' || '.join(texts[at : at + _WIDTH])})" for at in range(0, len(texts), _WIDTH)]
    return " || ".join(texts)


def _whole(shape: Shape, document: str, instead: Mapping[str, str] | None = None) -> Iterator[_Piece]:
    """Of a document, which is there."""
    if isinstance(shape, Fields):
        return _object(shape, document, _NULL, instead)
    return _pieces(shape, document, _NULL)


def _pieces(shape: Shape, value: str, missing: str) -> Iterator[_Piece]:
    """`missing` is SQL of what the answer has where the value is not there."""
    match shape:
        case Constant(text):
            yield True, orjson.dumps(text).decode()
        case Fields():
            yield False, f"coalesce({_whole_or_null(shape, value)}, {missing})"
        case Items(item) if not _is_leaf(item):
            yield False, f"coalesce({_array(item, value)}, {missing})"
        case _:
            yield False, f"coalesce(({value})::text, {missing})"


def _whole_or_null(shape: Fields, value: str) -> str:
    """Of an object that may not be there. Of one with few leaves the first field tells: only where that is not there, the object is asked
    for, and if it is not there either, the field makes all of it null."""
    is_there = f"jsonb_typeof({value}) = 'object'"
    if 0 < _leaves(shape) <= _FEW:
        return _joined(_object(shape, value, f"case when {is_there} then {_NULL} end"))
    return f"case when {is_there} then {_joined(_object(shape, value, _NULL))} end"


def _object(shape: Fields, value: str, missing: str, instead: Mapping[str, str] | None = None) -> Iterator[_Piece]:
    """`missing` is what the first field gives that is not there and no constant."""
    below = instead or {}
    first = next((place for place, (_, _, part) in enumerate(shape.fields) if not isinstance(part, Constant)), None)
    return _braced(
        (name, _pieces(part, below.get(key, f"{value} -> {literal(key)}"), missing if place == first else _NULL))
        for place, (name, key, part) in enumerate(shape.fields)
    )


def _braced(values: Iterable[tuple[str, Iterable[_Piece]]]) -> Iterator[_Piece]:
    before = "{"
    for name, pieces in values:
        yield True, f"{before}{orjson.dumps(name).decode()}:"
        yield from pieces
        before = ","
    yield True, "{}" if before == "{" else "}"


def _array(item: Shape, value: str) -> str:
    items = f"jsonb_array_elements({value}) with ordinality item (value, place)"
    each = _joined(_pieces(item, "item.value", _NULL))
    listed = f"(select '[' || coalesce(string_agg({each}, ',' order by item.place), '') || ']' from {items})"
    return f"case when jsonb_typeof({value}) = 'array' then {listed} end"


def _leaves(shape: Shape) -> int:
    """How many values of the document are looked for; an array counts as one."""
    match shape:
        case Constant():
            return 0
        case Fields(fields):
            return sum(_leaves(part) for _, _, part in fields)
    return 1


def _is_leaf(shape: Shape) -> bool:
    while isinstance(shape, Items):
        shape = shape.item
    return isinstance(shape, Leaf)

"""What a projection is of a record in memory: the value whose JSON text `sql` has Postgres write."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from gateway.projection.tree import (
    Column,
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
    Rows,
    Under,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

_NUMBERS: Final[Mapping[str, type]] = {"Int": int, "Long": int, "Float": float}


class Found(NamedTuple):
    """The page of a list that was read: its records, and whether the list goes on behind it and in front of it."""

    items: Sequence[Any]
    has_next: bool
    has_previous: bool


Lists = Mapping[Page | Count, Any]
"""What was read of a record's lists: of a page a `Found`, or its JSON as an `orjson.Fragment`; of a count the number."""


def evaluate(node: Node, record: Any, lists: Lists | None = None) -> Any:  # noqa: PLR0911 (a kind of node each)
    """Return what is wanted of a record, for `orjson.dumps`. The record has an attribute for each column, and `document`."""
    match node:
        case Constant(text):
            return text
        case Column(name, form):
            value = getattr(record, name)
            return None if value is None else _FORMATS[form](value)
        case Packed():
            return pack(node, record)
        case Document(of):
            return pick(of, record.document)
        case Object(fields, present):
            if present is not None and not getattr(record, present):
                return None
            return {name: evaluate(below, record, lists) for name, below in fields}
        case Page(rows, of):
            found = _read(node, lists)
            return _of_page(of, rows, found, lists) if isinstance(found, Found) else found
        case Count():
            return _read(node, lists)
    raise TypeError(f"{node} is no part of a record")


def pick(node: Node, value: Any) -> Any:
    """Return what is wanted of a document, or of a part of it, as `orjson.loads` gives it. What is missing is None."""
    match node:
        case Constant(text):
            return text
        case _ if value is None:
            return None
        case Object(fields):
            return {name: pick(below, value) for name, below in fields}
        case Under(key, of):
            return pick(of, value.get(key))
        case Items(of):
            return [pick(of, item) for item in value]
        case Leaf(scalar):
            return _NUMBERS[scalar](value) if scalar in _NUMBERS else value
    raise TypeError(f"{node} is no part of a document")


def printed(at: datetime) -> str:
    """Return a time as answers show it: RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pack(node: Packed, record: Any) -> str:
    """Return the text of several columns."""
    payload = b"".join(
        piece if isinstance(piece, bytes) else _PACKINGS[piece[1]](getattr(record, piece[0])) for piece in node.pieces
    )
    return node.prefix + urlsafe_b64encode(payload).rstrip(b"=").decode()


_FORMATS: Final[Mapping[Format, Callable[[Any], Any]]] = {
    Format.TEXT: str,
    Format.TIME: printed,
    Format.UUID: str,
    Format.NUMBER: int,
    Format.BOOLEAN: bool,
}
_PACKINGS: Final[Mapping[Packing, Callable[[Any], bytes]]] = {
    Packing.UUID: lambda value: value.bytes,
    Packing.TEXT: str.encode,
    Packing.JSON: orjson.dumps,
    Packing.HEX: lambda value: value.hex.encode(),
    Packing.LONG: lambda value: value.to_bytes(8, signed=True),
    Packing.MICROSECONDS: lambda at: str((at - EPOCH) // MICROSECOND).encode(),
}


def _read(node: Page | Count, lists: Lists | None) -> Any:
    return (lists or {})[node]


def _of_page(node: Node, rows: Rows, found: Found, lists: Lists | None) -> Any:
    match node:
        case Constant(text):
            return text
        case Object(fields):
            return {name: _of_page(below, rows, found, lists) for name, below in fields}
        case Each(of):
            return [_of_item(of, rows, item) for item in found.items]
        case HasMore(behind):
            return found.has_next if behind else found.has_previous
        case End(is_first):
            return pack(rows.key, found.items[0 if is_first else -1]) if found.items else None
        case Count():
            return _read(node, lists)
    raise TypeError(f"{node} is no part of a page")


def _of_item(node: Node, rows: Rows, item: Any) -> Any:
    match node:
        case Place():
            return pack(rows.key, item)
        case Object(fields):
            return {name: _of_item(below, rows, item) for name, below in fields}
    return evaluate(node, item)

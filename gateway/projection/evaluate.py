"""What a projection is of a record in memory: the value whose JSON text `sql` has Postgres write."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from gateway.projection.tree import (
    Column,
    Computed,
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
    Subset,
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


def evaluate(node: Node, of: Any, lists: Lists | None = None, rows: Rows | None = None) -> Any:  # noqa: C901, PLR0911, PLR0912 (a kind of node each)
    """Return what is wanted, for `orjson.dumps`: of a record, which has an attribute for each column, and `document`; of a part of a document
    as `orjson.loads` gives it, where what is missing is None; or of the page that was read for `rows`, and of its records."""
    match node:
        case Constant(value):
            return value
        case Object(fields, present):
            if of is None or (present is not None and not getattr(of, present)):
                return None
            return {name: evaluate(below, of, lists, rows) for name, below in fields}
        case Document(below):
            return evaluate(below, of.document)
        case Leaf() | Under() | Items() | Subset() | Computed() if of is None:
            return None
        case Computed(below):
            return evaluate(below, of)
        case Leaf(scalar):
            return _NUMBERS[scalar](of) if scalar in _NUMBERS else of
        case Under(key, below):
            return evaluate(below, of.get(key))
        case Items(below):
            return [evaluate(below, item) for item in of]
        case Subset(fields):
            return {name: evaluate(below, of[name]) for name, below in fields if name in of}
        case Column(name, form):
            found = attrgetter(name)(of)
            return None if found is None else _FORMATS[form](found)
        case Packed():
            return pack(node, of)
        case Count():
            return (lists or {})[node]
        case Page(asked, below):
            found = (lists or {})[node]
            return evaluate(below, found, lists, asked) if isinstance(found, Found) else found
        case Each(below):
            return [evaluate(below, item, rows=rows) for item in of.items]
        case HasMore(behind):
            return of.has_next if behind else of.has_previous
        case Place() if rows:
            return pack(rows.key, of)
        case End(is_first) if rows:
            return pack(rows.key, of.items[0 if is_first else -1]) if of.items else None
    raise TypeError(f"only the store can tell {node}")


def constants_of(node: Node, of: Any) -> Node:
    """Return what is wanted of a record that is known already."""
    if isinstance(node, Object):
        return Object(tuple((name, constants_of(below, of)) for name, below in node.fields))
    return Constant(evaluate(node, of))


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

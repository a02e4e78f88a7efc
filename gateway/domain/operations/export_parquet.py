"""Rows of exports as Parquet: nested columns, with the types that the union of all schemas states.

    string, uri                    string                  array           list
    date, date-time                date32, timestamp[ms, UTC]   object     struct
    long, integer, short, byte     int64, int32, int16, int8    map        map<string, …>
    double, boolean                double, bool

Arrow reads JSON by itself where it can. It reads no maps, and of values that are computed it cannot know how they are written: columns
with such are made of what `orjson` reads.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, BinaryIO, Final

import orjson
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from gateway.domain.rules.selectors import Selector
from gateway.xdm.fields import COMPUTED, Field

_LEAVES: Final[Mapping[str, Any]] = {
    "string": pa.string(),
    "uri": pa.string(),
    "date": pa.date32(),
    "date-time": pa.timestamp("ms", "UTC"),
    "long": pa.int64(),
    "integer": pa.int32(),
    "short": pa.int16(),
    "byte": pa.int8(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
}
_IDENTITY: Final = pa.struct([("namespace", pa.string()), ("value", pa.string())])
COMPRESSION: Final = "zstd"


class ParquetRows:
    """Writes rows of documents of a schema, or what a selector takes of them, into a file; each call is a row group."""

    def __init__(self, sink: BinaryIO, schema: Field, selector: Selector | None, *, of_events: bool) -> None:
        beside = [("profileId", pa.string()), *([("identity", _IDENTITY)] if of_events else [])]
        fields = _selected(schema, selector)
        self._schema = pa.schema([*beside, *((name, type_of(field, inner)) for name, field, inner in fields)])
        self._made = {name: _value_of(field, inner) for name, field, inner in fields if not _is_read(field)}
        read = [(name, _as_read(each.type)) for name, each in zip(self._schema.names, self._schema, strict=True)]
        self._read = pa.schema([each for each in read if each[0] not in self._made])
        self._writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), self._schema, compression=COMPRESSION)

    def write(self, rows: Sequence[str]) -> None:
        """Add rows, as a row group."""
        text = "\n".join(rows).encode()
        how = pj.ReadOptions(use_threads=False, block_size=len(text) + 1)
        read = pj.read_json(
            pa.BufferReader(text),
            read_options=how,
            parse_options=pj.ParseOptions(explicit_schema=self._read, unexpected_field_behavior="ignore"),
        )
        documents = [orjson.loads(row) for row in rows] if self._made else []
        columns = [
            pa.array([self._made[field.name](document.get(field.name)) for document in documents], type=field.type)
            if field.name in self._made
            else read[field.name].cast(field.type)
            for field in self._schema
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()


def type_of(field: Field, selector: Selector | None = None) -> Any:
    """Return the type in Arrow of a field, or of what a selector takes of it."""
    match field["meta:xdmType"]:
        case "object":
            taken = _selected(field, selector)
            return pa.struct([(name, type_of(below, inner)) for name, below, inner in taken])
        case "array":
            return pa.list_(type_of(field["items"], selector))
        case "map":
            return pa.map_(pa.string(), type_of(field["additionalProperties"]))
        case leaf:
            return _LEAVES[leaf]


def _selected(field: Field, selector: Selector | None) -> list[tuple[str, Field, Selector | None]]:
    """Return the fields of an object that are taken, each with what is taken of it; without a selector, all that documents have."""
    known = field["properties"]
    if selector is None:
        return [(name, below, None) for name, below in known.items() if COMPUTED not in below]
    return [(name, known[name], inner) for name, inner in selector.items() if name in known]


def _is_read(field: Field) -> bool:
    """Return whether Arrow can read all of a field from JSON."""
    match field["meta:xdmType"]:
        case "object":
            return COMPUTED not in field and all(map(_is_read, field["properties"].values()))
        case "array":
            return _is_read(field["items"])
    return bool(field["meta:xdmType"] != "map")


def _as_read(kind: Any) -> Any:
    """Return the type that Arrow reads where it is to have another: it reads dates as texts."""
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _as_read(each.type)) for each in kind])
    if pa.types.is_list(kind):
        return pa.list_(_as_read(kind.value_type))
    return pa.string() if pa.types.is_date(kind) else kind


_Making = Callable[[Any], Any]


def _value_of(field: Field, selector: Selector | None = None) -> _Making:
    """Return the function that makes a value of JSON, or None, the one that Arrow takes for a field."""
    kind = field["meta:xdmType"]
    if kind == "object":
        return _unless_missing(
            _object({name: _value_of(below, inner) for name, below, inner in _selected(field, selector)})
        )
    if kind == "array":
        item = _value_of(field["items"], selector)
        return _unless_missing(lambda value: [item(each) for each in value])
    if kind == "map":
        below = _value_of(field["additionalProperties"])
        return _unless_missing(lambda value: [(key, below(each)) for key, each in value.items()])
    return _unless_missing(_MAKINGS.get(kind, _same))


_MAKINGS: Final[Mapping[str, _Making]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "double": float,
    **dict.fromkeys(("long", "integer", "short", "byte"), int),
}


def _same(value: Any) -> Any:
    return value


def _unless_missing(make: _Making) -> _Making:
    return lambda value: None if value is None else make(value)


def _object(fields: Mapping[str, _Making]) -> _Making:
    return lambda value: {name: make(value.get(name)) for name, make in fields.items()}

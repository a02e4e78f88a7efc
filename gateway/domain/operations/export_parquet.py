"""Rows of exports as Parquet: nested columns, with the types that the union of all schemas states.

    string, uri                    string                  array           list
    date, date-time                date32, timestamp[ms, UTC]   object     struct
    long, integer, short, byte     int64, int32, int16, int8    map        map<string, …>
    double, boolean                double, bool

Arrow reads most columns from JSON by itself (`export_columns`). Of values that are computed it cannot know how they are written, and maps with very many
keys would take it too long: columns with such are made of what `orjson` reads.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, BinaryIO, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from gateway.domain.operations.export_columns import ColumnReader
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
    """Writes rows of documents of a schema, or what a selector takes of them, into a file; each table is a row group."""

    def __init__(self, sink: BinaryIO, schema: Field, selector: Selector | None, *, of_events: bool) -> None:
        beside = [("profileId", pa.string()), *([("identity", _IDENTITY)] if of_events else [])]
        fields = _selected(schema, selector)
        self._schema = pa.schema([*beside, *((name, type_of(field, inner)) for name, field, inner in fields)])
        self._makings = {name: _value_of(field, inner) for name, field, inner in fields}
        self._made = {name for name, field, inner in fields if _is_computed(field, inner)}
        self._reader = ColumnReader(self._schema)
        self._writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), self._schema, compression=COMPRESSION)

    def parse(self, lines: bytes) -> Any:
        """Return rows, lines of JSON, as a table."""
        made, rest = self._split(lines)
        read = self._reader.read(rest)
        if crowded := self._reader.crowded() - self._made:
            self._made |= crowded
            return self.parse(lines)
        columns = [made[name] if name in made else read[name] for name in self._schema.names]
        return pa.table(columns, schema=self._schema)

    def write(self, parsed: Any) -> None:
        """Add a table as a row group."""
        self._writer.write_table(parsed)

    def _split(self, lines: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the columns that are made of rows, and the rows without them."""
        if not self._made:
            return {}, lines
        documents = [orjson.loads(line) for line in lines.splitlines()]
        made = {
            name: pa.array(
                map(self._makings[name], [each.pop(name, None) for each in documents]), self._schema.field(name).type
            )
            for name in self._made
        }
        return made, b"\n".join(map(orjson.dumps, documents))

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
        return [(name, below, None) for name, below in known.items() if _has_stored(below)]
    return [(name, known[name], inner) for name, inner in selector.items() if name in known]


def _has_stored(field: Field) -> bool:
    """Return whether documents as they are stored can have a field: not one below which all is computed."""
    if field["meta:xdmType"] != "object":
        return True
    return COMPUTED not in field and any(map(_has_stored, field["properties"].values()))


def _is_computed(field: Field, selector: Selector | None) -> bool:
    """Return whether something is computed of what is taken of a field."""
    match field["meta:xdmType"]:
        case "object":
            return COMPUTED in field or any(
                _is_computed(below, inner) for _, below, inner in _selected(field, selector)
            )
        case "array":
            return _is_computed(field["items"], selector)
    return False


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

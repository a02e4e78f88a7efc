"""Lines of JSON as columns of Arrow.

Arrow reads JSON quickly where it is told the types, and slowly where it is told of hundreds of fields that nobody has: it writes down for each row that
each of them is missing. So it is told of the fields that were seen so far, and looks for others where that does not do. It reads no maps: one is read as
an object of the keys that were seen in maps at its place, and becomes a map then.
"""

from array import array
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

MAX_KEYS: Final = 100
"""Keys of the maps at one place. With more, to write down which of them a row lacks takes longer than Arrow saves."""

_Seen: TypeAlias = dict[str, "_Seen"]
"""The fields that were seen in objects at a place, and the keys in maps, with what was seen below them. Items of arrays are at the place of the array."""


class ColumnReader:
    """Reads the columns of a schema from lines of JSON objects. Blocks."""

    def __init__(self, schema: Any) -> None:
        self._kind, self._seen = pa.struct(list(schema)), _Seen()

    def read(self, lines: bytes) -> dict[str, Any]:
        """Return the columns by their names; of one that no row has, all is null."""
        found = self._parsed(lines)
        if found is None:
            _note(self._seen, _table(lines, None, "infer").schema)
            found = _table(lines, _as_read(self._kind, self._seen), "ignore")
        rows = found.num_rows
        return {
            each.name: _typed(found[each.name].combine_chunks(), each.type)
            if each.name in found.column_names
            else pa.nulls(rows, each.type)
            for each in self._kind
        }

    def crowded(self) -> set[str]:
        """Return the columns with maps that have too many keys."""
        return {each.name for each in self._kind if _is_crowded(each.type, self._seen.get(each.name, {}))}

    def _parsed(self, lines: bytes) -> Any | None:
        """Return the rows, None where they have fields that were never seen."""
        try:
            return _table(lines, _as_read(self._kind, self._seen), "error")
        except pa.ArrowInvalid:
            return None


def _table(lines: bytes, kind: Any, unexpected: str) -> Any:
    schema = None if kind is None else pa.schema(list(kind))
    return pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
    )


def _note(seen: _Seen, kind: Any) -> None:
    """Note the fields of a type, or schema, that Arrow found."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        for each in kind:
            _note(seen.setdefault(each.name, {}), each.type)
    elif pa.types.is_list(kind):
        _note(seen, kind.value_type)


def _is_crowded(kind: Any, seen: _Seen) -> bool:
    if pa.types.is_struct(kind):
        return any(_is_crowded(each.type, seen[each.name]) for each in kind if each.name in seen)
    if pa.types.is_list(kind):
        return _is_crowded(kind.value_type, seen)
    if pa.types.is_map(kind):
        return len(seen) > MAX_KEYS or any(_is_crowded(kind.item_type, below) for below in seen.values())
    return False


def _as_read(kind: Any, seen: _Seen) -> Any:
    """Return the type that Arrow is to read where a type is wanted, by what was seen there: of dates it reads the texts."""
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _as_read(each.type, seen[each.name])) for each in kind if each.name in seen])
    if pa.types.is_list(kind):
        return pa.list_(_as_read(kind.value_type, seen))
    if pa.types.is_map(kind):
        return pa.struct([(key, _as_read(kind.item_type, seen[key])) for key in sorted(seen, key=_order_of_key)])
    return pa.string() if pa.types.is_date(kind) else kind


def _order_of_key(key: str) -> tuple[int, bytes]:
    """Return a key's place among others: Postgres has them so."""
    text = key.encode()
    return len(text), text


def _typed(read: Any, kind: Any) -> Any:
    """Return what was read in the type that is wanted: missing fields are null."""
    if pa.types.is_struct(kind):
        known = {each.name: read.field(place) for place, each in enumerate(read.type)}
        below = [_typed(known[f.name], f.type) if f.name in known else pa.nulls(len(read), f.type) for f in kind]
        return pa.Array.from_buffers(kind, len(read), read.buffers()[:1], children=below)
    if pa.types.is_list(kind):
        items = _typed(read.values, kind.value_type)
        return pa.Array.from_buffers(kind, len(read), read.buffers()[:2], children=[items])
    if pa.types.is_map(kind):
        return _map(read, kind)
    return read.cast(kind)


def _map(read: Any, kind: Any) -> Any:
    """Return maps, of objects that have a field for each key that any map has."""
    names, rows = [each.name for each in read.type], len(read)
    entries = pa.nulls(0, pa.struct([kind.key_field, kind.item_field]))
    counts = pa.repeat(pa.scalar(0, pa.int32()), rows)
    if names and rows:
        below = [_typed(read.field(place), kind.item_type) for place in range(len(names))]
        for each in below:
            counts = pc.add(counts, each.is_valid().cast(pa.int32()))
        places = _by_row(rows, len(names))
        places = places.filter(pa.concat_arrays([each.is_valid() for each in below]).take(places))
        items = pa.concat_arrays(below).take(places)
        keys = pa.array(names, pa.string()).take(pc.divide(places, rows))
        entries = pa.StructArray.from_arrays([keys, items], fields=[kind.key_field, kind.item_field])
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(counts)])
    buffers = [read.buffers()[0], offsets.buffers()[1]]
    return pa.Array.from_buffers(kind, rows, buffers, children=[entries])


def _by_row(rows: int, columns: int) -> Any:
    """Return the places of all values of columns that lie one behind the other, in the order of rows."""
    places = array("q", bytes(8 * rows * columns))
    for column in range(columns):
        places[column::columns] = array("q", range(column * rows, (column + 1) * rows))
    return pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])

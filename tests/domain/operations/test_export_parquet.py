"""Rows of exports as Parquet: each document of a schema is in its row."""

from io import BytesIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from exported import plain
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.operations import export_columns
from gateway.domain.operations.export_parquet import ParquetRows
from gateway.domain.rules.merge import canonical
from gateway.xdm.fields import COMPUTED

VALUES = {
    "string": st.text(max_size=4),
    "date": st.dates().map(str),
    "date-time": st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1_000:03}Z".zfill(24)),
    "long": st.integers(-(2**63), 2**63 - 1),
    "byte": st.integers(-128, 127),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}
KEYS = st.text('abé\n"\\', max_size=2)


def fields(leaves):
    """Fields of any depth, each with a strategy of its values."""
    return st.recursive(
        st.sampled_from(sorted(leaves)).map(lambda kind: ({"meta:xdmType": kind}, leaves[kind])),
        lambda below: objects(below) | below.map(listed) | below.map(mapped),
        max_leaves=8,
    )


def objects(below):
    return st.dictionaries(st.sampled_from("abc"), below, min_size=1, max_size=3).map(an_object)


def an_object(found):
    field = {"meta:xdmType": "object", "properties": {name: field for name, (field, _) in found.items()}}
    return field, st.fixed_dictionaries({}, optional={name: values for name, (_, values) in found.items()})


def listed(found):
    return {"meta:xdmType": "array", "items": found[0]}, st.lists(found[1], max_size=3)


def mapped(found):
    return {"meta:xdmType": "map", "additionalProperties": found[0]}, st.dictionaries(KEYS, found[1], max_size=3)


SCHEMAS = st.dictionaries(st.sampled_from("abc"), fields(VALUES), min_size=1).map(an_object)


def written(schema, *groups, selector=None):
    """Write groups of documents, and read them back."""
    sink, number = BytesIO(), iter(range(1_000))
    rows = ParquetRows(sink, schema, selector, of_events=False)
    for group in groups:
        lines = b"\n".join(orjson.dumps({"profileId": str(next(number)), **each}) for each in group)
        rows.write(rows.parse(lines))
    rows.close()
    table = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert table.schema.names[0] == "profileId"
    return [plain(row, pa.struct(list(table.schema))) for row in table.to_pylist()]


@given(st.data(), SCHEMAS)
def test_every_document_is_in_its_row(data, described):
    schema, documents = described
    groups = data.draw(st.lists(st.lists(documents, min_size=1, max_size=4), min_size=1, max_size=3))
    expected = [document for group in groups for document in group]
    found = written(schema, *groups)
    assert [row.pop("profileId") for row in found] == [str(number) for number in range(len(expected))]
    assert list(map(canonical, found)) == list(map(canonical, expected))


def test_maps_with_very_many_keys_and_values_that_are_computed_are_in_their_rows(monkeypatch):
    """Without a selector, there is no column for what is computed alone: Parquet knows no objects without fields."""
    monkeypatch.setattr(export_columns, "MAX_KEYS", 2)
    text = {"meta:xdmType": "string"}
    maps = {"meta:xdmType": "array", "items": {"meta:xdmType": "map", "additionalProperties": text}}
    computed = {"meta:xdmType": "object", "properties": {"n": {"meta:xdmType": "long"}}, COMPUTED: True}
    own = {"meta:xdmType": "object", "properties": {"values": computed, "text": text}}
    schema = {"meta:xdmType": "object", "properties": {"maps": maps, "own": own, "text": text}}
    rows = [
        {"maps": [{"a": "1"}, {}], "text": "x"},
        {"maps": [{"b": "1", "a": "2"}], "own": {"values": {"n": 3}, "text": "y"}},
        {"maps": [{"c": "1"}, {"a": "1"}], "own": {"values": {"n": 4.0}}},
        {"text": "z"},
    ]
    selector = {"maps": None, "own": {"values": {"n": None}, "text": None}, "text": None}
    found = written(schema, rows[:2], rows[2:], selector=selector)
    assert [{name: value for name, value in row.items() if name != "profileId"} for row in found] == rows
    schema["properties"]["own"]["properties"].pop("text")
    assert written(schema, [{"text": "x"}]) == [{"profileId": "0", "text": "x"}]

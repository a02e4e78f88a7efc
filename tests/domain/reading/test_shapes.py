"""Shapes: what is picked in Python, what Postgres picks, and what graphql-core's executor gives are one answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import asyncpg
import orjson
import pytest
from graphql import (
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    execute_sync,
    parse,
    specified_scalar_types,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gateway.api.entities import ByKey
from gateway.api.schema import build_schema
from gateway.domain.reading.shapes import Constant, Fields, Items, Leaf, Shape, expression, literal, pick

SCALARS = build_schema().type_map | specified_scalar_types
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
EXACT = 2**53 - 1  # a whole number beyond it that is no float is refused by graphql-core, and given by us
NUMBERS = st.floats(-EXACT, EXACT) | st.integers(-EXACT, EXACT)
LEAVES: dict[str, SearchStrategy[Any]] = {
    "String": TEXTS,
    "Int": st.integers(-(2**31), 2**31 - 1) | st.integers(-(2**31), 2**31 - 1).map(float),
    "Long": st.integers(-EXACT, EXACT),
    "Float": NUMBERS,
    "Boolean": st.booleans(),
    "DateTime": st.datetimes().map(lambda at: f"{at.isoformat(timespec='milliseconds')}Z"),
    "JSON": st.recursive(
        TEXTS | NUMBERS | st.booleans(), lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A type, the values that validation lets in there, and what a document asks for: as GraphQL, and as a shape."""

    type: Any
    values: SearchStrategy[Any]
    selection: str
    shape: Shape


@st.composite
def leaves(draw):
    name = draw(st.sampled_from(sorted(LEAVES)))
    return Part(SCALARS[name], LEAVES[name], "", Leaf(name))


def lists(parts):
    return parts.map(
        lambda part: Part(
            GraphQLList(GraphQLNonNull(part.type)), st.lists(part.values, max_size=3), part.selection, Items(part.shape)
        )
    )


@st.composite
def objects(draw, parts):
    keys = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    below = {f"field{place}": (key, draw(parts)) for place, key in enumerate(keys)}
    name = f"Type{next(NUMBERED)}"
    asked = draw(st.lists(st.sampled_from([*below, "__typename"]), min_size=1, max_size=6))
    selection, fields = [], []
    for place, field in enumerate(asked):
        selection.append(f"a{place}: {field} {below[field][1].selection if field in below else ''}")
        fields.append(
            (f"a{place}", below[field][0], below[field][1].shape)
            if field in below
            else (f"a{place}", "", Constant(name))
        )
    values = st.fixed_dictionaries({}, optional={key: part.values for key, part in below.values()})
    resolved = {field: GraphQLField(part.type, resolve=ByKey(key)) for field, (key, part) in below.items()}
    return Part(GraphQLObjectType(name, resolved), values, f"{{ {' '.join(selection)} }}", Fields(tuple(fields)))


NUMBERED: Iterator[int] = count()
PARTS = st.recursive(leaves(), lambda below: objects(below) | lists(below), max_leaves=8)


@st.composite
def documents(draw):
    part = draw(objects(PARTS))
    return part, draw(part.values)


@pytest.fixture(scope="module")
async def connection(module_dsn):
    connection = await asyncpg.connect(module_dsn)
    yield connection
    await connection.close()


async def picked_there(connection, shape, document):
    """The answer that Postgres gives."""
    return await connection.fetchval(
        f"select {expression(shape, 'document')} from (select $1::jsonb as document) d", orjson.dumps(document).decode()
    )


def told(text):
    """JSON as it is, but that keys of an object are in an order, a number is its value, and `true` is none."""
    number = lambda digits: ("number", float(digits))  # noqa: E731
    return json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs), parse_int=number, parse_float=number)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(documents())
async def test_three_ways_give_one_answer(connection, example):
    part, sent = example
    document = orjson.loads(await connection.fetchval("select $1::jsonb", orjson.dumps(sent).decode()))
    there = await picked_there(connection, part.shape, document)
    here = orjson.dumps(pick(part.shape, document))
    stock = execute_sync(GraphQLSchema(part.type), parse(part.selection), root_value=document)
    assert not stock.errors
    assert here == orjson.dumps(stock.data)
    assert told(there) == told(here)


@pytest.mark.parametrize("number", ["25209225899428890", "1e300", "123456789012345678901234567890.5", "-0.0", "1e-400"])
async def test_a_number_of_any_size_is_shown_as_it_is_stored(connection, number):
    document = f'{{"n": {number}}}'
    shape = Fields((("n", "n", Leaf("Float")),))
    sql = expression(shape, "document")
    there = await connection.fetchval(f"select {sql} from (select $1::jsonb as document) d", document)
    assert told(there) == told(orjson.dumps(pick(shape, orjson.loads(document))))


SHAPE = Fields(
    (("name", "person", Fields((("first", "firstName", Leaf("String")),))), ("mails", "emails", Items(Fields(()))))
)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, {"name": None, "mails": None}),
        ({"person": {}}, {"name": {"first": None}, "mails": None}),
        ({"person": None, "emails": None}, {"name": None, "mails": None}),
        ({"person": {"firstName": None}, "emails": []}, {"name": {"first": None}, "mails": []}),
        ({"emails": [{}, None, {"a": 1}]}, {"name": None, "mails": [{}, None, {}]}),
    ],
)
async def test_what_is_not_there_is_null_and_what_is_empty_is_empty(connection, document, expected):
    assert pick(SHAPE, document) == expected
    assert orjson.loads(await picked_there(connection, SHAPE, document)) == expected


@pytest.mark.parametrize("width", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize(
    "inner", ["null", "[]", "1", '"text"', "{}", '{"k0": 1}', '{"k1": 1, "k0": null}', '{"k0": 1, "k1": 2, "k4": 5, "k8": 9}']
)  # fmt: skip
async def test_an_object_is_null_or_not_whatever_is_selected_of_it(connection, width, is_named, inner):
    named = (("type", "", Constant("Inner")),) * is_named
    shape = Fields((*named, *((f"a{n}", f"k{n}", Leaf("Int")) for n in range(width))))
    around = Fields((("inner", "inner", shape), ("outer", "outer", Fields((("inner", "inner", shape),)))))
    document = orjson.loads(f'{{"inner": {inner}, "outer": {{"inner": {inner}}}}}')
    if not isinstance(document["inner"], dict):
        assert orjson.loads(await picked_there(connection, around, document)) == {
            "inner": None,
            "outer": {"inner": None},
        }
    else:
        assert orjson.loads(await picked_there(connection, around, document)) == pick(around, document)


async def test_a_shape_has_any_number_of_fields(connection):
    """A sum of 3,000 texts is deeper than Postgres reads, and a function takes 100 arguments."""
    shape = Fields(tuple((f"a{n}", f"k{n}", Leaf("Int")) for n in range(3_000)))
    document = {f"k{n}": n for n in range(0, 3_000, 7)}
    assert orjson.loads(await picked_there(connection, shape, document)) == pick(shape, document)


async def test_the_identity_map_is_taken_from_elsewhere(connection):
    shape = Fields(
        (("ids", "identityMap", Leaf("JSON")), ("more", "identityMap", Fields((("mail", "Email", Leaf("JSON")),))))
    )
    sql = expression(shape, "'{}'::jsonb", """'{"Email": [1]}'::jsonb""")
    assert orjson.loads(await connection.fetchval(f"select {sql}")) == {"ids": {"Email": [1]}, "more": {"mail": [1]}}


@pytest.mark.parametrize("text", ["'", "''", "\\'", "$1", "{entity}", 'é\n"', "--", "/*"])
async def test_any_text_is_a_literal(connection, text):
    assert await connection.fetchval(f"select {literal(text)}::text") == text
    shape = Fields((("a", text, Leaf("String")),))
    assert orjson.loads(await picked_there(connection, shape, {text: text})) == {"a": text}


def test_shapes_are_keys():
    one, other = (Fields((("a", "b", Items(Leaf("Int"))),)) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))
    assert one != Fields((("a", "c", Items(Leaf("Int"))),))

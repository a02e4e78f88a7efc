"""Projections of documents: what is picked in Python, what Postgres writes, and what graphql-core's executor gives are one answer."""

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
from gateway.domain.rules.selectors import apply
from gateway.projection.evaluate import evaluate
from gateway.projection.predicates import Values
from gateway.projection.sql import Source, columns, literal
from gateway.projection.tree import Constant, Document, Items, Leaf, Node, Object, Subset, Under

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


WHOLE = Leaf("JSON")


@dataclass(frozen=True)
class Part:
    """A type, the values that validation lets in there, and what a document asks for: as GraphQL, and as a projection; and a selector's
    tree, with the projection that it is."""

    type: Any
    values: SearchStrategy[Any]
    selection: str
    node: Node
    tree: Any = None
    subset: Node = WHOLE


@st.composite
def leaves(draw):
    name = draw(st.sampled_from(sorted(LEAVES)))
    return Part(SCALARS[name], LEAVES[name], "", Leaf(name))


def lists(parts):
    return parts.map(
        lambda part: Part(
            GraphQLList(GraphQLNonNull(part.type)),
            st.lists(part.values, max_size=3),
            part.selection,
            Items(part.node),
            part.tree,
            Leaf("JSON") if part.tree is None else Items(part.subset),
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
        fields.append((f"a{place}", Under(below[field][0], below[field][1].node) if field in below else Constant(name)))
    values = st.fixed_dictionaries({}, optional={key: part.values for key, part in below.values()})
    resolved = {field: GraphQLField(part.type, resolve=ByKey(key)) for field, (key, part) in below.items()}
    within = [
        (*below[field], draw(st.booleans()))
        for field in draw(st.lists(st.sampled_from([*below]), min_size=1, unique=True))
    ]
    tree = {key: part.tree if is_within else None for key, part, is_within in within}
    subset = Subset(tuple((key, part.subset if is_within else Leaf("JSON")) for key, part, is_within in within))
    kind, asks = GraphQLObjectType(name, resolved), f"{{ {' '.join(selection)} }}"
    return Part(kind, values, asks, Object(tuple(fields)), tree, subset)


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


def expression(node, document, identity_map=None):
    """The SQL of a part of a document."""
    (text,) = columns(
        [Document(node)], Source("d", document, {"identityMap": identity_map} if identity_map else {}), Values()
    )
    return text


async def picked_there(connection, node, document):
    """The answer that Postgres gives."""
    return await connection.fetchval(
        f"select {expression(node, 'document')} from (select $1::jsonb as document) d", orjson.dumps(document).decode()
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
    there = await picked_there(connection, part.node, document)
    here = orjson.dumps(evaluate(part.node, document))
    stock = execute_sync(GraphQLSchema(part.type), parse(part.selection), root_value=document)
    assert not stock.errors
    assert here == orjson.dumps(stock.data)
    assert told(there) == told(here)


@settings(max_examples=75, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(documents())
async def test_a_selector_takes_the_same_wherever_it_is_applied(connection, example):
    part, sent = example
    document = orjson.loads(await connection.fetchval("select $1::jsonb", orjson.dumps(sent).decode()))
    expected = told(orjson.dumps(apply(part.tree, document)))
    assert told(orjson.dumps(evaluate(part.subset, document))) == expected
    assert told(await picked_there(connection, part.subset, document)) == expected


@pytest.mark.parametrize("number", ["25209225899428890", "1e300", "123456789012345678901234567890.5", "-0.0", "1e-400"])
async def test_a_number_of_any_size_is_shown_as_it_is_stored(connection, number):
    document = f'{{"n": {number}}}'
    node = Object((("n", Under("n", Leaf("Float"))),))
    sql = expression(node, "document")
    there = await connection.fetchval(f"select {sql} from (select $1::jsonb as document) d", document)
    assert told(there) == told(orjson.dumps(evaluate(node, orjson.loads(document))))


NODE = Object(
    (
        ("name", Under("person", Object((("first", Under("firstName", Leaf("String"))),)))),
        ("mails", Under("emails", Items(Object(())))),
    )
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
    assert evaluate(NODE, document) == expected
    assert orjson.loads(await picked_there(connection, NODE, document)) == expected


@pytest.mark.parametrize("width", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize(
    "inner", ["null", "[]", "1", '"text"', "{}", '{"k0": 1}', '{"k1": 1, "k0": null}', '{"k0": 1, "k1": 2, "k4": 5, "k8": 9}']
)  # fmt: skip
async def test_an_object_is_null_or_not_whatever_is_selected_of_it(connection, width, is_named, inner):
    named = (("type", Constant("Inner")),) * is_named
    node = Object((*named, *((f"a{n}", Under(f"k{n}", Leaf("Int"))) for n in range(width))))
    around = Object(
        (("inner", Under("inner", node)), ("outer", Under("outer", Object((("inner", Under("inner", node)),)))))
    )
    document = orjson.loads(f'{{"inner": {inner}, "outer": {{"inner": {inner}}}}}')
    if not isinstance(document["inner"], dict):
        assert orjson.loads(await picked_there(connection, around, document)) == {
            "inner": None,
            "outer": {"inner": None},
        }
    else:
        assert orjson.loads(await picked_there(connection, around, document)) == evaluate(around, document)


async def test_an_object_has_any_number_of_fields(connection):
    """A sum of 3,000 texts is deeper than Postgres reads, and a function takes 100 arguments."""
    node = Object(tuple((f"a{n}", Under(f"k{n}", Leaf("Int"))) for n in range(3_000)))
    subset = Subset(tuple((f"k{n}", Leaf("JSON")) for n in range(3_000)))
    document = {f"k{n}": n for n in range(0, 3_000, 7)}
    for each in (node, subset):
        assert orjson.loads(await picked_there(connection, each, document)) == evaluate(each, document)


async def test_the_identity_map_is_taken_from_elsewhere(connection):
    node = Object(
        (
            ("ids", Under("identityMap", Leaf("JSON"))),
            ("more", Under("identityMap", Object((("mail", Under("Email", Leaf("JSON"))),)))),
        )
    )
    sql = expression(node, "'{}'::jsonb", """'{"Email": [1]}'::jsonb""")
    assert orjson.loads(await connection.fetchval(f"select {sql}")) == {"ids": {"Email": [1]}, "more": {"mail": [1]}}
    subset = Subset((("a", Leaf("JSON")), ("identityMap", Subset((("Email", Leaf("JSON")), ("ECID", Leaf("JSON")))))))
    part = expression(subset, "'{}'::jsonb", """'{"Email": [1], "Phone": []}'::json""")
    assert orjson.loads(await connection.fetchval(f"select {part}")) == {"identityMap": {"Email": [1]}}
    whole = expression(Leaf("JSON"), """'{"a": 2}'::jsonb""", """'{"Email": [1]}'::jsonb""")
    assert orjson.loads(await connection.fetchval(f"select {whole}")) == {"a": 2, "identityMap": {"Email": [1]}}


@pytest.mark.parametrize("text", ["'", "''", "\\'", "$1", "{entity}", 'é\n"', "--", "/*"])
async def test_any_text_is_a_literal(connection, text):
    assert await connection.fetchval(f"select {literal(text)}::text") == text
    node = Object((("a", Under(text, Leaf("String"))),))
    assert orjson.loads(await picked_there(connection, node, {text: text})) == {"a": text}


def test_projections_are_keys():
    one, other = (Object((("a", Under("b", Items(Leaf("Int")))),)) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))
    assert one != Object((("a", Under("c", Items(Leaf("Int")))),))

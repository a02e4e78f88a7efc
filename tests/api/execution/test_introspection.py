"""Introspection answers as graphql-core does, wherever it stands in a query; it is made beside the loop, bounded, and kept."""

import asyncio
from threading import Event

import orjson
import pytest
from client import Client
from graphql import get_introspection_query
from reference import reference

from gateway.api.execution import introspection
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome, Request
from gateway.runtime.threads import COMPUTATIONS

DEEP = "fields { name args { name type { name ofType { name } } } type { name kind fields { name description type { name } } } }"


@pytest.fixture
def stock(client):
    """The same sandbox without the compiler."""
    return reference(client.world)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (get_introspection_query(), {}),
        ("{ __schema { queryType { name } } }", {}),
        ("{ a: __schema { queryType { name } } viewer { scopes } a: __schema { mutationType { name } } }", {}),
        ("query ($n: String!) { __type(name: $n) { name kind } viewer { organization } }", {"n": "Batch"}),
        ("query ($n: String!) { __type(name: $n) { name kind } }", {"n": "Nothing"}),
        ('query ($d: Boolean = true) { __type(name: "Batch") { fields(includeDeprecated: $d) { name } } }', {}),
        ('query ($d: Boolean = true) { __type(name: "Batch") { fields(includeDeprecated: $d) { name } } }', {"d": None}),
        ("query ($x: Boolean!) { __schema @skip(if: $x) { queryType { name } } viewer { scopes } }", {"x": True}),
        ("query ($x: Boolean!) { __schema { types @include(if: $x) { name } description } }", {"x": False}),
        ("query ($i: [ID!]!, $x: Boolean!) { ...A nodes(ids: $i) { id } } fragment A on Query { __schema { ...B } } fragment B on __Schema { types @include(if: $x) { ...C } } fragment C on __Type { name }", {"i": ["a"], "x": True}),
        ("query A { __schema { description } } query Asked { __schema { queryType { name } } }", {}),
    ],
)  # fmt: skip
async def test_introspection_is_what_graphql_core_answers(client, stock, query, variables):
    name = "Asked" if "query Asked" in query else None
    expected = await stock.answer(query, variables, operation_name=name)
    for _ in range(2):  # made, and kept
        assert await client.answer(query, variables, operation_name=name) == expected


async def test_other_requests_are_answered_while_introspection_is_made(client):
    busy = Event()
    blocker = asyncio.ensure_future(COMPUTATIONS.run(busy.wait))
    asked = [asyncio.ensure_future(client.answer(get_introspection_query())) for _ in range(3)]
    try:
        assert (await client.data("{ viewer { organization } }"))["viewer"]
        assert not any(each.done() for each in asked)
    finally:
        busy.set()
    await blocker
    answers = [await each for each in asked]
    assert {outcome for outcome, _ in answers} == {Outcome.ANSWERED}
    assert answers[0] == answers[1] == answers[2]


async def test_introspection_beside_anything_has_only_so_many_values(client, monkeypatch):
    monkeypatch.setattr(introspection, "MAX_INTROSPECTION_VALUES", 1_000)
    for query in (
        get_introspection_query(),
        f"{{ viewer {{ scopes }} {get_introspection_query()[get_introspection_query().index('{') + 1 :]}",
    ):
        outcome, body = await client.answer(query)
        assert outcome is Outcome.REFUSED
        assert body["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
        assert "more than 1,000 values" in body["errors"][0]["message"]
    assert await client.data("{ __schema { queryType { name } } }")


async def test_depth_aliases_and_cost_hold_below_introspection_too(client):
    parts = " ".join(f"a{n}: __schema {{ types {{ {DEEP} }} }}" for n in range(20))
    for query, word in (
        ("{ __schema { types { " + "ofType { " * 20 + "name" + " }" * 20 + " } } }", "fields deep"),
        ("{ __schema { " + " ".join(f"a{n}: types {{ name }}" for n in range(31)) + " } }", "aliases"),
        (f"{{ {parts} }}", "may cost"),
    ):
        error = await Client.of(client.world, Limits(cost=20_000)).error(query)
        assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
        assert word in error["message"]


async def test_answers_weigh_with_the_document_that_they_are_kept_with(client):
    documents = client.operations._documents
    await client.data("{ viewer { scopes } }")
    before = documents._kept.weight
    response = await client.operations.run(await client.scope(), Request(get_introspection_query()))
    size = len(orjson.dumps(response.body))
    assert size / 400 < documents._kept.weight - before < size / 50

"""The way of an operation: how far it came, what the caller is told, and what it is never told."""

from dataclasses import replace

import orjson
import pytest
from client import Client
from graphql import get_introspection_query
from world import record

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome, Request
from gateway.domain.config import sandboxes
from gateway.storage.queries import Query
from gateway.telemetry import FaultMasked, StatementRan, correlation_id, listen

VIEWER = "{ viewer { organization } }"


@pytest.fixture
def observed():
    """What was observed meanwhile."""
    seen = []
    end = listen(seen.append)
    yield seen
    end()


@pytest.mark.parametrize(
    ("query", "outcome", "code"),
    [
        ("", Outcome.NOT_PARSED, "GRAPHQL_PARSE_FAILED"),
        ("{ viewer { ", Outcome.NOT_PARSED, "GRAPHQL_PARSE_FAILED"),
        ("{ viewr { organization } }", Outcome.NOT_VALID, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { x }", Outcome.NOT_VALID, "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer { organization @defer } }", Outcome.NOT_VALID, "GRAPHQL_VALIDATION_FAILED"),
        ('{ datasets(first: "x") { totalCount } }', Outcome.NOT_VALID, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { viewer { scopes } } query B { viewer { scopes } }", Outcome.REFUSED, "BAD_INPUT"),
        ("fragment F on Query { viewer { scopes } }", Outcome.NOT_VALID, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($x: Int!) { datasets(first: $x) { totalCount } }", Outcome.REFUSED, "BAD_INPUT"),
        ("#" * 100_001 + "\n{ viewer { scopes } }", Outcome.REFUSED, "LIMIT_EXCEEDED"),
        ("{ viewer { " + "scopes " * 2_000 + "} }", Outcome.REFUSED, "LIMIT_EXCEEDED"),
        ("{ " + "viewer { organization } " * 480 + "}", Outcome.REFUSED, "LIMIT_EXCEEDED"),
        (
            "{ ...F0 } "
            + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(240))
            + " fragment F240 on Query { __typename }",
            Outcome.REFUSED,
            "LIMIT_EXCEEDED",
        ),
        ("{ " + "viewer { " * 300 + "scopes" + " }" * 301, Outcome.REFUSED, "LIMIT_EXCEEDED"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", Outcome.REFUSED, "LIMIT_EXCEEDED"),
        (
            "{ searchProfiles(first: 400) { nodes { events(first: 400) { nodes { id } } } } }",
            Outcome.REFUSED,
            "LIMIT_EXCEEDED",
        ),
    ],
)
async def test_a_request_that_does_not_come_to_run_has_no_data(module_client, query, outcome, code):
    came, body = await module_client.answer(query)
    assert came is outcome
    assert list(body) == ["errors"]
    assert {error["extensions"]["code"] for error in body["errors"]} == {code}


@pytest.mark.parametrize(
    ("where", "is_told"),
    [
        ('"homeAddress.city = "Rome""', True),
        ('"homeAddress.city = "Rome" and true"', True),
        ('"xEvent.count() > "3""', True),
        ('"homeAddress.city', True),
        ('"""homeAddress.city = "Rome"""", first: 1', True),
        ("homeAddress.city = 3", False),
    ],
)
async def test_an_error_of_a_string_with_quotes_in_it_says_how_to_write_them(module_client, where, is_told):
    _, body = await module_client.answer(f"{{ searchProfiles(where: {where}) {{ nodes {{ id }} }} }}")
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
    assert (
        'stands in three of them, the last ones behind a space: """city = "Rome" """.' in error["message"]
    ) is is_told


async def test_only_the_named_operation_runs(client):
    both = "query A { viewer { organization } } query B { viewer { scopes } }"
    _, body = await client.answer(both, operation_name="B")
    assert body == {"data": {"viewer": {"scopes": ["admin"]}}}
    outcome, _ = await client.answer(both, operation_name="C")
    assert outcome is Outcome.REFUSED


async def test_where_only_queries_may_run_a_mutation_does_not(client):
    mutation = 'mutation { createSandbox(input: {name: "dev"}) { sandbox { id } } }'
    outcome, body = await client.answer(mutation, only_queries=True)
    assert outcome is Outcome.NOT_A_QUERY
    assert "data" not in body
    assert (await client.data("{ sandboxes { totalCount } }"))["sandboxes"]["totalCount"] == 1
    outcome, _ = await client.answer(VIEWER, only_queries=True)
    assert outcome is Outcome.ANSWERED


async def test_a_field_that_fails_says_why_and_where_and_leaves_the_others(client):
    outcome, body = await client.answer('{ viewer { organization } identity(identity: {xid: "zzz"}) { id } }')
    assert outcome is Outcome.ANSWERED
    assert body == {
        "data": {"viewer": {"organization": "An organization"}, "identity": None},
        "errors": [
            {
                "message": "This is not an xid that this server gave out.",
                "locations": [{"line": 1, "column": 27}],
                "path": ["identity"],
                "extensions": {"code": "BAD_INPUT"},
            }
        ],
    }


async def test_a_field_that_fails_takes_nothing_from_others_that_wait_for_the_same(client):
    await client.world.records(record(("Email", "ada@example.com")))
    datasets = await client.data("{ datasets(first: 1) { pageInfo { endCursor } } }")
    _, body = await client.answer(
        """query ($elsewhere: String) {
          a: profile(identity: {key: {namespace: "Email", value: "ada@example.com"}}) { limits { eventCount } events(after: $elsewhere) { totalCount } }
          b: profile(identity: {key: {namespace: "Email", value: "ada@example.com"}}) { limits { eventCount } }
        }""",
        {"elsewhere": datasets["datasets"]["pageInfo"]["endCursor"]},
    )
    assert body["data"] == {"a": None, "b": {"limits": {"eventCount": 0}}}
    assert [error["path"] for error in body["errors"]] == [["a", "events"]]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{ datasets(after: "zzz") { totalCount } }', "BAD_CURSOR"),
        ("{ datasets(first: 1001) { totalCount } }", "LIMIT_EXCEEDED"),
        ("{ datasets(first: 1, last: 1) { totalCount } }", "BAD_INPUT"),
        ('{ nodes(ids: ["x"]) { id } }', None),
    ],
)
async def test_codes_are_of_a_closed_list(client, query, code):
    _, body = await client.answer(query)
    assert [error["extensions"]["code"] for error in body.get("errors", ())] == ([code] if code else [])


@pytest.mark.parametrize(
    "query",
    [
        "{ datasets { totalCount } }",
        'mutation { createDataset(input: {name: "x", schemaId: "x"}) { userErrors { code } } }',
    ],
)
async def test_a_missing_scope_is_forbidden_in_queries_and_mutations_alike(client, query):
    if query.startswith("mutation"):
        schema = await client.data("{ schemas { nodes { id } } }")
        query = query.replace('schemaId: "x"', f'schemaId: "{schema["schemas"]["nodes"][0]["id"]}"')
    error = await client.error(query, scopes=["jobs:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "needs the scope" in error["message"]


async def test_an_unexpected_error_is_masked_and_reported_to_the_operator(client, observed):
    async with client.world.db.transaction() as tx:
        await tx.execute(Query("test.break", "drop table gateway.ingestion_warning", (), (), "none", "Breaks a list."))
    correlation_id.set("request-7")
    error = await client.error("{ ingestionWarnings { nodes { id } } }")
    assert error["extensions"] == {"code": "INTERNAL", "correlationId": "request-7"}
    assert "ingestion_warning" not in error["message"]
    (masked,) = [each.error for each in observed if isinstance(each, FaultMasked)]
    assert "UndefinedTable (42P01)" in str(masked)  # what more Postgres says may quote values


async def test_an_operation_that_takes_too_long_ends(client):
    hasty = Client.of(client.world, Limits(seconds=0))
    outcome, body = await hasty.answer(VIEWER)
    assert (outcome, body["errors"][0]["extensions"]["code"]) == (Outcome.FAILED, "TIMEOUT")


async def test_a_sandbox_that_is_gone_is_forbidden(client):
    world = client.world
    sandbox = await sandboxes.create_sandbox(world.db, world.scope, "dev", None, world.scope.sandbox.type)
    scope = replace(world.scope, sandbox=sandbox)
    await sandboxes.delete_sandbox(world.db, scope, sandbox.sandbox_id, "dev")
    response = await client.operations.run(scope, Request(VIEWER))
    assert response.body["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_variable_that_decides_what_is_selected_must_not_be_null(client):
    query = "query ($on: Boolean = true) { viewer { scopes @include(if: $on) } }"
    for _ in range(2):
        outcome, body = await client.answer(query, {"on": None})
        assert (outcome, "`$on` decides what is selected" in body["errors"][0]["message"]) == (Outcome.REFUSED, True)
    assert await client.data(query) == {"viewer": {"scopes": ["admin"]}}


async def test_every_way_to_say_one_of_wrongly_is_explained_in_graphqls_words(client):
    for query in (
        "{ identity(identity: {}) { id } }",
        '{ identity(identity: {xid: "a", key: {namespace: "Email", value: "a"}}) { id } }',
        "{ identity(identity: {xid: null}) { id } }",
    ):
        _, body = await client.answer(query)
        assert "Maybe" not in body["errors"][0]["message"]
        assert "IdentityInput" in body["errors"][0]["message"]


# ------------------------------------------------------------------------------------------------ mutations


async def test_a_mutation_sees_what_the_one_before_it_in_the_document_did(client):
    dataset = (await client.data("{ datasets(first: 1) { nodes { id } } }"))["datasets"]["nodes"][0]["id"]
    data = await client.data(
        """mutation ($id: ID!) {
          a: updateDataset(input: {id: $id, name: "A"}) { dataset { name batches { totalCount } recordCount } userErrors { code } }
          b: createBatch(input: {datasetId: $id, key: "k"}) { batch { dataset { name batches { totalCount } } } userErrors { code } }
        }""",
        id=dataset,
    )
    assert data["a"]["dataset"] == {"name": "A", "batches": {"totalCount": 0}, "recordCount": 0}
    assert data["b"]["batch"]["dataset"] == {"name": "A", "batches": {"totalCount": 1}}


# ------------------------------------------------------------------------------------------------ introspection


async def test_introspection_asks_the_database_nothing_and_is_made_once(client, observed):
    await client.data(VIEWER)
    query, scope = get_introspection_query(input_value_deprecation=True), await client.scope()
    observed.clear()
    request = Request(query)
    first, second = [await client.operations.run(scope, request) for _ in range(2)]
    assert not [each for each in observed if isinstance(each, StatementRan)]
    assert orjson.dumps(first.body) == orjson.dumps(second.body)
    types = {each["name"] for each in orjson.loads(orjson.dumps(first.body))["data"]["__schema"]["types"]}
    assert {"Query", "ProfileEntity", "XdmPersonName"} <= types


async def test_introspection_with_variables_and_beside_data_is_answered_too(client):
    data = await client.data("query ($n: String!) { __type(name: $n) { name } viewer { scopes } }", n="Batch")
    assert data == {"__type": {"name": "Batch"}, "viewer": {"scopes": ["admin"]}}
    assert await client.data("query ($n: String!) { __type(name: $n) { name } }", n="Dataset") == {
        "__type": {"name": "Dataset"}
    }

"""GraphQL over HTTP: methods, media types, statuses and limits. What operations answer is tested in tests/api."""

import pytest

from gateway.postgres.cluster import Cluster
from gateway.server.http.negotiation import GRAPHQL, JSON

QUERY = "{ __typename }"
BROKEN = {
    "parse": {"query": "{"},
    "validation": {"query": "{ nothing }"},
    "variables": {"query": "query Q($id: ID!) { node(id: $id) { id } }", "variables": {}},
    "operation": {"query": "query A { __typename } query B { __typename }"},
}
MUTATION = 'mutation { createSandbox(input: {name: "dev"}) { sandbox { name } } }'


@pytest.fixture
def gateway(module_gateway):
    """One for all tests here: none of them changes anything in it."""
    return module_gateway


@pytest.fixture
async def headers(gateway):
    return {name.lower(): value for name, value in (await gateway.headers()).items()}


@pytest.fixture
def post(gateway, headers):
    async def post(body=None, content=None, **more):
        given = headers | {name.replace("_", "-"): value for name, value in more.items()}
        return await gateway.http.post("/graphql", json=body, content=content, headers=given)

    return post


@pytest.fixture
def get(gateway, headers):
    async def get(**parameters):
        return await gateway.http.get("/graphql", params=parameters, headers=headers)

    return get


def code_of(answer):
    return answer.json()["errors"][0]["extensions"]["code"]


# ---------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(("accept", "media_type"), [("*/*", JSON), (JSON, JSON), (GRAPHQL, GRAPHQL)])
async def test_a_response_has_the_media_type_that_the_caller_accepts(post, accept, media_type):
    answer = await post({"query": QUERY}, accept=accept)
    assert (answer.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}})
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert "accept" in answer.headers["vary"].lower()
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("fault", BROKEN)
async def test_an_operation_that_cannot_run_is_400_or_for_older_clients_200_and_has_no_data(post, fault):
    new, old = await post(BROKEN[fault], accept=GRAPHQL), await post(BROKEN[fault], accept=JSON)
    assert (new.status_code, old.status_code) == (400, 200)
    assert new.json() == old.json()
    assert "data" not in new.json()


async def test_error_codes_differ_by_stage(post):
    codes = [code_of(await post(body)) for body in BROKEN.values()]
    assert codes == ["GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_INPUT", "BAD_INPUT"]


async def test_a_field_that_fails_leaves_the_others(post):
    answer = await post({"query": '{ __typename nodes(ids: ["nonsense"]) { id } }'}, accept=GRAPHQL)
    assert answer.status_code == 200
    assert "data" in answer.json()


async def test_a_missing_header_and_a_missing_scope_have_their_codes(gateway, post):
    for name, status, code in [
        ("authorization", 403, "403010"),
        ("x_api_key", 403, "403000"),
        ("x_gw_ims_org_id", 400, "400003"),
    ]:
        answer = await post({"query": QUERY}, **{name: ""})
        assert answer.status_code == status
        assert answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED", "errorCode": code}
    invalid = await post({"query": QUERY}, authorization="Bearer nonsense")
    assert (invalid.status_code, invalid.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    foreign = await post({"query": QUERY}, x_sandbox_name="elsewhere")
    assert (foreign.status_code, code_of(foreign)) == (403, "FORBIDDEN")
    reader = await gateway.headers(["profile:read"])
    refused = await gateway.http.post("/graphql", json={"query": MUTATION}, headers=reader)
    assert code_of(refused) == "FORBIDDEN"


# ---------------------------------------------------------------------------------------------- requests


async def test_a_query_may_be_read_by_get(get):
    query = "query Q($id: ID!) { node(id: $id) { id } }"
    answer = await get(query=query, variables='{"id": "nonsense"}', operationName="", extensions="")
    assert (answer.status_code, answer.json()["data"]) == (200, {"node": None})
    assert (await get(query=QUERY, variables="")).json() == {"data": {"__typename": "Query"}}


async def test_a_mutation_is_not_run_by_get(gateway, get):
    answer = await get(query=MUTATION)
    assert (answer.status_code, answer.headers["allow"], code_of(answer)) == (405, "POST", "BAD_INPUT")
    names = await gateway.run("{ sandboxes { nodes { name } } }")
    assert names["sandboxes"]["nodes"] == [{"name": "prod"}]


async def test_get_without_credentials_is_refused(gateway):
    assert (await gateway.http.get("/graphql", params={"query": QUERY})).status_code == 403


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_content_type_that_a_form_can_send_is_refused(post, content_type):
    answer = await post(content=b'{"query": "{ __typename }"}', content_type=content_type)
    assert (answer.status_code, code_of(answer)) == (415, "BAD_INPUT")


async def test_a_caller_that_accepts_neither_media_type_gets_406(post):
    assert (await post({"query": QUERY}, accept="text/html")).status_code == 406


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_and_those_that_work_are_named(gateway, headers, method):
    answer = await gateway.http.request(method, "/graphql", headers=headers)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    "body",
    [
        [{"query": QUERY}],
        {},
        "text",
        7,
        None,
        {"query": None},
        {"query": 7},
        {"query": QUERY, "variables": []},
        {"query": QUERY, "variables": "{}"},
        {"query": QUERY, "operationName": 7},
        {"query": QUERY, "extensions": "none"},
    ],
)
async def test_a_request_that_is_not_well_formed_is_400(post, body):
    answer = await post(body) if body is not None else await post(content=b"null", content_type=JSON)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_INPUT")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"query": "\xe9"}', b"[" * 5000])
async def test_a_body_that_is_not_json_is_400_and_says_where(post, content):
    answer = await post(content=content, content_type=JSON)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_INPUT")
    assert "column" in answer.json()["errors"][0]["message"]


async def test_broken_variables_in_an_address_are_400(get):
    assert (await get(query=QUERY, variables="{")).status_code == 400


async def test_unknown_keys_of_a_request_are_ignored(post):
    body = {"query": QUERY, "variables": None, "operationName": None, "extensions": {"a": 1}, "id": 1}
    assert (await post(body)).json() == {"data": {"__typename": "Query"}}


# ---------------------------------------------------------------------------------------------- limits


async def test_a_document_or_a_body_that_is_too_long_is_413(post):
    document = await post({"query": QUERY + "#" * 100_000})
    assert (document.status_code, code_of(document)) == (413, "LIMIT_EXCEEDED")
    body = await post({"query": QUERY, "variables": {"filler": "x" * 8_200_000}})
    assert (body.status_code, code_of(body)) == (413, "LIMIT_EXCEEDED")


async def test_a_body_without_announced_length_is_limited_too(gateway, headers):
    async def endless():
        while True:
            yield b" " * 1_000_000

    answer = await gateway.http.post("/graphql", content=endless(), headers=headers | {"content-type": JSON})
    assert answer.status_code == 413


async def test_large_variables_are_accepted(post):
    query = "query Q($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    answer = await post({"query": query, "variables": {"ids": ["x" * 7_000_000]}})
    assert (answer.status_code, answer.json()) == (200, {"data": {"nodes": [None]}})


async def test_other_limits_are_errors_of_the_operation(post):
    deep = "{ " + "node(id: 1) { " * 30 + "id" + " }" * 31
    answer = await post({"query": deep}, accept=GRAPHQL)
    assert (answer.status_code, code_of(answer)) == (400, "LIMIT_EXCEEDED")


async def test_an_unreachable_database_is_unavailable_with_503(start_gateway, cluster: Cluster):
    async with start_gateway() as gateway:
        headers = await gateway.headers()
        await cluster.drop_database(gateway.store.dsn.partition("@/")[2].partition("?")[0])
        answer = await gateway.http.post(
            "/graphql", json={"query": "{ sandboxes { nodes { name } } }"}, headers=headers
        )
    assert (answer.status_code, code_of(answer), answer.headers["retry-after"]) == (503, "UNAVAILABLE", "1")

"""The short path responds as the long one does, and with nothing that the database does not confirm."""

import asyncio

import pytest

from gateway.domain.config import namespaces
from gateway.domain.config.namespaces import IdentityType
from gateway.domain.rules.scope import Permission
from gateway.runtime.cache import WeightedCache
from gateway.server.http.auth import MAX_CACHED_CALLERS
from gateway.storage.queries import Query
from gateway.telemetry import RequestServed, listen

NAMES = "{ identityNamespaces(first: 500) { nodes { code } } }"
REVOKE = Query("test.revoke", "update gateway.api_key set revoked_at = now()", (), (), "value", "For this test.")


@pytest.fixture
async def headers(gateway):
    """Headers of a known caller: the next request takes the short path."""
    given = await gateway.headers()
    await gateway.http.post("/graphql", json={"query": "{ __typename }"}, headers=given)
    return given


async def answers(gateway, headers, content, **more):
    """The answer by the short way and by the long one, which a caller takes who is not known."""
    given = headers | {"content-type": "application/json"} | more
    short = await gateway.http.post("/graphql", content=content, headers=given)
    gateway.app.state.services.callers._known = WeightedCache(MAX_CACHED_CALLERS)
    return short, await gateway.http.post("/graphql", content=content, headers=given)


async def test_a_body_may_come_in_pieces(gateway, headers):
    content = b'{"query": "{ __typename }"}'

    async def pieces(*more):
        for at in range(0, len(content), 7):
            yield content[at : at + 7]
        for piece in more:
            yield piece

    given = headers | {"content-type": "application/json"}
    answer = await gateway.http.post("/graphql", content=pieces(), headers=given)
    assert answer.json() == {"data": {"__typename": "Query"}}
    too_long = await gateway.http.post("/graphql", content=pieces(*[b" " * 1_000_000] * 9), headers=given)
    assert too_long.status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b'{"query": "{ identityNamespaces(first: 500) { nodes { code } } }"}',
        b'{"query": "query A { __typename } query B { sandboxes { nodes { name } } }", "operationName": "B"}',
        b'{"query": "query A { __typename } query B { __typename }"}',
        b'{"query": "query ($n: Int!) { datasets(first: $n) { totalCount } }", "variables": {"n": "many"}}',
        b'{"query": "{ datasets(first: -1) { totalCount } }"}',
        b'{"query": "{ nothing }"}',
        b'{"query": "{ "}',
        b'{"query": 1}',
        b'{"variables": {}}',
        b"[]",
        b"not JSON",
        b'{"query": "mutation { createDataset(input: {name: \\"a\\", schemaId: \\"b\\"}) { userErrors { code } } }"}',
        b'{"query": "{ __schema { queryType { name } } }"}',
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "text/html"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_both_paths_respond_the_same(gateway, headers, content, accept, encoding):
    short, long = await answers(gateway, headers, content, accept=accept, **{"accept-encoding": encoding})
    assert (short.status_code, short.json()) == (long.status_code, long.json())
    differs = {"server-timing", "x-request-id", "content-length"}
    assert {name: short.headers[name] for name in short.headers.keys() - differs} == {
        name: long.headers[name] for name in long.headers.keys() - differs
    }


async def test_a_stranger_and_a_caller_without_the_scope_get_their_errors(gateway, headers):
    for given in ({}, headers | {"x-api-key": "another"}, headers | {"x-sandbox-name": "another"}):
        short, long = await answers(gateway, given, b'{"query": "{ __typename }"}')
        assert (short.status_code, short.json()) == (long.status_code, long.json())
    weak = await gateway.headers([Permission.CONFIG_WRITE])
    for _ in range(2):
        answer = await gateway.http.post("/graphql", json={"query": "{ searchProfiles { totalCount } }"}, headers=weak)
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_was_changed_before_the_request_is_seen(gateway, headers):
    code = NAMES
    before = (await gateway.http.post("/graphql", json={"query": code}, headers=headers)).json()
    scope = await gateway.app.state.services.callers.scope_of({name.lower(): value for name, value in headers.items()})
    await namespaces.create_namespace(gateway.store.db, scope, code="Till", name="Till", kind=IdentityType.CROSS_DEVICE)
    after = (await gateway.http.post("/graphql", json={"query": code}, headers=headers)).json()
    told = {node["code"] for node in after["data"]["identityNamespaces"]["nodes"]}
    assert told - {node["code"] for node in before["data"]["identityNamespaces"]["nodes"]} == {"Till"}


async def test_a_caller_with_a_revoked_key_gets_no_more_data(gateway, headers):
    async with gateway.store.db.transaction() as tx:
        await tx.value(REVOKE)
    answer = await gateway.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["extensions"]["errorCode"] == "403003"


async def test_requests_in_hand_at_the_same_moment_share_their_statements(gateway, headers, statements):
    asked = {"query": 'query ($v: String!) { profile(identity: {key: {namespace: "Email", value: $v}}) { id } }'}
    await gateway.http.post("/graphql", json=asked | {"variables": {"v": "0@x.io"}}, headers=headers)
    with statements() as ran:
        await asyncio.gather(
            *(
                gateway.http.post("/graphql", json=asked | {"variables": {"v": f"{n}@x.io"}}, headers=headers)
                for n in range(20)
            )
        )
    assert len(ran) < 20, ran


async def test_the_route_is_observed(gateway, headers):
    seen = []
    end = listen(lambda each: seen.append(each) if isinstance(each, RequestServed) else None)
    await gateway.http.post("/graphql", json={"query": NAMES}, headers=headers)
    end()
    assert [(each.route, each.status) for each in seen] == [("/graphql", 200)]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:8000", "localhost", "", "[::1]:8000"])
async def test_a_host_that_is_not_ours_is_refused_on_both_ways(gateway, headers, host):
    short, long = await answers(gateway, headers, b'{"query": "{ __typename }"}', host=host)
    assert (short.status_code, short.content) == (long.status_code, long.content)


async def test_pages_of_other_origins_get_their_headers_on_both_ways(start_gateway):
    async with start_gateway(cors_origins=("https://shop.example",)) as gateway:
        given = await gateway.headers()
        for origin in ("https://shop.example", "https://evil.example"):
            short, long = await answers(gateway, given, b'{"query": "{ __typename }"}', origin=origin)
            again, _ = await answers(gateway, given, b'{"query": "{ __typename }"}', origin=origin)
            allowed = {answer.headers.get("access-control-allow-origin") for answer in (short, long, again)}
            assert allowed == {origin if "shop" in origin else None}


async def test_no_body_of_a_stranger_is_read(gateway):
    sent = []

    async def receive():
        raise AssertionError("there is no reason to read it")

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json"), (b"authorization", b"Bearer x")]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    await gateway.app(scope, receive, send)
    assert sent[0]["status"] == 403


@pytest.mark.parametrize("pieces", [[], [b'{"query": ']])
async def test_a_body_that_does_not_come_is_not_waited_for_on_either_way(start_gateway, pieces):
    """A head that announces a body, and then nothing, or a part of it."""
    async with start_gateway(request_seconds=2) as gateway:
        known = await gateway.headers()
        await gateway.http.post("/graphql", json={"query": "{ __typename }"}, headers=known)
        for headers in (known, known | {"x-request-id": "1", "x-sandbox-name": ""}):
            messages, answered = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces], []

            async def receive(messages=messages):
                return messages.pop(0) if messages else await asyncio.Event().wait()

            async def send(message, answered=answered):
                answered.append(message)

            given = headers | {"host": "localhost", "content-type": "application/json", "content-length": "100"}
            raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
            scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": raw}
            await gateway.app(scope, receive, send)
            assert answered[0]["status"] == 408

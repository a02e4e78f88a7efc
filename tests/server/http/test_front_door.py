"""The one door to GraphQL: every kind of operation meets the same refusals, and its caller is confirmed before anything is told."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, contextmanager
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import orjson
import pytest
from asgi import ask, lines
from graphql import get_introspection_query

from gateway.api.execution.limits import Limits
from gateway.api.ids import global_id
from gateway.domain.config import namespaces
from gateway.domain.config.api_keys import create_api_key, revoke_api_key
from gateway.domain.config.namespaces import IdentityType
from gateway.storage.queries import Query
from gateway.telemetry import RequestServed, StatementRan, listen

CREATE = 'mutation { createSandbox(input: {name: "dev"}) { sandbox { name } } }'
INGEST = """mutation ($input: IngestRecordsInput!) { ingestRecords(input: $input) { accepted userErrors { code } } }"""
NAMES = "{ identityNamespaces(first: 500) { nodes { code } } }"
TILL = """mutation { createIdentityNamespace(input: {code: "Till", name: "T", idType: CROSS_DEVICE}) { userErrors { code } } }"""


LOCK = Query(
    "test.lock",
    "lock table gateway.identity, gateway.graph, gateway.profile, gateway.batch in access exclusive mode",
    *((), (), "none", "For this test."),
)
READS = {
    "together with those of others": '{ profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) { profileId } }',
    "by a loader": f'{{ batch(id: "{global_id("Batch", UUID(int=1))}") {{ id }} }}',
    "by a field alone": "{ batches { nodes { id } } }",
}


class Kind(NamedTuple):
    """A kind of operation, as a request of this method."""

    method: str
    query: str
    variables: dict | None = None

    def body(self, **changes):
        given = {"query": self.query, "variables": self.variables} | changes
        return orjson.dumps(given) if self.method == "POST" else b""

    def parameters(self, **changes):
        given = {"query": self.query} | changes
        return b"" if self.method == "POST" else urlencode(given).encode()


KINDS = {
    "query": Kind("POST", NAMES),
    "query by GET": Kind("GET", NAMES),
    "query by HEAD": Kind("HEAD", NAMES),
    "introspection": Kind("POST", get_introspection_query()),
    "mutation": Kind("POST", CREATE),
    "ingestion": Kind("POST", INGEST, {"input": {"datasetId": "x", "documents": [{"a": 1}]}}),
}


class Refusal(NamedTuple):
    """What is wrong with a request: its other headers, None for one that is left out, or another body or address."""

    status: int
    code: str
    headers: dict = {}  # noqa: RUF012 (never changed)
    body: Callable | bytes | None = None
    parameters: bytes | None = None
    only: str = "GET HEAD POST"
    error_code: str | None = None


TOO_LONG = b" " * (Limits().body_bytes + 1)
BROKEN = b'{"query": "{ __typename }"'
BATCH = b'[{"query": "{ __typename }"}]'
REFUSALS = {
    "another host": Refusal(400, "BAD_INPUT", {"host": "evil.example"}),
    "no host": Refusal(400, "BAD_INPUT", {"host": ""}),
    "no coding": Refusal(406, "BAD_INPUT", {"accept-encoding": "identity;q=0"}),
    "no media type": Refusal(406, "BAD_INPUT", {"accept": "text/html"}),
    "a form's media type": Refusal(415, "BAD_INPUT", {"content-type": "text/plain"}, only="POST"),
    "another charset": Refusal(415, "BAD_INPUT", {"content-type": "application/json; charset=latin-1"}, only="POST"),
    "an announced size": Refusal(413, "LIMIT_EXCEEDED", {"content-length": "99999999"}, only="POST"),
    "a size": Refusal(413, "LIMIT_EXCEEDED", {"transfer-encoding": "chunked"}, body=TOO_LONG, only="POST"),
    "no token": Refusal(403, "UNAUTHENTICATED", {"authorization": None}, error_code="403010"),
    "a wrong token": Refusal(401, "UNAUTHENTICATED", {"authorization": "Bearer e30.e30.e30"}, error_code="401013"),
    "no key": Refusal(403, "UNAUTHENTICATED", {"x-api-key": None}, error_code="403000"),
    "a wrong key": Refusal(403, "UNAUTHENTICATED", {"x-api-key": "nobody's"}, error_code="403003"),
    "no organization": Refusal(400, "UNAUTHENTICATED", {"x-gw-ims-org-id": None}, error_code="400003"),
    "another sandbox": Refusal(403, "FORBIDDEN", {"x-sandbox-name": "elsewhere"}),
    "no JSON": Refusal(400, "BAD_INPUT", body=BROKEN, only="POST"),
    "no JSON in variables": Refusal(400, "BAD_INPUT", parameters=b"query={a}&variables={", only="GET HEAD"),
    "several operations": Refusal(400, "BAD_INPUT", body=BATCH, only="POST"),
    "no operation": Refusal(400, "BAD_INPUT", body=b"{}", parameters=b"", only="GET HEAD POST"),
}


@pytest.fixture
async def credentials(gateway):
    return {name.lower(): value for name, value in (await gateway.headers()).items()}


@pytest.fixture
def send(gateway, credentials):
    """Send a request of a kind, with other headers."""

    async def sent(kind, changes=None, body=None, parameters=None):
        given = {"content-type": "application/json", **credentials, **(changes or {})}
        head = lines(**{name: value for name, value in given.items() if value is not None})
        body = kind.body() if body is None else body
        parameters = kind.parameters() if parameters is None else parameters
        return await ask(gateway.app, kind.method, "/graphql", head, body, query_string=parameters)

    return sent


@contextmanager
def noted(kind):
    """The observations of this kind meanwhile."""
    seen = []
    end = listen(lambda each: seen.append(each) if isinstance(each, kind) else None)
    try:
        yield seen
    finally:
        end()


def stages_of(answer):
    """The stages that an answer tells, in order, with their milliseconds."""
    (told,) = answer.all("server-timing")
    return {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", told)}


async def changed(gateway):
    """Whether any of KINDS has changed anything."""
    return len((await gateway.run("{ sandboxes { nodes { name } } }"))["sandboxes"]["nodes"]) > 1


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_of_operation_meets_the_same_refusals(gateway, send, name):
    """From strangers and from callers who were here before."""
    kind = KINDS[name]
    for is_known in (False, True):
        if is_known:
            await send(kind, body=Kind("POST", NAMES).body(), parameters=KINDS["query by GET"].parameters())
        for what, wrong in REFUSALS.items():
            if kind.method not in wrong.only:
                continue
            answer = await send(kind, wrong.headers, wrong.body, wrong.parameters)
            assert (answer.status, answer.code()) == (wrong.status, wrong.code), (what, is_known, answer.json())
            extensions = answer.json()["errors"][0]["extensions"]
            assert extensions.get("errorCode") == wrong.error_code, (what, is_known)
            assert "data" not in answer.json()
            if what not in {"another host", "no host", "no coding"}:  # which are decided in front of all routes
                assert "encode" in stages_of(answer), what
    assert not await changed(gateway)


@pytest.mark.parametrize("name", KINDS)
async def test_a_key_that_is_revoked_while_the_request_comes_in_opens_nothing(gateway, send, name):
    kind, admin = KINDS[name], await gateway.store.scope()
    key, secret = await create_api_key(gateway.store.db, admin, "for a moment")
    theirs = {"x-api-key": secret}
    assert (await send(kind, theirs, Kind("POST", NAMES).body(), KINDS["query by GET"].parameters())).status == 200

    async def revoked():
        await revoke_api_key(gateway.store.db, admin, key.api_key_id)
        return kind.body()

    if kind.method != "POST":
        await revoked()
    for body in (revoked, BROKEN):  # what is wrong otherwise is not told, either
        answer = await send(kind, theirs, body)
        assert (answer.status, answer.code()) == (403, "UNAUTHENTICATED")
        assert answer.json()["errors"][0]["extensions"]["errorCode"] == "403003"
        assert list(stages_of(answer)) == ["auth", "encode"]
    assert not await changed(gateway)


@pytest.mark.parametrize("query", READS.values(), ids=READS)
async def test_a_refused_caller_waits_for_no_read_and_leaves_none_behind(gateway, send, query):
    """A read that a lock holds up begins beside the confirmation, and is given up with it: its connection is free at once."""
    admin, read = await gateway.store.scope(), Kind("POST", query).body()
    key, secret = await create_api_key(gateway.store.db, admin, "for a moment")
    assert "errors" not in (await send(KINDS["query"], {"x-api-key": secret}, read)).json()
    await revoke_api_key(gateway.store.db, admin, key.api_key_id)
    pool = gateway.app.state.services.db._pool
    async with gateway.store.db.transaction() as tx, asyncio.timeout(20), AsyncExitStack() as lent:
        await tx.execute(LOCK)
        sending = asyncio.create_task(send(KINDS["query"], {"x-api-key": secret}, read))
        assert (await asyncio.wait({sending}, timeout=10))[0]
        answer = await sending
        assert (answer.status, answer.code()) == (403, "UNAUTHENTICATED")
        for _ in range(pool._size):
            await lent.enter_async_context(pool.lend())


@pytest.mark.parametrize("name", KINDS)
async def test_a_tenant_whose_queue_is_full_is_refused_whatever_it_asks(start_gateway, name):
    kind = KINDS[name]
    async with start_gateway(requests_at_once=4, requests_waiting=4) as gateway:
        headers = {name.lower(): value for name, value in (await gateway.headers()).items()}
        tenant = (await gateway.store.sandbox(None)).sandbox_id
        operations = gateway.app.state.services.admission.operations
        turns = [operations.enter(tenant) for _ in range(5)]
        head = lines(content_type="application/json", **headers)
        answer = await ask(gateway.app, kind.method, "/graphql", head, kind.body(), query_string=kind.parameters())
        assert (answer.status, answer.code(), answer.all("retry-after")) == (503, "UNAVAILABLE", ["1"])
        for turn in filter(None, turns):
            turn.cancel()
        assert not await _is_changed_with(gateway)


async def _is_changed_with(gateway):
    for _ in range(3):
        gateway.app.state.services.admission.operations.leave((await gateway.store.sandbox(None)).sandbox_id)
    return await changed(gateway)


@pytest.mark.parametrize("query", [CREATE, INGEST])
async def test_only_queries_are_run_by_get(gateway, send, query):
    for method in ("GET", "HEAD"):
        for _ in range(2):
            answer = await send(Kind(method, query))
            assert (answer.status, answer.all("allow"), answer.code()) == (405, ["POST"], "BAD_INPUT")
    assert not await changed(gateway)


async def test_no_body_of_a_stranger_is_read(gateway):
    async def unread():
        raise AssertionError("there is no reason to read it")

    head = lines(content_type="application/json", authorization="Bearer x")
    assert (await ask(gateway.app, "POST", "/graphql", head, unread)).status == 403


async def test_a_body_may_come_in_pieces_and_is_waited_for_a_while(start_gateway):
    content, messages = KINDS["query"].body(), []
    async with start_gateway(request_seconds=1) as gateway:
        given = await gateway.headers()

        async def receive():
            return messages.pop(0) if messages else await asyncio.Event().wait()

        async def status(*pieces, more):
            answered = []
            messages[:] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
            messages[-1:] = [dict(messages[-1], more_body=more)] if messages else []
            raw = lines(host="localhost", content_type="application/json", content_length=str(len(content)), **given)
            scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b""}
            await gateway.app(scope | {"headers": [(n.lower(), v) for n, v in raw]}, receive, _into(answered))
            return answered[0]["status"]

        assert await status(*(content[at : at + 7] for at in range(0, len(content), 7)), more=False) == 200
        assert await status(content[:7], more=True) == 408
        assert await status(more=True) == 408


def _into(answered):
    async def send(message):
        answered.append(message)

    return send


# ------------------------------------------------------------------------------------------------ callers


@pytest.fixture
def held(gateway, monkeypatch):
    """The statement that confirms callers is held back as long as this is not set."""
    owners, go_on = gateway.app.state.services.callers._owners, asyncio.Event()
    go_on.set()
    read = owners._read

    async def waits(keys):
        await go_on.wait()
        return await read(keys)

    monkeypatch.setattr(owners, "_read", waits)
    return go_on


@pytest.fixture
def meanwhile(gateway):
    """Let so many statements run for requests, and a few of others; return the names of those for requests."""

    async def ran(count):
        names, others = [], 0
        with noted(StatementRan) as seen:
            while others < 5 or len(names) < count:
                await gateway.store.sandbox(None)
                others += 1
                names = [
                    each.name for each in seen if not each.name.startswith(("leases.", "tenants.read_", "api_keys."))
                ]
        return names

    return ran


@pytest.mark.parametrize("name", [name for name in KINDS if name != "introspection"])
async def test_a_query_is_read_while_its_caller_is_confirmed_and_a_mutation_waits(gateway, send, held, meanwhile, name):
    kind = Kind(KINDS[name].method, "{ sandboxes { nodes { name } } }") if "query" in name else KINDS[name]
    expected = ["tenants.list_sandboxes"] if "query" in name else []
    admin = await gateway.store.scope()
    key, secret = await create_api_key(gateway.store.db, admin, "for a moment")
    for theirs, is_refused in (({"x-api-key": secret}, True), ({}, False)):
        await send(Kind("POST", NAMES), theirs)
        held.clear()
        asked = asyncio.create_task(send(kind, theirs))
        assert await meanwhile(len(expected)) == expected
        assert not asked.done()
        if is_refused:  # what did not wait is done by the time of the answer, however long it takes
            await revoke_api_key(gateway.store.db, admin, key.api_key_id)
        held.set()
        assert (await asked).status == (403 if is_refused else 200)
        assert await changed(gateway) == (name == "mutation" and not is_refused)


@pytest.mark.parametrize("name", ["query", "query by GET", "mutation"])
async def test_a_configuration_that_changed_is_noticed_by_a_request_begun_with_the_former_one(
    gateway, send, held, meanwhile, name
):
    await send(Kind("POST", NAMES))
    held.clear()
    asked = asyncio.create_task(send(Kind("POST", TILL) if name == "mutation" else KINDS[name]))
    await meanwhile(0)
    admin = await gateway.store.scope()
    await namespaces.create_namespace(gateway.store.db, admin, code="Till", name="Till", kind=IdentityType.CROSS_DEVICE)
    held.set()
    answer = (await asked).json()["data"]
    assert (
        "Till" in {each["code"] for each in answer["identityNamespaces"]["nodes"]}
        if name != "mutation"
        else (answer["createIdentityNamespace"]["userErrors"] == [{"code": "TAKEN"}])
    )


async def test_requests_in_hand_at_the_same_moment_share_their_statements(send, statements):
    query = 'query ($v: String!) { profile(identity: {key: {namespace: "Email", value: $v}}) { id } }'
    await send(Kind("POST", query, {"v": "0@x.io"}))
    with statements() as ran:
        await asyncio.gather(*(send(Kind("POST", query, {"v": f"{number}@x.io"})) for number in range(20)))
    assert len(ran) < 20, ran


# ------------------------------------------------------------------------------------------------ stages

FIRST = "auth parse validate compile execute encode"
AGAIN = {"query": "execute auth encode", "mutation": "auth execute encode"}
FAILED = {
    "not parsed": ("{", "parse auth encode"),
    "not valid": ("{ nothing }", "parse validate auth encode"),
    "no such operation": ("query A { __typename } query B { __typename }", "parse validate auth encode"),
    "a field that fails": ('{ searchProfiles(after: "x") { totalCount } }', "parse validate auth encode"),
}


@pytest.mark.parametrize("name", KINDS)
async def test_an_answer_tells_how_long_each_of_its_stages_took_and_metrics_agree(send, name):
    kind = "mutation" if name in {"mutation", "ingestion"} else "query"
    with noted(RequestServed) as served:
        answers = [await send(KINDS[name]) for _ in range(2)]
    assert [" ".join(stages_of(answer)) for answer in answers] == [FIRST, AGAIN[kind]]
    for answer, seen in zip(answers, served, strict=True):
        told = stages_of(answer)
        assert (seen.route, seen.stages.keys()) == ("/graphql", told.keys())
        assert all(abs(told[stage] - seconds * 1000) < 0.001 for stage, seconds in seen.stages.items())
        assert sum(seen.stages.values()) <= seen.seconds


@pytest.mark.parametrize("name", FAILED)
async def test_an_answer_without_data_tells_the_stages_that_it_came_to(send, name):
    query, stages = FAILED[name]
    await send(KINDS["query"])
    assert " ".join(stages_of(await send(Kind("POST", query)))) == stages


async def test_an_answer_tells_how_long_its_request_waited_for_a_place(gateway, send):
    tenant = (await gateway.store.sandbox(None)).sandbox_id
    await send(KINDS["query"])
    operations = gateway.app.state.services.admission.operations
    while (turn := operations.enter(tenant)) is None:
        pass
    turn.cancel()
    asked = asyncio.create_task(send(KINDS["query"]))
    while operations._waiting < 2:  # noqa: ASYNC110 (nobody says when it has come so far)
        await asyncio.sleep(0)
    operations.leave(tenant)
    assert list(stages_of(await asked)) == ["wait", "execute", "auth", "encode"]

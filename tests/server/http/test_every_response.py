"""Guarantees of every response of every route: its headers, its shape, and that no header causes an unexpected error."""

import asyncio
import gzip
from threading import Event

import orjson
import pytest
from asgi import QUERY, ask, lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.errors import Unavailable
from gateway.server.http.compression import COMPRESSOR, PIECE_BYTES, Compressing
from gateway.server.http.negotiation import codings

ORIGIN = "https://shop.example"
GZIP = codings("gzip")
ROUTES = (
    "/",
    "/graphql",
    "/ingest/nonsense",
    "/schema.graphql",
    "/docs",
    "/docs/tutorial",
    "/docs/picture.svg",
    "/docs/nope",
    "/healthz",
    "/readyz",
    "/metrics",
    "/graphiql",
    "/nope",
    "/graphiql/nope",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PROBES = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture
async def open_gateway(start_gateway):
    """A gateway that pages of one other origin may call, with routes that break."""

    async def breaks(_: Request) -> None:
        raise ValueError("nobody expected that")

    async def is_away(_: Request) -> None:
        raise Unavailable

    async with start_gateway(cors_origins=ORIGIN) as started:
        started.app.router.routes += [Route("/breaks", breaks), Route("/away", is_away)]
        yield started


@pytest.fixture
async def credentials(open_gateway):
    given = await open_gateway.headers()
    return [(name.lower().encode(), value.encode()) for name, value in given.items()]


async def test_every_response_forbids_sniffing_and_is_readable_by_listed_origins(open_gateway, credentials):
    seen = set()
    for path in (*ROUTES, "/breaks", "/away"):
        for method in METHODS:
            for more in (
                [],
                credentials,
                lines(host="evil.example"),
                lines(accept="text/html", content_type="text/plain"),
            ):
                answer = await ask(open_gateway.app, method, path, [*more, *lines(origin=ORIGIN)])
                assert answer.all("x-content-type-options") == ["nosniff"], (method, path)
                assert answer.all("access-control-allow-origin") == [ORIGIN], (method, path)
                assert len(answer.all("x-request-id")) == 1
                seen.add(answer.status)
    assert seen >= {200, 307, 400, 403, 404, 405, 406, 415, 500, 503}


async def test_every_error_has_the_shape_of_graphql(open_gateway, credentials):
    refusals = 0
    for path in ROUTES:
        for method in METHODS:
            for more in ([], credentials, lines(host="evil.example"), lines(accept_encoding="identity;q=0")):
                answer = await ask(open_gateway.app, method, path, more)
                if answer.status >= 400 and not (path.startswith("/graphiql") and answer.status == 503):
                    assert answer.code() in {"BAD_INPUT", "UNAUTHENTICATED"}, (method, path)
                    refusals += 1
                if answer.status == 405:
                    assert answer.all("allow")
    assert refusals > len(ROUTES) * len(METHODS)


async def test_a_page_of_another_origin_is_refused_in_the_shape_of_other_errors(open_gateway):
    asks = lines(origin="https://evil.example", access_control_request_method="POST")
    refused = await ask(open_gateway.app, "OPTIONS", "/graphql", asks)
    assert (refused.status, refused.code(), refused.all("access-control-allow-origin")) == (400, "BAD_INPUT", [])
    asks = lines(
        origin=ORIGIN, access_control_request_method="POST", access_control_request_headers="x-api-key,content-encoding"
    )
    allowed = await ask(open_gateway.app, "OPTIONS", "/graphql", asks)
    assert (allowed.status, allowed.all("access-control-allow-origin")) == (204, [ORIGIN])
    answer = await ask(open_gateway.app, "GET", "/breaks", lines(origin="https://evil.example"))
    assert (answer.status, answer.all("access-control-allow-origin")) == (500, [])


@pytest.mark.parametrize(
    ("coding", "small", "large"),
    [
        ("gzip", False, True),
        ("gzip;q=0", False, False),
        ("gzip;q=0.5, identity", False, False),
        ("*", False, True),
        ("*;q=0.1, gzip;q=0", False, False),
        ("identity;q=0, gzip", True, True),
        ("br", False, False),
    ],
)
async def test_responses_are_compressed_on_every_route_for_callers_that_accept_it(
    open_gateway, credentials, coding, small, large
):
    page = b'{"query": "{ identityNamespaces(first: 500) { nodes { code name description idType id isCustom } } }"}'
    given = [*credentials, *lines(content_type="application/json", accept_encoding=coding)]
    for body, is_packed in ((QUERY, small), (page, large)):
        answer = await ask(open_gateway.app, "POST", "/graphql", given, body)
        assert (answer.status, answer.all("content-encoding")) == (200, ["gzip"] if is_packed else [])
        told = orjson.loads(gzip.decompress(answer.body) if is_packed else answer.body)
        assert "errors" not in told
        vary = {"Accept", "Accept-Encoding"} if is_packed else {"Accept"}
        assert set(", ".join(answer.all("vary")).split(", ")) - {"Origin"} == vary
    page = await ask(open_gateway.app, "GET", "/docs/tutorial", lines(accept_encoding=coding))
    assert (page.status, page.all("content-encoding")) == (200, ["gzip"] if large else [])
    assert "Accept-Encoding" in ", ".join(page.all("vary"))


async def test_a_long_response_is_compressed_in_a_thread_in_turns_with_others():
    """While the thread is busy a long answer waits, a short one does not; of two long ones the pieces take turns."""
    texts = [number.to_bytes(4) * (3 * PIECE_BYTES // 4) + b"end" for number in range(2)]
    busy, sent = Event(), []

    def compressed(response):
        return lambda scope, receive, send: response(scope, receive, Compressing(send, GZIP))

    long, short = compressed(Response(b"".join(texts))), compressed(PlainTextResponse("short " * 1_000))
    blocker = asyncio.ensure_future(COMPRESSOR.run(busy.wait))
    waiting = asyncio.ensure_future(ask(long, "GET", "/", lines(accept_encoding="gzip")))
    while COMPRESSOR._waiting < 2 and not waiting.done():  # noqa: ASYNC110 (nobody says when it has come so far)
        await asyncio.sleep(0)
    try:
        answer = await ask(short, "GET", "/", lines(accept_encoding="gzip"))
        assert gzip.decompress(answer.body) == b"short " * 1_000
        assert not waiting.done()
        others = COMPRESSOR.run(sent.append, len(texts))
    finally:
        busy.set()
    await asyncio.gather(blocker, others)
    assert not waiting.done()
    answer = await waiting
    assert answer.all("content-length") == [str(len(answer.body))]
    assert gzip.decompress(answer.body) == b"".join(texts)


async def test_a_caller_that_accepts_no_coding_is_refused_before_any_work(open_gateway, credentials):
    make = b'{"query": "mutation { createSandbox(input: {name: \\"dev\\"}) { sandbox { name } } }"}'
    for _ in range(2):
        more = lines(content_type="application/json", accept_encoding="identity;q=0")
        refused = await ask(open_gateway.app, "POST", "/graphql", [*credentials, *more], make)
        assert (refused.status, refused.code()) == (406, "BAD_INPUT")
        await ask(open_gateway.app, "POST", "/graphql", [*credentials, *lines(content_type="application/json")])
    assert (await open_gateway.run("{ sandboxes { nodes { name } } }"))["sandboxes"]["nodes"] == [{"name": "prod"}]


# ---------------------------------------------------------------------------------------------- headers that strangers make up

PARSED = (
    *(
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-type",
        "host",
        "if-modified-since",
        "if-none-match",
    ),
    *(
        "origin",
        "range",
        "access-control-request-headers",
        "access-control-request-method",
        "x-api-key",
        "x-gw-ims-org-id",
    ),
    *("x-request-id", "x-sandbox-name"),
)
PIECES = (
    *(
        "application/json",
        "application/x-ndjson",
        "gzip",
        "identity",
        "utf-8",
        "charset",
        "Bearer ",
        "*",
        "*/*",
        "x*",
        "x*0",
    ),
    *(
        "bytes=",
        "W/",
        "q",
        "e30",
        ".",
        "[",
        "]",
        "{",
        "}",
        "=",
        ";",
        ",",
        ":",
        "-",
        " ",
        "\t",
        '"',
        "\\",
        "'",
        "0",
        "9" * 30,
    ),
    *(
        "nan",
        "1e400",
        "\xa0",
        "\xff",
        "\x7f",
        "\x01",
        "{}",
        "[" * 3_000,
        "127.0.0.1",
        "00000000-0000-0000-0000-000000000000",
    ),
)
VALUES = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(
    st.characters(codec="latin-1"), max_size=40
)
HEADERS = st.lists(st.tuples(st.sampled_from(PARSED), VALUES), max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_made_up=st.tuples(HEADERS, st.sampled_from(METHODS), st.sampled_from(ROUTES), st.booleans()))
@pytest.mark.parametrize("encoded", [False, True])
async def test_no_header_causes_an_unexpected_error(open_gateway, credentials, request_made_up, encoded):
    made_up, method, path, is_known = request_made_up
    more = [(name.encode(), value.encode("utf-8" if encoded else "latin-1")) for name, value in made_up]
    known = [*credentials, *lines(content_type="application/json")] if is_known else []
    answer = await ask(open_gateway.app, method, path, [*more, *known] if encoded else [*known, *more])
    assert answer.status < 500 or (path.startswith("/graphiql") and answer.status == 503), (method, path, more)
    assert answer.all("x-content-type-options") == ["nosniff"]


@pytest.mark.parametrize("path", ["/graphql", "/ingest/nonsense"])
@pytest.mark.parametrize(
    "content_type",
    ["application/json; x*=a; x*0=b", "application/x-ndjson; x*=a; x*0=b", "application/json; charset*0=a; charset*=b"],
)
async def test_a_malformed_media_type_is_refused_as_unsupported(open_gateway, credentials, path, content_type):
    for known in ([], credentials, credentials):
        answer = await ask(open_gateway.app, "POST", path, [*known, *lines(content_type=content_type)])
        assert (answer.status, answer.code()) == (415, "BAD_INPUT")

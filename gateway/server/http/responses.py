"""HTTP responses as JSON. Errors have GraphQL's shape on every route, so that clients read all of them alike."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.execution.errors import single_error_entries
from gateway.api.execution.stages import Stages
from gateway.errors import (
    BadInput,
    Conflict,
    Forbidden,
    GatewayError,
    LimitExceeded,
    Misconfigured,
    NotFound,
    SlowSender,
    Timeout,
    Unauthenticated,
    Unavailable,
    UserFault,
)

JSON = b"application/json; charset=utf-8"
NOT_SNIFFED = (b"x-content-type-options", b"nosniff")  # browsers trust the content type
NOT_STORED = (b"cache-control", b"no-store")
INVALID_TOKEN = (b"www-authenticate", b'Bearer error="invalid_token"')

Headers: TypeAlias = Collection[tuple[bytes, bytes]]
"""Names in lower case, and values."""

# The first class that fits counts.
STATUS: tuple[tuple[type[GatewayError], HTTPStatus], ...] = (
    (Forbidden, HTTPStatus.FORBIDDEN),
    (SlowSender, HTTPStatus.REQUEST_TIMEOUT),
    (Timeout, HTTPStatus.GATEWAY_TIMEOUT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (LimitExceeded, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Misconfigured, HTTPStatus.CONFLICT),
    (BadInput, HTTPStatus.BAD_REQUEST),
    (UserFault, HTTPStatus.BAD_REQUEST),
)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an exception."""
    if isinstance(error, Unauthenticated):
        return error.status
    return next((status for kind, status in STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def error_response(
    error: Exception,
    status: int | None = None,
    headers: Headers = (),
    stages: Stages | None = None,
    **more: Any,
) -> Response:
    """Return the response to a request that failed; `more` is added to its JSON. Unexpected errors are masked and observed."""
    status = status or status_of(error)
    if status == HTTPStatus.UNAUTHORIZED:
        headers = [*headers, INVALID_TOKEN]
    return json_answer({"errors": single_error_entries(error), **more}, status, headers=headers, stages=stages)


def method_refused(method: str, allowed: str) -> Response:
    """Return the response to a method that an address does not take; `allowed` lists those that it takes."""
    message = f"This address does not take {method}; the header `allow` lists what it takes."
    return error_response(BadInput(message), HTTPStatus.METHOD_NOT_ALLOWED, [(b"allow", allowed.encode())])


def json_answer(
    content: Any,
    status: int = HTTPStatus.OK,
    content_type: bytes = JSON,
    headers: Headers = (),
    stages: Stages | None = None,
) -> Response:
    """Return a response of JSON that no cache stores; with status 503, it says when to retry.

    With `stages`, its header `Server-Timing` tells how long they took, and how long it took to write the JSON.
    """
    if stages:
        stages.begin("encode")
    body = orjson.dumps(content)
    length, kind = (b"content-length", b"%d" % len(body)), (b"content-type", content_type)
    raw = [NOT_STORED, *headers, length, kind]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raw.append((b"retry-after", b"1"))
    if stages:
        stages.end()
        raw.append((b"server-timing", server_timing(stages.seconds).encode()))
    return _Encoded(body, status, raw)


def encoded(body: bytes | None, status: int, headers: Headers) -> Response:
    """Return a response of finished JSON, or of no body at all for None."""
    about = () if body is None else ((b"content-length", b"%d" % len(body)), (b"content-type", JSON))
    return _Encoded(body or b"", status, [*about, *headers])


class _Encoded(Response):
    """A response whose body and headers are bytes: Starlette takes a multiple of the time to make them so."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.body = body
        self.raw_headers = headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (as ASGI has it)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def server_timing(stages: Mapping[str, float]) -> str:
    """Return the value of the header `Server-Timing` for the seconds of stages. Pages of other origins cannot read it."""
    return ", ".join([f"{stage};dur={seconds * 1000:.3f}" for stage, seconds in tuple(stages.items())])

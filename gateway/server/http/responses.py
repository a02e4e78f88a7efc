"""HTTP responses as JSON. Errors have GraphQL's shape on every route, so that clients read all of them alike."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from gateway.api.execution.errors import single_error_entries
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

JSON = "application/json; charset=utf-8"
NOT_SNIFFED = (b"x-content-type-options", b"nosniff")  # browsers trust the content type
MIN_GZIP_BYTES = 1_000  # of a response: to compress shorter ones costs more than it saves

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
    error: Exception, status: int | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Return the response to a request that failed; `more` is added to its JSON. Unexpected errors are masked and observed."""
    status = status or status_of(error)
    added = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        added["www-authenticate"] = 'Bearer error="invalid_token"'
    return json_answer({"errors": single_error_entries(error), **more}, status, headers=added)


def json_answer(
    content: Any, status: int = HTTPStatus.OK, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response of JSON that no cache stores; with status 503, it says when to retry."""
    body = orjson.dumps(content)
    added = {"cache-control": "no-store", **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        added["retry-after"] = "1"
    return Response(body, status, added, media_type=media_type)


def server_timing(stages: Collection[tuple[str, float]]) -> str:
    """Return the value of the header `Server-Timing` for the names and seconds of stages. Pages of other origins cannot read it."""
    return ", ".join([f"{stage};dur={seconds * 1000:.3f}" for stage, seconds in stages])

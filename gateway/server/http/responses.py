"""How HTTP answers look when something is wrong: GraphQL's own shape on every route, so that a client needs one way to read them."""

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
NOT_SNIFFED = (b"x-content-type-options", b"nosniff")  # no browser takes an answer for anything else than it says
GZIP_FROM = 1_000  # bytes of an answer; below, compressing costs more than it saves

# Of the first class that fits.
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
    """The HTTP status of an exception."""
    if isinstance(error, Unauthenticated):
        return error.status
    return next((status for kind, status in STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def refusal(
    error: Exception, status: int | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The answer to a request that came to nothing, or only to the `more` that it tells of."""
    status = status or status_of(error)
    added = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        added["www-authenticate"] = 'Bearer error="invalid_token"'
    return json_answer({"errors": single_error_entries(error), **more}, status, headers=added)


def json_answer(
    content: Any, status: int = HTTPStatus.OK, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON that nobody keeps: it is made for one caller. Who finds us unavailable is told when to ask again."""
    body = orjson.dumps(content)
    added = {"cache-control": "no-store", **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        added["retry-after"] = "1"
    return Response(body, status, added, media_type=media_type)


def server_timing(stages: Collection[tuple[str, float]]) -> str:
    """The header that tells how long each stage took, named by a token and given in seconds; empty where there was none.

    Pages of other origins cannot read it.
    """
    return ", ".join([f"{stage};dur={seconds * 1000:.3f}" for stage, seconds in stages])

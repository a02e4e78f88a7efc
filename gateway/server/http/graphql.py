"""`/graphql`: GraphQL over HTTP, as the audit suite of its specification requires.

    POST   application/json, the one content type that no form can send
    GET    queries only. Credentials are in headers that a page of another origin can send only after a preflight, so neither can be forged.

A request whose operation does not run has 4xx or 5xx; but to a caller that accepts plain JSON alone, errors in an operation are sent with
200, as clients of the older convention expect.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.execution import operations
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome
from gateway.api.execution.unreadable import is_readable
from gateway.errors import BadInput, GatewayError, LimitExceeded
from gateway.server.http.lenient_json import read_leniently
from gateway.server.http.negotiation import GRAPHQL, is_json, negotiate
from gateway.server.http.request_body import announced_size, read_body
from gateway.server.http.responses import error_response, json_answer, server_timing
from gateway.server.http.services import Services, services

OPERATION_ERRORS = {Outcome.NOT_PARSED, Outcome.NOT_VALID, Outcome.REFUSED}
FAILED = {
    "TIMEOUT": HTTPStatus.GATEWAY_TIMEOUT,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
}
KINDS = (("variables", dict), ("extensions", dict), ("operationName", str))
MAX_JSON_VALUES = 500_000  # each takes some sixty bytes of memory, up to twenty times its text
VARY = {"vary": "Accept"}


async def graphql(request: Request) -> Response:
    """Run one operation and respond with its result."""
    media_type = negotiate(request.headers.get("accept"))
    if media_type is None:
        return error_response(BadInput(f"This answers with {GRAPHQL} or application/json."), HTTPStatus.NOT_ACCEPTABLE)
    reads = request.method != "POST"
    if not reads and not is_json(request.headers.get("content-type")):
        return error_response(
            BadInput("Send `content-type: application/json`, in UTF-8."), HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    here = services(request)
    try:
        return await _answer(request, here, media_type)
    except GatewayError as error:
        return error_response(error)


async def _answer(request: Request, here: Services, media_type: str) -> Response:
    """Return the response once the request is admitted. Raises Unauthenticated, Forbidden, Unavailable, Timeout, BadInput."""
    scope, reads, limits, admission = await here.scope(request), request.method != "POST", here.limits, here.admission
    async with (
        admission.requests.place(scope.sandbox_id),
        admission.body(scope.sandbox_id, announced_size(request.headers), limits.body_bytes),
    ):
        body = b"" if reads else await read_body(request, limits.body_bytes, here.settings.request_seconds)
        async with admission.operations.place(scope.sandbox_id):
            asked = read_request(_query_parameters(request.query_params)) if reads else await _read_body(body)
            answer = await here.operations.run(scope, asked, only_queries=reads)
            return response_of(answer, asked, media_type, limits)


async def _read_body(body: bytes) -> operations.Request:
    """Return the request in a body, whose documents may hold values that cannot be stored. Raises BadInput, LimitExceeded, Unavailable."""
    try:
        return read_request(parse_json(body, "The body"))
    except BadInput as refused:
        if not isinstance(refused.__cause__, orjson.JSONDecodeError):
            raise
        try:
            asked = read_request(await read_leniently(body, refused.__cause__))
        except orjson.JSONDecodeError:
            raise refused from None
        if not is_readable([asked.query, asked.operation_name]):
            raise
        return asked._replace(unreadable=refused.message)


def response_of(answer: operations.Response, asked: operations.Request, media_type: str, limits: Limits) -> Response:
    """Return the HTTP response in the caller's media type, with the status of the operation's outcome."""
    status = _status(answer, media_type, is_large=len(asked.query) > limits.document_bytes)
    headers = VARY | ({"server-timing": server_timing(answer.stages)} if answer.stages else {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= {"allow": "POST"}
    return json_answer(answer.body, status, f"{media_type}; charset=utf-8", headers)


def read_request(body: Any) -> operations.Request:
    """Return the request of a parsed body; unknown keys are ignored, as the specification says. Raises BadInput."""
    if isinstance(body, list):
        raise BadInput("Send one operation in a request; several in a list are not run.")
    if not isinstance(body, dict):
        raise BadInput("The body is an object with `query`, `variables` and `operationName`.")
    if not isinstance(body.get("query"), str):
        raise BadInput("`query` is missing, or not a text.")
    for name, kind in KINDS:
        value = body.get(name)
        if value is not None and not isinstance(value, kind):
            raise BadInput(f"`{name}` is neither null nor {'a text' if kind is str else 'an object'}.")
    return operations.Request(body["query"], body.get("variables"), body.get("operationName") or None)


def _query_parameters(parameters: Mapping[str, str]) -> Any:
    """Return the body that the parameters of a GET stand for; empty ones count as absent. Raises BadInput, LimitExceeded."""
    body: dict[str, Any] = {name: value for name, value in parameters.items() if value}
    for name in ("variables", "extensions"):
        if name in body:
            body[name] = parse_json(body[name].encode(), f"`{name}`")
    return body


def parse_json(text: bytes, what: str) -> Any:
    """Return the value of a JSON text, called `what` in messages. Raises BadInput; LimitExceeded for more than MAX_JSON_VALUES."""
    if len(text) > MAX_JSON_VALUES and sum(map(text.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise LimitExceeded(f"{what} has more than {MAX_JSON_VALUES:,} values.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{what} is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error


def _status(answer: operations.Response, media_type: str, *, is_large: bool) -> int:
    if answer.outcome is Outcome.ANSWERED:
        return HTTPStatus.OK
    if answer.outcome is Outcome.NOT_JSON:
        return HTTPStatus.BAD_REQUEST
    if answer.outcome is Outcome.NOT_A_QUERY:
        return HTTPStatus.METHOD_NOT_ALLOWED
    if answer.outcome in OPERATION_ERRORS:
        if is_large:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return HTTPStatus.BAD_REQUEST if media_type == GRAPHQL else HTTPStatus.OK
    return FAILED.get(answer.body["errors"][0]["extensions"]["code"], HTTPStatus.INTERNAL_SERVER_ERROR)

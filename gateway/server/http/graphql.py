"""`/graphql`: GraphQL over HTTP, as the specification's audit suite wants it.

    POST   application/json, the one content type that no form can send
    GET    queries only. Credentials travel in headers that a page of another origin can send only after asking, so neither can be forged.

A request that does not get as far as an answer has 4xx or 5xx; but who accepts plain JSON alone is told what is wrong with its operation
with 200, as clients of the older convention expect.
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
from gateway.server.http.negotiation import GRAPHQL, is_json, wanted
from gateway.server.http.request_body import announced_size, read_body
from gateway.server.http.responses import json_answer, refusal, server_timing
from gateway.server.http.services import Services, services
from gateway.server.leniently import read_leniently

OPERATION_FAULTS = {Outcome.NOT_PARSED, Outcome.NOT_VALID, Outcome.REFUSED}
FAILED = {
    "TIMEOUT": HTTPStatus.GATEWAY_TIMEOUT,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
}
KINDS = (("variables", dict), ("extensions", dict), ("operationName", str))
VALUES = 500_000  # in a body: each takes some sixty bytes of memory, and so may be twenty times as large as its text
VARY = {"vary": "Accept"}


async def graphql(request: Request) -> Response:
    """Run one operation."""
    media_type = wanted(request.headers.get("accept"))
    if media_type is None:
        return refusal(BadInput(f"This answers with {GRAPHQL} or application/json."), HTTPStatus.NOT_ACCEPTABLE)
    reads = request.method != "POST"
    if not reads and not is_json(request.headers.get("content-type")):
        return refusal(BadInput("Send `content-type: application/json`, in UTF-8."), HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    here = services(request)
    try:
        return await _answer(request, here, media_type)
    except GatewayError as error:
        return refusal(error)


async def _answer(request: Request, here: Services, media_type: str) -> Response:
    """What the caller is told, when it is its turn. Raises Unauthenticated, Forbidden, Unavailable, Timeout, BadInput."""
    scope, reads, limits, admission = await here.scope(request), request.method != "POST", here.limits, here.admission
    async with (
        admission.requests.place(scope.sandbox_id),
        admission.body(scope.sandbox_id, announced_size(request.headers), limits.body_bytes),
    ):
        body = b"" if reads else await read_body(request, limits.body_bytes, here.settings.request_seconds)
        async with admission.operations.place(scope.sandbox_id):
            asked = asked_of(_of_address(request.query_params)) if reads else await _asked_by(body)
            answer = await here.operations.run(scope, asked, only_queries=reads)
            return response_of(answer, asked, media_type, limits)


async def _asked_by(body: bytes) -> operations.Request:
    """What a body asks for, which may hold in documents what nothing can store. Raises BadInput, LimitExceeded, Unavailable."""
    try:
        return asked_of(json_of(body, "The body"))
    except BadInput as refused:
        if not isinstance(refused.__cause__, orjson.JSONDecodeError):
            raise
        try:
            asked = asked_of(await read_leniently(body, refused.__cause__))
        except orjson.JSONDecodeError:
            raise refused from None
        if not is_readable([asked.query, asked.operation_name]):
            raise
        return asked._replace(unreadable=refused.message)


def response_of(answer: operations.Response, asked: operations.Request, media_type: str, limits: Limits) -> Response:
    """The answer in the caller's media type, with the status that tells how far the operation came."""
    status = _status(answer, media_type, is_large=len(asked.query) > limits.document_bytes)
    headers = VARY | ({"server-timing": server_timing(answer.stages)} if answer.stages else {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= {"allow": "POST"}
    return json_answer(answer.body, status, f"{media_type}; charset=utf-8", headers)


def asked_of(given: Any) -> operations.Request:
    """A well-formed request; what else it carries is ignored, as the specification says. Raises BadInput."""
    if isinstance(given, list):
        raise BadInput("Send one operation in a request; several in a list are not run.")
    if not isinstance(given, dict):
        raise BadInput("The body is an object with `query`, `variables` and `operationName`.")
    if not isinstance(given.get("query"), str):
        raise BadInput("`query` is missing, or not a text.")
    for name, kind in KINDS:
        value = given.get(name)
        if value is not None and not isinstance(value, kind):
            raise BadInput(f"`{name}` is neither null nor {'a text' if kind is str else 'an object'}.")
    return operations.Request(given["query"], given.get("variables"), given.get("operationName") or None)


def _of_address(parameters: Mapping[str, str]) -> Any:
    """What GET asks: JSON in the address, where empty is absent."""
    given: dict[str, Any] = {name: value for name, value in parameters.items() if value}
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = json_of(given[name].encode(), f"`{name}`")
    return given


def json_of(text: bytes, what: str) -> Any:
    """The value that a text stands for. Raises BadInput; LimitExceeded for more values than may be held at once."""
    if len(text) > VALUES and sum(map(text.count, (b",", b"[", b"{"))) > VALUES:
        raise LimitExceeded(f"{what} has more than {VALUES:,} values.")
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
    if answer.outcome in OPERATION_FAULTS:
        if is_large:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return HTTPStatus.BAD_REQUEST if media_type == GRAPHQL else HTTPStatus.OK
    return FAILED.get(answer.body["errors"][0]["extensions"]["code"], HTTPStatus.INTERNAL_SERVER_ERROR)

"""`/graphql`: the one door to GraphQL, for every kind of operation, as the audit suite of GraphQL over HTTP requires.

    POST        application/json, the one content type that no form can send
    GET, HEAD   queries only. Credentials are in headers that a page of another origin can send only after a preflight, so neither can be forged.

In front of all routes it was decided whether the host is ours and in which codings the response may be sent (`front_door.py`), and which
origins may read it (`cors.py`). Here follow, in this order: method, media types, announced size, caller, room for the request, body, turn, operation, status,
JSON. Each is decided once, and how long it took is told in `Server-Timing`.

A caller is confirmed by the database in each request. A query runs meanwhile, as who the caller was last time, and is given up if the caller
is refused; a mutation waits. Nothing is told before: neither data, nor what is wrong with the request.

A request whose operation does not run has 4xx or 5xx; but to a caller that accepts plain JSON alone, errors in an operation are sent with
200, as clients of the older convention expect.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.execution import operations
from gateway.api.execution.operations import Outcome
from gateway.api.execution.stages import Stages
from gateway.errors import BadInput, GatewayError
from gateway.runtime.deadlines import Deadlines
from gateway.server.http.admission import address, body_units
from gateway.server.http.auth import Caller
from gateway.server.http.graphql_request import request_of_body, request_of_parameters
from gateway.server.http.negotiation import GRAPHQL, JSON, is_json, negotiate
from gateway.server.http.request_body import announced_size, check_size, read_body
from gateway.server.http.responses import error_response, json_answer, method_refused
from gateway.server.http.services import Services

METHODS: Final = ("GET", "HEAD", "POST")
VARY: Final = (b"vary", b"Accept")
ONLY_POST: Final = (b"allow", b"POST")
CONTENT_TYPES: Final = {name: f"{name}; charset=utf-8".encode() for name in (GRAPHQL, JSON)}

OK: Final = int(HTTPStatus.OK)  # a member of an enum is slow to reach
OPERATION_ERRORS: Final = {Outcome.NOT_PARSED, Outcome.NOT_VALID, Outcome.REFUSED}
FAILED: Final = {
    "TIMEOUT": HTTPStatus.GATEWAY_TIMEOUT,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
}


class GraphQL:
    """The ASGI application behind `/graphql`. Callers have `seconds` to send their body."""

    def __init__(self, seconds: float) -> None:
        self._bodies = Deadlines(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stages, method = Stages(), scope["method"]
        scope["stages"] = stages
        headers: Mapping[str, str] = scope["read_headers"]
        media_type = negotiate(headers.get("accept"))
        if method not in METHODS:
            response = method_refused(method, ", ".join(METHODS))
        elif media_type is None:
            error = BadInput(f"This answers with {GRAPHQL} or application/json.")
            response = error_response(error, HTTPStatus.NOT_ACCEPTABLE, stages=stages)
        elif method == "POST" and not is_json(headers.get("content-type")):
            error = BadInput("Send `content-type: application/json`, in UTF-8.")
            response = error_response(error, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, stages=stages)
        else:
            try:
                response = await self._respond(scope, headers, media_type, receive, stages)
            except GatewayError as refused:
                response = error_response(refused, stages=stages)
        await response(scope, receive, send)

    async def _respond(
        self, scope: Scope, headers: Mapping[str, str], media_type: str, receive: Receive, stages: Stages
    ) -> Response:
        """Return the response once there is room for the request. Raises Unauthenticated, Forbidden, Unavailable, Timeout, BadInput."""
        here: Services = scope["app"].state.services
        admission, limit, parameters = here.admission, here.limits.body_bytes, None
        if scope["method"] != "POST":
            parameters = scope["query_string"]
        size = announced_size(headers) if parameters is None else 0
        check_size(size, limit)
        caller = here.callers.known(headers)
        if caller is None:
            stages.begin("auth")
            caller = await here.meet(headers, address(scope))
            stages.end()
        tenant, units = caller.scope.sandbox_id, body_units(limit if size is None else size)
        admission.requests.enter(tenant)  # nobody queues for these places: where there is none, this raises
        try:
            if units:
                async with admission.bodies.place(tenant, units):
                    request, answer = await self._answer(here, caller, parameters, receive, stages)
            else:
                request, answer = await self._answer(here, caller, parameters, receive, stages)
        finally:
            admission.requests.leave(tenant)
        return _response_of(answer, media_type, stages, is_large=len(request.query) > here.limits.document_bytes)

    async def _answer(
        self, here: Services, caller: Caller, parameters: bytes | None, receive: Receive, stages: Stages
    ) -> tuple[operations.Request, operations.Response]:
        """Read the body, and run the operation once it is the request's turn. Raises as `_respond` does."""
        body = await read_body(receive, here.limits.body_bytes, self._bodies) if parameters is None else b""
        turns, tenant = here.admission.operations, caller.scope.sandbox_id
        if (turn := turns.enter(tenant)) is not None:
            stages.begin("wait")
            await turns.wait(turn, tenant)
            stages.end()
        try:
            return await _run(here, caller, body, parameters, stages)
        finally:
            turns.leave(tenant)


async def _run(
    here: Services, caller: Caller, body: bytes, parameters: bytes | None, stages: Stages
) -> tuple[operations.Request, operations.Response]:
    """Read the request and run its operation: a query while the caller is confirmed, a mutation once it is.

    Raises what confirming raises, before anything else; BadInput, Unavailable.
    """
    only_queries = parameters is not None
    confirming = here.callers.confirm(caller)
    try:
        request = await request_of_body(body) if parameters is None else request_of_parameters(parameters)
        run = here.operations.run
        answer = await run(caller.scope, request, stages, only_queries=True, otherwise=confirming.otherwise)
    finally:
        stages.begin("auth")
        try:
            scope = await confirming
        except GatewayError:
            stages.forget_ended()  # how far the operation came is not told to who may not ask
            raise
        stages.end()
    if scope is not caller.scope or (answer.outcome is Outcome.NOT_A_QUERY and not only_queries):
        answer = await here.operations.run(scope, request, stages, only_queries=only_queries)
    return request, answer


def _response_of(answer: operations.Response, media_type: str, stages: Stages, *, is_large: bool) -> Response:
    """Return the response in the caller's media type, with the status of the operation's outcome. `is_large`: its document is too long."""
    content_type = CONTENT_TYPES[media_type]
    if answer.outcome is Outcome.ANSWERED:
        return json_answer(answer.body, OK, content_type, (VARY,), stages)
    status = _status(answer, media_type, is_large=is_large)
    more = (VARY, ONLY_POST) if answer.outcome is Outcome.NOT_A_QUERY else (VARY,)
    return json_answer(answer.body, status, content_type, more, stages)


def _status(answer: operations.Response, media_type: str, *, is_large: bool) -> int:
    """Return the status for an operation that did not run."""
    if answer.outcome is Outcome.NOT_JSON:
        return HTTPStatus.BAD_REQUEST
    if answer.outcome is Outcome.NOT_A_QUERY:
        return HTTPStatus.METHOD_NOT_ALLOWED
    if answer.outcome in OPERATION_ERRORS:
        if is_large:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return HTTPStatus.BAD_REQUEST if media_type == GRAPHQL else HTTPStatus.OK
    return FAILED.get(answer.body["errors"][0]["extensions"]["code"], HTTPStatus.INTERNAL_SERVER_ERROR)

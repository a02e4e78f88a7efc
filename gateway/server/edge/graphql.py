"""`/graphql` of an edge: look-ups by GraphQL, by POST. The schema is small and the same for all, so that graphql-core runs the operations."""

from http import HTTPStatus
from typing import Any, Final

import orjson
from graphql import DocumentNode, ExecutionResult, GraphQLError, execute, parse, specified_rules, validate
from graphql.pyutils import is_awaitable
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.execution.errors import ParseFailed, ValidationFailed, error_entries
from gateway.errors import BadInput, GatewayError
from gateway.runtime.cache import WeightedCache
from gateway.runtime.deadlines import Deadlines
from gateway.server.edge.schema import EdgeContext, build_edge_schema
from gateway.server.edge.services import EdgeServices
from gateway.server.http.admission import address
from gateway.server.http.negotiation import GRAPHQL, is_json, negotiate
from gateway.server.http.request_body import announced_size, check_size, read_body
from gateway.server.http.responses import error_response, json_answer, method_refused

MAX_BODY_BYTES: Final = 1_000_000
MAX_TOKENS: Final = 1_000
MAX_CACHED_CHARACTERS: Final = 1_000_000
VARY: Final = (b"vary", b"Accept")


class EdgeGraphQL:
    """The ASGI application behind `/graphql`. Callers have `seconds` to send their body."""

    def __init__(self, seconds: float) -> None:
        self._bodies = Deadlines(seconds)
        self._schema = build_edge_schema()
        self._documents: WeightedCache[str, DocumentNode] = WeightedCache(MAX_CACHED_CHARACTERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["read_headers"]
        media_type = negotiate(headers.get("accept"))
        if scope["method"] != "POST":
            response = method_refused(scope["method"], "POST")
        elif media_type is None:
            error = BadInput(f"This answers with {GRAPHQL} or application/json.")
            response = error_response(error, HTTPStatus.NOT_ACCEPTABLE)
        elif not is_json(headers.get("content-type")):
            error = BadInput("Send `content-type: application/json`, in UTF-8.")
            response = error_response(error, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        else:
            try:
                response = await self._respond(scope, receive, media_type)
            except GatewayError as refused:
                response = error_response(refused)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, media_type: str) -> Response:
        here: EdgeServices = scope["app"].state.services
        headers, client = scope["read_headers"], address(scope)
        check_size(announced_size(headers), MAX_BODY_BYTES)
        await here.lookups.caller(headers, client)
        request = _request_of(await read_body(receive, MAX_BODY_BYTES, self._bodies))
        content_type = f"{media_type}; charset=utf-8".encode()
        try:
            result = await self._run(request, EdgeContext(here.lookups, headers, client))
        except (ParseFailed, ValidationFailed) as refused:
            status = HTTPStatus.BAD_REQUEST if media_type == GRAPHQL else HTTPStatus.OK
            return json_answer({"errors": error_entries(refused.errors, refused.code)}, status, content_type, (VARY,))
        if result.errors and all(error.path is None for error in result.errors):  # none of it ran
            status = HTTPStatus.BAD_REQUEST if media_type == GRAPHQL else HTTPStatus.OK
            return json_answer({"errors": error_entries(result.errors, BadInput.code)}, status, content_type, (VARY,))
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = error_entries(result.errors)
        return json_answer(body, HTTPStatus.OK, content_type, (VARY,))

    async def _run(self, request: dict[str, Any], context: EdgeContext) -> ExecutionResult:
        """Run the operation of a request. Raises ParseFailed, ValidationFailed."""
        document = self._document(request["query"])
        name, variables = request.get("operationName"), request.get("variables")
        running = execute(self._schema, document, None, context, variables, name)
        result: ExecutionResult = await running if is_awaitable(running) else running  # type: ignore[assignment]
        return result

    def _document(self, text: str) -> DocumentNode:
        document = self._documents.get(text)
        if document is None:
            try:
                document = parse(text, max_tokens=MAX_TOKENS, no_location=False)
            except GraphQLError as error:
                raise ParseFailed([error]) from error
            if errors := validate(self._schema, document, specified_rules, max_errors=10):
                raise ValidationFailed(errors)
            self._documents.put(text, document, len(text))
        return document


def _request_of(body: bytes) -> dict[str, Any]:
    """Return the request in a body. Raises BadInput."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        raise BadInput("The body is an object with the text `query`, and perhaps `variables` and `operationName`.")
    if not isinstance(request.get("variables") or {}, dict) or not isinstance(request.get("operationName") or "", str):
        raise BadInput("`variables` is an object, `operationName` a text.")
    return request

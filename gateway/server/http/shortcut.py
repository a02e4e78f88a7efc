"""The short way of the request that comes most: a query by POST, of a caller who was here before.

It answers as the long way does, and in less time: no route is looked for, no request object made, middleware is gone through only where
it has something to do, and the read begins while the store is asked whether the caller is still welcome. Nothing is told before that is
confirmed. Whatever is out of the ordinary takes the long way.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Final, NamedTuple

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.execution.operations import Outcome, Request, Response
from gateway.errors import BadInput, GatewayError, SlowSender
from gateway.runtime.deadlines import Deadlines
from gateway.server.http.admission import BODY_UNIT_BYTES
from gateway.server.http.auth import HEADERS, Caller
from gateway.server.http.graphql import parse_json, read_request, response_of
from gateway.server.http.hosts import HostNames
from gateway.server.http.negotiation import Codings, codings, is_json, negotiate
from gateway.server.http.request_body import announced_size
from gateway.server.http.responses import MIN_GZIP_BYTES, error_response, server_timing
from gateway.server.http.services import Services

READ_AGAIN: Final = 256
"""Headers that are not looked into again: clients send few."""

ORDINARY: Final = ("accept", "content-type", "host")
"""The headers that make a request ordinary, or not."""

LOOKED_AT: Final = {
    name.encode(): name for name in (*HEADERS, *ORDINARY, "accept-encoding", "content-length", "transfer-encoding")
}

PLAIN: Final = Codings(gzip=False, identity=True)

OK: Final = int(HTTPStatus.OK)  # a member of an enum is slow to reach


class _Ordinary(NamedTuple):
    """An ordinary request, whose body may have `limit` bytes."""

    here: Services
    caller: Caller
    limit: int
    media_type: str
    takes: Codings


class Shortcut:
    """ASGI middleware in front of nearly all that is about HTTP. `route` has the long way; `hosts` are the names that a request's Host may
    have; for who takes it `packed`, it does as the long way does. `bodies` gives up those that come too slowly."""

    def __init__(
        self, app: ASGIApp, route: Route, hosts: HostNames, packed: Callable[[ASGIApp], ASGIApp], bodies: Deadlines
    ) -> None:
        self._app = app
        self._route = route
        self._hosts = hosts
        self._packed = packed
        self._bodies = bodies
        self._media_type = lru_cache(READ_AGAIN)(self._read_media_type)
        self._codings = lru_cache(READ_AGAIN)(codings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._route.path:
            await self._app(scope, receive, send)
            return
        here: Services = scope["app"].state.services
        headers = _headers(scope)
        caller = here.callers.known(headers)
        size, limit = announced_size(headers), here.limits.body_bytes
        if caller is None or (size is not None and size > limit):
            await self._app(scope, receive, send)  # of a stranger no body is read here, and no header kept
            return
        media_type, takes = self._media_type(*map(headers.get, ORDINARY)), self._codings(headers.get("accept-encoding"))
        if media_type is None or not any(takes):
            await self._app(scope, receive, send)
            return
        request, received = _Ordinary(here, caller, limit, media_type, takes), list[Message]()
        requests, tenant = here.admission.requests, caller.scope.sandbox_id
        answering = (
            self._received if size is not None and size <= BODY_UNIT_BYTES else partial(self._received_large, size)
        )
        try:
            requests.enter(tenant)
            try:
                response = await answering(request, received, receive)
            finally:
                requests.leave(tenant)
        except GatewayError as error:
            response = self._packed(error_response(error))
        if response is None:
            await self._app(scope, _after(received, receive), send)
            return
        scope["route"] = self._route
        await response(scope, receive, send)

    async def _received_large(
        self, size: int | None, request: "_Ordinary", received: list[Message], receive: Receive
    ) -> ASGIApp | None:
        """What `_received` gives, when there is room for a body of this size; None is one of any size."""
        async with request.here.admission.body(request.caller.scope.sandbox_id, size, request.limit):
            return await self._received(request, received, receive)

    async def _received(self, request: "_Ordinary", received: list[Message], receive: Receive) -> ASGIApp | None:
        """The answer to what is `received`, when it is its turn; None to what is no ordinary query. Raises what answering raises."""
        await self._receive(received, receive, request.limit)
        tenant, operations = request.caller.scope.sandbox_id, request.here.admission.operations
        if (turn := operations.enter(tenant)) is not None:
            await operations.wait(turn, tenant)
        try:
            return await self._response(request, received)
        finally:
            operations.leave(tenant)

    async def _receive(self, received: list[Message], receive: Receive, limit: int) -> None:
        """The body's pieces: all of them, unless there are too many; the long way tells what is wrong then. Raises SlowSender."""
        try:
            with self._bodies.begin():
                received.append(await receive())
                size = len(received[0].get("body", b""))
                while received[-1].get("more_body") and size <= limit:
                    received.append(await receive())
                    size += len(received[-1].get("body", b""))
        except TimeoutError:
            raise SlowSender from None

    async def _response(self, request: "_Ordinary", received: Sequence[Message]) -> ASGIApp | None:
        """The answer, None to what is no ordinary query. Raises Unauthenticated, Forbidden, Unavailable."""
        here, asked = request.here, _asked(received, request.limit)
        if asked is None:
            return None
        answer = await _answered(here, request.caller, asked)
        if answer.outcome is Outcome.ANSWERED and request.takes == PLAIN:
            return partial(_send, answer, request.media_type)
        if answer.outcome is Outcome.NOT_A_QUERY:
            return None
        return self._packed(response_of(answer, asked, request.media_type, here.limits))

    def _read_media_type(self, accept: str | None, content_type: str | None, host: str | None) -> str | None:
        """The media type of the answer to an ordinary request, None to others."""
        return negotiate(accept) if host in self._hosts and is_json(content_type) else None


async def _answered(here: Services, caller: Caller, asked: Request) -> Response:
    """What the caller's scope may see, read with the last known one. Raises Unauthenticated, Forbidden, Unavailable."""
    confirmed = here.callers.confirm(caller)
    try:
        answer = await here.operations.run(caller.scope, asked, only_queries=True)
    finally:
        scope = await confirmed
    if scope is not caller.scope:
        answer = await here.operations.run(scope, asked, only_queries=True)
    return answer


async def _send(answer: Response, media_type: str, _: Scope, __: Receive, send: Send) -> None:
    """What Starlette's response would send, without making one."""
    body = orjson.dumps(answer.body)
    headers = [
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept, Accept-Encoding" if len(body) >= MIN_GZIP_BYTES else b"Accept"),
        (b"content-length", b"%d" % len(body)),
        (b"content-type", b"%b; charset=utf-8" % media_type.encode()),
    ]
    if answer.stages:
        headers.append((b"server-timing", server_timing(answer.stages).encode()))
    await send({"type": "http.response.start", "status": OK, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> Mapping[str, str]:
    """Those that are looked at; of each name the first, as Starlette has it."""
    return {LOOKED_AT[name]: value.decode("latin-1") for name, value in reversed(scope["headers"]) if name in LOOKED_AT}


def _asked(received: Sequence[Message], limit: int) -> Request | None:
    """What the body asks for, if it is whole and well-formed."""
    body = (
        b"".join(message.get("body", b"") for message in received)
        if len(received) > 1
        else received[0].get("body", b"")
    )
    if received[-1]["type"] != "http.request" or received[-1].get("more_body") or len(body) > limit:
        return None
    try:
        return read_request(parse_json(body, "The body"))
    except BadInput:
        return None


def _after(received: Sequence[Message], receive: Receive) -> Receive:
    """What is received, from the first message on once more."""
    messages = deque(received)

    async def receive_again() -> Message:
        return messages.popleft() if messages else await receive()

    return receive_again

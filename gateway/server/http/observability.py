"""Around every request: it gets an id, is counted and logged, and unexpected errors inside it are masked."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from random import getrandbits
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unavailable
from gateway.server.http.responses import NOT_SNIFFED, error_response
from gateway.telemetry import NO_STAGES, RequestServed, correlation_id, observe

HEADER = "x-request-id"
_HEADER = HEADER.encode()
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # that a caller may choose for its request
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Observability:
    """ASGI middleware, the outermost. `around` is the middleware for error responses, which others get further inside."""

    def __init__(self, app: ASGIApp, around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> None:
        self._app = app
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        before = correlation_id.set(request_id)
        status, id_header = 0, (_HEADER, request_id.encode())

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), id_header, NOT_SNIFFED]
            return send(message)

        begin = perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass  # nobody is left to respond to
        except asyncio.CancelledError:
            if status or not scope["app"].state.services.drained.done():
                raise
            await self._around(error_response(Unavailable(GOING_DOWN), headers=CLOSE))(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 # the last place that can respond
            broken = error_response(error)  # logs it
            if not status:
                await self._around(broken)(scope, receive, send_with_id)
        finally:
            stages = scope["stages"].seconds if "stages" in scope else NO_STAGES
            seconds = perf_counter() - begin
            observe(RequestServed(_route(scope), _method(scope), status or CLIENT_GONE, seconds, stages))
            correlation_id.reset(before)


GOING_DOWN = "The server is going down; try again."
CLOSE = [(b"connection", b"close")]
CLIENT_GONE = 499  # the status that nginx logs: the client went away before the response


def _request_id(scope: Scope) -> str:
    for key, value in scope["headers"]:
        if key == _HEADER:
            name: str = value.decode("latin-1")
            return name if REQUEST_ID.fullmatch(name) else _new_id()
    return _new_id()


def _new_id() -> str:
    return f"{getrandbits(64):016x}"


def _route(scope: Scope) -> str:
    """Return the pattern of the route that responded: there are few."""
    return getattr(scope.get("route"), "path", "other")


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"

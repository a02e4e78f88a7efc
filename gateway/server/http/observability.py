"""Around every request: it gets a name, is counted and logged, and what breaks inside it is masked."""

import asyncio
import re
from collections.abc import Callable
from random import getrandbits
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unavailable
from gateway.server.http.responses import NOT_SNIFFED, refusal
from gateway.telemetry import RequestServed, correlation_id, observe

HEADER = "x-request-id"
_HEADER = HEADER.encode()
GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")  # what a caller may name its own request
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Observability:
    """ASGI middleware; the outermost, so that nothing goes by it. `around` is put around the answer to what broke, as it is around others."""

    def __init__(self, app: ASGIApp, around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> None:
        self._app = app
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _name(scope)
        before = correlation_id.set(name)
        status, named = 0, (_HEADER, name.encode())

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), named, NOT_SNIFFED]
            await send(message)

        begin = perf_counter()
        try:
            await self._app(scope, receive, send_named)
        except ClientDisconnect:
            pass  # nobody is left to be told
        except asyncio.CancelledError:
            if status or not scope["app"].state.services.drained.done():
                raise
            await self._around(refusal(Unavailable(GOING_DOWN), headers=CLOSE))(scope, receive, send_named)
        except Exception as error:  # noqa: BLE001 # the last one who can answer
            broken = refusal(error)  # logs it
            if not status:
                await self._around(broken)(scope, receive, send_named)
        finally:
            observe(RequestServed(_route(scope), _method(scope), status or CLIENT_GONE, perf_counter() - begin))
            correlation_id.reset(before)


GOING_DOWN = "The server is going down; try again."
CLOSE = {"connection": "close"}
CLIENT_GONE = 499  # as others log it: nobody waited for the answer


def _name(scope: Scope) -> str:
    """What the caller calls its request, if that is a name; else a new one."""
    for key, value in scope["headers"]:
        if key == _HEADER:
            name: str = value.decode("latin-1")
            return name if GIVEN.fullmatch(name) else _new_name()
    return _new_name()


def _new_name() -> str:
    return f"{getrandbits(64):016x}"


def _route(scope: Scope) -> str:
    """The pattern of the route that answered: there are few."""
    route = scope.get("route")
    return getattr(route, "path", "other")


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"

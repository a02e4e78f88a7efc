"""The front door: what is decided of every request before any route is looked for: its host, and the coding of its response.

Around it are only the id and the record of each request (`observability.py`) and what pages of other origins may read (`cors.py`). Behind it
are the routes: the one that most requests are for, at once; the others as Starlette finds them.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import BadInput
from gateway.server.http.auth import HEADERS
from gateway.server.http.compression import Compressing
from gateway.server.http.hosts import FOR_OPERATORS, HostNames
from gateway.server.http.negotiation import codings
from gateway.server.http.responses import error_response

OTHER_HOST: Final = "This server does not answer to the name in `Host`; `GATEWAY_ALLOWED_HOSTS` lists those it has."
NO_CODING: Final = "This answers packed by gzip or as it is, and `accept-encoding` refuses both."


READ: Final = {
    name.encode(): name
    for name in (
        *(*HEADERS, "accept", "accept-encoding", "content-length", "content-type", "host", "if-none-match"),
        "transfer-encoding",
    )
}
"""The headers that the gateway reads itself, by their bytes."""


class FrontDoor:
    """ASGI middleware around all routes. `hosts` are the names of this server.

    `find` returns the route of a path that is not looked for any further, and that gets what was read of the head; None for others.
    """

    def __init__(self, app: ASGIApp, hosts: HostNames, find: Callable[[str], Route | None]) -> None:
        self._app = app
        self._hosts = hosts
        self._find = find

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        headers, path = _read_headers(scope), scope["path"]
        accepted = codings(headers.get("accept-encoding"))
        if headers.get("host") not in self._hosts and path not in FOR_OPERATORS:
            return error_response(BadInput(OTHER_HOST))(scope, receive, send)
        if not (accepted.gzip or accepted.identity):
            return error_response(BadInput(NO_CODING), HTTPStatus.NOT_ACCEPTABLE)(scope, receive, send)
        if (route := self._find(path)) is not None:
            scope["route"], scope["read_headers"] = route, headers
            # No cache stores what this route answers, so none has to know that others get it compressed.
            return route.app(scope, receive, Compressing(send, accepted) if accepted.gzip else send)
        return self._app(scope, receive, Compressing(send, accepted))


def _read_headers(scope: Scope) -> dict[str, str]:
    """Return the values of the headers of READ that a request has, by lower-case names; of several with one name the first counts."""
    return {READ[name]: value.decode("latin-1") for name, value in reversed(scope["headers"]) if name in READ}

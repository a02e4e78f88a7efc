"""Host names that requests may use: a page that points its own name at our address (DNS rebinding) is refused."""

import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import BadInput
from gateway.server.http.responses import error_response

FOR_OPERATORS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that probes and scrapers call by address. Their responses name no person."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][:/@?#\s]+)(?::\d*)?", re.IGNORECASE)


class HostNames:
    """The names of this server, without ports: `*.example.com` stands for all names below that one, `*` for all names."""

    def __init__(self, names: Collection[str]) -> None:
        self._takes_any = "*" in names
        self._names = frozenset(name.lower() for name in names)
        self._below = tuple(name[1:] for name in self._names if name.startswith("*."))

    def __contains__(self, host: str | None) -> bool:
        """Return whether the value of a Host header, None if there is none, is one of the names."""
        if self._takes_any:
            return True
        matched = _HOST.fullmatch(host or "")
        if matched is None:
            return False
        name = matched[1].lower().removesuffix(".")
        return name in self._names or name.endswith(self._below)


class HostCheck:
    """ASGI middleware that refuses requests to other names, except for FOR_OPERATORS."""

    def __init__(self, app: ASGIApp, hosts: HostNames) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in FOR_OPERATORS:
            host = Headers(scope=scope).get("host")
            if host not in self._hosts:
                error = BadInput(
                    "This server does not answer to the name in `Host`; `GATEWAY_ALLOWED_HOSTS` lists those it has."
                )
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

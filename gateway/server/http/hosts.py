"""Which names a request may call this server by: a page that points a name of its own at our address (DNS rebinding) gets nothing."""

import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import BadInput
from gateway.server.http.responses import refusal

FOR_OPERATORS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that probes and scrapers ask by address. They tell nothing of anybody."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][:/@?#\s]+)(?::\d*)?", re.IGNORECASE)


class HostNames:
    """The names that are ours: host names without a port, `*.example.com` for all below a name, `*` for any whatever."""

    def __init__(self, names: Collection[str]) -> None:
        self._takes_any = "*" in names
        self._names = frozenset(name.lower() for name in names)
        self._below = tuple(name[1:] for name in self._names if name.startswith("*."))

    def __contains__(self, host: str | None) -> bool:
        """Whether the value of a Host header, None where there is none, is one of them."""
        if self._takes_any:
            return True
        matched = _HOST.fullmatch(host or "")
        if matched is None:
            return False
        name = matched[1].lower().removesuffix(".")
        return name in self._names or name.endswith(self._below)


class HostCheck:
    """ASGI middleware that refuses requests to names that are not ours, but for `FOR_OPERATORS`."""

    def __init__(self, app: ASGIApp, hosts: HostNames) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in FOR_OPERATORS:
            host = Headers(scope=scope).get("host")
            if host not in self._hosts:
                fault = BadInput(
                    "This server does not answer to the name in `Host`; `GATEWAY_ALLOWED_HOSTS` lists those it has."
                )
                await refusal(fault)(scope, receive, send)
                return
        await self._app(scope, receive, send)

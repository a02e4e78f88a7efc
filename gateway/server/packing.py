"""Answers packed by gzip, for those who want them so."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import BadInput
from gateway.server.answers import GZIP_FROM, refusal
from gateway.server.media import codings

LEVEL = 5  # of gzip: more costs twice the time for a hundredth of the bytes


class Packing:
    """ASGI middleware around whatever answers. Who takes an answer neither packed nor plain is refused before anything is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        takes = codings(Headers(scope=scope).get("accept-encoding"))
        if takes.gzip:
            least = GZIP_FROM if takes.identity else 1  # an answer without a body has nothing to pack
            await GZipResponder(self._app, least, compresslevel=LEVEL)(scope, receive, send)
        elif takes.identity:
            await IdentityResponder(self._app, GZIP_FROM)(scope, receive, send)
        else:
            fault = BadInput("This answers packed by gzip or as it is, and `accept-encoding` refuses both.")
            await refusal(fault, HTTPStatus.NOT_ACCEPTABLE)(scope, receive, send)

"""Answers packed by gzip, for those who want them so."""

import sys
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import BadInput
from gateway.runtime.threads import Thread
from gateway.server.http.negotiation import codings
from gateway.server.http.responses import GZIP_FROM, refusal

LEVEL = 5  # of gzip: more costs twice the time for a hundredth of the bytes

FEW: Final = 64 * 1024
"""Bytes of an answer that are packed on the event loop: a millisecond's work."""

PIECE: Final = 1024 * 1024
"""Bytes of a longer one that are packed at a time, each piece when it is its turn among those of all answers."""

PACKERS: Final = Thread("packers", waiting=sys.maxsize)
"""It needs no interpreter while it packs. There are no more answers that wait than requests in hand."""


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
            await _Packer(self._app, least, compresslevel=LEVEL)(scope, receive, send)
        elif takes.identity:
            await IdentityResponder(self._app, GZIP_FROM)(scope, receive, send)
        else:
            fault = BadInput("This answers packed by gzip or as it is, and `accept-encoding` refuses both.")
            await refusal(fault, HTTPStatus.NOT_ACCEPTABLE)(scope, receive, send)


class _Packer(GZipResponder):
    """Packs an answer, beside the event loop where it is long, and one at a time in a process: many at once would take the loop's core."""

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        if len(body) <= FEW:
            return await super().apply_compression(body, more_body=more_body)
        view, packed = memoryview(body), list[bytes]()
        for begin in range(0, len(body), PIECE):
            packed.append(await PACKERS.run(self.compressor.compress, view[begin : begin + PIECE]))
        packed.append(await super().apply_compression(b"", more_body=more_body))
        return b"".join(packed)

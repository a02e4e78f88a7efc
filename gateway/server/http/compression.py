"""Responses compressed by gzip, where the caller accepts that."""

import sys
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import BadInput
from gateway.runtime.threads import Thread
from gateway.server.http.negotiation import codings
from gateway.server.http.responses import MIN_GZIP_BYTES, error_response

LEVEL = 5  # of gzip: more costs twice the time for a hundredth of the bytes

MAX_LOOP_BYTES: Final = 64 * 1024
"""Of a response that is compressed on the event loop, in about a millisecond; longer ones are compressed in a thread."""

PIECE_BYTES: Final = 1024 * 1024
"""Of a long response that are compressed at a time; pieces of all responses take turns."""

COMPRESSOR: Final = Thread("packers", waiting=sys.maxsize)
"""A thread, which holds no interpreter lock while it compresses. As many responses wait for it at most as requests are admitted."""


class Compression:
    """ASGI middleware that compresses responses. A caller that accepts neither gzip nor uncompressed ones is refused before any work."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accepted = codings(Headers(scope=scope).get("accept-encoding"))
        if accepted.gzip:
            least = MIN_GZIP_BYTES if accepted.identity else 1  # a response without a body is never compressed
            await _GzipResponder(self._app, least, compresslevel=LEVEL)(scope, receive, send)
        elif accepted.identity:
            await IdentityResponder(self._app, MIN_GZIP_BYTES)(scope, receive, send)
        else:
            fault = BadInput("This answers packed by gzip or as it is, and `accept-encoding` refuses both.")
            await error_response(fault, HTTPStatus.NOT_ACCEPTABLE)(scope, receive, send)


class _GzipResponder(GZipResponder):
    """Compresses a response; a long one in COMPRESSOR, one at a time in a process, as many at once would take the event loop's core."""

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        if len(body) <= MAX_LOOP_BYTES:
            return await super().apply_compression(body, more_body=more_body)
        view, compressed = memoryview(body), list[bytes]()
        for begin in range(0, len(body), PIECE_BYTES):
            compressed.append(await COMPRESSOR.run(self.compressor.compress, view[begin : begin + PIECE_BYTES]))
        compressed.append(await super().apply_compression(b"", more_body=more_body))
        return b"".join(compressed)

"""Responses compressed by gzip, where the caller accepts that."""

import sys
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Final

from starlette.middleware.gzip import GZipResponder
from starlette.types import Message, Receive, Scope, Send

from gateway.runtime.threads import Thread
from gateway.server.http.negotiation import Codings

LEVEL = 5  # of gzip: more costs twice the time for a hundredth of the bytes

MIN_BYTES: Final = 1_000
"""Of a response that is compressed: to compress shorter ones costs more than it saves."""

MAX_LOOP_BYTES: Final = 64 * 1024
"""Of a response that is compressed on the event loop, in about a millisecond; longer ones are compressed in a thread."""

PIECE_BYTES: Final = 1024 * 1024
"""Of a long response that are compressed at a time; pieces of all responses take turns."""

PACKED: Final = "-gzip"
"""The end of the ETag of a compressed response: its bytes are others than those of the response as it is."""

COMPRESSOR: Final = Thread("packers", waiting=sys.maxsize)
"""A thread, which holds no interpreter lock while it compresses. As many responses wait for it at most as requests are admitted."""


class Compressing:
    """Sends the messages of a response, compressed if the caller accepts that and it is worth it."""

    __slots__ = ("_accepted", "_send")

    def __init__(self, send: Send, accepted: Codings) -> None:
        self._send = send
        self._accepted = accepted

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self._begin(message)
        return self._send(message)

    def _begin(self, head: Message) -> None:
        least = MIN_BYTES if self._accepted.identity else 1  # an empty body never is compressed
        if head["status"] == HTTPStatus.NOT_MODIFIED or not _may_have(head, least):
            return
        if self._accepted.gzip:
            head["headers"] = list(map(_packed, head["headers"]))
            responder = _GzipResponder(_nothing, least, compresslevel=LEVEL)
            responder.send, self._send = self._send, responder.send_with_compression
        else:  # caches are told that other callers may get it compressed
            vary = [value for name, value in head["headers"] if name == b"vary"]
            others = [header for header in head["headers"] if header[0] != b"vary"]
            head["headers"] = [*others, (b"vary", b", ".join([*vary, b"Accept-Encoding"]))]


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


def _packed(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return a header of a response as it is, and an ETag as that of the compressed response."""
    name, value = header
    return (name, value[:-1] + PACKED.encode() + value[-1:]) if name == b"etag" else header


async def _nothing(_: Scope, __: Receive, ___: Send) -> None:
    """Stand for the application that a responder of Starlette would call."""


def _may_have(head: Message, least: int) -> bool:
    """Return whether the body after this head may have so many bytes, and may be compressed: ranges are those of the bytes as they are."""
    if any(name == b"accept-ranges" for name, _ in head["headers"]):
        return False
    for name, value in head["headers"]:
        if name == b"content-length":
            return int(value) >= least
    return True

"""Responses compressed by gzip, where the caller accepts that."""

import sys
from collections.abc import Sequence
from typing import Final

from starlette.middleware.gzip import GZipResponder
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.runtime.threads import Thread
from gateway.server.http.negotiation import Codings

LEVEL = 5  # of gzip: more costs twice the time for a hundredth of the bytes

MIN_BYTES: Final = 1_000
"""Of a response that is compressed: to compress shorter ones costs more than it saves."""

MAX_LOOP_BYTES: Final = 64 * 1024
"""Of a response that is compressed on the event loop, in about a millisecond; longer ones are compressed in a thread."""

PIECE_BYTES: Final = 1024 * 1024
"""Of a long response that are compressed at a time; pieces of all responses take turns."""

COMPRESSOR: Final = Thread("packers", waiting=sys.maxsize)
"""A thread, which holds no interpreter lock while it compresses. As many responses wait for it at most as requests are admitted."""


def compressed(response: Response, accepted: Codings) -> ASGIApp:
    """Return what sends a response whose body is there, compressed if the caller accepts that and it is worth it."""
    least = _least(accepted)
    if len(response.body) < least:
        return response
    if accepted.gzip:
        return _GzipResponder(response, least, compresslevel=LEVEL)
    response.raw_headers = _varied(response.raw_headers)
    return response


def compressing(send: Send, accepted: Codings) -> Send:
    """Return what sends the messages of any response, compressed if the caller accepts that and it is worth it."""
    return _GzipSender(send, _least(accepted)) if accepted.gzip else _PlainSender(send)


def _least(accepted: Codings) -> int:
    """Return from how many bytes on a body is compressed; an empty one never is."""
    return MIN_BYTES if accepted.identity else 1


class _PlainSender:
    """Sends a response as it is, and tells caches that other callers may get it compressed."""

    __slots__ = ("_send",)

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _may_have(message, MIN_BYTES):
            message["headers"] = _varied(message["headers"])
        await self._send(message)


class _GzipSender:
    """Sends a response compressed, unless its head says that the body has fewer than `least` bytes."""

    __slots__ = ("_least", "_send")

    def __init__(self, send: Send, least: int) -> None:
        self._send = send
        self._least = least

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _may_have(message, self._least):
            responder = _GzipResponder(_nothing, self._least, compresslevel=LEVEL)
            responder.send, self._send = self._send, responder.send_with_compression
        await self._send(message)


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


async def _nothing(_: Scope, __: Receive, ___: Send) -> None:
    """Stand for the application that a responder of Starlette would call."""


def _may_have(head: Message, least: int) -> bool:
    """Return whether the body after this head may have so many bytes."""
    for name, value in head["headers"]:
        if name == b"content-length":
            return int(value) >= least
    return True


def _varied(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers with one that says that the response depends on the codings that callers accept."""
    others = [one for one in headers if one[0] != b"vary"]
    return [
        *others,
        (b"vary", b", ".join([*(value for name, value in headers if name == b"vary"), b"Accept-Encoding"])),
    ]

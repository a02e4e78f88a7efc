"""Sends the head and the body of a response together.

uvicorn writes them separately, and each write goes through the network stack and wakes the client: a good part of the cost of a small
response.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

MAX_HELD_BYTES: Final = 1 << 16
"""More bytes are sent at once, so that a writer of much data notices that the client is slow."""


UNUSUAL: Final = (b"connection", b"transfer-encoding")
"""Headers of a response that change its framing."""


class CompactCycle(RequestResponseCycle):
    """uvicorn's cycle of a request and its response, with a faster way for usual responses.

    A usual head is checked as a whole: uvicorn searches each name and value twice, a tenth of the cost of a small response. It is held until
    the body comes, so that a whole response leaves at once.
    """

    _held_head: bytes | None = None

    async def send(self, message: Any) -> None:
        """Send the head of the response, or a piece of its body. All of it leaves with the last piece: the client need not wait for what follows."""
        head, self._held_head = self._held_head, None
        if head is not None:
            if self._is_whole(message):
                cast("CoalescingTransport", self.transport).send(head, message.get("body", b""))
                self.response_complete = True
                self.message_event.set()
                self.on_response()
                return
            self.transport.write(head)
        elif not (self.response_started or self.disconnected or self.flow.write_paused or self.access_log):
            self._held_head = self._head(message)
            if self._held_head is not None:
                self.response_started, self.waiting_for_100_continue, self.chunked_encoding = True, False, False
                return
        await super().send(message)  # which refuses what is wrong
        if self.response_complete:
            cast("CoalescingTransport", self.transport).flush()

    def _is_whole(self, message: Any) -> bool:
        """Return whether a message is the whole body behind a usual head, for a client that reads what is sent to it."""
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        is_sent = (
            self.keep_alive and not (self.disconnected or self.flow.write_paused) and self.scope["method"] != "HEAD"
        )
        return is_last and is_sent and len(message.get("body", b"")) == self.expected_content_length

    def _head(self, message: Any) -> bytes | None:
        """Return the head of a response of known length that keeps the connection; None for any other, and for a malformed one."""
        if message["type"] != "http.response.start":
            return None
        headers = [*self.default_headers, *message.get("headers", ())]
        by_name = dict(headers)
        length = by_name.get(b"content-length")
        if length is None or not self.keep_alive or not by_name.keys().isdisjoint(UNUSUAL):
            return None
        head = STATUS_LINE[message["status"]] + b"\r\n".join([*map(b": ".join, headers), b"\r\n"])
        if not head.count(b"\n") == head.count(b"\r") == len(headers) + 2:
            return None  # a line break in a header would end the head
        self.expected_content_length = int(length)
        return head


class CoalescingTransport:
    """A transport that sends all bytes written in one turn of the event loop together, after the turn or with `flush`.

    It calls `closing` before it closes, after it has sent everything.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, closing: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._closing = closing
        self._held: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing  # called with every response

    def write(self, data: bytes) -> None:
        """Hold bytes until the turn of the event loop is over, or MAX_HELD_BYTES is exceeded."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > MAX_HELD_BYTES:
            self.flush()

    def send(self, *pieces: bytes) -> None:
        """Send these bytes at once, behind all that was written."""
        self._held += pieces
        self.flush()

    def write_eof(self) -> None:
        """Send everything, then end the stream."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send everything, then close the transport."""
        self.flush()
        self._closing()
        self._transport.close()

    def flush(self) -> None:
        """Send everything that was written."""
        held, self._held, self._size = self._held, [], 0
        if held and not self._transport.is_closing():  # else there is no client
            self._transport.writelines(held)

    def release(self) -> None:
        """Let go of the connection, which is closed."""
        self._closing = _nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _nothing() -> None:
    """Do nothing."""

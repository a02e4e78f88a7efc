"""Answers in one piece: their head does not leave before their body.

uvicorn writes the two one after the other, and each write goes through the whole network stack and wakes the client; for a small answer
that is a good part of what serving it costs.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

MOST: Final = 1 << 16
"""Bytes that are held: more are sent at once, so that whoever writes much learns that the client is slow."""


UNUSUAL: Final = (b"connection", b"transfer-encoding")
"""Headers of an answer that change how it is framed."""


class Answering(RequestResponseCycle):
    """uvicorn's cycle of a request and its answer. The head of a usual answer is looked through as a whole: uvicorn searches each name and
    each value twice, which for a small answer is a tenth of what serving it takes."""

    async def send(self, message: Any) -> None:
        """Send the head of the answer, or a piece of its body."""
        if self.response_started or self.disconnected or self.flow.write_paused or self.access_log:
            await super().send(message)
        elif (head := self._head(message)) is None:
            await super().send(message)  # which refuses what is wrong
        else:
            self.response_started, self.waiting_for_100_continue, self.chunked_encoding = True, False, False
            self.transport.write(head)

    def _head(self, message: Any) -> bytes | None:
        """The head of an answer whose length is known and after which the connection is kept; None of any other, and of one that is wrong."""
        if message["type"] != "http.response.start":
            return None
        headers = [*self.default_headers, *message.get("headers", ())]
        by_name = dict(headers)
        length = by_name.get(b"content-length")
        if length is None or not self.keep_alive or not by_name.keys().isdisjoint(UNUSUAL):
            return None
        lines = [b"%b: %b\r\n" % header for header in headers]
        head = b"%b%b\r\n" % (STATUS_LINE[message["status"]], b"".join(lines))
        if not head.count(b"\n") == head.count(b"\r") == len(lines) + 2:
            return None  # a line break in a header would end it
        self.expected_content_length = int(length)
        return head


class CoalescingTransport:
    """A transport that sends what is written in one turn of the event loop together, when the turn is over.

    `closing` is called before it is closed, when everything written is on its way.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, closing: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._closing = closing
        self._held: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing  # asked with every answer

    def write(self, data: bytes) -> None:
        """Have it sent."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST:
            self._send()

    def write_eof(self) -> None:
        """Say that this was all, once everything is sent."""
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        """Close it once everything is sent."""
        self._send()
        self._closing()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held and not self._transport.is_closing():  # else nobody is left to read it
            self._transport.writelines(held)

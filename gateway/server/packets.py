"""Answers in one piece: their head does not leave before their body.

uvicorn writes the two one after the other, and each write goes through the whole network stack and wakes the client; for a small answer
that is a good part of what serving it costs.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

MOST: Final = 1 << 16
"""Bytes that are held: more are sent at once, so that whoever writes much learns that the client is slow."""


class Packets:
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

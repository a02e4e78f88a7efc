"""Reads request bodies that are streams of lines, at the pace of their senders."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

from starlette.requests import Request

from gateway.errors import SlowSender, Unavailable
from gateway.server.streams.ndjson import Lines


@dataclass(frozen=True, slots=True)
class Pace:
    """The timing of a stream of lines, in seconds.

    A complete line is committed after `commit`, whether others follow or not; a line has to end within `silence` of waiting. `ending` is done
    when the process ends.
    """

    commit: float
    silence: float
    ending: "asyncio.Future[None]"


async def paced_pieces(request: Request, lines: Lines, pace: Pace) -> AsyncIterator[bytes]:
    """Yield the pieces of a stream as they arrive, and an empty piece when complete lines in `lines` are due to be committed.

    Only time spent waiting for the sender counts. Raises SlowSender when no line ends in time; Unavailable when the process ends;
    ClientDisconnect.
    """
    ended, waited, held = lines.ended, 0.0, 0.0  # seconds of waiting: since a line ended, and with complete lines held
    async with _Sender(request, pace.ending) as sender:
        while waited < pace.silence:
            longest = min(pace.silence - waited, pace.commit - held) if lines.is_holding else pace.silence - waited
            piece, seconds = await sender.next(max(longest, 0))
            if piece is None:
                return
            waited, held = waited + seconds, held + seconds
            if piece or (lines.is_holding and held >= pace.commit):
                yield piece
            if lines.ended != ended:
                ended, waited = lines.ended, 0.0
            if not lines.is_holding:
                held = 0.0
    raise SlowSender(f"No line ended within {pace.silence:g} seconds.")


class _Sender:
    """Waits for the next piece of a body for a limited time; a piece that arrives later is not lost."""

    def __init__(self, request: Request, ending: "asyncio.Future[None]") -> None:
        self._pieces = request.stream()
        self._ending = ending
        self._coming: asyncio.Future[bytes | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait({self._coming})

    async def next(self, longest: float) -> tuple[bytes | None, float]:
        """Return the next piece, empty if none came within `longest` seconds, None at the end of the body; and the seconds of waiting."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        if self._coming is None:
            self._coming = asyncio.ensure_future(anext(self._pieces, None))
            self._coming.add_done_callback(_note_end)
        either: set[asyncio.Future[Any]] = {self._coming, self._ending}
        await asyncio.wait(either, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        if self._ending.done():
            raise Unavailable("The server is going down; send what is not counted here again.")
        if not self._coming.done():
            return b"", loop.time() - begin
        coming, self._coming = self._coming, None
        return coming.result(), loop.time() - begin


def _note_end(coming: "asyncio.Future[bytes | None]") -> None:
    """Take note of an error that perhaps nobody waits for: the sender may leave when the stream is answered for already."""
    if not coming.cancelled():
        coming.exception()

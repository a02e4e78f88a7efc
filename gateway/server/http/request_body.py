"""Reads request bodies, within limits of size and time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from gateway.errors import LimitExceeded, SlowSender, Unavailable
from gateway.runtime.deadlines import Deadlines
from gateway.server.streams.ndjson import Lines


async def read_body(receive: Receive, limit: int, deadlines: Deadlines) -> bytes:
    """Return the whole body, of at most `limit` bytes, unless its time is over before it is there.

    Raises LimitExceeded, SlowSender, ClientDisconnect.
    """
    pieces, size, is_more = list[bytes](), 0, True
    try:
        with deadlines.begin():
            while is_more and size <= limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                piece = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                is_more = message.get("more_body", False)
    except TimeoutError:
        raise SlowSender from None
    check_size(size, limit)
    return b"".join(pieces)


def announced_size(headers: Mapping[str, str]) -> int | None:
    """Return the size of the body by its headers, None if they do not say. `headers` are looked up by lower-case names."""
    length = headers.get("content-length")
    if length is not None:
        return int(length)
    return None if "transfer-encoding" in headers else 0


def check_size(size: int | None, limit: int) -> None:
    """Raise LimitExceeded for a body of more than `limit` bytes. None is a size that is not known yet."""
    if size is not None and size > limit:
        raise LimitExceeded(f"The body has more than {limit:,} bytes.")


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

"""Request bodies, read no further than allowed and no slower."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self

from starlette.requests import Request

from gateway.errors import LimitExceeded, SlowSender, Unavailable
from gateway.server.streams.ndjson import Lines


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body, of at most `limit` bytes. Raises LimitExceeded, before anything is read where the size is announced;
    SlowSender when it is not there in time; ClientDisconnect when the caller goes away."""
    check_announced(request.headers, limit)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds), aclosing(request.stream()) as pieces:
            async for piece in pieces:
                body += piece
                _check(len(body), limit)
    except TimeoutError:
        raise SlowSender from None
    return bytes(body)


def announced_size(headers: Mapping[str, str]) -> int | None:
    """How many bytes the body has, None if only its end will tell. `headers` are looked up by lower-case names."""
    length = headers.get("content-length")
    if length is not None:
        return int(length)
    return None if "transfer-encoding" in headers else 0


def check_announced(headers: Mapping[str, str], limit: int) -> None:
    """Raise LimitExceeded if the body is announced to be larger than that."""
    _check(announced_size(headers) or 0, limit)


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise LimitExceeded(f"The body has more than {limit:,} bytes.")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream of lines has to come in, in seconds: a line is committed `commit` after it came whole, whether others follow or not,
    and one has to end within `silence` of waiting. `ending` is done when the process wants to end."""

    commit: float
    silence: float
    ending: "asyncio.Future[None]"


async def paced(request: Request, lines: Lines, pace: Pace) -> AsyncIterator[bytes]:
    """The pieces of a stream that `lines` are cut from, as they come in; an empty one when what is whole has waited long enough.

    Only time spent waiting for the sender counts. Raises SlowSender when no line ends in time; Unavailable when the process ends;
    ClientDisconnect when the sender goes away.
    """
    ended, waited, held = lines.ended, 0.0, 0.0  # seconds of waiting: since a line ended, and with whole lines at hand
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
    """Waits for the next piece of a body, for a time; one that comes later is not lost."""

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
        """The next piece, empty if none came within `longest` seconds, None at the end of the body; and how long it took."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        if self._coming is None:
            self._coming = asyncio.ensure_future(anext(self._pieces, None))
        either: set[asyncio.Future[Any]] = {self._coming, self._ending}
        await asyncio.wait(either, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        if self._ending.done():
            raise Unavailable("The server is going down; send what is not counted here again.")
        if not self._coming.done():
            return b"", loop.time() - begin
        coming, self._coming = self._coming, None
        return coming.result(), loop.time() - begin

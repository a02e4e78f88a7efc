"""Request bodies, read no further than allowed and no slower."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from gateway.errors import LimitExceeded, Timeout


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body, of at most `limit` bytes. Raises LimitExceeded, Timeout."""
    _check(int(request.headers.get("content-length") or 0), limit)
    body = bytearray()
    async for piece in pieces(request, seconds):
        body += piece
        _check(len(body), limit)
    return bytes(body)


async def pieces(request: Request, seconds: float) -> AsyncIterator[bytes]:
    """The body as it comes in. Raises Timeout where nothing comes for so long, ClientDisconnect when the caller goes away."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(stream, None)
        except TimeoutError:
            raise Timeout("The body did not go on.") from None
        if piece is None:
            return
        yield piece


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise LimitExceeded(f"The body has more than {limit:,} bytes.")

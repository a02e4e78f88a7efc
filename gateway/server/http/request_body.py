"""Reads request bodies, within limits of size and time."""

from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gateway.errors import LimitExceeded, SlowSender
from gateway.runtime.deadlines import Deadlines


async def read_body(receive: Receive, limit: int, deadlines: Deadlines) -> bytes:
    """Return the whole body, of at most `limit` bytes, unless its time is over before it is there.

    Raises LimitExceeded, SlowSender, ClientDisconnect.
    """
    pieces: list[bytes] = []
    size, is_more = 0, True
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

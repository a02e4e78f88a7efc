"""The input of `gateway ingest`: a file or a pipe of JSON lines, plain or in gzip."""

import hashlib
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TypeVar

from gateway.domain.ingest.ingestion import Chunk
from gateway.errors import BadInput
from gateway.runtime.descriptors import wait_readable
from gateway.server.streams.file_formats import HEAD_BYTES, check_lines, check_packing
from gateway.server.streams.ndjson import Gunzip, Plain, Stream

PIECE_BYTES = 1 << 18
T = TypeVar("T")
GZIP = b"\x1f\x8b"  # no JSON begins like this


class Source:
    """A file or a pipe. `name` is its name in messages; `size` is its number of bytes, None for a pipe."""

    def __init__(self, name: str, file: FileIO) -> None:
        self.name, self._file = name, file
        status = os.fstat(file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None

    def digest(self) -> str | None:
        """Return the SHA-256 of the content in hex; None for a pipe."""
        if self.size is None:
            return None
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.seek(0)
        return digest

    async def chunks(
        self, advance: Callable[[int], None], limit: int, check: Callable[[], None]
    ) -> AsyncIterator[Chunk]:
        """Yield the lines in chunks, decompressed if need be.

        `advance` is called with the number of bytes of each read; at most `limit` are read in all; `check` is called before each chunk.
        Raises BadInput, also for a file without JSON lines; LimitExceeded; errors of `check`.
        """
        pieces = self._pieces(advance)
        head = await _head(pieces)
        check_packing(head, self.name)
        stream = Stream(Gunzip() if head.startswith(GZIP) else Plain(), limit)
        is_first = True
        async for chunk in stream.chunks(prepend(head, pieces), check):
            if is_first:
                check_lines(chunk.documents, self.name)
            is_first = False
            yield chunk

    async def _pieces(self, advance: Callable[[int], None]) -> AsyncIterator[bytes]:
        descriptor = self._file.fileno()
        while True:
            if self.size is None:
                await wait_readable(descriptor)  # so that an interrupt does not wait for the writer of the pipe
            piece = os.read(descriptor, PIECE_BYTES)
            if not piece:
                return
            advance(len(piece))
            yield piece


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a file, or standard input for `-`. Raises BadInput where it cannot be read."""
    if str(path) == "-":
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
            yield Source("standard input", file)
        return
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    with file:
        yield Source(str(path), file)


async def _head(pieces: AsyncIterator[bytes]) -> bytes:
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    return head


async def prepend(first: T, others: AsyncIterator[T]) -> AsyncIterator[T]:
    """Yield the first item, which was taken from the iterator, and then the others."""
    yield first
    async for other in others:
        yield other

"""Cuts a stream of JSON lines into chunks, in bounded memory and in time slices of the event loop."""

import zlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.domain.ingest.ingestion import MAX_DOCUMENTS, Chunk
from gateway.errors import BadInput, LimitExceeded
from gateway.runtime.slices import SLICES

MAX_LINE_BYTES = 1 << 20  # a longer line is truncated after one more byte, and its document fails
MAX_CHUNK_BYTES = (
    1 << 20
)  # a chunk ends here even with fewer lines; its parsed documents may take twenty times as much memory
STEP_BYTES = (
    1 << 14
)  # cut between two checks whether a slice is over; each byte may be a line, or a twentieth of a gzip member
MAX_BLANK_LINES = 100_000  # in succession
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors put one in front of a file


class Lines:
    """Cuts pieces of a stream, of any length, into lines and chunks. Blank lines are skipped, and have no index.

    `ended` is the number of lines so far, blank ones included.
    """

    def __init__(self) -> None:
        self.ended = 0
        self._begun = bytearray()  # of an incomplete line
        self._lines: list[bytes] = []
        self._numbers: list[int] = []  # of these lines, blank ones counted
        self._bytes = 0
        self._index = 0
        self._blanks = 0
        self._at_start = True

    @property
    def is_holding(self) -> bool:
        """Whether complete lines wait for more lines to fill a chunk."""
        return bool(self._lines)

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Yield the chunks that this piece completes. Raises LimitExceeded when too many blank lines follow each other."""
        *ended, begun = piece.split(b"\n")
        if ended and (self._begun or self._at_start):
            ended[0] = self._joined(ended[0])
        if not self._take(ended):
            for line in ended:
                self.ended += 1
                yield from self._add(line)
        self._extend(begun)

    def flush(self) -> Iterator[Chunk]:
        """Yield a chunk of the complete lines that are held, if there are any. An incomplete line is kept."""
        if self._lines:
            yield self._cut()

    def end(self) -> Iterator[Chunk]:
        """Yield the last chunk of a stream that has ended; its last line needs no line break."""
        if self._begun:
            self.ended += 1
            yield from self._add(self._joined(b""))
        yield from self.flush()

    def _joined(self, part: bytes) -> bytes:
        self._extend(part)
        line = bytes(self._begun)
        self._begun.clear()
        if self._at_start:
            line, self._at_start = line.removeprefix(BYTE_ORDER_MARK), False
        return line

    def _extend(self, part: bytes) -> None:
        room = MAX_LINE_BYTES + 1 - len(self._begun)
        self._begun += part[:room]

    def _take(self, lines: Sequence[bytes]) -> bool:
        """Hold these lines if none is blank and they do not fill the chunk, and return whether that is so: the usual case, made fast."""
        count = len(lines)
        if len(self._lines) + count >= MAX_DOCUMENTS:
            return False
        kept = [line.strip() for line in lines]
        size = sum(map(len, kept))
        if self._bytes + size >= MAX_CHUNK_BYTES or not all(kept):
            return False
        self._lines += kept
        self._numbers += range(self.ended + 1, self.ended + count + 1)
        self.ended += count
        self._bytes += size
        self._blanks = 0 if kept else self._blanks
        return True

    def _add(self, line: bytes) -> tuple[Chunk, ...]:
        line = line.strip()
        if not line:
            self._blanks += 1
            if self._blanks > MAX_BLANK_LINES:
                raise LimitExceeded(f"More than {MAX_BLANK_LINES:,} blank lines follow each other.")
            return ()
        self._blanks = 0
        self._lines.append(line)
        self._numbers.append(self.ended)
        self._bytes += len(line)
        is_full = len(self._lines) == MAX_DOCUMENTS or self._bytes >= MAX_CHUNK_BYTES
        return (self._cut(),) if is_full else ()

    def _cut(self) -> Chunk:
        chunk = Chunk(self._index, self._lines, self._numbers)
        self._index += len(self._lines)
        self._lines, self._numbers, self._bytes = [], [], 0
        return chunk


class Plain:
    """Bytes as they are."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the piece."""
        yield piece

    def end(self) -> None:
        """End the stream, which may end anywhere."""


class Gunzip:
    """Decompresses a gzip stream, member after member, in pieces of at most STEP_BYTES however well it was compressed."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the decompressed bytes of a piece. Raises BadInput."""
        more = False  # whether the member holds output back
        while piece or more:
            if self._member.eof:
                piece = piece.lstrip(b"\0")  # tapes and some tools pad
                if not piece:
                    return
                self._member = zlib.decompressobj(wbits=31)
            try:
                unpacked = self._member.decompress(piece, STEP_BYTES)
            except zlib.error as error:
                raise BadInput("The stream says that it is gzip, and is not.") from error
            more = len(unpacked) == STEP_BYTES and not self._member.eof
            piece = self._member.unused_data or self._member.unconsumed_tail
            if unpacked:
                yield unpacked

    def end(self) -> None:
        """End the stream. Raises BadInput where it ended too early."""
        if not self._member.eof:
            raise BadInput("The gzip stream ends before its end.")


@dataclass(slots=True)
class Stream:
    """One stream of lines. It may have at most `limit` bytes, before and after decompression; `packed` and `plain` count them."""

    unpacking: Plain | Gunzip
    limit: int
    lines: Lines = field(default_factory=Lines)
    packed: int = 0
    plain: int = 0

    async def chunks(self, pieces: AsyncIterable[bytes], check: Callable[[], None]) -> AsyncIterator[Chunk]:
        """Yield the pieces cut into chunks; an empty piece ends a chunk early. The event loop has its turn after each slice.

        `check` is called before each chunk and may raise an error that ends the stream. Complete lines are yielded before an error is raised:
        LimitExceeded, BadInput, or one that `pieces` or `check` raises.
        """
        found = deque[Chunk]()
        try:
            async for piece in pieces:
                parts, is_more = self._parts(piece), True
                while is_more:
                    async with SLICES:
                        is_more = self._cut(parts, found)
                    while found:
                        check()
                        yield found.popleft()
            self.unpacking.end()
        except Exception:
            for chunk in (*found, *self.lines.flush()):
                yield chunk
            raise
        for chunk in self.lines.end():
            yield chunk

    def _cut(self, parts: Iterator[bytes | None], found: deque[Chunk]) -> bool:
        """Cut parts until the slice is over or chunks are `found`, and return whether there may be more parts."""
        for part in parts:
            if part is not None:
                found.extend(self.lines.feed(part) if part else self.lines.flush())
            if found or SLICES.is_over:
                return True
        return False

    def _parts(self, piece: bytes) -> Iterator[bytes | None]:
        """Yield the decoded bytes of a piece, in parts of at most STEP_BYTES, and None after each step, which may yield nothing else.

        An empty piece is yielded as it is. Raises LimitExceeded, BadInput.
        """
        if not piece:
            yield piece
        for step in steps(piece):
            self.packed += len(step)
            self._check(self.packed)
            for part in self.unpacking.feed(step):
                self.plain += len(part)
                self._check(self.plain)
                yield part
            yield None

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise LimitExceeded(f"The stream has more than {self.limit:,} bytes.")


def steps(piece: bytes) -> Iterator[bytes]:
    """Yield a piece in parts of at most STEP_BYTES."""
    for start in range(0, len(piece), STEP_BYTES):
        yield piece[start : start + STEP_BYTES]

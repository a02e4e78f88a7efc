"""A stream of JSON lines, cut into chunks: in bounded memory, and with bounded work between two turns of the event loop."""

import zlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.ingest.ingestion import MAX_DOCUMENTS, Chunk
from gateway.errors import BadInput, LimitExceeded
from gateway.runtime.slices import SLICES

LINE_BYTES = 1 << 20  # of a longer line no more is kept than shows that it is too long
CHUNK_BYTES = 1 << 20  # a chunk ends here even with fewer lines; parsed, its documents may take twenty times as much
STEP_BYTES = (
    1 << 14
)  # looked at without asking whether a slice is over; each byte may be a line, or a twentieth of a gzip member
BLANK_LINES = 100_000  # one behind the other
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors put one in front of a file


class Lines:
    """Cuts whatever pieces a stream comes in. Blank lines are nothing, and do not count as places in it.

    `ended` is the number of lines that have ended so far; `is_holding` tells whether whole lines wait for more to make a chunk.
    """

    def __init__(self) -> None:
        self.ended = 0
        self._begun = bytearray()  # of a line whose end has not come yet
        self._lines: list[bytes] = []
        self._numbers: list[int] = []  # of these lines, blank ones counted
        self._bytes = 0
        self._index = 0
        self._blanks = 0
        self._at_start = True

    @property
    def is_holding(self) -> bool:
        return bool(self._lines)

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """The chunks that this piece completes. Raises LimitExceeded when too many blank lines follow each other."""
        *ended, begun = piece.split(b"\n")
        if ended and (self._begun or self._at_start):
            ended[0] = self._joined(ended[0])
        if not self._take(ended):
            for line in ended:
                self.ended += 1
                yield from self._add(line)
        self._extend(begun)

    def flush(self) -> Iterator[Chunk]:
        """The whole lines so far, however few they are; a line whose end has not come yet stays."""
        if self._lines:
            yield self._cut()

    def end(self) -> Iterator[Chunk]:
        """What is left when the stream has ended; its last line needs no line break."""
        if self._begun:
            self.ended += 1
            yield from self._add(self._joined(b""))
        yield from self.flush()

    def _joined(self, part: bytes) -> bytes:
        """The line that ends with this part."""
        self._extend(part)
        line = bytes(self._begun)
        self._begun.clear()
        if self._at_start:
            line, self._at_start = line.removeprefix(BYTE_ORDER_MARK), False
        return line

    def _extend(self, part: bytes) -> None:
        room = LINE_BYTES + 1 - len(self._begun)
        self._begun += part[:room]

    def _take(self, lines: Sequence[bytes]) -> bool:
        """Keep these lines, if none is blank and they make no chunk full: most do neither."""
        count = len(lines)
        if len(self._lines) + count >= MAX_DOCUMENTS:
            return False
        kept = [line.strip() for line in lines]
        size = sum(map(len, kept))
        if self._bytes + size >= CHUNK_BYTES or not all(kept):
            return False
        self._lines += kept
        self._numbers += range(self.ended + 1, self.ended + count + 1)
        self.ended += count
        self._bytes += size
        self._blanks = 0 if kept else self._blanks
        return True

    def _add(self, line: bytes) -> tuple[Chunk, ...]:
        """Keep a line; the chunk that is full with it."""
        line = line.strip()
        if not line:
            self._blanks += 1
            if self._blanks > BLANK_LINES:
                raise LimitExceeded(f"More than {BLANK_LINES:,} blank lines follow each other.")
            return ()
        self._blanks = 0
        self._lines.append(line)
        self._numbers.append(self.ended)
        self._bytes += len(line)
        is_full = len(self._lines) == MAX_DOCUMENTS or self._bytes >= CHUNK_BYTES
        return (self._cut(),) if is_full else ()

    def _cut(self) -> Chunk:
        chunk = Chunk(self._index, self._lines, self._numbers)
        self._index += len(self._lines)
        self._lines, self._numbers, self._bytes = [], [], 0
        return chunk


class Unpacking(Protocol):
    """How the bytes of a stream are brought to light."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The bytes that this piece holds, in pieces of at most STEP_BYTES. Raises BadInput."""

    def end(self) -> None:
        """Raises BadInput where the stream ended too early."""


class Plain:
    """Bytes as they are."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        yield piece

    def end(self) -> None:
        """Bytes may end anywhere."""


class Gunzip:
    """Unpacks a gzip stream, one member behind the other, in pieces of bounded size however well it was packed."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The bytes that this piece brings to light. Raises BadInput."""
        more = False  # whether the member holds back what it was given already
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
        """Raises BadInput where the stream ended too early."""
        if not self._member.eof:
            raise BadInput("The gzip stream ends before its end.")


@dataclass(slots=True)
class Stream:
    """One stream of lines on its way to chunks. `limit` is how many bytes it may have, `packed` or `plain`: so many came so far."""

    unpacking: Unpacking
    limit: int
    lines: Lines = field(default_factory=Lines)
    packed: int = 0
    plain: int = 0

    async def chunks(self, pieces: AsyncIterable[bytes], check: Callable[[], None]) -> AsyncIterator[Chunk]:
        """Cut the pieces into chunks; an empty piece ends a chunk early. Others have their turn after each slice.

        `check` is called before each chunk and raises what ends the stream. However a stream ends, the lines that came whole are in a
        chunk before the error is raised: LimitExceeded, BadInput, or what `pieces` and `check` raise.
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
        """Cut parts until the slice is over or chunks are `found`; whether there may be more of them."""
        for part in parts:
            if part is not None:
                found.extend(self.lines.feed(part) if part else self.lines.flush())
            if found or SLICES.is_over:
                return True
        return False

    def _parts(self, piece: bytes) -> Iterator[bytes | None]:
        """What the piece brings to light, in parts of at most STEP_BYTES; an empty piece stays one. Raises LimitExceeded, BadInput.

        None after each step, which may bring nothing to light.
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
    """A piece, cut so that looking at each part takes no longer than others can wait."""
    for start in range(0, len(piece), STEP_BYTES):
        yield piece[start : start + STEP_BYTES]

"""A stream of JSON lines, cut into chunks in bounded memory."""

import zlib
from collections.abc import Iterator

from gateway.domain.ingestion import DOCUMENTS, Chunk
from gateway.errors import BadInput

LINE_BYTES = 1 << 20  # of a longer line no more is kept than shows that it is too long
CHUNK_BYTES = 4 << 20  # a chunk ends here even with fewer lines
PIECE_BYTES = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors put one in front of a file


class Lines:
    """Cuts whatever pieces a stream comes in. Blank lines are nothing, and do not count as places in it."""

    def __init__(self) -> None:
        self._begun = bytearray()  # of a line whose end has not come yet
        self._lines: list[bytes] = []
        self._bytes = 0
        self._index = 0
        self._at_start = True

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """The chunks that this piece completes."""
        *ended, begun = piece.split(b"\n")
        for part in ended:
            self._extend(part)
            yield from self._end_line()
        self._extend(begun)

    def end(self) -> Iterator[Chunk]:
        """What is left when the stream has ended; its last line needs no line break."""
        yield from self._end_line()
        if self._lines:
            yield self._cut()

    def _extend(self, part: bytes) -> None:
        room = LINE_BYTES + 1 - len(self._begun)
        self._begun += part[:room]

    def _end_line(self) -> Iterator[Chunk]:
        line = bytes(self._begun).strip()
        self._begun.clear()
        if self._at_start:
            line, self._at_start = line.removeprefix(BYTE_ORDER_MARK), False
        if line:
            self._lines.append(line)
            self._bytes += len(line)
        if len(self._lines) == DOCUMENTS or self._bytes >= CHUNK_BYTES:
            yield self._cut()

    def _cut(self) -> Chunk:
        chunk = Chunk(self._index, self._lines)
        self._index += len(self._lines)
        self._lines, self._bytes = [], 0
        return chunk


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
                unpacked = self._member.decompress(piece, PIECE_BYTES)
            except zlib.error as error:
                raise BadInput("The stream says that it is gzip, and is not.") from error
            more = len(unpacked) == PIECE_BYTES and not self._member.eof
            piece = self._member.unused_data or self._member.unconsumed_tail
            if unpacked:
                yield unpacked

    def end(self) -> None:
        """Raises BadInput where the stream ended too early."""
        if not self._member.eof:
            raise BadInput("The gzip stream ends before its end.")

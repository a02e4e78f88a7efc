"""Streams cut into lines and unpacked, however they come in."""

import asyncio
import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ingest.ingestion import MAX_DOCUMENTS
from gateway.errors import BadInput, LimitExceeded
from gateway.runtime import slices
from gateway.server.streams.ndjson import (
    BYTE_ORDER_MARK,
    MAX_BLANK_LINES,
    MAX_CHUNK_BYTES,
    MAX_LINE_BYTES,
    STEP_BYTES,
    Gunzip,
    Lines,
    Plain,
    Stream,
)


def chunks(pieces):
    lines = Lines()
    return [chunk for piece in pieces for chunk in lines.feed(piece)] + list(lines.end())


def pieces_of(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


def unpacked(packed, size):
    gunzip = Gunzip()
    found = [part for piece in pieces_of(packed, size) for part in gunzip.feed(piece)]
    gunzip.end()
    return found


LINES = st.binary(max_size=12).filter(lambda line: b"\n" not in line and BYTE_ORDER_MARK not in line)


@given(st.lists(LINES, max_size=30), st.integers(1, 40))
def test_chunks_do_not_depend_on_how_a_stream_is_cut(lines, size):
    text = b"\n".join(lines)
    found = [line for chunk in chunks(pieces_of(text, size)) for line in chunk.documents]
    assert found == [line.strip() for line in lines if line.strip()]


def test_blank_lines_are_skipped_and_the_last_line_needs_no_line_break():
    assert [(c.first_index, c.documents) for c in chunks([b'\n \n{"a":1}\r\n\t\n{"b":2}'])] == [
        (0, [b'{"a":1}', b'{"b":2}'])
    ]
    assert chunks([]) == chunks([b""]) == chunks([b"\n\n"]) == []


def test_a_byte_order_mark_is_skipped():
    assert chunks([b"\xef\xbb", b'\xbf{"a":1}\n'])[0].documents == [b'{"a":1}']


def test_a_chunk_is_full_after_a_thousand_lines_and_the_next_goes_on_counting():
    found = chunks([b"1\n" * (2 * MAX_DOCUMENTS + 1)])
    assert [(chunk.first_index, len(chunk.documents)) for chunk in found] == [
        (0, MAX_DOCUMENTS),
        (MAX_DOCUMENTS, MAX_DOCUMENTS),
        (2 * MAX_DOCUMENTS, 1),
    ]


def test_a_chunk_of_long_lines_is_full_with_fewer_lines():
    found = chunks([(b"x" * (MAX_CHUNK_BYTES // 4) + b"\n") * 6])
    assert [(chunk.first_index, len(chunk.documents)) for chunk in found] == [(0, 4), (4, 2)]


def test_an_endless_line_is_truncated():
    lines = Lines()
    tracemalloc.start()
    for _ in range(200):
        assert list(lines.feed(b"x" * MAX_LINE_BYTES)) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = [*lines.feed(b'\n{"a":1}\n'), *lines.end()]
    assert [len(line) for chunk in found for line in chunk.documents] == [MAX_LINE_BYTES + 1, 7]
    assert peak < 10 * MAX_LINE_BYTES


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50))
def test_chunks_do_not_depend_on_the_cuts_and_members_of_a_gzip_stream(members, size):
    packed = b"".join(gzip.compress(member) for member in members)
    assert b"".join(unpacked(packed, size)) == b"".join(members)


def test_well_compressed_data_are_decompressed_in_small_pieces():
    found = unpacked(gzip.compress(b"\0" * (50 * STEP_BYTES)), 1000)
    assert sum(map(len, found)) == 50 * STEP_BYTES
    assert max(map(len, found)) <= STEP_BYTES


def test_padding_after_the_last_member_is_skipped():
    assert unpacked(gzip.compress(b"a") + b"\0" * 100, 30) == [b"a"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_truncated_or_false_gzip_stream_is_an_error_that_says_so(size):
    whole = gzip.compress(b"something that is long enough to be cut")
    for packed in [b"", whole[:-1], whole[:15], whole[:3], b"plain text", whole + b"rest", whole + whole[:5]]:
        with pytest.raises(BadInput, match="gzip"):
            unpacked(packed, size)


# ---------------------------------------------------------------------------------------------- turns for others, and ends

MANY = 40 * STEP_BYTES
HOSTILE = {
    "blank lines": (b"\n" * MAX_BLANK_LINES, False),
    "lines of one byte": (b"1\n" * (MANY // 2), False),
    "lines of white space": (b" " * (MANY - 1) + b"\n", False),
    "a line without end": (b"x" * MANY, False),
    "the longest lines": ((b"x" * MAX_LINE_BYTES + b"\n") * 4, False),
    "garbage": (bytes(range(256)) * (MANY // 256), False),
    "blank lines, packed": (gzip.compress(b"\n" * MAX_BLANK_LINES), True),
    "gzip members of nothing": (gzip.compress(b"") * 4_000, True),
    "padding": (gzip.compress(b"1\n") + b"\0" * MANY, True),
}


class Meter:
    """Notes the most bytes that are looked at between two turns of the event loop."""

    def __init__(self, looked_at):
        self._looked_at, self.now, self.most = looked_at, 0, 0

    def __getattr__(self, name):
        return getattr(self._looked_at, name)

    def feed(self, piece):
        self.now += len(piece)
        self.most = max(self.most, self.now)
        return self._looked_at.feed(piece)


async def sent(*pieces):
    for piece in pieces:
        yield piece


async def cut(body, *, packed=False, limit=1 << 30, check=lambda: None):
    """All chunks of a stream that comes as one piece."""
    stream = Stream(Gunzip() if packed else Plain(), limit)
    return [chunk async for chunk in stream.chunks(sent(body), check)]


@pytest.mark.parametrize("what", HOSTILE)
async def test_the_event_loop_has_its_turn_after_each_step_whatever_the_bytes_are(what, monkeypatch):
    """With slices as short as can be."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 1e-9)
    body, packed = HOSTILE[what]
    stream = Stream(Meter(Gunzip() if packed else Plain()), 1 << 30)
    stream.lines = Meter(stream.lines)
    meters = [stream.unpacking, stream.lines]

    async def others():
        while True:
            for meter in meters:
                meter.now = 0
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    found = [chunk async for chunk in stream.chunks(sent(body), lambda: None)]
    task.cancel()
    assert max(meter.most for meter in meters) <= STEP_BYTES
    assert max([0, *(len(chunk.documents) for chunk in found)]) <= MAX_DOCUMENTS
    assert max([0, *(sum(map(len, chunk.documents)) for chunk in found)]) <= MAX_CHUNK_BYTES + MAX_LINE_BYTES + 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"  \t\n"])
async def test_a_stream_of_blank_lines_ends(blank, packed):
    body = b"1\n" + blank * MAX_BLANK_LINES
    assert len(await cut(gzip.compress(body) if packed else body, packed=packed)) == 1
    with pytest.raises(LimitExceeded, match="100,000 blank lines"):
        await cut(gzip.compress(body + blank) if packed else body + blank, packed=packed)


async def test_blank_lines_between_documents_are_no_reason_to_end():
    found = await cut((b"1\n" + b"\n" * (MAX_BLANK_LINES // 2)) * 5)
    assert [chunk.documents for chunk in found] == [[b"1"] * 5]


@pytest.mark.parametrize(
    ("body", "packed"),
    [(b"1\n" * 600, False), (gzip.compress(b"1\n" * 600), True), (gzip.compress(b"") * 60, True)],
    ids=["plain", "packed", "members"],
)
async def test_bytes_of_a_stream_are_bounded_compressed_or_not(body, packed):
    assert await cut(body, packed=packed, limit=1200) is not None
    with pytest.raises(LimitExceeded, match="999 bytes"):
        await cut(body, packed=packed, limit=999)


async def test_complete_lines_are_in_a_chunk_however_the_stream_ends():
    async def broken():
        yield b"1\n2\n3"
        raise BadInput("gone")

    for pieces, unpacking in [(broken(), Plain()), (sent(gzip.compress(b"1\n2\n3", 0)[:-1]), Gunzip())]:
        stream, found = Stream(unpacking, 1 << 30), []
        with pytest.raises(BadInput):
            async for chunk in stream.chunks(pieces, lambda: None):
                found += chunk.documents
        assert found == [b"1", b"2"]


async def test_an_empty_piece_ends_a_chunk_and_leaves_the_line_that_has_begun():
    stream = Stream(Plain(), 1 << 30)
    found = [chunk async for chunk in stream.chunks(sent(b"1\n2", b"", b"2\n", b"", b""), lambda: None)]
    assert [(chunk.first_index, chunk.documents) for chunk in found] == [(0, [b"1"]), (1, [b"22"])]

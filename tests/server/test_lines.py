"""Streams cut into lines and unpacked, however they come in."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ingestion import DOCUMENTS
from gateway.errors import BadInput
from gateway.server.lines import BYTE_ORDER_MARK, CHUNK_BYTES, LINE_BYTES, PIECE_BYTES, Gunzip, Lines


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
def test_it_does_not_matter_how_a_stream_is_cut(lines, size):
    text = b"\n".join(lines)
    found = [line for chunk in chunks(pieces_of(text, size)) for line in chunk.documents]
    assert found == [line.strip() for line in lines if line.strip()]


def test_blank_lines_are_nothing_and_the_last_line_needs_no_end():
    assert [(c.first_index, c.documents) for c in chunks([b'\n \n{"a":1}\r\n\t\n{"b":2}'])] == [
        (0, [b'{"a":1}', b'{"b":2}'])
    ]
    assert chunks([]) == chunks([b""]) == chunks([b"\n\n"]) == []


def test_a_byte_order_mark_in_front_is_nothing():
    assert chunks([b"\xef\xbb", b'\xbf{"a":1}\n'])[0].documents == [b'{"a":1}']


def test_a_chunk_is_full_after_a_thousand_lines_and_the_next_goes_on_counting():
    found = chunks([b"1\n" * (2 * DOCUMENTS + 1)])
    assert [(chunk.first_index, len(chunk.documents)) for chunk in found] == [
        (0, DOCUMENTS),
        (DOCUMENTS, DOCUMENTS),
        (2 * DOCUMENTS, 1),
    ]


def test_a_chunk_of_long_lines_is_full_before():
    found = chunks([(b"x" * (CHUNK_BYTES // 4) + b"\n") * 6])
    assert [(chunk.first_index, len(chunk.documents)) for chunk in found] == [(0, 4), (4, 2)]


def test_of_a_line_without_end_only_as_much_is_kept_as_shows_that_it_is_too_long():
    lines = Lines()
    tracemalloc.start()
    for _ in range(200):
        assert list(lines.feed(b"x" * LINE_BYTES)) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (chunk,) = [*lines.feed(b'\n{"a":1}\n'), *lines.end()]
    assert [len(line) for line in chunk.documents] == [LINE_BYTES + 1, 7]
    assert peak < 10 * LINE_BYTES


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50))
def test_it_does_not_matter_how_a_gzip_stream_is_cut_or_of_how_many_members_it_is(members, size):
    packed = b"".join(gzip.compress(member) for member in members)
    assert b"".join(unpacked(packed, size)) == b"".join(members)


def test_what_was_packed_well_comes_out_in_small_pieces():
    found = unpacked(gzip.compress(b"\0" * (50 * PIECE_BYTES)), 1000)
    assert sum(map(len, found)) == 50 * PIECE_BYTES
    assert max(map(len, found)) <= PIECE_BYTES


def test_padding_behind_the_last_member_is_nothing():
    assert unpacked(gzip.compress(b"a") + b"\0" * 100, 30) == [b"a"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_cut_off_or_false_gzip_stream_is_said(size):
    whole = gzip.compress(b"something that is long enough to be cut")
    for packed in [b"", whole[:-1], whole[:15], whole[:3], b"plain text", whole + b"rest", whole + whole[:5]]:
        with pytest.raises(BadInput, match="gzip"):
            unpacked(packed, size)

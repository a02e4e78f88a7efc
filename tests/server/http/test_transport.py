"""Packets: what is written in one turn of the loop leaves at once, and nothing is lost."""

import asyncio
import logging

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.server.http.transport import MAX_HELD_BYTES, CoalescingTransport, CompactCycle


class Line(asyncio.Transport):
    """Notes what is sent."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.sent, self.is_cut = [], False

    def writelines(self, pieces):
        self.sent.append(b"".join(pieces))

    def is_closing(self):
        return self.is_cut

    def close(self):
        self.is_cut = True


def opened():
    line = Line()
    return line, CoalescingTransport(line, asyncio.get_running_loop(), lambda: line.sent.append(b"closing"))


async def test_bytes_written_in_one_turn_are_sent_together_after_it():
    line, packets = opened()
    packets.write(b"head")
    packets.write(b"body")
    assert line.sent == []
    await asyncio.sleep(0)
    packets.write(b"more")
    await asyncio.sleep(0)
    assert line.sent == [b"headbody", b"more"]


async def test_a_response_leaves_with_its_last_piece_before_anything_else_is_done():
    line, packets = opened()
    cycle = Cycle(packets)
    await cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await cycle.send({"type": "http.response.body", "body": b"body", "more_body": True})
    assert line.sent == []
    await cycle.send({"type": "http.response.body", "body": b"tail"})
    assert [piece.endswith(b"\r\nbodytail") for piece in line.sent] == [True]
    await asyncio.sleep(0)
    assert len(line.sent) == 1


async def test_a_whole_response_leaves_at_once_and_nothing_is_left_for_the_next_turn(monkeypatch):
    line, packets = opened()
    later = []
    monkeypatch.setattr(packets, "flush", lambda: later.append(CoalescingTransport.flush(packets)))
    cycle = Cycle(packets)
    await cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await cycle.send({"type": "http.response.body", "body": b"body"})
    assert [piece.endswith(b"\r\n\r\nbody") for piece in line.sent] == [True]
    await asyncio.sleep(0)
    assert len(later) == 1


async def test_a_client_that_went_away_behind_the_head_gets_nothing():
    line, packets = opened()
    cycle = Cycle(packets)
    await cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    cycle.disconnected = line.is_cut = True
    await cycle.send({"type": "http.response.body", "body": b"body"})
    assert line.sent == []


async def test_held_bytes_are_bounded():
    line, packets = opened()
    for size in (1, MAX_HELD_BYTES, 1):
        packets.write(b"x" * size)
    assert [len(piece) for piece in line.sent] == [1 + MAX_HELD_BYTES]
    await asyncio.sleep(0)
    assert [len(piece) for piece in line.sent] == [1 + MAX_HELD_BYTES, 1]


async def test_written_bytes_are_sent_before_the_transport_is_closed():
    line, packets = opened()
    packets.write(b"head")
    packets.close()
    assert (line.sent, packets.is_closing()) == ([b"head", b"closing"], True)


async def test_nothing_is_sent_to_a_closed_client():
    line, packets = opened()
    packets.write(b"head")
    line.is_cut = True
    await asyncio.sleep(0)
    packets.close()
    assert line.sent == [b"closing"]


async def test_other_attributes_are_those_of_the_transport():
    _, packets = opened()
    assert packets.get_extra_info("peername") == ("127.0.0.1", 1)


class Cycle(CompactCycle):
    """A request to a connection that is kept, and notes what is written in its `line`."""

    def __init__(self, line, *, keep_alive=True, method="GET"):
        logger = logging.getLogger("test")
        given = {"scope": {"method": method}, "transport": line, "flow": FlowControl(line), "logger": logger}
        super().__init__(
            **given,
            access_logger=logger,
            access_log=False,
            default_headers=[(b"date", b"today")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=lambda: None,
        )


class Wire(Line):
    def write(self, data):
        self.sent.append(data)

    def send(self, *pieces):
        self.sent.extend(pieces)

    def flush(self):
        pass


STARTS = [
    [(b"content-length", b"4"), (b"content-type", b"text/plain")],
    [(b"content-type", b"text/plain")],
    [(b"content-length", b"4"), (b"connection", b"close")],
    [(b"transfer-encoding", b"chunked")],
]


@pytest.mark.parametrize("pieces", [[b"body"], [b"bo", b"dy"]])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("headers", STARTS)
async def test_a_response_has_the_bytes_that_uvicorn_would_send(headers, keep_alive, method, pieces):
    sent = []
    for kind in (CompactCycle, RequestResponseCycle):
        cycle = Cycle(Wire(), keep_alive=keep_alive, method=method)
        cycle.__class__ = kind
        await cycle.send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await cycle.send({"type": "http.response.body", "body": piece, "more_body": piece != pieces[-1]})
        sent.append((b"".join(cycle.transport.sent), cycle.keep_alive, cycle.response_complete, cycle.transport.is_cut))
    assert sent[0] == sent[1]
    assert sent[0][0].startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\n")


@pytest.mark.parametrize("wrong", [b"a\r\nset-cookie: x", b"a\nb", b"a\rb"])
async def test_a_header_with_a_line_break_is_never_sent(wrong):
    for header in ((b"x", wrong), (wrong, b"x")):
        cycle = Cycle(Wire())
        with pytest.raises(RuntimeError, match="Invalid HTTP header"):
            await cycle.send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0"), header]}
            )
        assert cycle.transport.sent == []


async def test_a_body_of_another_length_than_was_said_is_refused():
    cycle = Cycle(Wire())
    await cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    with pytest.raises(RuntimeError, match="longer"):
        await cycle.send({"type": "http.response.body", "body": b"body"})

"""Packets: what is written in one turn of the loop leaves at once, and nothing is lost."""

import asyncio

from gateway.server.packets import MOST, Packets


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
    return line, Packets(line, asyncio.get_running_loop(), lambda: line.sent.append(b"closing"))


async def test_what_is_written_in_one_turn_is_sent_at_its_end_at_once():
    line, packets = opened()
    packets.write(b"head")
    packets.write(b"body")
    assert line.sent == []
    await asyncio.sleep(0)
    packets.write(b"more")
    await asyncio.sleep(0)
    assert line.sent == [b"headbody", b"more"]


async def test_no_more_is_held_than_a_slow_client_may_cost():
    line, packets = opened()
    for size in (1, MOST, 1):
        packets.write(b"x" * size)
    assert [len(piece) for piece in line.sent] == [1 + MOST]
    await asyncio.sleep(0)
    assert [len(piece) for piece in line.sent] == [1 + MOST, 1]


async def test_what_is_written_is_sent_before_it_is_closed():
    line, packets = opened()
    packets.write(b"head")
    packets.close()
    assert (line.sent, packets.is_closing()) == ([b"head", b"closing"], True)


async def test_nothing_is_sent_to_who_is_gone():
    line, packets = opened()
    packets.write(b"head")
    line.is_cut = True
    await asyncio.sleep(0)
    packets.close()
    assert line.sent == [b"closing"]


async def test_everything_else_is_asked_of_the_transport():
    _, packets = opened()
    assert packets.get_extra_info("peername") == ("127.0.0.1", 1)

"""Received bytes are parsed in steps, and bytes that are slow to parse wait for their turn."""

import asyncio

import pytest

from gateway.server.http import parsing
from gateway.server.http.parsing import LONG_STEP_BYTES, MAX_LINES_OF_LONG_STEPS, STEP_BYTES, ParsingQueue


class Client:
    """A connection that parses as long as it wants to, and notes in `turns` who parsed when."""

    def __init__(self, name="", turns=None, *, until=10**9):
        self.name, self.turns, self.until = name, [] if turns is None else turns, until
        self.parsed, self.is_read = b"", True

    def parse(self, step):
        self.parsed += bytes(step)
        self.turns.append(self.name)
        return len(self.parsed) < self.until

    def pause_reading(self):
        self.is_read = False

    def resume_reading(self):
        self.is_read = True


@pytest.fixture
def dear(monkeypatch):
    """Every step takes longer than a turn may."""
    monkeypatch.setattr(parsing, "FIRST_SECONDS", 0)
    monkeypatch.setattr(parsing, "TURN_SECONDS", 0)


def bytes_of(steps):
    """Steps of lines, which are dear to parse."""
    return b"".join(bytes([number % 256, 13]) * (STEP_BYTES // 2) for number in range(steps))


async def until_read(*clients):
    async with asyncio.timeout(20):
        while not all(client.is_read for client in clients):  # noqa: ASYNC110 (each round is a turn of the loop)
            await asyncio.sleep(0)


async def test_cheap_bytes_are_parsed_at_once(monkeypatch):
    monkeypatch.setattr(parsing, "FIRST_SECONDS", 60)
    all_of_them, client = ParsingQueue(), Client()
    assert all_of_them.take(client, bytes_of(64), asyncio.get_running_loop())
    assert (client.parsed, client.is_read) == (bytes_of(64), True)


@pytest.mark.usefixtures("dear")
async def test_a_step_is_longer_where_there_are_few_lines():
    all_of_them, loop = ParsingQueue(), asyncio.get_running_loop()
    for lines, step in ((MAX_LINES_OF_LONG_STEPS, LONG_STEP_BYTES), (MAX_LINES_OF_LONG_STEPS + 1, STEP_BYTES)):
        client = Client()
        all_of_them.take(client, b"x\n" * (LONG_STEP_BYTES // 2) + b"\r\n" * lines, loop)
        assert (len(client.parsed), client.is_read) == (step, False)
        all_of_them.forget(client)


@pytest.mark.usefixtures("dear")
async def test_one_step_is_parsed_in_a_turn_of_the_loop_and_all_in_their_order():
    all_of_them, client, loop = ParsingQueue(), Client(), asyncio.get_running_loop()
    assert all_of_them.take(client, bytes_of(20) + b"end", loop)
    assert (len(client.turns), client.is_read, all_of_them.is_holding(client)) == (1, False, True)
    await asyncio.sleep(0)
    assert len(client.turns) <= 2
    await until_read(client)
    assert (client.parsed, all_of_them.is_holding(client)) == (bytes_of(20) + b"end", False)


@pytest.mark.usefixtures("dear")
async def test_turns_are_fair_however_much_one_connection_sends():
    all_of_them, turns, loop = ParsingQueue(), [], asyncio.get_running_loop()
    much, little = Client("much", turns), Client("little", turns)
    all_of_them.take(much, bytes_of(60), loop)
    all_of_them.take(little, bytes_of(3), loop)
    await until_read(little)
    assert turns.count("much") <= 5
    await until_read(much)
    assert much.parsed == bytes_of(60)


@pytest.mark.usefixtures("dear")
async def test_no_more_bytes_of_a_refused_or_closed_connection_are_parsed():
    all_of_them, loop = ParsingQueue(), asyncio.get_running_loop()
    refused, gone, other = Client(until=2 * STEP_BYTES), Client(), Client()
    for client in (refused, gone, other):
        all_of_them.take(client, bytes_of(10), loop)
    all_of_them.forget(gone)
    await until_read(other)
    assert (len(refused.turns), len(gone.turns), len(other.turns)) == (2, 1, 10)


@pytest.mark.usefixtures("dear")
async def test_waiting_bytes_are_bounded_in_all(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_HELD_BYTES", 10 * STEP_BYTES)
    all_of_them, loop = ParsingQueue(), asyncio.get_running_loop()
    first, second = Client(), Client()
    assert all_of_them.take(first, bytes_of(10), loop)
    assert not all_of_them.take(second, bytes_of(10), loop)
    assert all_of_them.take(second, b"small", loop)
    await until_read(first)
    assert all_of_them.take(second, bytes_of(10), loop)
    await until_read(second)

"""Callers beside a removal: how much they get done, and how long their longest call takes."""

import asyncio
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from client import Client
from world import World, event, record

from removing.documents import address

PER_WRITERS_CALL = 50
SECONDS_ALONE = 5.0
READ = """query Read($email: String!) { profiles(identities: [{key: {namespace: "Email", value: $email}}]) {
  status profile { id entityJson identities { value } events(first: 10) { nodes { id timestamp } } } } }"""


@dataclass
class Caller:
    """Calls one after the other until it is told to end, and counts what it got done."""

    world: World
    number: int = 0
    done: int = 0
    longest: float = 0.0
    numbers: Iterator[int] = field(default_factory=count)

    async def call(self, number: int) -> int:
        """Make the call of this number and return how much it did."""
        raise NotImplementedError

    async def run(self, is_over: asyncio.Event) -> None:
        self.done, self.longest = 0, 0.0
        while not is_over.is_set():
            begin = time.perf_counter()
            self.done += await self.call(next(self.numbers))
            self.longest = max(self.longest, time.perf_counter() - begin)


class Writer(Caller):
    """Writes records of people of its own and events of these, by turns."""

    async def call(self, number: int) -> int:
        phones = [("Phone", f"+{self.number * 1_000 + n}") for n in range(PER_WRITERS_CALL)]
        if number % 2:
            await self.world.records(*(record(phone, first_name=f"N{number}") for phone in phones))
        else:
            sent = [event(f"{phone}-{number}", "2026-01-01T12:00:00Z", (name, phone)) for name, phone in phones]
            await self.world.events(*sent)
        return len(phones)


class Reader(Caller):
    """Reads a profile with ten events, of one customer after the other."""

    customers = 500

    async def prepare(self) -> None:
        self.client = Client.of(self.world)
        for first in range(0, self.customers, PER_WRITERS_CALL):
            emails = [address(1_000_000_000 + n) for n in range(first, first + PER_WRITERS_CALL)]
            await self.world.records(*(record(email, first_name="Ann") for email in emails))
            await self.world.events(
                *(event(f"r{email}{n}", "2026-01-01T12:00:00Z", email) for email in emails for n in range(12))
            )

    async def call(self, number: int) -> int:
        data = await self.client.data(READ, email=address(1_000_000_000 + number % self.customers)[1])
        assert data["profiles"][0]["status"] == "FOUND", data
        return 1


@dataclass
class Beside:
    """What a caller got done a second, and the seconds of its longest call."""

    rate: float
    longest: float


async def beside(work: Awaitable[object], callers: Sequence[Caller]) -> tuple[float, list[Beside]]:
    """Let these call as long as the work takes. Return its seconds, and what became of each."""
    is_over = asyncio.Event()
    running = [asyncio.create_task(caller.run(is_over)) for caller in callers]
    begin = time.perf_counter()
    await work
    taken = time.perf_counter() - begin
    is_over.set()
    await asyncio.gather(*running)
    return taken, [Beside(caller.done / taken, caller.longest) for caller in callers]


async def alone(callers: Sequence[Caller]) -> list[Beside]:
    """Let these call with nothing beside them."""
    await beside(asyncio.sleep(1), callers)  # the first calls are not counted
    return (await beside(asyncio.sleep(SECONDS_ALONE), callers))[1]

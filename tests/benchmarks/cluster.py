"""Measures the CPU that reads and writes take on Citus clusters, compared with one Postgres.

    .venv/bin/python tests/benchmarks/cluster.py [--people 10000] [--rounds 3] NAME=ADDRESS [NAME=ADDRESS ...]

Each address is that of an empty database, a superuser's: of one Postgres, or of a coordinator to which its workers were added. The first is what others are
compared with. All servers are on this machine. Each store is filled with people, three identities each, and with ten events of some of
them; then all stores answer the same questions in turn, round by round, in this process: CPU is that of this process and of
all processes of all servers of the store. Figures are medians over the rounds.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import process_time
from typing import Any, Final
from uuid import UUID

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import Client
from reading.processes import seconds_of_all
from world import PEOPLE, World, event, record

from gateway.domain.reading.identities import read_identities
from gateway.storage.database import Database
from gateway.storage.migrations import migrate, spread

ACTIVE: Final = 500
"""People of whom there are ten events."""

CALL: Final = 1_000
LOOK_UP = "query ($key: IdentityKeyInput!) { profile(identity: {key: $key}) { entityJson } }"
NEWEST = """query ($key: IdentityKeyInput!) { profile(identity: {key: $key}) { entityJson
  events(first: 10, orderBy: {direction: DESC}) { nodes { eventType timestamp eventId } } } }"""
MANY = "query ($asked: [IdentityInput!]!) { profiles(identities: $asked) { profile { entityJson } } }"
NODES = "select nodename, nodeport from pg_dist_node where noderole = 'primary'"
POSTMASTER = "select pg_backend_pid()"


@dataclass
class Store:
    """A store that is measured: its world, and the postmasters of its servers."""

    name: str
    world: World
    client: Client
    postmasters: list[int]
    numbers: Iterator[int] = field(default_factory=count)
    xids: list[UUID] = field(default_factory=list)

    @classmethod
    async def open(cls, name: str, address: str) -> "Store":
        await migrate(address)
        await spread(address, lambda _: None)
        world = await World.create(await Database.connect(address))
        return cls(name, world, Client.of(world), await _postmasters(address))

    def cpu(self) -> float:
        """Seconds of this process and of all servers."""
        return process_time() + sum(map(seconds_of_all, self.postmasters))

    async def add_people(self, size: int) -> None:
        people = [next(self.numbers) for _ in range(size)]
        stored = await self.world.records(*(record(*_named(n), first_name=f"Person {n}") for n in people))
        assert stored.accepted == size

    async def add_events(self, people: range) -> None:
        number = next(self.numbers)
        events = [
            event(f"{number} {n} {k}", f"2026-01-{1 + k:02}T00:00:00.000Z", _named(n)[0], eventType="web.visit")
            for n in people
            for k in range(10)
        ]
        assert (await self.world.events(*events)).accepted == len(events)

    async def note_xids(self) -> None:
        """Note an identity of each person."""
        self.xids = [xids[0] for (xids,) in await self.world.db.rows(PEOPLE, self.world.scope.sandbox_id)]

    async def read_rows(self, turn: int) -> None:
        """Read one identity 400 times by the domain's verb: no read by a key can cost less than this."""
        for n in range(400):
            xid = self.xids[(n * 7 + turn * 401) % len(self.xids)]
            assert await read_identities(self.world.db, self.world.scope, [xid])

    async def ask(self, query: str, **variables: Any) -> None:
        await self.client.data(query, **variables)


async def main() -> None:
    chosen = _options()
    stores = [await Store.open(*each.split("=", 1)) for each in chosen.stores]
    for store in stores:
        for _ in range(chosen.people // CALL):
            await store.add_people(CALL)
        for start in range(0, ACTIVE, 100):
            await store.add_events(range(start, start + 100))
        await store.world.db.refresh_statistics()
        await store.note_xids()
    print(f"{chosen.people:,} people, ms of CPU for one (÷ {stores[0].name})\n")
    print(f"| | {' | '.join(store.name for store in stores)} |\n|---|{'---|' * len(stores)}")
    for title, times, work in _scenarios(chosen.people):
        taken: dict[str, list[float]] = {store.name: [] for store in stores}
        for turn in range(chosen.rounds + 1):
            for store in stores[:: 1 if turn % 2 else -1]:
                before = store.cpu()
                await work(store, turn)
                if turn:  # the first is for caches and prepared statements
                    taken[store.name].append(1_000 * (store.cpu() - before) / times)
        medians = {name: statistics.median(each) for name, each in taken.items()}
        base = medians[stores[0].name]
        print(f"| {title} | {' | '.join(f'{each:.3f} ({each / base:.2f})' for each in medians.values())} |", flush=True)
    for store in stores:
        await store.world.db.close()


def _scenarios(people: int) -> Iterator[tuple[str, int, Callable[[Store, int], Awaitable[None]]]]:
    """Yield each scenario with how many things it does; `turn` chooses of whom."""

    async def look_up(store: Store, turn: int) -> None:
        for n in range(400):
            await store.ask(LOOK_UP, key=_key((n * 7 + turn * 401) % people))

    async def newest(store: Store, turn: int) -> None:
        for n in range(200):
            await store.ask(NEWEST, key=_key((n * 2 + turn) % ACTIVE))

    async def many(store: Store, turn: int) -> None:
        for n in range(10):
            asked = [{"key": _key((k * 11 + n * 97 + turn) % people)} for k in range(200)]
            await store.ask(MANY, asked=asked)

    async def records(store: Store, _: int) -> None:
        await store.add_people(CALL)

    async def events(store: Store, turn: int) -> None:
        await store.add_events(range(turn * 100, turn * 100 + 100))

    yield "one row by its key", 400, Store.read_rows
    yield "key look-up", 400, look_up
    yield "profile + 10 events", 200, newest
    yield "200 identities", 10, many
    yield "record of a new person", CALL, records
    yield "event", CALL, events


def _named(number: int) -> tuple[tuple[str, str], ...]:
    return (
        ("Email", f"p{number}@example.com"),
        ("ECID", f"{number + 1:038d}"),
        ("Phone", f"+4930{number:07d}"),
    )


def _key(number: int) -> dict[str, str]:
    return {"namespace": "Email", "value": f"p{number}@example.com"}


async def _postmasters(address: str) -> list[int]:
    """Return the first process of each server: the parent of the one that serves us there."""
    coordinator = await asyncpg.connect(address)
    is_cluster = await coordinator.fetchval("select exists (select from pg_extension where extname = 'citus')")
    nodes = await coordinator.fetch(NODES) if is_cluster else []
    database = await coordinator.fetchval("select current_database()")
    found = [_parent(await coordinator.fetchval(POSTMASTER))]
    for host, port in nodes:
        connection = await asyncpg.connect(host=host, port=port, user="postgres", database=database)
        found.append(_parent(await connection.fetchval(POSTMASTER)))
        await connection.close()
    await coordinator.close()
    return list(dict.fromkeys(found))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", metavar="NAME=ADDRESS")
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())

"""Measures aborted batches: the answer, how fast the job empties the batch, and what writers notice of it.

    .venv/bin/python tests/benchmarks/removal.py [--events 100000] [--kinds people visitors …] [--plans]

Everything runs in this process on an embedded Postgres of its own (fsync on), worker and writers included, as in a gateway of one process.
Each kind of batch is loaded and aborted twice: alone, and beside writers, whose rate and longest call are measured before, too. `--plans`
lets Postgres log the plans of the job's statements that take 20 ms or more.
"""

import argparse
import asyncio
import gc
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from working import work_off
from world import World, event, record

from gateway.domain.facts.batches import read_batch
from gateway.domain.operations.batch_removal import abort_batch
from gateway.domain.operations.verification import verify
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

PER_CALL = 1_000
WRITERS = 4
PER_WRITERS_CALL = 50
SECONDS_ALONE = 5.0
EVENTS_OF_ONE = 50

Identity = tuple[str, str]
Names = Callable[[int, int], tuple[Identity, ...]]
"""Who did the event of this number, of so many."""


def device(number: int) -> Identity:
    return "ECID", f"{number + 1:038d}"


def address(number: int) -> Identity:
    return "Email", f"p{number}@example.com"


KINDS: dict[str, tuple[str, Names]] = {
    "people": ("50 events each of new people", lambda n, of: (device(n % (of // EVENTS_OF_ONE)),)),
    "visitors": ("one event each of new visitors", lambda n, _: (device(n),)),
    "tied": (
        "50 events each of new people who log in",
        lambda n, of: (device(n % (of // EVENTS_OF_ONE)), address(n % (of // EVENTS_OF_ONE))),
    ),
    "devices": ("50 events each of customers' devices", lambda n, of: (device(n % (of // EVENTS_OF_ONE)),)),
    "known": (
        "50 events each of customers who log in",
        lambda n, of: (device(n % (of // EVENTS_OF_ONE)), address(n % (of // EVENTS_OF_ONE))),
    ),
}


def calls(names: Names, events: int) -> Iterator[list[dict[str, Any]]]:
    """Return the documents of each call: page views in the order of time, so that everybody's are spread over the batch."""
    page = {"webPageDetails": {"name": "Home", "URL": "https://shop.example/", "pageViews": {"value": 1}}}
    for first in range(0, events, PER_CALL):
        yield [
            event(
                f"e{n}",
                f"2026-01-{n % 28 + 1:02d}T12:00:00Z",
                *names(n, events),
                eventType="web.webpagedetails.pageViews",
                web=page,
            )
            for n in range(first, min(first + PER_CALL, events))
        ]


async def loaded(world: World, kind: str, events: int, key: str) -> Any:
    """Load a batch of this kind into an empty sandbox, and return its id."""
    await world.empty()
    names = KINDS[kind][1]
    if kind in ("known", "devices"):
        people = range(events // EVENTS_OF_ONE)
        for first in range(0, len(people), PER_CALL):
            await world.records(
                *(record(address(n), device(n), first_name=f"N{n}") for n in people[first : first + PER_CALL])
            )
    batch_id = await world.batch(f"{kind} {key}", world.shop)
    todo = calls(names, events)

    async def loader() -> None:
        for documents in todo:
            await world.events(*documents, batch_id=batch_id)

    await asyncio.gather(*(loader() for _ in range(3)))
    await world.db.refresh_statistics()
    return batch_id


@dataclass
class Writers:
    """Writers of records of their own people and of events of these, by turns, until they are told to end."""

    world: World
    numbers: Iterator[int] = field(default_factory=count)
    documents: int = 0
    longest: float = 0.0
    is_over: bool = False

    async def run(self, number: int) -> None:
        for call in self.numbers:
            if self.is_over:
                return
            people = [(number * 1_000 + n, call) for n in range(PER_WRITERS_CALL)]
            begin = time.perf_counter()
            if call % 2:
                await self.world.records(
                    *(record(("Phone", f"+{p}"), first_name=f"N{turn}") for p, turn in people), dataset=self.world.crm
                )
            else:
                now = "2026-01-01T12:00:00Z"
                await self.world.events(*(event(f"w{p}-{turn}", now, ("Phone", f"+{p}")) for p, turn in people))
            self.longest = max(self.longest, time.perf_counter() - begin)
            self.documents += PER_WRITERS_CALL

    async def beside(self, work: Any) -> tuple[float, float]:
        """Write as long as the work takes. Return documents a second, and the seconds of the longest call."""
        self.documents, self.longest, self.is_over = 0, 0.0, False
        running = [asyncio.create_task(self.run(number)) for number in range(WRITERS)]
        begin = time.perf_counter()
        await work
        taken = time.perf_counter() - begin
        self.is_over = True
        await asyncio.gather(*running)
        return self.documents / taken, self.longest


async def emptied(world: World) -> None:
    assert await work_off(world.db, world.configurations) >= 1


async def measured(world: World, kind: str, events: int) -> None:
    """Print the figures of a kind of batch."""
    batch_id = await loaded(world, kind, events, "alone")
    begin = time.perf_counter()
    await abort_batch(world.db, world.scope, batch_id)
    answered = time.perf_counter() - begin
    begin = time.perf_counter()
    await emptied(world)
    alone = events / (time.perf_counter() - begin)
    assert (await read_batch(world.db, world.scope, batch_id)).status == "ABORTED"
    assert await verify(world.db, world.scope, world.configurations) == []

    batch_id = await loaded(world, kind, events, "beside")
    writers = Writers(world)
    await writers.beside(asyncio.sleep(1))  # the first calls are not counted
    rate, longest = await writers.beside(asyncio.sleep(SECONDS_ALONE))
    await abort_batch(world.db, world.scope, batch_id)
    begin = time.perf_counter()
    rate_beside, longest_beside = await writers.beside(emptied(world))
    beside = events / (time.perf_counter() - begin)
    assert await verify(world.db, world.scope, world.configurations) == []
    print(
        f"| {KINDS[kind][0]:<39} | {answered * 1000:>5.0f} ms | {alone:>9,.0f}/s | {beside:>9,.0f}/s "
        f"| {rate_beside / rate:>5.2f} of {rate:>6,.0f}/s | {longest_beside * 1000:>5.0f} ms, before {longest * 1000:>4.0f} ms |",
        flush=True,
    )


async def main(chosen: argparse.Namespace) -> None:
    print(f"{platform.machine()}, Python {platform.python_version()}, {chosen.events:,} events, {WRITERS} writers\n")
    print(
        f"| {'batch':<39} | {'answer':>8} | {'alone':>11} | {'beside':>11} | {'writers keep':>18} | {'longest call':>22} |"
    )
    print(f"|{'-' * 41}|{'-' * 10}|{'-' * 13}|{'-' * 13}|{'-' * 20}|{'-' * 24}|")
    plans = {
        "shared_preload_libraries": "auto_explain",
        "auto_explain.log_min_duration": "20",
        "auto_explain.log_analyze": "on",
    }
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as home:
        Path(home).chmod(0o711)
        async with Cluster(Path(home) / "data", settings=plans if chosen.plans else {}) as cluster:
            await migrate(cluster.dsn())
            db = await Database.connect(cluster.dsn(), size=10)
            for kind in chosen.kinds:
                await measured(await World.create(db), kind, chosen.events)
            await db.close()
            if chosen.plans:
                for log in Path(home).rglob("*.log"):
                    print(log.read_text())


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options.add_argument("--plans", action="store_true")
    gc.set_threshold(20_000, 20, 20)  # as the server has it
    uvloop.run(main(options.parse_args()))

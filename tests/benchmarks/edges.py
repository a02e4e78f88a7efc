"""Measures deliveries to edges: how soon a committed change is there, how fast an edge catches up, and what a projection takes.

    .venv/bin/python tests/benchmarks/edges.py [--small]

Hub, projector and the stores of two edges run on one embedded Postgres (fsync on), everything else in this process. `--small` takes a tenth of
everything, to see that it runs.

    catching up   people with a record and ten events, at an edge that is new: profiles a second
    visible       records changed at 500 a second, from the commit until the edge has the change: with one edge and with two
    bytes         of the tables and indexes of an edge, for each projection
"""

import argparse
import asyncio
import platform
import resource
import statistics
import sys
from pathlib import Path
from time import perf_counter

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge.hub import Hub, looked_up
from places import reachable_directory
from world import World, event, record

from gateway.domain.config.projection_configurations import EventWindow
from gateway.domain.edges.centers import name_center
from gateway.postgres.cluster import Cluster
from gateway.server.projector import projecting
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.migrations import migrate
from gateway.storage.queries import EDGE, Query

PER_SECOND, PER_CALL = 500, 10
SIZE = Query(
    "bench.size",
    "select sum(pg_total_relation_size(c)) from unnest(array['edge.projection', 'edge.identity']::regclass[]) c",
    (),
    (),
    "rows",
    "For benchmarks.",
)
COUNT = Query("bench.count", "select count(*) from edge.projection", (), (), "rows", "For benchmarks.")


def person(number: int) -> tuple[str, str]:
    return ("Email", f"person{number}@example.com")


async def filled(world: World, people: int) -> None:
    """Store people with a record and ten events each."""
    for start in range(0, people, 500):
        some = range(start, min(start + 500, people))
        await world.records(*(record(person(n), first_name=f"Name {n}") for n in some))
        for day in range(1, 11):
            await world.events(*(event(f"e{n}-{day}", f"2026-10-{day:02}T00:00:00Z", person(n)) for n in some))


async def caught_up(hub: Hub, people: int, seconds: float) -> float:
    """Return the seconds until the edge has everybody."""
    begin = perf_counter()
    async with asyncio.timeout(seconds):
        while await hub.edge.value(COUNT) < people or not (await looked_up(hub, person(0)))[0]:  # noqa: ASYNC110 (what is waited for is in another database)
            await asyncio.sleep(0.05)
    return perf_counter() - begin


async def visible(hubs: list[Hub], people: int, seconds: float) -> list[float]:
    """Change people at a steady pace, one in each call is looked for at every edge; return how long each took to be there."""
    world, waits, looking = hubs[0].world, list[float](), list[asyncio.Task[None]]()

    async def seen(hub: Hub, number: int, name: str, begin: float) -> None:
        while True:
            (found,) = await looked_up(hub, person(number))
            if found and found["person"]["name"]["firstName"] == name:
                waits.append(perf_counter() - begin)
                return
            await asyncio.sleep(0.005)

    begin, calls = perf_counter(), int(seconds * PER_SECOND / PER_CALL)
    for call in range(calls):
        await asyncio.sleep(max(0.0, begin + call * PER_CALL / PER_SECOND - perf_counter()))
        numbers = [(call * PER_CALL + one) % people for one in range(PER_CALL)]
        await world.records(*(record(person(n), first_name=f"Call {call}") for n in numbers))
        committed = perf_counter()
        if call % 10 == 0:
            looking += [asyncio.create_task(seen(hub, numbers[0], f"Call {call}", committed)) for hub in hubs]
    took = perf_counter() - begin
    async with asyncio.timeout(60):
        await asyncio.gather(*looking)
    print(f"  {calls * PER_CALL / took:,.0f} changes/s")
    return waits


async def main(*, is_small: bool) -> None:
    people, seconds = (1_000, 5) if is_small else (10_000, 30)
    with reachable_directory() as path:
        async with Cluster(path / "data") as cluster:
            await migrate(cluster.dsn())
            db = await Database.connect(cluster.dsn(), size=10)
            world, hubs = await World.create(db), list[Hub]()
            for code in ("VA6", "OR2"):
                await cluster.create_database(f"edge_{code.lower()}")
                await migrate(cluster.dsn(f"edge_{code.lower()}"), EDGE)
                edge = await Database.connect(cluster.dsn(f"edge_{code.lower()}"), size=4)
                await name_center(edge, code)
                hubs.append(Hub(world, edge, code))
            await filled(world, people)
            await db.refresh_statistics()
            print(f"{platform.processor() or platform.machine()}, {people:,} people")
            window = EventWindow("eventType,timestamp", last=5)
            await world.project("names", "person.name,personalEmail", window, to=("VA6", "OR2"))
            for count in (1, 2):
                named = ",".join(
                    f"{hub.data_center}={cluster.dsn(f'edge_{hub.data_center.lower()}')}" for hub in hubs[:count]
                )
                cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime
                async with projecting(db, world.configurations, Settings(edges=named)):
                    took = await caught_up(hubs[count - 1], people, 300)
                    print(f"edge {count}: caught up at {people / took:,.0f} profiles/s")
                    waits = sorted(await visible(hubs[:count], people, seconds))
                    p99 = waits[int(len(waits) * 0.99) - 1]
                    print(
                        f"  {count} edges: visible after {statistics.median(waits) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
                    )
                used = resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu
                print(f"  CPU of this process {used:.1f} s, callers included")
            size = await hubs[0].edge.value(SIZE)
            print(f"{size / await hubs[0].edge.value(COUNT):,.0f} bytes for a projection")
            for hub in hubs:
                await hub.edge.close()
            await db.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a tenth of everything")
    uvloop.run(main(is_small=parser.parse_args().small))

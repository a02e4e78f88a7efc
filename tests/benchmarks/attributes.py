"""Measures what computed attributes cost: ingestion of events with ten active ones, reading the past for one, and reading ten values.

    .venv/bin/python tests/benchmarks/attributes.py [--events 100000] [--reads]

On an embedded Postgres of its own (fsync on), in this process, without HTTP: purchases of 1,700 people within a year, in calls of 1,000, of
people by chance and of 1,000 different ones, in turns with and without attributes; then people by chance, in turns without and with ten values.
Times are medians, and CPU of this process and Postgres. With `--reads` no ingestion is measured.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import Client
from data_directories import initialize
from places import reachable_directory
from world import World

from gateway.api.execution.operations import Request
from gateway.domain.rules.durations import parse_duration
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

PEOPLE, CALL = 1_700, 1_000
PRICE, BOUGHT = "commerce.order.priceTotal", 'xEvent[eventType = "commerce.purchases"]'
TEN = {
    "orders": (f"{BOUGHT}.count()", "P1Y"),
    "visits": ("xEvent.count()", None),
    "spent": (f"{BOUGHT}.sum({PRICE})", None),
    "recentOrders": (f"{BOUGHT}.count()", "P30D"),
    "recentlySpent": (f"{BOUGHT}.sum({PRICE})", "P30D"),
    "lastVisit": ("xEvent.max(timestamp)", None),
    "average": (f"{BOUGHT}.average({PRICE})", None),
    "largest": (f"xEvent.max({PRICE})", "P1Y"),
    "lastKind": ("xEvent.topN(timestamp, 1).head().eventType", None),
    "smallest": (f"xEvent.min({PRICE})", "P30D"),
}


def purchases(count: int, *, are_different: bool) -> Iterator[dict[str, Any]]:
    """Return purchases; of each CALL of them, by so many different people or by people by chance."""
    chance, now = random.Random(1), datetime.now(UTC)
    for n in range(count):
        person = n % CALL if are_different else chance.randrange(PEOPLE)
        lines = [
            {"SKU": str(chance.randrange(90_000)), "quantity": 1, "priceTotal": chance.randrange(900) / 100}
            for _ in range(6)
        ]
        yield {
            "_id": f"p{n}",
            "timestamp": (now - timedelta(days=365 * (1 - n / count))).isoformat(),
            "eventType": "commerce.purchases",
            "identityMap": {"ECID": [{"id": f"{person:038d}", "primary": True}]},
            "commerce": {"order": {"currencyCode": "USD", "priceTotal": sum(line["priceTotal"] for line in lines)}},
            "productListItems": lines,
        }


async def publish(world: World, name: str) -> None:
    text, lookback = TEN[name]
    await world.publish(name, text, lookback and parse_duration(lookback))


PERSON = """query ($who: String!) { profile(identity: {key: {namespace: "ECID", value: $who}}) {
  entity { person { name { firstName } } %s } %s
  events(first: 10, orderBy: {field: TIMESTAMP, direction: DESC}) { nodes { id timestamp eventType entity { commerce { order { priceTotal } } } } } } }"""
ROUNDS, READS = 5, 300


class Clock:
    """The CPU seconds of this process and of a Postgres."""

    def __init__(self, data: Path) -> None:
        self._postmaster = int((data / "postmaster.pid").read_text().split()[0])

    def read(self) -> float:
        ticks = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue  # it has ended
                if int(fields[1]) == self._postmaster:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


async def ingestion(cluster: Cluster, events: int, *, are_different: bool) -> None:
    worlds = []
    for name in ("without", "with"):
        await cluster.create_database(f"{name}_{are_different}".lower())
        dsn = cluster.dsn(f"{name}_{are_different}".lower())
        await migrate(dsn)
        worlds.append(await World.create(await Database.connect(dsn, size=4)))
    for name in TEN:
        await publish(worlds[1], name)
    documents, times = list(purchases(events, are_different=are_different)), ([], [])
    for start in range(0, events, CALL):
        for world, taken in zip(worlds, times, strict=True):
            begin = time.perf_counter()
            await world.events(*documents[start : start + CALL])
            taken.append(time.perf_counter() - begin)
    without, with_ten = (CALL / statistics.median(taken) for taken in times)
    of = "1,000 different people a call" if are_different else "people by chance"
    print(
        f"events/s, {of}: {without:,.0f} without, {with_ten:,.0f} with ten attributes: {1 - with_ten / without:.0%} fewer"
    )
    for world in worlds:
        await world.db.close()


async def past_and_reading(cluster: Cluster, events: int, clock: Clock) -> None:
    await cluster.create_database("past")
    await migrate(cluster.dsn("past"))
    world = await World.create(await Database.connect(cluster.dsn("past"), size=4))
    documents = list(purchases(events, are_different=False))
    for start in range(0, events, CALL):
        await world.events(*documents[start : start + CALL])
    for name in TEN:
        begin, used = time.perf_counter(), clock.read()
        await publish(world, name)
        seconds, cpu = time.perf_counter() - begin, clock.read() - used
        print(f"events/s read for {name} {TEN[name][1] or ''}: {events / seconds:,.0f}; by CPU {events / cpu:,.0f}")
    await reading(world, clock)
    await world.db.close()


async def reading(world: World, clock: Clock) -> None:
    """Ask for people by chance, in turns without and with ten values, with a part of the document and ten events each time."""
    names = [{"person": {"name": {"firstName": f"F{person}"}}} for person in range(PEOPLE)]
    people = [
        {"identityMap": {"ECID": [{"id": f"{person:038d}", "primary": True}]}, **named}
        for person, named in enumerate(names)
    ]
    for start in range(0, PEOPLE, CALL):
        await world.records(*people[start : start + CALL])
    client, own = Client.of(world), f"_{world.scope.organization.code}"
    scope, chance = await client.scope(), random.Random(2)
    asked = {
        "without": PERSON % ("", ""),
        "by entity": PERSON % (f"{own} {{ ComputedAttributes {{ {' '.join(TEN)} }} }}", ""),
        "by computedAttributes": PERSON % ("", "computedAttributes { value }"),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, text in asked.items():
            times, used = [], clock.read()
            for _ in range(READS):
                variables = {"who": f"{chance.randrange(PEOPLE):038d}"}
                begin = time.perf_counter()
                await client.operations.run(scope, Request(text, variables))
                times.append(time.perf_counter() - begin)
            spent[name].append(((clock.read() - used) / READS, statistics.median(times)))
    for name, rounds in spent.items():
        pairs = list(zip(rounds, spent["without"], strict=True))
        cpu, latency = (statistics.median(each[place] / alone[place] for each, alone in pairs) for place in (0, 1))
        own_cpu, own_latency = (1000 * statistics.median(each[place] for each in rounds) for place in (0, 1))
        print(
            f"a person and 10 events, ten values {name}: {own_cpu:.2f} ms of CPU, {own_latency:.2f} ms; {cpu:.2f} and {latency:.2f} times"
        )


async def measure(events: int, *, reads_only: bool) -> None:
    with reachable_directory() as home:
        initialize(home / "data")
        async with Cluster(home / "data") as cluster:
            clock = Clock(home / "data" / "postgres")
            for are_different in () if reads_only else (False, True):
                await ingestion(cluster, events // 2, are_different=are_different)
            await past_and_reading(cluster, events, clock)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--events", type=int, default=100_000)
    arguments.add_argument("--reads", action="store_true")
    chosen = arguments.parse_args()
    asyncio.run(measure(chosen.events, reads_only=chosen.reads))

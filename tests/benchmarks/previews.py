"""Measures how long a preview takes: all of it, and parts of it, under both kinds of identity graphs.

    .venv/bin/python tests/benchmarks/previews.py [--people 100000] [--events 1000000]

On an embedded Postgres of its own (fsync off, as loading is not measured), in this process, without HTTP. Each person has an e-mail address and a
browser, four of five a record in one dataset and four of ten in another, and events of the last 500 days in two datasets under the browser.
Tables are vacuumed once they are loaded, as Postgres does by itself in a minute or two.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from data_directories import initialize
from places import reachable_directory
from reading.processes import Meter
from world import World, event, record

from gateway.domain.config import datasets, policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.reading.previews import ALL_COUNTS, DATA, PEOPLE, PROFILES, preview_profiles
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

CALL, CALLERS, ROUNDS = 1_000, 4, 5
PARTS = {"all": ALL_COUNTS, "number of profiles": {PROFILES}, "datasets": {DATA}, "people": {PEOPLE}}


def browser(person: int) -> tuple[str, str]:
    return "ECID", f"{person + 1:038d}"


def records(people: int, *, of_five: int) -> Iterator[dict[str, Any]]:
    return (record(("Email", f"p{n}@example.com"), browser(n)) for n in range(people) if n % 5 < of_five)


def visits(people: int, count: int, name: str) -> Iterator[dict[str, Any]]:
    chance, now = random.Random(name), datetime.now(UTC)
    for n in range(count):
        at = now - timedelta(seconds=chance.randrange(500 * 86_400))
        yield event(f"{name}{n}", at.isoformat(), browser(chance.randrange(people)), eventType="web.visit")


def calls(documents: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while call := [each for _, each in zip(range(CALL), documents, strict=False)]:
        yield call


async def load(world: World, people: int, events: int) -> None:
    again = await datasets.create_dataset(world.db, world.scope, name="App", schema_id=world.shop.schema_id)
    app = replace(world, shop=again)
    work = [
        *((world.records, call, {"dataset": world.crm}) for call in calls(records(people, of_five=4))),
        *((world.records, call, {"dataset": world.loyalty}) for call in calls(records(people, of_five=2))),
        *((world.events, call, {}) for call in calls(visits(people, events * 3 // 4, "shop"))),
        *((app.events, call, {}) for call in calls(visits(people, events // 4, "app"))),
    ]

    async def caller(number: int) -> None:
        for verb, call, options in work[number::CALLERS]:
            result = await verb(*call, **options)
            assert not result.failed

    await asyncio.gather(*map(caller, range(CALLERS)))


async def measured(world: World, policy_id: UUID, wanted: set[str], meter: Meter) -> tuple[float, float, float]:
    """Return the shortest and the median time of a preview, and what each took of Postgres's CPU."""
    taken, (_, before) = [], meter.read()
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        await preview_profiles(world.db, world.scope, world.configurations, policy_id, seconds=600, wanted=wanted)
        taken.append(time.perf_counter() - begin)
    _, after = meter.read()
    return min(taken), statistics.median(taken), (after - before) / ROUNDS


async def main(people: int, events: int) -> None:
    with reachable_directory() as home:
        initialize(home / "data")
        async with Cluster(home / "data", settings={"fsync": "off"}) as cluster:
            await migrate(cluster.dsn())
            db = await Database.connect(cluster.dsn(), size=8)
            world = await World.create(db)
            alone = PolicySettings(
                "Alone",
                IdentityGraphType.NONE,
                AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED),
                is_active_on_edge=True,
            )
            await policies.create_policy(db, world.scope, alone)
            await load(world, people, events)
            connection = await asyncpg.connect(cluster.dsn())
            await connection.execute("vacuum analyze")
            await connection.close()
            print("| policy | counted | shortest | median | CPU of Postgres |\n|---|---|---|---|---|")
            meter = Meter.of(os.getpid(), home / "data")
            for policy in (await world.config()).policies.values():
                for name, wanted in PARTS.items():
                    times = await measured(world, policy.policy_id, wanted, meter)
                    print(f"| {policy.settings.name} | {name} | {' | '.join(f'{each:.2f} s' for each in times)} |")
            await db.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, default=100_000)
    options.add_argument("--events", type=int, default=1_000_000)
    uvloop.run(main(**vars(options.parse_args())))

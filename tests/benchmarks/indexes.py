"""Measures what an index for searches costs those who write.

    .venv/bin/python tests/benchmarks/indexes.py [--people 50000] [--rounds 40]

Everything runs in this process on an embedded Postgres of its own (fsync on). Two copies of one database take the same documents, a thousand
at a time and in turns: one has an index, the other none. CPU is what the one backend of each takes, which says more than time where others use
the machine; for ingestion as a whole, the CPU of this process comes to it.
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from working import work_off
from world import World, event, record

from gateway.domain.config.search_indexes import create_search_index
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate
from gateway.storage.queries import Query

SIZE = 1_000
WARM = 2
"""Rounds that do not count."""
SOME_TYPES = ("commerce.purchases", "web.webpagedetails.pageViews", "commerce.productViews", "commerce.productListAdds")
PID = Query("benchmark.pid", "select pg_backend_pid()", (), (), "value", "For this benchmark.")
HOT = Query(
    "benchmark.hot",
    "select (select 100 * n_tup_hot_upd / greatest(n_tup_upd, 1) from pg_stat_user_tables where relname = 'profile')",
    (), (), "value", "For this benchmark.",
)  # fmt: skip
SETTLE = Query("benchmark.settle", "vacuum analyze", (), (), "none", "For this benchmark.")
Documents = list[dict[str, Any]]


def person(n: int, version: int) -> dict[str, Any]:
    return record(
        *(("Email", f"p{n}@example.com"), ("Phone", f"+1 513 {n:07d}"), ("ECID", f"{n + 1:038d}")),
        person={"name": {"firstName": f"Given{n}", "lastName": f"Name{n * 7919 % 10_007}"}, "birthDate": "1985-04-12"},
        personalEmail={"address": f"p{n}@example.com"},
        homeAddress={"street1": f"{version} Main Street", "city": f"City{n % 500}", "postalCode": "45202"},
    )


def purchase(n: int, people: int) -> dict[str, Any]:
    items = [{"SKU": f"{n * 31 % 5_000 + place}", "quantity": 1, "priceTotal": n % 97 + place} for place in range(3)]
    return event(
        *(f"e{n}", f"2026-01-{n % 28 + 1:02d}T{n % 24:02d}:00:00Z", ("Email", f"p{n * 7919 % people}@example.com")),
        eventType=SOME_TYPES[n % 4],
        commerce={"order": {"purchaseID": f"o{n}", "priceTotal": n % 997 / 4}},
        productListItems=items,
    )


class Taken(NamedTuple):
    """Nanoseconds of CPU that a round took of the backend and of this process."""

    backend: int
    process: int


@dataclass
class Side:
    """One of the two databases, and what each round took."""

    world: World
    pid: int
    taken: list[Taken] = field(default_factory=list)

    async def take(self, documents: Documents, *, are_events: bool) -> None:
        gc.collect()
        before = self._used()
        ingest = self.world.events if are_events else self.world.records
        assert (await ingest(*documents)).accepted == len(documents)
        self.taken.append(Taken(*(now - then for now, then in zip(self._used(), before, strict=True))))

    def _used(self) -> tuple[int, int]:
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]), time.process_time_ns()


async def compare(cluster: Cluster, world: World, path: str, name: str, rounds: Iterator[Documents]) -> None:
    """Print what documents cost without the index, and what it adds."""
    are_events = name == "events"
    async with AsyncExitStack() as stack:
        sides: list[Side] = []
        for number, indexed in enumerate((path, "")):
            database = f"side{number}"
            await cluster.create_database(database, template="filled")
            db = await Database.connect(cluster.dsn(database), size=1)
            stack.push_async_callback(cluster.drop_database, database)
            stack.push_async_callback(db.close)
            side = Side(world.inside_of(db), await db.value(PID))
            if indexed:
                config = await side.world.config()
                await create_search_index(db, side.world.scope, config, config.default_policy, indexed)
                await work_off(db, side.world.configurations)
            sides.append(side)
        for number, documents in enumerate(rounds):
            for side in sides[:: 1 if number % 2 else -1]:
                await side.take(documents, are_events=are_events)
        indexed, plain = (each(side, lambda taken: taken.backend) for side in sides)
        process = min(each(side, lambda taken: taken.process) for side in sides)
        hot = [await side.world.db.value(HOT) for side in reversed(sides)]
    more = indexed - plain
    parts = [more / plain, more / (plain + process)]
    cells = [
        f"{plain:8.1f} {process:8.1f} {more:+8.1f}",
        *(f"{100 * part:+6.1f} %" for part in parts),
        f"{hot[0]}, {hot[1]}",
    ]
    print(f"{name:14} {path:32} {' '.join(cells)}", flush=True)


def each(side: Side, of: Callable[[Taken], int]) -> float:
    """Microseconds of CPU for a document: the median of the rounds."""
    return median(of(taken) for taken in side.taken[WARM:]) / SIZE / 1_000


async def main(people: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as place:
        Path(place).chmod(0o711)
        async with Cluster(Path(place) / "data") as cluster:
            await cluster.create_database("filled")
            await migrate(cluster.dsn("filled"))
            db = await Database.connect(cluster.dsn("filled"), size=1)
            world = await World.create(db)
            for start in range(0, people, SIZE):
                await world.records(*(person(n, 0) for n in range(start, start + SIZE)))
                await world.events(*(purchase(n, people) for n in range(start, start + SIZE)))
            async with db.altering(wait_seconds=60) as session:
                await session.execute(SETTLE)
            await db.close()
            print(
                "what, index over; µs of the backend, of the process, more of the backend; of the one, of both; HOT updates in %"
            )
            new = [range(people + start, people + start + SIZE) for start in range(0, rounds * SIZE, SIZE)]
            again = [range(n % 4 * SIZE, n % 4 * SIZE + SIZE) for n in range(rounds)]
            for path in ("xEvent.eventType", "xEvent.commerce.order.priceTotal"):
                await compare(cluster, world, path, "events", ([purchase(n, people) for n in each] for each in new))
            for path in ("homeAddress.city", "personalEmail.address"):
                await compare(cluster, world, path, "new people", ([person(n, 0) for n in each] for each in new))
                await compare(
                    cluster,
                    world,
                    path,
                    "people again",
                    ([person(n, version) for n in each] for version, each in enumerate(again, 1)),
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    uvloop.run(main(given.people, given.rounds))

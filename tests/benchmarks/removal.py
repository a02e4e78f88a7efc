"""Measures removals: how fast they go, and what callers notice of them.

    .venv/bin/python tests/benchmarks/removal.py [--small] [--only dataset …] [--kinds people …] [--plans]

Everything runs in this process on an embedded Postgres of its own (fsync on), worker and callers included, as in a gateway of one process.

    batches   100,000 events of each kind in a batch that is aborted: alone, and beside four writers
    dataset   1,000,000 events of 20,000 people in a dataset that is deleted: alone, and beside a reader and a writer
    people    1,000 people with 20 records and 200 events each who are erased, and what is left of each looked for

What callers beside it get done is told as a part of what they get done alone, as is their longest call. `--small` takes a tenth or less of
everything, to see that it runs. `--plans` lets Postgres log the plans of statements that take 20 ms or more.
"""

import argparse
import gc
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from removing.documents import KINDS
from removing.parts import batch, dataset, people
from world import World

from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

PLANS = {
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "20",
    "auto_explain.log_analyze": "on",
}


@dataclass(frozen=True)
class Size:
    """How much of everything is removed."""

    batch: int
    dataset: int
    people: int
    records: int
    events: int
    """The last two: of each of these people."""


SMALL = Size(batch=5_000, dataset=10_000, people=50, records=20, events=50)
FULL = Size(batch=100_000, dataset=1_000_000, people=1_000, records=20, events=200)


async def batches(db: Database, size: Size, kinds: Sequence[str]) -> None:
    table("batch", "answer", "alone", "beside", "writers keep", "longest call")
    for kind in kinds:
        row(KINDS[kind][0], *await batch(await World.create(db), kind, size.batch))


async def of_datasets(db: Database, size: Size, kinds: Sequence[str]) -> None:
    table("dataset", "alone", "beside", "reader keeps", "writer keeps", "longest read", "longest write")
    for kind in kinds:
        row(KINDS[kind][0], *await dataset(await World.create(db), kind, size.dataset))


async def of_people(db: Database, size: Size, _: Sequence[str]) -> None:
    table("people", "erased in", "records and events", "verifyErasure", "its longest")
    told = f"{size.people:,} with {size.records} records and {size.events} events each"
    row(told, *await people(await World.create(db), size.people, size.records, size.events))


def table(*heads: str) -> None:
    print()
    row(*heads)
    row(*("---" for _ in heads))


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


PARTS = {"batches": (batches, list(KINDS)), "dataset": (of_datasets, ["people"]), "people": (of_people, [])}
"""What measures each part, and of which kinds of events unless others are chosen."""


async def main(chosen: argparse.Namespace) -> None:
    size = SMALL if chosen.small else FULL
    print(f"{platform.machine()}, Python {platform.python_version()}, {size}")
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as home:
        Path(home).chmod(0o711)
        async with Cluster(Path(home) / "data", settings=PLANS if chosen.plans else {}) as cluster:
            await migrate(cluster.dsn())
            db = await Database.connect(cluster.dsn(), size=10)
            for part in chosen.only:
                measure, kinds = PARTS[part]
                await measure(db, size, chosen.kinds or kinds)
            await db.close()
            if chosen.plans:
                for log in Path(home).rglob("*.log"):
                    print(log.read_text())


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--small", action="store_true")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--kinds", nargs="+", choices=KINDS)
    options.add_argument("--plans", action="store_true")
    gc.set_threshold(20_000, 20, 20)  # as the server has it
    uvloop.run(main(options.parse_args()))

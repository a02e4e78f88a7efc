"""Measures exports: how fast they are, what memory they take, pyarrow beside them, and what others notice of them.

    .venv/bin/python tests/benchmarks/exports.py [--people 100000] [--events 1000000]

On an embedded Postgres of its own (fsync off, as loading is not measured), without HTTP. Everybody has a record with a name, an address and a membership,
and purchases under a browser. Each export is done by a process of its own, which does nothing else; CPU is that of this process and of Postgres. A row of
the first table: people are read at the instant (the spool), then written; then their events are. pyarrow writes the same rows with the same types from
memory: from Python objects, and from its own arrays. Ingestion runs in this process, alone and beside an export of everything.
"""

import argparse
import asyncio
import multiprocessing
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from data_directories import initialize
from exported import folder_of
from places import reachable_directory
from reading.processes import Meter
from world import World, event, record

from gateway.domain.config.configuration import Configurations
from gateway.domain.operations import export_spool
from gateway.domain.operations.export_jobs import (
    ExportEvents,
    ExportFormat,
    ExportJob,
    ExportRequest,
    ExportStage,
    create_export_job,
    read_export_jobs,
)
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_profiles import export_profiles
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

CALL, CALLERS = 1_000, 4
POLL_SECONDS = 0.05
ALONE_SECONDS = 6.0
SPOOL = "spool"
SOME_FIELDS = "person.name,homeAddress.city,loyalty"
SOME_EVENT_FIELDS = "eventType,commerce.order.priceTotal"
CITIES = ("Leeds", "York", "Bath", "Ely", "Wells", "Truro", "Durham", "Ripon")


def browser(person: int) -> tuple[str, str]:
    return "ECID", f"{person + 1:038d}"


def customers(people: range) -> Iterator[dict[str, Any]]:
    for n in people:
        address = {"street1": f"{n % 200} High Street", "city": CITIES[n % 8], "postalCode": f"{n % 90_000 + 10_000}"}
        yield {
            **record(("Email", f"p{n}@example.com"), browser(n)),
            "person": {"name": {"firstName": f"First{n % 500}", "lastName": f"Last{n % 7_000}"}, "gender": "female"},
            "homeAddress": {**address, "countryCode": "GB"},
            "personalEmail": {"address": f"p{n}@example.com", "primary": True},
            "loyalty": {"tier": "Gold", "points": n % 9_000, "joinDate": "2024-05-06T07:08:09Z"},
        }


def purchases(people: int, count: int, name: str) -> Iterator[dict[str, Any]]:
    chance, now = random.Random(name), datetime.now(UTC)
    for n in range(count):
        at, price = now - timedelta(seconds=chance.randrange(500 * 86_400)), chance.randrange(100, 90_000) / 100
        order = {"purchaseID": f"{name}-{n}", "priceTotal": price, "currencyCode": "GBP"}
        yield event(
            f"{name}{n}",
            at.isoformat(),
            browser(chance.randrange(people)),
            eventType="commerce.purchases",
            commerce={"order": order, "purchases": {"value": 1}},
            productListItems=[{"SKU": f"sku-{n % 900}", "quantity": n % 3 + 1, "priceTotal": price}],
        )


def calls(documents: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while call := [each for _, each in zip(range(CALL), documents, strict=False)]:
        yield call


async def load(world: World, people: int, events: int) -> None:
    work = [
        *((world.records, call) for call in calls(customers(range(people)))),
        *((world.events, call) for call in calls(purchases(people, events, "e"))),
    ]

    async def caller(number: int) -> None:
        for verb, call in work[number::CALLERS]:
            assert not (await verb(*call)).failed

    await asyncio.gather(*map(caller, range(CALLERS)))


# ------------------------------------------------------------------------------------------------ an export, by a process of its own


@dataclass(slots=True)
class Run:
    """An export that has ended: the seconds of its stages, of CPU in its process and in Postgres, for which the lock was held, and the most memory."""

    export: ExportJob
    seconds: dict[str, float]
    own: float
    postgres: float
    locked: float
    megabytes: float


def work_in_a_process(dsn: str, scope: Scope, locations: Locations, pipe: Any) -> None:
    """Do one export, and tell how long the lock was held, and the most memory that was used."""

    async def work() -> float:
        db, locked = await Database.connect(dsn, size=4), list[float]()
        options = {"locations": locations, "days": 7, "most": 10**10}
        lock = export_spool.lock_exclusive

        @asynccontextmanager
        async def timed(*args: Any, **options: Any) -> Any:
            async with lock(*args, **options) as tx:
                begin = time.perf_counter()
                yield tx
            locked.append(time.perf_counter() - begin)

        export_spool.lock_exclusive = timed  # type: ignore[assignment]
        pipe.send(None)
        pipe.recv()
        claim = await leases.claim(db, [JobKind.EXPORT_PROFILES])
        assert claim is not None
        await leases.carry_out(db, claim, export_profiles(db, scope, Configurations(), claim, **options))
        await db.close()
        return max(locked)

    locked = uvloop.run(work())
    pipe.send((locked, int(_status("VmHWM").split()[0]) / 1_024))
    pipe.recv()


def _status(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith(name))


async def run(world: World, dsn: str, data: Path, locations: Locations, **wanted: Any) -> Run:
    """Do an export in a process of its own."""
    config = await world.config()
    policy = wanted.pop("policy", None) or config.default_policy
    request = ExportRequest(policy.policy_id, policy.version, **wanted)
    made = await create_export_job(world.db, world.scope, config, request, locations)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work_in_a_process, args=(dsn, world.scope, locations, theirs))
    process.start()
    await asyncio.to_thread(ours.recv)
    meter = Meter.of(process.pid or 0, data)
    before = meter.read()
    ours.send(None)
    seconds = await _stages(world, made)
    locked, megabytes = await asyncio.to_thread(ours.recv)
    own, postgres = (b - a for a, b in zip(before, meter.read(), strict=True))
    ours.send(None)
    process.join()
    (export,) = await read_export_jobs(world.db, world.scope, [made.job_id])
    assert export is not None
    assert export.job.error is None, export.job.error
    return Run(export, seconds, own, postgres, locked, megabytes)


async def _stages(world: World, made: ExportJob) -> dict[str, float]:
    """Wait until an export has ended, and return how long it was in each stage."""
    seconds, last, stage = dict[str, float](), time.perf_counter(), SPOOL
    while stage != ExportStage.NOTHING:
        await asyncio.sleep(POLL_SECONDS)
        (now,) = await read_export_jobs(world.db, world.scope, [made.job_id])
        assert now is not None
        assert now.job.error is None, now.job.error
        at = time.perf_counter()
        seconds[stage] = seconds.get(stage, 0) + at - last
        last, stage = at, _stage(now)
    return seconds


def _stage(export: ExportJob) -> str:
    state = export.state
    if state is None:
        return SPOOL
    return ExportStage.EVENTS if state.stage is ExportStage.PEOPLE and state.profiles == state.people else state.stage


# ------------------------------------------------------------------------------------------------ pyarrow, and ingestion


def pyarrow_rates(path: Path, directory: Path) -> list[str]:
    """Return how many rows pyarrow writes of those in a file in a second, and in one of CPU: from Python objects, and from its own arrays."""
    table = pq.read_table(path)
    rows, rates = table.to_pylist(), list[str]()
    for made in (lambda: pa.Table.from_pylist(rows, schema=table.schema), lambda: table):
        begin, cpu = time.perf_counter(), time.process_time()
        pq.write_table(made(), directory / "rows.parquet", compression="zstd")
        seconds, own = time.perf_counter() - begin, time.process_time() - cpu
        rates += [f"{len(rows) / seconds:,.0f}", f"{len(rows) / own:,.0f}"]
    return rates


async def ingesting(world: World, people: int, name: str, until: Callable[[], bool]) -> tuple[int, list[float]]:
    """Ingest purchases in two callers until that is so. Return how many documents came in, and when each call had ended."""
    ends, documents = list[float](), 0

    async def caller(number: int) -> None:
        nonlocal documents
        for call in calls(purchases(people, 10**9, f"{name}{number}-")):
            if until():
                return
            assert not (await world.events(*call)).failed
            documents += len(call)
            ends.append(time.perf_counter())

    await asyncio.gather(*map(caller, range(2)))
    return documents, ends


async def beside(world: World, people: int, export: Callable[[], Awaitable[Run]]) -> tuple[float, float, float, Run]:
    """Return documents a second that come in alone, while an export fills its spool, and while it writes its files."""
    begin = time.perf_counter()
    alone, _ = await ingesting(world, people, "alone", lambda: time.perf_counter() > begin + ALONE_SECONDS)
    alone_rate = alone / (time.perf_counter() - begin)
    task, begin = asyncio.ensure_future(export()), time.perf_counter()
    _, ends = await ingesting(world, people, "beside", task.done)
    found = await task
    over = max(ends)
    started = over - sum(found.seconds.values())  # the process begins to work once it has been started
    filled = started + found.seconds[SPOOL]
    spooling = CALL * sum(started < end <= filled for end in ends) / (filled - started)
    writing = CALL * sum(filled < end for end in ends) / (over - filled)
    return alone_rate, spooling, writing, found


# ------------------------------------------------------------------------------------------------


def line(name: str, found: Run) -> str:
    """Return a line of the first table."""
    state = found.export.state
    assert state is not None
    spool, people = found.seconds[SPOOL], found.seconds.get(ExportStage.PEOPLE, 0)
    events = found.seconds.get(ExportStage.EVENTS, 0)
    rate = f"{state.profiles / (spool + people):,.0f}/s"
    event_rate = f"{state.events / events:,.0f}/s" if events and state.events else ""
    told = (f"{spool:.1f} + {people:.1f} s", rate, f"{events:.1f} s" if event_rate else "", event_rate)
    cpu = f"{found.own:.1f} + {found.postgres:.1f} s"
    return f"| {name} | {' | '.join(told)} | {cpu} | {found.megabytes:.0f} MB | {found.locked * 1_000:.1f} ms |"


async def main(people: int, events: int, *, only: str) -> None:
    with reachable_directory() as home:
        initialize(home / "data")
        async with Cluster(home / "data", settings={"fsync": "off"}) as cluster:
            dsn = cluster.dsn()
            await migrate(dsn)
            db = await Database.connect(dsn, size=8)
            world = await World.create(db)
            begin = time.perf_counter()
            await load(world, people, events)
            connection = await asyncpg.connect(dsn)
            await connection.execute("vacuum analyze")
            await connection.close()
            print(f"Loaded in {time.perf_counter() - begin:.0f} s.\n")
            locations, everything = Locations(home / "exports"), {"events": ExportEvents()}
            some = {"fields": SOME_FIELDS, "events": ExportEvents(SOME_EVENT_FIELDS)}

            async def export(**wanted: Any) -> Run:
                return await run(world, dsn, home / "data", locations, **wanted)

            print("| export | people, read + written | | events | | CPU, process + Postgres | memory | lock |")
            print("|---|---|---|---|---|---|---|---|")
            for name, wanted in (
                ("people to Parquet", {}),
                ("all to Parquet", everything),
                ("some fields to Parquet", some),
                ("all to JSONL", {**everything, "format": ExportFormat.JSONL}),
            ):
                if only not in name:
                    continue
                found = await export(**wanted)
                print(line(name, found), flush=True)
                if name == "all to Parquet":
                    folder = folder_of(world, locations, found.export)
            print(
                "\n| pyarrow writes | from Python objects, in a second | of CPU | from its own arrays | of CPU |\n|---|---|---|---|---|"
            )
            for kind in ("profiles", "events"):
                with suppress(UnboundLocalError):
                    rates = await asyncio.to_thread(pyarrow_rates, folder / f"{kind}-00001.parquet", home)
                    print(f"| {kind} | {' | '.join(rates)} |", flush=True)
            if only in "ingestion":
                alone, spooling, writing, found = await beside(world, people, lambda: export(**everything))
                print("\n| ingestion of events | documents/s | of alone |\n|---|---|---|")
                for name, rate in (
                    ("alone", alone),
                    ("while people are read", spooling),
                    ("while files are written", writing),
                ):
                    print(f"| {name} | {rate:,.0f} | {rate / alone:.2f} |")
                print(f"\nBeside it: {line('all to Parquet', found)}")
            await db.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, default=100_000)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--only", default="", help="a part of the name of an export, or `ingestion`")
    given = vars(options.parse_args())
    uvloop.run(main(given.pop("people"), given.pop("events"), **given))

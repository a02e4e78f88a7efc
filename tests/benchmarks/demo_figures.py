"""Measures computed attributes over the whole demo: what they cost ingestion and reads, how fast the past is read for a new one, and searches.

    .venv/bin/python tests/benchmarks/demo_figures.py [--events 40000] [--only reads]

On an embedded Postgres of its own on disk (fsync on), in this process, without HTTP; reads over HTTP, from a server beside it, asked by wrk. The
demo is of 2017, so for attributes of a year the clock stands behind the end of that year. Lifetime values of all households are compared with
what pyarrow counts in the file. CPU is that of this process and of Postgres together, of reads that of the server and of Postgres: on a
machine that others use, it says more than the times.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson
from client import Client
from reading.load import Load, require_wrk
from reading.processes import Meter, in_turn
from reading.store import execute
from reading.subjects import ours
from recount import spent
from rich.progress import Progress
from world import World

from gateway.demo.catalogue import documents
from gateway.demo.configuration import ATTRIBUTES
from gateway.demo.loader import load_demo
from gateway.demo.setup import set_up
from gateway.demo.source import Journey
from gateway.domain.config import sandboxes
from gateway.domain.config.computed_attributes import AttributeStatus, update_attribute
from gateway.domain.config.datasets import count_records
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.scope import SandboxType, Scope
from gateway.server.deployment import open_deployment
from gateway.settings import read_settings
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

CALL = 1_000
NOW = "2018-01-02T00:00:00Z"
BOUGHT, PRICE = 'xEvent[eventType = "commerce.purchases"]', "commerce.order.priceTotal"
YEARLY = {
    "spentThisYear": f"{BOUGHT}.sum({PRICE})",
    "ordersThisYear": f"{BOUGHT}.count()",
    "largestThisYear": f"{BOUGHT}.max({PRICE})",
}
MONTHLY = {
    "spentThisMonth": f"{BOUGHT}.sum({PRICE})",
    "lastKind": "xEvent.topN(timestamp, 1).head().eventType",
}
"""With the five of the demo ten in all."""
PARTS = ["searches", "past", "reads", "ingestion"]


class Clock:
    """The seconds since it was made: by the wall, and of a CPU in this process and in Postgres."""

    def __init__(self, data: Path) -> None:
        self._postmaster = int((data / "postmaster.pid").read_text().split()[0])
        self._begin, self._used = time.perf_counter(), self._cpu()

    def seconds(self) -> tuple[float, float]:
        return time.perf_counter() - self._begin, self._cpu() - self._used

    def _cpu(self) -> float:
        ticks = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue  # it has ended
                if int(entry.name) == self._postmaster:
                    ticks += sum(map(int, fields[11:15]))  # with those of processes that have ended
                elif int(fields[1]) == self._postmaster:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


def batched(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    left = iter(items)
    while some := tuple(islice(left, size)):
        yield some


def told(what: str, figure: str, goal: str = "") -> None:
    print(f"| {what} | {figure} | {goal} |", flush=True)


def rate(count: int, seconds: tuple[float, float]) -> str:
    wall, cpu = seconds
    return f"{count / wall:,.0f}/s; by CPU {count / cpu:,.0f}/s"


async def in_shop(db: Database, scope: Scope) -> World:
    """Return the demo's sandbox as a world whose shop takes purchases."""
    world = World(db, scope, *[None] * 3)  # type: ignore[arg-type] # a world of datasets that are there
    world.shop = next(each for each in (await world.config()).datasets.values() if each.name == "Purchases")
    return world


# ------------------------------------------------------------------------------------------------ the whole demo


async def recount(client: Client, journey: Journey) -> None:
    """Compare lifetime values of all households with what pyarrow counts in the file."""
    paid, begin = spent(journey.directory / "transactions.parquet"), time.perf_counter()
    policies = (await client.data("{ mergePolicies { nodes { id name } } }"))["mergePolicies"]["nodes"]
    policy = next(each["id"] for each in policies if each["name"] == "No stitching")
    found = {}
    for some in batched(paid, 200):
        query = """query ($keys: [IdentityInput!]!, $policy: ID) { profiles(identities: $keys, mergePolicyId: $policy) {
          profile { computedAttributes(names: ["lifetimeValue"]) { value isComplete } } } }"""
        data = await client.data(query, keys=[household(each) for each in some], policy=policy)
        values = [each["profile"]["computedAttributes"][0] for each in data["profiles"]]
        found |= {
            each: value["isComplete"] and round(value["value"] * 100) for each, value in zip(some, values, strict=True)
        }
    assert found == paid, "the gateway counts otherwise than pyarrow"
    told(
        "lifetime values of households that equal pyarrow's",
        f"{len(found):,} of {len(paid):,}, ${sum(paid.values()) / 100:,.2f} in all; {time.perf_counter() - begin:.1f} s",
        "all",
    )


def household(number: int) -> dict[str, Any]:
    return {"key": {"namespace": "Household", "value": str(number)}}


async def past(world: World, data: Path, sent: Iterator[dict[str, Any]]) -> None:
    """Publish attributes of a year: beside ingestion of further purchases, and alone."""
    config = await world.config()
    kept = [
        each.dataset_id
        for each in config.datasets.values()
        if config.schemas[each.schema_id].xdm_class is XdmClass.EXPERIENCE_EVENT
    ]
    count = sum(await count_records(world.db, world.scope, kept))
    alone = await ingested(world, sent, Clock(data), calls=15)
    async with ingesting(world, sent) as taken:
        await asyncio.sleep(1)
        taken.clear()
        clock = Clock(data)
        name, *others = YEARLY
        await world.publish(name, YEARLY[name], parse_duration("P1Y"))
        seconds = clock.seconds()
        beside = len(taken) * CALL / seconds[0]
    told("a new attribute of a year beside ingestion: events read", f"{count / seconds[0]:,.0f}/s", "200,000/s")
    told("ingestion meanwhile, beside ingestion alone", f"{beside:,.0f}/s : {alone:,.0f}/s = {beside / alone:.2f}")
    for name in others:
        clock = Clock(data)
        await world.publish(name, YEARLY[name], parse_duration("P1Y"))
        told(
            f"a new attribute of a year, nothing beside it: {YEARLY[name].rpartition('].')[2]}",
            rate(count, clock.seconds()),
        )


async def ingested(world: World, sent: Iterator[dict[str, Any]], clock: Clock, *, calls: int) -> float:
    for _ in range(calls):
        await world.events(*islice(sent, CALL))
    return calls * CALL / clock.seconds()[0]


@asynccontextmanager
async def ingesting(world: World, sent: Iterator[dict[str, Any]]) -> AsyncIterator[list[None]]:
    """Ingest calls of purchases for as long as the block runs, and yield a list that has an entry for each."""
    taken = list[None]()

    async def send() -> None:
        while True:
            await world.events(*islice(sent, CALL))
            taken.append(None)

    sending = asyncio.create_task(send())
    try:
        yield taken
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def reads(home: Path, dsn: str, tenant: str, seconds: int, rounds: int) -> None:
    """Read households over HTTP without values, and with ten in both forms, so many rounds of seconds each."""
    execute(dsn, f"alter database gateway set gateway.now = '{NOW}'")
    names = [*(each.name for each in ATTRIBUTES), *YEARLY, *MONTHLY]
    forms = {
        "without": "",
        "computedAttributes": f"computedAttributes(names: {json.dumps(names)}) {{ value }}",
        "entity": f"with: entity {{ _{tenant} {{ ComputedAttributes {{ {' '.join(names)} }} }} }}",
    }
    with ours(home / "data") as server:
        loads = {}
        for form, fields in forms.items():
            query = f"query ($of: IdentityInput!) {{ profile(identity: $of) {{ id entity {{ person {{ name {{ lastName }} }} }} {fields} }} }}"
            bodies = [orjson.dumps({"query": query, "variables": {"of": household(1 + each)}}) for each in range(2_400)]
            load = Load.of(home, form, f"{server.url}/graphql", server.headers, bodies)
            loads[form] = Meter.of(server.pid, home / "data"), load
        for connections in (1, 8):
            found = in_turn(loads, seconds, rounds, connections)
            cost = {
                form: statistics.mean(each.own + each.postgres for each in measured) for form, measured in found.items()
            }
            for form in ("computedAttributes", "entity"):
                told(
                    f"a read with ten values (`{form}`), to one without, {connections} at once: CPU",
                    f"{cost[form] / cost['without']:.2f} times ({cost['without']:.2f} ms, {cost[form]:.2f} ms)",
                    "1.3 times",
                )


async def search(client: Client) -> None:
    """Search everybody by a lifetime sum, page after page: the first time, and later."""
    where = f"_{client.world.scope.organization.code}.ComputedAttributes.lifetimeValue > 2000"
    query = "query ($where: String!, $after: String) { searchProfiles(where: $where, first: 1000, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"
    times, people = [], 0
    for _ in range(6):
        begin, people, after, is_more = time.perf_counter(), 0, None, True
        while is_more:
            page = (await client.data(query, where=where, after=after))["searchProfiles"]
            people, after, is_more = (
                people + len(page["nodes"]),
                page["pageInfo"]["endCursor"],
                page["pageInfo"]["hasNextPage"],
            )
        times.append(time.perf_counter() - begin)
    told(
        f"a search by a lifetime sum over all people, {people:,} found: first; later",
        f"{times[0]:.2f} s; {statistics.median(times[1:]):.2f} s",
        "1 s",
    )


# ------------------------------------------------------------------------------------------------ ingestion


async def ingestion(
    db: Database, scope: Scope, data: Path, sent: Iterable[dict[str, Any]], *, what: str, goal: str
) -> None:
    """Ingest calls of the same events in turns in two sandboxes: without attributes, and with ten."""
    worlds, times = [], ([], [])
    for ten in (False, True):
        name = f"{'ten' if ten else 'none'}-{len(what)}"
        sandbox = await sandboxes.create_sandbox(db, scope, name, None, SandboxType.DEVELOPMENT)
        own = await read_own_scope(db, sandbox.sandbox_id)
        assert own is not None
        world = await prepared(db, own)
        await (publish_rest(world) if ten else switch_off(world))
        worlds.append(world)
    for call in batched(sent, CALL):
        for world, taken in zip(worlds, times, strict=True):
            clock = Clock(data)
            result = await world.events(*call)
            taken.append(clock.seconds())
            assert result.accepted == len(call), result
    without, with_ten = (tuple(map(statistics.median, zip(*taken, strict=True))) for taken in times)
    fewer, more = 1 - without[0] / with_ten[0], 1 - without[1] / with_ten[1]
    told(
        f"events/s {what}: without, with ten attributes",
        f"{CALL / without[0]:,.0f}, {CALL / with_ten[0]:,.0f}: {fewer:.0%} fewer; by CPU {more:.0%}",
        goal,
    )


async def prepared(db: Database, scope: Scope) -> World:
    world = World(db, scope, *[None] * 3)  # type: ignore[arg-type] # a world of datasets that are there
    await set_up(db, scope, world.configurations)
    return await in_shop(db, scope)


async def switch_off(world: World) -> None:
    config = await world.config()
    for each in config.attributes.values():
        off = AttributeStatus.DISABLED
        await update_attribute(world.db, world.scope, config.unions, each.attribute_id, {}, most=25, status=off)


async def publish_rest(world: World) -> None:
    await publish_yearly(world)
    await publish_monthly(world)


async def publish_yearly(world: World) -> None:
    for name, text in YEARLY.items():
        await world.publish(name, text, parse_duration("P1Y"))


async def publish_monthly(world: World) -> None:
    for name, text in MONTHLY.items():
        await world.publish(name, text, parse_duration("P30D"))


def of_different_people(sent: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return events in another order: each CALL of them are of so many different people."""
    waiting = defaultdict[str, list[dict[str, Any]]](list)
    for each in sent:
        waiting[each["identityMap"]["Household"][0]["id"]].append(each)
    while len(waiting) >= CALL:
        for number in sorted(waiting, key=lambda number: -len(waiting[number]))[:CALL]:
            yield waiting[number].pop()
            if not waiting[number]:
                del waiting[number]


async def measure(events: int, only: list[str]) -> None:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o711)
        async with open_deployment(read_settings(data_dir=home / "data")) as deployment:
            data, journey, scope = home / "data" / "postgres", Journey.installed(), await deployment.scope()
            print("| what | figure | goal |\n|---|---|---|")
            clock = Clock(data)
            await load_demo(deployment.db, scope, Progress(disable=True), full=True)
            told("`gateway demo --full` loaded", f"{clock.seconds()[0]:.0f} s")
            own = await read_own_scope(deployment.db, scope.sandbox_id)
            assert own is not None
            today = await in_shop(deployment.db, own)
            await today.backfill()
            if "searches" in only:
                await recount(Client.of(today), journey)
                await search(Client.of(today))
            dsn = f"postgresql://gateway@/gateway?host={home}/data/socket"
            db = await Database.connect(f"{dsn}&gateway.now={NOW}", size=8)
            world = await in_shop(db, own)
            await (past(world, data, again(journey, own)) if "past" in only else publish_yearly(world))
            await publish_monthly(world)
            await db.refresh_statistics()
            if "reads" in only:
                await asyncio.to_thread(reads, home, dsn, own.organization.code, 3, 5)
            if "ingestion" in only:
                await ingesting_with_ten(db, scope, journey, data, events)
            await db.close()
    print(f"in {timedelta(seconds=round(time.perf_counter() - begin))}")


async def ingesting_with_ten(db: Database, scope: Scope, journey: Journey, data: Path, events: int) -> None:
    sent = list(islice(documents(journey, "purchases", full=True, tenant=scope.organization.code), events * 3))
    await ingestion(db, scope, data, sent[-events:], what="with the demo's purchases", goal="40 %")
    some = islice(of_different_people(sent), events)
    await ingestion(db, scope, data, some, what="of 1,000 different people a call", goal="55 %")


def again(journey: Journey, scope: Scope) -> Iterator[dict[str, Any]]:
    """Return the purchases once more, with other ids."""
    for each in documents(journey, "purchases", full=True, tenant=scope.organization.code):
        yield {**each, "_id": f"again-{each['_id']}"}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--events", type=int, default=40_000)
    arguments.add_argument("--only", type=lambda text: text.split(","), default=PARTS)
    given = arguments.parse_args()
    if "reads" in given.only:
        require_wrk()
    asyncio.run(measure(given.events, given.only))

"""Measures linking people, merging all profiles again, and writers that share identities.

    .venv/bin/python tests/benchmarks/identities.py

Everything runs in this process on an embedded Postgres of its own (fsync on). Each figure stands beside what it is measured against,
taken in the same run.
"""

import asyncio
import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from working import work_off
from world import World, event, record

from gateway.domain.config import policies
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.operations.verification import verify
from gateway.domain.rules.graphs import IdentityType, Member, Rules, Tie, resolve
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.postgres.cluster import Cluster
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

WRITERS = 16
PEOPLE = 1_000
ROUNDS = 3
Documents = list[dict[str, Any]]


def milliseconds_to_resolve() -> float:
    """Measure a graph of 50 identities, every two of ten neighbours tied, two of its namespaces unique."""
    types = [IdentityType.CROSS_DEVICE, IdentityType.EMAIL, *[IdentityType.COOKIE] * 3]
    members = {UUID(int=n): Member(UUID(int=n), n % 5, types[n % 5]) for n in range(1, 51)}
    start, dice = datetime(2026, 1, 1, tzinfo=UTC), random.Random(3)
    ties = [
        Tie((UUID(int=n), UUID(int=dice.randint(1, 50))), start + timedelta(hours=dice.randint(0, 99)))
        for n in range(1, 51)
        for _ in range(10)
    ]
    rules = Rules({0: 1, 1: 2, 2: 3}, frozenset({0, 1}))
    return 1000 * median(lambda: resolve(members, ties, (), rules))


def median(run: Callable[[], Any], rounds: int = 50) -> float:
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


async def seconds(work: Awaitable[Any]) -> float:
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin


async def linking(world: World) -> tuple[float, float]:
    """One record that links two people of 20 identities and 1,000 events each; one whose identities belong together."""
    link, plain = [], []
    for number in range(10):
        one, other = [[("ECID", f"{number:03d}{side}{n:034d}") for n in range(20)] for side in (1, 2)]
        for side, devices in (("a", one), ("b", other)):
            owner = ("Email", f"{side}{number}@example.com")
            await world.records(*(record(owner, device) for device in devices[:19]))
            at = "2026-01-01T12:00:00Z"
            await world.events(*(event(f"{side}{number}-{n}", at, devices[n % 19]) for n in range(1000)))
        plain.append(await seconds(world.records(record(("Email", f"a{number}@example.com"), one[0], first_name="A"))))
        link.append(await seconds(world.records(record(one[0], other[0]), dataset=world.loyalty)))
    return statistics.median(link), statistics.median(plain)


async def profiles_per_second(world: World, count: int = 20_000) -> float:
    """A policy becomes the default one: everybody is merged by it."""
    for start in range(0, count, 1000):
        numbers = range(start, start + 1000)
        await world.records(
            *(record(("Email", f"p{n}@example.com"), ("Phone", f"+{n}"), first_name=f"N{n}") for n in numbers)
        )
    await work_off(world.db, world.configurations)
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.crm.dataset_id, world.loyalty.dataset_id))
    settings = PolicySettings("CRM first", IdentityGraphType.PDG, rule, is_default=True)
    await policies.create_policy(world.db, world.scope, settings)
    total = len(await world.people())
    return total / await seconds(work_off(world.db, world.configurations))


Partner = Callable[[random.Random, int], int]
"""Whose telephone somebody names."""

KINDS: dict[str, Partner] = {
    "nobody": lambda _, somebody: somebody,
    "households of five": lambda dice, somebody: somebody - somebody % 5 + dice.randrange(5),
    "anybody, one time in ten": lambda dice, somebody: somebody if dice.random() < 0.9 else dice.randrange(PEOPLE),
    "anybody": lambda dice, _: dice.randrange(PEOPLE),
    "three neighbours": lambda dice, somebody: (somebody + dice.randrange(3)) % PEOPLE,
}


def load(partner: Partner, *, calls: int = 256, size: int = 50) -> list[Documents]:
    """Calls about random people, each record with a time of its own, so that who was seen last is the same in whatever order they come."""
    dice = random.Random(9)
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def said(number: int) -> dict[str, Any]:
        somebody = dice.randrange(PEOPLE)
        named = ("Email", f"p{somebody}@example.com"), ("Phone", f"+{partner(dice, somebody)}")
        at = (start + timedelta(seconds=number)).isoformat()
        return record(*named, first_name=f"N{dice.randrange(9)}", extSourceSystemAudit={"lastUpdatedDate": at})

    return [[said(call * size + number) for number in range(size)] for call in range(calls)]


async def writers(world: World, calls: Sequence[Documents], count: int) -> float:
    """Records a second."""
    todo = iter(calls)

    async def writer() -> None:
        for documents in todo:
            result = await world.records(*documents)
            assert not result.failed

    return sum(map(len, calls)) / await seconds(asyncio.gather(*(writer() for _ in range(count))))


async def sharing(world: World, partner: Partner) -> float:
    """Records a second by 16 writers, into an empty sandbox."""
    await world.empty()
    return await writers(world, load(partner), WRITERS)


async def check(world: World, partner: Partner) -> None:
    """Every view is what the facts make, and the people who are there are those that one writer leaves."""
    people = await world.people()
    assert await verify(world.db, world.scope, world.configurations) == []
    await world.empty()
    await writers(world, load(partner), 1)
    assert await world.people() == people


async def rates(world: World, kinds: Sequence[str]) -> dict[str, float]:
    """The median of each kind, taken in turns, so that all of them meet the same machine."""
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    await sharing(world, KINDS["nobody"])  # the first time is not counted
    for number in range(ROUNDS):
        for kind in kinds:
            taken[kind].append(await sharing(world, KINDS[kind]))
            if number == 0:
                await check(world, KINDS[kind])
    return {kind: statistics.median(each) for kind, each in taken.items()}


async def with_unique_addresses(db: Database) -> World:
    """A sandbox in which a person has at most one e-mail address: a telephone of several people belongs to one of them."""
    world = await World.create(db)
    await update_identity_settings(world.db, world.scope, [NamespaceRule("Email", is_unique=True)])
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    return world


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as home:
        Path(home).chmod(0o711)
        async with Cluster(Path(home) / "data") as cluster:
            await migrate(cluster.dsn())
            db = await Database.connect(cluster.dsn(), size=WRITERS)
            await measured(db)
            await db.close()


async def measured(db: Database) -> None:
    print(f"resolve 50 identities with settings: {milliseconds_to_resolve():.2f} ms")
    link, plain = await linking(await World.create(db))
    print(
        f"link two people of 20 identities and 1,000 events: {link * 1000:.1f} ms, {link / plain:.1f} x one plain record"
    )
    print(
        f"merge everybody by a new default policy: {await profiles_per_second(await World.create(db)):,.0f} profiles/s"
    )
    plain = await rates(await World.create(db), list(KINDS)[:4])
    unique = await rates(await with_unique_addresses(db), ["nobody", "three neighbours"])
    for where, taken in (("", plain), (", e-mail addresses unique", unique)):
        print(f"{WRITERS} writers on {PEOPLE:,} people{where}, a telephone shared by")
        for kind, rate in taken.items():
            print(f"  {kind}: {rate:,.0f} records/s, {rate / taken['nobody']:.2f} x that of nobody")


if __name__ == "__main__":
    gc.set_threshold(20_000, 20, 20)  # as the server has it
    uvloop.run(main())

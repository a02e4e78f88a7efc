"""What is measured: a batch that is aborted, a dataset that is deleted, people who are erased."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from uuid import UUID

from working import work_off
from world import World, event, record

from gateway.domain.config import datasets
from gateway.domain.facts.batches import read_batch
from gateway.domain.operations.batch_removal import abort_batch
from gateway.domain.operations.dataset_removal import delete_dataset
from gateway.domain.operations.erasure import delete_profiles
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.verification import verify
from removing.company import Beside, Caller, Reader, Writer, alone, beside
from removing.documents import EVENTS_OF_ONE, KINDS, PER_CALL, Identity, address, calls, device

LOADERS = 3
DEVICES_OF_ONE = 5
WRITERS = 4
"""Beside a batch that is aborted."""


async def load(world: World, kind: str, events: int, batch_id: UUID | None = None) -> None:
    """Load events of this kind into a sandbox that is emptied before, and the records of people who are known."""
    await world.empty()
    names = KINDS[kind][1]
    if kind in ("known", "devices"):
        people = range(events // EVENTS_OF_ONE)
        for first in range(0, len(people), PER_CALL):
            await world.records(
                *(record(address(n), device(n), first_name=f"N{n}") for n in people[first : first + PER_CALL])
            )
    todo = calls(names, events)

    async def loader() -> None:
        for documents in todo:
            await world.events(*documents, batch_id=batch_id)

    await asyncio.gather(*(loader() for _ in range(LOADERS)))
    await world.db.refresh_statistics()


async def emptied(world: World) -> None:
    """Do the job that is due, as a worker in this process does."""
    assert await work_off(world.db, world.configurations) >= 1
    await world.config()  # a gateway is notified that the dataset takes data again


async def right(world: World) -> None:
    assert await verify(world.db, world.scope, world.configurations) == []


async def removed(world: World, callers: Sequence[Caller] = ()) -> tuple[float, list[Beside]]:
    """Do the removal that was asked for, with these beside it. Return its seconds, and what became of each."""
    taken, told = await beside(emptied(world), callers)
    assert await verify(world.db, world.scope, world.configurations) == []
    return taken, told


def kept(before: Beside, then: Beside) -> str:
    return f"{then.rate / before.rate:.2f} of {before.rate:,.0f}/s"


def longest(before: Beside, then: Beside) -> str:
    return f"{then.longest * 1000:.0f} ms, before {before.longest * 1000:.0f}"


async def batch(world: World, kind: str, events: int) -> list[str]:
    """Abort a batch alone, and one like it beside writers."""
    ids = [await world.batch(f"{kind} {key}", world.shop) for key in ("alone", "beside")]
    await load(world, kind, events, ids[0])
    begin = time.perf_counter()
    await abort_batch(world.db, world.scope, ids[0])
    answered = time.perf_counter() - begin
    taken, _ = await removed(world)
    assert (await read_batch(world.db, world.scope, ids[0])).status == "ABORTED"
    await load(world, kind, events, ids[1])
    writers = [Writer(world, number) for number in range(WRITERS)]
    before = together(await alone(writers))
    await abort_batch(world.db, world.scope, ids[1])
    taken_beside, told = await removed(world, writers)
    then = together(told)
    return [f"{answered * 1000:.0f} ms", *rates(events, taken, taken_beside), kept(before, then), longest(before, then)]


async def dataset(world: World, kind: str, events: int) -> list[str]:
    """Delete a dataset alone, and again beside a reader and a writer of another one."""
    till = await datasets.create_dataset(world.db, world.scope, name="Till", schema_id=world.shop.schema_id)
    elsewhere = replace(world, shop=till)
    callers = [Reader(elsewhere), Writer(elsewhere)]
    seconds = []
    for beside_it in ([], callers):
        await load(world, kind, events)
        if beside_it:
            await callers[0].prepare()
            before = await alone(callers)
        await delete_dataset(world.db, world.scope, world.shop.dataset_id)
        taken, told = await removed(world, beside_it)
        seconds.append(taken)
    return [*rates(events, *seconds), *map(kept, before, told), *map(longest, before, told)]


async def people(world: World, count: int, records: int, events: int) -> list[str]:
    """Erase people, among ten times as many others, and look for what is left of each."""
    await load_people(world, "p", count, records, events)
    await load_people(world, "q", 10 * count, 1, 1)
    xids = [await world.xid(*person("p", n)) for n in range(count)]
    await delete_profiles(world.db, world.scope, xids)
    taken, _ = await removed(world)
    looks = []
    for xid in xids:
        begin = time.perf_counter()
        check = await verify_erasure(world.db, world.scope, xid)
        assert check.is_erased, check
        looks.append(time.perf_counter() - begin)
    seconds = f"{taken:.1f} s"
    return [
        seconds,
        *rates(count * (records + events), taken),
        *(f"{one * 1000:.1f} ms" for one in (median(looks), max(looks))),
    ]


async def load_people(world: World, name: str, count: int, records: int, events: int) -> None:
    """Load people with so many records each, in two datasets by turns, and so many events, under five devices that are tied to an address."""

    def who(number: int, turn: int) -> tuple[Identity, Identity]:
        return ("ECID", f"{ord(name):03d}{number:030d}{turn % DEVICES_OF_ONE:05d}"), person(name, number)

    for first in range(0, count, PER_CALL):
        some = range(first, min(first + PER_CALL, count))
        for turn in range(records):
            sent = [record(*who(n, turn), first_name=f"N{turn}") for n in some]
            await world.records(*sent, dataset=(world.crm, world.loyalty)[turn % 2])
        for turn in range(events):
            at = f"2026-01-{turn % 28 + 1:02d}T12:00:00Z"
            await world.events(*(event(f"{name}{n}-{turn}", at, *who(n, turn)) for n in some))
    await world.db.refresh_statistics()


def person(name: str, number: int) -> Identity:
    return "Email", f"{name}{number}@example.org"


def together(told: Sequence[Beside]) -> Beside:
    return Beside(sum(one.rate for one in told), max(one.longest for one in told))


def rates(facts: int, *seconds: float) -> list[str]:
    return [f"{facts / one:,.0f}/s" for one in seconds]

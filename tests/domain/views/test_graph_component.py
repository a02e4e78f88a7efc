"""Crowds in the store: who hangs together with too many joins others only as far down the ladder as it must, and only that is read."""

import asyncio
from itertools import pairwise
from threading import Event

import pytest
from world import World, event, record

from gateway.domain.operations.deletions import abort_batch
from gateway.domain.operations.verification import verify
from gateway.domain.rules import graphs
from gateway.domain.views import graph_component, graph_union
from gateway.runtime.threads import WRITES

NOON = "2026-01-01T12:00:00Z"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Graphs of four, crowds of more than five."""
    monkeypatch.setattr(graphs, "MAX_GRAPH_SIZE", 4)
    monkeypatch.setattr(graph_union, "MAX_GRAPH_SIZE", 4)
    monkeypatch.setattr(graphs, "MAX_COMPONENT", 5)
    monkeypatch.setattr(graphs, "DEGREE_LIMITS", (graphs.MAX_NEIGHBOURS, 3, 2))


def email(number):
    return "Email", f"p{number}@x.io"


async def tied(world, *pairs, **given):
    await world.events(*(event(f"{a[1]} {b[1]}", NOON, a, b) for a, b in pairs), **given)


async def sizes(world):
    return sorted(len(xids) for xids in await world.people())


async def sound(world):
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_two_that_fit_are_a_crowd_once_they_meet_and_two_again_when_they_part(world, monkeypatch):
    """Every member is told, also those far away from where they meet."""
    monkeypatch.setattr(graphs, "MAX_COMPONENT", 12)
    names = [email(n) for n in range(24)]
    await world.records(*(record(name) for name in names))
    await tied(world, *pairwise(names[:12]))
    await tied(world, *pairwise(names[12:]))
    assert await sizes(world) == [1] * 16 + [4, 4]
    batch_id = await world.batch("meet", world.shop)
    result = await world.events(event("meet", NOON, names[11], names[12]), batch_id=batch_id)
    assert [warning.code for warning in result.warnings] == ["IDENTITY_CAP"]
    assert await sizes(world) == [1] * 24
    await sound(world)
    await abort_batch(world.db, world.scope, world.configurations, batch_id)
    assert await sizes(world) == [1] * 16 + [4, 4]
    await sound(world)


async def test_of_a_crowd_only_the_busiest_join_nobody(world):
    """Three couples share a device: it joins nobody, the couples stay, and a fourth that comes is told so too."""
    device = ("ECID", "1" * 38)
    couples = [(email(n), ("Phone", f"+{n}")) for n in range(4)]
    await world.records(*(record(name) for couple in couples for name in couple))
    await tied(world, *couples[:3], *((device, couple[0]) for couple in couples[:3]))
    assert await sizes(world) == [1, 1, 1, 2, 2, 2]
    await tied(world, couples[3], (device, couples[3][0]))
    assert await sizes(world) == [1, 2, 2, 2, 2]
    await sound(world)


async def test_a_crowd_is_not_walked_for_each_of_its_members(world, statements):
    """Somebody new in a long known crowd: as many statements, and as few rows, however large the crowd is."""
    counts = []
    for size in (20, 200):
        names = [(f"{'Email' if n % 2 else 'Phone'}", f"{size} {n}") for n in range(size)]
        await tied(world, *pairwise(names))
        with statements() as seen:
            await tied(world, (names[0], email(size)))
        counts.append(seen)
        await sound(world)
    assert counts[0] == counts[1]


async def test_what_hangs_together_with_many_is_grouped_beside_the_event_loop_and_holds_up_nobody(world, monkeypatch):
    """Others are served meanwhile, and small components, as most are, wait for no thread."""
    monkeypatch.setattr(graph_component, "MAX_NAMES_INLINE", 60)
    crowd, few = [email(n) for n in range(30)], [email(n) for n in range(30, 35)]
    busy = Event()
    blocker = asyncio.ensure_future(WRITES.run(busy.wait))
    other = await World.create(world.db)
    large = asyncio.ensure_future(tied(world, *pairwise(crowd)))
    while WRITES._waiting < 2 and not large.done():  # noqa: ASYNC110 (nobody says when it has come so far)
        await asyncio.sleep(0)
    try:
        await tied(other, *pairwise(few))
        assert await sizes(other) == [1, 4]
        assert not large.done()
    finally:
        busy.set()
    await asyncio.gather(blocker, large)
    assert await sizes(world) == [1] * 29
    await sound(world)

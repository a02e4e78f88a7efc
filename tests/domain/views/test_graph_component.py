"""Components that are too large: identities join others at the highest degree limit at which they fit, and little more is read."""

import asyncio
from itertools import pairwise
from threading import Event

import pytest
from world import World, event, record

from gateway.domain.operations.verification import verify
from gateway.domain.rules import graphs
from gateway.domain.views import graph_component, graph_union
from gateway.runtime.threads import WRITES

NOON = "2026-01-01T12:00:00Z"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Set the largest graph to four identities and the largest component to five."""
    monkeypatch.setattr(graphs, "MAX_GRAPH_SIZE", 4)
    monkeypatch.setattr(graph_union, "MAX_GRAPH_SIZE", 4)
    monkeypatch.setattr(graphs, "MAX_COMPONENT", 5)
    monkeypatch.setattr(graphs, "DEGREE_LIMITS", (graphs.MAX_NEIGHBOURS, 3, 2))


def email(number):
    return "Email", f"p{number}@x.io"


async def name_together(world, *pairs, **given):
    await world.events(*(event(f"{a[1]} {b[1]}", NOON, a, b) for a, b in pairs), **given)


async def sizes(world):
    return sorted(len(xids) for xids in await world.people())


async def verify_views(world):
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_two_components_that_become_too_large_when_they_meet_are_restored_when_they_part(world, monkeypatch):
    """Every member is regrouped, also those far away from where the components meet."""
    monkeypatch.setattr(graphs, "MAX_COMPONENT", 12)
    names = [email(n) for n in range(24)]
    await world.records(*(record(name) for name in names))
    await name_together(world, *pairwise(names[:12]))
    await name_together(world, *pairwise(names[12:]))
    assert await sizes(world) == [1] * 16 + [4, 4]
    batch_id = await world.batch("meet", world.shop)
    result = await world.events(event("meet", NOON, names[11], names[12]), batch_id=batch_id)
    assert [warning.code for warning in result.warnings] == ["IDENTITY_CAP"]
    assert await sizes(world) == [1] * 24
    await verify_views(world)
    await world.abort(batch_id)
    assert await sizes(world) == [1] * 16 + [4, 4]
    await verify_views(world)


async def test_only_the_identities_with_most_neighbours_are_excluded_from_a_large_component(world):
    """Three couples share a device: the device joins nobody and the couples stay, as does a fourth couple that comes later."""
    device = ("ECID", "1" * 38)
    couples = [(email(n), ("Phone", f"+{n}")) for n in range(4)]
    await world.records(*(record(name) for couple in couples for name in couple))
    await name_together(world, *couples[:3], *((device, couple[0]) for couple in couples[:3]))
    assert await sizes(world) == [1, 1, 1, 2, 2, 2]
    await name_together(world, couples[3], (device, couples[3][0]))
    assert await sizes(world) == [1, 2, 2, 2, 2]
    await verify_views(world)


async def test_a_component_that_is_known_to_be_too_large_is_not_walked_again(world, statements):
    """A new identity beside a chain that is too large costs as many statements, and reads as few rows, however long the chain is."""
    counts = []
    for size in (20, 200):
        names = [(f"{'Email' if n % 2 else 'Phone'}", f"{size} {n}") for n in range(size)]
        await name_together(world, *pairwise(names))
        with statements() as seen:
            await name_together(world, (names[0], email(size)))
        counts.append(seen)
        await verify_views(world)
    assert counts[0] == counts[1]


async def test_a_large_component_is_grouped_in_a_thread_and_blocks_no_other_sandbox(world, monkeypatch):
    """Small components, as most are, are grouped on the event loop and wait for no thread."""
    monkeypatch.setattr(graph_component, "MAX_NAMES_INLINE", 60)
    many, few = [email(n) for n in range(30)], [email(n) for n in range(30, 34)]
    busy = Event()
    blocker = asyncio.ensure_future(WRITES.run(busy.wait))
    other = await World.create(world.db)
    large = asyncio.ensure_future(name_together(world, *pairwise(many)))
    while WRITES._waiting < 2 and not large.done():  # noqa: ASYNC110 (no event says when it waits)
        await asyncio.sleep(0)
    try:
        await name_together(other, *pairwise(few))
        assert await sizes(other) == [4]
        assert not large.done()
    finally:
        busy.set()
    await asyncio.gather(blocker, large)
    assert await sizes(world) == [1] * 29
    await verify_views(world)

"""Identity graphs as they are shown: links with their times and sources, refused ones on both sides."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from uuid import UUID

import pytest
from citus import STATEMENTS
from world import event, record

from gateway.domain.reading import identity_graphs
from gateway.domain.reading.identity_graphs import MAX_REFUSED_LINKS
from gateway.domain.rules.graphs import MAX_GRAPH_SIZE, MAX_NEIGHBOURS, LinkRefusal
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import Forbidden
from gateway.runtime.threads import COMPUTATIONS
from gateway.storage.queries import Query

ANA, PHONE, DEVICE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("ECID", "1" * 38), ("Email", "ben@x.io")
CANNOT = Query(
    "test.unlinked_pair", "insert into gateway.unlinked_pair (sandbox_id, xid, other_xid, created_at) values ($1, $2, $3, gateway.now()), ($1, $3, $2, gateway.now())",
    ("sandbox_id", "a", "b"), (), "none", "Unlinks two identities by hand.",
)  # fmt: skip


async def graph(world, identity):
    (found,) = await world.graphs([await world.xid(*identity)])
    return found


async def pair(world, a, b):
    return tuple(sorted([await world.xid(*a), await world.xid(*b)]))


def said(shown):
    return {(link.a, link.b): link for link in shown}


async def test_a_link_has_the_times_and_the_datasets_of_its_rows(world):
    updated = {"extSourceSystemAudit": {"lastUpdatedDate": "2020-02-02T00:00:00.000Z"}}
    await world.records(record(ANA, PHONE, **updated))
    await world.records(record(PHONE, ANA, **updated), dataset=world.loyalty)
    await world.events(
        event("1", "2021-01-01T00:00:00.000Z", ANA, PHONE), event("2", "2019-01-01T00:00:00.000Z", ANA, DEVICE)
    )
    shown = await graph(world, DEVICE)
    assert set(shown.xids) == {await world.xid(*name) for name in (ANA, PHONE, DEVICE)}
    by_pair = said(shown.links)
    assert by_pair.keys() == {await pair(world, ANA, PHONE), await pair(world, ANA, DEVICE)}
    link = by_pair[await pair(world, ANA, PHONE)]
    assert (link.first_at, link.last_at) == (datetime(2020, 2, 2, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
    assert set(link.dataset_ids) == {world.crm.dataset_id, world.loyalty.dataset_id, world.shop.dataset_id}
    assert shown.refused_links == ()


async def test_a_lone_identity_has_a_graph_of_one_and_an_unknown_one_has_none(world):
    await world.records(record(ANA))
    shown = await graph(world, ANA)
    assert (shown.xids, shown.links, shown.refused_links) == ((await world.xid(*ANA),), (), ())
    assert await graph(world, BEN) is None


async def test_a_link_that_its_row_took_back_is_not_shown(world):
    await world.records(record(ANA, PHONE))
    await world.records(record(ANA, PHONE), dataset=world.loyalty)
    await world.records(record(ANA), mode=Mode.DELETE)
    (link,) = (await graph(world, PHONE)).links
    assert link.dataset_ids == (world.loyalty.dataset_id,)


async def test_a_refused_link_is_shown_on_both_sides(world):
    await world.records(record(ANA, PHONE))
    await world.records(record(PHONE), dataset=world.loyalty)
    async with world.db.transaction() as tx:
        await tx.execute(CANNOT, world.scope.sandbox_id, await world.xid(*ANA), await world.xid(*PHONE))
    await world.records(record(ANA), mode=Mode.DELETE)  # regroups those whom it concerns
    await world.records(record(ANA, PHONE))
    for name, other in ((ANA, PHONE), (PHONE, ANA)):
        shown = await graph(world, name)
        assert shown.xids == (await world.xid(*name),)
        assert shown.links == ()
        (refused,) = shown.refused_links
        assert (refused.a, refused.b) == await pair(world, name, other)
        assert refused.refusal is LinkRefusal.UNLINKED
        assert refused.dataset_ids == (world.crm.dataset_id,)


async def test_a_link_refused_by_the_cap_is_shown_with_the_graph(world):
    devices = [("ECID", f"1{n:037}") for n in range(MAX_GRAPH_SIZE + 3)]
    await world.events(
        *(event(f"{n}", f"2026-01-01T00:{n:02}:00.000Z", ANA, device) for n, device in enumerate(devices))
    )
    shown = await graph(world, ANA)
    assert len(shown.xids) == MAX_GRAPH_SIZE
    assert len(shown.links) == MAX_GRAPH_SIZE - 1
    assert {link.refusal for link in shown.refused_links} == {LinkRefusal.IDENTITY_CAP}
    assert len(shown.refused_links) == len(devices) - (MAX_GRAPH_SIZE - 1)
    oldest = await graph(world, devices[0])
    assert oldest.xids == (await world.xid(*devices[0]),)
    assert said(oldest.refused_links).keys() == {await pair(world, ANA, devices[0])}


async def test_an_identity_with_too_many_neighbours_shows_its_refused_links(world):
    devices = [("ECID", f"1{n:037}") for n in range(MAX_NEIGHBOURS + 1)]
    await world.events(*(event(f"{n}", "2026-01-01T00:00:00.000Z", ANA, device) for n, device in enumerate(devices)))
    shown = await graph(world, ANA)
    assert (len(shown.xids), shown.links, len(shown.refused_links)) == (1, (), MAX_REFUSED_LINKS)
    assert shown.refused_link_count == MAX_NEIGHBOURS + 1
    assert len((await graph(world, devices[5])).refused_links) == 1


@pytest.mark.one_postgres(STATEMENTS)
async def test_an_overlinked_identity_has_its_newest_refused_links_read_and_the_others_counted(world, statements):
    devices = [("ECID", f"1{n:037}") for n in range(MAX_REFUSED_LINKS + 20)]
    minutes = [f"2026-01-01T{n // 60:02}:{n % 60:02}:00.000Z" for n in range(len(devices))]
    await world.events(*(event(f"{n}", minutes[n], ANA, device) for n, device in enumerate(devices)))
    await world.records(record(ANA, devices[-1]))
    async with world.db.transaction() as tx:
        await tx.execute(CANNOT, world.scope.sandbox_id, await world.xid(*ANA), await world.xid(*devices[-2]))
    asked = [await world.xid(*ANA)]
    await world.config()  # is at hand from here on
    with statements() as seen:
        (shown,) = await world.graphs(asked)
    assert seen[1:] == ["people.read_people", "identity_graphs.read_overlinked"]
    assert shown.refused_link_count == len(devices)
    newest = [await pair(world, ANA, device) for device in devices[: -MAX_REFUSED_LINKS - 1 : -1]]
    assert [(link.a, link.b) for link in shown.refused_links] == newest
    first, second, *rest = shown.refused_links
    assert set(first.dataset_ids) == {world.crm.dataset_id, world.shop.dataset_id}
    assert second.refusal is LinkRefusal.UNLINKED
    assert {link.refusal for link in (first, *rest)} == {LinkRefusal.IDENTITY_CAP}
    (other,) = (await graph(world, devices[-1])).refused_links
    assert replace(other, dataset_ids=set(other.dataset_ids)) == replace(first, dataset_ids=set(first.dataset_ids))


@pytest.mark.one_postgres(STATEMENTS)
async def test_the_number_of_statements_does_not_grow_with_the_graphs(world, statements):
    names = [("Email", f"{n}@x.io") for n in range(20)]
    await world.records(*(record(name, ("Phone", f"+49{n}")) for n, name in enumerate(names)))
    xids = [await world.xid(*name) for name in names]
    await world.config()  # is at hand from here on
    counts = []
    for asked in (xids[:1], xids):
        with statements() as seen:
            await world.graphs(asked)
        counts.append(seen[1:])
    assert counts[0] == counts[1] == ["people.read_people", "identity_graphs.read_ties"]


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    with pytest.raises(Forbidden):
        await identity_graphs.find_members(world.db, writer, await world.config(), [UUID(int=1)])
    with pytest.raises(Forbidden):
        await identity_graphs.read_graphs(world.db, writer, await world.config(), [])


async def test_links_of_many_ties_are_built_in_a_thread_and_delay_no_other_request(world, monkeypatch):
    """Of who joins nobody, as a shared terminal, there may be any number of ties."""
    monkeypatch.setattr(identity_graphs, "MAX_MENTIONS_INLINE", 10)
    await world.events(*(event(f"{n}", "2026-01-01T00:00:00Z", ANA, ("Phone", f"+{n}")) for n in range(8)))
    await world.records(record(BEN, DEVICE))
    busy = Event()
    blocker = asyncio.ensure_future(COMPUTATIONS.run(busy.wait))
    large = asyncio.ensure_future(graph(world, ANA))
    while COMPUTATIONS._waiting < 2 and not large.done():  # noqa: ASYNC110 (nobody says when it has come so far)
        await asyncio.sleep(0)
    try:
        assert len((await graph(world, BEN)).links) == 1
        assert not large.done()
    finally:
        busy.set()
    await blocker
    assert len((await large).links) == 8

"""Timelines: the store writes the very pages that are listed."""

from dataclasses import replace

import pytest
from world import at, day, event

from gateway.api.ids import global_id
from gateway.domain.config import datasets
from gateway.domain.reading import events, timelines
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.reading.timelines import EventColumn, PackedKey, Timeline
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.errors import Forbidden

ANA, BEN = ("Email", "ana@x.io"), ("Email", "ben@x.io")


async def test_timelines_are_one_statement_for_all_people(world, statements):
    await world.events(*(event(f"{n}", day(1 + n), ANA) for n in range(5)), event("0", day(9), BEN))
    people = [(await world.xid(*ANA),), (), (await world.xid(*BEN),), (await world.xid(*BEN), await world.xid(*ANA))]
    asked = EventRequest(EventFilter(), EventOrder(descending=True), Window(2))
    with statements() as seen:
        pages = await timelines.list_timelines(
            world.db, world.scope, people, Timeline(asked, (("n", EventColumn.EVENT_ID),))
        )
    assert [page.nodes for page in pages] == ['[{"n":"4"},{"n":"3"}]', "[]", '[{"n":"0"}]', '[{"n":"0"},{"n":"4"}]']
    assert [page.has_next for page in pages] == [True, False, False, True]
    assert [page.first and page.first[:2] for page in pages] == [(at(5), "4"), None, (at(9), "0"), (at(9), "0")]
    assert [page.last and page.last[:2] for page in pages] == [(at(4), "3"), None, (at(9), "0"), (at(5), "4")]
    assert seen == ["timelines.list_timelines"]
    assert await timelines.list_timelines(world.db, world.scope, [], Timeline(asked, ())) == []


@pytest.mark.parametrize("backward", [False, True])
async def test_a_timeline_orders_events_that_differ_in_their_dataset_only(world, backward):
    for name in "abcd":
        dataset = await datasets.create_dataset(world.db, world.scope, name=name, schema_id=world.shop.schema_id)
        await world.config()
        await replace(world, shop=dataset).events(event("0", day(1), ANA), event("0", day(1), BEN))
    people = [(await world.xid(*ANA),), (await world.xid(*BEN), await world.xid(*ANA))]
    for size in range(9):
        asked = EventRequest(EventFilter(), EventOrder(), Window(size, backward))
        pages = await events.list_events(world.db, world.scope, people, asked)
        finished = await timelines.list_timelines(world.db, world.scope, people, Timeline(asked, ()))
        keys = [[asked.order.key(found) for found in page.items] for page in pages]
        assert [(page.first, page.last) for page in finished] == [
            (*each[:1], *each[-1:]) or (None, None) for each in keys
        ]


@pytest.mark.parametrize("backward", [False, True])
async def test_a_timeline_has_the_cursors_and_page_info_that_are_selected(world, backward):
    await world.events(*(event(f"{n}", day(1 + n), ANA) for n in range(3)))
    window = Window(1, backward)
    asked, node = EventRequest(EventFilter(), EventOrder(), window), (("n", EventColumn.EVENT_ID),)
    people = [(await world.xid(*ANA),)]
    for has_ends, has_keys in [(True, True), (False, True), (True, False), (False, False)]:
        wanted = Timeline(asked, node, has_ends, has_keys)
        (page,) = await timelines.list_timelines(world.db, world.scope, people, wanted)
        number = 2 if backward else 0
        assert page.nodes == f'[{{"n":"{number}"}}]'
        assert (page.has_previous if backward else page.has_next) == (has_ends or has_keys)
        assert [key and key[:2] for key in (page.first, page.last)] == [
            (at(1 + number), f"{number}") if has_keys else None
        ] * 2


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04:05.999999Z", "2026-01-02T03:04:05.999Z"),  # cut, not rounded
        ("2026-01-02T23:04:05.1-05:00", "2026-01-03T04:04:05.100Z"),
        ("1000-01-01T00:00:00.120Z", "1000-01-01T00:00:00.120Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
async def test_times_in_timelines_are_in_utc_with_milliseconds(world, sent, shown):
    await world.events(event("0", sent, ANA))
    asked, node = EventRequest(EventFilter(), EventOrder(), Window()), (("at", EventColumn.TIMESTAMP),)
    for is_distributed in (False, True):
        world.db.is_distributed = is_distributed
        (page,) = await timelines.list_timelines(
            world.db, world.scope, [(await world.xid(*ANA),)], Timeline(asked, node)
        )
        assert page.nodes == f'[{{"at":"{shown}"}}]'


@pytest.mark.parametrize("event_id", ["e", "e1", "e12", "?>~" * 40, "Zoë/日本"])
async def test_keys_in_timelines_are_packed_as_global_ids_are(world, event_id):
    await world.events(event(event_id, day(1), ANA))
    asked, xid = (
        Timeline(EventRequest(EventFilter(), EventOrder(), Window()), (("id", PackedKey("x_")),)),
        await world.xid(*ANA),
    )
    expected = global_id("ExperienceEvent", xid, world.shop.dataset_id, event_id).replace("event_", "x_")
    for is_distributed in (False, True):
        world.db.is_distributed = is_distributed
        (page,) = await timelines.list_timelines(world.db, world.scope, [(xid,)], asked)
        assert page.nodes == f'[{{"id":"{expected}"}}]'


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    asked = EventRequest(EventFilter(), EventOrder(), Window())
    with pytest.raises(Forbidden):
        await timelines.list_timelines(world.db, writer, [], Timeline(asked, ()))

"""Pages of events in projections: Postgres writes the very pages that are listed."""

from dataclasses import replace
from datetime import UTC

import orjson
import pytest
from citus import CLUSTER_URL, STATEMENTS, WAYS
from hypothesis import given
from hypothesis import strategies as st
from world import at, day, event

from gateway.api.events import rows_of
from gateway.api.ids import global_id
from gateway.api.nodes import packed_id
from gateway.api.pagination import Listing
from gateway.domain.config import datasets
from gateway.domain.reading import events
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.reading.statements import Statements
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.errors import Forbidden
from gateway.projection.evaluate import evaluate
from gateway.projection.tree import (
    Column,
    Constant,
    Count,
    Each,
    End,
    Format,
    HasMore,
    Object,
    Page,
    Place,
    Projection,
    ProjectionWithValues,
)

ANA, BEN = ("Email", "ana@x.io"), ("Email", "ben@x.io")
ID = Each(Column("event_id", Format.TEXT))
INFO = {"next": HasMore(behind=True), "previous": HasMore(behind=False), "first": End(is_first=True), "last": End(is_first=False)}  # fmt: skip


def page(asked, **parts):
    """A page of which these parts are wanted."""
    rows = asked if not isinstance(asked, EventRequest) else asked.rows(rows_of(None).key)
    return Page(rows, Object(tuple(parts.items())))


async def read(world, people, *pages):
    """What is read of each page of each person."""
    found = await events.read_lists(world.db, world.scope, people, pages)
    texts = [[orjson.loads(orjson.dumps(evaluate(one, None, each))) for one in pages] for each in found]
    return [each[0] for each in texts] if len(pages) == 1 else texts


def newest(size, **window):
    return EventRequest(EventFilter(), EventOrder(descending=True), Window(size, **window))


@pytest.mark.one_postgres(STATEMENTS)
async def test_pages_of_all_people_are_one_statement(world, statements):
    await world.events(*(event(f"{n}", day(1 + n), ANA) for n in range(5)), event("0", day(9), BEN))
    ana, ben = [await world.xid(*name) for name in (ANA, BEN)]
    people = [(ana,), (), (ben,), (ben, ana)]
    rows = newest(2).rows(rows_of(None).key)
    pages = [page(rows, nodes=ID, **INFO, count=Count(rows)), page(newest(1), nodes=ID), Count(rows)]
    with statements() as seen:
        found = await read(world, people, *pages)
    assert seen == ["events.read_lists"]
    assert [each[0]["nodes"] for each in found] == [["4", "3"], [], ["0"], ["0", "4"]]
    assert [each[0]["next"] for each in found] == [True, False, False, True]
    assert [each[1]["nodes"] for each in found] == [["4"], [], ["0"], ["0"]]
    assert [each[0]["count"] for each in found] == [each[2] for each in found] == [5, 0, 1, 6]
    assert found[1][0]["first"] is found[1][0]["last"] is None
    world.db.is_distributed = True
    assert await read(world, people, *pages) == found
    assert await events.read_lists(world.db, world.scope, [], pages) == []


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("is_distributed", WAYS)
async def test_a_page_orders_events_that_differ_in_their_dataset_only(world, backward, is_distributed):
    for name in "abcd":
        dataset = await datasets.create_dataset(world.db, world.scope, name=name, schema_id=world.shop.schema_id)
        await world.config()
        await replace(world, shop=dataset).events(event("0", day(1), ANA), event("0", day(1), BEN))
    people = [(await world.xid(*ANA),), (await world.xid(*BEN), await world.xid(*ANA))]
    edges = Each(Object((("place", Place()),)))
    world.db.is_distributed = is_distributed
    for size in range(9):
        asked = EventRequest(EventFilter(), EventOrder(), Window(size, backward))
        listed = await events.list_events(world.db, world.scope, people, asked)
        for found, expected in zip(await read(world, people, page(asked, edges=edges, **INFO)), listed, strict=True):
            places = [evaluate(rows_of(None).key, each) for each in expected.items]
            assert [edge["place"] for edge in found["edges"]] == places
            assert (found["first"], found["last"]) == ((places[0], places[-1]) if places else (None, None))
            assert (found["next"], found["previous"]) == (expected.has_next, expected.has_previous)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("shown", [(), ("next",), ("previous",), ("first", "last"), tuple(INFO)], ids="+".join)
async def test_a_page_tells_what_is_selected_of_where_it_stands(world, backward, shown):
    await world.events(*(event(f"{n}", day(1 + n), ANA) for n in range(3)))
    people = [(await world.xid(*ANA),)]
    for after, before in [(None, None), (("0", 0), None), (None, ("2", 2))]:
        ends = {
            name: (at(1 + end[1]), end[0], people[0][0], world.shop.dataset_id)
            for name, end in (("after", after), ("before", before))
            if end
        }
        asked = EventRequest(EventFilter(), EventOrder(), Window(1, backward, **ends))
        (found,) = await read(world, people, page(asked, nodes=ID, **{name: INFO[name] for name in shown}))
        world.db.is_distributed = True
        assert await read(world, people, page(asked, nodes=ID, **{name: INFO[name] for name in shown})) == [found]
        world.db.is_distributed = bool(CLUSTER_URL)
        assert len(found["nodes"]) == 1


async def test_what_needs_no_event_reads_none(world):
    await world.events(event("0", day(1), ANA))
    assert await read(world, [(await world.xid(*ANA),)], page(newest(1), kind=Constant("Page"))) == [{"kind": "Page"}]


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
async def test_times_are_in_utc_with_milliseconds(world, sent, shown):
    await world.events(event("0", sent, ANA))
    for is_distributed in WAYS:
        world.db.is_distributed = is_distributed
        (found,) = await read(
            world, [(await world.xid(*ANA),)], page(newest(1), at=Each(Column("timestamp", Format.TIME)))
        )
        assert found == {"at": [shown]}


@pytest.mark.parametrize("event_id", ["e", "e1", "e12", "?>~" * 40, "Zoë/日本", 'a"\\b\t'])
async def test_ids_and_cursors_are_packed_as_python_writes_them(world, event_id):
    await world.events(event(event_id, day(1), ANA))
    xid = await world.xid(*ANA)
    node = Object((("id", packed_id("ExperienceEvent", "xid", "dataset_id", "event_id")), ("cursor", Place())))
    for is_distributed in WAYS:
        world.db.is_distributed = is_distributed
        (found,) = await read(world, [(xid,)], page(rows_of(None), edges=Each(node), last=End(is_first=False)))
        (edge,) = found["edges"]
        assert edge["id"] == global_id("ExperienceEvent", xid, world.shop.dataset_id, event_id)
        (listed,) = await events.list_events(
            world.db, world.scope, [(xid,)], EventRequest(EventFilter(), EventOrder(), Window())
        )
        listing = Listing("events by TIMESTAMP, ASC", EventOrder().key)
        assert edge["cursor"] == found["last"] == listing.cursor(listed.items[0])


def selections(values):
    """What reads two pages and two counts with these values: the ends of a page, a time and a type."""
    key, time, kind = values
    bounded = EventRequest(EventFilter(since=time), EventOrder(), Window(3, after=key)).rows(rows_of(None).key)
    typed = EventRequest(EventFilter(event_types=(kind,), until=time), EventOrder(), Window(2, before=key)).rows(rows_of(None).key)  # fmt: skip
    pages = (page(bounded, nodes=ID, count=Count(bounded), **INFO), Count(typed), page(typed, nodes=ID))
    return Projection((Object((("a", pages[0]), ("b", Constant("kind")))), *pages[1:]), frozenset())


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
KEYS = st.tuples(st.datetimes().map(lambda time: time.replace(tzinfo=UTC)), NAMES, st.uuids(), st.uuids())


@given(several=st.lists(st.tuples(KEYS, st.datetimes(), st.text(alphabet="ab")), min_size=2, max_size=4))
def test_projections_that_differ_in_values_share_a_statement(several):
    made = Statements(events.lists_statement)
    statements = [made.of(selections(values)) for values in several]
    assert statements == [events.lists_statement(selections(values)) for values in several]
    assert {id(each.query) for each in statements} == {id(statements[0].query)}
    filled = [ProjectionWithValues(*selections(values).structure) for values in several]
    assert [each.parts for each in filled] == [selections(values).parts for values in several]
    assert [made.of(each) for each in filled] == statements
    assert len(set(filled)) == len({repr(each) for each in several})
    assert (
        made.of(Projection((Count(newest(1).rows(rows_of(None).key)),), frozenset())).query is not statements[0].query
    )


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    with pytest.raises(Forbidden):
        await events.read_lists(world.db, writer, [], [])

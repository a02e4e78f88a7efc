"""Events: filters, orders, pages of many people at once."""

import operator
from dataclasses import replace
from uuid import UUID

import pytest
from citus import STATEMENTS
from world import at, day, event

from gateway.domain.reading import events
from gateway.domain.reading.events import (
    ComparisonOperator,
    EventFilter,
    EventOrder,
    EventOrderField,
    EventRequest,
    condition,
)
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.errors import BadCursor, BadInput, Forbidden

ANA, BEN = ("Email", "ana@x.io"), ("Email", "ben@x.io")
OPERATORS = {
    "EQ": operator.eq, "NE": operator.ne, "LT": operator.lt, "LTE": operator.le, "GT": operator.gt, "GTE": operator.ge,
}  # fmt: skip


async def ids(world, *identities, where=None, order=None, window=None):
    """The ids of the events on this page of all these identities' events."""
    xids = tuple([await world.xid(*identity) for identity in identities])
    asked = EventRequest(where or EventFilter(), order or EventOrder(), window or Window())
    (page,) = await events.list_events(world.db, world.scope, [xids], asked)
    assert await counted(world, xids, where) >= len(page.items)
    return [found.event_id for found in page.items]


async def counted(world, xids, where=None):
    return (await events.count_events(world.db, world.scope, [xids], where or EventFilter()))[0]


async def test_events_come_by_time_then_id_and_descending_is_the_exact_reverse(world):
    await world.events(*(event(name, day(2), ANA) for name in ("b", "a", "é", "Z")), event("0", day(3), ANA))
    await world.events(event("z", day(1), BEN), event("a", day(2), BEN))
    found = await ids(world, ANA, BEN)
    assert [found[0], found[-1]] == ["z", "0"]
    assert found[1:-1] == ["Z", "a", "a", "b", "é"]
    xids = tuple([await world.xid(*identity) for identity in (ANA, BEN)])
    for field in EventOrderField:
        pages = [
            await events.list_events(
                world.db, world.scope, [xids], EventRequest(EventFilter(), EventOrder(field, descending), Window())
            )
            for descending in (False, True)
        ]
        assert pages[0][0].items == pages[1][0].items[::-1]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("field", EventOrderField)
async def test_pages_put_together_are_the_list(world, descending, backward, field):
    await world.events(*(event(f"e{n}", day(1 + n % 3), (ANA, BEN)[n % 2]) for n in range(7)))
    await world.events(event("e7", day(2), ANA))
    xids = tuple([await world.xid(*identity) for identity in (ANA, BEN)])
    order = EventOrder(field, descending)

    async def page(window):
        return (await events.list_events(world.db, world.scope, [xids], EventRequest(EventFilter(), order, window)))[0]

    whole = (await page(Window())).items
    collected, window = [], Window(3, backward)
    while True:
        found = await page(window)
        collected = found.items + collected if backward else collected + found.items
        if not (found.has_previous if backward else found.has_next):
            break
        key = order.key(found.items[0] if backward else found.items[-1])
        window = window._replace(**{"before" if backward else "after": key})
    assert collected == whole
    assert len(whole) == 8
    between = Window(50, backward, order.key(whole[1]), order.key(whole[5]))
    assert (await page(between)).items == whole[2:5]


@pytest.mark.one_postgres(STATEMENTS)
async def test_one_statement_reads_a_page_of_events_for_each_of_many_people(world, statements):
    await world.events(*(event(f"{n}", day(1 + n), ANA) for n in range(5)), event("0", day(9), BEN))
    people = [(await world.xid(*ANA),), (), (await world.xid(*BEN),), (await world.xid(*BEN), await world.xid(*ANA))]
    with statements() as seen:
        pages = await events.list_events(
            world.db, world.scope, people, EventRequest(EventFilter(), EventOrder(descending=True), Window(2))
        )
    assert [[found.event_id for found in page.items] for page in pages] == [["4", "3"], [], ["0"], ["0", "4"]]
    assert [page.has_next for page in pages] == [True, False, False, True]
    assert await events.count_events(world.db, world.scope, people, EventFilter()) == [5, 0, 1, 6]
    assert seen == ["events.list_events"]


async def test_since_is_inclusive_and_until_exclusive(world):
    await world.events(*(event(f"{n}", day(n), ANA) for n in range(1, 6)))
    assert await ids(world, ANA, where=EventFilter(since=at(2), until=at(4))) == ["2", "3"]
    assert await ids(world, ANA, where=EventFilter(since=at(5))) == ["5"]
    assert await ids(world, ANA, where=EventFilter(until=at(1))) == []


async def test_types_and_datasets_are_any_of_the_given_ones(world):
    await world.events(
        event("view", day(1), ANA, eventType="web.webpagedetails.pageViews"),
        event("buy", day(2), ANA, eventType="commerce.purchases"),
        event("none", day(3), ANA),
    )
    assert await ids(world, ANA, where=EventFilter(event_types=("commerce.purchases", "x"))) == ["buy"]
    assert await ids(world, ANA, where=EventFilter(event_types=())) == []
    assert len(await ids(world, ANA, where=EventFilter(dataset_ids=(world.shop.dataset_id,)))) == 3
    assert await ids(world, ANA, where=EventFilter(dataset_ids=(UUID(int=5),))) == []


PRICES = {"free": 0, "cheap": 9.5, "dear": 100}


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("value", [9.5, 100, 1_000_000])
async def test_a_number_compares_as_python_does(world, sign, value):
    priced = [event(name, day(1), ANA, commerce={"order": {"priceTotal": price}}) for name, price in PRICES.items()]
    await world.events(*priced, event("unpriced", day(1), ANA))
    where = EventFilter(properties=(condition("commerce.order.priceTotal", ComparisonOperator[sign], value),))
    expected = sorted(name for name, price in PRICES.items() if OPERATORS[sign](price, value))
    assert await ids(world, ANA, where=where) == expected


@pytest.mark.parametrize(
    ("path", "sign", "value", "expected"),
    [
        ("eventType", "EQ", "commerce.purchases", ["buy"]),
        ("eventType", "NE", "commerce.purchases", ["odd"]),  # what has no type satisfies no comparison
        ("eventType", "GT", "commerce", ["buy", "odd"]),
        ("productListItems.SKU", "EQ", "b", ["buy"]),  # any element
        ("productListItems.SKU", "NE", "b", ["buy", "odd"]),
        ("productListItems.quantity", "GTE", 2, ["buy"]),
        ("productListItems.quantity", "EQ", "2", []),  # a text is no number
        ("productListItems", "EQ", "b", []),
        ("personalEmail.primary", "EQ", True, []),
        ("nowhere.to be seen.'\"$[*]", "NE", 1, []),
    ],
)
async def test_a_property_compares_by_type_through_arrays_and_never_by_its_absence(world, path, sign, value, expected):
    await world.events(
        event(
            "buy", day(1), ANA, eventType="commerce.purchases",
            productListItems=[{"SKU": "a", "quantity": 1}, {"SKU": "b", "quantity": 2}],
        ),
        event("odd", day(2), ANA, eventType="odd", productListItems=[{"SKU": "c"}]),
        event("bare", day(3), ANA),
    )  # fmt: skip
    where = EventFilter(properties=(condition(path, ComparisonOperator[sign], value),))
    assert await ids(world, ANA, where=where) == expected


async def test_all_conditions_must_hold_and_there_are_at_most_three(world):
    await world.events(*(event(f"{n}", day(n), ANA, eventType=f"t{n}") for n in range(1, 6)))
    more, less = (
        condition("eventType", ComparisonOperator.GT, "t1"),
        condition("eventType", ComparisonOperator.LT, "t5"),
    )
    other = condition("eventType", ComparisonOperator.NE, "t3")
    where = EventFilter(properties=(more, less, other), since=at(2), event_types=("t2", "t3", "t4", "t5"))
    assert await ids(world, ANA, where=where) == ["2", "4"]
    with pytest.raises(BadInput, match="at most 3"):
        await ids(world, ANA, where=replace(where, properties=(more, less, other, more)))


@pytest.mark.parametrize(
    ("path", "value"),
    [("", 1), ("a..b", 1), (".a", 1), ("a\0", 1), ("a", None), ("a", [1]), ("a", {}), ("a", "\0"), ("a", 2**63), ("a", float("inf")),
        ("a", float("nan")), ("a", -(10**400))],
)  # fmt: skip
def test_a_condition_that_cannot_be_compared_is_refused(path, value):
    with pytest.raises(BadInput):
        condition(path, ComparisonOperator.EQ, value)


@pytest.mark.parametrize("key", [(), (1, "a", UUID(int=1), UUID(int=1)), (at(1), "a\0", UUID(int=1), UUID(int=1))])
async def test_a_cursor_that_is_none_is_refused(world, key):
    with pytest.raises(BadCursor):
        await ids(world, ANA, window=Window(after=key))


async def test_a_nul_in_a_type_or_id_is_no_accident(world):
    with pytest.raises(BadInput):
        await ids(world, ANA, where=EventFilter(event_types=("a\0",)))
    assert await events.read_events(world.db, world.scope, [(UUID(int=1), UUID(int=1), "\0")]) == [None]


async def test_events_are_read_by_their_keys_in_the_order_asked(world):
    await world.events(event("a", day(1), ANA, eventType="x"), event("b", day(2), ANA))
    xid, dataset_id = await world.xid(*ANA), world.shop.dataset_id
    keys = [(xid, dataset_id, "b"), (xid, dataset_id, "c"), (xid, dataset_id, "a"), (xid, dataset_id, "b")]
    found = await events.read_events(world.db, world.scope, keys)
    assert [each and each.event_id for each in found] == ["b", None, "a", "b"]
    assert (found[2].timestamp, found[2].document["eventType"]) == (at(1), "x")
    assert await events.read_events(world.db, world.scope, []) == []


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    with pytest.raises(Forbidden):
        await events.list_events(world.db, writer, [], EventRequest(EventFilter(), EventOrder(), Window()))
    with pytest.raises(Forbidden):
        await events.count_events(world.db, writer, [], EventFilter())
    with pytest.raises(Forbidden):
        await events.read_events(world.db, writer, [])

"""Values that are computed from events on one Postgres and on a cluster, where a statement is given the events of its people."""

import pytest
from citus import WAYS
from world import event, record

from gateway.domain.reading import over_events
from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.profiles import read_profiles
from gateway.domain.rules.durations import parse_duration
from gateway.xdm.classes import XdmClass

PEOPLE = [("Email", f"{name}@example.com") for name in ("ann", "ben", "eve", "dan", "joe")]
EVENTS_OF_EACH = (3, 0, 5, 1, 4)
NO_PARTIALS = {
    "kinds": "xEvent.topN(timestamp, 30).map(eventType)",
    "prices": "xEvent[commerce.order.priceTotal > 1].topN(timestamp, 30).map(commerce.order.priceTotal)",
    "doubles": "xEvent.topN(timestamp, 30).map(_own.ComputedAttributes.double)",
    "above": "_own.ComputedAttributes.kinds.count()",
}


@pytest.fixture
async def people(world):
    """Attributes without partials, and what computes their values of five people, who have none to five events."""
    await world.records(*(record(who) for who in PEOPLE))
    for who, count in zip(PEOPLE, EVENTS_OF_EACH, strict=True):
        prices = ({"order": {"priceTotal": place}} for place in range(1, count + 1))
        await world.events(
            *(
                event(f"{who}{place}", f"2026-01-0{place}T10:00:00.001Z", who, eventType=f"k{place}", commerce=price)
                for place, price in enumerate(prices, start=1)
            )
        )
    await world.publish("double", "commerce.order.priceTotal * 2", xdm_class=XdmClass.EXPERIENCE_EVENT)
    for name, text in NO_PARTIALS.items():
        lookback = parse_duration("P3Y") if name == "prices" else None
        await world.publish(name, text.replace("_own", f"_{world.scope.organization.code}"), lookback)
    config = await world.config()
    policy, xids = config.default_policy, [await world.xid(*who) for who in PEOPLE]

    async def values():
        read = await read_profiles(world.db, world.scope, config, policy, xids)
        attributes = published_attributes(config, [*NO_PARTIALS])
        found = await compute_values(world.db, world.scope, config, attributes, [each.profile for each in read])
        return [{each.attribute.name: (each.value, each.is_complete) for each in told} for told in found]

    return values


def by_hand(count):
    places = range(count, 0, -1)
    kinds, prices = [f"k{place}" for place in places], [place for place in places if place > 1]
    found = {"kinds": kinds, "prices": prices, "doubles": [place * 2 for place in places], "above": count}
    return {name: (value, True) for name, value in found.items()}


@pytest.mark.parametrize("is_distributed", WAYS)
async def test_values_are_the_same_where_a_statement_is_given_the_events(people, world, monkeypatch, is_distributed):
    monkeypatch.setattr(world.db, "is_distributed", is_distributed)
    assert await people() == [by_hand(count) for count in EVENTS_OF_EACH]


async def test_people_with_many_events_are_gone_through_some_after_the_other(people, world, monkeypatch, statements):
    monkeypatch.setattr(world.db, "is_distributed", True)
    monkeypatch.setattr(over_events, "MAX_EVENTS_GIVEN", 5)
    with statements() as seen:
        assert await people() == [by_hand(count) for count in EVENTS_OF_EACH]
    assert seen.count("computed_attributes.compute_of_events") == 3  # of 3 + 0, of 5, of 1 + 4 events


async def test_a_person_with_too_many_events_has_values_that_are_not_complete(people, world, monkeypatch):
    monkeypatch.setattr(world.db, "is_distributed", True)
    monkeypatch.setattr(over_events, "MAX_EVENTS_GIVEN", 4)
    ann, ben, eve, dan, joe = await people()
    assert [ann, ben, dan, joe] == [by_hand(count) for count in (3, 0, 1, 4)]
    assert {name: value for name, (value, _) in eve.items()} == {**dict.fromkeys(NO_PARTIALS), "above": 0}
    assert not any(is_complete for _, is_complete in eve.values())

"""Values of computed attributes, compared with what is computed by hand of the events of a window, at any instant."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from world import event, record

from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.profiles import project_profiles, read_profiles
from gateway.domain.rules.durations import parse_duration
from gateway.projection.tree import Computed, Document, Leaf, Projection, Subset
from gateway.storage.database import Database
from gateway.storage.queries import Query

ADA, COOKIE, BOB = ("Email", "ada@example.com"), ("ECID", "7" * 38), ("Email", "bob@example.com")
SET_NOW = Query("test.set_now", "select set_config('gateway.now', $1, false)", ("now",), (), "rows", "For these tests.")
MILLISECOND = timedelta(milliseconds=1)
TIMES = [
    "2026-01-31T10:00:00.000Z", "2026-01-31T10:00:00.001Z", "2026-02-27T23:59:59.999Z", "2026-02-28T00:00:00.000Z",
    "2026-02-28T00:00:00.000Z", "2026-03-29T01:30:00.500Z", "2026-03-31T10:00:00.000Z", "2026-04-30T10:00:00.000Z",
]  # fmt: skip  # two are equal; months end, and clocks are put forward in between
FUNCTIONS = {
    "total": 'xEvent[eventType = "a"].sum(commerce.order.priceTotal)',
    "visits": "xEvent.count()",
    "dearOnes": 'xEvent[eventType = "a"][commerce.order.priceTotal > 12].count()',
    "least": "xEvent.min(commerce.order.priceTotal)",
    "lastVisit": "xEvent.max(timestamp)",
    "average": "xEvent.average(commerce.order.priceTotal)",
    "lastPrice": "xEvent.topN(timestamp, 1).head().commerce.order.priceTotal",
    "prices": "xEvent.topN(timestamp, 3).map(commerce.order.priceTotal)",
    "kinds": "xEvent.eventType.distinct().count()",
    "favourite": 'xEvent.groupBy(eventType).map((K, G) => {"key": K, "n": G.count()}).topN(n, 1).head().key',
    "byKind": "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.sum(commerce.order.priceTotal)))",
}


def by_hand(events):
    """Compute the functions of events, each a time, a kind and a price, in the order of their time and id."""
    prices, kinds = [price for _, _, price in events], Counter(kind for _, kind, _ in events)
    newest = sorted(events, key=lambda each: each[0], reverse=True)  # is stable: of equal times, those in front
    return {
        "total": sum(price for _, kind, price in events if kind == "a"),
        "visits": len(events),
        "dearOnes": sum(kind == "a" and price > 12 for _, kind, price in events),
        "least": min(prices, default=None),
        "lastVisit": max((f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z" for at, _, _ in events), default=None),
        "average": sum(prices) / len(prices) if prices else None,
        "lastPrice": newest[0][2] if newest else None,
        "prices": [price for _, _, price in newest[:3]],
        "kinds": len(kinds),
        "favourite": min(kinds, key=lambda kind: (-kinds[kind], kind), default=None),
        "byKind": {kind: sum(price for _, other, price in events if other == kind) for kind in kinds},
    }


async def values(world, xid, policy=None):
    """Read all values of a person, by the names of the attributes."""
    config = await world.config()
    (found,) = await read_profiles(world.db, world.scope, config, policy or config.default_policy, [xid])
    profiles = [found.profile] if found.profile else []
    read = await compute_values(world.db, world.scope, config, published_attributes(config, None), profiles)
    return {each.attribute.name: each for told in read for each in told}


async def folded_values(world, xid):
    """Read those values of a person that are folded of partials, by name, as parts of the document: what one statement reads. None where it cannot."""
    config, own = await world.config(), f"_{world.scope.organization.code}"
    names = tuple(each.name for each in config.partials)
    wanted = Computed(Subset(tuple((name, Leaf("JSON")) for name in names)))
    projection = Projection((Document(Subset(((own, Subset((("ComputedAttributes", wanted),))),))),), frozenset())
    asked = (world.db, world.scope, config, config.default_policy, [xid])
    (found,) = await project_profiles(*asked, projection=projection)
    if found.parts is None:
        return None
    told = orjson.loads(found.parts[0])[own]["ComputedAttributes"]
    return {name: told.get(name) for name in names}


@pytest.fixture
async def clock(world, dsn):
    """The world as of any moment: `clock(datetime)`."""
    db = await Database.connect(dsn, size=1)  # one connection, whose settings stay

    async def at(moment):
        await db.rows(SET_NOW, moment.isoformat())
        return replace(world, db=db)

    yield at
    await db.close()


@pytest.mark.parametrize("lookback", [None, "PT24H", "P4W", "P1M", "P1Y"])
async def test_values_are_those_of_the_window_at_any_instant_to_the_millisecond(world, clock, lookback):
    sent = [(datetime.fromisoformat(at), "ab"[place % 3 == 0], 10.0 + place) for place, at in enumerate(TIMES)]
    await world.events(*[
        event(f"e{place}", TIMES[place], *((ADA, COOKIE) if place % 2 else (COOKIE,)), eventType=kind, commerce={"order": {"priceTotal": price}})
        for place, (_, kind, price) in enumerate(sent)
    ])  # fmt: skip
    duration = lookback and parse_duration(lookback)
    early = await clock(datetime(2026, 1, 1, tzinfo=UTC))
    for name, text in FUNCTIONS.items():
        await early.publish(name, text, duration)
    spans = [timedelta(0), timedelta(hours=24), timedelta(weeks=4), timedelta(days=28), timedelta(days=31)]
    instants = {at + span + step * MILLISECOND for at, _, _ in sent for span in spans for step in (-1, 0, 1)}
    for at in sorted(instants):
        found = await values(await clock(at), await world.xid(*ADA))
        since = duration.before(at) if duration else None
        window = [each for each in sent if (since is None or since <= each[0]) and each[0] <= at]
        assert {name: each.value for name, each in found.items()} == by_hand(window), at
        folded = await folded_values(await clock(at), await world.xid(*ADA))
        if folded is None:
            assert (lookback, max(sent)[0] > at) == (None, True)
        else:
            assert folded == {name: by_hand(window)[name] for name in folded}, at
            assert set(folded) >= {"total", "visits", "dearOnes", "least", "lastVisit", "average", "lastPrice"}
        assert {(each.as_of, each.window_start, each.window_end) for each in found.values()} == {(at, since, at)}
        counts = {name: each.events_counted for name, each in found.items()}
        filtered = {"total": sum(kind == "a" for _, kind, _ in window), "dearOnes": found["dearOnes"].value}
        assert counts == {name: len(window) for name in FUNCTIONS} | filtered
        newest = max((each[0] for each in window), default=None)
        told_at = found["lastPrice"].value_at
        assert (told_at and datetime.fromisoformat(told_at)) == newest


async def test_a_value_is_right_in_the_transaction_that_changes_the_person(world):
    await world.publish("visits", "xEvent.count()")

    async def visits(identity):
        found = await values(world, await world.xid(*identity))
        return found["visits"].value if found else None

    batch = await world.batch("a", world.shop)
    await world.events(event("1", "2026-01-01T00:00:00Z", ADA), event("2", "2026-01-02T00:00:00Z", ADA))
    await world.events(event("3", "2026-01-03T00:00:00Z", BOB), event("1", "2026-01-01T00:00:00Z", ADA), batch_id=batch)
    assert (await visits(ADA), await visits(BOB)) == (2, 1)
    together = await world.batch("together")
    await world.records(record(ADA, BOB), batch_id=together)
    assert (await visits(ADA), await visits(BOB)) == (3, 3)
    await world.abort(together)
    assert (await visits(ADA), await visits(BOB)) == (2, 1)
    await world.revert(batch)
    assert (await visits(ADA), await visits(BOB)) == (2, None)
    await world.erase(await world.xid(*ADA))
    assert await visits(ADA) is None


async def test_an_expression_is_over_the_profile_of_the_policy_and_over_other_attributes(world):
    tenant = f"_{world.scope.organization.code}.ComputedAttributes"
    await world.publish("total", "xEvent.sum(commerce.order.priceTotal)")
    await world.publish("orders", "xEvent.count()")
    await world.publish("basket", f"{tenant}.total / {tenant}.orders")
    await world.publish("isLarge", f"{tenant}.basket > 10")
    await world.publish("greeting", f'if({tenant}.isLarge, person.name.firstName, "you")')
    await world.publish("byKind", FUNCTIONS["byKind"])
    await world.publish("ofKind", f'{tenant}.byKind.get("a")')
    await world.records(record(ADA, first_name="Ada"))
    await world.events(
        *(
            event(str(price), "2026-01-01T00:00:00Z", ADA, eventType="a", commerce={"order": {"priceTotal": price}})
            for price in (8.5, 12.5)
        )
    )
    found = {name: each.value for name, each in (await values(world, await world.xid(*ADA))).items()}
    assert found["basket"] == 10.5
    assert (found["isLarge"], found["greeting"], found["ofKind"]) == (True, "Ada", 21)


async def test_keys_beyond_the_bound_are_left_out_of_a_map(world, monkeypatch):
    monkeypatch.setattr("gateway.domain.reading.attribute_results.MAX_KEYS", 2)
    await world.publish("byKind", "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))")
    for kinds, told, is_complete in (("ba", {"a": 1, "b": 1}, True), ("c", {"a": 1, "b": 1}, False)):
        await world.events(*(event(kind, "2026-01-01T00:00:00Z", ADA, eventType=kind) for kind in kinds))
        value = (await values(world, await world.xid(*ADA)))["byKind"]
        assert (value.value, value.is_complete) == (told, is_complete)
    assert value.events_counted == 3

"""Partials of computed attributes: they are what the events make, whoever writes at once, and values are the same as without them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from every_kind import statement
from world import event, record

from gateway.domain.config.computed_attributes import (
    AttributeSettings,
    AttributeStatus,
    create_attribute,
    delete_attribute,
    load_attributes,
    update_attribute,
)
from gateway.domain.operations import attribute_backfill
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.operations.partial_retention import expire_computed_partials
from gateway.domain.operations.verification import verify
from gateway.domain.reading.attribute_explanations import explain_values, read_buckets
from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.profiles import read_profiles
from gateway.domain.rules.durations import parse_duration
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.pql import partial_items

ADA, BOB = ("Email", "ada@example.com"), ("Email", "bob@example.com")
SUM, MONTH = "xEvent.sum(commerce.order.priceTotal)", parse_duration("P30D")
EXPRESS = statement("""
    with changed as (update gateway.sandbox set config_version = config_version + 1)
    update gateway.computed_attribute set expression = $1""")
AS_BEFORE = statement("""
    with changed as (update gateway.sandbox set config_version = config_version + 1)
    update gateway.computed_attribute set slot = null""")
MAKE_DUE = statement("update gateway.job set due_at = created_at where kind = $1")
ROWS = statement(
    "select bucket_seconds, numbers, items from gateway.computed_partial order by xid, bucket_seconds, bucket"
)
LOCK_ROW = statement("select from gateway.computed_partial where xid = $1 for update")
WAITING = statement("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")


@pytest.fixture
def dsn(dsn):
    return f"{dsn}&gateway.now=2026-11-30T12:00:00Z"  # events of fixed times are in their windows on any day


def priced(name, price, identity=ADA, at="2026-11-01T00:00:00Z"):
    return event(name, at, identity, eventType="a", commerce={"order": {"priceTotal": price}})


async def create(world, name, expression, lookback=None):
    """Publish an attribute without reading the past for it."""
    settings, unions = AttributeSettings(name, name, expression, lookback=lookback), (await world.config()).unions
    return await create_attribute(world.db, world.scope, unions, settings, most=9, publish=True)


async def switch(world, attribute, status):
    unions = (await world.config()).unions
    return await update_attribute(world.db, world.scope, unions, attribute.attribute_id, {}, most=9, status=status)


async def values(world, identity=ADA, config=None):
    config = config or await world.config()
    (found,) = await read_profiles(world.db, world.scope, config, config.default_policy, [await world.xid(*identity)])
    (told,) = await compute_values(world.db, world.scope, config, published_attributes(config, None), [found.profile])
    return {each.attribute.name: each.value for each in told}


async def look_after(world):
    """Do the recurring job that looks after partials."""
    await jobs.schedule(world.db)
    await world.db.rows(MAKE_DUE, JobKind.EXPIRE_COMPUTED_PARTIALS)
    job = await leases.claim(world.db, [JobKind.EXPIRE_COMPUTED_PARTIALS])
    await leases.carry_out(world.db, job, expire_computed_partials(world.db, world.scope, world.configurations, job))


async def counted_in_buckets(world, config, name="spent"):
    """List how many events each bucket has that a value of ADA is folded of."""
    asked = world.db, world.scope, config
    (found,) = await read_profiles(*asked, config.default_policy, [await world.xid(*ADA)])
    (explained,) = await explain_values(*asked, [name], [found.profile])
    (buckets,) = await read_buckets(*asked, explained)
    return [each.events_counted for each in buckets]


async def checked(world):
    """List the differences between views and facts."""
    return [each.message for each in await verify(world.db, world.scope, world.configurations)]


async def statuses(world):
    async with world.db.transaction() as tx:
        return {each.name: each.status for each in await load_attributes(tx, world.scope)}


async def test_writers_of_one_row_at_the_same_time_lose_nothing(world, monkeypatch):
    """Calls that add to one row, a removal that makes it anew, and a job that reads the past for another attribute."""
    monkeypatch.setattr(attribute_backfill, "XIDS_PER_PIECE", 1)
    await world.publish("spent", SUM)
    await world.publish("byPrice", KINDS["byPrice"])
    await world.publish("last", "xEvent.topN(timestamp, 20).map(commerce.order.priceTotal)")
    batch = await world.batch("gone", world.shop)
    await world.events(*(priced(f"gone {n}", 1000, (ADA, BOB)[n % 2]) for n in range(20)), batch_id=batch)
    await world.events(priced("first", 1), priced("other", 1, BOB))

    async def send(sender):
        for n in range(5):
            await world.events(priced(f"{sender} {n}", 1), priced(f"{sender} {n}", 1, BOB))

    await create(world, "lately", SUM, MONTH)
    await asyncio.gather(*(send(sender) for sender in range(6)), world.revert(batch), world.backfill())
    assert await checked(world) == []
    assert (await values(world))["spent"] == (await values(world, BOB))["spent"] == 31
    assert await told(world) == (await computed(world), set())
    assert await statuses(world) == dict.fromkeys(("spent", "byPrice", "last", "lately"), AttributeStatus.PROCESSED)


async def test_an_event_that_comes_between_reading_the_past_and_writing_partials_counts_once(world):
    """The reader waits for the row of the first identity, as somebody holds it, when an event comes for the second one."""
    first, second = sorted([(await world.xid(*each), each) for each in (ADA, BOB)])
    await world.publish("other", "xEvent.count()")
    await world.events(priced("1", 1, ADA), priced("2", 2, BOB))
    await create(world, "spent", SUM)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks, world.db.transaction() as tx:
        await tx.rows(LOCK_ROW, first[0])
        tasks.create_task(world.backfill())
        while not await world.db.rows(WAITING):
            pass
        await world.events(priced("3", 4, second[1]))
    assert await checked(world) == []
    assert (await values(world, second[1]))["spent"] == 4 + (1 if second[1] is ADA else 2)
    assert await statuses(world) == dict.fromkeys(["other", "spent"], AttributeStatus.PROCESSED)


async def test_the_past_of_one_identity_is_read_bucket_after_bucket(world, monkeypatch):
    monkeypatch.setattr(attribute_backfill, "EVENTS_PER_PIECE", 3)
    days = [*range(1, 9), 3, 3, 3, 3, 20, 20, 20]
    now = await read_instant(world.db)
    at = [(now - timedelta(days=day, minutes=n)).isoformat() for n, day in enumerate(days)]
    await world.events(*(priced(f"{n}", n, at=time) for n, time in enumerate(at)), priced("other", 1, BOB))
    await create(world, "lately", SUM, MONTH)
    pieces = []
    monkeypatch.setattr(attribute_backfill, "make_of_attribute", noting(attribute_backfill.make_of_attribute, pieces))
    await world.backfill()
    assert {read for _, (*_, most), read in pieces if most and read > most} == {7}  # one more than are made at once
    of_one = [within for xids, within, _ in pieces if within[2] is None and xids == [await world.xid(*ADA)]]
    assert len(of_one) > 4
    assert [since for since, *_ in of_one[1:]] == [until for _, until, _ in of_one[:-1]]
    assert (await values(world), await checked(world)) == ({"lately": sum(range(len(days)))}, [])


async def test_a_shorter_look_back_has_no_partials_of_times_that_it_does_not_reach_though_another_one_of_its_size_does(
    world,
):
    now = (await read_instant(world.db)).replace(hour=12)
    for days in (2, 9):
        early, late = ((now - timedelta(days=days, hours=hours)).isoformat() for hours in (5, 1))
        await world.events(priced(f"early{days}", 1, at=early), priced(f"late{days}", days, at=late))
    await world.publish("lately", "xEvent[commerce.order.priceTotal > 1].count()", MONTH)
    await world.publish("today", SUM, parse_duration("PT72H"))
    assert (await values(world), await checked(world)) == ({"lately": 2, "today": 3}, [])


def noting(make, pieces):
    async def noted(*known, **within):
        pieces.append((known[-1], tuple(within.values()), await make(*known, **within)))
        return pieces[-1][-1]

    return noted


async def test_a_value_is_right_though_nobody_could_compute_it_while_its_past_was_read(world):
    await world.events(priced("1", 1))
    await create(world, "spent", SUM)
    await world.db.rows(EXPRESS, "xEvent.nothing.count()")
    await world.backfill()
    await world.db.rows(EXPRESS, SUM)
    assert (await values(world), await checked(world)) == ({"spent": 1}, [])


async def test_a_value_is_right_before_its_past_was_read_and_after_it_was_published_anew(world):
    await world.events(priced("1", 1))
    first = await create(world, "spent", SUM)
    await world.events(priced("2", 2))
    assert (await values(world), await statuses(world)) == ({"spent": 3}, {"spent": AttributeStatus.NEW})
    await world.backfill()
    await world.events(priced("3", 3))
    assert (await values(world), await statuses(world)) == ({"spent": 6}, {"spent": AttributeStatus.PROCESSED})
    await switch(world, first, AttributeStatus.DISABLED)
    await world.events(priced("4", 4))
    await world.publish("dear", "xEvent[commerce.order.priceTotal > 2].count()")  # at the slot of the other
    await world.events(priced("5", 5))
    assert (await values(world), await checked(world)) == ({"dear": 3}, [])
    await switch(world, first, AttributeStatus.NEW)
    await world.backfill()
    assert (await values(world), await checked(world)) == ({"dear": 3, "spent": 15}, [])


async def test_an_attribute_whose_job_is_cancelled_is_switched_off_unless_others_read_it(world):
    tenant = f"_{world.scope.organization.code}.ComputedAttributes"
    await world.events(priced("1", 1))
    for name in ("alone", "read"):
        await create(world, name, SUM)
    await create(world, "double", f"{tenant}.read * 2")
    async with world.db.transaction() as tx:
        attributes = {each.name: each for each in await load_attributes(tx, world.scope)}
    for name in ("alone", "read"):
        await jobs.cancel_job(world.db, world.scope, attributes[name].job_id)
    found = await statuses(world)
    assert (found["alone"], found["read"]) == (AttributeStatus.DISABLED, AttributeStatus.FAILED)
    assert await values(world) == {"read": 1, "double": 2}
    await switch(world, attributes["read"], AttributeStatus.NEW)
    await world.backfill()
    assert (await statuses(world))["read"] is AttributeStatus.PROCESSED
    assert await values(world) == {"read": 1, "double": 2}


async def test_nothing_is_kept_without_attributes_nor_of_events_that_went(world, statements):
    with statements() as ran:
        await world.events(priced("1", 1))
    assert not [name for name in ran if "partials" in name]
    batch = await world.batch("gone", world.shop)
    await world.events(priced("2", 2, BOB), batch_id=batch)
    await world.publish("last", "xEvent.topN(timestamp, 1).head().commerce.order.priceTotal")
    assert len(await world.db.rows(ROWS)) == 2
    await world.revert(batch)
    await world.erase(await world.xid(*ADA))
    assert await world.db.rows(ROWS) == []


@pytest.mark.parametrize("other", ["xEvent.nothing.count()", "xEvent.topN(timestamp, 21).map(eventType)"])
async def test_a_value_is_right_once_an_expression_that_nobody_could_compute_or_add_up_for_a_while_is_good_again(
    world, other
):
    await world.publish("spent", SUM)
    await world.events(priced("1", 1))
    await world.db.rows(EXPRESS, other)
    version = (await world.config()).version
    await world.events(priced("2", 2))
    assert (await world.config()).version > version, "who read meanwhile where its partials stand reads that anew"
    await world.db.rows(EXPRESS, SUM)
    assert (await values(world), await checked(world)) == ({"spent": 3}, [])


async def test_a_value_is_right_for_a_reader_whose_configuration_is_old(world):
    """Nobody adds to the partials that it knows any more, and then those of another attribute stand at their slot."""
    first = await world.publish("spent", SUM)
    await world.events(priced("1", 1))
    old = await world.config()
    assert await counted_in_buckets(world, old) == [1]
    await switch(world, first, AttributeStatus.DISABLED)
    await world.events(priced("2", 2))
    assert await values(world, config=old) == {"spent": 3}
    await world.publish("dear", "xEvent[commerce.order.priceTotal > 1].count()")
    assert await values(world, config=old) == {"spent": 3}
    assert await counted_in_buckets(world, old) == [], (
        "it is computed from events, and the bucket is another attribute's"
    )


ITEMS = "productListItems"
KINDS = {
    "kinds": "xEvent.eventType.distinct().count()",
    "kindsOrNone": "xEvent.map(eventType).distinct().count()",
    "prices": 'xEvent[eventType = "a"].commerce.order.priceTotal.distinct().count()',
    "days": "xEvent.map(timestamp).distinct().count()",
    "goods": f"xEvent.{ITEMS}.SKU.distinct().count()",
    "favourite": f'xEvent.{ITEMS}.groupBy(name).map((K, G) => {{"k": K, "n": G.count()}}).topN(n, 1).head().k',
    "often": 'xEvent.groupBy(eventType).map((K, G) => {"k": K, "n": G.count()}).topN(n, 1).head().k',
    "bought": f"xEvent.{ITEMS}.groupBy(SKU).map((K, G) => mapEntry(K, G.sum(quantity)))",
    "last": "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.max(timestamp)))",
    "mean": "xEvent[commerce.order.priceTotal != 3].groupBy(eventType).map((K, G) => mapEntry(K, G.average(commerce.order.priceTotal)))",
    "least": f"xEvent.{ITEMS}[quantity > 1].groupBy(SKU).map((K, G) => mapEntry(K, G.min(priceTotal)))",
    "byPrice": "xEvent.groupBy(commerce.order.priceTotal).map((K, G) => mapEntry(K, G.count()))",
    "threeKinds": "xEvent.topN(timestamp, 3).map(eventType)",
    "threeKindsOrFewer": "xEvent.topN(timestamp, 3).eventType",
    "baskets": f'xEvent[eventType = "a"].topN(timestamp, 2).map({ITEMS})',
    "basket": f"xEvent.topN(timestamp, 1).{ITEMS}",
}  # fmt: skip


def sold(number, identity):
    """An event whose kind, price and goods are told by a number, some of them missing."""
    goods = [
        {"SKU": f"s{(number * n) % 7}", "quantity": n, "priceTotal": n / 2} | ({"name": f"n{number % 3}"} if n else {})
        for n in range(number % 4)
    ]
    fields = {"eventType": "abc"[number % 3]} if number % 5 else {}
    price = {"commerce": {"order": {"priceTotal": [3, 3.0, 10, 0.5][number % 4]}}} if number % 6 else {}
    return event(
        f"e{number}",
        f"2026-10-{1 + number * 7 % 28:02}T{number % 3:02}:00:00Z",
        identity,
        **fields,
        **price,
        **({"productListItems": goods} if goods else {}),
    )


async def told(world, identity=ADA, *, config=None):
    """The values of a person, and whether each is folded of partials."""
    config = config or await world.config()
    (found,) = await read_profiles(world.db, world.scope, config, config.default_policy, [await world.xid(*identity)])
    (told,) = await compute_values(world.db, world.scope, config, published_attributes(config, None), [found.profile])
    values = {each.attribute.name: (each.value, each.events_counted, each.value_at, each.is_complete) for each in told}
    return values, {each.attribute.name for each in told if not each.is_folded}


async def computed(world, identity=ADA):
    """The values of a person, computed from events: partials are of another configuration."""
    values, from_events = await told(world, identity, config=replace(await world.config(), version=0))
    assert from_events == values.keys()
    return values


@pytest.mark.parametrize("lookback", [None, "P60D"])
async def test_values_that_keep_more_than_numbers_are_those_of_the_events_whatever_came_in_which_order_and_went(
    world, lookback
):
    for name, text in KINDS.items():
        await world.publish(name, text, lookback and parse_duration(lookback))
    batch, together = await world.batch("gone", world.shop), await world.batch("together")
    for start in range(0, 40, 8):
        some = [sold(number, (ADA, BOB)[number % 2]) for number in range(start, start + 8)]
        sent = await world.events(*some, batch_id=batch if start == 16 else None)
        assert sent.accepted == len(some)
        assert await told(world) == (await computed(world), set())
    await world.records(record(ADA, BOB), batch_id=together)
    joined = await computed(world)
    assert await told(world) == (joined, set())
    assert joined["goods"][0] == 7
    await world.revert(batch)
    assert await told(world) == (await computed(world), set()) != (joined, set())
    await world.abort(together)
    assert await told(world) == (await computed(world), set())
    assert await checked(world) == []


async def test_a_value_of_more_keys_or_of_larger_values_than_are_kept_is_computed_from_events(world, monkeypatch):
    monkeypatch.setattr(partial_items, "KEYS", 3)
    monkeypatch.setattr(partial_items, "MAPS", 1)
    monkeypatch.setattr(partial_items, "VALUE_BYTES", 60)
    for name in ("kinds", "often", "last", "threeKinds", "days"):
        await world.publish(name, KINDS[name])
    await world.publish("newest", "xEvent.topN(timestamp, 1).head().eventType")
    many, large = await world.batch("many", world.shop), await world.batch("large", world.shop)
    for number in range(4):
        await world.events(
            event(f"k{number}", "2026-11-01T00:00:00Z", ADA, eventType=f"k{number}"),
            batch_id=many if number else None,
        )
    assert await told(world) == (await computed(world), {"kinds", "often", "last"})
    assert await counted_in_buckets(world, await world.config(), "kinds") == []
    assert await counted_in_buckets(world, await world.config(), "days") == [4]
    await world.events(event("l", "2026-11-02T00:00:00Z", ADA, eventType="x" * 60), batch_id=large)
    assert await told(world) == (await computed(world), {"kinds", "often", "last", "threeKinds", "newest"})
    assert await checked(world) == []
    await world.events(event("m", "2026-11-03T00:00:00Z", ADA, eventType="m"))
    assert await told(world) == (await computed(world), {"kinds", "often", "last", "threeKinds"})
    await world.revert(many)
    assert await told(world) == (await computed(world), {"threeKinds"}), "the key is no longer than all may be"
    await world.revert(large)
    assert await told(world) == (await computed(world), set())
    assert await checked(world) == []


async def test_events_come_though_the_items_of_another_attribute_still_stand_at_the_slot(world, monkeypatch):
    monkeypatch.setattr(partial_items, "MAPS", 2)
    number = count()
    for first, second in (("threeKinds", "kinds"), ("kinds", "threeKinds"), ("last", "often")):
        former = await world.publish("former", KINDS[first])
        await world.events(*(sold(next(number), ADA) for _ in range(3)))
        await switch(world, former, AttributeStatus.DISABLED)
        made = await create(world, "now", KINDS[second])
        for _ in range(3):
            assert (await world.events(sold(next(number), ADA))).accepted == 1
        await world.backfill()
        assert await told(world) == (await computed(world), set())
        assert await checked(world) == []
        await switch(world, made, AttributeStatus.DISABLED)
        for each in (former, made):
            await delete_attribute(world.db, world.scope, each.attribute_id)


async def test_nothing_of_an_erased_person_stays_in_partials_of_others(world):
    await world.publish(
        "named",
        'xEvent.groupBy((E) => E.identityMap.get("Email").topN(id, 1).head().id).map((K, G) => mapEntry(K, G.count()))',
    )
    await world.publish("lately", 'xEvent.topN(timestamp, 3).map((E) => E.identityMap.get("Email"))')
    await world.events(event("1", "2026-11-01T00:00:00Z", ADA, BOB), event("2", "2026-11-01T00:00:00Z", ADA))
    assert BOB[1] in str(await world.db.rows(ROWS))
    await world.erase(await world.xid(*BOB), reach=DeleteScope.IDENTITY)
    assert "1" in str(left := await world.db.rows(ROWS))
    assert BOB[1] not in str(left)
    assert (await told(world), await checked(world)) == ((await computed(world), set()), [])


async def test_attributes_that_were_published_before_there_were_partials_get_some_and_what_is_no_longer_read_goes(
    world,
):
    await world.events(priced("1", 1), priced("2", 2, at="2020-11-01T00:00:00Z"))
    await world.publish("spent", SUM)
    short = await world.publish("kinds", KINDS["kinds"], MONTH)
    await world.publish("objects", f"xEvent.{ITEMS}.distinct().count()")
    await world.db.rows(AS_BEFORE)
    before, config = await computed(world), await world.config()
    assert (config.partials, await told(world)) == ((), (before, set(before)))
    await look_after(world)
    assert await told(world) == (before, set(before))
    await world.backfill()
    assert await told(world) == (before, {"objects"})
    assert await statuses(world) == dict.fromkeys(before, AttributeStatus.PROCESSED)
    assert await checked(world) == []
    version = (await world.config()).version
    await look_after(world)
    assert (await world.config()).version == version, "nobody lacks any"
    await switch(world, short, AttributeStatus.DISABLED)
    assert len(await world.db.rows(ROWS)) == 2
    await look_after(world)
    assert len(await world.db.rows(ROWS)) == 1
    assert await checked(world) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("update gateway.computed_partial set numbers[3] = 7", "is not what its events make"),
        ("update gateway.computed_partial set numbers = '{}'", "is not what its events make"),
        ("update gateway.computed_partial set items = '{}'", "is not what its events make"),
        ("update gateway.computed_partial set first_at = first_at + interval '1 day'", "is not what its events make"),
        ("update gateway.computed_partial set last_at = last_at - interval '1 day'", "is not what its events make"),
        ("delete from gateway.computed_partial", "is not what its events make"),
        ("update gateway.computed_partial set xid = gen_random_uuid()", "no fact names its identity"),
    ],
)
async def test_a_partial_that_is_not_what_its_events_make_is_found(world, change, message):
    await world.publish("spent", SUM)
    await world.publish("last", "xEvent.topN(timestamp, 1).head().commerce.order.priceTotal")
    await world.events(priced("1", 1))
    assert await checked(world) == []
    await world.db.rows(statement(change))
    assert message in await checked(world)

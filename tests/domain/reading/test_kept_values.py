"""Values that searches read: kept from the first search on, right for every later one, told when a window slides, and gone with what they are of."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from working import work_off
from world import event, record

from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.verification import verify
from gateway.domain.reading import kept_values
from gateway.domain.reading.changes import list_changes
from gateway.domain.reading.conditions import check_condition, now_in, read_instant
from gateway.domain.reading.followed_attributes import follow_attributes
from gateway.domain.reading.search import Search, find_profiles
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.keyset import Window
from gateway.domain.views.effects import ChangeKind
from gateway.domain.work import jobs
from gateway.errors import BadInput, Unavailable
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

ANA, BOB, CLEO = [("Email", f"{name}@example.com") for name in ("ana", "bob", "cleo")]
VALUES = Query(
    "test.values", "select profile_id, value, next_change_at from gateway.kept_value where sandbox_id = $1 order by attribute_id, profile_id", ("sandbox_id",), (), "rows", "For tests.",
)  # fmt: skip
DUE = Query(
    "test.due", "update gateway.job set due_at = created_at where sandbox_id = $1 and kind = 'REFRESH_KEPT_VALUES'", ("sandbox_id",), (), "rows",
    "For tests.",
)  # fmt: skip
LATER = Query(
    "test.later", "update gateway.kept_value set next_change_at = next_change_at + interval '1 year' where sandbox_id = $1", ("sandbox_id",), (),
    "rows", "For tests.",
)  # fmt: skip
SPOIL = Query(
    "test.spoil",
    "update gateway.kept_value set value = '99' where sandbox_id = $1",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)


@pytest.fixture
async def clock(world, dsn):
    """The world as of any moment: `clock(datetime)`."""
    opened = []

    async def at(moment):
        later = await Database.connect(f"{dsn}&gateway.now={moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}", size=3)
        opened.append(later)
        return replace(world, db=later)

    yield at
    for each in opened:
        await each.close()


def own(world):
    return f"_{world.scope.organization.code}.ComputedAttributes"


async def found(world, text):
    """The e-mail addresses of the people for whom a condition holds."""
    config, key = await world.config(), (XdmClass.INDIVIDUAL_PROFILE, text.format(own=own(world)))
    condition = (await now_in(world.db, {key: await check_condition(config, key)}))[key]
    page = await find_profiles(world.db, world.scope, config, Search(config.default_policy, condition, 60), Window(100))
    return {each.document.get("person", {}).get("name", {}).get("firstName") for each in page.items}


async def visited(world, who, name, *days, at):
    """Let somebody with a name visit so many days ago."""
    await world.records(record(who, first_name=name))
    await world.events(*[event(f"{name}{number}", (at - timedelta(days=number)).isoformat(), who) for number in days])


async def changed(world, after):
    config = await world.config()
    return await list_changes(world.db, world.scope, config.default_policy, Window(100, after=after))


async def test_a_window_that_slides_is_a_change_of_those_whose_value_is_another(world, clock):
    now = await read_instant(world.db)
    await visited(world, ANA, "Ana", 1, 9.5, at=now)
    await visited(world, BOB, "Bob", 1, at=now)
    await visited(world, CLEO, "Cleo", 9.5, at=now)
    await world.publish("recent", "xEvent.count()", parse_duration("P10D"))
    assert await found(world, "{own}.recent = 1") == {"Bob", "Cleo"}
    present = (await changed(world, None)).end.key
    later = await clock(now + timedelta(days=0.5))
    assert await found(later, "{own}.recent = 1") == {"Bob", "Cleo"}, "both ends count"
    later = await clock(now + timedelta(days=0.5, milliseconds=1))
    assert await found(later, "{own}.recent = 1") == {"Ana", "Bob"}
    await jobs.schedule(later.db)
    await later.db.rows(DUE, world.scope.sandbox_id)
    await work_off(later.db, later.configurations)
    page = await changed(later, present)
    path = f"{own(world)}.recent".split(".")
    assert {(each.profile_id, each.kind) for each in page.items} == {
        (await world.xid(*who), ChangeKind.UPDATED) for who in (ANA, CLEO)
    }
    assert [each.changed_paths for each in page.items] == [[path], [path]]
    await later.db.rows(DUE, world.scope.sandbox_id)
    await work_off(later.db, later.configurations)
    assert (await changed(later, page.end.key)).items == [], "it is told once"
    assert await found(later, "{own}.recent = 1") == {"Ana", "Bob"}


async def test_what_is_erased_leaves_the_values_and_is_counted(world):
    now = await read_instant(world.db)
    await visited(world, ANA, "Ana", 1, 2, at=now)
    await visited(world, BOB, "Bob", 1, at=now)
    await world.publish("visits", "xEvent.count()")
    assert await found(world, "{own}.visits = 2") == {"Ana"}
    ana = await world.xid(*ANA)
    assert "kept_value" in (await verify_erasure(world.db, world.scope, ana)).traces
    job = await world.erase(ana)
    assert job.receipt.computed_values == 1
    check = await verify_erasure(world.db, world.scope, ana)
    assert (check.is_erased, check.traces) == (True, ())
    assert {row["profile_id"] for row in await world.db.rows(VALUES, world.scope.sandbox_id)} == {await world.xid(*BOB)}
    assert await found(world, "{own}.visits > 0") == {"Bob"}


async def test_very_many_people_are_left_to_a_job_which_says_how_far_it_is(world, monkeypatch):
    now = await read_instant(world.db)
    for who, name in ((ANA, "Ana"), (BOB, "Bob"), (CLEO, "Cleo")):
        await visited(world, who, name, 1, at=now)
    await world.publish("visits", "xEvent.count()")
    monkeypatch.setattr(kept_values, "MAX_FOLDED", 2)
    monkeypatch.setattr(kept_values, "PEOPLE_PER_PIECE", 2)
    with pytest.raises(Unavailable, match="'visits' are being computed for searches: 0 of 3 people are done"):
        await found(world, "{own}.visits = 1")
    await work_off(world.db, world.configurations)
    assert await found(world, "{own}.visits = 1") == {"Ana", "Bob", "Cleo"}
    assert await verify(world.db, world.scope, world.configurations) == []
    await world.db.rows(SPOIL, world.scope.sandbox_id)
    spoiled = await verify(world.db, world.scope, world.configurations)
    assert {(each.table, each.message) for each in spoiled} == {
        ("kept_value", "differs from what is computed of the events")
    }
    assert len(spoiled) == 3


async def test_a_value_that_would_outlast_its_window_is_found(world, monkeypatch):
    monkeypatch.setattr(kept_values, "MAX_GIVEN", 0)
    now = await read_instant(world.db)
    for days, (name, lookback) in enumerate([("lately", "P10D"), ("lastMonths", "P2M")], start=1):
        await visited(world, ANA, "Ana", days, at=now)  # the value that is kept by then is old, and is compared no more
        assert await verify(world.db, world.scope, world.configurations) == []
        await world.publish(name, "xEvent.count()", parse_duration(lookback))
        assert await found(world, f"{{own}}.{name} = {days}") == {"Ana"}
    assert await found(world, "{own}.lately = 2") == {"Ana"}
    assert await verify(world.db, world.scope, world.configurations) == []
    await world.db.rows(LATER, world.scope.sandbox_id)
    late = await verify(world.db, world.scope, world.configurations)
    assert [each.message for each in late] == 2 * ["would be kept beyond the time at which its window slides"]


@pytest.mark.parametrize("given", [0, 100])
async def test_a_sum_that_no_double_holds_is_missing_for_that_person_and_for_nobody_else(world, monkeypatch, given):
    monkeypatch.setattr(kept_values, "MAX_GIVEN", given)
    now = await read_instant(world.db)
    for who, name in ((ANA, "Ana"), (BOB, "Bob")):
        await visited(world, who, name, 1, at=now)
    await world.publish("spent", "xEvent.sum(commerce.order.priceTotal)")
    assert await found(world, "{own}.spent = 0") == {"Ana", "Bob"}
    for number, (who, price) in enumerate([(ANA, 1e308), (ANA, 1e308), (BOB, 0.1), (BOB, 2**53), (BOB, 1)]):
        await world.events(event(f"{number}", now.isoformat(), who, commerce={"order": {"priceTotal": price}}))
    assert await found(world, "{own}.spent = 9007199254740993.1") == {"Bob"}
    assert await found(world, "{own}.spent.isNull()") == {"Ana"}
    await jobs.schedule(world.db)
    await world.db.rows(DUE, world.scope.sandbox_id)
    await work_off(world.db, world.configurations)
    stored = [row["value"] for row in await world.db.rows(VALUES, world.scope.sandbox_id)]
    assert sorted(stored, key=str) == ["9007199254740993.1", None]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_slid_window_is_a_change_once_a_follower_has_named_the_attribute(world, clock):
    now = await read_instant(world.db)
    for who, name, days in ((ANA, "Ana", 5), (BOB, "Bob", 1)):
        await visited(world, who, name, days, at=now)
    await world.publish("lately", "xEvent.count()", parse_duration("P10D"))
    await world.publish("score", f"{own(world)}.lately * 10")
    config = await world.config()
    asked = world.scope, config, config.default_policy
    with pytest.raises(BadInput):
        await follow_attributes(world.db, *asked, ["gone"])
    await follow_attributes(world.db, *asked, ["score"])
    position = (await list_changes(world.db, world.scope, config.default_policy, Window(0))).end
    await work_off(world.db, world.configurations)
    later = await clock(now + timedelta(days=5, milliseconds=1))
    await world.db.rows(DUE, world.scope.sandbox_id)
    await follow_attributes(later.db, *asked, ["score"])  # on the way, and on behalf of nobody else
    await work_off(later.db, later.configurations)
    (change,) = (await list_changes(world.db, world.scope, config.default_policy, Window(10, after=position.key))).items
    assert (change.kind, change.profile_id) == (ChangeKind.UPDATED, await world.xid(*ANA))
    assert change.changed_paths == [[*own(world).split("."), "lately"]]


@pytest.fixture
async def followed(world, clock):
    """The world as of days from now, with an attribute over ten days that is followed; and who is told behind a position, when the job is due then."""
    now = await read_instant(world.db)

    async def at(days):
        return await clock(now + timedelta(days=days))

    async def told(days, position):
        later = await at(days)
        await world.db.rows(DUE, world.scope.sandbox_id)
        await work_off(later.db, later.configurations)
        return {each.profile_id for each in (await changed(later, position)).items}

    async def follow(world):
        config = await world.config()
        await follow_attributes(world.db, world.scope, config, config.default_policy, ["lately"])
        return (await changed(world, None)).end.key

    return now, at, told, follow


async def test_kept_values_tell_of_a_window_that_slid_after_a_change_where_the_job_reads_both_at_once(world, followed):
    now, at, told, follow = followed
    await visited(world, ANA, "Ana", 5, at=now)
    await world.publish("lately", "xEvent.count()", parse_duration("P10D"))
    await follow(world)
    await work_off(world.db, world.configurations)
    await visited(await at(4), ANA, "Ana", 0, at=now + timedelta(days=4))
    position = (await changed(world, None)).end.key
    assert await told(5.5, position) == {await world.xid(*ANA)}


async def test_kept_values_tell_of_a_window_that_slid_before_they_were_first_computed(world, followed):
    now, _, told, follow = followed
    await visited(world, ANA, "Ana", 9, at=now)
    await visited(world, BOB, "Bob", 5, at=now)
    await world.publish("lately", "xEvent.count()", parse_duration("P10D"))
    assert await told(2, await follow(world)) == {await world.xid(*ANA)}


async def test_kept_values_tell_of_one_that_went_there_and_back_and_of_none_that_stayed(world, followed):
    now, _, told, follow = followed
    for who, paid in ((ANA, {9.8: 1, 9.7: -1, 5: 7}), (BOB, {9.8: 0, 5: 7})):
        for days, price in paid.items():
            bought = {"commerce": {"order": {"priceTotal": price}}}
            await world.events(event(f"{who}{days}", (now - timedelta(days=days)).isoformat(), who, **bought))
    await world.publish("lately", "xEvent.sum(commerce.order.priceTotal)", parse_duration("P10D"))
    position = await follow(world)
    await work_off(world.db, world.configurations)
    assert await told(0.5, position) == {await world.xid(*ANA)}


async def test_values_that_no_search_reads_or_nobody_computes_are_dropped(world, clock):
    now = await read_instant(world.db)
    await visited(world, ANA, "Ana", 1, at=now)
    await world.publish("visits", "xEvent.count()")
    assert await found(world, "{own}.visits = 1") == {"Ana"}
    await jobs.schedule(world.db)
    unread = Settings().search_index_days
    for days, left in ((unread - 1, 1), (unread + 1, 0)):
        later = await clock(now + timedelta(days=days))
        await later.db.rows(DUE, world.scope.sandbox_id)
        await work_off(later.db, later.configurations)
        assert len(await world.db.rows(VALUES, world.scope.sandbox_id)) == left
        assert len(await kept_values.list_kept(world.db, world.scope)) == left
    assert await found(later, "{own}.visits = 1") == {"Ana"}


@pytest.mark.parametrize("given", [0, 100])
async def test_a_search_finds_what_was_written_before_it_beside_other_writers(world, monkeypatch, given):
    """Each writer finds what it has written, by what is kept of all."""
    monkeypatch.setattr(kept_values, "MAX_GIVEN", given)
    await world.publish("visits", "xEvent.count()")
    now = await read_instant(world.db)

    async def write(number):
        name, who = f"N{number}", ("Email", f"n{number}@example.com")
        for visit in range(3):
            await visited(world, who, name, visit, at=now)
            if given or visit == 2:
                assert name in await found(world, f"{{own}}.visits = {visit + 1}")

    await asyncio.gather(*map(write, range(4)))
    assert await found(world, "{own}.visits = 3") == {f"N{number}" for number in range(4)}
    assert await verify(world.db, world.scope, world.configurations) == []

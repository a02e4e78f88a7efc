"""Values of computed attributes are those of the events that a person has, whatever came, went, was joined or taken apart; and searches find by them."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import START, VALUES, by_examples, histories
from properties.test_one_truth import policies_of

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.operations.verification import verify
from gateway.domain.reading import events, kept_values, profiles, search
from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.conditions import check_condition, now_in
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.reading.search import Search
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.storage.database import Database
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

ALL = EventRequest(EventFilter(), EventOrder(), Window(1_000))
DAYS = 2
ATTRIBUTES = {
    "visits": "xEvent.count()",
    "ofKindA": 'xEvent[eventType = "a"].count()',
    "lastVisit": "xEvent.max(timestamp)",
    "latest": "xEvent.topN(timestamp, 1).head().eventType",
    "kinds": "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))",
    "recent": "xEvent.count()",
    "score": "{own}.recent * 10 + {own}.visits",
    "label": 'if(person.name.firstName.isNotNull() and {own}.score > 20, person.name.firstName, "none")',
}
CONDITIONS = {
    "{own}.visits > 1": lambda found: found["visits"] > 1,
    '{own}.latest = "a" or {own}.recent = 0': lambda found: found["latest"] == "a" or found["recent"] == 0,
    '{own}.kinds.get("b") >= 1': lambda found: found["kinds"].get("b", 0) >= 1,
    "{own}.score > 11 and {own}.visits < 4": lambda found: found["score"] > 11 and found["visits"] < 4,
    '{own}.label != "none" or xEvent.count() = {own}.visits + 1': lambda found: found["label"] != "none",
    "{own}.latest.isNull()": lambda found: found["latest"] is None,
    "{own}.lastVisit occurs before date(2026, 2, 28)": lambda found: found["lastVisit"] is not None and found["lastVisit"] < "2026-02-28",
}  # fmt: skip
"""Each with the same of the values."""
JOURNAL_SINCE = Query(
    "test.journal_since",
    "update gateway.sandbox set journal_since = $2 where sandbox_id = $1 returning 1",
    ("sandbox_id", "at"),
    (),
    "rows",
    "For these tests.",
)
"""Says that the journal is kept since a time."""
INSTANTS = [START + timedelta(days=day, milliseconds=step) for day, step in [(0, 0), (1, 1), (2, -1), (30, 0)]]


def by_hand(document, found, at):
    found = [event for event in found if event.timestamp <= at]
    kinds = [event.event_type for event in found]
    last = max((event.timestamp for event in found), default=None)
    newest = next((event.event_type for event in found if event.timestamp == last), None)
    recent = sum(event.timestamp >= at - timedelta(days=DAYS) for event in found)
    name, score = document.get("person", {}).get("name", {}).get("firstName"), recent * 10 + len(found)
    return {
        "visits": len(found),
        "ofKindA": kinds.count("a"),
        "lastVisit": last and f"{last:%Y-%m-%dT%H:%M:%S}.{last.microsecond // 1000:03}Z",
        "latest": newest,
        "kinds": {kind: kinds.count(kind) for kind in kinds if kind is not None},
        "recent": recent,
        "score": score,
        "label": name if name is not None and score > 20 else "none",
    }


@pytest.fixture
async def computing(replay):
    """The replay with attributes, and a policy beside the default one that keeps profiles: of each identity alone, and of one dataset."""
    world = replay.world
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    alone = PolicySettings("Alone", IdentityGraphType.NONE, rule, is_active_on_edge=True)
    await policies.create_policy(world.db, world.scope, alone)
    await world.db.rows(JOURNAL_SINCE, world.scope.sandbox_id, START - timedelta(days=1))
    for name, text in ATTRIBUTES.items():
        lookback = parse_duration(f"P{DAYS}D") if name == "recent" else None
        await world.publish(name, text.format(own=own(world)), lookback)
    return replay


@pytest.fixture
async def instants(dsn):
    """The database as it is at some instants, by these."""
    async with AsyncExitStack() as stack:
        opened = {}
        for at in INSTANTS:
            opened[at] = await Database.connect(f"{dsn}&gateway.now={quote(at.isoformat())}", size=2)
            stack.push_async_callback(opened[at].close)
        yield opened


def own(world):
    return f"_{world.scope.organization.code}.ComputedAttributes"


async def values_by_hand(world, config, policy, at):
    """What is computed by hand for each person, and what is told, by profile ids."""
    xids = [await world.xid(namespace, value) for namespace, values in VALUES.items() for value in values]
    asked = world.db, world.scope, config, policy
    read = await profiles.read_profiles(*asked, xids)
    people = {each.profile.profile_id: each.profile for each in read if each.profile}
    listed = await events.list_events(world.db, world.scope, [each.person.xids for each in people.values()], ALL)
    computed = await compute_values(*asked[:3], published_attributes(config, None), list(people.values()))
    by_profile = zip(people.values(), listed, computed, strict=True)
    return {
        profile.profile_id: (by_hand(profile.document, page.items, at), {each.attribute.name: each.value for each in told})
        for profile, page, told in by_profile
    }  # fmt: skip


async def check_searches(world, config, policy, at):
    """Compare searches with the values by hand, and these with those told."""
    expected = {}
    for profile_id, (by_us, told) in (await values_by_hand(world, config, policy, at)).items():
        assert told == by_us
        expected[profile_id] = by_us
    if policy not in config.materialized:
        return
    for text, holds in CONDITIONS.items():
        key = (XdmClass.INDIVIDUAL_PROFILE, text.format(own=own(world)))
        condition = (await now_in(world.db, {key: await check_condition(config, key)}))[key]
        page = await search.find_profiles(world.db, world.scope, config, Search(policy, condition, 600), Window(100))
        found = sorted(profile_id for profile_id, values in expected.items() if holds(values))
        assert [each.profile_id for each in page.items] == found, text
    assert await search.count_profiles(world.db, world.scope, config, Search(policy, condition, 600)) == len(found)


@settings(by_examples, max_examples=10)
@given(
    history=histories(vary=True), given=st.sampled_from([0, 100]),
    undoing=st.tuples(st.sampled_from([None, "abort", "revert", "delete"]), st.integers(0, 5)),
)  # fmt: skip
async def test_values_are_those_of_the_events_that_are_there_and_searches_find_by_them(
    computing, instants, history, given, undoing
):
    """Searches are made before more comes and something goes, too, so that what is kept of them has to follow."""
    undone, place = undoing
    await computing.empty()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_values, "MAX_GIVEN", given)
        patch.setattr(kept_values, "PEOPLE_PER_PIECE", 2)
        await computing.run(history[: place + 1])
        world = computing.world
        for at, db in instants.items():
            config = await world.config()
            await check_searches(replace(world, db=db), config, config.default_policy, at)
            if at == INSTANTS[0]:
                await computing.run(history[place + 1 :])
                if undone:
                    await computing.undo(history[place % len(history)], undone)
        for policy in [*config.materialized[1:], *policies_of(config)[1:]]:
            await check_searches(replace(world, db=instants[INSTANTS[-1]]), config, policy, INSTANTS[-1])
        assert await verify(world.db, world.scope, world.configurations) == []

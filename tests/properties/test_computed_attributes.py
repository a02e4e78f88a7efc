"""Values of computed attributes are those of the events that a person has, whatever came, went, was joined or taken apart; and searches find by them."""

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import (
    DATASETS,
    START,
    UNDOING,
    VALUES,
    Replay,
    Step,
    by_examples,
    histories,
    identities,
    identity_rules,
)
from properties.test_one_truth import policies_of
from working import work_off

from gateway.domain.config import datasets, policies
from gateway.domain.config.computed_attributes import AttributeStatus, update_attribute
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.operations.erased_identities import lift_erasure, list_erased
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.operations.event_retention import expire_events
from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.operations.verification import verify
from gateway.domain.reading import events, kept_values, profiles, search
from gateway.domain.reading.changes import list_changes
from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.conditions import check_condition, now_in
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.reading.kept_values import fold
from gateway.domain.reading.search import Search
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import Conflict, Invalid, NotFound
from gateway.projection.tree import Computed, Document, Leaf, Projection, Subset
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
    "kindsSeen": "xEvent.eventType.distinct().count()",
    "favourite": 'xEvent.groupBy(eventType).map((K, G) => {{"key": K, "n": G.count()}}).topN(n, 1).head().key',
    "lastKinds": "xEvent.topN(timestamp, 2).map(eventType)",
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
DUE = Query(
    "test.due",
    "update gateway.job set due_at = '2026-01-01' where sandbox_id = $1 and kind = 'EXPIRE_EVENTS'",
    ("sandbox_id",),
    (),
    "rows",
    "For these tests.",
)
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
        "kindsSeen": len(set(kinds)),
        "favourite": min(kinds, key=lambda kind: (-kinds.count(kind), kind), default=None),
        "lastKinds": [event.event_type for event in sorted(found, key=lambda event: event.timestamp, reverse=True)[:2]],
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


async def check_statement(world, config, policy, expected):
    """Compare the values by hand with those in the statement that reads people. It has them unless somebody has events of times to come."""
    wanted = Computed(Subset(tuple((name, Leaf("JSON")) for name in ATTRIBUTES)))
    tenant = own(world).split(".")[0]
    projection = Projection(
        (Document(Subset(((tenant, Subset((("ComputedAttributes", wanted),))),))),), frozenset({"person"})
    )
    found = await profiles.project_profiles(
        world.db, world.scope, config, policy, list(expected), projection=projection
    )
    for profile_id, each in zip(expected, found, strict=True):
        if each.parts is not None:
            values = json.loads(each.parts[0])[tenant]["ComputedAttributes"]
            assert {name: values.get(name) for name in ATTRIBUTES} == expected[profile_id]
    return bool(found) and found[0].parts is not None


async def check_searches(world, config, policy, at):
    """Compare searches with the values by hand, and these with those told. Return them."""
    expected = {}
    for profile_id, (by_us, told) in (await values_by_hand(world, config, policy, at)).items():
        assert told == by_us
        expected[profile_id] = by_us
    is_in_statement = await check_statement(world, config, policy, expected)
    if expected and policy is config.default_policy and at == INSTANTS[-1]:
        assert is_in_statement
    if policy not in config.materialized:
        return expected
    for text, holds in CONDITIONS.items():
        key = (XdmClass.INDIVIDUAL_PROFILE, text.format(own=own(world)))
        condition = (await now_in(world.db, {key: await check_condition(config, key)}))[key]
        page = await search.find_profiles(world.db, world.scope, config, Search(policy, condition, 600), Window(100))
        found = sorted(profile_id for profile_id, values in expected.items() if holds(values))
        assert [each.profile_id for each in page.items] == found, text
    assert await search.count_profiles(world.db, world.scope, config, Search(policy, condition, 600)) == len(found)
    return expected


class Follower:
    """Somebody who reads again whoever a change names, and so knows the values of everybody."""

    def __init__(self, world):
        self._world, self._key, self._known = world, None, {}

    async def follow(self, db, config, policy, present):
        """Check that everybody is named whose values are others than before, as far as attributes that searches read are concerned."""
        for kept in await kept_values.list_kept(db, self._world.scope):
            attribute = config.attributes.find(kept.attribute_id)
            while kept.identity_graph == "PDG" and await fold(db, self._world.scope, config, policy, attribute):
                pass  # as the job does
        named, has_next = set(), True
        while has_next:
            page = await list_changes(db, self._world.scope, policy, Window(100, after=self._key))
            named |= {xid for change in page.items for xid in (change.profile_id, *change.former_profile_ids)}
            self._key, has_next = page.end.key, page.has_next
        present = {
            key: {**values, "label": None} for key, values in present.items()
        }  # another policy is no change of people
        others = {key for key in {*self._known, *present} if self._known.get(key) != present.get(key)}
        assert others <= named
        self._known = present


# ------------------------------------------------------------------------------------------------ what else happens


@dataclass
class Scene:
    """A sandbox in which a history has run, and the database at its last instant."""

    replay: Replay
    history: list[Step]
    later: Database

    @property
    def world(self):
        return self.replay.world

    @property
    def place(self):
        return self.world.db, self.world.scope


async def nothing(scene):
    """Nothing happens."""


async def take_back(scene, how, place):
    await scene.replay.undo(scene.history[place % len(scene.history)], how)


async def erase(scene, one, reach):
    """A dry run before counts the same, kept values among it."""
    xid = await scene.world.xid(*one)
    with suppress(NotFound):
        counted = await scene.world.erase(xid, reach=reach, is_dry_run=True)
        assert (await scene.world.erase(xid, reach=reach)).receipt == counted.receipt


async def erase_and_lift(scene, one):
    await erase(scene, one, DeleteScope.GRAPH)
    await send_again(scene)


async def send_again(scene):
    """Send the history once more, after all erasures were lifted, which would refuse some of it."""
    for each in (await list_erased(*scene.place, Window(100))).items:
        await lift_erasure(*scene.place, each.xid)
    await scene.replay.run(scene.history)


async def by_hand_of(scene, verb, pair):
    with suppress(NotFound, Invalid, Conflict):
        await verb(*scene.place, scene.world.configurations, *[await scene.world.xid(*one) for one in pair])


async def change_rules(scene, rules):
    await scene.replay.set_rules(rules)
    await scene.replay.regroup()


async def expire(scene, days):
    """Let events go that are older at the last instant."""
    await datasets.update_dataset(*scene.place, scene.world.shop.dataset_id, {"event_retention_days": days})
    await jobs.schedule(scene.world.db)
    await scene.world.db.rows(DUE, scene.world.scope.sandbox_id)
    job = await leases.claim(scene.later, [JobKind.EXPIRE_EVENTS])
    await leases.carry_out(
        scene.later, job, expire_events(scene.later, scene.world.scope, scene.world.configurations, job)
    )
    await datasets.update_dataset(*scene.place, scene.world.shop.dataset_id, {"event_retention_days": None})


async def merge_otherwise(scene, dataset):
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (getattr(scene.world, dataset).dataset_id,))
    await prefer(scene.world, rule)


async def prefer(world, rule):
    policy = (await world.config()).default_policy
    await policies.update_policy(world.db, world.scope, policy.policy_id, {"attribute_merge": rule})
    await work_off(world.db, world.configurations)


async def publish_anew(scene, name):
    """The job reads the past beside writers who send all once more."""
    config = await scene.world.config()
    attribute = next(each for each in config.attributes.values() if each.name == name)
    for status in (AttributeStatus.DISABLED, AttributeStatus.NEW):
        await update_attribute(*scene.place, config.unions, attribute.attribute_id, {}, most=25, status=status)
    await asyncio.gather(scene.world.backfill(), send_again(scene))


pairs = st.lists(identities, min_size=2, max_size=2, unique=True)
HAPPENINGS = st.one_of(
    st.tuples(st.just(nothing)),
    st.tuples(st.just(take_back), UNDOING, st.integers(0, 5)),
    st.tuples(st.just(erase), identities, st.sampled_from(DeleteScope)),
    st.tuples(st.just(erase_and_lift), identities),
    st.tuples(st.just(by_hand_of), st.sampled_from([link_identities, unlink_identities]), pairs),
    st.tuples(st.just(change_rules), identity_rules()),
    st.tuples(st.just(expire), st.integers(31, 33)),
    st.tuples(st.just(merge_otherwise), st.sampled_from(DATASETS[:2])),
    st.tuples(st.just(publish_anew), st.sampled_from(["ofKindA", "lastVisit", "kinds"])),
)
"""What happens to a sandbox beside ingestion, and to what of it."""


@settings(by_examples, max_examples=12)
@given(
    halves=st.tuples(histories(vary=True), st.integers(1, 6)), given=st.sampled_from([0, 100]),
    happenings=st.lists(HAPPENINGS, min_size=3, max_size=3),
)  # fmt: skip
async def test_values_are_those_of_the_events_that_are_there_and_searches_find_by_them(
    computing, instants, halves, given, happenings
):
    """Searches are made before more comes and something happens, too, so that what is kept of them has to follow; and changes name whose values are others."""
    history, middle = halves
    await computing.empty()
    await change_rules(Scene(computing, history, computing.world.db), [])
    await prefer(computing.world, AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED))
    world, follower = computing.world, Follower(computing.world)
    scene = Scene(computing, history, instants[INSTANTS[-1]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_values, "MAX_GIVEN", given)
        patch.setattr(kept_values, "PEOPLE_PER_PIECE", 2)
        await computing.run(history[:middle])
        for (at, db), (happen, *to) in zip(instants.items(), [*happenings, (nothing,)], strict=True):
            config = await world.config()
            present = await check_searches(replace(world, db=db), config, config.default_policy, at)
            await follower.follow(db, config, config.default_policy, present)
            if at == INSTANTS[0]:
                await computing.run(history[middle:])
            await happen(scene, *to)
        config = await world.config()
        for policy in [*config.materialized[1:], *policies_of(config)[1:]]:
            await check_searches(replace(world, db=instants[INSTANTS[-1]]), config, policy, INSTANTS[-1])
        assert await verify(world.db, world.scope, world.configurations) == []

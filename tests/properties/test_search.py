"""A search finds those people for whom an evaluator in plain Python says that the condition is true, under every policy that is kept."""

from itertools import product

import pytest
from citus import CLUSTER_URL, WAYS
from hypothesis import given, settings
from hypothesis import strategies as st
from pql import evaluator
from pql.people import NOW
from pql.values import load
from properties.histories import VALUES, by_examples, histories

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.reading import events, profiles, search
from gateway.domain.reading.conditions import check_condition
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.reading.search import Search
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType, canonical
from gateway.pql.parser import parse
from gateway.xdm.classes import XdmClass

CONDITIONS = [
    "true",
    "false",
    'person.name.firstName = "Ana"',
    "person.name.firstName.isNull()",
    'not (person.name.firstName.startsWith("A"))',
    'personalEmail.label = "home" or xEvent.count() > 1',
    'xEvent[eventType = "a"]',
    'person.isNull() and xEvent[eventType = "a"].count() >= 1',
    "xEvent.count() = 0",
    "identityMap.keys().count() > 1",
    'identityMap.get("Email").id.count() > 0 and identityMap.get("Phone").isNull()',
    'chain(xEvent, timestamp, [A: WHAT(eventType = "a"), B: WHAT(eventType = "b")])',
    "xEvent.max(timestamp) occurs before date(2026, 2, 28)",
]


@pytest.fixture
async def kept(replay):
    """A policy beside the default one that keeps profiles: of each identity alone, and of one dataset."""
    world = replay.world
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    settings = PolicySettings("Alone", IdentityGraphType.NONE, rule, is_active_on_edge=True)
    await policies.create_policy(world.db, world.scope, settings)
    return replay


async def people_of(world, config, policy):
    """The document of each person, and what the evaluator takes: the document and the events."""
    xids = [await world.xid(namespace, value) for namespace, values in VALUES.items() for value in values]
    read = await profiles.read_profiles(world.db, world.scope, config, policy, xids)
    found = {each.profile.profile_id: each.profile for each in read if each.profile}
    everything = EventRequest(EventFilter(), EventOrder(), Window(1_000))
    lists = await events.list_events(world.db, world.scope, [each.person.xids for each in found.values()], everything)
    of_profile, of_event = (config.union(each) for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT))
    return {
        profile_id: (canonical(profile.document), load(profile.document, of_profile), [load(each.document, of_event) for each in page.items])
        for (profile_id, profile), page in zip(found.items(), lists, strict=True)
    }  # fmt: skip


def by_hand(people, text):
    """The documents of people for whom a condition is true, by the people."""
    tree = parse(text)
    return {
        profile_id: told
        for profile_id, (told, document, listed) in people.items()
        if evaluator.evaluate(tree, document, listed, NOW) not in (None, False, [])
    }


async def walk(world, config, searched, size, *, backward):
    """All people that are found, page by page."""
    found, window = [], Window(size, backward)
    while True:
        page = await search.find_profiles(world.db, world.scope, config, searched, window)
        found = page.items + found if backward else found + page.items
        if not (page.has_previous if backward else page.has_next):
            return found
        window = Window(size, backward, before=page.start) if backward else Window(size, after=page.end)


@settings(by_examples, max_examples=15)
@given(
    history=st.tuples(histories(vary=True), st.none() | st.integers(0, 5)),
    pages=st.tuples(st.integers(1, 4), st.booleans()), bounds=st.tuples(st.integers(1, 4), st.sampled_from([0, 600])),
    is_distributed=st.sampled_from(WAYS),
)  # fmt: skip
async def test_pages_and_counts_agree_with_the_evaluator(kept, history, pages, bounds, is_distributed):
    ran, undone = history
    await kept.empty()
    await kept.run(ran)
    if undone is not None:  # parts people
        await kept.undo(ran[undone % len(ran)])
    (size, backward), (people, seconds), world = pages, bounds, kept.world
    config = await world.config()
    assert len(config.materialized) == 2
    read = {policy.policy_id: await people_of(world, config, policy) for policy in config.materialized}
    world.db.is_distributed = is_distributed
    for policy, text in product(config.materialized, CONDITIONS):
        expected = by_hand(read[policy.policy_id], text)
        condition = await check_condition(config, (XdmClass.INDIVIDUAL_PROFILE, text))
        searched = Search(policy, condition, seconds)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "MAX_PEOPLE", people)
            found = await walk(world, config, searched, size, backward=backward)
            count = await search.count_profiles(world.db, world.scope, config, searched._replace(seconds=600))
        ids = [each.profile_id for each in found]
        assert ids == sorted(expected), text
        assert {each.profile_id: canonical(each.document) for each in found} == expected
        assert count == len(expected)
    world.db.is_distributed = bool(CLUSTER_URL)

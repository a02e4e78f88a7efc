"""What an edge holds of a person is the selector applied to the profile, and the newest events cut down by theirs."""

from dataclasses import replace

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import START, by_examples, histories
from properties.test_one_truth import policies_of, replayed

from gateway.domain.config.configuration import UsableRows
from gateway.domain.config.projection_configurations import EventWindow
from gateway.domain.reading import events, profiles
from gateway.domain.reading.attribute_documents import with_values_of_events, with_values_of_people
from gateway.domain.reading.conditions import check_condition
from gateway.domain.reading.edge_projections import project
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.rules import selectors
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.keyset import Window
from gateway.xdm.classes import XdmClass

WINDOWS = {
    "names": ("person.name.firstName,identityMap", None),
    "segments": ("segmentMembership,personalEmail(address)", EventWindow("eventType,_id", last=2)),
    "values": (
        "_{code}.ComputedAttributes(visits,often),person",
        EventWindow("timestamp,identityMap", last=3, within=parse_duration("P3Y"), where='eventType = "a"'),
    ),
    "marks": ("personalEmail", EventWindow("_{code}.ComputedAttributes.kind,_id")),
}
"""Selectors and windows of events by the names of configurations; the last one needs values of each event."""


async def furnished(world):
    """Make the configurations, and what they select."""
    code = world.scope.organization.code
    await world.publish("visits", "xEvent.count()", parse_duration("P2Y"))
    await world.publish("often", f"_{code}.ComputedAttributes.visits > 1")
    await world.publish("kind", 'eventType = "a"', xdm_class=XdmClass.EXPERIENCE_EVENT)
    for name, (selector, window) in WINDOWS.items():
        own = window and replace(window, selector=window.selector.replace("{code}", code))
        await world.project(name, selector.replace("{code}", code), own)


async def expected(world, config, configuration, found):
    """Return the selected parts of the profile and of its events, read whole."""
    asked = world.db, world.scope, config
    (document,) = await with_values_of_people(*asked, ["visits", "often"], [found])
    named = configuration.settings.selector.startswith("_")
    profile = selectors.apply(configuration.tree, document if named else found.document)
    window = configuration.settings.events
    if window is None:
        return {"profile": profile, "events": []}
    where = window.where and (await check_condition(config, (XdmClass.EXPERIENCE_EVENT, window.where))).predicate
    request = EventRequest(EventFilter(where=where), EventOrder(descending=True), Window(window.last))
    (page,) = await events.list_events(world.db, world.scope, [found.person.event_xids], request)
    documents = [event.document for event in page.items]
    if window.selector.startswith("_"):
        documents = await with_values_of_events(*asked, ["kind"], page.items)
    return {"profile": profile, "events": [selectors.apply(configuration.event_tree, each) for each in documents]}


@settings(by_examples, max_examples=12)
@given(history=histories(), data=st.data())
async def test_what_an_edge_holds_is_the_selector_applied_to_the_profile(replay, history, data):
    if not (await replay.world.config()).projections:
        await furnished(replay.world)
    world, config, xids = await replayed(replay, history)
    kept, merging, without_graph = policies_of(config)
    policy = data.draw(st.sampled_from([kept, merging, without_graph]))
    config = replace(config, policies=UsableRows({policy.policy_id: policy}, {}))
    whole = await profiles.read_profiles(world.db, world.scope, config, policy, xids)
    for configuration in config.projections.values():
        made = await project(world.db, world.scope, config, configuration, xids)
        for result, each in zip(whole, made, strict=True):
            assert (each is None) == (result.profile is None)
            if each is not None:
                document = orjson.loads(each.document)
                assert document == await expected(world, config, configuration, result.profile)
                assert each.profile_id == result.profile.profile_id
                named = result.profile.document["identityMap"]
                assert each.identities == {code: [one["id"] for one in listed] for code, listed in named.items()}
                assert len(each.times) == len(each.events)
                assert all(at < START.replace(year=2027) for at in each.times)

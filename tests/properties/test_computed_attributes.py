"""Values of computed attributes are those of the events that a person has, whatever came, went, was joined or taken apart."""

from hypothesis import given
from hypothesis import strategies as st
from properties.histories import VALUES, by_examples, histories
from properties.test_one_truth import policies_of

from gateway.domain.config.computed_attributes import load_attributes
from gateway.domain.reading import events, profiles
from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.rules.keyset import Window

ALL = EventRequest(EventFilter(), EventOrder(), Window(1_000))
EXPRESSIONS = {
    "visits": "xEvent.count()",
    "ofKindA": 'xEvent[eventType = "a"].count()',
    "lastVisit": "xEvent.max(timestamp)",
    "latest": "xEvent.topN(timestamp, 1).head().eventType",
    "kinds": "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))",
}


def by_hand(found):
    kinds = [event.event_type for event in found]
    last = max((event.timestamp for event in found), default=None)
    newest = next((event.event_type for event in found if event.timestamp == last), None)
    return {
        "visits": len(found),
        "ofKindA": kinds.count("a"),
        "lastVisit": last and f"{last:%Y-%m-%dT%H:%M:%S}.{last.microsecond // 1000:03}Z",
        "latest": newest,
        "kinds": {kind: kinds.count(kind) for kind in kinds if kind is not None},
    }


@by_examples
@given(history=histories(vary=True), undone=st.sampled_from([None, "abort", "revert"]), place=st.integers(0, 5))
async def test_values_are_those_of_the_events_that_are_there(replay, history, undone, place):
    await replay.empty()
    if not await load_attributes(replay.world.db, replay.world.scope):
        for name, text in EXPRESSIONS.items():
            await replay.world.publish(name, text)
    await replay.run(history)
    if undone:
        await replay.undo(history[place % len(history)], undone)
    world, config = replay.world, await replay.world.config()
    xids = [await world.xid(namespace, value) for namespace, values in VALUES.items() for value in values]
    for policy in policies_of(config):
        asked = world.db, world.scope, config, policy
        people = {
            each.profile.profile_id: each.profile for each in await profiles.read_profiles(*asked, xids) if each.profile
        }
        listed = await events.list_events(world.db, world.scope, [each.person.xids for each in people.values()], ALL)
        computed = await compute_values(*asked[:3], published_attributes(config, None), list(people.values()))
        for page, values in zip(listed, computed, strict=True):
            assert {each.attribute.name: each.value for each in values} == by_hand(page.items)

"""Values of attributes of people whose documents hold the largest and smallest values that they may: exact, or missing for that person alone."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pql import evaluator
from pql.values import load, told
from properties.histories import by_examples
from world import World, event, record

from gateway.domain.operations.verification import verify
from gateway.domain.reading import kept_values
from gateway.domain.reading.attribute_documents import with_values_of_events, with_values_of_people
from gateway.domain.reading.attribute_explanations import explain_values
from gateway.domain.reading.attribute_previews import preview_attribute
from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.conditions import check_condition, now_in, read_instant
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest, list_events
from gateway.domain.reading.profiles import read_profiles
from gateway.domain.reading.search import Search, find_profiles
from gateway.domain.rules.keyset import Window
from gateway.pql.parser import parse
from gateway.xdm.classes import XdmClass

PEOPLE = [("Email", f"{name}@example.com") for name in ("ana", "bob", "cleo")]
ALL = EventRequest(EventFilter(), EventOrder(), Window(1_000))
FIELDS = {
    "amount": {"type": "number"},
    "points": {"type": "integer", "meta:xdmType": "long"},
    "born": {"type": "string", "format": "date"},
    "seenAt": {"type": "string", "format": "date-time"},
    "note": {"type": "string"},
    "prices": {"type": "array", "items": {"type": "number"}},
}
OF_EVENTS = {
    "squared": "{o}.amount * {o}.amount",
    "inverse": "1 / {o}.amount",
    "remainder": "{o}.points % {o}.amount",
    "basket": '{{"sum": {o}.prices.sum(), "ratio": {o}.prices.average() / {o}.points}}',
    "noted": "{o}.note.contains({o}.note) and {o}.seenAt < {o}.born",
}
OF_PEOPLE = {
    "total": "xEvent.sum({o}.amount)",
    "mean": "xEvent.average({o}.amount)",
    "least": "xEvent.min({o}.amount)",
    "most": "xEvent.max({o}.amount * 2)",
    "points": "xEvent.sum({o}.points * {o}.points)",
    "latest": "xEvent.topN(timestamp, 1).head().{o}.amount",
    "newest": "xEvent.topN(timestamp, 3).map({o}.amount * {o}.points)",
    "different": "xEvent.{o}.note.distinct().count()",
    "byNote": "xEvent.groupBy({o}.note).map((K, G) => mapEntry(K, G.sum({o}.amount)))",
    "byAmount": "xEvent.groupBy({o}.amount).map((K, G) => mapEntry(K, G.count()))",
    "lastBorn": "xEvent.max({o}.born)",
    "firstSeen": "xEvent.min({o}.seenAt)",
    "squares": "xEvent.sum({own}.squared)",
    "baskets": "xEvent.topN(timestamp, 2).map({own}.basket)",
    "doubled": "{own}.total * 2 - {own}.total",
    "share": "{own}.total / {own}.points",
    "lacks": "{own}.total.isNull()",
    "ofProfile": "{o}.amount * {o}.amount / {o}.points",
    "inMap": '{{"x": {o}.amount * {o}.amount, "y": [{o}.points, {own}.mean]}}',
    "above": "{own}.ofProfile / {own}.mean + {own}.squares",
    "year": "{o}.born.getYear() + {o}.seenAt.getMonth()",
}
NUMBERS = st.sampled_from(
    [1.7976931348623157e308, -1.7976931348623157e308, 1e308, -1e308, 5e-324, -5e-324, 0, -0.0, 0.1, 3, 1e154, 1.5e17]
)
OWN = st.fixed_dictionaries(
    {"note": st.sampled_from(["b", "a", "é" * 2_000])},
    optional={
        "amount": NUMBERS, "points": st.sampled_from([2**53 - 1, 1 - 2**53, 0, 3]), "prices": st.lists(NUMBERS, min_size=1, max_size=2),
        "born": st.sampled_from(["1000-01-01", "9999-12-31", "2024-02-29"]),
        "seenAt": st.sampled_from(["1000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "2026-01-01T00:00:00.001Z"]),
    },
)  # fmt: skip
TIMES = st.sampled_from(
    ["1000-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]
)
EVENTS = st.lists(st.tuples(st.sampled_from(PEOPLE[:2]), TIMES, OWN), max_size=6)


@pytest.fixture
async def world(db):
    """A sandbox with fields of all kinds, and attributes by every function of them."""
    made = await World.create(db, custom_fields=FIELDS)
    for name, text in OF_EVENTS.items():
        await made.publish(name, written(made, text), xdm_class=XdmClass.EXPERIENCE_EVENT)
    for name, text in OF_PEOPLE.items():
        await made.publish(name, written(made, text))
    return made


def written(world, text):
    own = f"_{world.scope.organization.code}"
    return text.format(o=own, own=f"{own}.ComputedAttributes")


def doubled(value):
    """A value as the gateway tells it, or None where a number in it is beyond any double."""
    text = orjson.dumps(value, default=lambda number: orjson.Fragment(format(number, "f")))
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


class ByHand:
    """What attributes are, without SQL: by the evaluator, each put into the document for those that read it."""

    def __init__(self, world, config, now):
        self._world, self._config, self._now = world, config, now

    def of(self, texts, xdm_class, document, events=()):
        """The document with exact values, the values that are told, and the names of those that are not complete."""
        unions = self._config.unions
        schema = unions.event if xdm_class is XdmClass.EXPERIENCE_EVENT else unions.profile
        loaded, found, incomplete = load(document, schema), {}, set()
        own = loaded[f"_{unions.tenant_code}"]["ComputedAttributes"] = {}
        for name, text in texts.items():
            whole = written(self._world, text)
            value = told(evaluator.evaluate(parse(whole), loaded, list(events), self._now))
            found[name] = doubled(value)
            reads = [other for other in texts if f"ComputedAttributes.{other}" in whole]
            if (value is not None and found[name] is None) or incomplete.intersection(reads):
                incomplete.add(name)
            own[name] = value if found[name] is not None else None
        return loaded, found, incomplete


async def found_by(world, config, text):
    key = (XdmClass.INDIVIDUAL_PROFILE, written(world, text))
    condition = (await now_in(world.db, {key: await check_condition(config, key)}))[key]
    search = Search(config.default_policy, condition, 600)
    page = await find_profiles(world.db, world.scope, config, search, Window(100))
    return {each.profile_id for each in page.items}


@settings(by_examples, max_examples=10)
@given(
    history=st.tuples(st.tuples(OWN, OWN), EVENTS, EVENTS),
    given=st.sampled_from([0, 100]),
    previewed=st.sampled_from(list(OF_PEOPLE)),
)
async def test_values_are_exact_or_missing_for_those_alone_whose_numbers_no_double_holds(
    world, history, given, previewed
):
    documents, *arriving = history
    await world.empty()
    own = f"_{world.scope.organization.code}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_values, "MAX_GIVEN", given)
        people = zip(PEOPLE, documents, strict=False)
        assert not (await world.records(*(record(who, **{own: fields}) for who, fields in people))).failed
        for some in arriving:
            sent = [
                event(f"{len(some)}-{number}", at, who, **{own: fields})
                for number, (who, at, fields) in enumerate(some)
            ]
            assert not sent or not (await world.events(*sent)).failed
            config = await world.config()
            await check(world, config, previewed)
        assert await verify(world.db, world.scope, world.configurations) == []


async def check(world, config, previewed):
    """Compare everything that tells values with what they are by hand."""
    asked = world.db, world.scope, config
    xids = [await world.xid(*who) for who in PEOPLE]
    profiles = [each.profile for each in await read_profiles(*asked, config.default_policy, xids) if each.profile]
    listed = [page.items for page in await list_events(*asked[:2], [each.person.xids for each in profiles], ALL)]
    now, attributes = await read_instant(world.db), published_attributes(config, None)
    by_hand, people = ByHand(world, config, now), {}
    computed = await compute_values(*asked, attributes, profiles)
    explained = await explain_values(*asked, list(OF_PEOPLE), profiles)
    documents = await with_values_of_people(*asked, list(OF_PEOPLE), profiles)
    place = f"_{config.tenant_code}"
    for profile, events, values, why, document in zip(profiles, listed, computed, explained, documents, strict=True):
        told_of_events = await with_values_of_events(*asked, list(OF_EVENTS), events)
        loaded = []
        for each, told_document in zip(events, told_of_events, strict=True):
            record, found, _ = by_hand.of(OF_EVENTS, XdmClass.EXPERIENCE_EVENT, each.document)
            assert told_document[place]["ComputedAttributes"] == present(found)
            record["timestamp"] = each.timestamp  # one in the future counts as of when it came
            if each.timestamp <= now:
                loaded.append((each.timestamp, each.event_id, record))
        loaded = [each for *_, each in sorted(loaded, key=lambda each: each[:2])]
        _, expected, incomplete = by_hand.of(OF_PEOPLE, XdmClass.INDIVIDUAL_PROFILE, profile.document, loaded)
        assert {each.attribute.name: each.value for each in values} == expected
        assert {each.attribute.name for each in values if not each.is_complete} == incomplete
        assert {each.computed.attribute.name: each.value for each in why} == expected
        assert document[place]["ComputedAttributes"] == present(expected)
        people[profile.profile_id] = expected
    for profile_id, values in people.items():
        missing = {name: "isNull" if value is None else "isNotNull" for name, value in values.items()}
        text = " and ".join(f"{{own}}.{name}.{how}()" for name, how in missing.items())
        assert profile_id in await found_by(world, config, text)
    of_events = {
        name: text for name, text in OF_PEOPLE.items() if "xEvent" in text and name != "baskets"
    }  # nulls are left out of those
    exact = [f"({{own}}.{name} = ({text}) or {{own}}.{name}.isNull())" for name, text in of_events.items()]
    assert await found_by(world, config, " and ".join(exact)) == set(people)
    text = written(world, OF_PEOPLE[previewed])
    preview = await preview_attribute(*asked, config.default_policy, text=text, seconds=600)
    assert preview.people_with_value == sum(values[previewed] is not None for values in people.values())


def present(value):
    """A value as a document has it: nothing in it is null."""
    match value:
        case dict():
            return {key: present(each) for key, each in value.items() if each is not None}
        case list():
            return [present(each) for each in value if each is not None]
    return value

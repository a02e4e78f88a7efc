"""Every way to read a person gives the same result, under every policy."""

from dataclasses import replace
from functools import reduce
from uuid import uuid4

import orjson
from citus import CLUSTER_URL, WAYS
from hypothesis import given, settings
from hypothesis import strategies as st
from pql.sample import EVENT
from properties.histories import START, VALUES, by_examples, histories

from gateway.domain.config.policies import IdentityGraphType, PolicyStatus
from gateway.domain.reading import conditions, events, people, profiles, record_versions
from gateway.domain.reading.events import EventFilter, EventOrder, EventOrderField, EventRequest
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import canonical
from gateway.domain.rules.versions import Mode, Version, next_state
from gateway.pql.check import check
from gateway.pql.sql import condition
from gateway.projection.evaluate import evaluate
from gateway.projection.tree import (
    Column,
    Constant,
    Count,
    Document,
    Each,
    Format,
    HasMore,
    Leaf,
    Object,
    Packed,
    Packing,
    Page,
    Projection,
    Under,
)

JSON, TEXT = Leaf("JSON"), Leaf("String")


def under(key, **fields):
    return Under(key, Object(tuple(fields.items())))


NAME = under("name", given=Under("firstName", TEXT), family=Under("lastName", TEXT))
ENTITY = Document(Object((
    ("who", under("person", name=NAME)), ("mail", under("personalEmail", to=Under("address", TEXT), label=Under("label", TEXT))),
    ("segments", Under("segmentMembership", JSON)), ("identities", Under("identityMap", JSON)), ("type", Under("eventType", TEXT)),
)))  # fmt: skip
NODE = Object((
    ("kind", Constant("Event")), ("number", Column("event_id", Format.TEXT)), ("at", Column("timestamp", Format.TIME)),
    ("type", Column("event_type", Format.TEXT)), ("came", Column("ingested_at", Format.TIME)), ("entity", ENTITY), ("all", Document(JSON)),
))  # fmt: skip
NEWEST = EventRequest(EventFilter(), EventOrder(descending=True), Window(2))
ROWS = NEWEST.rows(Packed("", (("xid", Packing.UUID),)))
PROFILE = Projection(
    (Object((("entity", ENTITY), ("events", Page(ROWS, Each(NODE))), ("count", Count(ROWS))), "is_found"),), frozenset()
)
orders = st.builds(EventOrder, st.sampled_from(EventOrderField), st.booleans())
WHERE = 'eventType in ["a", "{b}"] or timestamp.getMonth() = 2'
filters = st.sampled_from([
    EventFilter(), EventFilter(event_types=("a",)), EventFilter(until=START),
    EventFilter(where=condition(check(WHERE, EVENT, is_condition=True).expression, conditions.EVENT)),
])  # fmt: skip
windows = st.builds(Window, st.integers(0, 3), st.booleans(), st.none(), st.none())
requests = st.builds(EventRequest, filters, orders, windows)


def policies_of(config):
    """Return the default policy, the same one unmaterialized, and one without a graph."""
    kept = config.default_policy
    merging = replace(kept, status=PolicyStatus.BUILDING)
    without_graph = replace(kept.settings, identity_graph=IdentityGraphType.NONE, is_default=False)
    return [kept, merging, replace(kept, policy_id=uuid4(), settings=without_graph)]


async def replayed(replay, history):
    """Return the world after the history, its configuration, and the xids that it may have named."""
    await replay.empty()
    await replay.run(history)
    world = replay.world
    xids = [await world.xid(namespace, value) for namespace, values in VALUES.items() for value in values]
    return world, await world.config(), xids


def seen(found):
    return {profile.profile_id: (profile.person.xids, canonical(profile.document)) for profile in found}


@by_examples
@given(history=histories(), size=st.integers(1, 4))
async def test_single_reads_reads_of_many_and_pages_of_all_agree(replay, history, size):
    world, config, xids = await replayed(replay, history)
    for policy in policies_of(config):
        many = await profiles.read_profiles(world.db, world.scope, config, policy, xids)
        for xid, result in zip(xids, many, strict=True):
            (single,) = await profiles.read_profiles(world.db, world.scope, config, policy, [xid])
            assert seen([p for p in (single.profile,) if p]) == seen([p for p in (result.profile,) if p])
        listed, window, goes_on = [], Window(size), True
        while goes_on:
            page = await profiles.search_profiles(world.db, world.scope, config, policy, window)
            listed += page.items
            window, goes_on = Window(size, after=(page.items[-1].profile_id,) if page.items else None), page.has_next
        assert seen(listed) == seen([result.profile for result in many if result.profile])
        assert await profiles.count_profiles(world.db, world.scope, policy) == len(listed)


@by_examples
@given(history=histories())
async def test_what_is_projected_of_profiles_is_the_same_by_every_way(replay, history):
    world, config, xids = await replayed(replay, history)
    for policy in policies_of(config):
        asked = world.db, world.scope, config, policy
        whole = await profiles.read_profiles(*asked, xids)
        projected = await profiles.project_profiles(*asked, xids, projection=PROFILE)
        by_id = {}
        for each, other in zip(whole, projected, strict=True):
            assert (each.identity, each.status) == (other.identity, other.status)
            found = other.parts[0] and orjson.loads(other.parts[0])
            assert (found and found["entity"]) == (each.profile and evaluate(ENTITY, each.profile))
            if each.profile:
                (listed,) = await events.list_events(world.db, world.scope, [each.profile.person.xids], NEWEST)
                assert found["events"] == [orjson.loads(orjson.dumps(evaluate(NODE, event))) for event in listed.items]
                by_id[each.profile.profile_id] = found
        for backward in (False, True):
            page = await profiles.search_profiles(*asked, Window(backward=backward), projection=PROFILE)
            assert {one.profile_id: orjson.loads(one.parts[0]) for one in page.items} == by_id


@by_examples
@given(history=histories())
async def test_a_materialized_profile_equals_the_merge_of_its_records(replay, history):
    world, config, xids = await replayed(replay, history)
    kept, merging, _ = policies_of(config)
    results = [await profiles.read_profiles(world.db, world.scope, config, each, xids) for each in (kept, merging)]
    one, other = ([result.profile for result in each if result.profile] for each in results)
    assert seen(one) == seen(other)
    origins = await profiles.read_origins(world.db, world.scope, [*one, *other])
    stated = [(set(origin.sources), origin.modified_at) for origin in origins]
    assert stated[: len(one)] == stated[len(one) :]


@by_examples
@given(history=histories(), asked=requests, data=st.data())
async def test_pages_of_events_are_equal_however_much_of_a_document_is_selected(replay, history, asked, data):
    world, config, xids = await replayed(replay, history)
    found = await people.read_people(world.db, world.scope, config, xids)
    persons = [*{each.person.xids for each in found if each.person}, tuple(xids), ()]
    order, everything = asked.order, EventRequest(EventFilter(), asked.order, Window())
    (whole,) = await events.list_events(world.db, world.scope, [tuple(xids)], everything)
    ends = st.none() | st.sampled_from([order.key(event) for event in whole.items] or [None])
    asked = asked._replace(window=asked.window._replace(after=data.draw(ends), before=data.draw(ends)))
    pages = await events.list_events(world.db, world.scope, persons, asked)
    nodes = Object((("nodes", Each(NODE)), ("on", HasMore(behind=True)), ("back", HasMore(behind=False))))
    node = Page(asked.rows(ROWS.key), nodes)
    for is_distributed in WAYS:
        world.db.is_distributed = is_distributed
        in_part = await events.list_events(
            world.db, world.scope, persons, asked, Projection((ENTITY, NODE), frozenset())
        )
        lists = await events.read_lists(world.db, world.scope, persons, [node])
        for page, other, read in zip(pages, in_part, lists, strict=True):
            expected = [orjson.loads(orjson.dumps(evaluate(NODE, event))) for event in page.items]
            assert [orjson.loads(event.parts[0]) for event in other.items] == [each["entity"] for each in expected]
            assert [orjson.loads(event.parts[1]) for event in other.items] == expected
            assert [order.key(event) for event in other.items] == [order.key(event) for event in page.items]
            shown = orjson.loads(orjson.dumps(evaluate(node, None, read)))
            assert shown == {"nodes": expected, "on": page.has_next, "back": page.has_previous}
    world.db.is_distributed = bool(CLUSTER_URL)


@by_examples
@given(history=histories(), descending=st.booleans(), size=st.integers(1, 3))
async def test_events_of_all_people_in_one_list_are_the_events_of_each(replay, history, descending, size):
    world, config, xids = await replayed(replay, history)
    persons = {
        each.person.xids for each in await people.read_people(world.db, world.scope, config, xids) if each.person
    }
    together = tuple(xid for members in persons for xid in members)
    order = EventOrder(descending=descending)

    async def pages(groups, window):
        return await events.list_events(world.db, world.scope, groups, EventRequest(EventFilter(), order, window))

    (whole,) = await pages([together], Window())
    of_each = [found for page in await pages([*persons], Window()) for found in page.items]
    assert whole.items == sorted(of_each, key=order.key, reverse=descending)
    assert sum(await events.count_events(world.db, world.scope, [*persons], EventFilter())) == len(whole.items)
    walked, window, goes_on = [], Window(size), True
    while goes_on:
        (page,) = await pages([together], window)
        walked += page.items
        window, goes_on = Window(size, after=order.key(page.items[-1]) if page.items else None), page.has_next
    assert walked == whole.items


@by_examples
@given(history=histories())
async def test_links_connect_each_person_and_no_other_identities(replay, history):
    world, _, xids = await replayed(replay, history)
    for xid, graph in zip(xids, await world.graphs(xids), strict=True):
        if graph is None:
            continue
        reached, todo = {xid}, [xid]
        for end in todo:
            beside = {link.a for link in graph.links if link.b == end} | {
                link.b for link in graph.links if link.a == end
            }
            todo += beside - reached
            reached |= beside
        assert reached == set(graph.xids)
        assert graph.refused_links == ()


@settings(by_examples, max_examples=20)
@given(history=histories(datasets=("crm", "loyalty")), size=st.integers(1, 4), data=st.data())
async def test_live_versions_of_a_record_fold_to_its_fragment(replay, history, size, data):
    world, _, xids = await replayed(replay, data.draw(st.permutations(history)))
    (whole,) = await record_versions.list_record_versions(world.db, world.scope, [tuple(xids)], Window(1000))
    versions, places = whole.items, [version.place for version in whole.items]
    assert places == sorted(places, reverse=True)
    assert await record_versions.count_record_versions(world.db, world.scope, [tuple(xids)]) == [len(versions)]
    for backward in (False, True):
        assert await read_in_pages(world, tuple(xids), size, backward) == versions
    sent = await record_versions.read_inputs(world.db, world.scope, [version.key for version in versions])
    assert all(one.document in [each for step in history for each in step.documents] for one in sent)
    folded = {}
    for version, one in reversed(list(zip(versions, sent, strict=True))):
        record = folded.setdefault((version.xid, version.dataset_id), [])
        assert version.is_live or not record, "what counts no more is older than what does"
        if version.is_live:
            assert version.mode is Mode.MERGE or not record
            record.append(Version(version.mode, orjson.loads(one.text), version.place))
    (fragments,) = await profiles.read_fragments(world.db, world.scope, [tuple(xids)])
    said = {
        key: state.document
        for key, record in folded.items()
        if (state := reduce(next_state, sorted(record, key=lambda each: each.place), None))
        and state.document is not None
    }
    assert said == {(one.xid, one.dataset_id): one.document for one in fragments}


async def read_in_pages(world, xids, size, backward):
    """Return the whole list of versions, read page by page from one end."""
    read, window, goes_on = [], Window(size, backward), True
    while goes_on:
        (page,) = await record_versions.list_record_versions(world.db, world.scope, [xids], window)
        read = page.items + read if backward else read + page.items
        goes_on = page.has_previous if backward else page.has_next
        end = page.items and tuple(page.items[0 if backward else -1].place)
        window = window._replace(**{"before" if backward else "after": end})
    return read

"""After people are erased, views are as if documents of theirs had never come, and others had never named them: properties over histories."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.histories import (
    VALUES,
    Replay,
    by_examples,
    histories,
    identities,
    identity_rules,
    lower_limits,
    without_first_senders,
)
from properties.test_facts_and_views import primary, replayed
from world import World

from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.operations.erased_identities import lift_erasure, list_erased
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.versions import Mode
from gateway.errors import NotFound
from gateway.storage.queries import Query

FACTS = [
    Query(
        "test.versions",
        "select xid, dataset_id, batch_id, ingested_at, observed_at, mode, input::text, as_sent::text from gateway.record where sandbox_id = $1 order by 1, 2, 3, ordinal",
        ("sandbox_id",),
        (),
        "rows",
        "For tests.",
    ),
    Query(
        "test.resends",
        "select r.xid, r.dataset_id, r.event_id, r.batch_id, r.origin, r.named_xids, coalesce(r.document, e.document)::text from gateway.event_resend r join gateway.event e using (sandbox_id, xid, dataset_id, event_id) where r.sandbox_id = $1 order by 1, 2, 3, 4, 5",
        ("sandbox_id",),
        (),
        "rows",
        "For tests.",
    ),
]


def without(history, erased, rules, xids, *, is_described=False):
    """Leave out documents under these identities, and these identities in others."""
    steps = []
    for step in history:
        ranks = {rule.code: rank for rank, rule in enumerate(rules)} if step.dataset == "shop" else {}
        stored = [document for document in step.documents if _primary(document, ranks, xids) not in erased]
        documents = tuple(_without(document, erased, is_described) for document in stored)
        if documents:
            steps.append(replace(step, documents=documents))
    return steps


def _primary(document, ranks, xids):
    """Return the identity under which a document is stored, where namespaces have these ranks."""
    named = [(code, item["id"]) for code, items in document["identityMap"].items() for item in items]
    listed = [one for one in named if one[0] in ranks]
    marked = primary(document)
    return min(listed, key=lambda one: (ranks[one[0]], one != marked, xids[one])) if listed else marked


def _without(document, erased, is_described):
    email = document.get("personalEmail", {})
    if is_described and ("Email", email.get("address")) in erased:
        document = {**document, "personalEmail": {"label": email["label"]}}
    mapped = {
        code: [item for item in items if (code, item["id"]) not in erased]
        for code, items in document["identityMap"].items()
    }
    return {**document, "identityMap": {code: items for code, items in mapped.items() if items}}


def told(views):
    """Leave out what tells of erased identities alone."""
    named = [row for row in views["test.identity"] if row[2] is not None]
    sightings = dict(zip((row[0] for row in views["test.identity"]), views["sightings"], strict=True))
    return views | {"test.identity": named, "sightings": {row[0]: sightings[row[0]] for row in named}}


async def erased_from(replay):
    """List the namespaces and values of the identities that were erased."""
    page = await list_erased(replay.world.db, replay.world.scope, Window(100))
    xids = {each.xid for each in page.items}
    return {one for one, xid in (await known_xids(replay)).items() if xid in xids}


async def known_xids(replay):
    named = [(code, value) for code, values in VALUES.items() for value in values]
    return {one: await replay.world.xid(*one) for one in named}


async def erased(replay, history, rules, one, **how):
    """Run a history, and erase an identity or its person. Return the erased identities, None where no data names that one.

    A dry run before tells the same receipt.
    """
    await replayed(replay, history, rules)
    xid = await replay.world.xid(*one)
    try:
        counted = await replay.world.erase(xid, **how, is_dry_run=True)
    except NotFound:
        return None
    assert (await replay.world.erase(xid, **how)).receipt == counted.receipt
    return await erased_from(replay)


@by_examples
@given(history=histories(vary=True), rules=identity_rules(), one=identities, reach=st.sampled_from(DeleteScope))
async def test_erased_people_leave_no_trace_in_views(replay, history, rules, one, reach):
    if (gone := await erased(replay, history, rules, one, reach=reach)) is None:
        return
    assert reach is DeleteScope.GRAPH or gone == {one}
    left = await replay.views()
    assert await replay.differences() == []
    expected = await replayed(replay, without(history, gone, rules, await known_xids(replay)), rules)
    assert told(left) == told(expected)


@by_examples
@given(history=histories(vary=True, max_size=8), rules=identity_rules(), one=identities)
async def test_people_of_graphs_that_are_cut_are_erased_whole(replay, history, rules, one):
    with pytest.MonkeyPatch.context() as patch:
        lower_limits(patch)
        await test_erased_people_leave_no_trace_in_views.hypothesis.inner_test(
            replay, history, rules, one, DeleteScope.GRAPH
        )


@by_examples
@given(history=histories(modes=(Mode.REPLACE, Mode.MERGE)), one=identities)
async def test_people_who_are_erased_and_sent_again_once_that_is_lifted_are_as_if_never_erased(replay, history, one):
    if (gone := await erased(replay, history, (), one)) is None:
        return
    xids = await known_xids(replay)
    for each in gone:
        await lift_erasure(replay.world.db, replay.world.scope, xids[each])
    theirs = [replace(s, documents=tuple(d for d in s.documents if primary(d) in gone)) for s in history]
    await replay.run(step for step in theirs if step.documents)
    back = await replay.views()
    assert await replay.differences() == []
    assert without_first_senders(back) == without_first_senders(await replayed(replay, history))


@pytest.fixture
async def described(db, dsn):
    """A sandbox of its own, in whose records an e-mail address names somebody, too."""
    world = await World.create(db, identities=[IdentityDescriptor("personalEmail.address", "Email")])
    async with Replay.of(world, dsn) as replay:
        yield replay


async def facts(replay):
    """Read what every version and every resend says."""
    return [[tuple(row) for row in await replay.world.db.rows(each, replay.world.scope.sandbox_id)] for each in FACTS]


@by_examples
@given(history=histories(vary=True, max_size=8), rules=identity_rules(), one=identities, data=st.data())
async def test_documents_of_others_say_what_they_would_without_erased_identities(described, history, rules, one, data):
    """In every version and every resend, and whatever batch is taken back afterwards; nobody else is touched."""
    replay = described
    if (gone := await erased(replay, history, rules, one, reach=DeleteScope.IDENTITY)) is None:
        return
    left = await facts(replay)
    undone = data.draw(st.sampled_from(history))
    await replay.undo(undone, "delete")
    views = await replay.views()
    assert await replay.differences() == []
    expected = without(history, gone, rules, await known_xids(replay), is_described=True)
    await replayed(replay, expected, rules)
    assert left == await facts(replay)
    kept = [step for step in expected if not step.is_of_batch(undone)]
    assert told(views) == told(await replayed(replay, kept, rules))

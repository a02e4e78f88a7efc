"""After people are erased, views are as if documents of theirs had never come, and others had never named them: properties over histories."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from properties.histories import VALUES, by_examples, histories, identities, identity_rules
from properties.test_facts_and_views import primary, replayed

from gateway.domain.operations.erasure import DeleteScope


def without(history, erased, rules, xids):
    """Leave out documents under these identities, and these identities in others."""
    steps = []
    for step in history:
        ranks = {rule.code: rank for rank, rule in enumerate(rules)} if step.dataset == "shop" else {}
        stored = [document for document in step.documents if _primary(document, ranks, xids) not in erased]
        documents = tuple(_without(document, erased) for document in stored)
        if documents:
            steps.append(replace(step, documents=documents))
    return steps


def _primary(document, ranks, xids):
    """Return the identity under which a document is stored, where namespaces have these ranks."""
    named = [(code, item["id"]) for code, items in document["identityMap"].items() for item in items]
    listed = [one for one in named if one[0] in ranks]
    marked = primary(document)
    return min(listed, key=lambda one: (ranks[one[0]], one != marked, xids[one])) if listed else marked


def _without(document, erased):
    mapped = {
        code: [item for item in items if (code, item["id"]) not in erased]
        for code, items in document["identityMap"].items()
    }
    return {**document, "identityMap": {code: items for code, items in mapped.items() if items}}


def told(views):
    """Leave out what tells of erased identities alone, and documents, which still name them."""
    named = [row for row in views["test.identity"] if row[2] is not None]
    sightings = dict(zip((row[0] for row in views["test.identity"]), views["sightings"], strict=True))
    events = [row[:7] for row in views["test.event"]]
    return views | {
        "test.identity": named,
        "test.event": events,
        "test.fragment": [row[:2] for row in views["test.fragment"]],
        "test.profile": [row[:4] for row in views["test.profile"]],
        "sightings": {row[0]: sightings[row[0]] for row in named},
    }


async def people_of(replay, given):
    """List the namespaces and values of the identities of a person."""
    xid = await replay.world.xid(*given)
    (graph,) = await replay.world.graphs([xid])
    config = await replay.world.config()
    rows = {row[0]: row for row in (await replay.views())["test.identity"]}
    members = graph.xids if graph else [xid]
    return {(config.namespaces[rows[x][1]].code, rows[x][2]) for x in members if x in rows}


@by_examples
@given(history=histories(vary=True), rules=identity_rules(), one=identities, reach=st.sampled_from(DeleteScope))
async def test_erased_people_leave_no_trace_in_views(replay, history, rules, one, reach):
    await replayed(replay, history, rules)
    xid = await replay.world.xid(*one)
    if not (known := await people_of(replay, one)):
        return
    erased = known if reach is DeleteScope.GRAPH else {one}
    await replay.world.erase(xid, reach=reach)
    left = await replay.views()
    assert await replay.differences() == []
    xids = {(code, value): await replay.world.xid(code, value) for code, values in VALUES.items() for value in values}
    expected = await replayed(replay, without(history, erased, rules, xids), rules)
    assert told(left) == told(expected)

"""Views depend on the facts alone, not on their order or on batches: properties over generated histories on a real Postgres."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from properties.histories import by_examples, histories, identity_rules, without_first_senders

from gateway.domain.rules.versions import Mode


async def told(telling, history, rules=()):
    await telling.empty()
    await telling.rule(rules)
    await telling.tell(history)
    return await telling.views()


@by_examples
@given(history=histories(), rules=identity_rules(), chance=st.randoms(use_true_random=False))
async def test_order_does_not_matter(telling, history, rules, chance):
    """Stamps given, the same graphs, profiles and ids come of any order of arrival."""
    expected = await told(telling, history, rules)
    shuffled = await told(telling, chance.sample(history, len(history)), rules)
    assert without_first_senders(shuffled) == without_first_senders(expected)


@by_examples
@given(history=histories(vary=True), rules=identity_rules())
async def test_rebuilding_gives_the_same(telling, history, rules):
    await told(telling, history, rules)
    assert await telling.differences() == []


@by_examples
@given(history=histories(vary=True, max_size=8), rules=identity_rules())
async def test_graphs_and_profiles_do_not_depend_on_batches(telling, history, rules):
    """Whatever comes in one batch, what was said before a deletion counts no more after it, neither as a link nor by its time."""
    together = await told(telling, history, rules)
    assert await telling.differences() == []
    apart = await told(telling, [replace(step, batch=step.number) for step in history], rules)
    for view in ("test.identity", "test.graph", "test.profile"):
        assert together[view] == apart[view]


@by_examples
@given(history=histories(), rules=identity_rules())
async def test_what_waits_together_leaves_what_comes_one_after_another(telling, history, rules):
    left = []
    for together in (False, True):
        await telling.empty()
        await telling.rule(rules)
        await telling.tell_at_once(history, together=together)
        left.append(await telling.views())
    assert left[0] == left[1]
    assert await telling.differences() == []


@by_examples
@given(history=histories(vary=True), rules=identity_rules(), data=st.data())
async def test_a_batch_can_be_undone(telling, history, rules, data):
    """Ingest A, B, undo B = ingest A."""
    undone = data.draw(st.sampled_from(history))
    expected = await told(telling, [step for step in history if not step.is_of_batch(undone)], rules)
    await told(telling, history, rules)
    await telling.undo(undone)
    assert await telling.views() == expected
    assert await telling.differences() == []


@by_examples
@given(history=histories(datasets=("crm", "loyalty")), before=identity_rules(), after=identity_rules())
async def test_settings_changed_later_give_the_same(telling, history, before, after):
    """Of records: events stay under the identity that was the primary one when they came in."""
    expected = await told(telling, history, after)
    await told(telling, history, before)
    await telling.rule(after)
    await telling.regroup()
    assert await telling.views() == expected


async def told_under_two_settings(telling, history, before, after, *, without=None):
    """Half of the history under some settings, the other half and the job under others."""
    middle = len(history) // 2
    halves = [
        [step for step in half if without is None or not step.is_of_batch(without)]
        for half in (history[:middle], history[middle:])
    ]
    await told(telling, halves[0], before)
    await telling.rule(after)
    await telling.tell(halves[1])
    await telling.regroup()
    return await telling.views()


@by_examples
@given(history=histories(vary=True), before=identity_rules(), after=identity_rules())
async def test_settings_changed_later_are_true_of_events_too(telling, history, before, after):
    """Whichever of its identities is the primary one when it comes, an `_id` names one event of those who share an identity."""
    views = await told_under_two_settings(telling, history, before, after)
    ids = [event[2] for event in views["test.event"]]
    assert len(ids) == len(set(ids))
    assert await telling.differences() == []


@by_examples
@given(history=histories(vary=True), before=identity_rules(), after=identity_rules(), data=st.data())
async def test_a_batch_can_be_undone_after_settings_changed(telling, history, before, after, data):
    """Of an event that several batches brought, what the next one said takes its place, under the identity that was primary then."""
    undone = data.draw(st.sampled_from(history))
    expected = await told_under_two_settings(telling, history, before, after, without=undone)
    await told_under_two_settings(telling, history, before, after)
    await telling.undo(undone)
    assert await telling.views() == expected
    assert await telling.differences() == []


@by_examples
@given(history=histories(modes=(Mode.REPLACE, Mode.MERGE), max_size=4))
async def test_sending_again_changes_nothing(telling, history):
    """Sent again is what was said last: of a record sent twice in one step, its last document."""
    before = await told(telling, history)
    last = history[-1]
    again = {
        str(document["identityMap"]) if last.dataset == "shop" else primary(document): document
        for document in last.documents
    }
    await telling.tell(
        [replace(last, number=last.number + 100, batch=last.number + 100, documents=tuple(again.values()))]
    )
    after = await telling.views()
    for view in ("test.identity", "test.graph", "test.profile", "test.event"):
        assert after[view] == before[view]


def primary(document):
    """The identity under which a document is stored."""
    return next(
        (code, item["id"]) for code, items in document["identityMap"].items() for item in items if item.get("primary")
    )

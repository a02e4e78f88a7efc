"""Views depend on the facts alone, not on their order or on batches: properties over generated histories on a real Postgres."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from properties.histories import (
    DATASETS,
    UNDOING,
    by_examples,
    histories,
    identity_rules,
    without_batches,
    without_first_senders,
)

from gateway.domain.rules.versions import Mode


async def replayed(replay, history, rules=()):
    await replay.empty()
    await replay.set_rules(rules)
    await replay.run(history)
    return await replay.views()


@by_examples
@given(history=histories(), rules=identity_rules(), chance=st.randoms(use_true_random=False))
async def test_views_do_not_depend_on_the_order_of_arrival(replay, history, rules, chance):
    """With equal times of ingestion, any order gives equal graphs, profiles and ids."""
    expected = await replayed(replay, history, rules)
    shuffled = await replayed(replay, chance.sample(history, len(history)), rules)
    assert without_first_senders(shuffled) == without_first_senders(expected)


@by_examples
@given(history=histories(vary=True), rules=identity_rules())
async def test_rebuilt_views_equal_the_stored_ones(replay, history, rules):
    await replayed(replay, history, rules)
    assert await replay.differences() == []


@by_examples
@given(history=histories(vary=True, max_size=8), rules=identity_rules())
async def test_graphs_and_profiles_do_not_depend_on_batches(replay, history, rules):
    """In any batch, links and times that a record stated before its deletion count no more after it."""
    together = await replayed(replay, history, rules)
    assert await replay.differences() == []
    apart = await replayed(replay, [replace(step, batch=step.number) for step in history], rules)
    for view in ("test.identity", "test.graph", "test.profile"):
        assert together[view] == apart[view]


@by_examples
@given(history=histories(), rules=identity_rules())
async def test_calls_committed_as_a_group_leave_what_single_calls_leave(replay, history, rules):
    left = []
    for together in (False, True):
        await replay.empty()
        await replay.set_rules(rules)
        await replay.run_at_once(history, together=together)
        left.append(await replay.views())
    assert left[0] == left[1]
    assert await replay.differences() == []


@by_examples
@given(history=histories(vary=True), rules=identity_rules(), data=st.data())
async def test_batches_that_are_aborted_reverted_or_deleted_leave_no_trace(replay, history, rules, data):
    """Ingesting A, B and C, and taking B and C back, equals ingesting A."""
    undone = data.draw(
        st.lists(st.sampled_from(history), min_size=1, max_size=2, unique_by=lambda s: (s.batch, s.dataset))
    )
    kept = [step for step in history if not any(step.is_of_batch(one) for one in undone)]
    expected = await replayed(replay, kept, rules)
    await replayed(replay, history, rules)
    for step in undone:
        await replay.undo(step, data.draw(UNDOING))
    assert await replay.views() == expected
    assert await replay.differences() == []


@by_examples
@given(history=histories(), rules=identity_rules(), data=st.data())
async def test_a_batch_that_is_reverted_and_sent_again_leaves_what_it_left_before(replay, history, rules, data):
    """Ingesting A and B, reverting B, and ingesting B again with its key equals ingesting A and B: in the end another batch has B's facts."""
    again = data.draw(st.sampled_from(history))
    expected = await replayed(replay, history, rules)
    first = await replay.batch_of(again)
    await replay.undo(again, "revert")
    await replay.run([step for step in history if step.is_of_batch(again)])
    assert await replay.batch_of(again) != first
    assert without_batches(await replay.views()) == without_batches(expected)
    assert await replay.differences() == []


@by_examples
@given(history=histories(datasets=("crm",), max_size=10), rules=identity_rules(), data=st.data())
async def test_versions_that_expire_are_missed_by_nothing(replay, history, rules, data):
    """Nothing that is read changes, and a batch that is not settled leaves no trace when it is taken back."""
    settled = history[: data.draw(st.integers(1, len(history)))]
    expected = await replayed(replay, history, rules)
    await replay.expire_versions(settled)
    assert await replay.views() == expected
    assert await replay.differences() == []
    if younger := [step for step in history if not any(step.is_of_batch(one) for one in settled)]:
        undone, how = data.draw(st.sampled_from(younger)), data.draw(UNDOING)
        await replay.undo(undone, how)
        left = await replay.views()
        assert await replay.differences() == []
        assert left == await replayed(replay, [step for step in history if not step.is_of_batch(undone)], rules)


@by_examples
@given(history=histories(vary=True), rules=identity_rules(), dataset=st.sampled_from(DATASETS))
async def test_a_deleted_dataset_leaves_no_trace_and_takes_its_batches_again(replay, history, rules, dataset):
    rest = await replayed(replay, [step for step in history if step.dataset != dataset], rules)
    whole = await replayed(replay, history, rules)
    await replay.clear(dataset)
    assert await replay.views() == rest
    assert await replay.differences() == []
    await replay.run([step for step in history if step.dataset == dataset])
    assert await replay.views() == whole


@by_examples
@given(history=histories(datasets=("crm", "loyalty")), before=identity_rules(), after=identity_rules())
async def test_settings_that_change_later_give_the_same_views_of_records(replay, history, before, after):
    """Events are left out: they stay under the identity that was primary when they were ingested."""
    expected = await replayed(replay, history, after)
    await replayed(replay, history, before)
    await replay.set_rules(after)
    await replay.regroup()
    assert await replay.views() == expected


async def told_under_two_settings(replay, history, before, after, *, without=None):
    """Run half of the history under some settings, then the other half and the job under others."""
    middle = len(history) // 2
    halves = [
        [step for step in half if without is None or not step.is_of_batch(without)]
        for half in (history[:middle], history[middle:])
    ]
    await replayed(replay, halves[0], before)
    await replay.set_rules(after)
    await replay.run(halves[1])
    await replay.regroup()
    return await replay.views()


@by_examples
@given(history=histories(vary=True), before=identity_rules(), after=identity_rules())
async def test_views_are_right_of_events_after_settings_changed(replay, history, before, after):
    """Whichever identity is primary on arrival, an `_id` is stored once among identities that it links."""
    views = await told_under_two_settings(replay, history, before, after)
    ids = [event[2] for event in views["test.event"]]
    assert len(ids) == len(set(ids))
    assert await replay.differences() == []


@by_examples
@given(history=histories(vary=True), before=identity_rules(), after=identity_rules(), data=st.data())
async def test_a_batch_that_is_taken_back_leaves_no_trace_after_settings_changed(replay, history, before, after, data):
    """An event that several batches sent is taken from the next of them, under the identity that was primary then."""
    undone = data.draw(st.sampled_from(history))
    expected = await told_under_two_settings(replay, history, before, after, without=undone)
    await told_under_two_settings(replay, history, before, after)
    await replay.undo(undone, data.draw(UNDOING))
    assert await replay.views() == expected
    assert await replay.differences() == []


@by_examples
@given(history=histories(modes=(Mode.REPLACE, Mode.MERGE), max_size=4))
async def test_sending_again_changes_nothing(replay, history):
    """The last documents are sent again: for a record sent twice in one step, the second."""
    before = await replayed(replay, history)
    last = history[-1]
    again = {
        str(document["identityMap"]) if last.dataset == "shop" else primary(document): document
        for document in last.documents
    }
    await replay.run(
        [replace(last, number=last.number + 100, batch=last.number + 100, documents=tuple(again.values()))]
    )
    after = await replay.views()
    for view in ("test.identity", "test.graph", "test.profile", "test.event"):
        assert after[view] == before[view]


def primary(document):
    """Return the identity under which a document is stored."""
    return next(
        (code, item["id"]) for code, items in document["identityMap"].items() for item in items if item.get("primary")
    )

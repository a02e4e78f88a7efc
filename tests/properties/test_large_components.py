"""Properties of histories under low limits, where a component of six identities is too large and a graph holds three."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.histories import by_examples, histories, identity_rules, lower_limits, without_first_senders


@pytest.fixture
def low_limits(monkeypatch):
    lower_limits(monkeypatch)


async def replayed(replay, history, rules):
    await replay.empty()
    await replay.set_rules(rules)
    await replay.run(history)
    return await replay.views()


@by_examples
@given(history=histories(max_size=8), rules=identity_rules(), chance=st.randoms(use_true_random=False))
async def test_views_do_not_depend_on_the_order_of_arrival_in_large_components(
    low_limits, replay, history, rules, chance
):
    expected = await replayed(replay, history, rules)
    shuffled = await replayed(replay, chance.sample(history, len(history)), rules)
    assert without_first_senders(shuffled) == without_first_senders(expected)
    assert await replay.differences() == []


@by_examples
@given(history=histories(max_size=8), rules=identity_rules(), data=st.data())
async def test_an_aborted_batch_leaves_no_trace_in_large_components(low_limits, replay, history, rules, data):
    undone = data.draw(st.sampled_from(history))
    expected = await replayed(replay, [step for step in history if not step.is_of_batch(undone)], rules)
    await replayed(replay, history, rules)
    await replay.undo(undone)
    assert await replay.views() == expected
    assert await replay.differences() == []

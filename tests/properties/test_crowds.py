"""Properties of views under limits so low that a few identities exceed them: graphs of three, components of five."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.histories import by_examples, histories, identity_rules, without_first_senders

from gateway.domain.rules import graphs
from gateway.domain.views import graph_union


@pytest.fixture
def crowded(monkeypatch):
    monkeypatch.setattr(graphs, "MAX_GRAPH_SIZE", 3)
    monkeypatch.setattr(graph_union, "MAX_GRAPH_SIZE", 3)
    monkeypatch.setattr(graphs, "MAX_COMPONENT", 5)
    monkeypatch.setattr(graphs, "DEGREE_LIMITS", (graphs.MAX_NEIGHBOURS, 3, 2, 1))


async def told(telling, history, rules):
    await telling.empty()
    await telling.rule(rules)
    await telling.tell(history)
    return await telling.views()


@by_examples
@given(history=histories(max_size=8), rules=identity_rules(), chance=st.randoms(use_true_random=False))
async def test_order_does_not_matter_in_crowds(crowded, telling, history, rules, chance):
    expected = await told(telling, history, rules)
    shuffled = await told(telling, chance.sample(history, len(history)), rules)
    assert without_first_senders(shuffled) == without_first_senders(expected)
    assert await telling.differences() == []


@by_examples
@given(history=histories(max_size=8), rules=identity_rules(), data=st.data())
async def test_a_batch_can_be_undone_in_crowds(crowded, telling, history, rules, data):
    undone = data.draw(st.sampled_from(history))
    expected = await told(telling, [step for step in history if not step.is_of_batch(undone)], rules)
    await told(telling, history, rules)
    await telling.undo(undone)
    assert await telling.views() == expected
    assert await telling.differences() == []

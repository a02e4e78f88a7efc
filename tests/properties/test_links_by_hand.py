"""Links by hand can be undone exactly, and an unlinked pair stays apart whatever is ingested later."""

from hypothesis import assume, given
from hypothesis import strategies as st
from properties.histories import VALUES, by_examples, histories, identity_rules

from gateway.domain.operations.manual_links import READ_PAIR, link_identities, unlink_identities

IDENTITIES = [(namespace, value) for namespace, values in VALUES.items() for value in values]
pairs = st.lists(st.sampled_from(IDENTITIES), min_size=2, max_size=2, unique=True)


async def replayed(replay, history, rules):
    await replay.empty()
    await replay.set_rules(rules)
    await replay.run(history)


async def xids(replay, identities):
    config, sandbox = await replay.world.config(), replay.world.scope.sandbox
    return [config.namespace(namespace).xid(sandbox, value) for namespace, value in identities]


async def are_known(replay, pair):
    known = {row[0] for row in (await replay.views())["test.identity"]}
    return known.issuperset(await xids(replay, pair))


async def are_tied(replay, pair):
    return await tied(replay, *await xids(replay, pair))


async def tied(replay, a, b):
    (row,) = await replay.world.db.rows(READ_PAIR, replay.world.scope.sandbox_id, a, b)
    return row["is_tied"]


async def by_hand(replay, verb, pair):
    world = replay.world
    await verb(world.db, world.scope, world.configurations, *await xids(replay, pair))


def without_marks(views):
    """Leave out `is_contested`, which no read shows: it says that the next tie needs a full rebuild."""
    return views | {"test.graph": [(*row[:3], row[4]) for row in views["test.graph"]]}


@by_examples
@given(history=histories(), rules=identity_rules(), pair=pairs)
async def test_a_pair_linked_and_unlinked_is_as_if_never_linked(replay, history, rules, pair):
    await replayed(replay, history, rules)
    assume(await are_known(replay, pair) and not await are_tied(replay, pair))
    before = await replay.views()
    await by_hand(replay, link_identities, pair)
    assert await replay.differences() == []
    await by_hand(replay, unlink_identities, pair)
    assert without_marks(await replay.views()) == without_marks(before)
    assert await replay.differences() == []


@by_examples
@given(history=histories(), rules=identity_rules(), data=st.data())
async def test_a_pair_unlinked_and_linked_is_as_if_never_unlinked(replay, history, rules, data):
    await replayed(replay, history, rules)
    pair = await some_tied_pair(replay, data)
    before = await replay.views()
    await by_hand(replay, unlink_identities, pair)
    assert await replay.differences() == []
    await by_hand(replay, link_identities, pair)
    assert await replay.views() == before


@by_examples
@given(history=histories(), rules=identity_rules(), data=st.data())
async def test_an_unlinked_pair_stays_apart_whatever_is_ingested(replay, history, rules, data):
    """The time of the unlinking, between any two steps of a history, makes no difference."""
    middle = data.draw(st.integers(1, len(history)))
    await replayed(replay, history[:middle], rules)
    pair = await some_tied_pair(replay, data)
    await by_hand(replay, unlink_identities, pair)
    await replay.run(history[middle:])
    early = await replay.views()
    assert await replay.differences() == []
    await replayed(replay, history, rules)
    assume(await are_known(replay, pair) and await are_tied(replay, pair))  # unless all that tied them was taken back
    await by_hand(replay, unlink_identities, pair)
    assert early == await replay.views()


async def some_tied_pair(replay, data):
    named = list(zip(IDENTITIES, await xids(replay, IDENTITIES), strict=True))
    found = [[a, b] for place, (a, x) in enumerate(named) for b, y in named[:place] if await tied(replay, x, y)]
    assume(found)
    return data.draw(st.sampled_from(found))

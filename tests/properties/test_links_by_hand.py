"""Un-merge is exact: what was linked and unlinked never was, and what is unlinked stays apart whatever comes."""

from hypothesis import assume, given
from hypothesis import strategies as st
from properties.histories import VALUES, by_examples, histories, identity_rules

from gateway.domain.operations.manual_links import READ_PAIR, link_identities, unlink_identities

IDENTITIES = [(namespace, value) for namespace, values in VALUES.items() for value in values]
pairs = st.lists(st.sampled_from(IDENTITIES), min_size=2, max_size=2, unique=True)


async def told(telling, history, rules):
    await telling.empty()
    await telling.rule(rules)
    await telling.tell(history)


async def xids(telling, identities):
    config, sandbox = await telling.world.config(), telling.world.scope.sandbox
    return [config.namespace(namespace).xid(sandbox, value) for namespace, value in identities]


async def are_known(telling, pair):
    known = {row[0] for row in (await telling.views())["test.identity"]}
    return known.issuperset(await xids(telling, pair))


async def are_tied(telling, pair):
    return await tied(telling, *await xids(telling, pair))


async def tied(telling, a, b):
    (row,) = await telling.world.db.rows(READ_PAIR, telling.world.scope.sandbox_id, a, b)
    return row["is_tied"]


async def by_hand(telling, verb, pair):
    world = telling.world
    await verb(world.db, world.scope, world.configurations, *await xids(telling, pair))


def without_marks(views):
    """Without `is_contested`, which no read shows: it says that the next tie has to look twice."""
    return views | {"test.graph": [(*row[:3], row[4]) for row in views["test.graph"]]}


@by_examples
@given(history=histories(), rules=identity_rules(), pair=pairs)
async def test_linked_then_unlinked_is_never_linked(telling, history, rules, pair):
    await told(telling, history, rules)
    assume(await are_known(telling, pair) and not await are_tied(telling, pair))
    before = await telling.views()
    await by_hand(telling, link_identities, pair)
    assert await telling.differences() == []
    await by_hand(telling, unlink_identities, pair)
    assert without_marks(await telling.views()) == without_marks(before)
    assert await telling.differences() == []


@by_examples
@given(history=histories(), rules=identity_rules(), data=st.data())
async def test_unlinked_then_linked_is_never_unlinked(telling, history, rules, data):
    await told(telling, history, rules)
    pair = await some_tied_pair(telling, data)
    before = await telling.views()
    await by_hand(telling, unlink_identities, pair)
    assert await telling.differences() == []
    await by_hand(telling, link_identities, pair)
    assert await telling.views() == before


@by_examples
@given(history=histories(), rules=identity_rules(), data=st.data())
async def test_unlinked_stays_unlinked_whatever_comes(telling, history, rules, data):
    """It does not matter when a pair was unlinked: not what had come by then, and not what comes after."""
    middle = data.draw(st.integers(1, len(history)))
    await told(telling, history[:middle], rules)
    pair = await some_tied_pair(telling, data)
    await by_hand(telling, unlink_identities, pair)
    await telling.tell(history[middle:])
    early = await telling.views()
    assert await telling.differences() == []
    await told(telling, history, rules)
    assume(await are_known(telling, pair) and await are_tied(telling, pair))  # unless all that tied them was taken back
    await by_hand(telling, unlink_identities, pair)
    assert early == await telling.views()


async def some_tied_pair(telling, data):
    named = list(zip(IDENTITIES, await xids(telling, IDENTITIES), strict=True))
    found = [[a, b] for place, (a, x) in enumerate(named) for b, y in named[:place] if await tied(telling, x, y)]
    assume(found)
    return data.draw(st.sampled_from(found))

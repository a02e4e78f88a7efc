"""Lists of batches: every page, of all datasets or of several, is that of the whole list by the same filter and order."""

from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import pytest
from world import record

from gateway.domain.facts import batch_lists, batches
from gateway.domain.facts.batch_lists import BatchFilter, BatchOrder, BatchOrderField, BatchPage
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.rules.keyset import Window
from gateway.errors import BadCursor, LimitExceeded


async def create(world, key, dataset=None):
    dataset_id = (dataset or world.crm).dataset_id
    return await batches.create_batch(world.db, world.scope, await world.config(), dataset_id, key)


async def of_datasets(world, dataset_ids, window, **asked):
    return await batch_lists.list_batches_of_datasets(world.db, world.scope, BatchPage(window, **asked), dataset_ids)


@pytest.mark.parametrize("backward", [False, True])
async def test_batches_of_many_datasets_are_paged_at_once_the_newest_first(world, statements, backward):
    made = [await create(world, f"{number}") for number in range(5)][::-1]
    other = await create(world, "other", world.shop)
    asked = [world.shop.dataset_id, uuid4(), world.crm.dataset_id]
    with statements() as names:
        shop, unknown, crm = await of_datasets(world, asked, Window(2, backward))
    assert len(names) == 1
    assert (shop.items, unknown.items, crm.items) == ([other], [], made[3:] if backward else made[:2])
    edge = crm.items[0] if backward else crm.items[-1]
    place = {"before" if backward else "after": (edge.created_at, edge.batch_id)}
    (following,) = await of_datasets(world, asked[2:], Window(2, backward, **place))
    assert following.items == (made[1:3] if backward else made[2:4])
    assert following.has_next
    assert following.has_previous
    counts = await batch_lists.count_batches_of_datasets(world.db, world.scope, BatchFilter(), asked)
    assert (counts, await batch_lists.count_batches(world.db, world.scope, BatchFilter())) == ([1, 0, 5], 6)


async def test_both_bounds_hold(world):
    made = [await create(world, f"{number}") for number in range(4)][::-1]
    after, before = ((batch.created_at, batch.batch_id) for batch in (made[0], made[3]))
    (page,) = await of_datasets(world, [world.crm.dataset_id], Window(after=after, before=before))
    assert page.items == made[1:3]


@pytest.mark.parametrize("place", [("2026-01-01", UUID(int=1)), (datetime(2026, 1, 1, tzinfo=UTC),), (1,)])
async def test_a_cursor_of_another_list_is_refused(world, place):
    with pytest.raises(BadCursor):
        await of_datasets(world, [world.crm.dataset_id], Window(after=place))


@pytest.fixture
async def several(world):
    """Batches of two datasets that differ in all that they can be ordered by, some of them equal in it."""
    made = []
    for number in range(5):
        dataset = world.loyalty if number % 2 else world.crm
        batch = await create(world, f"{number}", dataset)
        good = [record(("Email", f"{number}-{each}@x.io")) for each in range(number % 3)]
        await world.records(*good, *[{}] * (number // 2), batch_id=batch.batch_id, dataset=dataset)
        if number < 2:
            await batches.complete_batch(world.db, world.scope, batch.batch_id)
        made.append(await batches.read_batch(world.db, world.scope, batch.batch_id))
    return made


@pytest.mark.parametrize(
    "order", [BatchOrder(field, descending) for field in BatchOrderField for descending in (False, True)]
)
@pytest.mark.parametrize("backward", [False, True])
async def test_pages_in_every_order_are_those_of_the_whole_list_of_all_datasets_and_of_each(
    world, several, order, backward
):
    """A walk from either end, two at a time, meets each batch once and in order, whatever is equal."""
    expected = sorted(several, key=order.key, reverse=order.descending)
    met, place = [], None
    while True:
        window = Window(2, backward, **({"before" if backward else "after": place} if place else {}))
        page = await batch_lists.list_batches(world.db, world.scope, BatchPage(window, order=order))
        met = page.items + met if backward else met + page.items
        if not (page.has_previous if backward else page.has_next):
            break
        place = order.key(page.items[0 if backward else -1])
    assert met == expected
    asked = [world.loyalty.dataset_id, world.crm.dataset_id]
    pages = await of_datasets(world, asked, Window(9, backward), order=order)
    assert [page.items for page in pages] == [[one for one in expected if one.dataset_id == each] for each in asked]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("backward", [False, True])
async def test_pages_within_bounds_of_creation_are_those_of_the_filtered_list(world, several, descending, backward):
    """Whichever is the narrower bound at an end, the filter's or the cursor's."""
    order, times = BatchOrder(descending=descending), [None, several[1].created_at, several[3].created_at]
    whole = sorted(several, key=order.key, reverse=descending)
    for since, until, after, before in product(times, times, [None, *whole[1:4:2]], [None, *whole[1:4:2]]):
        keys = {"after": after and order.key(after), "before": before and order.key(before)}
        asked = BatchPage(Window(2, backward, **keys), BatchFilter(created_since=since, created_until=until), order)
        page = await batch_lists.list_batches(world.db, world.scope, asked)
        passing = whole[after and whole.index(after) + 1 : before and whole.index(before)]
        passing = [
            one for one in passing if (not since or one.created_at >= since) and (not until or one.created_at < until)
        ]
        assert page.items == (passing[-2:] if backward else passing[:2]), asked


async def test_a_filter_holds_in_lists_and_counts(world, several):
    everywhere, in_crm = [world.crm.dataset_id, world.loyalty.dataset_id], [world.crm.dataset_id]
    for passing, numbers in (
        (BatchFilter(statuses=(BatchStatus.FAILED,)), [0]),
        (BatchFilter(statuses=(BatchStatus.FAILED, BatchStatus.LOADING), key="4"), [4]),
        (BatchFilter(statuses=()), []),
        (BatchFilter(key="2"), [2]),
        (BatchFilter(key="rolling"), []),
        (BatchFilter(created_since=several[1].created_at, created_until=several[3].created_at), [2, 1]),
    ):
        expected = [several[number] for number in numbers]
        page = await batch_lists.list_batches(world.db, world.scope, BatchPage(Window(), passing))
        assert page.items == expected
        assert await batch_lists.count_batches(world.db, world.scope, passing) == len(expected)
        (crm,) = await of_datasets(world, in_crm, Window(), passing=passing)
        assert crm.items == [one for one in expected if one.dataset_id == world.crm.dataset_id]
        assert sum(await batch_lists.count_batches_of_datasets(world.db, world.scope, passing, everywhere)) == len(
            expected
        )


async def test_counts_order_no_more_batches_than_may_be_sorted(world, several, monkeypatch):
    monkeypatch.setattr(batch_lists, "MAX_SORTED", 3)
    by_count = BatchOrder(BatchOrderField.RECORD_COUNT)
    with pytest.raises(LimitExceeded, match="not 5"):
        await batch_lists.list_batches(world.db, world.scope, BatchPage(Window(), order=by_count))
    some = BatchFilter(created_since=several[2].created_at)
    assert len((await batch_lists.list_batches(world.db, world.scope, BatchPage(Window(), some, by_count))).items) == 3
    assert len((await of_datasets(world, [world.crm.dataset_id], Window(), order=by_count))[0].items) == 3

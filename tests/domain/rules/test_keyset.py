"""Pages: whatever the list and the window, paging is slicing, in both directions."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.rules.keyset import Page, Window, page_of, page_of_rows, window_of
from gateway.errors import BadCursor, BadInput, LimitExceeded

NUMBERS = st.lists(st.integers(0, 30), unique=True, max_size=15)
BOUND = st.none() | st.tuples(st.integers(-1, 31))
WINDOWS = st.builds(Window, size=st.integers(0, 20), backward=st.booleans(), after=BOUND, before=BOUND)


def key(number):
    return (number,)


def walked(numbers, size, *, backward, descending):
    """All items, page by page until there are no more, as a client would collect them."""
    window, pages = Window(size, backward), []
    for _ in numbers or [None]:
        page = page_of(numbers, key, window, descending=descending)
        pages.append(page.items)
        if not (page.has_previous if backward else page.has_next):
            break
        place = key(page.items[0] if backward else page.items[-1])
        window = Window(size, backward, **{"before" if backward else "after": place})
    return [number for items in (reversed(pages) if backward else pages) for number in items]


@given(NUMBERS, st.integers(1, 6), st.booleans(), st.booleans())
def test_pages_in_either_direction_make_the_list_whole(numbers, size, backward, descending):
    assert walked(numbers, size, backward=backward, descending=descending) == sorted(numbers, reverse=descending)


@given(NUMBERS, WINDOWS, st.booleans())
def test_a_page_is_a_slice_between_its_bounds(numbers, window, descending):
    ordered = sorted(numbers, reverse=descending)
    start, stop = (bound[0] if bound else None for bound in (window.after, window.before))
    if descending:
        between = [n for n in ordered if (start is None or n < start) and (stop is None or n > stop)]
    else:
        between = [n for n in ordered if (start is None or n > start) and (stop is None or n < stop)]
    page = page_of(numbers, key, window, descending=descending)
    assert page.items == (between[max(0, len(between) - window.size) :] if window.backward else between[: window.size])
    if page.items:
        assert page.has_previous == (page.items[0] != ordered[0])
        assert page.has_next == (page.items[-1] != ordered[-1])


@given(NUMBERS, st.integers(0, 20), st.sampled_from(range(31)), st.booleans(), st.booleans())
def test_rows_of_a_statement_make_the_page_that_the_whole_list_makes(numbers, size, bound, backward, bounded):
    """What SQL does is played here: bounds, order, limit. Cursors are of items that are there, as a client's are."""
    place = key(bound) if bounded and bound in numbers else None
    window = Window(size, backward, **{"before" if backward else "after": place})
    rows = [n for n in sorted(numbers) if place is None or (n < bound if backward else n > bound)]
    fetched = (rows[::-1] if backward else rows)[: window.fetch]
    assert page_of_rows(fetched, window) == page_of(numbers, key, window)


def test_a_bound_on_the_far_side_says_that_the_list_goes_on():
    assert page_of_rows([2], Window(5, after=(1,), before=(3,))) == Page([2], has_next=True, has_previous=True)
    assert page_of_rows([2], Window(5, backward=True, after=(1,), before=(3,))) == Page(
        [2], has_next=True, has_previous=True
    )


def test_an_item_that_went_leaves_its_cursor_good():
    assert page_of([1, 2, 4, 5], key, Window(1, after=(3,))) == Page([4], has_next=True, has_previous=True)
    assert page_of([1, 2, 4, 5], key, Window(1, backward=True, before=(3,))) == Page(
        [2], has_next=True, has_previous=True
    )


@pytest.mark.parametrize(
    ("first", "last", "size", "backward"),
    [(None, None, 50, False), (7, None, 7, False), (None, 7, 7, True), (0, None, 0, False), (1000, None, 1000, False)],
)
def test_a_page_has_fifty_items_by_default(first, last, size, backward):
    assert window_of(first, last, (1,), (2,)) == Window(size, backward, (1,), (2,))


@pytest.mark.parametrize(
    ("first", "last", "error"),
    [(1, 1, BadInput), (-1, None, BadInput), (None, -1, BadInput), (1001, None, LimitExceeded)],
)
def test_a_window_that_makes_no_sense_is_refused(first, last, error):
    with pytest.raises(error):
        window_of(first, last)


def test_a_key_of_another_list_is_a_bad_cursor():
    with pytest.raises(BadCursor):
        page_of([1, 2], key, Window(after=("one",)))
    for place in [("2026-01-01", UUID(int=1)), (datetime(2026, 1, 1, tzinfo=UTC),)]:
        with pytest.raises(BadCursor):
            Window(before=place).bounds(datetime, UUID)


def test_bounds_come_as_a_statement_takes_them():
    assert Window(after=(1,)).bounds(int) == (1, None)
    assert Window(before=(1, "a")).bounds(int, str) == (None, None, 1, "a")

"""Connections: a walk in either direction meets every item once, and a cursor works in its own list and order only."""

from base64 import urlsafe_b64encode
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.pagination import LONGEST_CURSOR, Listing
from gateway.errors import BadCursor, BadInput, LimitExceeded

TIMES = st.datetimes(timezones=st.just(UTC))
VALUES = (
    st.uuids()
    | TIMES
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
KEYS = st.lists(VALUES, min_size=1, max_size=3).map(tuple)
NUMBERS = Listing("numbers", lambda number: (number,))


async def count():
    return 0


def cut(items, *, descending=False, **arguments):
    given_ = {"first": None, "after": None, "last": None, "before": None} | arguments
    return NUMBERS.cut(items, NUMBERS.window(**given_), descending=descending)


@given(KEYS)
def test_a_cursor_gives_the_key_back_to_the_microsecond(key):
    listing = Listing("things", lambda item: item)
    cursor = listing.cursor(key)
    assert listing.window(None, cursor, None, cursor) == listing.window(None, cursor, None, cursor)
    assert listing.window(None, cursor, None, None).after == key
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(KEYS)
def test_a_cursor_of_another_list_or_order_is_refused(key):
    listing, other = Listing("things NAME ASC", lambda item: item), Listing("things NAME DESC", lambda item: item)
    with pytest.raises(BadCursor):
        other.window(None, listing.cursor(key), None, None)


@given(st.text() | st.binary().map(lambda junk: urlsafe_b64encode(NUMBERS._mark + junk).decode()))
def test_a_text_that_is_no_cursor_is_refused(text):
    try:
        window = NUMBERS.window(10, text, None, None)
    except BadCursor:
        return
    assert isinstance(window.after, tuple)  # junk that is JSON all the same; the list then looks at the types


@pytest.mark.parametrize(
    "body",
    [
        b'[{"u":"x"}]',
        b'[{"u":"00"}]',
        b'["%b"]' % (b"a" * LONGEST_CURSOR),
        b'[{"t":1e999}]',
        b'[{"t":99999999999999999999}]',
        b"[[1]]",
        b"[9223372036854775808]",
        b'["\\u0000"]',
        b"[1.5]",
        b"{}",
        b"7",
        b"\xff",
    ],
)
def test_a_cursor_that_somebody_made_up_is_refused(body):
    forged = urlsafe_b64encode(NUMBERS._mark + body).decode()
    with pytest.raises(BadCursor):
        cut([1, 2, 3], after=forged)


@given(st.sets(st.integers(-99, 99)), st.integers(1, 7), st.booleans())
def test_a_walk_forward_meets_every_item_once(items, size, descending):
    met, after = [], None
    while True:
        page = cut(items, first=size, after=after, descending=descending)
        met += page.nodes
        assert page.page.has_previous == (after is not None)
        if not page.page.has_next:
            break
        after = page.edges[-1].cursor
    assert met == sorted(items, reverse=descending)


@given(st.sets(st.integers(-99, 99)), st.integers(1, 7), st.booleans())
def test_a_walk_backward_meets_every_item_once(items, size, descending):
    met, before = [], None
    while True:
        page = cut(items, last=size, before=before, descending=descending)
        met = page.nodes + met
        assert page.page.has_next == (before is not None)
        if not page.page.has_previous:
            break
        before = page.edges[0].cursor
    assert met == sorted(items, reverse=descending)


async def test_the_total_is_that_of_the_whole_list_and_pages_may_be_empty():
    page = cut(range(120), first=0)
    assert (page.nodes, await page.count(), page.page.has_next) == ([], 120, True)
    assert len(cut(range(120)).nodes) == 50


async def test_a_total_is_counted_only_when_asked_for():
    asked = []

    async def counted():
        asked.append(True)
        return 7

    page = NUMBERS.paged(cut([1]).page, counted)
    assert (page.nodes, len(page.edges), asked) == ([1], 1, [])
    assert (await page.count(), asked) == (7, [True])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"first": 1001}, LimitExceeded),
        ({"last": 1001}, LimitExceeded),
        ({"first": -1}, BadInput),
        ({"first": 1, "last": 1}, BadInput),
    ],
)
def test_a_page_that_cannot_be_is_refused(arguments, error):
    with pytest.raises(error):
        cut([1], **arguments)

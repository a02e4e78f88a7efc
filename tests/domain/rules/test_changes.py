"""Positions in the journal: what a cursor's values may be, and what a snapshot has seen."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.rules.changes import (
    MAX_NUMBER,
    MAX_PLACE,
    MAX_RUNNING,
    Position,
    Row,
    Snapshot,
    beginning,
    numbers_before,
    position_of,
    store_number,
)
from gateway.errors import BadCursor, CursorExpired, Unavailable

NUMBERS = st.integers(0, MAX_NUMBER - 1)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def snapshots(draw: st.DrawFn, end: st.SearchStrategy[int] = NUMBERS) -> Snapshot:
    last = draw(end) + 1
    running = draw(st.sets(st.integers(1, max(1, last - 1)), max_size=20)) if last > 1 else set()
    return Snapshot(draw(NUMBERS), last, tuple(sorted(running)), draw(NUMBERS))


@st.composite
def positions(draw: st.DrawFn) -> Position:
    since = draw(snapshots(st.integers(0, MAX_NUMBER - 10)))
    if draw(st.booleans()):
        return Position.at_snapshot(draw(NUMBERS), since)
    until = draw(snapshots(st.integers(since.end, MAX_NUMBER - 2)))
    row = Row(draw(NUMBERS), draw(st.integers(0, MAX_PLACE)), draw(st.integers(0, MAX_PLACE)))
    return Position(draw(NUMBERS), since, draw(NUMBERS), until, row)


@given(positions())
def test_a_position_is_what_its_values_stand_for(position):
    assert position_of(position.key) == position


ANY_VALUES = st.lists(
    st.none() | st.integers(-2, 2**64) | st.text("0123456789.-x٣", max_size=30) | st.booleans(), max_size=16
)


@given(ANY_VALUES)
def test_any_other_values_are_a_bad_cursor(values):
    try:
        position = position_of(tuple(values))
    except BadCursor:
        return
    assert position.key == tuple(values)


@given(positions(), st.data())
def test_values_with_another_one_among_them_are_another_position_or_none(position, data):
    values = list(position.key)
    values[data.draw(st.integers(0, len(values) - 1))] = data.draw(ANY_VALUES.filter(bool))[0]
    with contextlib.suppress(BadCursor):
        assert position_of(tuple(values)).key == tuple(values)


@pytest.mark.parametrize("end", [-1, 0])
def test_no_position_ends_before_the_first_transaction(end):
    with pytest.raises(BadCursor):
        position_of((1, 2, end, "", 3))


def test_more_transactions_than_a_cursor_holds_are_a_reason_to_try_again():
    assert len(Snapshot.of(AT, 10**6, tuple(range(MAX_RUNNING - 1)), 1, 1).running) == MAX_RUNNING
    with pytest.raises(Unavailable):
        Snapshot.of(AT, 10**6, tuple(range(MAX_RUNNING)), 1, 1)


def test_a_position_of_another_history_or_of_gone_rows_is_expired():
    store, snapshot = store_number(1, "00000001", 5), Snapshot.of(AT, 100, (), 0, 7)
    position = Position.at_snapshot(store, snapshot)
    long_ago = AT - timedelta(days=1)
    position.check(store, snapshot, long_ago)
    for other, present, since in [
        (store_number(1, "00000002", 5), snapshot, long_ago),
        (store_number(2, "00000001", 5), snapshot, long_ago),
        (store, Snapshot.of(AT, 99, (), 0, 7), long_ago),
        (store, snapshot, AT + timedelta(milliseconds=1)),
    ]:
        with pytest.raises(CursorExpired):
            position.check(other, present, since)


def test_transactions_behind_the_newest_that_had_ended_count_as_running_and_a_crash_may_take_their_ids_back():
    before = Snapshot.of(AT, 100, (90, 99), 3, 7)
    assert (before.end, before.running, before.newest) == (103, (90, 99, 100, 101, 102), 98)
    Position.at_snapshot(1, before).check(1, Snapshot.of(AT, 100, (), 0, 7), AT)


def test_a_position_stays_good_as_long_as_the_row_in_front_of_it_is_kept():
    begun = Position.at_snapshot(1, beginning(AT)).up_to(Snapshot.of(AT, 100, (), 0, 7))
    read = begun.behind(Row(1, 0, 1), AT + timedelta(days=2)).behind(Row(2, 0, 1), AT)
    read.check(1, Snapshot.of(AT, 100, (), 0, 7), AT + timedelta(days=2))
    with pytest.raises(CursorExpired):
        begun.check(1, Snapshot.of(AT, 100, (), 0, 7), AT + timedelta(days=2))


def test_nothing_is_new_unless_a_running_transaction_ended_or_a_greater_number_was_written():
    before = Snapshot(0, 100, (90, 95), 7)
    assert before.shows_as_much_as(Snapshot(0, 110, (90, 95, 101), 7))
    assert not before.shows_as_much_as(Snapshot(0, 110, (95, 101), 7))
    assert not before.shows_as_much_as(Snapshot(0, 110, (90, 95), 8))


@given(st.integers(2**31, 2**40), st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_ids_of_32_bits_are_those_of_the_last_transactions_and_later_ones_are_left_out(end, age, ahead):
    assert numbers_before(end, [(end - age) % 2**32, (end + ahead) % 2**32]) == {end - age}

"""Positions in the journal of changes: which rows a reader has read, so that none is missed and each person's come in order.

Transactions end in another order than their rows are numbered in, so no number tells what is new. A snapshot does: it says which
transactions had ended at a moment. A reader reads what ended between two snapshots, in the order of the rows' numbers, then goes on from
the later snapshot. Of one person the rows are in order throughout, because a transaction that changes a person waits for the one before
it, and draws its number after that has ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final, NamedTuple

from gateway.domain.rules.keyset import Key
from gateway.errors import BadCursor, CursorExpired, Unavailable

MAX_RUNNING: Final = 2_000
"""The most transactions that may be writing when a position is made, which holds the number of each."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
MAX_DIGITS: Final = 20  # of a number, and a dot

MAX_PLACE: Final = 10**6
"""Greater than every place of a row in its call, and than the number of changes that a row stands for."""

MAX_NUMBER: Final = 2**62
"""Greater than every number in a position."""


@dataclass(frozen=True)
class Snapshot:
    """Which transactions had ended at a moment: all with an id below `end`, but for the `running` ones, in ascending order.

    No transaction had an id from `end` on. `seq`: the greatest number of a row that those had written which had ended; all that had no id
    draw greater ones. `at`: when that was, in milliseconds since 1970.
    """

    at: int
    end: int
    running: tuple[int, ...]
    seq: int

    @classmethod
    def of(cls, at: datetime, end: int, running: tuple[int, ...], begun: int, seq: int) -> "Snapshot":
        """Return the snapshot that the database took at this time. Raises Unavailable if more than MAX_RUNNING transactions were running.

        The database ends a snapshot behind the newest transaction that had ended. Up to `begun` more ids were given out behind that: their
        transactions may have drawn their numbers already, so they count as running.
        """
        if len(running) + begun > MAX_RUNNING:
            raise Unavailable(f"More than {MAX_RUNNING:,} transactions are writing at this moment; try again.")
        return cls(_milliseconds(at), end + begun, (*running, *range(end, end + begun)), seq)

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """The snapshot as values of a cursor: running transactions by how far they are from the end, which is short."""
        return self.at, self.end, ".".join(str(self.end - one) for one in self.running), self.seq

    @property
    def as_stored(self) -> tuple[int, int, tuple[int, ...]]:
        """The snapshot as Postgres has it: its lowest running transaction, its end, and all running ones."""
        return min(self.running, default=self.end), self.end, self.running

    @property
    def newest(self) -> int:
        """The newest transaction that had ended."""
        newest = self.end - 1
        for one in reversed(self.running):
            if one < newest:
                break
            newest = one - 1
        return newest

    def shows_as_much_as(self, later: "Snapshot") -> bool:
        """Return whether no transaction with rows ended between this snapshot and a later one."""
        return self.seq == later.seq and set(self.running) <= set(later.running)


def numbers_before(end: int, ids: Iterable[int]) -> set[int]:
    """Return the numbers in front of `end` of transactions that Postgres names by their last 32 bits, as its locks do. Later ones are left out."""
    ages = ((end - 1 - each) % 2**32 for each in ids)
    return {end - 1 - age for age in ages if age < 2**31}


def beginning(journal_since: datetime) -> Snapshot:
    """Return the snapshot at which no transaction had ended. `journal_since`: no row is older that is kept for sure."""
    return Snapshot(_milliseconds(journal_since), 1, (), -1)


class Row(NamedTuple):
    """A row of the journal and how much of it was read: the first `read` of the changes that it stands for."""

    seq: int
    place: int
    read: int


START: Final = Row(-1, 0, 0)
"""In front of every row."""


class Position(NamedTuple):
    """A place between two changes of a journal.

    In front of it is what had ended at `since`; and if `until` is set, what had ended then up to `row`, too. `store` is the history of
    the database that the numbers belong to. `at`: the latest time in front of it, in milliseconds since 1970.
    """

    store: int
    since: Snapshot
    at: int
    until: Snapshot | None = None
    row: Row = START

    @classmethod
    def at_snapshot(cls, store: int, snapshot: Snapshot) -> "Position":
        """Return the position behind all that had ended at a snapshot."""
        return cls(store, snapshot, snapshot.at)

    def up_to(self, until: Snapshot) -> "Position":
        """Return this position, from which to read what had ended at a later snapshot."""
        return self if self.until is not None else self._replace(until=until)

    def behind(self, row: Row, at: datetime) -> "Position":
        """Return the position behind a row, or a part of it. `at`: the row's time."""
        return Position(self.store, self.since, max(self.at, _milliseconds(at)), self.until, row)

    @property
    def key(self) -> Key:
        """The position as a tuple of values, for a cursor."""
        within = () if self.until is None else (self.at, *self.until.values, *self.row)
        return (self.store, *self.since.values, *within)

    def check(self, store: int, present: Snapshot, journal_since: datetime) -> None:
        """Check that every row behind this position is kept.

        Raises CursorExpired if the position is of another history of the database, as after it was restored; ahead of the present; or so old
        that rows behind it may be gone.
        """
        latest = self.until or self.since
        if self.store != store or latest.newest > present.newest:
            raise CursorExpired("The cursor is from another history of this database, which was restored since.")
        if self.at < _milliseconds(journal_since):
            raise CursorExpired("Changes behind this cursor are kept no longer, or the sandbox was reset.")


def position_of(key: Key) -> Position:
    """Return the position that the values of a cursor stand for. Raises BadCursor for values that no position has."""
    try:
        store, since = _number(key[0]), _snapshot(*key[1:5])
        if len(key) == 5:
            return Position.at_snapshot(store, since)
        at, until = _number(key[5]), _snapshot(*key[6:10])
        row = Row(*map(_number, key[10:]))
    except (TypeError, ValueError, IndexError) as error:  # too few values, or too many
        raise BadCursor from error
    if until.end < since.end or row.place > MAX_PLACE or row.read > MAX_PLACE:
        raise BadCursor
    return Position(store, since, at, until, row)


def store_number(system: int, timeline: str, database: int) -> int:
    """Return a number for one history of one database: another one for a restored or promoted copy, and for its neighbours."""
    digest = blake2b(f"{system}.{timeline}.{database}".encode(), digest_size=6).digest()
    return int.from_bytes(digest)


def _snapshot(at: Any, end: Any, running: Any, seq: Any) -> Snapshot:
    if _number(end) < 1:
        raise ValueError("no transaction has such an id")
    return Snapshot(_number(at), end, _running(running, end), _number(seq))


@lru_cache(maxsize=16)  # rows of a call have one time
def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _number(value: Any) -> int:
    if type(value) is not int or not -1 <= value < MAX_NUMBER:
        raise ValueError("no such number is in a position")
    return value


def _running(text: Any, end: int) -> tuple[int, ...]:
    """Read the running transactions from how far they are from the end, in the one spelling that each list of them has."""
    if not isinstance(text, str) or len(text) > MAX_RUNNING * MAX_DIGITS:
        raise TypeError("no snapshot has such transactions")
    back = [int(one) for one in text.split(".")] if text else []
    running = tuple(end - one for one in back)
    if len(back) > MAX_RUNNING or any(not 0 < one < later for one, later in pairwise((*running, end))):
        raise ValueError("no snapshot has such transactions")
    if ".".join(map(str, back)) != text:
        raise ValueError("each list has one spelling")
    return running

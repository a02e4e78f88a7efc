"""The journal: what a transaction did to people, written in it, for all who follow changes.

Events lock nobody, and a profile id that is read without a lock may be old by the commit. So their rows name the identities under which
they lie, and the reader finds the people. A row also names the identities that people have lost with the last fact about them: under a policy
without a graph each was a person, who is gone.
"""

from collections.abc import Iterator
from datetime import datetime
from struct import Struct
from typing import Final

import orjson

from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import KEYS_PER_READ, Check, Piece
from gateway.domain.views.effects import ChangeKind, Effects, PersonChange
from gateway.domain.views.fact_change import FactChange
from gateway.runtime.slices import in_time_slices
from gateway.storage import copy_rows
from gateway.storage.database import Session
from gateway.storage.notifications import Channel
from gateway.storage.queries import query

COLUMNS: Final = ("sandbox_id", "seq", "place", "kind", "profile_id", "xids", "former_ids", "paths", "at")

CALL: Final = 1_000
"""A call numbers its documents from its own number on, and the next call comes after so many."""

READ_OLDEST: Final = query("verification.read_oldest_change")
LIST_CHANGES: Final = query("verification.list_changes")

XIDS_PER_ROW: Final = 100
"""The most identities in a row about identities alone: such a row lies in the table itself, and one of a thousand would not."""


class Journal:
    """The view of what happened to people. Facts do not say what happened when, but a record that changed lately is in it."""

    name = "journal"
    tables = ("change",)

    async def refresh(self, change: FactChange) -> None:
        """Write what the change did to people."""
        await write_changes(change.tx, change.scope, change.seq, change.at, change.effects)

    async def verify(self, check: Check, piece: Piece) -> None:
        """Note records whose last change must be in the journal: those of calls after the oldest one that it has."""
        oldest = await check.tx.value(READ_OLDEST, check.scope.sandbox_id)
        if oldest is not None:
            kept = (key for key, state in piece.states.items() if state.document is not None)
            ordinals = ((xid, piece.states[xid, dataset_id].decided_at.ordinal) for xid, dataset_id in kept)
            check.make(self.name, ((xid, ordinal) for xid, ordinal in ordinals if ordinal >= oldest + CALL))

    async def verify_rest(self, check: Check) -> None:
        """Report records that changed after the last row that names their identity, and people that are none of their members."""
        last = dict.fromkeys((xid for xid, _ in check.made.get(self.name, ())), -1)
        after = (-1, 0)
        while rows := await check.tx.rows(LIST_CHANGES, check.scope.sandbox_id, *after, KEYS_PER_READ):
            for seq, place, profile_id, xids in rows:
                after = (seq, place)
                if profile_id is not None and profile_id not in xids:
                    check.differs("change", after, "names a person who is none of its members")
                last.update((xid, seq) for xid in xids if xid in last)
            check.compared[self.name] += len(rows)
        for xid, ordinal in check.made.get(self.name, ()):
            if last[xid] <= ordinal - CALL:
                check.differs("change", xid, "is not there, though a record of this identity has changed")


JOURNAL = Journal()


async def write_changes(tx: Session, scope: Scope, seq: int, at: datetime, effects: Effects) -> None:
    """Write what happened to people, and have their followers notified after the commit.

    `seq` and `at` are the number and the time of the call, drawn when it held all of its locks.
    """
    if not (effects.people or effects.event_xids or effects.dropped_xids):
        return
    front = _FRONT.pack(len(COLUMNS), copy_rows.EIGHT, scope.sandbox_id, copy_rows.EIGHT, seq)
    end = _END.pack(copy_rows.EIGHT, copy_rows.instant(at))
    parts = [*await in_time_slices(_of_person, effects.people.values()), *_of_identities(effects)]
    rows = [front + _PLACE.pack(4, place) + row + end for place, row in enumerate(parts)]
    packed = bytearray().join((copy_rows.BEGIN, *rows, copy_rows.END))
    await tx.copy_packed("change", COLUMNS, packed)
    tx.notify(Channel.CHANGES)


_FRONT: Final = Struct("!hiqiq")
_PLACE: Final = Struct("!ii")
_END: Final = Struct("!iq")
_KINDS: Final = {kind: copy_rows.text(kind.encode()) for kind in ChangeKind}
_UUID_SIZE: Final = Struct("!i").pack(copy_rows.UUID_SIZE)


def _of_person(change: PersonChange) -> bytes:
    """Pack the middle of a person's row: from its kind to its paths."""
    paths = copy_rows.NULL if change.paths is None else copy_rows.text(orjson.dumps(change.paths))
    xids, former = copy_rows.uuids(change.xids), copy_rows.uuids(change.former)
    return _KINDS[change.kind] + _UUID_SIZE + change.profile_id.bytes + xids + former + paths


def _of_identities(effects: Effects) -> Iterator[bytes]:
    """Pack the middles of the rows about identities alone."""
    for kind, named in ((ChangeKind.EVENTS, effects.event_xids), (ChangeKind.DELETED, effects.dropped_xids)):
        xids = list(named)
        for start in range(0, len(xids), XIDS_PER_ROW):
            some = copy_rows.uuids(xids[start : start + XIDS_PER_ROW])
            yield _KINDS[kind] + copy_rows.NULL + some + copy_rows.uuids(()) + copy_rows.NULL

"""The journal: what a transaction did to people, written in it, for all who follow changes.

Events lock nobody, and a profile id that is read without a lock may be old by the commit. So their rows name the identities under which
they lie, and the reader finds the people.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import Check, Piece
from gateway.domain.views.effects import ChangeKind, Effects
from gateway.domain.views.fact_change import FactChange
from gateway.storage.database import Session
from gateway.storage.notifications import Channel

COLUMNS: Final = ("sandbox_id", "seq", "place", "kind", "profile_id", "xids", "former_ids", "paths", "at")

XIDS_PER_ROW: Final = 100
"""The most identities in a row of events: such a row lies in the table itself, and one of a thousand would not."""


class Journal:
    """The view of what happened to people, which cannot be made from facts once more."""

    name = "journal"
    tables = ("change",)

    async def refresh(self, change: FactChange) -> None:
        """Write what the change did to people."""
        await write_changes(change.tx, change.scope, change.seq, change.at, change.effects)

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare nothing: facts do not say what happened when."""

    async def verify_rest(self, check: Check) -> None:
        """Compare nothing."""


JOURNAL = Journal()


async def write_changes(tx: Session, scope: Scope, seq: int, at: datetime, effects: Effects) -> None:
    """Write what happened to people, and have their followers notified after the commit.

    `seq` and `at` are the number and the time of the call, drawn when it held all of its locks.
    """
    changes = [*_of_people(effects), *_of_events(effects)]
    if not changes:
        return
    await tx.copy("change", COLUMNS, [(scope.sandbox_id, seq, n, *change, at) for n, change in enumerate(changes)])
    tx.notify(Channel.CHANGES)


def _of_people(effects: Effects) -> Iterator[Sequence[Any]]:
    for change in effects.people.values():
        paths = None if change.paths is None else orjson.dumps(change.paths).decode()
        yield change.kind.value, change.profile_id, change.xids, change.former, paths


def _of_events(effects: Effects) -> Iterator[Sequence[Any]]:
    xids = sorted(effects.event_xids, key=lambda xid: xid.int)
    for start in range(0, len(xids), XIDS_PER_ROW):
        yield ChangeKind.EVENTS.value, None, xids[start : start + XIDS_PER_ROW], (), None

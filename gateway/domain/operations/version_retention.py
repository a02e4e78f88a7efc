"""Retention of record versions: a recurring job removes those that nothing but the revert of an old batch would need.

A complete batch of records can be reverted for some days. Then it is settled: its versions stay whatever happens, so that what they
replaced for good decides nothing, neither what is read nor what is left when a younger batch is reverted.

    versions   those before the newest settled one that replaced or deleted the document go; so do settled ones that changed nothing, a deletion
               that was repeated among them, but for the first and the last of these
    times      of a version that went, the version that stands for it keeps the time, since it says when an identity was seen
    ties       stay with their batch: a version that was replaced still ties, so graphs never change by retention; a job that deletes
               the batch takes its ties

Chains of patches (MERGE) are not folded into one: each input is what one batch brought, and goes with that batch when it is deleted. A deletion of
a record that never was stays as often as it came.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.removal import count_removed
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode, RecordKey, RecordState, VersionOrder, superseded
from gateway.domain.views.folding import follow, unread_of_row
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.locks import lock_shared
from gateway.domain.work.receipts import DeletionReceipt
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

SETTLE = query("version_retention.settle_batches")
FIND_LAST = query("version_retention.find_last")
LIST_VERSIONS = query("version_retention.list_versions")
REMOVE = query("version_retention.remove_versions")

BATCHES_AT_ONCE: Final = 1_000
"""How many batches one run settles."""

VERSIONS_PER_PIECE: Final = 2_000
"""How many record versions one piece looks at: more where a record has as many of which none is superseded."""

_ALL: Final = UUID(int=2**128 - 1)
"""A dataset id after all others."""


async def expire_versions(db: Database, scope: Scope, _: Configurations, job: LeasedJob, *, days: float) -> None:
    """Settle the sandbox's batches that were completed more than `days` ago, and remove the versions that these supersede: a job, in pieces.

    It goes through the records in the order of their xids. Where no batch is to be settled it reads none.
    """
    if job.cursor is None and not await _settle(db, scope, job, days):
        return
    while await _remove_next(db, scope, job):
        pass


async def _settle(db: Database, scope: Scope, job: LeasedJob, days: float) -> bool:
    """Settle batches, and begin the way through the records, in one transaction. Return whether there were some."""
    async with db.transaction(scope.sandbox_id) as tx:
        rows = await tx.rows(SETTLE, scope.sandbox_id, days, BATCHES_AT_ONCE)
        if rows:
            cursor = {"since": rows[0]["settled_at"].isoformat(), "after": str(NIL)}
            await leases.advance(tx, job, cursor, done=job.done, receipt=DeletionReceipt())
        return bool(rows)


async def _remove_next(db: Database, scope: Scope, job: LeasedJob) -> bool:
    """Remove the superseded versions of the next records, beside writers: they append. Return whether there were more records.

    Of a record with more versions than a piece takes, the first ones are looked at alone, since what they supersede depends on no later one; then what
    is left of it again.
    """
    cursor = job.cursor
    since, size = datetime.fromisoformat(cursor["since"]), cursor.get("size", VERSIONS_PER_PIECE)
    after = (UUID(cursor["after"]), UUID(cursor["dataset"]) if "dataset" in cursor else _ALL)
    async with lock_shared(db, scope.sandbox_id) as tx:
        last = await tx.row(FIND_LAST, scope.sandbox_id, *after, size)
        if last is None:
            return False
        rows = await tx.rows(LIST_VERSIONS, scope.sandbox_id, since, *after, *last, size)
        listed = _by_record(rows)
        gone = await _superseded(tx, scope, listed)
        place, size = _next(after, listed, gone, size) if len(rows) == size else (tuple(last), VERSIONS_PER_PIECE)
        await tx.update_rows(REMOVE, scope.sandbox_id, rows=sorted(gone))
        cursor = {"since": cursor["since"], "after": str(place[0]), "dataset": str(place[1]), "size": size}
        receipt = DeletionReceipt(record_versions=len(gone))
        await leases.advance(tx, job, cursor, done=job.done + len(gone), records=len(gone), receipt=receipt)
        batches = {(*key, row["ordinal"]): row["batch_id"] for key, rows in listed.items() for row in rows}
        await count_removed(tx, job, Counter(batches[xid, dataset_id, ordinal] for xid, dataset_id, ordinal, _ in gone))
        return True


_Listed = Mapping[RecordKey, Sequence[Any]]
"""The rows of the versions of records, in order."""

_Gone = Sequence[tuple[UUID, UUID, int, int]]
"""Versions that go: of each its record's key, its ordinal, and that of the version that stands for it."""


def _by_record(rows: Sequence[Any]) -> _Listed:
    listed = defaultdict[RecordKey, list[Any]](list)
    for row in rows:
        listed[row["xid"], row["dataset_id"]].append(row)
    return listed


def _next(after: RecordKey, listed: _Listed, gone: _Gone, size: int) -> tuple[RecordKey, int]:
    """Return after which record to go on, and with how many versions, where the last of these records may have more than are listed."""
    *done, last = listed
    if not listed[last][-1]["is_settled"]:
        return last, VERSIONS_PER_PIECE
    if done:
        return done[-1], VERSIONS_PER_PIECE
    return after, size if gone else 2 * size


async def _superseded(tx: Session, scope: Scope, listed: _Listed) -> _Gone:
    """List the superseded ones of these versions."""
    settled = {key: list(takewhile(lambda row: row["is_settled"], rows)) for key, rows in listed.items()}
    unread = {key: list(map(unread_of_row, rows)) for key, rows in settled.items() if len(rows) > 1}
    decided = defaultdict[RecordKey, dict[VersionOrder, VersionOrder]](dict)

    def note(key: RecordKey, state: RecordState) -> None:
        decided[key][state.head] = state.decided_at

    await follow(tx, scope, unread, note)
    return [
        (*key, place.ordinal, heir.ordinal)
        for key, versions in unread.items()
        for place, heir in superseded(versions, decided[key], has_stand_in=any(map(_is_stand_in, settled[key]))).items()
    ]


def _is_stand_in(row: Any) -> bool:
    """Return whether a version is a deletion that stands for versions which went."""
    return row["mode"] == Mode.DELETE and bool(row["stands"])

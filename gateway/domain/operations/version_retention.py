"""Retention of record versions: a recurring job removes those that nothing but the revert of an old batch would need.

A complete batch of records can be reverted for some days. Then it is settled: its versions stay whatever happens, so that what they
replaced for good decides nothing, neither what is read nor what is left when a younger batch is reverted.

    versions   those before the newest settled one that replaced or deleted the document go; so do settled ones that changed nothing
    times      of a version that went, the version that stands for it keeps the time, since it says when an identity was seen
    ties       stay with their batch: a version that was replaced still ties, so graphs never change by retention; a job that deletes
               the batch takes its ties

Chains of patches (MERGE) are not folded into one: each input is what one batch brought, and goes with that batch when it is deleted.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import RecordKey, Version, superseded
from gateway.domain.views.fragments import version_of_row
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.locks import lock_shared
from gateway.domain.work.receipts import DeletionReceipt
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

SETTLE = query("version_retention.settle_batches")
FIND_LAST = query("version_retention.find_last")
READ_VERSIONS = query("version_retention.read_versions")
REMOVE = query("version_retention.remove_versions")

BATCHES_AT_ONCE: Final = 1_000
"""How many batches one run settles."""

VERSIONS_PER_PIECE: Final = 2_000
"""How many record versions one piece looks at, about: all of those of its last identity, too."""


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
    """Remove the superseded versions of the next records, beside writers: they append. Return whether there were more records."""
    since, after = datetime.fromisoformat(job.cursor["since"]), UUID(job.cursor["after"])
    async with lock_shared(db, scope.sandbox_id) as tx:
        last = await tx.value(FIND_LAST, scope.sandbox_id, after, VERSIONS_PER_PIECE)
        if last is None:
            return False
        gone = await _superseded(tx, scope, since, after, last)
        await tx.update_rows(REMOVE, scope.sandbox_id, rows=gone)
        cursor = {**job.cursor, "after": str(last)}
        receipt = DeletionReceipt(record_versions=len(gone))
        await leases.advance(tx, job, cursor, done=job.done + len(gone), records=len(gone), receipt=receipt)
        return True


async def _superseded(
    tx: Session, scope: Scope, since: datetime, after: UUID, last: UUID
) -> Sequence[tuple[UUID, UUID, int, int]]:
    """List the superseded versions between these identities: of each its record's key, its ordinal, and that of the version that stands for it."""
    versions, settled = defaultdict[RecordKey, list[Version]](list), set[UUID]()

    def note(row: Any) -> None:
        versions[row["xid"], row["dataset_id"]].append(version_of_row(row))
        if row["is_settled"]:
            settled.add(row["batch_id"])

    await in_time_slices(note, await tx.rows(READ_VERSIONS, scope.sandbox_id, since, after, last))
    found = await in_time_slices(lambda item: (item[0], superseded(item[1], settled)), versions.items())
    return sorted((*key, place.ordinal, heir.ordinal) for key, gone in found for place, heir in gone.items())

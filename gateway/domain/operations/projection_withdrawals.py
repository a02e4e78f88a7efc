"""Projections that edges lose because their people are erased, counted for the receipts of the jobs that erase them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from gateway.domain.reading.changes import ProfileChange
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import ChangeKind
from gateway.storage.database import Database, Reader
from gateway.storage.queries import query

LIST_ERASED = query("projection_centers.list_erased")
COUNT_WITHDRAWN = query("projection_centers.count_withdrawn")
SUM_WITHDRAWN = query("projection_centers.sum_withdrawn")

Withdrawal = tuple[int, UUID]
"""A call that took people away, by the number of its rows in the journal, and the job that did."""


async def find_erased(
    db: Reader, scope: Scope, changes: Iterable[ProfileChange], gone: Collection[UUID]
) -> Mapping[Withdrawal, set[UUID]]:
    """Return which of the people who are gone were erased, by calls and jobs in the order of calls. Needs no permission."""
    deleted = [change for change in changes if change.kind is ChangeKind.DELETED]
    asked = {xid for change in deleted for xid in (change.profile_id, *change.xids)}.intersection(gone)
    if not asked:
        return {}
    jobs = {row["xid"]: row["erased_by"] for row in await db.rows(LIST_ERASED, scope.sandbox_id, list(asked))}
    found = defaultdict[Withdrawal, set[UUID]](set)
    for change in sorted(deleted, key=lambda change: change.version):
        for xid in (change.profile_id, *change.xids):
            if xid in jobs:
                found[change.version, jobs[xid]].add(xid)
    return found


async def count_withdrawn(db: Database, scope: Scope, data_center: str, of: Withdrawal, projections: int) -> None:
    """Note how many projections an edge loses by a call, unless that was noted before. Needs no permission."""
    seq, job_id = of
    async with db.transaction(scope.sandbox_id) as tx:
        await tx.execute(COUNT_WITHDRAWN, scope.sandbox_id, job_id, data_center, seq, projections)


async def sum_withdrawn(db: Reader, scope: Scope, job_id: UUID) -> int:
    """Return how many projections all edges have lost for a job. Needs no permission."""
    count: int = await db.value(SUM_WITHDRAWN, scope.sandbox_id, job_id)
    return count

"""Batches that are given up: a job removes the facts that they brought, as if they had never been sent.

The request closes the batch to documents and enqueues the job; it waits for nothing else. The job removes facts in pieces, each a
transaction that leaves every view right, and says that the batch is ABORTED in the transaction that finds nothing left.
"""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.facts import batches
from gateway.domain.facts.batches import Batch, BatchStatus
from gateway.domain.ingest.resends import store_successors, take_successors
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import read_known
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import exclusive_transaction
from gateway.domain.work import audit, jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import Started
from gateway.domain.work.leases import LeasedJob
from gateway.errors import Conflict
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

ABORT = query("batch_removal.abort_batch")
END_ABORT = query("batch_removal.end_abort")
FIND = [query(f"batch_removal.find_{facts}") for facts in ("records", "events", "resends", "ties")]
REMOVE_RECORDS = query("batch_removal.remove_records")
REMOVE_TIES = query("batch_removal.remove_ties")
REMOVE_RESENDS = query("batch_removal.remove_resends")
REMOVE_EVENTS = query("batch_removal.remove_events")

ROLLING = (
    "This batch holds what everybody sent that day without naming a batch, so it cannot be aborted. To be able to take documents back, "
    "open a batch of your own with `createBatch`, and send them with its id as `batchId`, or with `?batchKey=` to /ingest."
)

MAX_FACTS_PER_STEP = 1000
"""The most facts that are looked up to find the identities of one piece."""


async def abort_batch(db: Database, scope: Scope, batch_id: UUID) -> Started[Batch]:
    """Abort a batch that is still loading: it takes no more documents, and a job removes what it brought. Return it, ABORTING, and the job.

    A batch that is ABORTING is returned with its job, one that is ABORTED without. Needs `profile:write`. Raises Forbidden, NotFound, and
    Conflict for a batch that is complete or rolling.
    """
    scope.require(Permission.PROFILE_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        is_new = await tx.value(ABORT, scope.sandbox_id, batch_id) is not None
        batch = await batches.read_batch(tx, scope, batch_id)
        if batch.is_rolling:
            raise Conflict(ROLLING, path=["id"])
        if batch.status is BatchStatus.ABORTED:
            return Started(batch, None)
        if batch.status is not BatchStatus.ABORTING:
            raise Conflict("The batch is complete; only one that is still loading can be aborted.", path=["id"])
        if is_new:
            before, after = {"status": BatchStatus.LOADING}, {"status": BatchStatus.ABORTING}
            await audit.record(tx, scope, "abortBatch", batches.subject_of(batch_id), before=before, after=after)
        return Started(batch, await jobs.enqueue(tx, scope, JobKind.ABORT_BATCH, batch_id))


async def empty_batch(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove the facts of a batch that is ABORTING: the job that `abort_batch` enqueues.

    It keeps no cursor: each piece looks for facts of the batch that are still there.
    """
    while await _remove_piece(db, scope, configurations, job):
        pass


async def _remove_piece(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> bool:
    """Remove the batch's facts under some identities, or end the abort where there are none. Return whether there were some."""
    async with exclusive_transaction(db, scope, configurations) as change:
        tx = change.tx
        xids = await _next_xids(tx, scope, job.subject)
        if xids:
            await _remove(change, job.subject, xids)
            await refresh(change)
        else:
            await tx.execute(END_ABORT, scope.sandbox_id, job.subject)
        await leases.advance(tx, job, None, done=job.done + len(xids))
        return bool(xids)


async def _next_xids(tx: Session, scope: Scope, batch_id: UUID) -> list[UUID]:
    for find in FIND:
        if rows := await tx.rows(find, scope.sandbox_id, batch_id, MAX_FACTS_PER_STEP):
            return sorted((row["xid"] for row in rows), key=lambda xid: xid.int)
    return []


async def _remove(change: FactChange, batch_id: UUID, xids: Sequence[UUID]) -> None:
    """Remove everything that the batch brought under these identities."""
    tx, scope = change.tx, change.scope
    await read_known(change, xids)
    where = (scope.sandbox_id, batch_id, xids)
    change.refolded = {(row["xid"], row["dataset_id"]) for row in await tx.rows(REMOVE_RECORDS, *where)}
    tied = {row["xid"] for row in await tx.rows(REMOVE_TIES, *where)}
    await tx.execute(REMOVE_RESENDS, *where)
    successors = await take_successors(tx, scope, batch_id, xids)
    change.event_xids = {row["xid"] for row in await tx.rows(REMOVE_EVENTS, *where)}
    if successors:
        change.event_xids |= await store_successors(tx, scope, change.config, successors)
    change.seeds = {*tied, *xids, *change.event_xids}
    change.recount = True

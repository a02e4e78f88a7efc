"""Batches that are given up, taken back or deleted: a job removes the facts that they brought, as if they had never been sent.

    abort_batch   gives up a batch that is loading          ABORTING, then ABORTED; its key names another batch
    revert_batch  takes a complete batch back               REVERTING, then REVERTED; its key names another batch
    delete_batch  deletes a batch for good                  DELETING, then DELETED; its key is refused from then on

The request closes the batch to documents and enqueues the job; it waits for nothing else. The job removes facts as `removal` does, and
says that the batch is empty in the transaction that finds nothing left.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.datasets import DatasetStatus
from gateway.domain.facts import batches
from gateway.domain.facts.batches import COMPLETE_STATUSES, Batch, BatchStatus
from gateway.domain.operations.removal import LIST_REMAINING, REMOVAL_PARTS, Selection, preview, remove
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit, jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import Job, Started
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import Conflict, NotFound
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import Query, part, query, template

LOCK = query("batch_removal.lock_batch")
CLOSE = query("batch_removal.close_batch")
END = query("batch_removal.end_removal")
REMOVE_ERRORS = query("batch_removal.remove_errors")

ROLLING = (
    "This batch holds what everybody sent that day without naming a batch, so it cannot be aborted. To be able to take documents back, "
    "open a batch of your own with `createBatch`, and send them with its id as `batchId`, or with `?batchKey=` to /ingest."
)


async def abort_batch(db: Database, scope: Scope, batch_id: UUID) -> Started[Batch]:
    """Abort a batch that is still loading: it takes no more documents, and a job removes what it brought. Return it, ABORTING, and the job.

    A batch that is ABORTING is returned with its job, one that is ABORTED without. Needs `profile:write`. Raises Forbidden, NotFound, and
    Conflict for a batch that is complete or rolling.
    """
    scope.require(Permission.PROFILE_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        batch = await _locked(tx, scope, batch_id, "id")
        if batch.is_rolling:
            raise Conflict(ROLLING, path=["id"])
        if batch.status is BatchStatus.ABORTED:
            return Started(batch, None)
        if batch.status is BatchStatus.LOADING:
            batch = await _close(tx, scope, batch, BatchStatus.ABORTING)
            before, after = {"status": BatchStatus.LOADING}, {"status": BatchStatus.ABORTING}
            await audit.record(tx, scope, "abortBatch", batches.subject_of(batch_id), before=before, after=after)
        if batch.status is not BatchStatus.ABORTING:
            raise Conflict("The batch is complete; only one that is still loading can be aborted.", path=["id"])
        return Started(batch, await jobs.enqueue(tx, scope, JobKind.ABORT_BATCH, batch_id))


async def revert_batch(db: Database, scope: Scope, batch_id: UUID) -> Job:
    """Take back a complete batch, or a rolling one: it is REVERTING, and a job removes what it brought, as if it had never been sent. Return the job.

    Refused documents stay with the batch. Needs `jobs:write`. Raises Forbidden, NotFound, and Conflict, such as JobOpen, for a batch in
    another state, and for one that is settled.
    """
    scope.require(Permission.JOBS_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        batch = await _locked(tx, scope, batch_id, "revertBatch")
        await _refuse_emptied(tx, scope, batch, JobKind.REVERT_BATCH, "revertBatch")
        _refuse_settled(batch)
        if batch.status not in COMPLETE_STATUSES and not batch.is_rolling:
            message = "The batch is still loading: complete it first, or give it up with `abortBatch`."
            raise Conflict(message, path=["revertBatch"])
        return await _enqueue(tx, scope, batch, BatchStatus.REVERTING, JobKind.REVERT_BATCH)


async def delete_batch(db: Database, scope: Scope, batch_id: UUID) -> Job:
    """Delete a batch for good: it is DELETING, and a job removes what it brought and its refused documents. Return the job.

    Its key is refused from now on. Needs `jobs:write`. Raises Forbidden, NotFound, and Conflict, such as JobOpen, for a batch that
    is empty for good, or that is being emptied.
    """
    scope.require(Permission.JOBS_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        batch = await _locked(tx, scope, batch_id, "deleteBatch")
        await _refuse_emptied(tx, scope, batch, JobKind.DELETE_BATCH, "deleteBatch")
        return await _enqueue(tx, scope, batch, BatchStatus.DELETING, JobKind.DELETE_BATCH)


async def empty_batch(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove the facts of a batch that is ABORTING, REVERTING or DELETING: the job that the verbs enqueue."""
    await remove(db, scope, configurations, job, _selection(job.kind, job.subject))


async def preview_batch(db: Reader, scope: Scope, batch_id: UUID, kind: JobKind) -> DeletionReceipt:
    """Count what a job of this kind would remove of a batch. Changes nothing. Needs `jobs:write`.

    Raises Forbidden, NotFound, and Conflict where a batch that is settled would be reverted.
    """
    scope.require(Permission.JOBS_WRITE)
    batch = await batches.read_batch(db, scope, batch_id)
    if kind is JobKind.REVERT_BATCH:
        _refuse_settled(batch)
    return await preview(db, scope, _selection(kind, batch_id))


def facts_of(batch_ids: Sequence[UUID], *, remove_errors: Query | None, end: Query) -> Selection:
    """Select everything that these batches brought."""
    return Selection(
        arguments=(batch_ids,),
        count=query("batch_removal.count_facts"),
        remove_errors=remove_errors,
        remove_resends=query("batch_removal.remove_resends"),
        find_identities=query("batch_removal.find_identities_with_events"),
        remove_concurrently=template("batch_removal.remove_events_concurrently").filled(**REMOVAL_PARTS),
        list_remaining=LIST_REMAINING.filled(staying_tie=part("batch_removal.staying_tie")),
        find_events=query("batch_removal.find_events"),
        find_records=query("batch_removal.find_records"),
        find_ties=query("batch_removal.find_ties"),
        remove_records=template("batch_removal.remove_records").filled(**REMOVAL_PARTS),
        remove_ties=template("batch_removal.remove_ties").filled(**REMOVAL_PARTS),
        end=end,
    )


def _selection(kind: JobKind, batch_id: UUID) -> Selection:
    errors = REMOVE_ERRORS if kind is JobKind.DELETE_BATCH else None
    return facts_of([batch_id], remove_errors=errors, end=END)


async def _locked(tx: Session, scope: Scope, batch_id: UUID, argument: str) -> Batch:
    """Read a batch and lock it. Raises NotFound, and Conflict while its dataset is emptied."""
    row = await tx.row(LOCK, scope.sandbox_id, batch_id)
    if row is None:
        raise NotFound("There is no batch with this id.", path=[argument])
    values: dict[str, Any] = dict(row)
    if values.pop("dataset_status") == DatasetStatus.DELETING:
        raise Conflict("The dataset of this batch is DELETING, and the batch goes with it.", path=[argument])
    return batches.batch_of_row(values)


async def _refuse_emptied(tx: Session, scope: Scope, batch: Batch, kind: JobKind, argument: str) -> None:
    """Raise JobOpen if such a job is at work on the batch, and Conflict if another one is, or nothing is left of the batch."""
    if batch.status is BatchStatus.LOADING or batch.status in COMPLETE_STATUSES:
        return
    await jobs.refuse_open(tx, scope, kind, batch.batch_id, path=[argument])
    raise Conflict(f"The batch is {batch.status} already.", path=[argument])


def _refuse_settled(batch: Batch) -> None:
    if batch.settled_at is not None:
        message = (
            f"The batch could be reverted until {batch.settled_at:%Y-%m-%d}: versions of records that would come back "
            "are kept no longer. `deleteBatch` still deletes what it brought."
        )
        raise Conflict(message, path=["revertBatch"])


async def _enqueue(tx: Session, scope: Scope, batch: Batch, status: BatchStatus, kind: JobKind) -> Job:
    await _close(tx, scope, batch, status)
    return await jobs.create_job(tx, scope, kind, batch.batch_id, input={"status": batch.status})


async def _close(tx: Session, scope: Scope, batch: Batch, status: BatchStatus) -> Batch:
    """Give the batch a status in which it takes no documents, and return it."""
    completed_at = await tx.value(CLOSE, scope.sandbox_id, batch.batch_id, status)
    return replace(batch, status=status, completed_at=completed_at)

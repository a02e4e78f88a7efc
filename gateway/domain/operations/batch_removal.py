"""Batches that are given up: a job removes the facts that they brought, as if they had never been sent.

The request closes the batch to documents and enqueues the job; it waits for nothing else. The job removes facts as `removal` does, and
says that the batch is ABORTED in the transaction that finds nothing left.
"""

from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.facts import batches
from gateway.domain.facts.batches import Batch, BatchStatus
from gateway.domain.operations.removal import Selection, remove
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit, jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import Started
from gateway.domain.work.leases import LeasedJob
from gateway.errors import Conflict
from gateway.storage.database import Database
from gateway.storage.queries import query

ABORT = query("batch_removal.abort_batch")

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
    """Remove the facts of a batch that is ABORTING: the job that `abort_batch` enqueues."""
    await remove(db, scope, configurations, job, _facts_of(job.subject))


def _facts_of(batch_id: UUID) -> Selection:
    """Select everything that a batch brought."""
    return Selection(
        arguments=(batch_id,),
        count=query("batch_removal.count_facts"),
        remove_resends=query("batch_removal.remove_resends"),
        remove_concurrently=query("batch_removal.remove_events_concurrently"),
        list_remaining=query("batch_removal.list_remaining_people"),
        find_events=query("batch_removal.find_events"),
        find_records=query("batch_removal.find_records"),
        find_ties=query("batch_removal.find_ties"),
        remove_records=query("batch_removal.remove_records"),
        remove_ties=query("batch_removal.remove_ties"),
        end=query("batch_removal.end_abort"),
    )

"""Datasets that are emptied: a job removes all that came into them, their batches included, as if nothing had ever been sent.

The dataset stays, DELETING and closed to documents until the job is done, ACTIVE and empty afterwards. A job that is cancelled or fails
gives the dataset back with what it still holds.
"""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.datasets import load_datasets
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.operations.batch_removal import REMOVE_ERRORS, facts_of
from gateway.domain.operations.removal import Selection, count, preview, remove
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import Job
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.locks import lock_exclusive
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import JobOpen, NotFound
from gateway.storage.database import Database, Reader
from gateway.storage.queries import query

FIND_BATCH_REMOVAL = query("dataset_removal.find_batch_removal")
CLOSE = query("dataset_removal.close_dataset")
OPEN = query("dataset_removal.open_dataset")
LIST_BATCHES = query("dataset_removal.list_batches")
REMOVE_BATCHES = query("dataset_removal.remove_batches")

BATCHES_AT_ONCE = 1_000
"""How many batches are emptied together, and then removed in one piece."""


async def delete_dataset(db: Database, scope: Scope, dataset_id: UUID) -> Job:
    """Empty a dataset: it takes nothing from now on, and a job removes all that came into it. Return the job.

    Needs `jobs:write`. Raises Forbidden, NotFound, and JobOpen while such a job, or one that empties a batch of the dataset, is open.
    """
    scope.require(Permission.JOBS_WRITE)
    path = ["deleteDataset"]
    async with lock_exclusive(db, scope.sandbox_id) as tx:  # running writes finish first; later ones are refused
        await lock_configuration(tx, scope)
        if all(dataset.dataset_id != dataset_id for dataset in await load_datasets(tx, scope)):
            raise NotFound("There is no dataset with this id.", path=path)
        await jobs.refuse_open(tx, scope, JobKind.DELETE_DATASET, dataset_id, path=path)
        await tx.execute(CLOSE, scope.sandbox_id, dataset_id)
        removal_id: UUID | None = await tx.value(FIND_BATCH_REMOVAL, scope.sandbox_id, dataset_id)
        if removal_id is not None:
            raise JobOpen(removal_id, "empties a batch of this dataset", path=path)
        return await jobs.create_job(tx, scope, JobKind.DELETE_DATASET, dataset_id)


async def empty_dataset(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove the batches of a dataset with all that they brought, and open it again: the job that `delete_dataset` enqueues."""
    batch_ids = await _batches(db, scope, job.subject)
    await count(db, scope, job, _facts_of(batch_ids))
    for start in range(0, len(batch_ids), BATCHES_AT_ONCE):
        await remove(db, scope, configurations, job, _facts_of(batch_ids[start : start + BATCHES_AT_ONCE]))
    async with db.transaction(scope.sandbox_id) as tx:
        await leases.advance(tx, job, None, done=job.done)
        await lock_configuration(tx, scope)
        await tx.execute(OPEN, scope.sandbox_id, job.subject)


async def preview_dataset(db: Reader, scope: Scope, dataset_id: UUID) -> DeletionReceipt:
    """Count what a job would remove of a dataset. Changes nothing. Needs `jobs:write`. Raises Forbidden."""
    scope.require(Permission.JOBS_WRITE)
    return await preview(db, scope, _facts_of(await _batches(db, scope, dataset_id)))


async def _batches(db: Reader, scope: Scope, dataset_id: UUID) -> list[UUID]:
    return [row["batch_id"] for row in await db.rows(LIST_BATCHES, scope.sandbox_id, dataset_id)]


def _facts_of(batch_ids: Sequence[UUID]) -> Selection:
    """Select everything that these batches brought; in the end the batches go, too."""
    return facts_of(batch_ids, remove_errors=REMOVE_ERRORS, end=REMOVE_BATCHES)

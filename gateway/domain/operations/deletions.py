"""Deletions: an aborted batch is removed with all facts that it brought, as if it had never been sent.

Facts are removed in steps of some identities, each a transaction that leaves every view right. The first transaction closes the batch
to documents and enqueues a job, which finishes the work if the request that aborts the batch is cut off.
"""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.facts import batches
from gateway.domain.facts.batches import Batch
from gateway.domain.ingest.resends import store_successors, take_successors
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.graph_rebuild import exclusive_transaction, rebuild_views
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.leases import LeasedJob
from gateway.errors import Conflict, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

ABORT = query("deletions.abort_batch")
FIND = [query(f"deletions.find_{facts}") for facts in ("records", "events", "resends", "ties")]
REMOVE_RECORDS = query("deletions.remove_records")
REMOVE_TIES = query("deletions.remove_ties")
REMOVE_RESENDS = query("deletions.remove_resends")
REMOVE_EVENTS = query("deletions.remove_events")

MAX_FACTS_PER_STEP = 1000
"""The most facts that are looked up to find the identities of one step."""


async def abort_batch(db: Database, scope: Scope, configurations: Configurations, batch_id: UUID) -> Batch:
    """Abort a batch that is still loading, and remove its facts. Return it, ABORTED and empty.

    Needs `profile:write`. Raises Forbidden, NotFound, and Conflict if the batch is complete.
    """
    scope.require(Permission.PROFILE_WRITE)
    (batch,) = await batches.read_batches(db, scope, [batch_id])
    if batch is None:
        raise NotFound("There is no such batch in this sandbox.", path=["id"])
    async with db.transaction(scope.sandbox_id) as tx:
        if await tx.value(ABORT, scope.sandbox_id, batch_id) is None:
            raise Conflict("The batch is complete; only one that is still loading can be aborted.", path=["id"])
        await jobs.enqueue(tx, scope, JobKind.ABORT_BATCH, batch_id, seconds=leases.LEASE_SECONDS)
    while await _step(db, scope, configurations, batch_id):
        pass
    async with db.transaction(scope.sandbox_id) as tx:
        await jobs.end(tx, scope, JobKind.ABORT_BATCH, batch_id, JobStatus.COMPLETED)
    (aborted,) = await batches.read_batches(db, scope, [batch_id])
    return aborted or batch


async def empty_batch(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove what is left of an aborted batch's facts: the job that finishes an abort that was cut off.

    It keeps no cursor: each step looks for facts of the batch that are still there.
    """
    while removed := await _step(db, scope, configurations, job.subject):
        async with db.transaction(scope.sandbox_id) as tx:
            await leases.advance(tx, job, None, done=job.done + removed)


async def _step(db: Database, scope: Scope, configurations: Configurations, batch_id: UUID) -> int:
    """Remove the batch's facts under some identities. Return how many identities these were."""
    async with exclusive_transaction(db, scope, configurations) as (tx, config):
        xids = await _next_xids(tx, scope, batch_id)
        if xids:
            await _remove(tx, scope, config, batch_id, xids)
        return len(xids)


async def _next_xids(tx: Session, scope: Scope, batch_id: UUID) -> list[UUID]:
    for find in FIND:
        if rows := await tx.rows(find, scope.sandbox_id, batch_id, MAX_FACTS_PER_STEP):
            return sorted((row["xid"] for row in rows), key=lambda xid: xid.int)
    return []


async def _remove(tx: Session, scope: Scope, config: Configuration, batch_id: UUID, xids: Sequence[UUID]) -> None:
    """Remove everything that the batch brought under these identities, and make the views right."""
    where = (scope.sandbox_id, batch_id, xids)
    keys = {(row["xid"], row["dataset_id"]) for row in await tx.rows(REMOVE_RECORDS, *where)}
    tied = {row["xid"] for row in await tx.rows(REMOVE_TIES, *where)}
    await tx.execute(REMOVE_RESENDS, *where)
    successors = await take_successors(tx, scope, batch_id, xids)
    await tx.execute(REMOVE_EVENTS, *where)
    moved = await store_successors(tx, scope, config, successors) if successors else set[UUID]()
    await rebuild_views(tx, scope, config, keys, {*tied, *xids, *moved}, recount=True)

"""Facts leave: an aborted batch takes with it everything it brought, as if it had never come.

It goes some identities at a time, each step a transaction of its own that leaves every view right. From its first one on the batch takes
no documents any more, and a job sees to it that nothing stays, even if whoever aborts it is cut off.
"""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.facts import batches
from gateway.domain.facts.batches import Batch
from gateway.domain.ingest.resends import store_successors, take_successors
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.graph_rebuild import exclusive_transaction, rebuild_views
from gateway.domain.work import jobs
from gateway.domain.work.jobs import JobKind, JobStatus, LeasedJob
from gateway.errors import Conflict, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

ABORT = query("deletions.abort_batch")
FIND = [query(f"deletions.find_{facts}") for facts in ("records", "events", "repeats", "ties")]
REMOVE_RECORDS = query("deletions.remove_records")
REMOVE_TIES = query("deletions.remove_ties")
REMOVE_REPEATS = query("deletions.remove_repeats")
REMOVE_EVENTS = query("deletions.remove_events")

STEP = 1000
"""The most facts that are looked up for one step."""


async def abort_batch(db: Database, scope: Scope, configurations: Configurations, batch_id: UUID) -> Batch:
    """The batch, ABORTED and empty. Needs `profile:write`. Raises Forbidden, NotFound; Conflict once it is complete."""
    scope.require(Permission.PROFILE_WRITE)
    (batch,) = await batches.read_batches(db, scope, [batch_id])
    if batch is None:
        raise NotFound("There is no such batch in this sandbox.", path=["id"])
    async with db.transaction(scope.sandbox_id) as tx:
        if await tx.value(ABORT, scope.sandbox_id, batch_id) is None:
            raise Conflict("The batch is complete; only one that is still loading can be aborted.", path=["id"])
        await jobs.enqueue(tx, scope, JobKind.ABORT_BATCH, batch_id, seconds=jobs.LEASE_SECONDS)
    while await _step(db, scope, configurations, batch_id):
        pass
    async with db.transaction(scope.sandbox_id) as tx:
        await jobs.end(tx, scope, JobKind.ABORT_BATCH, batch_id, JobStatus.COMPLETED)
    (aborted,) = await batches.read_batches(db, scope, [batch_id])
    return aborted or batch


async def empty_batch(db: Database, scope: Scope, configurations: Configurations, claim: LeasedJob) -> None:
    """The job that takes back what an aborted batch brought, if whoever aborted it was cut off. What is gone needs no cursor."""
    while removed := await _step(db, scope, configurations, claim.subject):
        async with db.transaction(scope.sandbox_id) as tx:
            await jobs.advance(tx, claim, None, done=claim.done + removed)


async def _step(db: Database, scope: Scope, configurations: Configurations, batch_id: UUID) -> int:
    """Remove the batch's facts under some identities; how many identities these were."""
    async with exclusive_transaction(db, scope, configurations) as (tx, config):
        xids = await _some(tx, scope, batch_id)
        if xids:
            await _remove(tx, scope, config, batch_id, xids)
        return len(xids)


async def _some(tx: Session, scope: Scope, batch_id: UUID) -> list[UUID]:
    for find in FIND:
        if rows := await tx.rows(find, scope.sandbox_id, batch_id, STEP):
            return sorted((row["xid"] for row in rows), key=lambda xid: xid.int)
    return []


async def _remove(tx: Session, scope: Scope, config: Configuration, batch_id: UUID, xids: Sequence[UUID]) -> None:
    """Remove everything that the batch brought under these identities, and make the views right."""
    where = (scope.sandbox_id, batch_id, xids)
    keys = {(row["xid"], row["dataset_id"]) for row in await tx.rows(REMOVE_RECORDS, *where)}
    tied = {row["xid"] for row in await tx.rows(REMOVE_TIES, *where)}
    await tx.execute(REMOVE_REPEATS, *where)
    successors = await take_successors(tx, scope, batch_id, xids)
    await tx.execute(REMOVE_EVENTS, *where)
    told = await store_successors(tx, scope, config, successors) if successors else set[UUID]()
    await rebuild_views(tx, scope, config, keys, {*tied, *xids, *told}, recount=True)

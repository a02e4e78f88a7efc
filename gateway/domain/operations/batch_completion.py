"""Batches that nobody completes: a recurring job does so when no document has come for some days."""

from gateway.domain.config.configuration import Configurations
from gateway.domain.facts import batches
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database


async def complete_batches(db: Database, scope: Scope, _: Configurations, job: LeasedJob) -> None:
    """Complete the sandbox's batches that got no document for MAX_IDLE_DAYS: a job, in pieces."""
    while await _complete_some(db, scope, job):
        pass


async def _complete_some(db: Database, scope: Scope, job: LeasedJob) -> bool:
    async with db.transaction(scope.sandbox_id) as tx:
        completed = await batches.complete_idle_batches(tx, scope)
        if completed:
            await leases.advance(tx, job, None, done=job.done + completed, records=completed)
        return completed > 0

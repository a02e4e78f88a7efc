"""Retention of jobs: a recurring job removes those that ended long ago."""

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database
from gateway.storage.queries import query

EXPIRE = query("jobs.expire_jobs")

JOBS_PER_PIECE = 1_000
"""How many jobs one piece removes."""


async def expire_jobs(db: Database, scope: Scope, _: Configurations, job: LeasedJob, *, days: float) -> None:
    """Remove the sandbox's jobs that ended more than `days` ago: a job, in pieces."""
    removed = JOBS_PER_PIECE
    while removed == JOBS_PER_PIECE:
        async with db.transaction(scope.sandbox_id) as tx:
            removed = len(await tx.rows(EXPIRE, scope.sandbox_id, days, JOBS_PER_PIECE))
            await leases.advance(tx, job, None, done=job.done + removed, records=removed)

"""Retention of stored errors: a recurring job removes refused documents and warnings that are older than they are kept.

Both hold data of people: refused documents as they were sent, samples of warnings what was found in a document.
"""

from typing import Final

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database
from gateway.storage.queries import query

EXPIRE_ERRORS = query("ingest_errors.expire_errors")
EXPIRE_WARNINGS = query("warnings.expire_warnings")

ERRORS_PER_PIECE: Final = 1_000
"""How many refused documents one piece removes."""


async def expire_errors(db: Database, scope: Scope, _: Configurations, job: LeasedJob, *, days: float) -> None:
    """Remove the sandbox's refused documents that came, and its warnings that were last raised, more than `days` ago: a job, in pieces.

    Samples of warnings that are raised still go when they are as old. The counts of batches stay.
    """
    async with db.transaction(scope.sandbox_id) as tx:
        removed = len(await tx.rows(EXPIRE_WARNINGS, scope.sandbox_id, days))
        await leases.advance(tx, job, None, done=job.done + removed, records=removed)
    removed = ERRORS_PER_PIECE
    while removed == ERRORS_PER_PIECE:
        async with db.transaction(scope.sandbox_id) as tx:
            removed = len(await tx.rows(EXPIRE_ERRORS, scope.sandbox_id, days, ERRORS_PER_PIECE))
            await leases.advance(tx, job, None, done=job.done + removed, records=removed)

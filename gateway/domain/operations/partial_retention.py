"""Retention of partials: a recurring job removes those of buckets that lie before every window, and those that no attribute has any more."""

from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.buckets import ALL_TIMES
from gateway.domain.rules.durations import EARLIEST
from gateway.domain.rules.scope import Scope
from gateway.domain.views.computed_partials import reach
from gateway.domain.views.transactions import shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import query

EXPIRE = query("computed_partials.expire_partials")

PARTIALS_PER_PIECE = 10_000
"""At how many partials one piece looks."""


async def expire_computed_partials(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove the sandbox's partials that nothing reads any more: a job, in pieces."""
    while await _expire_some(db, scope, configurations, job):
        pass


async def _expire_some(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> bool:
    """Look at some partials. Return whether there were some."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        xid, seconds, bucket = job.cursor or (str(NIL), ALL_TIMES, EARLIEST.isoformat())
        after = UUID(xid), seconds, datetime.fromisoformat(bucket)
        sizes = reach(config.partials, await read_instant(tx))
        last: Any = await tx.row(EXPIRE, scope.sandbox_id, *after, PARTIALS_PER_PIECE, *sizes)
        if last is None:
            return False
        cursor = str(last["xid"]), last["bucket_seconds"], last["bucket"].isoformat()
        await leases.advance(tx, job, cursor, done=job.done + last["gone"], records=last["gone"])
        return True

"""Retention of changes: a recurring job removes those that followers had time enough to read."""

from datetime import datetime, timedelta
from typing import Any, Final

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database
from gateway.storage.queries import query

MOVE_JOURNAL_SINCE = query("changes.move_journal_since")
EXPIRE = query("changes.expire_changes")

CHANGES_PER_PIECE: Final = 10_000
"""About how many rows one piece removes."""

LONGEST_TRANSACTION: Final = timedelta(hours=1)
"""A row is this much older, at most, than the moment of its commit: each statement of its transaction has a time limit."""


async def expire_changes(db: Database, scope: Scope, _: Configurations, job: LeasedJob, *, days: float) -> None:
    """Remove the sandbox's changes that are older than `days`: a job, in pieces.

    Cursors that are older expire first. Rows go an hour later, so that none goes that a good cursor has not passed: it may have been
    in a transaction that was running when the cursor was made.
    """
    async with db.transaction(scope.sandbox_id) as tx:
        since: datetime | None = await tx.value(MOVE_JOURNAL_SINCE, scope.sandbox_id, days)
    while since is not None:
        async with db.transaction(scope.sandbox_id) as tx:
            before, after = since - LONGEST_TRANSACTION, job.cursor or 0
            row: Any = await tx.row(EXPIRE, scope.sandbox_id, before, after, CHANGES_PER_PIECE)
            if not row["removed"]:
                return
            await leases.advance(tx, job, row["seq"], done=job.done + row["removed"], records=row["removed"])

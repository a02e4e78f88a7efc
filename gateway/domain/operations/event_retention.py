"""Retention of events: a recurring job removes those that are older than their dataset keeps them, and people who are left without facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.removal import LIST_REMAINING, REMOVAL_PARTS, Selection, remove
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import part, query, template

READ_EXPIRY = query("event_retention.read_expiry")
FIND_IDENTITIES = query("event_retention.find_identities")
EXPIRED = part("event_retention.expired")

IDENTITIES_PER_PIECE: Final = 5_000
"""Under how many identities one piece looks for expired events."""


async def expire_events(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove the sandbox's events that are older than the `event_retention_days` of their dataset: a job, in pieces.

    It goes through the identities in the order of their xids, and removes what has expired under some thousands of them as `removal` does.
    Of a sandbox in which no dataset has a retention it reads no identity.
    """
    while True:
        expiry: Any = await db.row(READ_EXPIRY, scope.sandbox_id)
        at, before = expiry
        if before is None:
            return
        after = UUID(job.cursor) if job.cursor else NIL
        found: Any = await db.row(FIND_IDENTITIES, scope.sandbox_id, at, before, after, IDENTITIES_PER_PIECE)
        if found["last"] is None:
            return
        if found["xids"]:
            await remove(db, scope, configurations, job, _expired(at, before, found["xids"]))
        async with db.transaction(scope.sandbox_id) as tx:
            await leases.advance(tx, job, str(found["last"]), done=job.done)


def _expired(at: datetime, before: datetime, xids: Sequence[UUID]) -> Selection:
    """Select the events under these identities that have expired by `at`; all of those are from before `before`."""
    return Selection(
        arguments=(at, before, xids),
        count=template("event_retention.count_facts").filled(expired=EXPIRED),
        remove_resends=query("event_retention.remove_resends"),
        find_identities=template("event_retention.find_identities_with_events").filled(expired=EXPIRED),
        remove_concurrently=template("event_retention.remove_events_concurrently").filled(**REMOVAL_PARTS),
        list_remaining=LIST_REMAINING.filled(staying_tie=part("event_retention.staying_tie")),
        find_events=template("event_retention.find_events").filled(expired=EXPIRED),
        find_ties=query("event_retention.find_ties"),
        remove_ties=template("event_retention.remove_ties").filled(**REMOVAL_PARTS),
    )

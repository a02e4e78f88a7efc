"""Reading the events of the past for the partials of a computed attribute that was published, while writers go on writing.

1. Wait once for the exclusive lock, and so until every writer knows of the attribute: from then on all of them add the events that come.
2. Make the partials of identity after identity anew, from the events that each has by then.
3. Say that they are complete. Until then values are computed from events.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.domain.config.computed_attributes import AttributeStatus
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.buckets import size_of_buckets
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.scope import Scope
from gateway.domain.views.computed_partials import make_anew
from gateway.domain.views.transactions import exclusive_transaction, shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

FIND = query("computed_attributes.find_backfilled")
ADVANCE = query("computed_attributes.advance_attribute")
COUNT_EVENTS = query("attribute_backfill.count_events")
LIST_XIDS = query("attribute_backfill.list_xids")

XIDS_PER_PIECE = 1_000
EVENTS_PER_PIECE = 20_000
"""How many identities and events one piece reads at most; but all events of one identity at once."""


async def backfill_computed_attribute(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob
) -> None:
    """Make the partials of an attribute from all events that there are: a job, in pieces. The attribute may be switched off by now."""
    if job.cursor is None:
        await _begin(db, scope, configurations, job)
    while await _make_some(db, scope, configurations, job):
        pass
    async with db.transaction(scope.sandbox_id) as tx:
        await _say(tx, scope, job, AttributeStatus.PROCESSED)
        await leases.advance(tx, job, job.cursor, done=job.done, total=job.done)


async def _begin(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Wait until every writer knows of the attribute."""
    async with db.transaction(scope.sandbox_id) as tx:
        await _say(tx, scope, job, AttributeStatus.INITIALIZING)
        total = await tx.value(COUNT_EVENTS, scope.sandbox_id)
        await leases.advance(tx, job, None, done=0, total=total)
    async with exclusive_transaction(db, scope, configurations) as change:
        await _say(change.tx, scope, job, AttributeStatus.PROCESSING)
        await leases.advance(change.tx, job, str(NIL), done=0)


async def _make_some(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> bool:
    """Make the partials of the next identities. Return whether there were some, and the attribute is still to have partials."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        found: Any = await tx.row(FIND, scope.sandbox_id, job.subject)
        rows = await tx.rows(LIST_XIDS, scope.sandbox_id, UUID(job.cursor), XIDS_PER_PIECE)
        if found is None or not rows:
            return False
        seen, events = _piece(rows)
        size = size_of_buckets(found["lookback"] and parse_duration(found["lookback"]))
        if events:
            xids = [row["xid"] for row in seen if row["events"]]
            partials = [each for each in config.partials if each.seconds == size]
            await make_anew(tx, scope, partials, xids, at=await read_instant(tx))
        await leases.advance(tx, job, str(seen[-1]["xid"]), done=job.done + events, records=events)
        return True


def _piece(rows: Sequence[Any]) -> tuple[Sequence[Any], int]:
    """Return as many of these identities as one piece reads, and how many events they have."""
    events = 0
    for place, row in enumerate(rows):
        if place and events + row["events"] > EVENTS_PER_PIECE:
            return rows[:place], events
        events += row["events"]
    return rows, events


async def _say(tx: Session, scope: Scope, job: LeasedJob, status: AttributeStatus) -> None:
    await lock_configuration(tx, scope)
    await tx.execute(ADVANCE, scope.sandbox_id, job.subject, status)

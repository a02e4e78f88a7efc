"""Reading the events of the past for the partials of a computed attribute that was published, while writers go on writing.

1. Wait once for the exclusive lock, and so until every writer knows of the attribute: from then on all of them add the events that come.
2. Make the partials of identity after identity, from the events that each has by then, and of one with many events bucket after bucket.
3. Say that they are complete. Until then values are computed from events.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from gateway.domain.config.computed_attributes import AttributeStatus
from gateway.domain.config.configuration import Configuration, Configurations, KeptPartial
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.buckets import ALL_TIMES, begin_of_bucket
from gateway.domain.rules.durations import LATEST
from gateway.domain.rules.scope import Scope
from gateway.domain.views.computed_partials import GIVE_UP_SLOTS, make_one
from gateway.domain.views.transactions import exclusive_transaction, shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

ADVANCE = query("computed_attributes.advance_attribute")
COUNT_EVENTS = query("attribute_backfill.count_events")
LIST_XIDS = query("attribute_backfill.list_xids")
FIND_END = query("attribute_backfill.find_end")

XIDS_PER_LOOK = 1_000
EVENTS_PER_PIECE = 20_000
"""How many events one piece reads at most; but all of one bucket of an identity at once."""


class _Piece(NamedTuple):
    """Identities, the time within which their events are read, and about how many those are. `cursor`: where the job is after it.

    A cursor is the last identity that is done; with a time, its events up to that are.
    """

    xids: list[UUID]
    since: datetime
    until: datetime
    events: int
    cursor: list[str]


async def backfill_computed_attribute(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob
) -> None:
    """Make the partials of an attribute from all events that there are: a job, in pieces. The attribute may be switched off by now."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        partial, at = await _partial_to_make(tx, scope, config, job), await read_instant(tx)
    if partial is not None:
        since = begin_of_bucket(partial.since(at), partial.seconds)
        if job.cursor is None:
            await _begin(db, scope, configurations, job, since)
        async for piece in _pieces(db, scope, job.cursor, since, partial.seconds):
            if not await _make(db, scope, configurations, job, piece):
                break
    async with db.transaction(scope.sandbox_id) as tx:
        await _say(tx, scope, job, AttributeStatus.PROCESSED)
        await leases.advance(tx, job, job.cursor, done=job.done, total=job.done)


async def _begin(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, since: datetime) -> None:
    """Wait until every writer knows of the attribute."""
    async with db.transaction(scope.sandbox_id) as tx:
        await _say(tx, scope, job, AttributeStatus.INITIALIZING)
        total = await tx.value(COUNT_EVENTS, scope.sandbox_id, since)
        await leases.advance(tx, job, None, done=0, total=total)
    async with exclusive_transaction(db, scope, configurations) as change:
        await _say(change.tx, scope, job, AttributeStatus.PROCESSING)
        await leases.advance(change.tx, job, [str(NIL)], done=0)


async def _pieces(
    db: Database, scope: Scope, cursor: Sequence[str], since: datetime, seconds: int
) -> AsyncIterator[_Piece]:
    """Yield what is left behind a cursor, of events from a time on, for buckets of a size."""
    last, *done = cursor
    after = UUID(last)
    if done:
        async for piece in _of_one(db, scope, after, datetime.fromisoformat(done[0]), seconds):
            yield piece
    while rows := await db.rows(LIST_XIDS, scope.sandbox_id, after, since, XIDS_PER_LOOK, EVENTS_PER_PIECE + 1):
        after, gathered = rows[-1]["xid"], _Piece([], since, LATEST, 0, [])
        for row in rows:
            xid, events = row["xid"], row["events"]
            if gathered.xids and gathered.events + events > EVENTS_PER_PIECE:
                yield gathered
                gathered = _Piece([], since, LATEST, 0, [])
            if events > EVENTS_PER_PIECE and seconds != ALL_TIMES:
                async for piece in _of_one(db, scope, xid, since, seconds):
                    yield piece
            else:
                gathered = _Piece([*gathered.xids, xid], since, LATEST, gathered.events + events, [str(xid)])
        if gathered.xids:
            yield gathered


async def _of_one(db: Database, scope: Scope, xid: UUID, since: datetime, seconds: int) -> AsyncIterator[_Piece]:
    """Yield the events of one identity from a time on, bucket after bucket."""
    while since < LATEST:
        end = await db.value(FIND_END, scope.sandbox_id, xid, since, EVENTS_PER_PIECE)
        until = LATEST if end is None else begin_of_bucket(end, seconds)
        if until <= since:
            until = begin_of_bucket(since, seconds) + timedelta(seconds=seconds)
        cursor = [str(xid)] if until == LATEST else [str(xid), until.isoformat()]
        yield _Piece([xid], since, until, EVENTS_PER_PIECE, cursor)
        since = until


async def _make(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, piece: _Piece) -> bool:
    """Make the partials of a piece. Return whether the attribute is still to have partials."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        partial = await _partial_to_make(tx, scope, config, job)
        if partial is None:
            return False
        if piece.events:
            await make_one(tx, scope, config.partials, partial, piece.xids, since=piece.since, until=piece.until)
        await leases.advance(tx, job, piece.cursor, done=job.done + piece.events, records=piece.events)
        return True


async def _partial_to_make(tx: Session, scope: Scope, config: Configuration, job: LeasedJob) -> KeptPartial | None:
    """Return the partials that are to be made; None if the attribute is to have none any more.

    One that nobody can compute by the types of today gives its slot up, as its partials would lack the events that are read meanwhile.
    """
    attribute = config.attributes.find(job.subject)
    if job.subject in config.faulty_attributes:
        await tx.execute(GIVE_UP_SLOTS, scope.sandbox_id, [job.subject])
    if attribute is None or attribute.slot is None:
        return None
    return next((each for each in config.partials if each.slot == attribute.slot and not each.is_complete), None)


async def _say(tx: Session, scope: Scope, job: LeasedJob, status: AttributeStatus) -> None:
    await lock_configuration(tx, scope)
    await tx.execute(ADVANCE, scope.sandbox_id, job.subject, status)

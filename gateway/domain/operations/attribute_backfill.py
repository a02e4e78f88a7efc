"""Reading the events of the past for the partials of a computed attribute that was published, while writers go on writing.

1. Wait once for the exclusive lock, and so until every writer knows of the attribute: from then on all of them add the events that come.
2. Make the partials of identity after identity, from the events that each has by then, and of one with very many events bucket after bucket.
3. Say that they are complete. Until then values are computed from events.
"""

from collections.abc import Sequence
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
from gateway.domain.views.computed_partials import GIVE_UP_SLOTS, make_of_attribute
from gateway.domain.views.transactions import exclusive_transaction, shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

ADVANCE = query("computed_attributes.advance_attribute")
LIST_XIDS = query("attribute_backfill.list_xids")
FIND_END = query("attribute_backfill.find_end")

XIDS_AT_FIRST = 500
XIDS_PER_PIECE = 10_000
"""How many identities the first piece is of, and any piece at most: nobody knows beforehand how many events they have, as to count these would
cost as much as to read them."""
GROWTH = 4
"""How many times as many identities the next piece is of at most, and how many times fewer after one that had too many events."""
EVENTS_PER_PIECE = 50_000
"""How many events a piece is to read. One with more than twice as many makes nothing, and is cut; but all of one bucket of an identity are read
at once."""
_XIDS = 2**128
"""How many xids there could be. They are hashes: of the range of all, a part has about the same part of all events."""


class _Piece(NamedTuple):
    """Identities, the time within which their events are read, and of how many events the piece may be, None for any number. `cursor`: where the job
    is after it.

    `looked_at`: how many identities were looked at, those without events among them. A cursor is the last identity that is done; with a time,
    its events up to that are.
    """

    xids: list[UUID]
    looked_at: int
    since: datetime
    until: datetime
    most: int | None
    cursor: list[str]

    def next_size(self, read: int) -> int:
        """Return of how many identities the next piece is, as this one has read so many events; 0 for one identity, bucket after bucket."""
        if self.most is not None and read > self.most:
            return self.looked_at // GROWTH
        return max(1, min(XIDS_PER_PIECE, GROWTH * self.looked_at, EVENTS_PER_PIECE * self.looked_at // max(read, 1)))


async def backfill_computed_attribute(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob
) -> None:
    """Make the partials of an attribute from all events that there are: a job, in pieces. The attribute may be switched off by now."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        partial, at = await _partial_to_make(tx, scope, config, job), await read_instant(tx)
    if partial is not None:
        if job.cursor is None:
            await _begin(db, scope, configurations, job)
        since, size = begin_of_bucket(partial.since(at), partial.seconds), XIDS_AT_FIRST
        while piece := await _next(db, scope, job.cursor, since, seconds=partial.seconds, size=size):
            read = await _make(db, scope, configurations, job, piece)
            if read is None:
                break
            size = piece.next_size(read)
    async with db.transaction(scope.sandbox_id) as tx:
        await _say(tx, scope, job, AttributeStatus.PROCESSED)
        await leases.advance(tx, job, job.cursor, done=job.done, total=job.done)


async def _begin(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Wait until every writer knows of the attribute."""
    async with db.transaction(scope.sandbox_id) as tx:
        await _say(tx, scope, job, AttributeStatus.INITIALIZING)
        await leases.advance(tx, job, None, done=0)
    async with exclusive_transaction(db, scope, configurations) as change:
        await _say(change.tx, scope, job, AttributeStatus.PROCESSING)
        await leases.advance(change.tx, job, [str(NIL)], done=0)


async def _next(
    db: Database, scope: Scope, cursor: Sequence[str], since: datetime, *, seconds: int, size: int
) -> _Piece | None:
    """Return what comes next behind a cursor, of events from a time on, for buckets of so many seconds; None if nothing is left.

    `size`: of how many identities; 0 for one, bucket after bucket.
    """
    last, *done = cursor
    if done:
        return await _of_one(db, scope, UUID(last), datetime.fromisoformat(done[0]), seconds)
    rows = await db.rows(LIST_XIDS, scope.sandbox_id, UUID(last), max(size, 1))
    if not rows:
        return None
    xids, after = [row["xid"] for row in rows if row["has_events"]], rows[-1]["xid"]
    if size == 0 and seconds != ALL_TIMES:
        return await _of_one(db, scope, after, since, seconds)
    most = 2 * EVENTS_PER_PIECE if size else None
    return _Piece(xids, len(rows), since, LATEST, most, [str(after)])


async def _of_one(db: Database, scope: Scope, xid: UUID, since: datetime, seconds: int) -> _Piece:
    """Return the events of one identity from a time on, as many buckets of them as a piece reads; one bucket at least."""
    end = await db.value(FIND_END, scope.sandbox_id, xid, since, EVENTS_PER_PIECE)
    until = LATEST if end is None else begin_of_bucket(end, seconds)
    if until <= since:
        until = begin_of_bucket(since, seconds) + timedelta(seconds=seconds)
    cursor = [str(xid)] if until >= LATEST else [str(xid), until.isoformat()]
    return _Piece([xid], 1, since, until, None, cursor)


async def _make(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, piece: _Piece
) -> int | None:
    """Make the partials of a piece, unless it has too many events. Return how many were read; None if the attribute is to have no partials any more."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        partial = await _partial_to_make(tx, scope, config, job)
        if partial is None:
            return None
        read, since, until, most = 0, piece.since, piece.until, piece.most
        if piece.xids:
            read = await make_of_attribute(
                tx, scope, config.partials, partial, piece.xids, since=since, until=until, most=most
            )
        if most is None or read <= most:
            done = job.done + read
            total = max(done, round(done * _XIDS / UUID(piece.cursor[0]).int))
            await leases.advance(tx, job, piece.cursor, done=done, total=total, records=read)
        return read


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

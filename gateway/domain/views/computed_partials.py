"""Partials of computed attributes: what each makes of the events of one identity in one bucket of time, so that values are folded of few rows.

Facts do not move between identities, so that nothing is to be done where people merge or split. Events that come are added to the rows of
their buckets; where events went, the partials of their identities are made anew. Either way a row is locked until the end of the
transaction, rows in the order of their keys: of two that write one row the second waits, and loses nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gateway.domain.config.configuration import KeptPartial
from gateway.domain.rules.buckets import ALL_TIMES, begin_of_bucket
from gateway.domain.rules.durations import EARLIEST, LATEST
from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import Check, Piece
from gateway.domain.views.fact_change import FactChange
from gateway.runtime.late import late
from gateway.runtime.uuids import NIL
from gateway.storage.database import Session
from gateway.storage.queries import query

if TYPE_CHECKING:
    from gateway.domain.views import partial_statements
else:
    partial_statements = late("gateway.domain.views.partial_statements")

READ_INSTANT = query("expressions.read_instant")
HOLD = query("computed_partials.hold")
GIVE_UP_SLOTS = query("computed_partials.give_up_slots")
FORGET = query("computed_partials.forget")
EMPTY_CHANGED = query("computed_partials.empty_changed")
LIST = query("computed_partials.list_partials")


class ComputedPartials:
    """The view of partials."""

    name = "partials"
    tables = ("computed_partial",)

    async def refresh(self, change: FactChange) -> None:
        """Add the events that came, and make the partials of identities anew under which events went."""
        tx, scope, partials = change.tx, change.scope, change.config.partials
        if change.event_xids and (faulty := change.config.faulty_attributes):  # their partials fall behind from now on
            await tx.execute(GIVE_UP_SLOTS, scope.sandbox_id, faulty)
        if change.event_xids and not change.added:
            await make_anew(tx, scope, partials, change.event_xids)
        elif change.event_xids and partials:
            keys = [(dataset_id, each.xid, each.body["_id"]) for dataset_id, new in change.added for each in new]
            statement, values = partial_statements.adding(partials)
            oldest = [begin_of_bucket(since, size) for size, since in zip(*reach(partials, change.at), strict=True)]
            await tx.execute(statement, scope.sandbox_id, *map(list, zip(*keys, strict=True)), oldest, *values)

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare partials with what the events make, but not those of attributes whose history is still being read."""
        kept = tuple(each for each in check.config.partials if each.is_complete)
        if not kept:
            return
        statement, values = partial_statements.comparing(kept)
        at = await check.tx.value(READ_INSTANT)
        since = [begin_of_bucket(each.since(at), each.seconds) for each in kept]
        for row in await check.tx.rows(statement, check.scope.sandbox_id, list(piece.xids), since, *values):
            key = (row["xid"], row["bucket_seconds"], row["bucket"])
            check.compared[self.name] += 1
            check.make("computed_partial", [key])
            end = key[2] + timedelta(seconds=key[1])
            # What no window reaches may be missing: it is on its way out.
            read = [each for each in kept if each.since(at) < end]
            made = partial_statements.compared(read, row, "")
            if made != partial_statements.compared(read, row, "stored_") or (made and not _spans(row)):
                check.differs("computed_partial", key, "is not what its events make")

    async def verify_rest(self, check: Check) -> None:
        """Report partials under identities that no fact names."""
        after: tuple[Any, ...] = (NIL, ALL_TIMES, EARLIEST)
        sizes = {each.seconds for each in check.config.partials if each.is_complete}
        for key in await check.strays("computed_partial", LIST, *after):
            if key[1] in sizes:
                check.differs("computed_partial", key, "no fact names its identity")


COMPUTED_PARTIALS = ComputedPartials()


async def make_anew(tx: Session, scope: Scope, partials: Sequence[KeptPartial], xids: Collection[UUID]) -> None:
    """Make these partials of identities from their events, beside writers who add some, and remove all others of theirs."""
    asked, kept = (scope.sandbox_id, sorted(xids)), tuple(partials)
    if not kept:
        await tx.execute(FORGET, *asked)
        return
    await tx.execute(HOLD, *asked, list(partial_statements.by_size(kept)))
    statement, values = partial_statements.making_held(kept)
    await tx.execute(statement, *asked, EARLIEST, LATEST, *values)


async def make_of_attribute(
    tx: Session,
    scope: Scope,
    partials: Sequence[KeptPartial],
    partial: KeptPartial,
    xids: Collection[UUID],
    *,
    since: datetime,
    until: datetime,
    most: int | None = None,
) -> int:
    """Make what one attribute keeps of identities, from their events within a time, at whose ends buckets begin, beside writers who add some. Return how
    many events these are; if they are more than `most`, one more is read, and nothing is made.

    `partials`: those of all attributes, and `partial` that of this one.

    The transaction holds the shared lock of the facts from before its first statement on. Events are read first and rows locked then, so that
    writers do not wait for the reading: identities that others changed meanwhile, as the journal says, are read once more, with their rows locked.
    """
    asked = scope.sandbox_id, sorted(xids)
    statement, values = partial_statements.making((partial,))
    read: Any = await tx.row(statement, *asked, since, until, most, *values)
    events: int = read["events"]
    if most is not None and events > most:
        return events
    changed = [row["xid"] for row in await tx.rows(EMPTY_CHANGED, *asked, read["snapshot"])]
    if changed:
        statement, values = partial_statements.making_held(
            tuple(each for each in partials if each.seconds == partial.seconds)
        )
        await tx.execute(statement, scope.sandbox_id, changed, since, until, *values)
    return events


def reach(partials: Iterable[KeptPartial], at: datetime) -> tuple[list[int], list[datetime]]:
    """Return the sizes of buckets, and of each when the longest window begins that ends at an instant: older ones are read no more."""
    oldest: dict[int, datetime] = {}
    for each in sorted(partials, key=attrgetter("seconds")):
        since = each.since(at)
        oldest[each.seconds] = min(since, oldest.get(each.seconds, since))
    return list(oldest), list(oldest.values())


def _spans(row: Any) -> bool:
    """Return whether the times of a stored row enclose its events, those of attributes that are switched off by now perhaps among others."""
    return bool(row["stored_first_at"] <= row["first_at"] and row["last_at"] <= row["stored_last_at"])

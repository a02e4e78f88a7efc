"""Removal of selected facts, such as those of a batch, as if they had never been sent.

It goes in pieces, each a transaction that leaves every view right, and in two steps:

1. Beside the writers: resends, and events that were not sent again, where the identity of each keeps another event or a fragment, or belongs
   to somebody with a fragment by ties that stay. They tie nobody, and no person's existence depends on them. One identity comes after the other.
2. Alone, under the exclusive lock: what may part people, or make them vanish. A piece takes as many facts as fit PIECE_SECONDS, at least
   one, and then writers who wait have as long a time.

What is left to do is what is left of the facts, so a removal that is interrupted needs no other memory.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from time import perf_counter
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.ingest.resends import store_successors, take_successors
from gateway.domain.operations.pieces import ExclusivePieces
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import ChangeKind
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import read_known
from gateway.domain.views.graph_union import RetryTransaction, unchanged_people
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import change_of, shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.receipts import DeletionReceipt
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import Query, part, query, template

LOCK_REMOVALS = query("removal.lock_removals")
IS_RESEND_STRAY = query("removal.is_resend_stray")
REMOVE_EVENTS = query("removal.remove_events")
COUNT_REMOVED = query("removal.count_removed")
LIST_REMAINING = template("removal.list_remaining_people")

REMOVAL_PARTS: Final = {
    name: part(f"removal.{name}") for name in ("counted", "gone", "told", "gone_versions", "told_versions", "gone_ties")
}
"""What the statements that remove facts have in common."""

PIECE_SECONDS = 0.1
FIRST_SIZE = 200
MAX_SIZE: Final = 10_000
"""The first and the largest number of facts in a piece."""

VERSIONS_AT_ONCE: Final = 10_000
"""How many record versions one piece removes: of one record, too, which is then folded from those that are left."""

ERRORS_AT_ONCE: Final = 1_000
"""How many refused documents one piece removes."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Facts to be removed: the statements that count, find and remove them, and the `arguments` of all of these after the sandbox.

    `count` returns the numbers of a DeletionReceipt. `remove_errors` is None where refused documents stay.
    `find_identities` tells under which identities there are events; `remove_concurrently` removes those of step 1 under such ones, and returns
    those that it looked at and left. `list_remaining` tells whose person is not made by selected facts alone. `find_records` and `remove_records` are None where no records are selected. `end` is run when
    nothing is left.
    """

    arguments: tuple[Any, ...]
    count: Query
    remove_resends: Query
    find_identities: Query
    remove_concurrently: Query
    list_remaining: Query
    find_events: Query
    find_ties: Query
    remove_ties: Query
    find_records: Query | None = None
    remove_records: Query | None = None
    remove_errors: Query | None = None
    end: Query | None = None


class EventRef(NamedTuple):
    """The key of an event in its sandbox, and the batch that brought it: when that goes, another one may take its place under this key."""

    dataset_id: UUID
    xid: UUID
    event_id: str
    batch_id: UUID


async def remove(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, selection: Selection
) -> None:
    """Remove the selected facts, as the work of a leased job, and end the selection in the transaction that finds nothing left.

    The job keeps its cursor: it may remove several selections, one after another.
    """
    removal = _Removal(db, scope, configurations, job, selection)
    await count(db, scope, job, selection)
    while await removal.remove_errors():
        pass
    while await removal.remove_resends():
        pass
    while not db.is_distributed and await removal.remove_events():  # which locks rows
        pass
    while await removal.remove_rest():
        pass


async def count(db: Database, scope: Scope, job: LeasedJob, selection: Selection) -> None:
    """Count the selected facts that are left, unless the job's total counts them already."""
    async with db.transaction(scope.sandbox_id) as tx:
        left = await preview(tx, scope, selection)
        total = max(job.total or 0, job.done + left.record_versions + left.events)
        await leases.advance(tx, job, job.cursor, done=job.done, total=total, receipt=DeletionReceipt())


async def preview(db: Reader, scope: Scope, selection: Selection) -> DeletionReceipt:
    """Count what would be removed, without removing it. People and identities that would vanish are not counted."""
    found: Any = await db.row(selection.count, scope.sandbox_id, *selection.arguments)
    receipt = DeletionReceipt(**found)
    return receipt if selection.remove_errors else replace(receipt, errors=0)


class _Pace:
    """How many facts a piece takes: as many as fit PIECE_SECONDS by the piece before, at most twice as many as that."""

    def __init__(self) -> None:
        self.size = FIRST_SIZE

    def learn(self, size: int, seconds: float) -> None:
        self.size = max(1, min(int(size * PIECE_SECONDS / seconds), 2 * self.size, MAX_SIZE))


class _Removal:
    """A removal by one worker. Facts of people who vanish whole have a pace of their own: they go many times faster."""

    def __init__(
        self, db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, selection: Selection
    ) -> None:
        self._db, self._scope, self._configurations, self._job = db, scope, configurations, job
        self._selection, self._selected = selection, (scope.sandbox_id, *selection.arguments)
        self._concurrent, self._vanishing, self._remaining = _Pace(), _Pace(), _Pace()
        self._pieces = ExclusivePieces(db, scope, configurations)

    # -------------------------------------------------------------------------------------------- beside the writers

    async def remove_errors(self) -> bool:
        """Remove documents that were refused, which are no facts. Return whether there were some."""
        if self._selection.remove_errors is None:
            return False
        async with self._db.transaction(self._scope.sandbox_id) as tx:
            rows = await tx.rows(self._selection.remove_errors, *self._selected, ERRORS_AT_ONCE)
            if rows:
                await self._advance(tx, 0, Counter(), DeletionReceipt(errors=len(rows)))
            return bool(rows)

    async def remove_resends(self) -> bool:
        """Remove resends: no view tells of them. Return whether there were some."""
        async with self._db.transaction(self._scope.sandbox_id) as tx:
            rows = await tx.rows(self._selection.remove_resends, *self._selected, FIRST_SIZE)
            if rows:
                await self._advance(tx, len(rows), Counter(), DeletionReceipt(events=len(rows)))
            return bool(rows)

    async def remove_events(self) -> bool:
        """Remove the events of step 1 under the next identities, and then, alone, those that are left of them. Return whether there were some.

        Events of one identity go together, so that the journal tells of it once.
        """
        found = await self._db.rows(self._selection.find_identities, *self._selected, MAX_SIZE)
        xids, left, were_some = [row["xid"] for row in found], list[EventRef](), False
        while xids:
            rows, xids = await self._remove_concurrently(xids)
            left += [
                EventRef(row["dataset_id"], row["xid"], event_id, row["batch_id"])
                for row in rows
                for event_id in row["event_ids"] or ()
            ]
            were_some |= bool(rows)
            if len(left) >= MAX_SIZE or not xids:
                await self._remove_left(left)
                left = []
        return were_some

    async def _remove_concurrently(self, xids: list[UUID]) -> tuple[list[Any], list[UUID]]:
        """Remove a piece under the first of these identities. Return what it looked at, and the identities behind, where it was full."""
        size = self._concurrent.size
        while True:
            with suppress(RetryTransaction):  # a writer has just sent one of the events again
                rows, seconds = await self._remove_piece(xids, size)
                break
        if sum(row["gone"] + len(row["event_ids"] or ()) for row in rows) < size:
            return rows, []
        self._concurrent.learn(size, seconds)
        looked_at = {row["xid"] for row in rows}
        return rows, xids[1 + max(place for place, xid in enumerate(xids) if xid in looked_at) :]

    async def _remove_piece(self, xids: Sequence[UUID], size: int) -> tuple[list[Any], float]:
        """Remove a piece of step 1. Return what it looked at, and how many seconds it took. Raises RetryTransaction."""
        async with shared_transaction(self._db, self._scope, self._configurations) as (tx, config):
            await tx.execute(LOCK_REMOVALS, self._scope.sandbox_id)
            begin = perf_counter()
            rows = await tx.rows(self._selection.remove_concurrently, *self._selected, xids, size)
            gone = [row["xid"] for row in rows if row["gone"]]
            if gone:
                if await tx.value(IS_RESEND_STRAY, self._scope.sandbox_id, gone):
                    raise RetryTransaction("an event was sent again")
                change = await change_of(tx, self._scope, config, unchanged_people({}))
                change.event_xids, change.is_removal = set(gone), True
                await refresh(change)
                removed = Counter[UUID]()
                for row in rows:
                    removed[row["batch_id"]] += row["gone"]
                receipt = DeletionReceipt(events=removed.total(), computed_values=change.forgotten_values)
                await self._advance(tx, removed.total(), removed, receipt)
        return rows, perf_counter() - begin

    # -------------------------------------------------------------------------------------------- alone

    async def _remove_left(self, refs: Sequence[EventRef]) -> None:
        """Remove these events, those of people who vanish whole first."""
        if not refs:
            return
        xids = sorted({ref.xid for ref in refs})
        rows = await self._db.rows(self._selection.list_remaining, self._selected[0], xids, *self._selected[1:])
        remaining = {row["xid"] for row in rows}
        await self._remove_events([ref for ref in refs if ref.xid not in remaining], self._vanishing)
        await self._remove_events([ref for ref in refs if ref.xid in remaining], self._remaining)

    async def _remove_events(self, refs: Sequence[EventRef], pace: _Pace) -> None:
        while refs:
            piece, refs = refs[: pace.size], refs[pace.size :]
            async with self._exclusively(pace, len(piece)) as change:
                await self._remove(change, piece, ())

    async def remove_rest(self) -> bool:
        """Remove some of whatever is left, or end the selection where nothing is. Return whether something was."""
        selection, size = self._selection, self._remaining.size
        async with self._exclusively(self._remaining, size) as change:
            if rows := await change.tx.rows(selection.find_events, *self._selected, size):
                await self._remove(change, [EventRef(*row) for row in rows], ())
                return True
            for find in filter(None, (selection.find_records, selection.find_ties)):
                if rows := await change.tx.rows(find, *self._selected, size):
                    await self._remove(change, (), [row["xid"] for row in rows])
                    return True
            if rows := await change.tx.rows(selection.remove_resends, *self._selected, size):
                # They were events, and were counted as removed when each came to repeat the successor of one that went.
                await self._advance(change.tx, 0, Counter(), DeletionReceipt(events=len(rows)))
                return True
            await leases.advance(change.tx, self._job, self._job.cursor, done=self._job.done)
            if selection.end is not None:
                await change.tx.execute(selection.end, *self._selected)
            return False

    @asynccontextmanager
    async def _exclusively(self, pace: _Pace, size: int) -> AsyncIterator[FactChange]:
        """Open a piece of this size under the exclusive lock, and let the pace learn from it."""
        async with self._pieces.next() as change:
            yield change
        pace.learn(size, self._pieces.seconds)

    async def _remove(self, change: FactChange, refs: Sequence[EventRef], xids: Sequence[UUID]) -> None:
        """Remove these events, the selected record versions under these identities, and the selected ties that documents of both made."""
        tx, origins = change.tx, sorted({*xids, *(ref.xid for ref in refs)})
        versions: Sequence[Any] = ()
        events, removed = await self._remove_and_succeed(change, refs)
        if xids and self._selection.remove_records is not None:
            await read_known(change, origins)
            limit = VERSIONS_AT_ONCE
            versions = await tx.rows(self._selection.remove_records, *self._selected, origins, limit)
            for row in versions:
                removed[row["batch_id"]] += row["count"]
            change.refolded = {(row["xid"], row["dataset_id"]) for row in versions}
        tied = await tx.rows(self._selection.remove_ties, *self._selected, origins)
        change.seeds = {*origins, *change.event_xids, *(row["xid"] for row in tied)}
        change.recount = True
        effects = await refresh(change)
        receipt = DeletionReceipt(
            record_versions=sum(row["count"] for row in versions),
            events=events,
            ties=sum(row["is_of_origin"] for row in tied),
            identities=change.dropped,
            computed_values=change.forgotten_values,
            profiles=sum(person.kind is ChangeKind.DELETED for person in effects.people.values()),
        )
        facts = sum(max(n, 0) for n in removed.values())
        await self._advance(tx, facts, removed, receipt, profiles=len(effects.people))

    async def _remove_and_succeed(self, change: FactChange, refs: Sequence[EventRef]) -> tuple[int, Counter[UUID]]:
        """Remove these events, and put the first resends of each in its place. Return how many went, and how many fewer each batch has now."""
        tx, scope, events, removed = change.tx, change.scope, 0, Counter[UUID]()
        for dataset_id, of_dataset in groupby(sorted(refs), attrgetter("dataset_id")):
            keys = [ref[1:] for ref in of_dataset]
            successors = await take_successors(tx, scope, dataset_id, keys)
            rows = await tx.rows(REMOVE_EVENTS, scope.sandbox_id, dataset_id, *map(list, zip(*keys, strict=True)))
            events += len(rows)
            removed.update(row["batch_id"] for row in rows)
            change.event_xids.update(row["xid"] for row in rows)
            if successors:
                moved, gained = await store_successors(tx, scope, change.config, dataset_id, successors)
                change.event_xids |= moved
                removed.subtract(gained)
        return events, removed

    async def _advance(
        self, tx: Session, facts: int, removed: Counter[UUID], receipt: DeletionReceipt, *, profiles: int = 0
    ) -> None:
        done = self._job.done + facts
        await note_removed(tx, self._job, removed, receipt, done=done, records=facts, profiles=profiles)


async def note_removed(
    tx: Session,
    job: LeasedJob,
    removed: Counter[UUID],
    receipt: DeletionReceipt,
    *,
    done: int,
    records: int,
    profiles: int,
) -> None:
    """Note what a piece removed: in the job with its receipt, then in the counts of batches. A call that cancels the job locks in this order, too.

    `removed`: how many fewer facts each batch has now. `done`, `records` and `profiles` are those of `leases.advance`, which says what is raised.
    """
    await leases.advance(tx, job, job.cursor, done=done, records=records, profiles=profiles, receipt=receipt)
    await count_removed(tx, job, removed)


async def count_removed(tx: Session, job: LeasedJob, removed: Counter[UUID]) -> None:
    """Subtract from the counts of batches how many fewer facts each has now."""
    await tx.update_rows(COUNT_REMOVED, job.sandbox_id, rows=sorted(removed.items()))

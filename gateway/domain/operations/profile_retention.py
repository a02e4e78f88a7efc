"""Retention of pseudonymous people: a recurring job removes them when no record or event of theirs came in for some days.

Pseudonymous is a person all of whose identities are of the namespaces that `pseudonymous_expiry` of the sandbox lists.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.pieces import ExclusivePieces
from gateway.domain.operations.removal import note_removed
from gateway.domain.reading.people import COUNT
from gateway.domain.rules.scope import Scope
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import read_known
from gateway.domain.views.pipeline import refresh
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.receipts import DeletionReceipt
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import part, query, template

LIST_GRAPHS = query("graph_rebuild.list_graphs")
READ_EXPIRY = query("profile_retention.read_expiry")
LIST_EXPIRED = query("profile_retention.list_expired")
REMOVE_RESENDS = query("profile_retention.remove_resends")
REMOVE_EVENTS = query("profile_retention.remove_events")
REMOVE_RECORDS = query("profile_retention.remove_records")
REMOVE_TIES = template("profile_retention.remove_ties").filled(gone_ties=part("removal.gone_ties"))

PEOPLE_PER_LOOK: Final = 1_000
"""Of how many people the job asks at once who has expired."""

PEOPLE_PER_PIECE: Final = 50
"""How many people one piece removes, while writers of the sandbox wait."""


async def expire_profiles(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Remove the sandbox's pseudonymous people without a new record or event for the days of its expiry: a job, in pieces.

    Each of them goes whole, with every record and event under their identities, in one transaction that sees that nothing came in
    meanwhile. In a sandbox without an expiry it reads nobody.
    """
    pieces = ExclusivePieces(db, scope, configurations)
    while (expiry := await db.row(READ_EXPIRY, scope.sandbox_id)) is not None:
        after = UUID(job.cursor) if job.cursor else NIL
        rows = await db.rows(LIST_GRAPHS, scope.sandbox_id, after, PEOPLE_PER_LOOK)
        if not rows:
            return
        seen = [row["profile_id"] for row in rows]
        expired = [row["profile_id"] for row in await db.rows(LIST_EXPIRED, scope.sandbox_id, *expiry, seen)]
        done = job.done + len(seen)
        for start in range(0, len(expired), PEOPLE_PER_PIECE):
            await _remove(pieces, job, expired[start : start + PEOPLE_PER_PIECE])
        async with db.transaction(scope.sandbox_id) as tx:
            total = job.total or await tx.value(COUNT, scope.sandbox_id) + job.done  # those left, and those removed
            await leases.advance(tx, job, str(seen[-1]), done=done, total=max(done, total))


async def _remove(pieces: ExclusivePieces, job: LeasedJob, profile_ids: Sequence[UUID]) -> None:
    """Remove those of these people who have expired."""
    async with pieces.next() as change:
        tx, sandbox_id = change.tx, change.scope.sandbox_id
        expiry = await tx.row(READ_EXPIRY, sandbox_id)
        rows = expiry and await tx.rows(LIST_EXPIRED, sandbox_id, *expiry, profile_ids)
        removed, receipt = await _remove_facts(change, sorted({xid for row in rows or () for xid in row["xids"]}))
        people, facts = len((await refresh(change)).people), removed.total()
        receipt = replace(receipt, identities=change.dropped, profiles=people, computed_values=change.forgotten_values)
        await note_removed(tx, job, removed, receipt, done=job.done + people, records=facts, profiles=people)


async def _remove_facts(change: FactChange, xids: Sequence[UUID]) -> tuple[Counter[UUID], DeletionReceipt]:
    """Remove all facts under these identities. Return how many records and events each batch has lost, and the receipt of what went."""
    tx, sandbox_id = change.tx, change.scope.sandbox_id
    await read_known(change, xids)
    resends = await tx.rows(REMOVE_RESENDS, sandbox_id, xids)
    events: list[Any] = await tx.rows(REMOVE_EVENTS, sandbox_id, xids)
    records: list[Any] = await tx.rows(REMOVE_RECORDS, sandbox_id, xids)
    tied = await tx.rows(REMOVE_TIES, sandbox_id, xids)
    change.event_xids = {row["xid"] for row in events}
    change.refolded = {(row["xid"], row["dataset_id"]) for row in records}
    change.seeds = {*xids, *(row["xid"] for row in tied)}
    change.recount = True
    removed = Counter[UUID]()
    for row in (*events, *records):
        removed[row["batch_id"]] += row["count"]
    return removed, DeletionReceipt(
        record_versions=sum(row["count"] for row in records),
        events=len(resends) + sum(row["count"] for row in events),
        ties=sum(row["is_of_origin"] for row in tied),
    )

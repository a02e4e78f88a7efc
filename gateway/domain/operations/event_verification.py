"""Verification of events: facts that no view holds, which are stored once among the identities that they name."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson

from gateway.domain.ingest.resends import FIND_EVENTS, FIND_EVENTS_OF_CLUSTER
from gateway.domain.ingest.validation import Reader
from gateway.domain.views.check import Check, Piece
from gateway.storage.queries import query

COUNT_EVENTS = query("verification.count_events")
READ_TIES = query("verification.read_ties")
LIST_DUPLICATE_EVENTS = query("verification.list_duplicate_events")
LIST_STRAY_RESENDS = query("verification.list_stray_resends")


async def verify_events(check: Check, piece: Piece) -> None:
    """Find events that are stored under another identity of the component, too, and resends of no stored event."""
    tx, sandbox_id = check.tx, check.scope.sandbox_id
    check.compared["events"] += await tx.value(COUNT_EVENTS, sandbox_id, piece.xids)
    for duplicates in await tx.rows(LIST_DUPLICATE_EVENTS, sandbox_id, list(piece.component.members)):
        for xid, first in await _duplicates(check, *duplicates):
            if xid in piece.xids:
                key = (xid, duplicates["dataset_id"], duplicates["event_id"])
                check.differs("event", key, f"repeats the event of {first}")
    for stray in await tx.rows(LIST_STRAY_RESENDS, sandbox_id, piece.xids):
        check.differs("event_resend", tuple(stray), "repeats no event that it names")


async def _duplicates(
    check: Check, dataset_id: UUID, event_id: str, xids: Sequence[UUID], times: Sequence[datetime]
) -> list[tuple[UUID, UUID]]:
    """List pairs of identities with an event of this `_id`, where the event of the first names the second, which had it earlier.

    Of two that came in one call, the one that names the other may have stood before it.
    """
    keys = list(xids), [event_id] * len(xids)
    find = FIND_EVENTS_OF_CLUSTER if check.tx.is_distributed else FIND_EVENTS
    rows = await check.tx.rows(find, check.scope.sandbox_id, dataset_id, *keys)
    reader = Reader(check.config, check.scope.sandbox, check.config.dataset(dataset_id))
    named = {row["xid"]: reader.named(orjson.loads(row["document"])) for row in rows}
    return [
        (xid, first)
        for place, xid in enumerate(xids)
        for first in named[xid].intersection(xids[: bisect_left(times, times[place])])
        if await _did_name(check, dataset_id, xid, first)
    ]


async def _did_name(check: Check, dataset_id: UUID, origin: UUID, xid: UUID) -> bool:
    """Tell whether an event of `origin` named `xid` when it was ingested: the schema may have more descriptors now."""
    ties = await check.tx.rows(READ_TIES, check.scope.sandbox_id, [xid])
    return any((tie["origin"], tie["dataset_id"]) == (origin, dataset_id) for tie in ties)

"""Events, and resends: events that clients send again.

An event is stored under its primary identity; settings, descriptors or marks may choose another one when a client sends it again. So an
event is a resend if it has the dataset and `_id` of a stored one and names the identity under which that is stored, as its primary identity
or as any other. Reads return the first event only. Resends of other batches, or under other identities, are stored beside it, and the first of
them succeeds it when its batch is removed, or the person under whose identity it is stored is erased.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.appending import IngestStamp
from gateway.domain.facts.documents import DocumentProblem, ValidDocument, event_type_of, warning
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.scope import Scope
from gateway.errors import ConstraintViolated
from gateway.storage.database import Session
from gateway.storage.queries import Query, part, query, template
from gateway.xdm.violations import Violation, ViolationCode

LOCK_EVENTS = query("resends.lock_events")
FIND_EVENTS = template("resends.find_events").filled(held="")
FIND_EVENTS_OF_CLUSTER = query("resends.find_events_of_cluster")
HOLD_EVENTS = template("resends.find_events").filled(held=part("resends.held"))
APPEND_RESENDS = query("resends.append_resends")
TAKE_SUCCESSORS = query("resends.take_successors")
FIND_NAMING_EVENTS = query("resends.find_naming_events")
TAKE_EVENTS = query("resends.take_events")

EVENT_COLUMNS = (
    *("sandbox_id", "xid", "dataset_id", "event_id", "batch_id", "timestamp", "event_type", "document", "ingested_at"),
)

LOCKS_PER_DATASET = 32
"""How many advisory locks the events of a dataset share, by a hash of their `_id`.

A call may hold all of them at once. Postgres by default has room for 64 locks in each transaction.
"""

EventKey = tuple[UUID, str]
"""The xid under which an event is stored, and its `_id`."""


class EventPosition(NamedTuple):
    """When an event arrived; the smallest position is the first. `ordinal` is -1 for rows of `event`, which do not store it."""

    ingested_at: datetime
    batch_id: UUID
    ordinal: int


class SentEvent(NamedTuple):
    """An event as a client sent it. `text` is its document as JSON, and `body` the same, parsed.

    `origin` is its primary identity, under which it is stored if it is new; `named` are the xids of all its identities. `is_redacted`: it does
    not say any more what it said of erased identities.
    """

    origin: UUID
    event_id: str
    named: Sequence[UUID]
    position: EventPosition
    timestamp: datetime
    text: str
    body: Any
    is_redacted: bool = False


class StoredEvent(NamedTuple):
    """The event that reads return for an EventKey: the xid under which it is stored, when it arrived, and its document.

    One that `is_redacted` takes any resend as equal: another document may say what must not come back.
    """

    xid: UUID
    position: EventPosition
    body: Any
    is_redacted: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """The outcome of a call: the new events, their xids, the number of resends, and a warning for each resend with another document."""

    new: Sequence[ValidDocument]
    xids: set[UUID]
    resent: int
    differing: list[DocumentProblem]


async def lock_events(
    tx: Session, scope: Scope, dataset_id: UUID, documents: Iterable[ValidDocument], newcomers: Collection[UUID]
) -> None:
    """Lock these events, where other writers may write meanwhile: nobody stores one of them under another identity at the same time.

    To be called before the stamp of the call is read, so that events are stored in the order of their times. Two sendings of an event with
    different primary identities have different keys, so no unique index stops the second. One that is looked for under other known
    identities takes an exclusive lock, any other a shared one; and none if nobody else knows what it names, by `newcomers`.
    """
    base = dataset_id.int & 0x7FFF_FFFF_FFFF_FF00
    keys: dict[int, bool] = {}
    for document in documents:
        known = {named.xid for named in document.identities if named.xid not in newcomers}
        if known:
            key = base + crc32(document.body["_id"].encode()) % LOCKS_PER_DATASET
            keys[key] = keys.get(key, False) or known != {document.xid}
    if keys:
        ordered = sorted(keys)
        await tx.execute(LOCK_EVENTS, scope.sandbox_id, ordered, [keys[key] for key in ordered])


async def append_events(
    tx: Session, stamp: IngestStamp, documents: Sequence[ValidDocument], newcomers: Collection[UUID]
) -> Appended:
    """Append the new ones of these events, and store the resends beside the events that they repeat.

    `newcomers`: xids that this transaction made known, so no event is stored under them. Stored events are looked for under other identities
    than the primary one. Under that they are looked for only if one was found, or once copying has failed, since most calls bring new events only. Raises
    ConstraintViolated if a concurrent writer stored one of the events meanwhile.
    """
    several = [document for document in documents if len(document.identities) > 1]
    others = [
        (n.xid, d.body["_id"]) for d in several for n in d.identities if n.xid != d.xid and n.xid not in newcomers
    ]
    known = await _find(tx, stamp.scope, stamp.dataset_id, others)
    if known:  # rare: one may also be stored under its primary identity, and be the first
        known |= await _find(tx, stamp.scope, stamp.dataset_id, [(d.xid, d.body["_id"]) for d in several])
    new, resends = _split_documents(stamp, documents, known)
    try:
        async with tx.savepoint():
            await _copy(tx, stamp, new)
    except ConstraintViolated:
        known |= await _find(tx, stamp.scope, stamp.dataset_id, [(d.xid, d.body["_id"]) for d in documents])
        new, resends = _split_documents(stamp, documents, known)
        await _copy(tx, stamp, new)
    await _append_resends(tx, stamp.scope, stamp.dataset_id, resends)
    differing = {event.position.ordinal for event, first in resends if event.body != first.body}
    warnings = [_differing(document) for document in documents if stamp.ordinal(document.position) in differing]
    return Appended(new, {document.xid for document in new}, len(resends), warnings)


async def _find(
    tx: Session, scope: Scope, dataset_id: UUID, keys: Sequence[EventKey], statement: Query = HOLD_EVENTS
) -> dict[EventKey, StoredEvent]:
    if not keys:
        return {}
    statement = FIND_EVENTS_OF_CLUSTER if tx.is_distributed else statement
    rows = await tx.rows(statement, scope.sandbox_id, dataset_id, *map(list, zip(*keys, strict=True)))
    return {
        (row["xid"], row["event_id"]): StoredEvent(
            row["xid"],
            EventPosition(row["ingested_at"], row["batch_id"], -1),
            orjson.loads(row["document"]),
            row["is_redacted"],
        )
        for row in rows
    }


def _split_documents(
    stamp: IngestStamp, documents: Sequence[ValidDocument], known: Mapping[EventKey, StoredEvent]
) -> tuple[Sequence[ValidDocument], list[tuple[SentEvent, StoredEvent]]]:
    """Split documents into new events and resends, as `split_resends` does. What a resend of a redacted event says is left out."""
    if not known and len({document.body["_id"] for document in documents}) == len(documents):
        return documents, []
    resends, new = split_resends((_event_of(stamp, document) for document in documents), known)
    ordinals = {event.position.ordinal for event in new}
    repeated = [(event._replace(body=first.body) if first.is_redacted else event, first) for event, first in resends]
    return [document for document in documents if stamp.ordinal(document.position) in ordinals], repeated


def split_resends(
    events: Iterable[SentEvent], known: Mapping[EventKey, StoredEvent]
) -> tuple[list[tuple[SentEvent, StoredEvent]], list[SentEvent]]:
    """Split events, in order, into resends, each with the stored or earlier event that it repeats, and new events.

    An event that could repeat several repeats the one that arrived first.
    """
    stored = dict(known)
    resends, new = list[tuple[SentEvent, StoredEvent]](), list[SentEvent]()
    for event in events:
        found = [stored[key] for xid in event.named if (key := (xid, event.event_id)) in stored]
        if found:
            resends.append((event, min(found, key=lambda first: first.position)))
        else:
            new.append(event)
            stored[event.origin, event.event_id] = StoredEvent(
                event.origin, event.position, event.body, event.is_redacted
            )
    return resends, new


async def _copy(tx: Session, stamp: IngestStamp, documents: Iterable[ValidDocument]) -> None:
    sandbox_id, dataset_id, batch_id = stamp.scope.sandbox_id, stamp.dataset_id, stamp.batch_id
    time_of, at = stamp.time_of, stamp.at
    rows = [
        (sandbox_id, d.xid, dataset_id, d.body["_id"], batch_id, time_of(d), d.body.get("eventType"), d.text, at)
        for d in documents
    ]
    await tx.copy("event", EVENT_COLUMNS, rows)


def _event_of(stamp: IngestStamp, document: ValidDocument) -> SentEvent:
    return SentEvent(
        origin=document.xid,
        event_id=document.body["_id"],
        named=[named.xid for named in document.identities],
        position=EventPosition(stamp.at, stamp.batch_id, stamp.ordinal(document.position)),
        timestamp=stamp.time_of(document),
        text=document.text,
        body=document.body,
    )


async def _append_resends(
    tx: Session, scope: Scope, dataset_id: UUID, resends: Iterable[tuple[SentEvent, StoredEvent]]
) -> None:
    """Append resends, except those of the batch and the primary identity of the first event: they are removed with it."""
    rows = {
        (first.xid, event.event_id, event.position.batch_id, event.origin): (
            *(first.xid, event.event_id, event.position.batch_id, event.position.ingested_at, event.position.ordinal),
            *(event.origin, list(event.named), event.timestamp),
            *((event.text, event.is_redacted) if event.body != first.body else (None, False)),
        )
        for event, first in reversed(list(resends))
        if (event.position.batch_id, event.origin) != (first.position.batch_id, first.xid)
    }
    await tx.update_rows(APPEND_RESENDS, scope.sandbox_id, dataset_id, rows=[rows[key] for key in sorted(rows)])


def _differing(document: ValidDocument) -> DocumentProblem:
    message = "An event with this _id says something else already; it stays as it is. Use a new _id for a new event."
    return warning(document, Violation("$._id", ViolationCode.EVENT_DIFFERS, message))


# ------------------------------------------------------------------------------------------------ removal


async def take_successors(
    tx: Session, scope: Scope, dataset_id: UUID, keys: Sequence[tuple[UUID, str, UUID]]
) -> list[SentEvent]:
    """Delete and return the resends of events, each with the batch that brought it, the earliest first. To be called before the events are removed."""
    rows = await tx.rows(TAKE_SUCCESSORS, scope.sandbox_id, dataset_id, *map(list, zip(*keys, strict=True)))
    return sorted(map(_sent_event, rows), key=lambda event: event.position)


def _taken(row: Any, reader: Reader) -> SentEvent:
    """Make a SentEvent of a deleted row. Rows of events lack the identities named: read them by today's rules, and add the origin."""
    taken = _sent_event(row)
    return taken if taken.named else taken._replace(named=[taken.origin, *reader.named(taken.body) - {taken.origin}])


def _sent_event(row: Any) -> SentEvent:
    return SentEvent(
        origin=row["origin"],
        event_id=row["event_id"],
        named=row["named_xids"] or (),
        position=EventPosition(row["ingested_at"], row["batch_id"], row["ordinal"]),
        timestamp=row["timestamp"],
        text=row["document"],
        body=orjson.loads(row["document"]),
        is_redacted=row["is_redacted"],
    )


async def store_successors(
    tx: Session, scope: Scope, config: Configuration, dataset_id: UUID, events: list[SentEvent]
) -> tuple[set[UUID], Counter[UUID]]:
    """Store what `take_successors` returned for a dataset, as if the events removed since then had never arrived.

    Each becomes an event again, or a resend of an earlier one. A stored event that arrived after a new event, and repeats it, becomes
    a resend of it. Return the xids under which events were added or removed, and how many events each batch has gained. Needs the
    exclusive lock of the sandbox's facts.
    """
    reader = Reader(config, scope.sandbox, config.dataset(dataset_id))
    concerned, gained = set[UUID](), Counter[UUID]()
    while True:
        keys = {(xid, event.event_id) for event in events for xid in event.named}
        known = await _find(tx, scope, dataset_id, list(keys), FIND_EVENTS)
        resends, new = split_resends(events, known)
        later = {(first.xid, e.event_id) for e, first in resends if first.position > e.position}
        later |= await _naming_events(tx, scope, reader, dataset_id, new)
        concerned |= {event.origin for event in new} | {xid for xid, _ in later}
        if not later:
            break
        taken = await tx.rows(TAKE_EVENTS, scope.sandbox_id, dataset_id, *map(list, zip(*later, strict=True)))
        gained.subtract(row["batch_id"] for row in taken if row["ordinal"] < 0)  # those that were events, not resends
        events = sorted([*events, *(_taken(row, reader) for row in taken)], key=lambda event: event.position)
    rows = [
        (
            *(scope.sandbox_id, event.origin, dataset_id, event.event_id, event.position.batch_id),
            *(event.timestamp, event_type_of(event.body), event.text, event.position.ingested_at, event.is_redacted),
        )
        for event in new
    ]
    await tx.copy("event", (*EVENT_COLUMNS, "is_redacted"), rows)
    await _append_resends(tx, scope, dataset_id, resends)
    gained.update(event.position.batch_id for event in new)
    return concerned, gained


async def _naming_events(
    tx: Session, scope: Scope, reader: Reader, dataset_id: UUID, new: Sequence[SentEvent]
) -> set[EventKey]:
    """Find stored events that arrived after one of these, have its `_id`, and name its origin. Return their keys."""
    if not new:
        return set()
    positions = {(event.origin, event.event_id): event.position for event in new}
    rows = await tx.rows(FIND_NAMING_EVENTS, scope.sandbox_id, dataset_id, *map(list, zip(*positions, strict=True)))
    return {
        (row["xid"], row["event_id"])
        for row in rows
        if EventPosition(row["ingested_at"], row["batch_id"], -1) > positions[row["named"], row["event_id"]]
        and row["named"] in reader.named(orjson.loads(row["document"]))
    }

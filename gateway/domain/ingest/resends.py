"""Events that come in, and those of them that were sent before.

An event is stored under one of its identities, and a later one of its `_id` and dataset that names this identity repeats it. So a call looks
for it under every identity that the document names, whichever of them is the primary one by today's settings, descriptors or marks. The
first body is told; a later one is kept beside
it, and takes its place when the batch of the first one goes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.appending import IngestStamp
from gateway.domain.facts.documents import DocumentProblem, ValidDocument
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.scope import Scope
from gateway.domain.views.graph_union import canonical_order
from gateway.errors import ConstraintViolated
from gateway.storage.database import Session
from gateway.storage.queries import query

LOCK_EVENTS = query("resends.lock_events")
KNOWN_EVENTS = query("resends.known_events")
REPEAT_EVENTS = query("resends.repeat_events")
TAKE_HEIRS = query("resends.take_heirs")
NAMING_EVENTS = query("resends.naming_events")
TAKE_EVENTS = query("resends.take_events")

EVENT_COLUMNS = (
    *("sandbox_id", "xid", "dataset_id", "event_id", "batch_id", "timestamp", "event_type", "document", "ingested_at"),
)

LOCKS = 32
"""Into how many locks the `_id`s of a dataset fall. A call holds at most all of them, and Postgres has room for 64 locks a transaction."""

EventKey = tuple[UUID, str]
"""The identity under which an event is stored, and the sender's id of it."""


class Place(NamedTuple):
    """When an event came in; of one `_id` the least place is told."""

    ingested_at: datetime
    batch_id: UUID
    ordinal: int


class Sending(NamedTuple):
    """One sending of an event: its key if it is the first, every identity that it names, when it came, and what it says."""

    origin: UUID
    event_id: str
    named: Sequence[UUID]
    place: Place
    timestamp: datetime
    text: str
    body: Any


class Known(NamedTuple):
    """An event that is told: where it is stored, when it came in, and what it says."""

    xid: UUID
    place: Place
    body: Any


@dataclass(frozen=True, slots=True)
class Appended:
    """How many events were new, how many were there, and those of the latter that say something else now."""

    added: int
    repeated: int
    differing: list[DocumentProblem]


async def append_events(
    tx: Session, call: IngestStamp, sent: Sequence[ValidDocument], newcomers: Collection[UUID], *, beside: bool
) -> Appended:
    """Append the events that are new. Of the others the first body stays, and what this batch sent is noted beside it.

    `newcomers`: identities that this transaction made known, which no event has. `beside`: others write to the sandbox, too.
    Most calls bring nothing but new events, so they are appended first, and looked for under their own identity only where one was there.
    Raises ConstraintViolated when a concurrent writer appended one meanwhile.
    """
    several = [document for document in sent if len(document.identities) > 1]
    if beside:
        await _lock(tx, call, [d for d in several if not any(named.xid in newcomers for named in d.identities)])
    others = [
        (n.xid, d.body["_id"]) for d in several for n in d.identities if n.xid != d.xid and n.xid not in newcomers
    ]
    known = await _known(tx, call.scope, call.dataset_id, others)
    if known:  # rare: then whichever came first is the known one, be it under a document's own identity
        known |= await _known(tx, call.scope, call.dataset_id, [(d.xid, d.body["_id"]) for d in several])
    new, repeats = _sorted_out(call, sent, known)
    try:
        async with tx.savepoint():
            await _copy(tx, call, new)
    except ConstraintViolated:
        known |= await _known(tx, call.scope, call.dataset_id, [(d.xid, d.body["_id"]) for d in sent])
        new, repeats = _sorted_out(call, sent, known)
        await _copy(tx, call, new)
    await _write_repeats(tx, call.scope, call.dataset_id, repeats)
    differing = {sending.place.ordinal for sending, first in repeats if sending.body != first.body}
    warnings = [_differing(document) for document in sent if call.ordinal(document.position) in differing]
    return Appended(len(new), len(repeats), warnings)


async def _lock(tx: Session, call: IngestStamp, several: Iterable[ValidDocument]) -> None:
    """Keep others from storing one of these events under another of its identities at the same moment.

    Two sendings with the same identities and different primary ones have no key in common that would stop the later one. At most one of
    them has the primary identity that comes first in canonical order; the others must be alone, and such as have it need not.
    """
    base = call.dataset_id.int & 0x7FFF_FFFF_FFFF_FF00
    keys: dict[int, bool] = {}
    for document in several:
        key = base + crc32(document.body["_id"].encode()) % LOCKS
        is_alone = min(document.identities, key=canonical_order).xid != document.xid
        keys[key] = keys.get(key, False) or is_alone
    if keys:
        ordered = sorted(keys)
        await tx.execute(LOCK_EVENTS, call.scope.sandbox_id, ordered, [keys[key] for key in ordered])


async def _known(tx: Session, scope: Scope, dataset_id: UUID, keys: Sequence[EventKey]) -> dict[EventKey, Known]:
    """The events under these keys that are there."""
    if not keys:
        return {}
    given = zip(*keys, strict=True)
    rows = await tx.rows(KNOWN_EVENTS, scope.sandbox_id, dataset_id, *map(list, given))
    return {
        (row["xid"], row["event_id"]): Known(
            row["xid"], Place(row["ingested_at"], row["batch_id"], -1), orjson.loads(row["document"])
        )
        for row in rows
    }


def _sorted_out(
    call: IngestStamp, sent: Sequence[ValidDocument], known: Mapping[EventKey, Known]
) -> tuple[Sequence[ValidDocument], list[tuple[Sending, Known]]]:
    """Which of these documents are new, and which repeat what is known or came before them."""
    if not known and len({document.body["_id"] for document in sent}) == len(sent):
        return sent, []
    repeats, new = sorted_out((_sending(call, document) for document in sent), known)
    ordinals = {sending.place.ordinal for sending in new}
    return [document for document in sent if call.ordinal(document.position) in ordinals], repeats


def sorted_out(
    sendings: Iterable[Sending], known: Mapping[EventKey, Known]
) -> tuple[list[tuple[Sending, Known]], list[Sending]]:
    """Which of these, in this order, repeat what is known or came before them, each with that; and which are new.

    Of several events that one could repeat, the earliest.
    """
    told = dict(known)
    repeats, new = list[tuple[Sending, Known]](), list[Sending]()
    for sending in sendings:
        found = [told[key] for xid in sending.named if (key := (xid, sending.event_id)) in told]
        if found:
            repeats.append((sending, min(found, key=lambda first: first.place)))
        else:
            new.append(sending)
            told[sending.origin, sending.event_id] = Known(sending.origin, sending.place, sending.body)
    return repeats, new


async def _copy(tx: Session, call: IngestStamp, sent: Iterable[ValidDocument]) -> None:
    sandbox_id, dataset_id, batch_id, time_of, at = (
        *(call.scope.sandbox_id, call.dataset_id, call.batch_id, call.time_of, call.at),
    )
    rows = [
        (sandbox_id, d.xid, dataset_id, d.body["_id"], batch_id, time_of(d), d.body.get("eventType"), d.text, at)
        for d in sent
    ]
    await tx.copy("event", EVENT_COLUMNS, rows)


def _sending(call: IngestStamp, document: ValidDocument) -> Sending:
    return Sending(
        origin=document.xid,
        event_id=document.body["_id"],
        named=[named.xid for named in document.identities],
        place=Place(call.at, call.batch_id, call.ordinal(document.position)),
        timestamp=call.time_of(document),
        text=document.text,
        body=document.body,
    )


async def _write_repeats(tx: Session, scope: Scope, dataset_id: UUID, repeats: Iterable[tuple[Sending, Known]]) -> None:
    """Note the repeats, but for those that leave with the batch of the first body."""
    rows = {
        (first.xid, sending.event_id, sending.place.batch_id, sending.origin): (
            *(first.xid, sending.event_id, sending.place.batch_id, sending.place.ingested_at, sending.place.ordinal),
            *(sending.origin, list(sending.named), sending.timestamp),
            sending.text if sending.body != first.body else None,
        )
        for sending, first in reversed(list(repeats))
        if sending.place.batch_id != first.place.batch_id
    }
    await tx.update_rows(REPEAT_EVENTS, scope.sandbox_id, dataset_id, rows=[rows[key] for key in sorted(rows)])


def _differing(document: ValidDocument) -> DocumentProblem:
    message = "An event with this _id says something else already; it stays as it is. Use a new _id for a new event."
    return DocumentProblem(document.position, "$._id", "EVENT_DIFFERS", message, document.body)


# ------------------------------------------------------------------------------------------------ removal


class Heirs(NamedTuple):
    """What was sent again of events that go: all of one dataset."""

    dataset_id: UUID
    sendings: list[Sending]


async def take_heirs(tx: Session, scope: Scope, batch_id: UUID, xids: Collection[UUID]) -> Heirs | None:
    """What other batches sent again of the batch's events under these identities, taken out of the store; None if they sent nothing."""
    rows = await tx.rows(TAKE_HEIRS, scope.sandbox_id, batch_id, xids)
    if not rows:
        return None
    return Heirs(rows[0]["dataset_id"], sorted(map(_heir, rows), key=lambda sending: sending.place))


def _taken(row: Any, reader: Reader) -> Sending:
    """An event that was stored names what it names by today's rules, and the identity that it was stored under."""
    taken = _heir(row)
    return taken if taken.named else taken._replace(named=[taken.origin, *reader.named(taken.body) - {taken.origin}])


def _heir(row: Any) -> Sending:
    return Sending(
        origin=row["origin"],
        event_id=row["event_id"],
        named=row["named_xids"] or (),
        place=Place(row["ingested_at"], row["batch_id"], row["ordinal"]),
        timestamp=row["timestamp"],
        text=row["document"],
        body=orjson.loads(row["document"]),
    )


async def tell_heirs(tx: Session, scope: Scope, config: Configuration, heirs: Heirs) -> set[UUID]:
    """Store these sendings as if those before them had never come; the identities under which events come or go by that.

    What came later and repeats one of them now was stored as long as that was none: it is noted beside it.
    The caller has the sandbox's facts to itself.
    """
    reader = Reader(config, scope.sandbox, config.dataset(heirs.dataset_id))
    sendings, concerned = heirs.sendings, set[UUID]()
    while True:
        keys = {(xid, sending.event_id) for sending in sendings for xid in sending.named}
        known = await _known(tx, scope, heirs.dataset_id, list(keys))
        repeats, new = sorted_out(sendings, known)
        later = {(first.xid, s.event_id) for s, first in repeats if first.place > s.place}
        later |= await _naming(tx, scope, reader, heirs.dataset_id, new)
        concerned |= {sending.origin for sending in new} | {xid for xid, _ in later}
        if not later:
            break
        taken = await tx.rows(TAKE_EVENTS, scope.sandbox_id, heirs.dataset_id, *map(list, zip(*later, strict=True)))
        sendings = sorted([*sendings, *(_taken(row, reader) for row in taken)], key=lambda sending: sending.place)
    rows = [
        (
            *(scope.sandbox_id, sending.origin, heirs.dataset_id, sending.event_id, sending.place.batch_id),
            *(sending.timestamp, sending.body.get("eventType"), sending.text, sending.place.ingested_at),
        )
        for sending in new
    ]
    await tx.copy("event", EVENT_COLUMNS, rows)
    await _write_repeats(tx, scope, heirs.dataset_id, repeats)
    return concerned


async def _naming(tx: Session, scope: Scope, reader: Reader, dataset_id: UUID, new: Sequence[Sending]) -> set[EventKey]:
    """The events that are stored, came later than these, and name the identity of one of them with its `_id`."""
    if not new:
        return set()
    places = {(sending.origin, sending.event_id): sending.place for sending in new}
    rows = await tx.rows(NAMING_EVENTS, scope.sandbox_id, dataset_id, *map(list, zip(*places, strict=True)))
    return {
        (row["xid"], row["event_id"])
        for row in rows
        if Place(row["ingested_at"], row["batch_id"], -1) > places[row["named"], row["event_id"]]
        and row["named"] in reader.named(orjson.loads(row["document"]))
    }

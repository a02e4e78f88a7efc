"""Facts as rows: appended as they come in, in the transaction that makes the views right.

What has an xid that is new in this transaction cannot be there yet and is appended by COPY; the rest is inserted beside what is there.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.facts.documents import DocumentProblem, ValidDocument
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import uuid_of
from gateway.storage import packing
from gateway.storage.database import Session
from gateway.storage.queries import query

STAMP = query("appending.stamp")
TIE = query("appending.tie")
WARN = query("appending.warn")

RECORD_COLUMNS = (
    "sandbox_id",
    "xid",
    "dataset_id",
    "ordinal",
    "batch_id",
    "mode",
    "input",
    "ingested_at",
    "observed_at",
    "as_sent",
)
TIE_COLUMNS = ("sandbox_id", *(column.split(" ")[0] for column in TIE.columns))
ERROR_COLUMNS = ("sandbox_id", "batch_id", "ordinal", "index", "path", "code", "message", "document")
KEPT_DOCUMENT = 100_000  # bytes: what is larger is not kept with its error


@dataclass(frozen=True, slots=True)
class IngestStamp:
    """What all documents of one call share, once its transaction holds every lock: where they go and when they came."""

    scope: Scope
    dataset_id: UUID
    batch_id: UUID
    first_index: int
    at: datetime
    first_ordinal: int

    def ordinal(self, index: int) -> int:
        """The number of the document at this index; numbers grow with arrival."""
        return self.first_ordinal + index - self.first_index

    def time_of(self, document: ValidDocument) -> datetime:
        """When what the document says was so: as it says itself, but not after it came in."""
        stated = document.observed_at
        return self.at if stated is None or stated > self.at else stated


async def append_records(tx: Session, call: IngestStamp, mode: Mode, sent: Sequence[ValidDocument]) -> None:
    """Append these record versions."""
    sandbox_id, dataset_id, batch_id, at = call.scope.sandbox_id, call.dataset_id, call.batch_id, call.at
    ordinal, time_of = call.ordinal, call.time_of
    rows = [
        (
            sandbox_id,
            d.xid,
            dataset_id,
            ordinal(d.position),
            batch_id,
            mode,
            d.text,
            at,
            d.observed_at and time_of(d),
            d.as_sent,
        )
        for d in sent
    ]
    await tx.copy("record", RECORD_COLUMNS, rows)


async def append_ties(
    tx: Session, call: IngestStamp, sent: Iterable[ValidDocument], newcomers: set[UUID], *, are_records: bool
) -> None:
    """Append what these documents tie together: once for what several of them say, with its first and its last time.

    A batch's events that say the same have one tie for all calls. Of records each call has its own: a later deletion takes back those
    before it, and what is said after it has no other time than its own.
    """
    said_by = b"%d" % call.first_ordinal if are_records else b""
    ties: dict[tuple[UUID, tuple[UUID, ...]], list[Any]] = {}
    for document in sent:
        tied = document.tied
        if len(tied) < 2:
            continue
        at = call.time_of(document)
        ordinal = call.ordinal(document.position)
        known = ties.setdefault((document.xid, tied), [ordinal, at, at])
        known[0], known[1], known[2] = max(known[0], ordinal), min(known[1], at), max(known[2], at)
    packed, rows = bytearray(packing.BEGIN), list[tuple[Any, ...]]()

    def add(tie: tuple[tuple[UUID, tuple[UUID, ...]], list[Any]]) -> None:
        (origin, tied), (ordinal, first, last) = tie
        tie_id = _tie_id(call, origin, tied, said_by)
        if origin in newcomers:
            packed.extend(_packed(call, tie_id, tied, (origin, ordinal, first, last)))
        else:
            said = (uuid_of(tie_id), call.batch_id, call.dataset_id, origin, call.at, ordinal, list(tied), first, last)
            rows.extend((xid, *said) for xid in tied)

    await in_time_slices(add, ties.items())
    if len(packed) > len(packing.BEGIN):
        await tx.copy_packed("tie", TIE_COLUMNS, packed + packing.END)
    await tx.update_rows(TIE, call.scope.sandbox_id, rows=sorted(rows))


_TIE_FRONT: Final = Struct("!hiqi")
_TIE_MIDDLE: Final = Struct("!" + 4 * "i16s" + "iqiq")
_TIE_END: Final = Struct("!iqiq")


def _packed(
    call: IngestStamp, tie_id: bytes, tied: Sequence[UUID], said: tuple[UUID, int, datetime, datetime]
) -> bytes:
    """The rows of a tie: one for each member, alike but for its xid. `said`: under which identity, as which number, when first and last."""
    origin, ordinal, first, last = said
    size, eight, at = packing.UUID_SIZE, packing.EIGHT, packing.instant
    front = _TIE_FRONT.pack(len(TIE_COLUMNS), eight, call.scope.sandbox_id, size)
    batch, dataset = call.batch_id.bytes, call.dataset_id.bytes
    middle = _TIE_MIDDLE.pack(
        *(size, tie_id, size, batch, size, dataset, size, origin.bytes),
        *(eight, at(call.at), eight, ordinal),
    )
    rest = middle + packing.uuids(tied) + _TIE_END.pack(eight, at(first), eight, at(last))
    return b"".join([front + xid.bytes + rest for xid in tied])


def _tie_id(call: IngestStamp, origin: UUID, tied: Sequence[UUID], said_by: bytes) -> bytes:
    """One id for the same saying: of this dataset, under this identity, about these."""
    parts = b"".join([call.dataset_id.bytes, origin.bytes, *[xid.bytes for xid in tied], said_by])
    return hashlib.blake2b(parts, digest_size=16).digest()


# ------------------------------------------------------------------------------------------------ what was not used as sent


async def keep_failures(tx: Session, call: IngestStamp, failures: Sequence[DocumentProblem]) -> None:
    """Keep what was refused with its batch."""
    rows = [
        (
            *(call.scope.sandbox_id, call.batch_id, call.ordinal(failure.index), failure.index),
            *(failure.path, failure.code, failure.message, _kept(failure.document)),
        )
        for failure in failures
    ]
    if rows:
        await tx.copy("ingest_error", ERROR_COLUMNS, rows)


async def keep_warnings(tx: Session, call: IngestStamp, warnings: Sequence[DocumentProblem]) -> None:
    """Count the warnings, one row for each kind and dataset."""
    counts = Counter(warning.code for warning in warnings)
    first = {warning.code: warning for warning in reversed(warnings)}
    rows = [
        (_warning_id(call, code), code, first[code].message, count, _sample(first[code]))
        for code, count in sorted(counts.items())
    ]
    if rows:
        await tx.update_rows(WARN, call.scope.sandbox_id, call.dataset_id, call.batch_id, call.at, rows=rows)


def _warning_id(call: IngestStamp, code: str) -> UUID:
    return uuid_of(hashlib.blake2b(call.dataset_id.bytes + code.encode(), digest_size=16).digest())


def _sample(warning: DocumentProblem) -> str:
    return orjson.dumps({"index": warning.index, "path": warning.path, "message": warning.message}).decode()


def _kept(document: Any) -> str | None:
    text = orjson.dumps(document) if document is not None else b""
    return text.decode() if 0 < len(text) <= KEPT_DOCUMENT else None

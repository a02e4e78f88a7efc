"""Facts as rows: record versions and ties, refused documents and warnings, appended in the transaction that updates the views.

Rows that cannot exist yet are appended by COPY. Ties of events may: those are inserted, or update their row.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.facts.documents import DocumentProblem, ValidDocument
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode
from gateway.errors import NotFound
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import uuid_of
from gateway.storage import copy_rows
from gateway.storage.database import Session
from gateway.storage.queries import query
from gateway.xdm.violations import Violation

STAMP = query("appending.stamp")
TIE = query("appending.tie")
WARN = query("appending.warn")

RECORD_COLUMNS = (
    *("sandbox_id", "xid", "dataset_id", "ordinal", "batch_id"),
    *("mode", "input", "ingested_at", "observed_at", "as_sent"),
)
TIE_COLUMNS = ("sandbox_id", *(column.split(" ")[0] for column in TIE.columns))
ERROR_COLUMNS = (
    "sandbox_id",
    "batch_id",
    "ordinal",
    "index",
    "paths",
    "codes",
    "messages",
    "document",
    "refused_at",
    "xids",
)
MAX_STORED_DOCUMENT_BYTES = 100_000  # a larger refused document is not stored with its error


@dataclass(frozen=True, slots=True)
class IngestStamp:
    """The destination, time and numbers of one call's documents. Time and numbers are read once the transaction holds every lock.

    `first_index` is the index of the call's first document in the client's whole input, from 0, and `first_ordinal` its ordinal.
    `at` is the time of ingestion of all.
    """

    scope: Scope
    dataset_id: UUID
    batch_id: UUID
    first_index: int
    at: datetime
    first_ordinal: int

    def ordinal(self, index: int) -> int:
        """Return the ordinal of the document at this index of the client's whole input."""
        return self.first_ordinal + index - self.first_index

    def time_of(self, document: ValidDocument) -> datetime:
        """Return the effective time of a document: the one that it states; the time of ingestion if it states none or a later one."""
        stated = document.observed_at
        return self.at if stated is None or stated > self.at else stated


async def read_stamp(tx: Session, scope: Scope) -> Any:
    """Read the time and the number of a transaction that holds all its locks, as `appending.stamp` returns them. Raises NotFound."""
    row = await tx.row(STAMP, scope.sandbox_id)
    if row is None:
        raise NotFound("The sandbox is gone.")
    return row


async def append_records(tx: Session, stamp: IngestStamp, mode: Mode, documents: Sequence[ValidDocument]) -> None:
    """Append a version of a record for each document."""
    sandbox, dataset, batch, at = stamp.scope.sandbox_id, stamp.dataset_id, stamp.batch_id, stamp.at
    ordinal, time_of = stamp.ordinal, stamp.time_of
    rows = [
        (sandbox, d.xid, dataset, ordinal(d.position), batch, mode, d.text, at, d.observed_at and time_of(d), d.as_sent)
        for d in documents
    ]
    await tx.copy("record", RECORD_COLUMNS, rows)


async def append_ties(
    tx: Session, stamp: IngestStamp, documents: Iterable[ValidDocument], newcomers: set[UUID], *, are_records: bool
) -> None:
    """Append the ties of the documents that tie two or more identities together: one row for each member of a tie.

    Documents of one origin and equal members share a tie, which has the first and the last of their times. Events share it with earlier
    calls of the batch. Records of each call have ties of their own, because a deletion retracts earlier ties and must not affect the times
    of later ones, so none of them can exist yet. `newcomers`: xids that this transaction made known.
    """
    salt = b"%d" % stamp.first_ordinal if are_records else b""
    ties: dict[tuple[UUID, tuple[UUID, ...]], list[Any]] = {}
    for document in documents:
        tied = document.tied
        if len(tied) < 2:
            continue
        at = stamp.time_of(document)
        ordinal = stamp.ordinal(document.position)
        known = ties.setdefault((document.xid, tied), [ordinal, at, at])
        known[0], known[1], known[2] = max(known[0], ordinal), min(known[1], at), max(known[2], at)
    packed, rows = bytearray(copy_rows.BEGIN), list[tuple[Any, ...]]()

    def add(tie: tuple[tuple[UUID, tuple[UUID, ...]], list[Any]]) -> None:
        (origin, tied), (ordinal, first, last) = tie
        tie_id = _tie_id(stamp, origin, tied, salt)
        if are_records or origin in newcomers:
            packed.extend(_packed(stamp, tie_id, tied, (origin, ordinal, first, last)))
        else:
            source = (stamp.batch_id, stamp.dataset_id, origin, stamp.at, ordinal)
            rest = (uuid_of(tie_id), *source, list(tied), first, last)
            rows.extend((xid, *rest) for xid in tied)

    await in_time_slices(add, ties.items())
    if len(packed) > len(copy_rows.BEGIN):
        await tx.copy_packed("tie", TIE_COLUMNS, packed + copy_rows.END)
    await tx.update_rows(TIE, stamp.scope.sandbox_id, rows=sorted(rows))


_TIE_FRONT: Final = Struct("!hiqi")
_TIE_MIDDLE: Final = Struct("!" + 4 * "i16s" + "iqiq")
_TIE_END: Final = Struct("!iqiq")


def _packed(
    stamp: IngestStamp, tie_id: bytes, tied: Sequence[UUID], source: tuple[UUID, int, datetime, datetime]
) -> bytes:
    """Pack the rows of a tie, one per member, which differ in its xid only. `source`: origin, ordinal, first and last time."""
    origin, ordinal, first, last = source
    size, eight, at = copy_rows.UUID_SIZE, copy_rows.EIGHT, copy_rows.instant
    front = _TIE_FRONT.pack(len(TIE_COLUMNS), eight, stamp.scope.sandbox_id, size)
    batch, dataset = stamp.batch_id.bytes, stamp.dataset_id.bytes
    middle = _TIE_MIDDLE.pack(
        *(size, tie_id, size, batch, size, dataset, size, origin.bytes),
        *(eight, at(stamp.at), eight, ordinal),
    )
    rest = middle + copy_rows.uuids(tied) + _TIE_END.pack(eight, at(first), eight, at(last))
    return b"".join([front + xid.bytes + rest for xid in tied])


def _tie_id(stamp: IngestStamp, origin: UUID, tied: Sequence[UUID], salt: bytes) -> bytes:
    """Hash what makes ties equal: dataset, origin, members, and the salt."""
    parts = b"".join([stamp.dataset_id.bytes, origin.bytes, *[xid.bytes for xid in tied], salt])
    return hashlib.blake2b(parts, digest_size=16).digest()


# ------------------------------------------------------------------------------------------------ failures and warnings


async def store_failures(
    tx: Session, stamp: IngestStamp, failures: Sequence[DocumentProblem], erased: AbstractSet[UUID]
) -> None:
    """Store the refused documents of the batch; of those that name an `erased` identity what was wrong, without the document.

    Where a key may be its value, not where that was either.
    """
    rows = [
        (
            *(stamp.scope.sandbox_id, stamp.batch_id, stamp.ordinal(failure.index), failure.index),
            *([getattr(each, part) for each in _told(failure, erased)] for part in ("path", "code", "message")),
            *(_kept(failure.document) if erased.isdisjoint(failure.found_by) else None, stamp.at),
            list(failure.found_by),
        )
        for failure in failures
    ]
    if rows:
        await tx.copy("ingest_error", ERROR_COLUMNS, rows)


def _told(failure: DocumentProblem, erased: AbstractSet[UUID]) -> Sequence[Violation]:
    if erased.isdisjoint(failure.keyed_xids):
        return failure.violations
    return [
        Violation("$", each.code, "What was wrong is not kept: it may tell of somebody who was erased.")
        for each in failure.violations
    ]


async def store_warnings(tx: Session, stamp: IngestStamp, warnings: Sequence[DocumentProblem]) -> None:
    """Add warnings to their counts, one row per dataset and code; the first warning is the sample."""
    counts = Counter(warning.code for warning in warnings)
    first = {warning.code: warning for warning in reversed(warnings)}
    rows = [
        (_warning_id(stamp, code), code, first[code].message, count, _sample(first[code]), list(first[code].xids))
        for code, count in sorted(counts.items())
    ]
    if rows:
        await tx.update_rows(WARN, stamp.scope.sandbox_id, stamp.dataset_id, stamp.batch_id, stamp.at, rows=rows)


def _warning_id(stamp: IngestStamp, code: str) -> UUID:
    return uuid_of(hashlib.blake2b(stamp.dataset_id.bytes + code.encode(), digest_size=16).digest())


def _sample(warning: DocumentProblem) -> str:
    return orjson.dumps({"index": warning.index, "path": warning.path, "message": warning.message}).decode()


def _kept(document: Any) -> str | None:
    text = orjson.dumps(document) if document is not None else b""
    return text.decode() if 0 < len(text) <= MAX_STORED_DOCUMENT_BYTES else None

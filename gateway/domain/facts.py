"""Facts as rows: appended as they come in, in the transaction that makes the views right.

What has an xid that is new in this transaction cannot be there yet and is appended by COPY; the rest is inserted beside what is there.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.documents import Failure, Sent
from gateway.domain.records import Mode
from gateway.domain.slices import in_slices
from gateway.domain.tenants import Scope
from gateway.storage.database import Session
from gateway.storage.queries import query

STAMP = query("facts.stamp")
TIE = query("facts.tie")
WARN = query("facts.warn")

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
class Call:
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

    def time_of(self, document: Sent) -> datetime:
        """When what the document says was so: as it says itself, but not after it came in."""
        stated = document.observed_at
        return self.at if stated is None or stated > self.at else stated


async def append_records(tx: Session, call: Call, mode: Mode, sent: Sequence[Sent]) -> None:
    """Append these record versions."""
    rows = [
        (
            *(call.scope.sandbox_id, document.xid, call.dataset_id, call.ordinal(document.position), call.batch_id),
            *(mode, document.text, call.at, document.observed_at and call.time_of(document), document.as_sent),
        )
        for document in sent
    ]
    await tx.copy("record", RECORD_COLUMNS, rows)


async def append_ties(
    tx: Session, call: Call, sent: Iterable[Sent], newcomers: set[UUID], *, are_records: bool
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
    rows = list[tuple[Any, ...]]()

    def add(tie: tuple[tuple[UUID, tuple[UUID, ...]], list[Any]]) -> None:
        (origin, tied), (ordinal, first, last) = tie
        said = (
            _tie_id(call, origin, tied, said_by),
            call.batch_id,
            call.dataset_id,
            origin,
            call.at,
            ordinal,
            list(tied),
            first,
            last,
        )
        rows.extend((xid, *said) for xid in tied)

    await in_slices(add, ties.items())
    sandbox_id = call.scope.sandbox_id
    await tx.copy("tie", TIE_COLUMNS, [(sandbox_id, *row) for row in rows if row[4] in newcomers])
    await tx.update_rows(TIE, sandbox_id, rows=sorted(row for row in rows if row[4] not in newcomers))


def _tie_id(call: Call, origin: UUID, tied: Sequence[UUID], said_by: bytes) -> UUID:
    """One id for the same saying: of this dataset, under this identity, about these."""
    parts = b"".join([*(uuid.bytes for uuid in (call.dataset_id, origin, *tied)), said_by])
    return UUID(bytes=hashlib.blake2b(parts, digest_size=16).digest())


# ------------------------------------------------------------------------------------------------ what was not used as sent


async def keep_failures(tx: Session, call: Call, failures: Sequence[Failure]) -> None:
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


async def keep_warnings(tx: Session, call: Call, warnings: Sequence[Failure]) -> None:
    """Count the warnings, one row for each kind and dataset."""
    counts = Counter(warning.code for warning in warnings)
    first = {warning.code: warning for warning in reversed(warnings)}
    rows = [
        (_warning_id(call, code), code, first[code].message, count, _sample(first[code]))
        for code, count in sorted(counts.items())
    ]
    if rows:
        await tx.update_rows(WARN, call.scope.sandbox_id, call.dataset_id, call.batch_id, call.at, rows=rows)


def _warning_id(call: Call, code: str) -> UUID:
    return UUID(bytes=hashlib.blake2b(call.dataset_id.bytes + code.encode(), digest_size=16).digest())


def _sample(warning: Failure) -> str:
    return orjson.dumps({"index": warning.index, "path": warning.path, "message": warning.message}).decode()


def _kept(document: Any) -> str | None:
    text = orjson.dumps(document) if document is not None else b""
    return text.decode() if 0 < len(text) <= KEPT_DOCUMENT else None

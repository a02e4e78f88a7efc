"""Refused documents, kept with their batch, and the rules that each of them breaks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.facts.documents import DocumentProblem
from gateway.domain.rules.keyset import Key, Order, Page, Window, page_of_rows
from gateway.domain.rules.scope import Permission, Scope
from gateway.storage.database import Database, Session
from gateway.storage.queries import query, template
from gateway.xdm.violations import Violation, ViolationCode

LIST = template("ingest_errors.list_errors")
COUNT = query("ingest_errors.count_errors")
LIST_FAILED_INDEXES = query("ingest_errors.list_failed_indexes")
PURGE = query("ingest_errors.purge_errors")

PURGED_AT_ONCE: Final = 1_000
"""How many refused documents one statement removes."""

BY_ARRIVAL: Final = Order(("e.ordinal",), (int,))

Codes = tuple[ViolationCode, ...] | None
"""Codes of rules: a document must break at least one such rule; None for any document."""


class ErrorPage(NamedTuple):
    """A page of a list of refused documents."""

    window: Window
    codes: Codes = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestError(DocumentProblem):
    """A refused document. `ordinal` is its number in the sandbox. `document` is None if it is too large, or not kept."""

    ordinal: int

    @property
    def key(self) -> Key:
        """Its key in lists by arrival."""
        return (self.ordinal,)


async def list_errors(
    db: Database, scope: Scope, asked: ErrorPage, batch_ids: Sequence[UUID]
) -> list[Page[IngestError]]:
    """List a page of refused documents per batch, in order of arrival. Needs `profile:read`: they are data of people.

    Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    statement, keys = LIST.page(**BY_ARRIVAL.stretch(asked.window))
    below = defaultdict(list)
    for row in await db.rows(statement, scope.sandbox_id, batch_ids, asked.codes, asked.window.fetch, *keys):
        below[row["batch_id"]].append(_error(row))
    return [page_of_rows(below[batch_id], asked.window) for batch_id in batch_ids]


async def count_errors(db: Database, scope: Scope, codes: Codes, batch_ids: Sequence[UUID]) -> list[int]:
    """Count the refused documents that are stored for each batch, in order; 0 for an unknown batch. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    rows = await db.rows(COUNT, scope.sandbox_id, batch_ids, codes)
    counts = {row["batch_id"]: row["count"] for row in rows}
    return [counts.get(batch_id, 0) for batch_id in batch_ids]


async def list_failed_indexes(db: Database, scope: Scope, batch_id: UUID) -> list[int]:
    """List the indexes of a batch's refused documents in the client's input, in order, each once. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    rows = await db.rows(LIST_FAILED_INDEXES, scope.sandbox_id, batch_id)
    return [row["index"] for row in rows]


async def purge_errors(tx: Session, scope: Scope, xids: Sequence[UUID]) -> int:
    """Remove some of the refused documents that name any of these identities. Return how many; 0 when none is left. Needs no permission."""
    return len(await tx.rows(PURGE, scope.sandbox_id, xids, PURGED_AT_ONCE))


def _error(row: Any) -> IngestError:
    broken = zip(row["paths"], map(ViolationCode, row["codes"]), row["messages"], strict=True)
    document = orjson.loads(row["document"]) if row["document"] is not None else None
    return IngestError(row["index"], tuple(Violation(*each) for each in broken), document, ordinal=row["ordinal"])

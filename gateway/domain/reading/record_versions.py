"""The versions of people's records: what each source sent, and what of it counts now.

A list of versions has the newest first: the reverse of the order in which they are folded. A version is live while it takes part in the
fold: from the newest REPLACE or DELETE of its record on.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.merge import Document
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.versions import Mode, VersionOrder
from gateway.storage.database import Database
from gateway.storage.queries import query, template
from gateway.xdm.leaves import with_leaves

LIST = template("record_versions.list_record_versions")
COUNT = query("record_versions.count_record_versions")
READ_INPUTS = query("record_versions.read_inputs")


class VersionKey(NamedTuple):
    """The record that a version is of, by identity and dataset, and the version's number."""

    xid: UUID
    dataset_id: UUID
    ordinal: int


@dataclass(frozen=True, slots=True)
class RecordVersion:
    """One sending of a record, without what was sent."""

    xid: UUID
    dataset_id: UUID
    batch_id: UUID
    ordinal: int
    mode: Mode
    ingested_at: datetime
    is_live: bool

    @property
    def key(self) -> VersionKey:
        return VersionKey(self.xid, self.dataset_id, self.ordinal)

    @property
    def place(self) -> VersionOrder:
        """The place in the order of folding, by which a list is sorted, the newest first."""
        return VersionOrder(self.ingested_at, self.batch_id, self.ordinal)


class Input(NamedTuple):
    """What was sent with a version: the normalized document, and the leaves that were sent in another form by their JSON pointers, as JSON."""

    text: str
    as_sent: str | None

    @property
    def size(self) -> int:
        """The length in characters."""
        return len(self.text) + len(self.as_sent or "")

    @property
    def document(self) -> Document:
        """The document as it was sent, parsed anew."""
        document: Document = orjson.loads(self.text)
        return with_leaves(document, orjson.loads(self.as_sent)) if self.as_sent else document


async def list_record_versions(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], window: Window
) -> list[Page[RecordVersion]]:
    """List one page of versions for each person, a person being its xids, in the order of the people, the newest first. One statement.

    The window's keys are (ingested_at, batch_id, ordinal). Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    members = [(xid, number) for number, xids in enumerate(people) for xid in set(xids)]
    bounds = window.bounds(datetime, UUID, int)
    statement = LIST.filled(direction="asc" if window.backward else "desc")
    found: dict[int, list[RecordVersion]] = defaultdict(list)
    xids, numbers = [xid for xid, _ in members], [number for _, number in members]
    rows = await db.rows(statement, scope.sandbox_id, xids, numbers, *bounds, window.fetch)
    for person, xid, dataset_id, batch_id, ordinal, mode, at, is_live in rows:
        found[person].append(RecordVersion(xid, dataset_id, batch_id, ordinal, Mode(mode), at, is_live))
    return [page_of_rows(found[number], window) for number in range(len(people))]


async def count_record_versions(db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]]) -> list[int]:
    """Count the versions of each person's records. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    xids = list({xid for members in people for xid in members})
    counts: dict[UUID, int] = dict(map(tuple, await db.rows(COUNT, scope.sandbox_id, xids)))
    return [sum(counts.get(xid, 0) for xid in set(members)) for members in people]


async def read_inputs(db: Database, scope: Scope, keys: Sequence[VersionKey]) -> list[Input | None]:
    """Read what was sent with each version, None for one that is gone. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    columns = map(list, zip(*keys, strict=True))
    rows: list[Any] = await db.rows(READ_INPUTS, scope.sandbox_id, *columns) if keys else []
    known = {VersionKey(*key): Input(*texts) for *key, texts in ((*row[:3], row[3:]) for row in rows)}
    return [known.get(key) for key in keys]

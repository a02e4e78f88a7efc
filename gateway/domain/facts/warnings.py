"""Ingestion warnings: problems of accepted documents, counted per dataset and code, so that nothing is dropped silently.

A warning stays until somebody acknowledges it, which removes it; when it is raised again, it is a new one with the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.rules.keyset import Key, Order, Page, Window, page_of_rows
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query, template
from gateway.xdm.violations import ViolationCode

READ = query("warnings.read_warnings")
LIST = template("warnings.list_warnings")
COUNT = query("warnings.count_warnings")
ACKNOWLEDGE = query("warnings.acknowledge_warning")
PURGE = query("warnings.purge_samples")


@dataclass(frozen=True, slots=True)
class IngestionWarning:
    """The warnings of one code in one dataset. `batch_id` is the batch of the last one; `sample` is the first one: index, path and message."""

    warning_id: UUID
    code: ViolationCode
    message: str
    dataset_id: UUID | None
    batch_id: UUID | None
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    sample: Any


class WarningOrderField(StrEnum):
    """What comes first in an order of warnings; the id settles what is equal."""

    FIRST_SEEN_AT = "FIRST_SEEN_AT"
    LAST_SEEN_AT = "LAST_SEEN_AT"
    COUNT = "COUNT"


_KEYS: Final = {
    WarningOrderField.FIRST_SEEN_AT: ("first_seen_at", datetime),
    WarningOrderField.LAST_SEEN_AT: ("last_seen_at", datetime),
    WarningOrderField.COUNT: ("count", int),
}


@dataclass(frozen=True, slots=True)
class WarningOrder:
    """An order of warnings, which are sorted: there are few, one for each dataset and code."""

    field: WarningOrderField = WarningOrderField.LAST_SEEN_AT
    descending: bool = True

    def key(self, warning: IngestionWarning) -> Key:
        """Return a warning's key in lists of this order."""
        return getattr(warning, _KEYS[self.field][0]), warning.warning_id

    @property
    def columns(self) -> Order:
        """The order for SQL, in which warnings are called `w`."""
        column, kind = _KEYS[self.field]
        return Order((f"w.{column}", "w.warning_id"), (kind, UUID), self.descending)


@dataclass(frozen=True, slots=True)
class WarningFilter:
    """Conditions on warnings; all of them must hold, and None is no condition. `seen_since` is the earliest `last_seen_at`, inclusive."""

    codes: tuple[ViolationCode, ...] | None = None
    dataset_id: UUID | None = None
    seen_since: datetime | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of a statement's parameters for the filter."""
        return self.codes, self.dataset_id, self.seen_since


EVERY_WARNING: Final = WarningFilter()
LATEST_FIRST: Final = WarningOrder()


class WarningPage(NamedTuple):
    """A page of the list of warnings."""

    window: Window
    passing: WarningFilter = EVERY_WARNING
    order: WarningOrder = LATEST_FIRST


async def read_warnings(db: Database, scope: Scope, warning_ids: Sequence[UUID]) -> list[IngestionWarning | None]:
    """Read warnings by id, in order; None for an unknown one. Needs `profile:read`: samples are data of people. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    rows = await db.rows(READ, scope.sandbox_id, warning_ids)
    found = {row["warning_id"]: _warning(row) for row in rows}
    return [found.get(warning_id) for warning_id in warning_ids]


async def list_warnings(db: Database, scope: Scope, asked: WarningPage) -> Page[IngestionWarning]:
    """List a page of the warnings that pass the filter. Needs `profile:read`. Raises Forbidden, BadCursor."""
    scope.require(Permission.PROFILE_READ)
    statement, keys = LIST.page(**asked.order.columns.stretch(asked.window))
    rows = await db.rows(statement, scope.sandbox_id, *asked.passing.values, asked.window.fetch, *keys)
    return page_of_rows([_warning(row) for row in rows], asked.window)


async def count_warnings(db: Database, scope: Scope, passing: WarningFilter = EVERY_WARNING) -> int:
    """Count the warnings that pass the filter. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    count: int = await db.value(COUNT, scope.sandbox_id, *passing.values)
    return count


async def acknowledge_warning(db: Database, scope: Scope, warning_id: UUID) -> None:
    """Remove a warning that was seen to. Needs `profile:write`. Raises Forbidden, NotFound."""
    scope.require(Permission.PROFILE_WRITE)
    async with db.transaction() as tx:
        row = await tx.row(ACKNOWLEDGE, scope.sandbox_id, warning_id)
        if row is None:
            raise NotFound("There is no warning with this id; it may have been acknowledged before.", path=["id"])
        subject = Subject("IngestionWarning", (warning_id,))
        before = {"code": row["code"], "datasetId": row["dataset_id"], "count": row["count"]}
        await audit.record(tx, scope, "acknowledgeIngestionWarning", subject, before=before)


async def purge_samples(tx: Session, scope: Scope, xids: Sequence[UUID]) -> int:
    """Remove the samples of warnings whose documents name any of these identities. Return how many. Needs no permission."""
    return len(await tx.rows(PURGE, scope.sandbox_id, xids))


def _warning(row: Any) -> IngestionWarning:
    sample = orjson.loads(row["sample"]) if row["sample"] is not None else None
    return IngestionWarning(**{**row, "code": ViolationCode(row["code"]), "sample": sample})

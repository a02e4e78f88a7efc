"""Ingestion warnings: problems of accepted documents, counted per dataset and code, so that nothing is dropped silently."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.scope import Permission, Scope
from gateway.storage.database import Database
from gateway.storage.queries import query

READ = query("warnings.read_warnings")
LIST = query("warnings.list_warnings")
LIST_BACKWARD = query("warnings.list_warnings_backward")
COUNT = query("warnings.count_warnings")


@dataclass(frozen=True, slots=True)
class IngestionWarning:
    """The warnings of one code in one dataset. `batch_id` is the batch of the last one; `sample` is the first one: index, path and message."""

    warning_id: UUID
    code: str
    message: str
    dataset_id: UUID | None
    batch_id: UUID | None
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    sample: Any


async def read_warnings(db: Database, scope: Scope, warning_ids: Sequence[UUID]) -> list[IngestionWarning | None]:
    """Read warnings by id, in order; None for an unknown one. Needs `profile:read`: samples are data of people. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    rows = await db.rows(READ, scope.sandbox_id, warning_ids)
    found = {row["warning_id"]: _warning(row) for row in rows}
    return [found.get(warning_id) for warning_id in warning_ids]


async def list_warnings(db: Database, scope: Scope, window: Window) -> Page[IngestionWarning]:
    """List a page of warnings, newest first. The window's keys are (first_seen_at, warning_id).

    Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    statement = LIST_BACKWARD if window.backward else LIST
    rows = await db.rows(statement, scope.sandbox_id, *window.bounds(datetime, UUID), window.fetch)
    return page_of_rows([_warning(row) for row in rows], window)


async def count_warnings(db: Database, scope: Scope) -> int:
    """Count the warnings of the sandbox. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    count: int = await db.value(COUNT, scope.sandbox_id)
    return count


def _warning(row: Any) -> IngestionWarning:
    return IngestionWarning(**{**row, "sample": orjson.loads(row["sample"]) if row["sample"] is not None else None})

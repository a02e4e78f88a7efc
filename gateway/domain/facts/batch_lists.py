"""Lists of batches, by filter and order: of all datasets, or of several at once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.facts.batches import READ_BATCHES, Batch, BatchStatus, batch_of_row
from gateway.domain.rules.keyset import Key, Order, Page, Window, page_of_rows
from gateway.domain.rules.scope import Scope
from gateway.errors import LimitExceeded
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import Query, Template, query, template

LIST = template("batch_lists.list_batches")
LIST_OF_DATASETS = template("batch_lists.list_batches_of_datasets")
COUNT = query("batch_lists.count_batches")

MAX_SORTED: Final = 100_000
"""The most batches in a list by a count: all of them are sorted."""
"""Less than the id of any batch."""


class BatchOrderField(StrEnum):
    """What comes first in an order of batches; the id settles what is equal."""

    CREATED_AT = "CREATED_AT"
    RECORD_COUNT = "RECORD_COUNT"
    FAILED_COUNT = "FAILED_COUNT"


_KEYS: Final = {
    BatchOrderField.CREATED_AT: ("created_at", datetime),
    BatchOrderField.RECORD_COUNT: ("record_count", int),
    BatchOrderField.FAILED_COUNT: ("failed_count", int),
}


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """An order of batches. Only that by `CREATED_AT` has an index: counts change with each call."""

    field: BatchOrderField = BatchOrderField.CREATED_AT
    descending: bool = True

    def key(self, batch: Batch) -> Key:
        """Return a batch's key in lists of this order."""
        return getattr(batch, _KEYS[self.field][0]), batch.batch_id

    @property
    def columns(self) -> Order:
        """The order for SQL, in which batches are called `b`."""
        column, kind = _KEYS[self.field]
        return Order((f"b.{column}", "b.batch_id"), (kind, UUID), self.descending)


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Conditions on batches; all of them must hold, and None is no condition. `created_since` is inclusive, `created_until` exclusive."""

    statuses: tuple[BatchStatus, ...] | None = None
    key: str | None = None
    created_since: datetime | None = None
    created_until: datetime | None = None


EVERY_BATCH: Final = BatchFilter()
NEWEST_FIRST: Final = BatchOrder()


class BatchPage(NamedTuple):
    """A page of a list of batches."""

    window: Window
    passing: BatchFilter = EVERY_BATCH
    order: BatchOrder = NEWEST_FIRST


async def list_batches(db: Database, scope: Scope, asked: BatchPage) -> Page[Batch]:
    """List a page of the batches of all datasets. Needs any of READ_BATCHES.

    Raises Forbidden; BadCursor; LimitExceeded for an order by a count of more than MAX_SORTED batches.
    """
    await _check_sorted(db, scope, asked, None)
    statement, values = _page(LIST, asked)
    rows = await db.rows(statement, scope.sandbox_id, *values)
    return page_of_rows([batch_of_row(row) for row in rows], asked.window)


async def list_batches_of_datasets(
    db: Database, scope: Scope, asked: BatchPage, dataset_ids: Sequence[UUID]
) -> list[Page[Batch]]:
    """List a page of batches per dataset, in order. Needs, and raises, what `list_batches` does."""
    await _check_sorted(db, scope, asked, dataset_ids)
    statement, values = _page(LIST_OF_DATASETS, asked)
    below = defaultdict(list)
    for row in await db.rows(statement, scope.sandbox_id, dataset_ids, *values):
        below[row["dataset_id"]].append(batch_of_row(row))
    return [page_of_rows(below[dataset_id], asked.window) for dataset_id in dataset_ids]


def _page(statement: Template, asked: BatchPage) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement of a page, and the values of its parameters behind the sandbox and the datasets. Raises BadCursor.

    In an order by creation the keys of the window bound creation as the filter does. Of two bounds at one end the narrower one is given.
    """
    stretch, passing = asked.order.columns.stretch(asked.window), asked.passing
    firsts = [(passing.created_since, NIL)] if passing.created_since else []
    lasts = [(passing.created_until, NIL)] if passing.created_until else []
    if asked.order.field is BatchOrderField.CREATED_AT:
        after, before = stretch["after"], stretch["before"]
        firsts += filter(None, [before if stretch["descending"] else after])
        lasts += filter(None, [after if stretch["descending"] else before])
        stretch = {**stretch, "after": None, "before": None}
    filled, keys = statement.page(**stretch)
    created = (*max(firsts, default=(None, None)), *min(lasts, default=(None, None)))
    return filled, (passing.statuses, passing.key, *created, asked.window.fetch, *keys)


async def count_batches(db: Database, scope: Scope, passing: BatchFilter) -> int:
    """Count the batches of all datasets that pass the filter. Needs any of READ_BATCHES. Raises Forbidden."""
    scope.require(*READ_BATCHES)
    return sum((await _counts(db, scope, passing, None)).values())


async def count_batches_of_datasets(
    db: Database, scope: Scope, passing: BatchFilter, dataset_ids: Sequence[UUID]
) -> list[int]:
    """Count the batches of each dataset that pass the filter, in order. Needs any of READ_BATCHES. Raises Forbidden."""
    scope.require(*READ_BATCHES)
    counts = await _counts(db, scope, passing, dataset_ids)
    return [counts.get(dataset_id, 0) for dataset_id in dataset_ids]


async def _counts(
    db: Database, scope: Scope, passing: BatchFilter, dataset_ids: Sequence[UUID] | None
) -> dict[UUID, int]:
    conditions = (passing.statuses, passing.key, passing.created_since, passing.created_until)
    rows = await db.rows(COUNT, scope.sandbox_id, dataset_ids, *conditions)
    return {row["dataset_id"]: row["count"] for row in rows}


async def _check_sorted(db: Database, scope: Scope, asked: BatchPage, dataset_ids: Sequence[UUID] | None) -> None:
    """Check that the caller may list batches, and that these are few enough for the order. Raises Forbidden, LimitExceeded."""
    scope.require(*READ_BATCHES)
    if asked.order.field is BatchOrderField.CREATED_AT:
        return
    count = sum((await _counts(db, scope, asked.passing, dataset_ids)).values())
    if count > MAX_SORTED:
        message = f"At most {MAX_SORTED:,} batches are ordered by {asked.order.field}, not {count:,}: ask for those since a time."
        raise LimitExceeded(message)

"""Ingestion warnings: data that came in and was not used as sent, counted by kind and dataset."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import strawberry

from gateway.api.batches import BatchType
from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.scalars import JSON, Long
from gateway.domain.config.datasets import Dataset
from gateway.domain.facts import warnings
from gateway.domain.facts.batches import Batch
from gateway.domain.facts.warnings import IngestionWarning

WARNINGS: Listing[IngestionWarning] = Listing(
    "ingestionWarnings", lambda warning: (warning.first_seen_at, warning.warning_id)
)


def _dataset(warning: strawberry.Parent[IngestionWarning], info: Info) -> Dataset | None:
    return info.context.config.datasets.get(warning.dataset_id) if warning.dataset_id else None


async def _batch(warning: strawberry.Parent[IngestionWarning], info: Info) -> Batch | None:
    return await info.context.loaders.batch_by_id.load(warning.batch_id) if warning.batch_id else None


@strawberry.type(
    name="IngestionWarning", description="Something that came in and was not used as sent, counted by kind and dataset."
)
class IngestionWarningType(Node):
    domain = IngestionWarning

    id: strawberry.ID = id_field("Global id of the warning.", "IngestionWarning", "warning_id")
    code: str = plain("The kind of trouble, for programs.")
    message: str = plain("What was not used and why, as a sentence for people.")
    dataset: DatasetType | None = resolved_by(_dataset, "The dataset that it came in; null where that is gone.")
    batch: BatchType | None = resolved_by(_batch, "The batch that raised it last; null where that is gone.")
    count: Long = plain("How often it happened since it was first seen.")
    first_seen_at: datetime = plain("When it happened first.")
    last_seen_at: datetime = plain("When it happened last.")
    sample: JSON | None = plain("What raised it last, cut short where it is long; null where it is not kept any more.")


async def _warnings(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[IngestionWarning]:
    context = info.context
    page = await warnings.list_warnings(context.db, context.scope, WARNINGS.window(first, after, last, before))
    return WARNINGS.paged(page, lambda: warnings.count_warnings(context.db, context.scope))


async def read_warnings(context: Context, keys: Sequence[UUID]) -> list[IngestionWarning | None]:
    """Read the warnings with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    return await warnings.read_warnings(context.db, context.scope, keys)


@strawberry.type(description="Queries of ingestion warnings.")
class WarningQuery:
    ingestion_warnings: Connection[IngestionWarningType] = resolved_by(
        _warnings,
        "What came in and was not used as sent, those first seen last in front. Needs the scope `profile:read`.",
    )

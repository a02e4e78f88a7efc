"""Ingestion warnings: data that came in and was not used as sent, counted by kind and dataset."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gateway.api.batches import BatchType
from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.ids import input_id, parse_id
from gateway.api.mutations import DeletePayload, mutation
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, OrderDirection, Slice
from gateway.api.scalars import JSON, Long, described
from gateway.domain.config.datasets import Dataset
from gateway.domain.facts import warnings
from gateway.domain.facts.batches import Batch
from gateway.domain.facts.warnings import (
    IngestionWarning,
    WarningFilter,
    WarningOrder,
    WarningOrderField,
    WarningPage,
)
from gateway.domain.rules.scope import Permission
from gateway.xdm.violations import ViolationCode

described(
    WarningOrderField,
    "IngestionWarningOrderField",
    "What warnings are ordered by; where it is equal, their `id` decides.",
    FIRST_SEEN_AT="When it happened first.",
    LAST_SEEN_AT="When it happened last.",
    COUNT="How often it happened.",
)


@strawberry.input(
    name="IngestionWarningFilter",
    description="Which warnings are wanted. All that is given must hold; null is as good as left out.",
)
class WarningFilterInput:
    codes: list[ViolationCode] | None = plain("Any of these codes; an empty list matches nothing.", default=None)
    dataset_id: strawberry.ID | None = plain("Of this dataset, by its `id`.", default=None)
    seen_since: datetime | None = plain("Earliest `lastSeenAt`, inclusive.", default=None)


@strawberry.input(
    name="IngestionWarningOrder",
    description="In which order warnings come; the one direction is the exact reverse of the other.",
)
class WarningOrderInput:
    field: WarningOrderField = plain("What they are ordered by.", default=WarningOrderField.LAST_SEEN_AT)
    direction: OrderDirection = plain(
        "Which end comes first: DESC is the latest, or the largest.", default=OrderDirection.DESC
    )


FilterArgument = Annotated[
    WarningFilterInput | None,
    strawberry.argument(name="filter", description="Which warnings are wanted; left out, all of them."),
]
OrderArgument = Annotated[
    WarningOrderInput | None,
    strawberry.argument(name="orderBy", description="In which order they come; left out, the last seen come first."),
]


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
    code: ViolationCode = plain("The kind of trouble, for programs.")
    message: str = plain("What was not used and why, as a sentence for people.")
    dataset: DatasetType | None = resolved_by(_dataset, "The dataset that it came in; null where that is gone.")
    batch: BatchType | None = resolved_by(_batch, "The batch that raised it last; null where that is gone.")
    count: Long = plain("How often it happened since it was first seen, or seen again after it was acknowledged.")
    first_seen_at: datetime = plain("When it happened first.")
    last_seen_at: datetime = plain("When it happened last.")
    sample: JSON | None = plain("One that raised it, without the document; null where it is kept no longer.")


async def _warnings(
    info: Info,
    *,
    given: FilterArgument = None,
    order_by: OrderArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[IngestionWarning]:
    context, given, order_by = info.context, given or WarningFilterInput(), order_by or WarningOrderInput()
    order = WarningOrder(order_by.field, descending=order_by.direction is OrderDirection.DESC)
    listing = Listing(f"warnings by {order.field}, {order_by.direction}", order.key)
    codes = None if given.codes is None else tuple(given.codes)
    dataset_id = None if given.dataset_id is None else parse_id(given.dataset_id, "Dataset", "datasetId")
    passing = WarningFilter(codes, dataset_id, given.seen_since)
    asked = WarningPage(listing.window(first, after, last, before), passing, order)
    page = await warnings.list_warnings(context.db, context.scope, asked)
    return listing.paged(page, lambda: warnings.count_warnings(context.db, context.scope, passing))


async def read_warnings(context: Context, keys: Sequence[UUID]) -> list[IngestionWarning | None]:
    """Read the warnings with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    return await warnings.read_warnings(context.db, context.scope, keys)


@strawberry.type(description="Queries of ingestion warnings.")
class WarningQuery:
    ingestion_warnings: Connection[IngestionWarningType] = resolved_by(
        _warnings,
        "What came in and was not used as sent, the last seen first. Needs the scope `profile:read`.",
    )


@strawberry.input(description="A warning that was seen to.")
class AcknowledgeInput:
    id: strawberry.ID = plain("The warning that it is about.")


async def _acknowledge(context: Context, given: AcknowledgeInput) -> str:
    warning_id = input_id(given.id, "IngestionWarning", "id")
    await warnings.acknowledge_warning(context.db, context.scope, warning_id)
    return given.id


@strawberry.type(description="Mutations of ingestion warnings.")
class WarningMutation:
    acknowledge_ingestion_warning: DeletePayload = mutation(
        _acknowledge,
        Permission.PROFILE_WRITE,
        "Takes a warning that was seen to from the list, until it is raised again and counted anew. Needs the scope `profile:write`.",
    )

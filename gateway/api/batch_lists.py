"""What batches are listed by: their status, filters and orders."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from gateway.api.context import plain
from gateway.api.pagination import Listing, OrderDirection
from gateway.api.scalars import described
from gateway.domain.facts.batch_lists import MAX_SORTED, BatchFilter, BatchOrder, BatchOrderField, BatchPage
from gateway.domain.facts.batches import Batch, BatchStatus
from gateway.errors import BadInput

described(
    BatchStatus,
    "BatchStatus",
    "Where a batch stands: it is filled, then completed or aborted; what it brought can be taken back.",
    LOADING="It takes documents; those that came already count. It is completed by itself a week after its last document.",
    ACTIVE="It is complete and takes no more documents.",
    FAILED="It is complete and brought nothing: every document in it was refused, or none came.",
    ABORTING="It was given up while loading: a job takes back what it brought, and reads tell what is still there.",
    ABORTED="It was given up while loading; nothing of it is left. Its key is free for another batch.",
    REVERTING="A job is taking everything back that it had brought; reads tell what is still there.",
    REVERTED="A job took everything back that it had brought. Its key is free for another batch.",
    DELETING="A job is deleting everything that it had brought; reads tell what is still there.",
    DELETED="A job deleted everything that it had brought. Its key stays taken.",
)
described(
    BatchOrderField,
    "BatchOrderField",
    "What batches are ordered by; where it is equal, their `id` decides.",
    CREATED_AT="When the batch was made.",
    RECORD_COUNT=f"How many documents were accepted. At most {MAX_SORTED:,} batches are put in this order.",
    FAILED_COUNT=f"How many documents were refused. At most {MAX_SORTED:,} batches are put in this order.",
)


# ------------------------------------------------------------------------------------------------ inputs


@strawberry.input(
    name="BatchFilter",
    description="Which batches are wanted. All that is given must hold; null is as good as left out.",
)
class BatchFilterInput:
    status: list[BatchStatus] | None = plain(
        "Batches that stand at any of these; an empty list matches nothing.", default=None
    )
    key: str | None = plain("Batches with exactly this key.", default=None)
    created_since: datetime | None = plain("Earliest `createdAt`, inclusive.", default=None)
    created_until: datetime | None = plain("Latest `createdAt`, exclusive.", default=None)


@strawberry.input(
    name="BatchOrder", description="In which order batches come; the one direction is the exact reverse of the other."
)
class BatchOrderInput:
    field: BatchOrderField = plain("What they are ordered by.", default=BatchOrderField.CREATED_AT)
    direction: OrderDirection = plain(
        "Which end comes first: DESC is the newest, or the largest.", default=OrderDirection.DESC
    )


FilterArgument = Annotated[
    BatchFilterInput | None,
    strawberry.argument(name="filter", description="Which batches are wanted; left out, all of them."),
]
OrderArgument = Annotated[
    BatchOrderInput | None,
    strawberry.argument(name="orderBy", description="In which order they come; left out, the newest come first."),
]


def batch_page(
    place: str, given: BatchFilterInput | None, order_by: BatchOrderInput | None, **window: Any
) -> tuple[Listing[Batch], BatchPage]:
    """Return the listing of a place's batches and its page that a field's arguments describe. Raises BadInput, BadCursor, LimitExceeded."""
    given, order_by = given or BatchFilterInput(), order_by or BatchOrderInput()
    if given.key is not None and "\0" in given.key:
        raise BadInput("No key has a NUL character.")
    order = BatchOrder(order_by.field, descending=order_by.direction is OrderDirection.DESC)
    listing = Listing(f"batches of {place} by {order.field}, {order_by.direction}", order.key)
    statuses = None if given.status is None else tuple(given.status)
    passing = BatchFilter(statuses, given.key, given.created_since, given.created_until)
    return listing, BatchPage(listing.window(**window), passing, order)

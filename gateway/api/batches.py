"""Batches: documents that came in together, and the ones of them that were refused."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gateway.api.batch_lists import FilterArgument, OrderArgument, batch_page
from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.datasets import DatasetType, dataset_of
from gateway.api.ids import input_id
from gateway.api.ingest_errors import CodesArgument, IngestErrorType
from gateway.api.jobs import SystemJobNode, started_job
from gateway.api.mutations import UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field, look_up
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.projections import related
from gateway.api.scalars import Long
from gateway.domain.facts import batch_lists, batches
from gateway.domain.facts.batches import READ_BATCHES, Batch, BatchStatus
from gateway.domain.facts.ingest_errors import ErrorPage, IngestError
from gateway.domain.operations import batch_removal
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Started
from gateway.projection.tree import Format
from gateway.xdm.classes import XdmClass

BatchId = Annotated[strawberry.ID, strawberry.argument(name="id", description="The `id` of a batch.")]


async def batch_of(parent: strawberry.Parent[Any], info: Info) -> Batch | None:
    """Read the batch of anything that has a `batch_id`: a record, an event. None where it is gone."""
    return await info.context.loaders.batch_by_id.load(parent.batch_id)


async def _errors(
    batch: strawberry.Parent[Batch],
    info: Info,
    *,
    codes: CodesArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[IngestError]:
    loaders, batch_id = info.context.loaders, batch.batch_id
    listing: Listing[IngestError] = Listing(f"errors of {batch_id}", lambda error: error.key)
    asked = ErrorPage(listing.window(first, after, last, before), None if codes is None else tuple(codes))
    page = await loaders.errors_by_batch.load((asked, batch_id))
    return listing.paged(page, lambda: loaders.error_count_by_batch.load((asked.codes, batch_id)))


def _revertible_until(batch: strawberry.Parent[Batch], info: Info) -> datetime | None:
    config, days = info.context.config, info.context.revert_days
    dataset = config.datasets.find(batch.dataset_id)
    if dataset is None or config.schemas[dataset.schema_id].xdm_class is not XdmClass.INDIVIDUAL_PROFILE:
        return None
    return batch.revertible_until(days)


@strawberry.type(name="Batch", description="Documents of a dataset that came in together and can be undone together.")
class BatchType(Node):
    domain = Batch

    id: strawberry.ID = id_field("Global id, which stays when the key names another batch.", "Batch", "batch_id")
    key: str | None = plain(
        "The client's name for it. Null for a rolling batch: the one of a day that takes the documents of calls which name no batch.",
        Format.TEXT,
    )
    dataset: DatasetType = resolved_by(dataset_of, "The dataset that the documents are of.", reads=related("dataset"))
    status: BatchStatus = plain("Where the batch stands.", Format.TEXT)
    record_count: Long = plain(
        "How many facts of the batch are stored now: of records each version that it brought, of events those that were not there. It falls to 0 when a job takes them back.",
        Format.NUMBER,
    )
    failed_count: Long = plain("How many documents were refused; `errors` says why.", Format.NUMBER)
    created_at: datetime = plain("When the batch was made.", Format.TIME)
    completed_at: datetime | None = plain("When it was completed or aborted; null while it is loading.", Format.TIME)
    created_by: str | None = plain(
        "Who made it: the subject of a token, or the user of a command; null where that is not known.",
        Format.TEXT,
    )
    revertible_until: datetime | None = resolved_by(
        _revertible_until,
        "Until when it can be reverted, as versions of records that would come back are kept no longer then. Null for a batch of events, for which nothing is thrown away, while it takes documents, and once it is taken back.",
    )
    errors: Connection[IngestErrorType] = resolved_by(
        _errors,
        "The documents that were refused, each with all the rules it breaks, in the order they came. Needs the scope `profile:read`.",
    )


# ------------------------------------------------------------------------------------------------ queries


async def _batches(
    info: Info,
    *,
    given: FilterArgument = None,
    order_by: OrderArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[Batch]:
    context = info.context
    listing, asked = batch_page("all datasets", given, order_by, first=first, after=after, last=last, before=before)
    page = await batch_lists.list_batches(context.db, context.scope, asked)
    return listing.paged(page, lambda: batch_lists.count_batches(context.db, context.scope, asked.passing))


async def _batch(info: Info, batch_id: BatchId) -> Batch | None:
    return await look_up(info.context, read_batches, batch_id, "Batch")


async def read_batches(context: Context, keys: Sequence[UUID]) -> list[Batch | None]:
    """Read the batches with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    context.scope.require(*READ_BATCHES)
    return await context.loaders.batch_by_id.load_many(keys)


@strawberry.type(description="Queries of batches.")
class BatchQuery:
    batches: Connection[BatchType] = resolved_by(_batches, "What came in together, of all datasets, the newest first.")
    batch: BatchType | None = resolved_by(_batch, "The batch with this id; null where the sandbox has none.")


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A batch to be filled.")
class CreateBatchInput:
    dataset_id: strawberry.ID = plain("The dataset that its documents will be of.")
    key: str | None = plain(
        "The client's own name for it: the same key gives the same batch again, so a file can be sent again after a crash; once that was aborted or reverted, another one; once it was deleted, CONFLICT. Without a key the batch is always new.",
        default=None,
    )


@strawberry.input(description="A batch to be completed or aborted.")
class BatchInput:
    id: strawberry.ID = plain("The batch that it is about.")


@strawberry.type(description="The batch that was made or changed, or what was wrong.")
class BatchPayload:
    batch: BatchType | None = changed("The batch as it is now; null where nothing was done.")
    system_job: SystemJobNode | None = started_job(
        "The job that takes back what came with an aborted batch; else null."
    )
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: CreateBatchInput) -> Batch:
    dataset_id = input_id(given.dataset_id, "Dataset", "datasetId")
    return await batches.create_batch(context.db, context.scope, context.config, dataset_id, given.key)


async def _complete(context: Context, given: BatchInput) -> Batch:
    return await batches.complete_batch(context.db, context.scope, input_id(given.id, "Batch", "id"))


async def _abort(context: Context, given: BatchInput) -> Started[Batch]:
    batch_id = input_id(given.id, "Batch", "id")
    return await batch_removal.abort_batch(context.db, context.scope, batch_id)


@strawberry.type(description="Mutations of batches.")
class BatchMutation:
    create_batch: BatchPayload = mutation(
        _create,
        Permission.PROFILE_WRITE,
        "Opens a batch; with a key that was used before, gives that batch again. Calls that name no batch share a rolling one. Needs the scope `profile:write`.",
    )
    complete_batch: BatchPayload = mutation(
        _complete,
        Permission.PROFILE_WRITE,
        "Ends a batch: it takes no more documents. Doing it again changes nothing. Needs the scope `profile:write`.",
    )
    abort_batch: BatchPayload = mutation(
        _abort,
        Permission.PROFILE_WRITE,
        "Gives a loading batch up and takes back all that came with it. A rolling batch cannot be aborted: others send into it, too. Needs the scope `profile:write`.",
    )

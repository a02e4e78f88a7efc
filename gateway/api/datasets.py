"""Datasets: where the documents of one source go."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gateway.api.batch_lists import FilterArgument, OrderArgument, batch_page
from gateway.api.context import Context, Info, later, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.mutations import UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field, look_up
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice, connection_of
from gateway.api.registry import XdmSchemaType
from gateway.api.scalars import Long
from gateway.domain.config import datasets
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.registry import XdmSchema
from gateway.domain.facts.batches import Batch

DATASETS: Listing[Dataset] = Listing("datasets", lambda dataset: (dataset.name, dataset.dataset_id))

DatasetId = Annotated[strawberry.ID, strawberry.argument(name="id", description="The `id` of a dataset.")]


def dataset_of(parent: strawberry.Parent[Any], info: Info) -> Dataset:
    """Return the dataset of anything that has a `dataset_id`: a batch, a record, an event."""
    return info.context.config.datasets[parent.dataset_id]


def _schema(dataset: strawberry.Parent[Dataset], info: Info) -> XdmSchema:
    return info.context.config.schemas[dataset.schema_id]


async def _record_count(dataset: strawberry.Parent[Dataset], info: Info) -> int:
    return await info.context.loaders.record_count_by_dataset.load(dataset.dataset_id)


async def _batches(
    dataset: strawberry.Parent[Dataset],
    info: Info,
    *,
    given: FilterArgument = None,
    order_by: OrderArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[Batch]:
    loaders, dataset_id = info.context.loaders, dataset.dataset_id
    window = {"first": first, "after": after, "last": last, "before": before}
    listing, asked = batch_page(str(dataset_id), given, order_by, **window)
    page = await loaders.batches_by_dataset.load((asked, dataset_id))
    return listing.paged(page, lambda: loaders.batch_count_by_dataset.load((asked.passing, dataset_id)))


@strawberry.type(
    name="Dataset", description="Where the documents of one source go: records or events, all of one schema."
)
class DatasetType(Node):
    domain = Dataset

    id: strawberry.ID = id_field(
        "Global id; the same one stands in the path `/ingest/{datasetId}`.", "Dataset", "dataset_id"
    )
    name: str = plain("What people call the dataset; no two of a sandbox share a name.")
    description: str | None = plain("What the data is and where it comes from; null where nobody said.")
    schema: XdmSchemaType = resolved_by(
        _schema, "The schema that every document is checked against; it never changes to another."
    )
    is_profile_enabled: bool = plain(
        "Whether the documents feed profiles and the identity graph; once they do, they always do."
    )
    record_count: Long = resolved_by(
        _record_count, "How many records or events were accepted; refused and reverted ones are left out."
    )
    created_at: datetime = plain("When the dataset was made.")
    batches: Any = resolved_by(
        _batches, "What came in together, the newest first.", connection_of(later("gateway.api.batches", "BatchType"))
    )


# ------------------------------------------------------------------------------------------------ queries


async def _datasets(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[Dataset]:
    info.context.require_configuration()
    return DATASETS.cut(info.context.config.datasets.values(), DATASETS.window(first, after, last, before))


async def _dataset(info: Info, dataset_id: DatasetId) -> Dataset | None:
    return await look_up(info.context, read_datasets, dataset_id, "Dataset")


async def read_datasets(context: Context, keys: Sequence[UUID]) -> list[Dataset | None]:
    """Return the datasets with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    context.require_configuration()
    return [context.config.datasets.find(key) for key in keys]


@strawberry.type(description="Queries of datasets.")
class DatasetQuery:
    datasets: Connection[DatasetType] = resolved_by(_datasets, "All datasets of the sandbox, by name.")
    dataset: DatasetType | None = resolved_by(_dataset, "The dataset with this id; null where the sandbox has none.")


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A dataset to be made.")
class CreateDatasetInput:
    name: str = plain("What people will call it: 1 to 255 characters, not the name of another dataset.")
    description: str | None = plain("What the data is and where it comes from.", default=None)
    schema_id: strawberry.ID = plain("The schema that its documents will have, for good.")
    enable_for_profile: bool | None = plain(
        "Whether its documents feed profiles; the schema must be enabled for that, too.", default=True
    )


@strawberry.input(description="Changes of a dataset. A field that is left out stays as it is.")
class UpdateDatasetInput:
    id: strawberry.ID = plain("The dataset to change.")
    name: str | None = plain("Its new name; null, too, leaves the name as it is.", default=None)
    description: str | None = plain("Its new description; null removes the old one.", default=strawberry.UNSET)
    enable_for_profile: bool | None = plain(
        "True makes its documents feed profiles from now on; that cannot be undone.", default=None
    )


@strawberry.type(description="The dataset that was made or changed, or what was wrong.")
class DatasetPayload:
    dataset: DatasetType | None = changed("The dataset as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: CreateDatasetInput) -> Dataset:
    return await datasets.create_dataset(
        context.db,
        context.scope,
        name=given.name,
        schema_id=input_id(given.schema_id, "XdmSchema", "schemaId"),
        description=given.description,
        is_profile_enabled=given.enable_for_profile is not False,
    )


async def _update(context: Context, given: UpdateDatasetInput) -> Dataset:
    changes = {"name": given.name, "is_profile_enabled": given.enable_for_profile}
    changes = {field: value for field, value in changes.items() if value is not None}
    if given.description is not strawberry.UNSET:
        changes["description"] = given.description
    return await datasets.update_dataset(context.db, context.scope, input_id(given.id, "Dataset", "id"), changes)


@strawberry.type(description="Mutations of datasets.")
class DatasetMutation:
    create_dataset: DatasetPayload = mutation(
        _create, "Makes a dataset. Needs the scope `config:write`.", configures=True
    )
    update_dataset: DatasetPayload = mutation(
        _update,
        "Renames a dataset, describes it, or enables it for profile. Needs the scope `config:write`.",
        configures=True,
    )

"""Datasets: where the documents of one source go."""

from enum import StrEnum
from typing import Annotated, Any

import strawberry

from gateway.api.batch_lists import FilterArgument, OrderArgument, batch_page
from gateway.api.catalog import ById, ByName, Catalog, Filter, condition, configured, contains, equals, refers_to
from gateway.api.context import Context, Info, later, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.mutations import UserError, changed, changes_of, current_version, mutation, user_errors, warnings_by
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, OrderDirection, Slice, connection_of
from gateway.api.registry import XdmSchemaType
from gateway.api.scalars import Long, described
from gateway.api.weights import OBJECT, Weight
from gateway.domain.config import datasets
from gateway.domain.config.datasets import Dataset, DatasetStatus
from gateway.domain.config.registry import XdmSchema
from gateway.domain.config.retention_warnings import warnings_of_dataset
from gateway.domain.facts.batches import Batch
from gateway.domain.rules.limits import DAYS
from gateway.domain.rules.scope import Permission
from gateway.projection.tree import Format

described(
    DatasetStatus,
    "DatasetStatus",
    "Whether a dataset takes documents.",
    ACTIVE="It takes documents.",
    DELETING="A job empties it, and it takes nothing meanwhile; afterwards it is ACTIVE and empty.",
)


class DatasetOrderField(StrEnum):
    """What datasets can be ordered by."""

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"


described(
    DatasetOrderField,
    "DatasetOrderField",
    "What datasets are ordered by; where that is equal, by id.",
    NAME="The name, by code points.",
    CREATED_AT="When the dataset was made.",
)

DATASETS: Catalog[Dataset] = Catalog(
    "Dataset",
    "datasets",
    configured(lambda context: context.config.datasets),
    "name",
    {
        DatasetOrderField.NAME: lambda dataset: (dataset.name, dataset.dataset_id),
        DatasetOrderField.CREATED_AT: lambda dataset: (dataset.created_at, dataset.dataset_id),
    },
)


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
class DatasetType(Edited, Node):
    domain = Dataset
    is_loaded = False

    id: strawberry.ID = id_field(
        "Global id; the same one stands in the path `/ingest/{datasetId}`.", "Dataset", "dataset_id"
    )
    name: str = plain("What people call the dataset; no two of a sandbox share a name.", Format.TEXT)
    description: str | None = plain("What the data is and where it comes from; null where nobody said.", Format.TEXT)
    schema: XdmSchemaType = resolved_by(
        _schema, "The schema that every document is checked against; it never changes to another."
    )
    is_profile_enabled: bool = plain(
        "Whether the documents feed profiles and the identity graph; once they do, they always do.",
        Format.BOOLEAN,
    )
    status: DatasetStatus = plain("Whether it takes documents.", Format.TEXT)
    event_retention_days: int | None = plain(
        "How many days its events are kept, by their `timestamp`: one that is older when it comes is refused with the code EXPIRED, and a daily job removes those that have grown older, with people of whom nothing is left. Null keeps events of any age.",
        Format.NUMBER,
    )
    record_count: Long = resolved_by(
        _record_count,
        "How many facts are stored now: versions of records, or events.",
        weight=Weight(5 * OBJECT),
    )
    batches: Any = resolved_by(
        _batches, "What came in together, the newest first.", connection_of(later("gateway.api.batches", "BatchType"))
    )


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which datasets are wanted: those that fit all that is given.")
class DatasetFilter(Filter):
    name: str | None = condition("Only those whose name contains this text, without regard to case.", contains("name"))
    schema_id: strawberry.ID | None = condition(
        "Only those whose documents have this schema.", refers_to("XdmSchema", "schema_id", "schemaId")
    )
    is_profile_enabled: bool | None = condition(
        "Only those that feed profiles, or only the others.", equals("is_profile_enabled")
    )


@strawberry.input(description="How datasets are ordered.")
class DatasetOrder:
    field: DatasetOrderField = plain("What to order by.", default=DatasetOrderField.NAME)
    direction: OrderDirection = plain("Which end comes first.", default=OrderDirection.ASC)


Wanted = Annotated[
    DatasetFilter | None,
    strawberry.argument(name="filter", description="Which datasets are wanted; all without it."),
]
OrderBy = Annotated[
    DatasetOrder | None, strawberry.argument(description="How the datasets are ordered; by name without it.")
]


async def _datasets(
    info: Info,
    *,
    wanted: Wanted = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[Dataset]:
    return await DATASETS.page(info.context, (first, after, last, before), wanted, order_by)


async def _dataset(info: Info, dataset_id: ById = None, name: ByName = None) -> Dataset | None:
    return await DATASETS.one(info.context, dataset_id, name)


@strawberry.type(description="Queries of datasets.")
class DatasetQuery:
    datasets: Connection[DatasetType] = resolved_by(_datasets, "The datasets of the sandbox.")
    dataset: DatasetType | None = resolved_by(
        _dataset, "The dataset with this id or this name; null where the sandbox has none."
    )


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
    event_retention_days: int | None = plain(
        f"How many days its events are kept, from 1 to {DAYS:,}: older ones that are there go for good within a day. Null keeps events of any age. A dataset of records has none.",
        default=strawberry.UNSET,
    )
    current_version: int | None = current_version()


@strawberry.type(description="The dataset that was made or changed, or what was wrong.")
class DatasetPayload:
    dataset: DatasetType | None = changed("The dataset as it is now; null where nothing was done.")
    warnings: list[str] = warnings_by(
        warnings_of_dataset,
        "For each computed attribute that is of older events than the dataset keeps, a sentence that says so.",
    )
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
    named = {"name": given.name, "is_profile_enabled": given.enable_for_profile}
    nullable = {"description": given.description, "event_retention_days": given.event_retention_days}
    dataset_id = input_id(given.id, "Dataset", "id")
    changes = changes_of(named, nullable)
    return await datasets.update_dataset(context.db, context.scope, dataset_id, changes, given.current_version)


@strawberry.type(description="Mutations of datasets.")
class DatasetMutation:
    create_dataset: DatasetPayload = mutation(
        _create, Permission.CONFIG_WRITE, "Makes a dataset. Needs the scope `config:write`.", configures=True
    )
    update_dataset: DatasetPayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Renames a dataset, describes it, enables it for profile, or says how old its events may be. Needs the scope `config:write`.",
        configures=True,
    )

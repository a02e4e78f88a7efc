"""Datasets: where the documents of one source go, all of one schema.

A dataset's schema never changes. A dataset that is enabled for profile feeds profiles and the identity graph, and stays enabled.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from gateway.domain.config.broken_rows import Broken, parse_rows
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.edited import Edited, check_version
from gateway.domain.rules.limits import DATASETS, check_days, check_room
from gateway.domain.rules.names import check_description, check_name
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Invalid, NotFound, Taken
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

LIST = query("datasets.list_datasets")
READ_SCHEMA = query("datasets.read_schema")
CREATE = query("datasets.create_dataset")
UPDATE = query("datasets.update_dataset")
READ_OLDEST_TIME = query("datasets.read_oldest_time")
COUNT_RECORDS = query("datasets.count_records")


class DatasetStatus(StrEnum):
    """Whether a dataset takes documents. DELETING: a job empties it, and it takes none meanwhile."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"


@dataclass(frozen=True, slots=True)
class Dataset(Edited):
    """A dataset with its current settings. Events that are older than `event_retention_days` are refused and removed; None: none are."""

    dataset_id: UUID
    schema_id: UUID
    name: str
    description: str | None
    is_profile_enabled: bool
    event_retention_days: int | None
    status: DatasetStatus


async def load_datasets(tx: Session, scope: Scope, broken: Broken[UUID] | None = None) -> list[Dataset]:
    """Load all datasets of the sandbox, by name. Needs no permission. Rows that cannot be parsed go into `broken`."""
    rows = await tx.rows(LIST, scope.sandbox_id)
    return parse_rows(rows, _dataset_of_row, broken, table="dataset", key="dataset_id", name="name")


async def create_dataset(
    db: Database,
    scope: Scope,
    *,
    name: str,
    schema_id: UUID,
    description: str | None = None,
    is_profile_enabled: bool = True,
) -> Dataset:
    """Create a dataset. Needs `config:write`. Raises Forbidden, Invalid, Taken, TooMany, and NotFound for the schema."""
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        others = await _locked(tx, scope)
        check_room(len(others), DATASETS, "datasets", "A sandbox")
        _check(name, description, others)
        await _check_schema(tx, scope, schema_id, enables=is_profile_enabled)
        columns = (uuid4(), schema_id, name, description, is_profile_enabled)
        stamps: Any = await tx.row(CREATE, scope.sandbox_id, *columns, scope.actor)
        dataset = Dataset(*columns, None, DatasetStatus.ACTIVE, **stamps)
        await audit.record(tx, scope, "createDataset", Subject("Dataset", (dataset.dataset_id,)), after=dataset)
    return dataset


async def update_dataset(
    db: Database, scope: Scope, dataset_id: UUID, changes: Mapping[str, Any], current_version: int | None = None
) -> Dataset:
    """Change a dataset's `name`, `description`, `is_profile_enabled` or `event_retention_days`, and return it. Needs `config:write`.

    Raises Forbidden, NotFound, Taken, Stale unless `current_version` is None or the dataset's version, and Invalid, also for disabling it
    for profile and for a retention of a dataset of records.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        datasets = await _locked(tx, scope)
        old = next((dataset for dataset in datasets if dataset.dataset_id == dataset_id), None)
        if old is None:
            raise NotFound("There is no dataset with this id.", path=["id"])
        check_version(old.version, current_version)
        new = replace(old, **changes)
        _check(new.name, new.description, [dataset for dataset in datasets if dataset is not old])
        if old.is_profile_enabled and not new.is_profile_enabled:
            raise Invalid("A dataset that is enabled for profile stays so.", path=["enableForProfile"])
        check_days(new.event_retention_days, "eventRetentionDays")
        xdm_class = await _check_schema(tx, scope, new.schema_id, enables=new.is_profile_enabled)
        if new.event_retention_days is not None and xdm_class is not XdmClass.EXPERIENCE_EVENT:
            raise Invalid("The dataset holds records; only events have a retention.", path=["eventRetentionDays"])
        if new != old:
            columns = (new.name, new.description, new.is_profile_enabled, new.event_retention_days)
            stamps: Any = await tx.row(UPDATE, scope.sandbox_id, dataset_id, *columns)
            new = replace(new, **stamps)
            await audit.record(tx, scope, "updateDataset", Subject("Dataset", (dataset_id,)), before=old, after=new)
    return new


async def read_oldest_time(db: Database, scope: Scope, dataset: Dataset) -> datetime | None:
    """Read the time before which events are too old for the dataset, by the clock of the database; None if it takes events of any age.

    Needs no permission. Runs no statement for a dataset without a retention.
    """
    if dataset.event_retention_days is None:
        return None
    oldest: datetime | None = await db.value(READ_OLDEST_TIME, scope.sandbox_id, dataset.dataset_id)
    return oldest


async def count_records(db: Database, scope: Scope, dataset_ids: Sequence[UUID]) -> list[int]:
    """Count the accepted documents of each dataset, in order, without those of aborted and removed batches; 0 for an unknown one.

    Needs `profile:read` or `config:write`. Raises Forbidden.
    """
    scope.require(*READ_CONFIGURATION)
    counts = {row["dataset_id"]: row["count"] for row in await db.rows(COUNT_RECORDS, scope.sandbox_id, dataset_ids)}
    return [counts.get(dataset_id, 0) for dataset_id in dataset_ids]


def _dataset_of_row(row: Any) -> Dataset:
    return Dataset(**{**row, "status": DatasetStatus(row["status"])})


async def _locked(tx: Session, scope: Scope) -> list[Dataset]:
    """Load the datasets under the lock of the configuration."""
    await lock_configuration(tx, scope)
    return await load_datasets(tx, scope)


def _check(name: str, description: str | None, others: Collection[Dataset]) -> None:
    check_name(name)
    check_description(description)
    if any(other.name == name for other in others):
        raise Taken(f"There is a dataset {name!r} already.", path=["name"])


async def _check_schema(tx: Session, scope: Scope, schema_id: UUID, *, enables: bool) -> XdmClass:
    """Check that a dataset can have the schema, enabled for profile or not, and return the schema's class."""
    schema = await tx.row(READ_SCHEMA, scope.sandbox_id, schema_id)
    if schema is None:
        raise NotFound("There is no schema with this id.", path=["schemaId"])
    if enables and not schema["is_profile_enabled"]:
        raise Invalid("The schema is not enabled for profile; enable the schema first.", path=["enableForProfile"])
    return XdmClass(schema["class"])

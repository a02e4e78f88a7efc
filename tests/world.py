"""A small sandbox to test in, built with the domain's own verbs: a CRM and a loyalty programme, a web shop's events."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.config import datasets, policies, registry, sandboxes, tenants
from gateway.domain.config.computed_attributes import AttributeSettings, ComputedAttribute, create_attribute
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.projection_configurations import (
    EventWindow,
    ProjectionConfiguration,
    ProjectionSettings,
    create_projection,
)
from gateway.domain.config.projection_destinations import DestinationSettings, ReplicationPolicy, create_destination
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.config.validator_cache import VALIDATORS
from gateway.domain.facts import batches
from gateway.domain.ingest import ingestion
from gateway.domain.ingest.ingestion import IngestResult
from gateway.domain.operations import erasure
from gateway.domain.operations.attribute_backfill import backfill_computed_attribute
from gateway.domain.operations.batch_removal import abort_batch, delete_batch, empty_batch, revert_batch
from gateway.domain.operations.dataset_removal import delete_dataset, empty_dataset
from gateway.domain.reading import identity_graphs
from gateway.domain.reading.identity_graphs import IdentityGraph
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.limits import ATTRIBUTES
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Sandbox, Scope
from gateway.domain.rules.versions import Mode
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import read_jobs
from gateway.domain.work.jobs import Job
from gateway.domain.work.locks import LOCK_EXCLUSIVE
from gateway.storage.database import Database
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

_codes = count(1)

DOCUMENTS = Query(
    "test.documents",
    "select document from gateway.profile where sandbox_id = $1 order by document::text",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)
COUNT_NOTHING = Query(
    "test.count_nothing",
    "update gateway.batch set record_count = 0 where sandbox_id = $1",
    ("sandbox_id",),
    (),
    "none",
    "For tests.",
)
PEOPLE = Query(
    "test.people", "select xids from gateway.graph where sandbox_id = $1", ("sandbox_id",), (), "rows", "For tests."
)


@dataclass
class World:
    """A sandbox with its datasets. Its methods call the domain, with defaults for arguments that tests rarely vary."""

    db: Database
    scope: Scope
    crm: Dataset
    loyalty: Dataset
    shop: Dataset
    configurations: Configurations = field(default_factory=Configurations)

    @classmethod
    async def create(
        cls,
        db: Database,
        code: str | None = None,
        identities: Sequence[IdentityDescriptor] = (),
        custom_fields: dict[str, Any] | None = None,
    ) -> "World":
        organization = await sandboxes.create_organization(db, code or f"org{next(_codes)}", "An organization")
        sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
        assert sandbox is not None
        return await cls.inside(
            db,
            Scope(organization, sandbox, frozenset({Permission.ADMIN}), frozenset({EVERY_SANDBOX})),
            identities,
            custom_fields,
        )

    @classmethod
    async def inside(
        cls,
        db: Database,
        scope: Scope,
        identities: Sequence[IdentityDescriptor] = (),
        custom_fields: dict[str, Any] | None = None,
    ) -> "World":
        """Create the schemas and datasets in an existing sandbox. `identities` describe records, `custom_fields` records and events."""
        person = await _schema(
            db, scope, "Person", XdmClass.INDIVIDUAL_PROFILE, identities=identities, custom_fields=custom_fields
        )
        event = await _schema(db, scope, "Event", XdmClass.EXPERIENCE_EVENT, custom_fields=custom_fields)
        made = [
            await _dataset(db, scope, name, schema)
            for name, schema in [("CRM", person), ("Loyalty", person), ("Shop", event)]
        ]
        return cls(db, scope, *made)

    def inside_of(self, db: Database) -> "World":
        """Return the world in a copy of its database. Drop cached validators of changed schemas: other copies give their versions to others."""
        for key in [(schema_id, version) for schema_id, version in VALIDATORS._cache._values if version > 1]:
            VALIDATORS._cache.drop(key)
        return replace(self, db=db, configurations=Configurations())

    async def config(self):
        """Read the current configuration."""
        return await self.configurations.read(self.db, self.scope, (await self.fresh_sandbox()).config_version)

    async def records(
        self, *documents: Any, dataset: Dataset | None = None, mode: Mode = Mode.REPLACE, batch_id: UUID | None = None
    ) -> IngestResult:
        dataset_id = (dataset or self.crm).dataset_id
        return await ingestion.ingest_records(
            self.db, self.scope, self.configurations, dataset_id, documents, mode=mode, batch_id=batch_id
        )

    async def events(self, *documents: Any, batch_id: UUID | None = None) -> IngestResult:
        return await ingestion.ingest_events(
            self.db, self.scope, self.configurations, self.shop.dataset_id, documents, batch_id=batch_id
        )

    async def batch(self, key: str, dataset: Dataset | None = None) -> UUID:
        """Create a batch with this key, or find it, and return its id."""
        dataset_id = (dataset or self.crm).dataset_id
        batch = await batches.create_batch(self.db, self.scope, await self.config(), dataset_id, key)
        return batch.batch_id

    async def abort(self, batch_id: UUID) -> None:
        """Abort a batch, and do the job that empties it."""
        await abort_batch(self.db, self.scope, batch_id)
        await self.empty_batches()

    async def revert(self, batch_id: UUID) -> None:
        """Complete a batch, revert it, and do the job that empties it."""
        await batches.complete_batch(self.db, self.scope, batch_id)
        await revert_batch(self.db, self.scope, batch_id)
        await self.empty_batches()

    async def delete(self, batch_id: UUID) -> None:
        """Delete a batch, and do the job that empties it."""
        await delete_batch(self.db, self.scope, batch_id)
        await self.empty_batches()

    async def publish(
        self,
        name: str,
        expression: str,
        lookback: Duration | None = None,
        xdm_class: XdmClass = XdmClass.INDIVIDUAL_PROFILE,
    ) -> ComputedAttribute:
        """Make a computed attribute and publish it, and do the job that reads the past for it."""
        settings = AttributeSettings(name, name, expression, lookback=lookback, xdm_class=xdm_class)
        unions = (await self.config()).unions
        made = await create_attribute(self.db, self.scope, unions, settings, most=ATTRIBUTES, publish=True)
        await self.backfill()
        return made

    async def project(
        self,
        name: str,
        selector: str,
        events: EventWindow | None = None,
        *,
        to: tuple[str, ...] = ("VA6",),
        by: ReplicationPolicy = ReplicationPolicy.PROACTIVE,
    ) -> ProjectionConfiguration:
        """Make a configuration of projections to data centres of its own; edges see people as the default policy does."""
        default = (await self.config()).default_policy
        if not default.settings.is_active_on_edge:
            await policies.update_policy(self.db, self.scope, default.policy_id, {"is_active_on_edge": True})
        destination = await create_destination(self.db, self.scope, DestinationSettings(to, 3_600, by))
        settings = ProjectionSettings(name, destination.destination_id, selector, events)
        return await create_projection(self.db, self.scope, (await self.config()).selectable, settings)

    async def backfill(self) -> None:
        """Do the jobs that read the past for computed attributes."""
        while job := await leases.claim(self.db, [JobKind.BACKFILL_COMPUTED_ATTRIBUTE]):
            work = backfill_computed_attribute(self.db, self.scope, self.configurations, job)
            await leases.carry_out(self.db, job, work)

    async def empty_batches(self) -> None:
        """Do the jobs that empty batches."""
        while job := await leases.claim(self.db, [JobKind.ABORT_BATCH, JobKind.REVERT_BATCH, JobKind.DELETE_BATCH]):
            await leases.carry_out(self.db, job, empty_batch(self.db, self.scope, self.configurations, job))

    async def clear(self, dataset: Dataset) -> None:
        """Delete a dataset, and do the job that empties it."""
        await delete_dataset(self.db, self.scope, dataset.dataset_id)
        while job := await leases.claim(self.db, [JobKind.DELETE_DATASET]):
            await leases.carry_out(self.db, job, empty_dataset(self.db, self.scope, self.configurations, job))

    async def erase(self, *xids: UUID, **how: Any) -> Job:
        """Erase people, and do the job. Return it."""
        job = await erasure.delete_profiles(self.db, self.scope, xids, **how)
        while claim := await leases.claim(self.db, [JobKind.DELETE_PROFILE]):
            await leases.carry_out(
                self.db, claim, erasure.erase_people(self.db, self.scope, self.configurations, claim)
            )
        (ended,) = await read_jobs(self.db, self.scope, [job.job_id])
        return ended

    async def together(self, *calls: Coroutine[Any, Any, IngestResult]) -> list[Any]:
        """Run calls as one group commit and return their outcomes. The first must be a deletion, which needs the exclusive lock."""
        async with asyncio.timeout(60), self.db.transaction() as tx:
            await tx.execute(LOCK_EXCLUSIVE, self.scope.sandbox_id)
            tasks = []
            for call in calls:
                tasks.append(asyncio.create_task(call))
                while self._waiting() < len(tasks):  # noqa: ASYNC110 (there is no event to wait for)
                    await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)

    def _waiting(self) -> int:
        queue = ingestion.GROUP_COMMITS._queues.get((self.db, self.scope.sandbox_id))
        return len(queue.waiting) if queue else 0

    async def empty(self) -> None:
        """Delete all facts and views, and keep the configuration."""
        async with self.db.transaction() as tx:
            for statement in (*sandboxes.EMPTY_SANDBOX, COUNT_NOTHING):
                await tx.execute(statement, self.scope.sandbox_id)

    async def people(self) -> set[tuple[UUID, ...]]:
        """List the xids of each person."""
        rows = await self.db.rows(PEOPLE, self.scope.sandbox_id)
        return {tuple(row["xids"]) for row in rows}

    async def documents(self) -> list[dict[str, Any]]:
        """List the materialized documents of all policies."""
        rows = await self.db.rows(DOCUMENTS, self.scope.sandbox_id)
        return [orjson.loads(row["document"]) for row in rows]

    async def graphs(self, xids: Sequence[UUID]) -> list[IdentityGraph | None]:
        """Read the graph that each xid leads to, None for an unknown one."""
        config = await self.config()
        members = await identity_graphs.find_members(self.db, self.scope, config, xids)
        read = iter(await identity_graphs.read_graphs(self.db, self.scope, config, [each for each in members if each]))
        return [next(read) if each else None for each in members]

    async def fresh_sandbox(self) -> Sandbox:
        """Read the sandbox with the current version of its configuration."""
        sandbox = await tenants.read_sandbox(self.db, self.scope.organization.organization_id, self.scope.sandbox.name)
        assert sandbox is not None
        return sandbox

    async def xid(self, namespace: str, value: str) -> UUID:
        found = (await self.config()).namespace(namespace)
        assert found is not None
        return found.xid(self.scope.sandbox, value)


def record(*identities: tuple[str, str], first_name: str | None = None, **fields: Any) -> dict[str, Any]:
    """Make a record that names these identities, the first one as its primary identity."""
    person = {"person": {"name": {"firstName": first_name}}} if first_name else {}
    return {"identityMap": identity_map(identities), **person, **fields}


def day(number: int) -> str:
    """Format a day of January 2026 as in documents."""
    return f"2026-01-{number:02}T00:00:00.000Z"


def at(number: int) -> datetime:
    """Return a day of January 2026 as rows hold it."""
    return datetime(2026, 1, number, tzinfo=UTC)


def event(event_id: str, timestamp: str, *identities: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """Make an event that names these identities, the first one as its primary identity."""
    return {"_id": event_id, "timestamp": timestamp, "identityMap": identity_map(identities), **fields}


def identity_map(identities: Sequence[tuple[str, str]]) -> dict[str, list[dict[str, Any]]]:
    mapped: dict[str, list[dict[str, Any]]] = {}
    for place, (namespace, value) in enumerate(identities):
        item = {"id": value, "primary": True} if place == 0 else {"id": value}
        mapped.setdefault(namespace, []).append(item)
    return mapped


async def _schema(db: Database, scope: Scope, title: str, xdm_class: XdmClass, **described: Any) -> UUID:
    schema = await registry.create_schema(db, scope, title=title, xdm_class=xdm_class, **described)
    return schema.schema_id


async def _dataset(db: Database, scope: Scope, name: str, schema_id: UUID) -> Dataset:
    return await datasets.create_dataset(db, scope, name=name, schema_id=schema_id)

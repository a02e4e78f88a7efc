"""The configuration of a sandbox as one immutable value, and the cache of configurations in this process.

Every change of configuration increments `sandbox.config_version` in its own transaction, and every request reads that number with its
sandbox. A cached configuration is valid exactly as long as its version is not smaller, so processes need not notify each other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Never, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from gateway.domain.config.attribute_programs import Definition, Programs, Unions, with_attributes
from gateway.domain.config.broken_rows import Broken, BrokenRow
from gateway.domain.config.computed_attributes import AttributeStatus, ComputedAttribute, fields_of, load_attributes
from gateway.domain.config.datasets import Dataset, DatasetStatus, load_datasets
from gateway.domain.config.namespaces import Namespace, load_namespaces, unknown_namespace, with_codes
from gateway.domain.config.policies import MergePolicy, load_policies
from gateway.domain.config.projection_configurations import (
    ProjectionConfiguration,
    Selectable,
    fitted,
    load_projections,
)
from gateway.domain.config.projection_destinations import ProjectionDestination, load_destinations
from gateway.domain.config.registry import XdmSchema, load_schemas, select_usable, union_of
from gateway.domain.rules.buckets import size_of_buckets
from gateway.domain.rules.durations import EARLIEST, Duration
from gateway.domain.rules.graphs import Rules
from gateway.domain.rules.scope import Scope
from gateway.domain.work.instants import snapshot_of
from gateway.errors import BadInput, Conflict, Forbidden, Misconfigured, NotFound, Unavailable
from gateway.pql.types import ObjectOf
from gateway.runtime.cache import WeightedCache
from gateway.runtime.late import late
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.telemetry import ConfigurationBroken, observe
from gateway.xdm import paths
from gateway.xdm.classes import XdmClass
from gateway.xdm.fields import Field
from gateway.xdm.paths import Composites
from gateway.xdm.validation import Validator

if TYPE_CHECKING:
    from gateway.domain.config import attribute_expressions
    from gateway.pql.partials import PartialOf
else:
    attribute_expressions = late("gateway.domain.config.attribute_expressions")

READ_VERSION = query("configuration.read_version")

K = TypeVar("K")
V = TypeVar("V")


class UsableRows(dict[K, V]):
    """The usable rows of one table in one version of the configuration, by key. Looking up a broken row raises Misconfigured."""

    def __init__(self, values: Mapping[K, V], broken: Mapping[K, BrokenRow]) -> None:
        super().__init__(values)
        self._broken = broken

    def __missing__(self, key: K) -> Never:
        """Raise Misconfigured for a broken row, and Unavailable for a key that only a newer version of the configuration has."""
        if key in self._broken:
            raise Misconfigured(self._broken[key].message)
        raise Unavailable("The configuration has just changed; try again.")

    def find(self, key: K) -> V | None:
        """Return the value with this key, None if there is none. Raises Misconfigured for a broken row."""
        return self[key] if key in self or key in self._broken else None

    def named(self, name: str, read: Callable[[V], str]) -> V | None:
        """Return the value whose name, as `read` gives it, is this one; None if there is none. Raises Misconfigured for a broken row."""
        for row in self._broken.values():
            if row.name == name:
                raise Misconfigured(row.message)
        return next((value for value in self.values() if read(value) == name), None)


@dataclass(frozen=True, slots=True)
class KeptPartial:
    """The partials of a published attribute: where they stand, how far they are looked back on, and how long their buckets are in seconds.

    `is_complete`: the history of its events was read to its end.
    """

    name: str
    slot: int
    lookback: Duration | None
    seconds: int
    partial: "PartialOf"
    is_complete: bool

    def since(self, at: datetime) -> datetime:
        """Return the beginning of the window that ends at an instant."""
        return EARLIEST if self.lookback is None else self.lookback.before(at)


@dataclass(frozen=True, eq=False)
class Configuration:
    """The whole configuration of a sandbox at one version. Requests share it: never change what it holds. It is a key of what is made of it."""

    sandbox_id: int
    version: int
    tenant_code: str
    namespaces: UsableRows[int, Namespace]
    schemas: UsableRows[UUID, XdmSchema]
    datasets: UsableRows[UUID, Dataset]
    policies: UsableRows[UUID, MergePolicy]
    attributes: UsableRows[UUID, ComputedAttribute]
    destinations: UsableRows[UUID, ProjectionDestination]
    projections: UsableRows[UUID, ProjectionConfiguration]
    broken: tuple[BrokenRow, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What is wrong with rows of it, a sentence each."""
        of_projections = (f"The projection {one.name!r}: {one.fault}" for one in self.projections.values() if one.fault)
        return [*(row.message for row in self.broken), *of_projections]

    def namespace(self, code: str) -> Namespace | None:
        """Return the namespace with this code, None if there is none. Raises Misconfigured for a broken one."""
        return self._by_code.get(code) or self.namespaces.named(code, attrgetter("code"))

    def unknown_namespace(self, code: str) -> str:
        """Return the error message for a code that no namespace has; it names the code that may be meant."""
        return unknown_namespace(code, self._by_code)

    def dataset(self, dataset_id: UUID) -> Dataset:
        """Return the dataset that a mutation's `datasetId` names. Raises NotFound, Misconfigured."""
        dataset = self.datasets.find(dataset_id)
        if dataset is None:
            raise NotFound("There is no dataset with this id.", path=["datasetId"])
        return dataset

    def open_dataset(self, dataset_id: UUID) -> Dataset:
        """Return the dataset that documents or batches are for. Raises NotFound, Misconfigured, and Conflict while a job empties it."""
        dataset = self.dataset(dataset_id)
        if dataset.status is DatasetStatus.DELETING:
            raise Conflict("The dataset is DELETING: it takes nothing until a job has emptied it.", path=["datasetId"])
        return dataset

    def policy(self, policy_id: UUID | None) -> MergePolicy:
        """Return the merge policy of a read, the default one for None. Raises BadInput for an unknown id, Misconfigured."""
        if policy_id is None:
            return self.default_policy
        policy = self.policies.find(policy_id)
        if policy is None:
            raise BadInput("There is no merge policy with this id.")
        return policy

    @cached_property
    def default_policy(self) -> MergePolicy:
        """The policy of reads that name none; every sandbox has one. Raises Misconfigured if it is broken."""
        for policy in self.policies.values():
            if policy.settings.is_default:
                return policy
        faults = [row.message for row in self.broken if row.table == "merge_policy"]
        raise Misconfigured(" ".join(["The sandbox has no default merge policy that can be used.", *faults]))

    @property
    def edge_policy(self) -> MergePolicy | None:
        """The policy by which edges see people; None where no policy is active on the edge."""
        return next((policy for policy in self.policies.values() if policy.settings.is_active_on_edge), None)

    @cached_property
    def materialized(self) -> list[MergePolicy]:
        """The policies with materialized profiles, BUILDING ones included.

        Raises Misconfigured if the row of one of them is broken: a write that left out its profiles would leave them outdated.
        """
        for row in self.broken:
            if row.is_kept:
                raise Misconfigured(row.message)
        return [policy for policy in self.policies.values() if policy.is_materialized]

    @cached_property
    def rules(self) -> Rules:
        """The identity settings in the form that the graph rules take."""
        listed = self.namespaces.values()
        return Rules(
            {namespace.namespace_id: namespace.priority for namespace in listed if namespace.priority is not None},
            frozenset(namespace.namespace_id for namespace in listed if namespace.is_unique_per_graph),
        )

    def members(self, xdm_class: XdmClass) -> tuple[XdmSchema, ...]:
        """List the profile-enabled schemas of a class, oldest first: its union is made of them."""
        schemas = self.schemas.values()
        return tuple(schema for schema in schemas if schema.is_profile_enabled and schema.xdm_class is xdm_class)

    def union(self, xdm_class: XdmClass) -> Field:
        """Return the union of the profile-enabled schemas of a class; if there are none, all fields that ship for the class.

        Calls with equal schemas mostly get one cached object: never change it.
        """
        return _union(xdm_class, self.tenant_code, self.members(xdm_class))

    def full_union(self, xdm_class: XdmClass) -> Field:
        """Return the union of a class with the published computed attributes, as selections have it. Never change it."""
        return self._full_unions[xdm_class]

    def with_codes(self, union: Field) -> Field:
        """Return a union of the sandbox whose `identityMap` has the codes of namespaces as its only keys, to check selectors and paths against."""
        return with_codes(union, [*self._by_code, *(row.name for row in self.broken if row.table == "namespace")])

    @property
    def unions(self) -> Unions:
        """The unions of both classes, for expressions over a profile and its events."""
        profile, event = (self.union(each) for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT))
        return Unions(self.tenant_code, profile, event)

    def input_type(self, xdm_class: XdmClass) -> ObjectOf:
        """Return the type of what an expression of a class is about: a profile with its events, or one event; with their published attributes."""
        if xdm_class is XdmClass.EXPERIENCE_EVENT:
            return attribute_expressions.event_type_of(self.unions, self.programs.events)
        return attribute_expressions.profile_type_of(self.unions, self.programs.readable)

    @property
    def selectable(self) -> Selectable:
        """What a projection can select."""
        profile, event = (self.with_codes(self.full_union(each)) for each in XdmClass)
        return Selectable(profile, event, self.input_type(XdmClass.EXPERIENCE_EVENT), self.unions.prefix)

    @cached_property
    def programs(self) -> Programs:
        """What the published computed attributes are computed by."""
        published = tuple(each.definition for each in self.attributes.values() if each.is_published)
        if not published:
            return Programs()
        members = tuple(self.members(each) for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT))
        return _programs(self.tenant_code, *members, published)

    @cached_property
    def _full_unions(self) -> Mapping[XdmClass, Field]:
        return {
            xdm_class: with_attributes(
                self.union(xdm_class), self.tenant_code, fields_of(xdm_class, self.attributes.values(), self.programs)
            )
            for xdm_class in XdmClass
        }

    @cached_property
    def faulty_attributes(self) -> list[UUID]:
        """The computed attributes to whose partials nobody can add: they cannot be used, or have no partials by the types of today. By their ids."""
        slots = {each.slot for each in self.partials}
        added = (
            each.attribute_id for each in self.attributes.values() if each.slot is not None and each.slot not in slots
        )
        return [*(row.key for row in self.broken if row.table == "computed_attribute"), *added]

    @cached_property
    def attributes_without_partials(self) -> list[UUID]:
        """The computed attributes that have no partials, and by their expressions could have some: when they were published there were none of
        their kind, or nobody could add to them for a while. By their ids."""
        return [
            key
            for key, each in self.attributes.items()
            if each.is_published and each.status is AttributeStatus.PROCESSED and each.slot is None
            if (program := self.programs.programs.get(each.name)) is not None and program.partial is not None
        ]

    @cached_property
    def partials(self) -> tuple[KeptPartial, ...]:
        """The partials of published computed attributes, by their slots."""
        found = []
        for each in self.attributes.values():
            partial = self.programs.programs[each.name].partial if each.is_published and each.slot is not None else None
            if partial is not None and each.slot is not None:
                lookback, is_complete = each.settings.lookback, each.status is AttributeStatus.PROCESSED
                size = size_of_buckets(lookback)
                found.append(KeptPartial(each.name, each.slot, lookback, size, partial, is_complete))
        return tuple(sorted(found, key=attrgetter("slot")))

    @cached_property
    def composites(self) -> Composites:
        """The composite values of a profile, which merging takes whole, as a tree of field names."""
        return _composites(self.tenant_code, self.members(XdmClass.INDIVIDUAL_PROFILE))

    @cached_property
    def maps(self) -> Composites:
        """The maps of a profile as a tree of field names."""
        return _maps(self.tenant_code, self.members(XdmClass.INDIVIDUAL_PROFILE))

    def validator(self, schema_id: UUID) -> Validator:
        """Return the validator of a schema, one per version of the schema. Raises Misconfigured, Unavailable."""
        return self.schemas[schema_id].validator

    async def compile(self, schema_id: UUID, *, partial: bool) -> None:
        """Compile the validator of a schema for whole or for partial documents, in a thread, unless that is done already."""
        validator = self.validator(schema_id)
        if not validator.is_compiled(partial=partial):
            await asyncio.to_thread(validator.compile, partial=partial)

    @cached_property
    def _by_code(self) -> Mapping[str, Namespace]:
        return {namespace.code: namespace for namespace in self.namespaces.values()}


@lru_cache(maxsize=64)
def _union(xdm_class: XdmClass, tenant_code: str, members: tuple[XdmSchema, ...]) -> Field:
    return union_of(xdm_class, tenant_code, members)


@lru_cache(maxsize=64)
def _composites(tenant_code: str, members: tuple[XdmSchema, ...]) -> Composites:
    return paths.composites(_union(XdmClass.INDIVIDUAL_PROFILE, tenant_code, members))


@lru_cache(maxsize=64)
def _maps(tenant_code: str, members: tuple[XdmSchema, ...]) -> Composites:
    return paths.maps(_union(XdmClass.INDIVIDUAL_PROFILE, tenant_code, members))


@lru_cache(maxsize=64)
def _programs(
    tenant_code: str, profiles: tuple[XdmSchema, ...], events: tuple[XdmSchema, ...], published: tuple[Definition, ...]
) -> Programs:
    unions = (
        _union(XdmClass.INDIVIDUAL_PROFILE, tenant_code, profiles),
        _union(XdmClass.EXPERIENCE_EVENT, tenant_code, events),
    )
    return attribute_expressions.make_programs(Unions(tenant_code, *unions), published)


class Configurations:
    """The cache of configurations of this process, by sandbox: the `size` most recently used ones are kept."""

    def __init__(self, size: int = 256) -> None:
        self._cached: WeightedCache[int, Configuration] = WeightedCache(size)
        self._loading: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @property
    def broken_rows(self) -> int:
        """The number of broken rows in all cached configurations."""
        return sum(len(config.broken) for config in self._cached.values())

    async def read(self, db: Database, scope: Scope, at_least: int | None = None) -> Configuration:
        """Return the configuration, as of `at_least` and the scope's version or later. Needs no permission. Raises Forbidden once the sandbox is gone."""
        wanted = max(scope.sandbox.config_version, at_least or 0)
        if (known := self._find(scope.sandbox_id, wanted)) is not None:
            return known
        async with self._loading.setdefault(scope.sandbox_id, asyncio.Lock()):
            if (known := self._find(scope.sandbox_id, wanted)) is not None:
                return known  # another request loaded it meanwhile
            config = await self._prepared(await _load(db, scope, self._cached.get(scope.sandbox_id)))
            self._cached.put(scope.sandbox_id, config)
            return config

    @asynccontextmanager
    async def snapshot(self, db: Database, scope: Scope) -> AsyncIterator[tuple[Session, Configuration]]:
        """Open a session in which all reads see the sandbox at one moment, with its configuration. Raises Forbidden, Unavailable, Timeout."""
        config = await self.read(db, scope)
        async with snapshot_of(db, scope.sandbox_id) as tx:
            version = await _version(tx, scope)
            if version != config.version:  # older or newer
                config = await self._prepared(await _load_once(tx, scope, version, config))
            yield tx, config

    async def _prepared(self, loaded: Configuration) -> Configuration:
        config = await asyncio.to_thread(_prepared, loaded)  # thousands of fields take a while
        for message in config.faults:
            observe(ConfigurationBroken(config.sandbox_id, message))
        return config

    def _find(self, sandbox_id: int, wanted: int) -> Configuration | None:
        known = self._cached.get(sandbox_id)
        return known if known is not None and known.version >= wanted else None


def _prepared(loaded: Configuration) -> Configuration:
    """Return the configuration without unusable schemas, its unions, composites and maps computed."""
    broken: Broken[UUID] = {row.key: row for row in loaded.broken if row.table == "xdm_schema"}
    codes = {namespace.code for namespace in loaded.namespaces.values()}
    found = select_usable(loaded.schemas.values(), codes, broken)
    others = (row for row in loaded.broken if row.table != "xdm_schema")
    schemas = UsableRows({schema.schema_id: schema for schema in found}, broken)
    config = replace(loaded, schemas=schemas, broken=(*others, *broken.values()))
    for xdm_class in XdmClass:
        config.union(xdm_class)
    _ = config.composites, config.maps  # computes them
    config = _with_usable_attributes(config)
    profile, event = (config.full_union(each) for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT))
    for key, one in config.projections.items():  # which nobody shares yet
        config.projections[key] = fitted(one, profile, event)
    return config


def _with_usable_attributes(config: Configuration) -> Configuration:
    """Return the configuration with its programs computed. Published attributes whose expression is wrong by now are FAILED in it."""
    faults = config.programs.faults
    if not faults:
        return config
    attributes, rows = dict(config.attributes), list[BrokenRow]()
    for key, attribute in config.attributes.items():
        if attribute.is_published and attribute.name in faults:
            row = BrokenRow.of("computed_attribute", key, attribute.name, faults[attribute.name])
            attributes[key] = replace(attribute, status=AttributeStatus.FAILED, fault=row.message)
            rows.append(row)
    unusable = {row.key: row for row in config.broken if row.table == "computed_attribute"}
    config = replace(config, attributes=UsableRows(attributes, unusable), broken=(*config.broken, *rows))
    _ = config.programs
    return config


async def _load(db: Database, scope: Scope, former: Configuration | None) -> Configuration:
    """Load the configuration, again if its version changed between the statements."""
    async with db.transaction(scope.sandbox_id) as tx:
        version = await _version(tx, scope)
        while True:
            config = await _load_once(tx, scope, version, former)
            version = await _version(tx, scope)
            if version == config.version:
                return config


async def _version(tx: Session, scope: Scope) -> int:
    version: int | None = await tx.value(READ_VERSION, scope.sandbox_id)
    if version is None:
        raise Forbidden("The sandbox is gone.")
    return version


async def _load_once(tx: Session, scope: Scope, version: int, former: Configuration | None) -> Configuration:
    known = former.schemas if former else None
    faults = [dict[Any, BrokenRow]() for _ in range(7)]
    namespaces, schemas = await load_namespaces(tx, scope, faults[0]), await load_schemas(tx, scope, faults[1], known)
    datasets, policies = await load_datasets(tx, scope, faults[2]), await load_policies(tx, scope, faults[3])
    attributes = await load_attributes(tx, scope, faults[4])
    destinations = await load_destinations(tx, scope, faults[5])
    projections = await load_projections(tx, scope, faults[6])
    return Configuration(
        sandbox_id=scope.sandbox_id,
        version=version,
        tenant_code=scope.organization.code,
        namespaces=UsableRows({namespace.namespace_id: namespace for namespace in namespaces}, faults[0]),
        schemas=UsableRows({schema.schema_id: schema for schema in schemas}, faults[1]),
        datasets=UsableRows({dataset.dataset_id: dataset for dataset in datasets}, faults[2]),
        policies=UsableRows({policy.policy_id: policy for policy in policies}, faults[3]),
        attributes=UsableRows({attribute.attribute_id: attribute for attribute in attributes}, faults[4]),
        destinations=UsableRows({each.destination_id: each for each in destinations}, faults[5]),
        projections=UsableRows({each.configuration_id: each for each in projections}, faults[6]),
        broken=tuple(row for rows in faults for row in rows.values()),
    )

"""The configuration of a sandbox as one immutable value, and the cache that hands it out.

Every change of configuration counts `sandbox.config_version` up in its own transaction, and every request learns that number with
its sandbox. So a cached configuration is good exactly as long as its version is not smaller, and no message can be lost.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Never, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from gateway.domain.config.broken_rows import Broken, BrokenRow
from gateway.domain.config.datasets import Dataset, load_datasets
from gateway.domain.config.namespaces import Namespace, load_namespaces, unknown_namespace
from gateway.domain.config.policies import MergePolicy, load_policies
from gateway.domain.config.registry import XdmSchema, load_schemas, usable
from gateway.domain.rules.graphs import Rules
from gateway.domain.rules.scope import Scope
from gateway.errors import BadInput, Forbidden, Misconfigured, NotFound, Unavailable
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.telemetry import ConfigurationBroken, observe
from gateway.xdm import evolution, paths
from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.fields import Field
from gateway.xdm.paths import Composites
from gateway.xdm.validation import Validator

READ_VERSION = query("configuration.read_version")

K = TypeVar("K")
V = TypeVar("V")


class Known(dict[K, V]):
    """What a version of the configuration knows by its keys. Rows that are `broken` are told when they are asked for, by whatever verb."""

    def __init__(self, values: Mapping[K, V], broken: Mapping[K, BrokenRow]) -> None:
        super().__init__(values)
        self._broken = broken

    def __missing__(self, key: K) -> Never:
        """Raise Misconfigured for a broken row; Unavailable for another one, which a read met and which is newer than this version."""
        if key in self._broken:
            raise Misconfigured(self._broken[key].message)
        raise Unavailable("The configuration has just changed; try again.")

    def find(self, key: K) -> V | None:
        """What has this key, None where nothing has. Raises Misconfigured for a broken row."""
        return self[key] if key in self or key in self._broken else None


@dataclass(frozen=True)
class Configuration:
    """All that a sandbox is configured to, at one version. Shared by requests: never change what it holds."""

    sandbox_id: int
    version: int
    tenant_code: str
    namespaces: Known[int, Namespace]
    schemas: Known[UUID, XdmSchema]
    datasets: Known[UUID, Dataset]
    policies: Known[UUID, MergePolicy]
    broken: tuple[BrokenRow, ...] = ()

    def namespace(self, code: str) -> Namespace | None:
        """The namespace of this code, or None. Raises Misconfigured for one that is broken."""
        namespace = self._by_code.get(code)
        if namespace is None:
            for row in self.broken:
                if row.table == "namespace" and row.name == code:
                    raise Misconfigured(row.message)
        return namespace

    def unknown_namespace(self, code: str) -> str:
        """What is wrong with a code that none of the namespaces has, and which one may be meant."""
        return unknown_namespace(code, self._by_code)

    def dataset(self, dataset_id: UUID) -> Dataset:
        """The dataset of a mutation's `datasetId`. Raises NotFound."""
        dataset = self.datasets.find(dataset_id)
        if dataset is None:
            raise NotFound("There is no dataset with this id.", path=["datasetId"])
        return dataset

    def policy(self, policy_id: UUID | None) -> MergePolicy:
        """The policy that a read asks for, the default one for None. Raises BadInput, Misconfigured."""
        if policy_id is None:
            return self.default_policy
        policy = self.policies.find(policy_id)
        if policy is None:
            raise BadInput("There is no merge policy with this id.")
        return policy

    @cached_property
    def default_policy(self) -> MergePolicy:
        """The policy of reads that name none; every sandbox has one. Raises Misconfigured where that is broken."""
        for policy in self.policies.values():
            if policy.settings.is_default:
                return policy
        faults = [row.message for row in self.broken if row.table == "merge_policy"]
        raise Misconfigured(" ".join(["The sandbox has no default merge policy that can be used.", *faults]))

    @cached_property
    def materialized(self) -> list[MergePolicy]:
        """The policies whose profiles are kept merged, also while they are being built.

        Raises Misconfigured where one of them is broken: what it keeps must not fall behind.
        """
        for row in self.broken:
            if row.is_kept:
                raise Misconfigured(row.message)
        return [policy for policy in self.policies.values() if policy.is_materialized]

    @cached_property
    def rules(self) -> Rules:
        """The identity settings as the graph rules take them."""
        listed = self.namespaces.values()
        return Rules(
            {namespace.namespace_id: namespace.priority for namespace in listed if namespace.priority is not None},
            frozenset(namespace.namespace_id for namespace in listed if namespace.is_unique_per_graph),
        )

    def members(self, xdm_class: XdmClass) -> tuple[XdmSchema, ...]:
        """The schemas of a class that are enabled for profile, the oldest first: those which make its union."""
        schemas = self.schemas.values()
        return tuple(schema for schema in schemas if schema.is_profile_enabled and schema.xdm_class is xdm_class)

    def union(self, xdm_class: XdmClass) -> Field:
        """The union schema of a class: of a class without schemas, all that ships for it.

        While the members stay the same, so does the object, from one version to the next.
        """
        return _union(xdm_class, self.tenant_code, self.members(xdm_class))

    @cached_property
    def composites(self) -> Composites:
        """The values of a profile that merging takes whole."""
        return _composites(self.tenant_code, self.members(XdmClass.INDIVIDUAL_PROFILE))

    def validator(self, schema_id: UUID) -> Validator:
        """The validator of a schema, the same as long as the schema is, and compiled when first used."""
        return self.schemas[schema_id].validator

    async def compile(self, schema_id: UUID, *, partial: bool) -> None:
        """Have the validator of a schema compiled for whole or for partial documents, beside the event loop if it is not yet."""
        validator = self.validator(schema_id)
        if not validator.is_compiled(partial=partial):
            await asyncio.to_thread(validator.compile, partial=partial)

    @cached_property
    def _by_code(self) -> Mapping[str, Namespace]:
        return {namespace.code: namespace for namespace in self.namespaces.values()}


@lru_cache(maxsize=64)
def _union(xdm_class: XdmClass, tenant_code: str, members: tuple[XdmSchema, ...]) -> Field:
    if members:
        return evolution.union([schema.json_schema for schema in members])
    return compose(xdm_class, None, None, tenant_code)


@lru_cache(maxsize=64)
def _composites(tenant_code: str, members: tuple[XdmSchema, ...]) -> Composites:
    return paths.composites(_union(XdmClass.INDIVIDUAL_PROFILE, tenant_code, members))


class Configurations:
    """The configurations that this process knows, the `size` used last."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._known: OrderedDict[int, Configuration] = OrderedDict()
        self._loading: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @property
    def broken_rows(self) -> int:
        """How many rows of all that is known here cannot be used."""
        return sum(len(config.broken) for config in self._known.values())

    async def read(self, db: Database, scope: Scope, at_least: int | None = None) -> Configuration:
        """The configuration of the scope's sandbox, no older than the scope and than `at_least`; whoever asks.

        Raises Forbidden when the sandbox is gone.
        """
        wanted = max(scope.sandbox.config_version, at_least or 0)
        if (known := self._fresh(scope.sandbox_id, wanted)) is not None:
            return known
        async with self._loading.setdefault(scope.sandbox_id, asyncio.Lock()):
            if (known := self._fresh(scope.sandbox_id, wanted)) is not None:
                return known  # another request loaded it meanwhile
            config = await _load(db, scope, self._known.get(scope.sandbox_id))
            config = await asyncio.to_thread(_derived, config)  # thousands of fields take a while: other requests go on
            for row in config.broken:
                observe(ConfigurationBroken(scope.sandbox_id, row.message))
            self._known[scope.sandbox_id] = config
            self._known.move_to_end(scope.sandbox_id)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
            return config

    @asynccontextmanager
    async def snapshot(self, db: Database, scope: Scope) -> AsyncIterator[tuple[Session, Configuration]]:
        """Reads that all see one moment, and the configuration at that moment. Raises Forbidden when the sandbox is gone."""
        config = await self.read(db, scope)
        while True:
            async with db.snapshot() as tx:
                version = await _version(tx, scope)
                if version == config.version:
                    yield tx, config
                    return
            config = await self.read(db, scope, version)

    def _fresh(self, sandbox_id: int, wanted: int) -> Configuration | None:
        known = self._known.get(sandbox_id)
        if known is None or known.version < wanted:
            return None
        self._known.move_to_end(sandbox_id)
        return known


def _derived(loaded: Configuration) -> Configuration:
    """The configuration without schemas that cannot be used, with what most requests need at hand."""
    broken: Broken[UUID] = {row.key: row for row in loaded.broken if row.table == "xdm_schema"}
    codes = {namespace.code for namespace in loaded.namespaces.values()}
    found = usable(loaded.schemas.values(), codes, broken)
    others = (row for row in loaded.broken if row.table != "xdm_schema")
    schemas = Known({schema.schema_id: schema for schema in found}, broken)
    config = replace(loaded, schemas=schemas, broken=(*others, *broken.values()))
    for xdm_class in XdmClass:
        config.union(xdm_class)
    _ = config.composites
    return config


async def _load(db: Database, scope: Scope, former: Configuration | None) -> Configuration:
    """The configuration, read again until no change came between its parts."""
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
    faults = [dict[Any, BrokenRow]() for _ in range(4)]
    namespaces, schemas = await load_namespaces(tx, scope, faults[0]), await load_schemas(tx, scope, faults[1], known)
    datasets, policies = await load_datasets(tx, scope, faults[2]), await load_policies(tx, scope, faults[3])
    return Configuration(
        sandbox_id=scope.sandbox_id,
        version=version,
        tenant_code=scope.organization.code,
        namespaces=Known({namespace.namespace_id: namespace for namespace in namespaces}, faults[0]),
        schemas=Known(
            {schema.schema_id: schema for schema in schemas},
            faults[1],
        ),
        datasets=Known({dataset.dataset_id: dataset for dataset in datasets}, faults[2]),
        policies=Known({policy.policy_id: policy for policy in policies}, faults[3]),
        broken=tuple(row for rows in faults for row in rows.values()),
    )

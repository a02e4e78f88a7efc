"""Creates the demo's namespaces, schemas, datasets, merge policies and computed attributes in a sandbox, as far as they are missing."""

from collections.abc import Mapping
from uuid import UUID

from gateway.demo.configuration import ATTRIBUTES, DATASETS, MERGE_POLICIES, NAMESPACES, SCHEMAS, MergePolicy, Schema
from gateway.domain.config import computed_attributes, datasets, namespaces, policies, registry
from gateway.domain.config.computed_attributes import AttributeSettings
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.rules import limits
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.scope import Scope
from gateway.storage.database import Database


async def set_up(db: Database, scope: Scope, configurations: Configurations) -> Mapping[str, UUID]:
    """Create what is missing and return the ids of the demo's datasets by their keys.

    An existing thing of the right name is used as it is. Raises Conflict, Invalid, Taken, Forbidden.
    """
    config = await configurations.read(db, scope)
    await _namespaces(db, scope, config)
    schema_ids = await _schemas(db, scope, config)
    dataset_ids = await _datasets(db, scope, config, schema_ids)
    await _policies(db, scope, config, dataset_ids)
    await _attributes(db, scope, configurations, config)
    return dataset_ids


async def _namespaces(db: Database, scope: Scope, config: Configuration) -> None:
    for made in NAMESPACES:
        if config.namespace(made.code) is None:
            kind = IdentityType(made.id_type)
            await namespaces.create_namespace(
                db, scope, code=made.code, name=made.name, kind=kind, description=made.description
            )


async def _schemas(db: Database, scope: Scope, config: Configuration) -> dict[str, UUID]:
    known = {schema.title: schema_id for schema_id, schema in config.schemas.items()}
    return {made.key: known.get(made.title) or await _create_schema(db, scope, made) for made in SCHEMAS}


async def _create_schema(db: Database, scope: Scope, made: Schema) -> UUID:
    tenant = scope.organization.code
    schema = await registry.create_schema(
        db,
        scope,
        title=made.title,
        xdm_class=made.xdm_class,
        field_groups=made.field_groups,
        custom_fields=made.custom_fields,
        identities=[IdentityDescriptor(one.path_of(tenant), one.namespace, one.is_primary) for one in made.identities],
    )
    return schema.schema_id


async def _datasets(
    db: Database, scope: Scope, config: Configuration, schema_ids: Mapping[str, UUID]
) -> dict[str, UUID]:
    ids = {dataset.name: dataset_id for dataset_id, dataset in config.datasets.items()}
    for made in DATASETS:
        if made.name not in ids:
            schema_id = schema_ids[made.schema]
            created = await datasets.create_dataset(
                db, scope, name=made.name, schema_id=schema_id, description=made.description
            )
            ids[made.name] = created.dataset_id
    return {made.key: ids[made.name] for made in DATASETS}


async def _policies(db: Database, scope: Scope, config: Configuration, dataset_ids: Mapping[str, UUID]) -> None:
    known = {policy.settings.name for policy in config.policies.values()}
    for made in MERGE_POLICIES:
        if made.name not in known:
            await policies.create_policy(db, scope, _settings(made, dataset_ids))


def _settings(made: MergePolicy, dataset_ids: Mapping[str, UUID]) -> PolicySettings:
    order = tuple(dataset_ids[key] for key in made.order)
    merge = AttributeMerge(AttributeMergeType(made.attribute_merge), order)
    return PolicySettings(made.name, IdentityGraphType(made.identity_graph), merge)


async def _attributes(db: Database, scope: Scope, configurations: Configurations, config: Configuration) -> None:
    known = {attribute.name for attribute in config.attributes.values()}
    if not (missing := [made for made in ATTRIBUTES if made.name not in known]):
        return
    fresh = await configurations.read(db, scope, config.version + 1)  # with the schemas that were just made
    for made in missing:
        lookback = None if made.lookback is None else parse_duration(made.lookback)
        settings = AttributeSettings(made.name, made.display_name, made.expression, lookback=lookback)
        given = (db, scope, fresh.unions, settings)
        await computed_attributes.create_attribute(*given, most=limits.ATTRIBUTES, publish=True)

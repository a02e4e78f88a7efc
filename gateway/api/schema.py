"""The GraphQL schema: the queries and mutations of all nouns, and the readers that `node` uses.

One schema per process; `api/entities` gives each sandbox its own entity types on top of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from functools import cache
from typing import Annotated, Any, Final

import strawberry
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    print_schema,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition

from gateway.api.api_keys import ApiKeyMutation, ApiKeyQuery, read_api_keys
from gateway.api.attribute_previews import AttributePreviewQuery
from gateway.api.audit import AuditQuery, read_entries
from gateway.api.batches import BatchMutation, BatchQuery, read_batches
from gateway.api.changes import ChangeQuery
from gateway.api.computed_attributes import ATTRIBUTES, ComputedAttributeMutation, ComputedAttributeQuery
from gateway.api.context import Info, resolved_by
from gateway.api.data_centers import DataCenterQuery
from gateway.api.datasets import DATASETS, DatasetMutation, DatasetQuery
from gateway.api.diffs import DiffQuery
from gateway.api.edge_projections import EdgeProjectionQuery
from gateway.api.entities import with_entities
from gateway.api.erased_identities import ErasedIdentityMutation, ErasedIdentityQuery
from gateway.api.erasure_verification import ErasureVerificationQuery
from gateway.api.events import EventQuery, read_events
from gateway.api.export_jobs import ExportJobMutation, ExportJobQuery, read_export_jobs
from gateway.api.expressions import ExpressionQuery
from gateway.api.identities import IdentityQuery, read_identities
from gateway.api.identity_settings import IdentitySettingsMutation
from gateway.api.ingestion import IngestionMutation
from gateway.api.jobs import SystemJobMutation, SystemJobQuery, read_jobs
from gateway.api.limits import ServiceLimitQuery
from gateway.api.manual_links import LinkingMutation
from gateway.api.namespaces import NAMESPACES, NamespaceMutation, NamespaceQuery
from gateway.api.nodes import Node, Reader, read_nodes
from gateway.api.policies import POLICIES, PolicyMutation, PolicyQuery
from gateway.api.previews import PreviewQuery
from gateway.api.profiles import ProfileQuery, read_profiles
from gateway.api.projection_configurations import (
    PROJECTIONS,
    ProjectionConfigurationMutation,
    ProjectionConfigurationQuery,
)
from gateway.api.projection_destinations import (
    DESTINATIONS,
    ProjectionDestinationMutation,
    ProjectionDestinationQuery,
)
from gateway.api.registry import SCHEMAS, RegistryMutation, RegistryQuery
from gateway.api.scalars import SCALARS
from gateway.api.search_indexes import SearchIndexMutation, SearchIndexQuery, read_search_indexes
from gateway.api.simulation import SimulationQuery
from gateway.api.tenants import SANDBOXES, TenantMutation, TenantQuery
from gateway.api.tokens import TokenMutation
from gateway.api.warnings import WarningMutation, WarningQuery, read_warnings
from gateway.domain.config.configuration import Configuration
from gateway.xdm.classes import XdmClass, compose

READERS: Final[Mapping[str, Reader]] = {
    "ApiKey": read_api_keys,
    "AuditEntry": read_entries,
    "Batch": read_batches,
    "ComputedAttribute": ATTRIBUTES.read,
    "Dataset": DATASETS.read,
    "ExperienceEvent": read_events,
    "ExportJob": read_export_jobs,
    "Identity": read_identities,
    "IdentityNamespace": NAMESPACES.read,
    "IngestionWarning": read_warnings,
    "MergePolicy": POLICIES.read,
    "Profile": read_profiles,
    "ProjectionConfiguration": PROJECTIONS.read,
    "ProjectionDestination": DESTINATIONS.read,
    "Sandbox": SANDBOXES.read,
    "SearchIndex": read_search_indexes,
    "SystemJob": read_jobs,
    "XdmSchema": SCHEMAS.read,
}
"""The reader of each type with global ids."""

NodeId = Annotated[
    strawberry.ID, strawberry.argument(name="id", description="The global `id` that any object carries.")
]
NodeIds = Annotated[
    list[strawberry.ID],
    strawberry.argument(name="ids", description="Global ids of objects of any types; at most 1,000."),
]


async def _node(info: Info, node_id: NodeId) -> Any:
    return (await read_nodes(info.context, READERS, [node_id]))[0]


async def _nodes(info: Info, node_ids: NodeIds) -> list[Any]:
    return await read_nodes(info.context, READERS, node_ids)


@strawberry.type(
    description="Everything that can be read. A read changes nothing that can be read but the list of jobs and indexes: a search may ask for an index. A missing thing is null."
)
class Query(
    ProfileQuery,
    EventQuery,
    ChangeQuery,
    ErasureVerificationQuery,
    IdentityQuery,
    SimulationQuery,
    TenantQuery,
    RegistryQuery,
    DatasetQuery,
    BatchQuery,
    NamespaceQuery,
    PolicyQuery,
    DiffQuery,
    PreviewQuery,
    ComputedAttributeQuery,
    ExpressionQuery,
    AttributePreviewQuery,
    ProjectionDestinationQuery,
    ProjectionConfigurationQuery,
    EdgeProjectionQuery,
    DataCenterQuery,
    WarningQuery,
    ServiceLimitQuery,
    SystemJobQuery,
    ExportJobQuery,
    SearchIndexQuery,
    ErasedIdentityQuery,
    ApiKeyQuery,
    AuditQuery,
):
    node: Node | None = resolved_by(_node, "The object with this id; null where this sandbox has none.")
    nodes: list[Node | None] = resolved_by(
        _nodes, "The objects with these ids, as many and in the order asked for; null for each that this sandbox lacks."
    )


@strawberry.type(
    description="Everything that can be changed. A mutation takes one `input`; what the caller can mend comes back in `userErrors`."
)
class Mutation(
    IngestionMutation,
    BatchMutation,
    WarningMutation,
    DatasetMutation,
    RegistryMutation,
    NamespaceMutation,
    IdentitySettingsMutation,
    LinkingMutation,
    PolicyMutation,
    ComputedAttributeMutation,
    ProjectionDestinationMutation,
    ProjectionConfigurationMutation,
    TenantMutation,
    SystemJobMutation,
    ExportJobMutation,
    SearchIndexMutation,
    ErasedIdentityMutation,
    ApiKeyMutation,
    TokenMutation,
):
    pass


@cache
def build_schema() -> GraphQLSchema:
    """Build the schema of the process, once; its entity types are placeholders that each sandbox replaces."""
    return finish_schema(strawberry.Schema(Query, Mutation, config=StrawberryConfig(scalar_map=SCALARS)))


def finish_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Return graphql-core's schema, which takes inputs as the operations of this gateway are executed: `@oneOf` is marked, which Strawberry
    does not, graphql-core makes the objects that resolvers take, and the defaults `= null`, which mean nothing, are gone."""
    finished = schema._schema  # noqa: SLF001 (it has no public name)
    for named_type in finished.type_map.values():
        _finish(named_type)
    return finished


def print_sdl(config: Configuration | None = None) -> str:
    """Return the SDL of a sandbox; without a configuration that of a new sandbox, which is the file `schema.graphql`."""
    unions = [config.full_union(xdm_class) if config else compose(xdm_class, None, None, "") for xdm_class in XdmClass]
    return print_schema(with_entities(build_schema(), *unions)) + "\n"


def _finish(named_type: Any) -> None:
    match named_type:
        case GraphQLInputObjectType():
            definition = named_type.extensions["strawberry-definition"]
            named_type.is_one_of = definition.is_one_of
            named_type.out_type = _maker_of(definition)  # type: ignore[method-assign, assignment]
            definition.from_input = _made_already
            inputs = list(named_type.fields.values())
            for each, own in zip(inputs, definition.fields, strict=True):
                each.out_name = own.python_name
        case GraphQLObjectType() | GraphQLInterfaceType():
            inputs = [argument for field in named_type.fields.values() for argument in field.args.values()]
        case _:
            return
    for given in inputs:
        if given.default_value is None:
            given.default_value = Undefined


def _maker_of(definition: StrawberryObjectDefinition) -> Callable[[dict[str, Any]], Any]:
    """Return a function of the values that are given; where none is, a field without a default in Python is None."""
    kind = definition.origin
    implicit = {
        each.python_name: None
        for each in definition.fields
        if each.default_value is MISSING and each.default_factory is MISSING
    }
    return (lambda given: kind(**{**implicit, **given})) if implicit else (lambda given: kind(**given))


def _made_already(_: type, value: Any, __: object) -> Any:
    return value

"""Operations made by reflection over the schema: each root field with its arguments filled and all that it can give selected.

A field that is added tomorrow is tried tomorrow by every test that stands on this; an argument whose name says nothing about what goes
there fails until `KIND_OF` or `VALUES` knows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from client import Client
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)
from world import World, event, record

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.api.ids import global_id
from gateway.api.schema import build_schema
from gateway.domain.config import api_keys, policies, search_indexes
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.config.projection_configurations import EventWindow
from gateway.domain.operations.export_jobs import ExportRequest, create_export_job
from gateway.domain.operations.export_locations import NO_LOCATIONS
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.work import audit, jobs
from gateway.domain.work.audit import AuditFilter
from gateway.domain.work.job_kinds import JobKind

SCHEMA = build_schema()
LIMITS = Limits(document_bytes=10**7, tokens=10**6, depth=99, aliases=10**6, selections=10**6, cost=10**9)

KIND_OF = {
    "datasetId": "Dataset", "datasetIds": "dataset of events", "order": "Dataset", "schemaId": "XdmSchema", "batchId": "Batch",
    "mergePolicyId": "MergePolicy", "profilePreview.mergePolicyId": "kept policy", "xid": "xid", "IngestEventsInput.datasetId": "dataset of events",
    "node.id": "any", "nodes.ids": "any", "dataset.id": "Dataset", "batch.id": "Batch", "mergePolicy.id": "MergePolicy", "base": "MergePolicy",
    "schema.id": "XdmSchema", "identityNamespace.id": "IdentityNamespace", "sandbox.id": "Sandbox", "dataset.name": "title",
    "schema.title": "title", "identityNamespace.code": "title", "mergePolicy.name": "policy",
    "computedAttribute.id": "ComputedAttribute", "destinationId": "ProjectionDestination", "configurationId": "ProjectionConfiguration", "projectionDestination.id": "ProjectionDestination", "UpdateProjectionDestinationInput.id": "ProjectionDestination",
    "deleteProjectionDestination.id": "ProjectionDestination", "projectionConfiguration.id": "ProjectionConfiguration", "projectionConfiguration.name": "projection",
    "projectionConfigurations.name": "projection", "projection.name": "projection", "UpdateProjectionConfigurationInput.id": "ProjectionConfiguration", "deleteProjectionConfiguration.id": "ProjectionConfiguration",
    "computedAttribute.name": "attribute", "UpdateComputedAttributeInput.id": "ComputedAttribute",
    "deleteComputedAttribute.id": "ComputedAttribute", "UpdateSandboxInput.id": "Sandbox",
    "UpdateDatasetInput.id": "Dataset", "UpdateSchemaInput.id": "XdmSchema", "BatchInput.id": "Batch", "ResetSandboxInput.id": "Sandbox",
    "UpdateMergePolicyInput.id": "MergePolicy", "UpdateIdentityNamespaceInput.id": "IdentityNamespace",
    "systemJob.id": "SystemJob", "cancelSystemJob.id": "SystemJob", "exportJob.id": "ExportJob", "cancelExportJob.id": "ExportJob", "deleteExportJob.id": "ExportJob", "deleteMergePolicy.id": "MergePolicy", "DeleteSandboxInput.id": "Sandbox", "AcknowledgeInput.id": "IngestionWarning", "IdentityKeyInput.value": "e-mail",
    "DeleteSearchIndexInput.id": "SearchIndex", "revokeApiKey.id": "ApiKey", "sandboxIds": "Sandbox", "subjectId": "ApiKey", "deleteDataset": "Dataset", "deleteBatch": "Batch", "revertBatch": "Batch",
}  # fmt: skip
"""What kind of id goes where, by the argument's or input field's name, or by its owner and that."""

VALUES: dict[str, Any] = {
    "namespace": "Email", "name": "Wall", "title": "Wall", "code": "wall", "confirmName": "prod", "path": "person.name.firstName", "tokenId": "wall",
    "expression": "person.name.firstName", "selector": "person.name", "location": "wall", "dataCenters": ["VA6"], "ttl": 600, "currentVersion": 1,
    "documents": [{"person": {"name": {"firstName": "Wall"}}}],
}  # fmt: skip
"""What goes where something must be said that is no id."""


# ------------------------------------------------------------------------------------------------ a sandbox with one of everything


@dataclass
class Side:
    """A sandbox, and one id of every kind in it."""

    client: Client
    ids: dict[str, str]


async def furnished(world: World, mark: str, operations: Operations | None = None) -> Side:
    """A sandbox with one of everything, `mark` in every text of it. `operations`: those of another one, which know the same texts."""
    client = Client(world, operations) if operations else Client.of(world, LIMITS)
    db, scope = world.db, world.scope
    await client.data(
        """mutation ($schema: ID!, $dataset: ID!, $title: String!) {
          updateSchema(input: {id: $schema, title: $title}) { userErrors { message } }
          updateDataset(input: {id: $dataset, name: $title, description: $title}) { userErrors { message } }
          createIdentityNamespace(input: {code: $title, name: $title, idType: PARTNER}) { userErrors { message } }
        }""",
        schema=global_id("XdmSchema", world.crm.schema_id), dataset=global_id("Dataset", world.crm.dataset_id), title=f"{mark} title",
    )  # fmt: skip
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.crm.dataset_id,))
    policy = await policies.create_policy(db, scope, PolicySettings(f"{mark} policy", IdentityGraphType.PDG, rule))
    attribute = await world.publish(f"{mark}Attribute", "xEvent.count()")
    person = [("Email", f"{mark.lower()}@example.com"), (f"{mark} title", f"{mark} number")]
    guest = [("Email", f"{mark.lower()}@example.net"), (f"{mark} title", "guest")]
    taken = await world.records(record(*person, first_name=f"{mark} Ada"), record(*guest, first_name=mark))
    await world.events(event(f"{mark}-1", "2024-05-01T00:00:00Z", person[0], eventType=f"{mark}.clicks"))
    (warning,) = (await client.data("{ ingestionWarnings { nodes { id } } }"))["ingestionWarnings"]["nodes"]
    xid = await world.xid(*person[0])
    found = await client.data("query ($xid: ID!) { profile(identity: {xid: $xid}) { id profileId } }", xid=str(xid))
    async with db.transaction() as tx:
        job_id = await jobs.enqueue(tx, scope, JobKind.ABORT_BATCH, taken.batch_id)
    key, _ = await api_keys.create_api_key(db, scope, f"{mark} key", [scope.sandbox_id])
    (entry, *_) = (await audit.list_entries(db, scope, AuditFilter(action="createApiKey"), Window())).items
    config = await world.config()
    maker = replace(scope, actor=f"{mark} maker")
    projection = await world.project(
        f"{mark} projection", "person.name", EventWindow("eventType", where=f'eventType = "{mark}"')
    )
    index, _ = await search_indexes.create_search_index(db, maker, config, config.default_policy, "homeAddress.city")
    request = ExportRequest(policy.policy_id, policy.version, location=f"{mark}-exports")
    export = await create_export_job(db, maker, config, request, NO_LOCATIONS)
    ids = {
        "ApiKey": global_id("ApiKey", key.api_key_id),
        "AuditEntry": global_id("AuditEntry", entry.entry_id),
        "Batch": global_id("Batch", taken.batch_id),
        "ComputedAttribute": global_id("ComputedAttribute", attribute.attribute_id),
        "Dataset": global_id("Dataset", world.crm.dataset_id),
        "ExportJob": global_id("ExportJob", export.job_id),
        "ExperienceEvent": global_id("ExperienceEvent", xid, world.shop.dataset_id, f"{mark}-1"),
        "Identity": global_id("Identity", xid),
        "IdentityNamespace": global_id("IdentityNamespace", scope.sandbox_id, 10_000_001),
        "IngestionWarning": warning["id"],
        "MergePolicy": global_id("MergePolicy", policy.policy_id),
        "kept policy": global_id("MergePolicy", config.default_policy.policy_id),
        "Profile": found["profile"]["id"],
        "ProjectionConfiguration": global_id("ProjectionConfiguration", projection.configuration_id),
        "ProjectionDestination": global_id("ProjectionDestination", projection.settings.destination_id),
        "Sandbox": global_id("Sandbox", scope.sandbox_id),
        "SearchIndex": global_id("SearchIndex", index.index_id),
        "SystemJob": global_id("SystemJob", job_id),
        "XdmSchema": global_id("XdmSchema", world.crm.schema_id),
        "xid": str(xid),
        "e-mail": person[0][1],
        "title": f"{mark} title",
        "policy": f"{mark} policy",
        "attribute": attribute.name,
        "projection": projection.name,
        "dataset of events": global_id("Dataset", world.shop.dataset_id),
    }
    return Side(client, ids)


# ------------------------------------------------------------------------------------------------ operations


@dataclass(frozen=True)
class Place:
    """A place in a field's arguments for a thing of a sandbox."""

    path: tuple[str, ...]
    kind: str


def places(name: str, field: GraphQLField) -> Iterator[Place]:
    """All places of a root field; one for each type of nodes where an id of any may go."""
    for argument, given in field.args.items():
        for place in _below((argument,), given.type, name, name):
            kinds = NODES if place.kind == "any" else [place.kind]
            yield from (replace(place, kind=kind) for kind in kinds)


NODES = sorted(each.name for each in SCHEMA.get_possible_types(SCHEMA.type_map["Node"]))


def _below(path: tuple[str, ...], input_type: Any, owner: str, root: str) -> Iterator[Place]:
    named, name = get_named_type(input_type), path[-1]
    if isinstance(named, GraphQLInputObjectType):
        owner = root if named.name in {"CancelInput", "DeleteInput"} else named.name
        for each, field in named.fields.items():
            yield from _below((*path, each), field.type, owner, root)
    elif f"{owner}.{name}" in KIND_OF:
        yield Place(path, KIND_OF[f"{owner}.{name}"])
    elif named.name == "ID":
        yield Place(path, KIND_OF[name])


@dataclass
class _Filler:
    """Fills arguments: the foreign thing at one place, the caller's own at all others."""

    kinds: dict[tuple[str, ...], str]
    own: dict[str, str]
    place: Place | None
    foreign: dict[str, str]

    def leads(self, path: tuple[str, ...]) -> bool:
        return self.place is not None and self.place.path[: len(path)] == path

    def value(self, path: tuple[str, ...], input_type: Any) -> Any:
        nullable, name = get_nullable_type(input_type), path[-1]
        if self.place and self.place.path == path and not is_list_type(nullable):
            return self.foreign[self.place.kind]
        if name in VALUES and path not in self.kinds:
            return VALUES[name]
        if is_list_type(nullable):
            return [self.value(path, nullable.of_type)]
        if isinstance(nullable, GraphQLInputObjectType):
            wanted = [each for each in nullable.fields if self._wanted(nullable, (*path, each))]
            return {
                each: self.value((*path, each), nullable.fields[each].type)
                for each in wanted or [*nullable.fields][-1:]
            }
        if isinstance(nullable, GraphQLEnumType):
            return "DATASET_PRECEDENCE" if "DATASET_PRECEDENCE" in nullable.values else next(iter(nullable.values))
        return self.own[self.kinds[path]]

    def _wanted(self, owner: GraphQLInputObjectType, path: tuple[str, ...]) -> bool:
        return self.leads(path) or path[-1] == "order" or is_required_input_field(owner.fields[path[-1]])


def arguments(
    name: str,
    field: GraphQLField,
    own: dict[str, str],
    place: Place | None = None,
    foreign: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The field's arguments: what is required, with the caller's own ids, and what leads to `place`, with the foreign thing there.

    A look-up takes one of several arguments: without a place it is the id.
    """
    kinds = {each.path: each.kind for each in places(name, field)}
    filler = _Filler(kinds, own, place, foreign or {})
    return {
        argument: filler.value((argument,), given.type)
        for argument, given in field.args.items()
        if is_required_argument(given) or filler.leads((argument,)) or (argument == "id" and place is None)
    }


def operation(root: str, name: str, field: GraphQLField, depth: int = 4) -> str:
    """The operation that runs this field with variables for all arguments, and selects all it can give down to a depth."""
    variables = ", ".join(f"${argument}: {given.type}" for argument, given in field.args.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    selection = _selection(field.type, depth)
    return f"{root.lower()} {f'({variables})' if variables else ''} {{ {name}{f'({passed})' if passed else ''} {selection} }}"


def _selection(output_type: Any, depth: int) -> str:
    named = get_named_type(output_type)
    if is_leaf_type(named):
        return ""
    if isinstance(named, GraphQLInterfaceType):
        parts = [f"... on {each.name} {_selection(each, depth - 1)}" for each in SCHEMA.get_possible_types(named)]
    else:
        parts = [
            f"{_alias(named, name)}{name} {_selection(field.type, depth - 1)}"
            for name, field in named.fields.items()
            if depth > 0 or is_leaf_type(get_named_type(field.type))
            if name != "placeholder"
        ]
    return "{ " + " ".join(["__typename", *parts]) + " }"


def _alias(named: GraphQLObjectType, name: str) -> str:
    """A name of its own for each type's field, as fields of several types may not meet under one name."""
    return f"{named.name}_{name}: "


def root_fields(root: str) -> list[tuple[str, GraphQLField]]:
    """The fields of `Query` or `Mutation`."""
    return list(SCHEMA.type_map[root].fields.items())


def codes(body: dict[str, Any]) -> list[str]:
    """The codes of the user errors of a mutation that `operation` made."""
    payloads = (body.get("data") or {}).values()
    errors = [error for payload in payloads for key in payload if key.endswith("_userErrors") for error in payload[key]]
    return [error["UserError_code"] for error in errors]

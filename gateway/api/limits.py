"""The limits that a caller can meet, as a list for programs."""

from dataclasses import dataclass
from typing import Final

import strawberry

from gateway.api.context import Info, plain, resolved_by
from gateway.api.execution.limits import Limits
from gateway.api.nodes import MAX_NODES
from gateway.api.scalars import Long
from gateway.domain.config import identity_settings, namespaces
from gateway.domain.ingest import ingestion, validation
from gateway.domain.operations import simulation
from gateway.domain.rules import graphs, keyset, limits, names, selectors
from gateway.xdm import bounds, custom, patterns
from gateway.xdm.classes import XdmClass


@dataclass(frozen=True, slots=True)
class ServiceLimit:
    """A limit: its name, the greatest value allowed, what is counted, and where it holds."""

    name: str
    value: int
    unit: str
    description: str


OPERATION: Final = Limits()

SERVICE_LIMITS: Final = tuple(
    ServiceLimit(*row)
    for row in (
        ("sandboxes", limits.SANDBOXES, "sandboxes", "Sandboxes of an organization."),
        ("apiKeys", limits.API_KEYS, "keys", "API keys of an organization that are not revoked."),
        ("mergePolicies", limits.POLICIES, "policies", "Merge policies of a sandbox."),
        ("schemas", limits.SCHEMAS, "schemas", "Schemas of a sandbox."),
        ("datasets", limits.DATASETS, "datasets", "Datasets of a sandbox."),
        ("identityNamespaces", limits.NAMESPACES, "namespaces", "Custom identity namespaces of a sandbox."),
        (
            "uniqueNamespaces",
            identity_settings.MAX_UNIQUE_NAMESPACES,
            "namespaces",
            "Namespaces that are unique in a graph.",
        ),
        ("sandboxCustomFields", limits.CUSTOM_FIELDS, "fields", "Custom fields of all schemas of a sandbox."),
        ("sandboxCustomFieldBytes", limits.CUSTOM_FIELD_BYTES, "bytes", "JSON of all custom fields of a sandbox."),
        ("schemaCustomFields", bounds.MAX_FIELDS, "fields", "Custom fields of one schema."),
        ("schemaCustomFieldBytes", bounds.MAX_BYTES, "bytes", "JSON of the custom fields of one schema."),
        ("schemaPatternBytes", bounds.MAX_PATTERNS_BYTES, "bytes", "All patterns of one schema, compiled."),
        ("schemaIdentities", limits.IDENTITY_FIELDS, "fields", "Fields of one schema that hold identities."),
        ("fieldDepth", custom.MAX_FIELD_DEPTH, "levels", "Levels of custom fields in each other."),
        ("fieldTitle", bounds.MAX_TITLE, "characters", "The title of a custom field."),
        ("fieldDescription", bounds.MAX_DESCRIPTION, "characters", "The description of a custom field."),
        ("enumValues", custom.MAX_ENUM_VALUES, "values", "Values in the enum of a custom field."),
        ("enumValue", bounds.MAX_ENUM_VALUE, "characters", "One value in an enum."),
        ("pattern", patterns.MAX_PATTERN_LENGTH, "characters", "The pattern of a custom field."),
        ("patternBytes", patterns.MAX_COMPILED_BYTES, "bytes", "One pattern, compiled."),
        ("name", names.MAX_NAME, "characters", "Names and titles of whatever has one, and keys of batches."),
        ("description", names.MAX_DESCRIPTION, "characters", "Descriptions of datasets and namespaces."),
        ("documents", ingestion.MAX_DOCUMENTS, "documents", "Records or events of one mutation."),
        ("recordSize", validation.MAX_DOCUMENT_BYTES[XdmClass.INDIVIDUAL_PROFILE], "bytes", "One record."),
        ("eventSize", validation.MAX_DOCUMENT_BYTES[XdmClass.EXPERIENCE_EVENT], "bytes", "One event."),
        ("documentIdentities", validation.MAX_IDENTITIES, "identities", "Identities that one document names."),
        ("identityValue", namespaces.MAX_VALUE_CHARACTERS, "characters", "The value of an identity."),
        ("eventId", validation.MAX_EVENT_ID_CHARACTERS, "characters", "The `_id` of an event."),
        (
            "graphIdentities",
            graphs.MAX_GRAPH_SIZE,
            "identities",
            "Identities of one graph; others become people of their own.",
        ),
        ("pageSize", keyset.MAX_PAGE_SIZE, "items", "Items of one page."),
        ("lookUp", MAX_NODES, "keys", "Identities, keys or ids of one look-up."),
        ("simulatedEvents", simulation.MAX_EVENTS, "events", "Events of one simulation."),
        ("simulatedIdentities", simulation.MAX_NAMED, "identities", "Identities of all events of one simulation."),
        ("operationText", OPERATION.document_bytes, "bytes", "The text of an operation."),
        ("operationVariables", OPERATION.variables_bytes, "bytes", "The variables of an operation."),
        (
            "operationSelectors",
            selectors.MAX_SELECTOR_LENGTH,
            "characters",
            "The selectors of an operation, equal ones once.",
        ),
        ("operationTokens", OPERATION.tokens, "tokens", "The text of an operation, in tokens of GraphQL."),
        ("operationDepth", OPERATION.depth, "levels", "Levels of fields of an operation; a connection takes three."),
        ("operationAliases", OPERATION.aliases, "aliases", "Aliases of an operation."),
        ("operationCost", OPERATION.cost, "objects", "About the objects that an operation has to load."),
    )
)


@strawberry.type(name="ServiceLimit", description="The most that is allowed of something; beyond it, `LIMIT_EXCEEDED`.")
class ServiceLimitType:
    name: str = plain("What the limit is called; it stays the same.")
    value: Long = plain("The most that is allowed.")
    unit: str = plain("What is counted, such as `bytes`.")
    description: str = plain("Where it holds.")


async def _service_limits(info: Info) -> tuple[ServiceLimit, ...]:
    info.context.require_configuration()
    return SERVICE_LIMITS


@strawberry.type(description="Queries of limits.")
class ServiceLimitQuery:
    service_limits: list[ServiceLimitType] = resolved_by(
        _service_limits, "Every limit that a caller can meet, but for those of time and of connections."
    )

"""The limits that a caller can meet, as a list for programs.

Rules have theirs here; those of a process, which its settings say, come with the context.
"""

from typing import Final

import strawberry

from gateway.api.context import Info, plain, resolved_by
from gateway.api.execution.introspection import MAX_INTROSPECTION_VALUES
from gateway.api.execution.limits import Limits
from gateway.api.execution.sizes import MAX_INPUT_VALUES
from gateway.api.ids import MAX_ID_CHARACTERS
from gateway.api.nodes import MAX_NODES
from gateway.api.scalars import Long
from gateway.api.weights import Weight
from gateway.domain.config import computed_attributes as attributes
from gateway.domain.config import identity_settings, namespaces
from gateway.domain.config import projection_configurations as projections
from gateway.domain.config import projection_destinations as destinations
from gateway.domain.facts import appending, batch_lists, batches, documents
from gateway.domain.ingest import ingestion, validation
from gateway.domain.operations import diffs, erasure, simulation
from gateway.domain.reading import (
    attribute_previews,
    attribute_results,
    edge_projections,
    events,
    identity_graphs,
    search_of_cluster,
)
from gateway.domain.rules import durations, graphs, keyset, limits, names, normalization, selectors
from gateway.domain.rules.limits import ServiceLimit
from gateway.domain.views import profiles
from gateway.domain.work import leases
from gateway.pql import cost, methods, occurrences, parser, problems
from gateway.pql import patterns as regexes
from gateway.xdm import bounds, custom, patterns, violations
from gateway.xdm import validation as checks
from gateway.xdm.classes import XdmClass

SERVICE_LIMITS: Final = tuple(
    ServiceLimit(*row)
    for row in (
        ("sandboxes", limits.SANDBOXES, "sandboxes", "Sandboxes of an organization."),
        ("apiKeys", limits.API_KEYS, "keys", "API keys of an organization that are not revoked."),
        ("revocations", limits.REVOCATIONS, "tokens", "Revoked tokens of an organization that have not expired."),
        ("mergePolicies", limits.POLICIES, "policies", "Merge policies of a sandbox."),
        ("draftedAttributes", limits.ATTRIBUTES, "attributes", "Computed attributes of a sandbox, drafts included."),
        ("attributeName", attributes.MAX_NAME_CHARACTERS, "characters", "The name of a computed attribute."),
        ("attributeKeys", attribute_results.MAX_KEYS, "keys", "Keys of a map that a computed attribute gives; more are left out, and `isComplete` is false."),
        ("schemas", limits.SCHEMAS, "schemas", "Schemas of a sandbox."),
        ("datasets", limits.DATASETS, "datasets", "Datasets of a sandbox."),
        ("searchIndexes", limits.SEARCH_INDEXES, "indexes", "Indexes for searches of a sandbox."),
        ("projectionDestinations", limits.DESTINATIONS, "destinations", "Destinations of projections of a sandbox."),
        ("projectionConfigurations", limits.PROJECTIONS, "projections", "Configurations of projections of a sandbox."),
        ("dataCenters", destinations.MAX_DATA_CENTERS, "codes", "Data centres of one destination."),
        ("projectionTime", destinations.MOST_TTL, "seconds", "The `ttl` of a destination."),
        ("projectionSelector", projections.MAX_SELECTOR_CHARACTERS, "characters", "One selector of a projection."),
        ("projectionSize", edge_projections.MAX_BYTES, "bytes", "JSON of a person's profile and events in a projection."),
        ("projectedEvents", projections.MAX_EVENTS, "events", "Events of a projection."),
        ("retention", limits.DAYS, "days", "For how long a dataset or a sandbox may be told to keep something."),
        ("identityNamespaces", limits.NAMESPACES, "namespaces", "Custom identity namespaces of a sandbox."),
        ("uniqueNamespaces", identity_settings.MAX_UNIQUE_NAMESPACES, "namespaces", "Namespaces that are unique in a graph."),
        ("sandboxCustomFields", limits.CUSTOM_FIELDS, "fields", "Custom fields of all schemas of a sandbox."),
        ("sandboxCustomFieldBytes", limits.CUSTOM_FIELD_BYTES, "bytes", "JSON of all custom fields of a sandbox."),
        ("schemaCustomFields", bounds.MAX_FIELDS, "fields", "Custom fields of one schema."),
        ("schemaCustomFieldBytes", bounds.MAX_BYTES, "bytes", "JSON of the custom fields of one schema."),
        ("schemaPatternBytes", bounds.MAX_PATTERNS_BYTES, "bytes", "All patterns of one schema, compiled."),
        ("schemaIdentities", limits.IDENTITY_FIELDS, "fields", "Fields of one schema that hold identities."),
        ("schemaProblems", custom.MAX_PROBLEMS, "problems", "Problems of custom fields that are told at once."),
        ("fieldDepth", custom.MAX_FIELD_DEPTH, "levels", "Levels of custom fields in each other."),
        ("fieldTitle", bounds.MAX_TITLE, "characters", "The title of a custom field."),
        ("fieldDescription", bounds.MAX_DESCRIPTION, "characters", "The description of a custom field."),
        ("enumValues", custom.MAX_ENUM_VALUES, "values", "Values in the enum of a custom field."),
        ("enumValue", bounds.MAX_ENUM_VALUE, "characters", "One value in an enum."),
        ("pattern", patterns.MAX_PATTERN_LENGTH, "characters", "The pattern of a custom field."),
        ("patternBytes", patterns.MAX_COMPILED_BYTES, "bytes", "One pattern, compiled."),
        ("name", names.MAX_NAME, "characters", "Names and titles of whatever has one, and keys of batches."),
        ("description", names.MAX_DESCRIPTION, "characters", "Descriptions of datasets and namespaces."),
        ("namespaceCode", namespaces.MAX_CODE_CHARACTERS, "characters", "The code of an identity namespace."),
        ("documents", ingestion.MAX_DOCUMENTS, "documents", "Records or events of one mutation."),
        ("recordSize", validation.MAX_DOCUMENT_BYTES[XdmClass.INDIVIDUAL_PROFILE], "bytes", "One record."),
        ("eventSize", validation.MAX_DOCUMENT_BYTES[XdmClass.EXPERIENCE_EVENT], "bytes", "One event."),
        ("refusedDocumentSize", appending.MAX_STORED_DOCUMENT_BYTES, "bytes", "A refused document that is kept with its error."),
        ("documentDepth", violations.MAX_DOCUMENT_DEPTH, "levels", "Objects and arrays of a document in each other."),
        ("documentViolations", checks.MAX_VIOLATIONS, "violations", "Rules that one document is told to break."),
        ("violationTexts", checks.MAX_VIOLATION_CHARACTERS, "characters", "What these rules say of one document, unless the first says more."),
        ("documentIdentities", validation.MAX_IDENTITIES, "identities", "Identities that one document names."),
        ("identityValue", normalization.MAX_VALUE_CHARACTERS, "characters", "The value of an identity."),
        ("eventId", validation.MAX_EVENT_ID_CHARACTERS, "characters", "The `_id` of an event."),
        ("eventType", documents.MAX_EVENT_TYPE_CHARACTERS, "characters", "The `eventType` of an event."),
        ("countedBatches", batch_lists.MAX_SORTED, "batches", "Batches that a list puts in order by a count."),
        ("idleBatch", batches.MAX_IDLE_DAYS, "days", "How long a batch stays open that nothing comes into."),
        ("graphIdentities", graphs.MAX_GRAPH_SIZE, "identities", "Identities of one graph; others become people of their own."),
        ("neighbours", graphs.MAX_NEIGHBOURS, "identities", "Others that an identity may be linked to and still join them."),
        ("linkedIdentities", graphs.MAX_COMPONENT, "identities", "Identities that may hang together, by whatever links, and join each other."),
        ("refusedLinks", identity_graphs.MAX_REFUSED_LINKS, "links", "Refused links of a graph that are shown."),
        ("changedPaths", profiles.MAX_PATHS, "paths", "Paths that the change of one person tells; of more, none is told."),
        ("deletedPeople", erasure.MAX_IDENTITIES, "identities", "Identities whose people one job erases."),
        ("jobAttempts", leases.MAX_JOB_ATTEMPTS, "attempts", "Attempts without progress after which a job has failed, unless others wait for it."),
        ("pageSize", keyset.MAX_PAGE_SIZE, "items", "Items of one page."),
        ("lookUp", MAX_NODES, "keys", "Identities, keys, namespaces or ids of one look-up."),
        ("propertyConditions", events.MAX_PROPERTY_CONDITIONS, "conditions", "Conditions on properties of a filter of events."),
        ("searchedEvents", search_of_cluster.MAX_EVENTS_OF_ONE, "events", "Events of one person that a search on a cluster reads, where its condition is about events."),
        ("idLength", MAX_ID_CHARACTERS, "characters", "An id as a caller gives it."),
        ("simulatedEvents", simulation.MAX_EVENTS, "events", "Events of one simulation."),
        ("simulatedIdentities", simulation.MAX_NAMED, "identities", "Identities of all events of one simulation."),
        ("clusterSearchEvents", search_of_cluster.MAX_EVENTS_OF_ONE, "events", "Events of one person that a search on a cluster looks at."),
        ("previewSample", attribute_previews.MAX_SAMPLE, "people", "The `sample` of a preview of a computed attribute."),
        ("diffSample", diffs.MAX_SAMPLE, "people", "The `sample` of a comparison of merge policies."),
        ("diffPaths", diffs.MAX_COUNTED_PATHS, "paths", "Paths that a comparison counts."),
        ("diffFields", diffs.MAX_FIELDS, "fields", "Fields that a comparison tells."),
        ("diffExamples", diffs.MAX_EXAMPLES, "people", "Examples of a comparison."),
        ("operationSelectors", selectors.MAX_SELECTOR_LENGTH, "characters", "The selectors of an operation, equal ones once."),
        ("selectorDepth", selectors.MAX_SELECTOR_DEPTH, "levels", "Levels of a selector."),
        ("expressionLength", parser.MAX_EXPRESSION_LENGTH, "characters", "An expression of PQL, and all conditions of one operation together."),
        ("expressionNodes", parser.MAX_EXPRESSION_NODES, "nodes", "Names, values, operators and calls of an expression."),
        ("expressionDepth", parser.MAX_EXPRESSION_DEPTH, "levels", "Parts of an expression in each other."),
        ("expressionCost", cost.MAX_EXPRESSION_COST, "values", "What an expression may compute for one person, taken to have 100 events."),
        ("expressionProblems", problems.MAX_EXPRESSION_PROBLEMS, "problems", "Mistakes of an expression that are told at once."),
        ("expressionSources", parser.MAX_SOURCES, "arrays", "Arrays that one quantifier of an expression goes through."),
        ("chainSteps", parser.MAX_CHAIN_STEPS, "steps", "Steps of a chain in an expression."),
        ("expressionDigits", parser.MAX_DIGITS, "characters", "A number in an expression."),
        ("distance", occurrences.MAX_DISTANCE_YEARS, "years", "Years between two times that `occurs` compares."),
        ("lookback", durations.LOOKBACK_YEARS, "years", "How far back `lookback` goes."),
        ("expressionSize", cost.MAX_EXPRESSION_SIZE, "nodes", "An expression once the names of each `let` are replaced by what they stand for."),
        ("topItems", methods.MAX_TOP, "items", "Items that `topN` and `bottomN` give."),
        ("regularExpression", regexes.MAX_REGEX_LENGTH, "characters", "A regular expression in an expression."),
        ("regularExpressionSize", regexes.MAX_REGEX_SIZE, "characters", "A regular expression, its repetitions written out."),
        ("regularExpressionRepetitions", regexes.MAX_REPETITIONS, "repetitions", "What a regular expression repeats."),
        ("operationValues", MAX_INPUT_VALUES, "values", "Values in lists and input objects of an operation's variables."),
        ("introspectionValues", MAX_INTROSPECTION_VALUES, "values", "Values that `__schema` or `__type` gives."),
    )
)  # fmt: skip
"""Limits of the rules, which are the same in every process."""


def operation_limits(operation: Limits) -> tuple[ServiceLimit, ...]:
    """Return the limits of one operation, but for its time and the size of its answer, which are settings."""
    rows = (
        ("operationText", operation.document_bytes, "bytes", "The text of an operation."),
        ("operationVariables", operation.variables_bytes, "bytes", "The variables of an operation."),
        ("operationTokens", operation.tokens, "tokens", "The text of an operation, in tokens of GraphQL."),
        ("operationDefinitions", operation.definitions, "definitions", "Operations and fragments of one text."),
        ("operationNesting", operation.nesting, "levels", "Brackets of any kind in each other, those of fragments included."),
        ("operationSelections", operation.selections, "selections", "Fields and fragments, wherever a fragment is spread."),
        ("operationPairs", operation.pairs, "pairs", "Pairs of selections of one place under one key."),
        ("operationDepth", operation.depth, "levels", "Levels of fields of an operation; a connection takes three."),
        ("introspectionDepth", operation.introspection_depth, "levels", "Levels of fields in `__schema` and `__type`."),
        ("operationAliases", operation.aliases, "aliases", "Aliases of an operation."),
        ("operationDirectives", operation.directives, "directives", "Directives of an operation."),
        ("operationCost", operation.cost, "objects", "About the objects that an operation has to load."),
        ("operationErrors", operation.errors, "errors", "Faults of a text, or of variables, that are told at once."),
    )  # fmt: skip
    return tuple(ServiceLimit(*row) for row in rows)


@strawberry.type(
    name="ServiceLimit",
    description="The most that is allowed of something. What goes beyond it is refused, mostly with `LIMIT_EXCEEDED`, or has to wait.",
)
class ServiceLimitType:
    is_loaded = False

    name: str = plain("What the limit is called; it stays the same.")
    value: Long = plain("The most that is allowed.")
    unit: str = plain("What is counted, such as `bytes`; `milliseconds` of time.")
    description: str = plain("Where it holds.")


async def _service_limits(info: Info) -> tuple[ServiceLimit, ...]:
    info.context.require_configuration()
    return info.context.service_limits


@strawberry.type(description="Queries of limits.")
class ServiceLimitQuery:
    service_limits: list[ServiceLimitType] = resolved_by(
        _service_limits,
        "Every number that bounds what a caller, a sandbox or a schema can make the gateway do: those of the rules, of one operation, and of the process that answers, as its settings say.",
        weight=Weight(size=100),
    )

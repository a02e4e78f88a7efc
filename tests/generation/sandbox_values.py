"""Values of a sandbox for arguments of generated operations: ids, identities, cursors, and the arguments that take each of them.

Most drawn values exist in the sandbox, so that operations find data; some only have the right type.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson
from client import Client
from graphql import (
    EnumValueNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    ListValueNode,
    NameNode,
    ObjectFieldNode,
    ObjectValueNode,
    ValueNode,
    is_required_input_field,
    parse_value,
)

NULL, GARBAGE, OPTIONAL, UNWRAPPED = 0.06, 0.05, 0.4, 0.1
"""Probabilities of a null, of a value that exists nowhere, of an optional input field, and of an item in place of a list."""

NAMES = {
    "IdentityInput.xid": "xid", "mergePolicyId": "MergePolicy", "base": "MergePolicy", "datasetIds": "Dataset", "order": "Dataset",
    "Query.dataset.id": "Dataset", "Query.batch.id": "Batch", "Query.mergePolicy.id": "MergePolicy", "schemaId": "XdmSchema",
    "Query.schema.id": "XdmSchema", "Query.computedAttribute.id": "ComputedAttribute", "Query.computedAttribute.name": "ComputedAttribute name", "Query.projectionConfiguration.id": "ProjectionConfiguration", "Query.projectionConfiguration.name": "ProjectionConfiguration name", "Query.projectionConfigurations.name": "ProjectionConfiguration name",
    "Query.projectionDestination.id": "ProjectionDestination", "Query.identityNamespace.id": "IdentityNamespace", "Query.sandbox.id": "Sandbox",
    "Query.dataset.name": "Dataset name", "Query.mergePolicy.name": "MergePolicy name", "Query.schema.title": "XdmSchema title",
    "Query.sandbox.name": "Sandbox name", "code": "IdentityNamespace code", "DatasetFilter.name": "part", "ComputedAttributeFilter.name": "part", "mergeFunction": "function", "Profile.computedAttributes.names": "unknown", "XdmSchemaFilter.title": "part",
    "Query.node.id": "any", "Query.nodes.ids": "any", "namespace": "namespace", "IdentityKeyInput.value": "value",
    "select": "selector", "namespaces": "namespace", "path": "path", "PropertyCondition.value": "property", "eventTypes": "event type",
    "since": "time", "until": "time", "timestamp": "time", "first": "size", "last": "size", "sample": "size",
    "after": "cursor", "before": "cursor", "where": "nothing", "EventFilter.where": "condition",
}  # fmt: skip
"""The kind of value that an argument or input field takes, by its name alone or with its owner's in front."""

MOSTLY_EMPTY = [0] * 15 + [1]
"""Sizes of lists of names of which the sandbox has none: every item is a mistake."""

FIXED: dict[str, list[Any]] = {
    "selector": [
        "person", "person.name(firstName,lastName),homeAddress", "identityMap", "commerce.order.priceTotal,productListItems.SKU",
        "personalEmail.address", "segmentMembership", "_story", "nothing.at.all", "person(", "",
    ],
    "path": [
        *(["commerce.order.priceTotal", "productListItems.SKU", "eventType", "identityMap.Email.id", "web.webPageDetails.name"] * 2),
        "_story.rating", "nothing.at.all", "a..b",
    ],
    "property": [12.5, 10, "tea", "a", True, "", None, {"a": 1}, [1]],
    "event type": ["commerce.purchases", "web.webpagedetails.pageViews", "a", "b", ""],
    "time": ["2025-12-02T10:00:00Z", "2026-02-28T00:00:00.000Z", "2026-02-27T01:00:00+01:00", "1970-01-01T00:00:00Z", "2025-12-02", "now"],
    "size": [*([0, 1, 2, 3, 4, 5, 7, 10, 20] * 3), 1000, 1001, -1],
    "function": ["COUNT", "SUM", "", None],
    "part": ["", "c", "E", "crm", "no such"],
    "condition": [
        'eventType = "commerce.purchases"', "productListItems.sum(priceTotal) > 10", "timestamp occurs < 1 year before now", "true", 'eventTyp = "a"', "",
    ],
    "nothing": [None, None, 'person.name.firstName = "Ada"'],
}  # fmt: skip
GARBAGE_OF: dict[str, list[Any]] = {
    "ID": ["x", "", "dataset_AAAAAAAAAAAAAAAAAAAAAA", "00000000-0000-0000-0000-000000000000", 7],
    "String": ["", "x", "ä\u0000", "x" * 300], "Int": [0, -(2**31), 2**31 - 1], "Float": [0.5, 3], "Boolean": [True, False],
    "DateTime": ["", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"], "Duration": ["", "P7D", "P1Y2M", "-P1D"], "Date": ["2026-02-01", "2026-02-30", "0001-01-01"], "Long": [2**63 - 1, 0], "JSON": [{"a": [1, None]}, "x", 1e300],
}  # fmt: skip


class Name(str):
    """The name of an enum's value."""

    __slots__ = ()


@dataclass(frozen=True)
class InputPosition:
    """An argument or input field: the field or type that has it, and its name."""

    owner: str
    name: str

    @property
    def kind(self) -> str | None:
        """The kind of value that finds something here; None if any does."""
        return NAMES.get(f"{self.owner}.{self.name}") or NAMES.get(self.name)


class SandboxValues:
    """Values of a sandbox, by kind."""

    def __init__(
        self, values: dict[str, list[Any]], keys: list[tuple[str, str]], cursors: dict[str, list[str]], filled: set[str]
    ) -> None:
        self.values = FIXED | values
        self.keys = keys
        self.cursors = cursors
        self.filled = filled  # keys that documents have

    def draw(self, random: Random, place: InputPosition, input_type: Any) -> Any:
        """Draw a value that is mostly valid at this position."""
        if isinstance(input_type, GraphQLNonNull):
            return self._draw_not_null(random, place, input_type.of_type)
        return None if random.random() < NULL else self._draw_not_null(random, place, input_type)

    def _draw_not_null(self, random: Random, place: InputPosition, input_type: Any) -> Any:
        match input_type:
            case GraphQLList():
                if random.random() < UNWRAPPED and place.kind != "unknown":
                    return self.draw(random, place, input_type.of_type)
                sizes = MOSTLY_EMPTY if place.kind == "unknown" else [0, 1, 1, 2, 3, 5]
                return [self.draw(random, place, input_type.of_type) for _ in range(random.choice(sizes))]
            case GraphQLInputObjectType():
                return self._object(random, input_type)
            case GraphQLEnumType():
                return Name(random.choice(list(input_type.values)))
        pool = self.values.get(place.kind or "")
        if place.kind == "cursor":
            pool = self.cursors.get(place.owner) or [None]  # an empty list has none
        if not pool or random.random() < GARBAGE:
            pool = GARBAGE_OF[input_type.name]
        return random.choice(pool)

    def _object(self, random: Random, input_type: GraphQLInputObjectType) -> dict[str, Any]:
        if input_type.is_one_of:
            name = random.choice(list(input_type.fields))
            return {
                name: self._draw_not_null(random, InputPosition(input_type.name, name), input_type.fields[name].type)
            }
        if input_type.name == "IdentityKeyInput" and random.random() > GARBAGE:
            return dict(zip(("namespace", "value"), random.choice(self.keys), strict=True))
        return {
            name: self.draw(random, InputPosition(input_type.name, name), field.type)
            for name, field in input_type.fields.items()
            if is_required_input_field(field) or random.random() < OPTIONAL
        }


async def read_sandbox_values(client: Client) -> SandboxValues:
    """Read values from the client's sandbox."""
    found = await client.data(READ_VALUES)
    values: dict[str, list[Any]] = {
        kind: [node["id"] for node in found[list_name]["nodes"]] for kind, list_name in LISTS.items()
    }
    values |= {f"{kind} {name}": [node[name] for node in found[LISTS[kind]]["nodes"]] for kind, name in CALLED.items()}
    people = found["searchProfiles"]["nodes"]
    identities = [each for person in people for each in person["identities"]]
    values["Batch"] = [each["id"] for dataset in found["datasets"]["nodes"] for each in dataset["batches"]["nodes"]]
    values["Profile"] = [person["id"] for person in people]
    values["Identity"] = [each["id"] for each in identities]
    values["ExperienceEvent"] = [each["node"]["id"] for person in people for each in person["events"]["edges"]]
    values["any"] = [each for kind, ids in values.items() if " " not in kind for each in ids[:12]]
    values["xid"] = [each["xid"] for each in identities] + [person["profileId"] for person in people]
    values["namespace"] = sorted({each["namespace"]["code"] for each in identities})
    values["value"] = [each["value"] for each in identities]
    keys = [(each["namespace"]["code"], each["value"]) for each in identities]
    of_events = [
        each["cursor"] for person in people for order in ("events", "latest") for each in person[order]["edges"]
    ]
    cursors = {f"Query.{name}": _cursors(found[name]) for name in {*LISTS.values(), "searchProfiles", "profileChanges"}}
    cursors |= {"Profile.events": of_events, "Query.events": of_events}
    cursors["Profile.recordVersions"] = [each for person in people for each in _cursors(person["recordVersions"])]
    cursors["Dataset.batches"] = [
        each for dataset in found["datasets"]["nodes"] for each in _cursors(dataset["batches"])
    ]
    documents = [person["entityJson"] for person in people]
    documents += [each["node"]["entityJson"] for person in people for each in person["events"]["edges"]]
    return SandboxValues(values, keys, cursors, {key for document in documents for key in _keys(document)})


def _keys(value: Any) -> Iterator[str]:
    """Yield all keys in a document, at any depth."""
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(each)
    yield from value if isinstance(value, dict) else ()


def _cursors(connection: dict[str, Any]) -> list[str]:
    return [edge["cursor"] for edge in connection["edges"]]


LISTS = {
    "Dataset": "datasets", "XdmSchema": "schemas", "MergePolicy": "mergePolicies", "Sandbox": "sandboxes",
    "IngestionWarning": "ingestionWarnings", "IdentityNamespace": "identityNamespaces", "ProjectionConfiguration": "projectionConfigurations",
    "ProjectionDestination": "projectionDestinations",
}  # fmt: skip
CALLED = {
    "Dataset": "name", "XdmSchema": "title", "MergePolicy": "name", "Sandbox": "name", "IdentityNamespace": "code", "ProjectionConfiguration": "name",
}  # fmt: skip
"""The field by which people call the objects of a type, which is also the argument that looks one up."""

READ_VALUES = f"""{{
  {" ".join(f"{name} {{ edges {{ cursor }} nodes {{ id {CALLED.get(kind, '')} }} }}" for kind, name in LISTS.items() if kind != "Dataset")}
  datasets {{ edges {{ cursor }} nodes {{ id name batches {{ edges {{ cursor }} nodes {{ id }} }} }} }}
  profileChanges {{ edges {{ cursor }} }}
  searchProfiles {{
    edges {{ cursor }}
    nodes {{
      id profileId entityJson
      identities {{ id xid value namespace {{ code }} }}
      recordVersions {{ edges {{ cursor }} }}
      events {{ edges {{ cursor node {{ id entityJson }} }} }}
      latest: events(orderBy: {{field: INGESTED_AT, direction: DESC}}) {{ edges {{ cursor }} }}
    }}
  }}
}}"""


def literal(value: Any) -> ValueNode:
    """Render a value as GraphQL writes it in a document."""
    match value:
        case Name():
            return EnumValueNode(value=str(value))
        case list():
            return ListValueNode(values=tuple(map(literal, value)))
        case dict():
            fields = [ObjectFieldNode(name=NameNode(value=name), value=literal(each)) for name, each in value.items()]
            return ObjectValueNode(fields=tuple(fields))
    return parse_value(orjson.dumps(value).decode())

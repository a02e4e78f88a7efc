"""A sandbox's GraphQL schema: Strawberry's own parts go on working, and entities are typed by the unions."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, NewType

import pytest
import strawberry
from graphql import (
    ExecutionResult,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    execute,
    get_introspection_query,
    get_named_type,
    parse,
    print_schema,
    subscribe,
    validate,
    validate_schema,
)
from strawberry.schema.config import StrawberryConfig

from gateway.api.entities import FloatByKey, with_entities
from gateway.xdm.classes import XdmClass, compose

LONG = 2**53 - 1
DateTime = NewType("DateTime", object)
JSON = NewType("JSON", object)
Long = NewType("Long", int)
SCALARS = {
    DateTime: strawberry.scalar(
        name="DateTime",
        serialize=lambda at: at if isinstance(at, str) else at.isoformat(),
        parse_value=datetime.fromisoformat,
    ),
    JSON: strawberry.scalar(name="JSON", serialize=lambda value: value, parse_value=lambda value: value),
    Long: strawberry.scalar(name="Long", serialize=int, parse_value=int),
}
CONTRACT_LEAVES = {
    "ProfileEntity": [
        "person.name.firstName", "person.name.lastName", "person.birthDate", "personalEmail.address", "workEmail.address",
        "mobilePhone.number", "homeAddress.city", "identityMap", "segmentMembership",
    ],
    "ExperienceEventEntity": [
        "eventType", "web.webPageDetails.name", "web.webPageDetails.pageViews.value", "commerce.order.priceTotal",
        "commerce.purchases.value", "productListItems.SKU", "productListItems.priceTotal", "identityMap",
    ],
}  # fmt: skip
CUSTOM = {
    "score": {"type": "integer", "description": "How likely the person is to come back."},
    "rank": {"meta:xdmType": "short"},
    "lastCall": {"type": "string", "format": "date-time"},
    "id": {"type": "string"},
    "by-shop": {"type": "object", "additionalProperties": {"type": "number"}},
    "cards": {"type": "array", "items": {"type": "object", "properties": {"no": {"type": "string"}}}},
    "grid": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
    "open": {"type": "boolean"},
}
DOCUMENT = {
    "person": {"name": {"firstName": "Ada"}, "birthDate": "1985-04-12"},
    "identityMap": {"Email": [{"id": "ada@example.com"}]},
    "loyalty": {"joinDate": "2019-01-01T00:00:00.000Z"},
    "_acme": {
        "score": LONG, "rank": 7, "lastCall": "2024-05-01T12:30:00.000Z", "id": "x", "by-shop": {"a": 1.5},
        "cards": [{"no": "1"}, {}], "grid": [["a"], ["b", "c"]], "open": False,
    },
}  # fmt: skip


@strawberry.enum
class Colour(Enum):
    RED = "the red one"
    BLUE = "the blue one"


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class ProfileEntity:
    standin: JSON | None


@strawberry.type
class ExperienceEventEntity:
    standin: JSON | None


@strawberry.type
class Profile(Node):
    @strawberry.field
    def entity(self) -> ProfileEntity:
        return DOCUMENT  # type: ignore[return-value]


@strawberry.type
class Event(Node):
    at: DateTime
    entity: ExperienceEventEntity

    @strawberry.field
    def schema_name(self, info: strawberry.Info) -> str:
        return f"{type(info.schema).__name__} {info.field_name} {info.context['caller']}"


@strawberry.input(one_of=True)
class KeyInput:
    xid: strawberry.ID | None = strawberry.UNSET
    colour: Colour | None = strawberry.UNSET


Thing = Annotated[Profile | Event, strawberry.union("Thing")]
EVENT = {"productListItems": [{"SKU": "1", "_id": "line"}], "commerce": {"purchases": {"id": "m", "value": 1}}}


@strawberry.type
class Query:
    @strawberry.field
    async def node(self, id: strawberry.ID) -> Node | None:  # noqa: A002 (the Relay name)
        return Profile(id=id) if id == "p" else event()

    @strawberry.field
    def things(self) -> list[Thing]:
        return [Profile(id=strawberry.ID("p")), event()]

    @strawberry.field
    def colour(self, of: KeyInput, default: Colour = Colour.BLUE) -> Colour:
        assert isinstance(default, Colour)
        return of.colour or default

    @strawberry.field
    def later(self, at: DateTime, many: Long = Long(2)) -> JSON:
        assert isinstance(at, datetime)
        return {"year": at.year, "many": many}  # type: ignore[return-value]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def paint(self, colour: Colour) -> Colour:
        return colour


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def changed(self) -> AsyncIterator[Profile]:
        yield Profile(id=strawberry.ID("s"))


def event() -> Event:
    return Event(id=strawberry.ID("e"), at=datetime(2024, 5, 1, tzinfo=UTC), entity=EVENT)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def base() -> GraphQLSchema:
    """A process's schema, in the small: every kind of thing that Strawberry makes."""
    config = StrawberryConfig(scalar_map=SCALARS)  # type: ignore[arg-type]
    return strawberry.Schema(Query, Mutation, Subscription, types=[Event, Profile], config=config)._schema


@pytest.fixture(scope="module")
def schema(base: GraphQLSchema) -> GraphQLSchema:
    return with_entities(base, profile(CUSTOM), event_union())


def profile(custom: dict[str, Any] | None) -> dict[str, Any]:
    return compose(XdmClass.INDIVIDUAL_PROFILE, None, custom, "acme")


def event_union() -> dict[str, Any]:
    return compose(XdmClass.EXPERIENCE_EVENT, None, {"score": {"type": "string"}}, "acme")


async def run(schema: GraphQLSchema, query: str, **variables: Any) -> Any:
    document = parse(query)
    assert validate(schema, document) == []
    result = execute(schema, document, variable_values=variables, context_value={"caller": "me"})
    result = result if isinstance(result, ExecutionResult) else await result
    assert result.errors is None
    return result.data


def test_schema_is_valid_and_prints_as_sdl(schema: GraphQLSchema) -> None:
    assert validate_schema(schema) == []
    fresh = build_schema(print_schema(schema))
    assert validate_schema(fresh) == []
    assert print_schema(fresh) == print_schema(schema)


@pytest.mark.parametrize("root", CONTRACT_LEAVES)
def test_promised_leaves_exist(schema: GraphQLSchema, root: str) -> None:
    for path in CONTRACT_LEAVES[root]:
        node = schema.type_map[root]
        for step in path.split("."):
            assert isinstance(node, GraphQLObjectType)
            node = get_named_type(node.fields[step].type)


async def test_entity_values_come_out_of_the_document_as_stored(schema: GraphQLSchema) -> None:
    query = """{ node(id: "p") { ... on Profile { entity {
        person { name { firstName lastName } birthDate } personalEmail { address } identityMap loyalty { joinDate }
        _acme { score rank lastCall id_ by_shop cards { no } grid open } } } } }"""
    entity = (await run(schema, query))["node"]["entity"]
    assert entity == {
        "person": {"name": {"firstName": "Ada", "lastName": None}, "birthDate": "1985-04-12"},
        "personalEmail": None,
        "identityMap": DOCUMENT["identityMap"],
        "loyalty": {"joinDate": "2019-01-01T00:00:00.000Z"},
        "_acme": {
            "score": LONG, "rank": 7, "lastCall": "2024-05-01T12:30:00.000Z", "id_": "x", "by_shop": {"a": 1.5},
            "cards": [{"no": "1"}, {"no": None}], "grid": [["a"], ["b", "c"]], "open": False,
        },
    }  # fmt: skip


async def test_names_on_which_clients_normalize_are_renamed(schema: GraphQLSchema) -> None:
    query = '{ node(id: "e") { ... on Event { entity { productListItems { _id_ SKU } commerce { purchases { id_ value } } } } } }'
    assert (await run(schema, query))["node"]["entity"] == {
        "productListItems": [{"_id_": "line", "SKU": "1"}],
        "commerce": {"purchases": {"id_": "m", "value": 1.0}},
    }


async def test_interfaces_and_unions_are_resolved_to_their_types(schema: GraphQLSchema) -> None:
    query = '{ a: node(id: "p") { __typename id } b: node(id: "e") { __typename id } things { __typename ... on Node { id } } }'
    profile_node, event_node = {"__typename": "Profile", "id": "p"}, {"__typename": "Event", "id": "e"}
    assert await run(schema, query) == {"a": profile_node, "b": event_node, "things": [profile_node, event_node]}


async def test_enums_take_and_give_members(schema: GraphQLSchema) -> None:
    query = "query ($c: Colour!, $of: KeyInput!) { a: colour(of: {xid: 1}) b: colour(of: {colour: RED}) c: colour(of: $of) d: colour(of: {xid: 2}, default: $c) }"
    assert await run(schema, query, c="RED", of={"colour": "BLUE"}) == {
        "a": "BLUE",
        "b": "RED",
        "c": "BLUE",
        "d": "RED",
    }
    assert await run(schema, "mutation { paint(colour: RED) }") == {"paint": "RED"}


async def test_one_of_inputs_still_take_exactly_one(schema: GraphQLSchema) -> None:
    document = parse("query ($of: KeyInput!) { colour(of: $of) }")
    result = execute(schema, document, variable_values={"of": {"xid": 1, "colour": "RED"}})
    assert isinstance(result, ExecutionResult)
    assert result.errors is not None


async def test_scalars_and_info_go_through_strawberry(schema: GraphQLSchema) -> None:
    query = 'query ($n: Long) { later(at: "2024-05-01T00:00:00+00:00", many: $n) node(id: "e") { ... on Event { at schemaName } } }'
    assert await run(schema, query, n=LONG) == {
        "later": {"year": 2024, "many": LONG},
        "node": {"at": "2024-05-01T00:00:00+00:00", "schemaName": "Schema schemaName me"},
    }


async def test_subscriptions_run(schema: GraphQLSchema) -> None:
    stream = subscribe(
        schema, parse("subscription { changed { id entity { _acme { rank } } } }"), context_value={"caller": "me"}
    )
    stream = stream if isinstance(stream, AsyncIterator) else await stream
    assert [result.data async for result in stream] == [{"changed": {"id": "s", "entity": {"_acme": {"rank": 7}}}}]


async def test_introspection_shows_descriptions(schema: GraphQLSchema) -> None:
    data = await run(schema, get_introspection_query())
    types = {entry["name"]: entry for entry in data["__schema"]["types"]}
    fields = {field["name"]: field for field in types["XdmProfileAcme"]["fields"]}
    assert fields["score"]["description"] == "How likely the person is to come back."
    assert fields["score"]["type"]["name"] == "Long"
    assert types["XdmEmailAddress"]["description"].startswith("An e-mail address")
    assert all(field["description"] for name in types if name.startswith("Xdm") for field in types[name]["fields"])


def test_base_schema_stays_as_it_was(base: GraphQLSchema) -> None:
    before = print_schema(base)
    extended = with_entities(base, profile(CUSTOM), event_union())
    other = with_entities(base, profile(None), event_union())
    assert print_schema(base) == before
    assert "XdmProfileAcme" in extended.type_map
    assert "XdmProfileAcme" not in other.type_map
    assert extended.type_map["Colour"] is base.type_map["Colour"]


def test_a_type_of_the_gateway_is_never_replaced(schema: GraphQLSchema) -> None:
    with pytest.raises(TypeError, match="XdmExternalSystemKey"):  # `schema` has the generated types already
        with_entities(schema, profile(CUSTOM), event_union())


def test_two_classes_share_standard_types_and_keep_their_own_apart(schema: GraphQLSchema) -> None:
    own = [schema.type_map[name] for name in ("XdmProfileAcme", "XdmExperienceEventAcme")]
    types = [get_named_type(own_type.fields["score"].type).name for own_type in own]  # type: ignore[attr-defined]
    assert types == ["Long", "String"]


def test_a_schema_with_three_thousand_custom_fields_is_built(base: GraphQLSchema) -> None:
    custom = {
        f"group{i}": {"type": "object", "properties": {f"field{j}": {"type": "string"} for j in range(30)}}
        for i in range(100)
    }
    big = with_entities(base, profile(custom), event_union())
    assert len(big.type_map["XdmProfileAcmeGroup99"].fields) == 30  # type: ignore[attr-defined]


def test_a_float_gives_the_nearest_number_of_a_whole_one_that_no_float_is_equal_to():
    assert FloatByKey("a")({"a": 2**53 + 1}) == float(2**53)
    assert FloatByKey("a")({"a": [1, 2.5]}) == [1.0, 2.5]
    assert FloatByKey("a")({}) is None

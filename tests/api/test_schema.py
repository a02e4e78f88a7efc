"""The schema as clients see it: `schema.graphql` is up to date, every word in it is explained, and lists are all of one make."""

from pathlib import Path

import pytest
from client import Client
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    find_breaking_changes,
    is_introspection_type,
    validate_schema,
)
from world import World

from gateway.api.ids import KINDS
from gateway.api.schema import READERS, print_sdl
from gateway.api.schema import build_schema as build_base

FILE = Path(__file__).parents[2] / "schema.graphql"
SCHEMA = build_schema(print_sdl())
TYPES = [
    named_type
    for named_type in SCHEMA.type_map.values()
    if not is_introspection_type(named_type) and named_type.name not in {"String", "Int", "Float", "Boolean", "ID"}
]
UNCOUNTED = {"ProfileChangeConnection"}  # a row of it may stand for many changes, or for none
OBJECTS = [each for each in TYPES if isinstance(each, GraphQLObjectType)]


def described(named_type):
    """Schema coordinates of the type and of everything in it, with their descriptions."""
    name = named_type.name
    yield name, named_type.description
    if isinstance(named_type, GraphQLEnumType):
        yield from ((f"{name}.{value}", each.description) for value, each in named_type.values.items())
    if isinstance(named_type, GraphQLInputObjectType | GraphQLObjectType | GraphQLInterfaceType):
        yield from ((f"{name}.{field}", each.description) for field, each in named_type.fields.items())
    if isinstance(named_type, GraphQLObjectType):
        for field, each in named_type.fields.items():
            yield from ((f"{name}.{field}({argument}:)", given.description) for argument, given in each.args.items())


def test_the_printed_schema_is_the_one_in_the_repository():
    assert print_sdl() == FILE.read_text(encoding="utf-8"), "run `gateway schema > schema.graphql`"


def test_the_schema_is_valid():
    assert validate_schema(SCHEMA) == []


async def test_a_sandboxs_schema_has_its_own_fields_and_all_of_a_new_ones(db):
    client = Client.of(await World.create(db))
    custom = {"title": "Scores", "class": "INDIVIDUAL_PROFILE", "customFields": {"score": {"type": "integer"}}}
    await client.changed(
        "mutation ($given: CreateSchemaInput!) { createSchema(input: $given) { userErrors { code } } }", custom
    )
    own = build_schema(print_sdl(await client.world.config()))
    assert find_breaking_changes(SCHEMA, own) == []
    assert f"_{client.world.scope.organization.code}" in own.type_map["ProfileEntity"].fields


@pytest.mark.parametrize("named_type", TYPES, ids=lambda named_type: named_type.name)
def test_every_type_field_argument_and_value_is_explained_in_a_sentence(named_type):
    for coordinate, description in described(named_type):
        assert description, coordinate
        assert len(description.split()) >= 3, f"{coordinate}: {description}"
        assert description.rstrip()[-1] in ".:…)`", f"{coordinate}: {description}"


@pytest.mark.parametrize(
    "connection", [each for each in OBJECTS if each.name.endswith("Connection")], ids=lambda each: each.name
)
def test_every_connection_has_nodes_beside_edges_and_a_total(connection):
    noun = connection.name.removesuffix("Connection")
    fields = {name: str(field.type) for name, field in connection.fields.items()}
    node = str(SCHEMA.type_map[f"{noun}Edge"].fields["node"].type)
    total = {} if connection.name in UNCOUNTED else {"totalCount": "Long"}
    assert fields == {"edges": f"[{noun}Edge!]!", "nodes": f"[{node}]!", "pageInfo": "PageInfo!", **total}


def test_every_field_that_gives_a_connection_pages_in_both_directions():
    paged = [
        (f"{each.name}.{name}", field)
        for each in OBJECTS
        for name, field in each.fields.items()
        if str(field.type).endswith("Connection!")
    ]
    assert len(paged) >= 10
    for coordinate, field in paged:
        types = {name: str(argument.type) for name, argument in field.args.items()}
        four = {"first": "Int", "after": "String", "last": "Int", "before": "String"}
        assert {name: types.get(name) for name in four} == four, coordinate


def test_every_mutation_takes_one_input_and_answers_with_user_errors():
    for name, field in SCHEMA.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        assert str(field.args["input"].type).endswith("Input!"), name
        assert str(field.type).endswith("Payload!"), name
        assert str(SCHEMA.type_map[str(field.type)[:-1]].fields["userErrors"].type) == "[UserError!]!", name


def test_every_node_type_has_ids_and_a_reader():
    nodes = {each.name for each in OBJECTS if any(interface.name == "Node" for interface in each.interfaces)}
    assert nodes == set(READERS) == set(KINDS)


def test_lists_of_objects_that_can_grow_without_bound_are_connections():
    """What may be a plain list: parts of one object, answers aligned with what was asked, and lists that say their bound."""
    plain = {
        f"{each.name}.{name}"
        for each in OBJECTS
        for name, field in each.fields.items()
        if not each.name.startswith("Xdm") and not each.name.endswith(("Connection", "Payload"))
        if any(
            f"[{node}!]" in str(field.type) for node in [*READERS, "IdentityLink", "ProfileFragment", "ProfileResult"]
        )
    }
    assert plain == {
        "ApiKey.sandboxes", "AttributeMerge.order", "ComputedAttribute.dependents", "ComputedProvenance.events", "ProjectionDestination.configurations", "IdentityGraph.identities", "IdentityGraph.links", "IdentityGraph.refusedLinks", "IdentityLink.sources",
        "Profile.fragments", "Profile.identities", "Profile.sources", "PseudonymousExpiry.namespaces", "Query.profiles", "Query.searchIndexes", "UnionSchema.schemas",
    }  # fmt: skip


def test_the_base_schema_is_made_once():
    assert build_base() is build_base()

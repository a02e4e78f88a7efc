"""Schemas of sandboxes: shared where they are the same, made once, beside the event loop."""

import asyncio
import threading
from typing import ClassVar

from client import Client
from graphql import GraphQLSchema
from world import World

from gateway.api.execution.schemas import Schemas
from gateway.api.schema import build_schema

CREATE = (
    "mutation ($given: CreateSchemaInput!) { createSchema(input: $given) { schema { id } userErrors { message } } }"
)
SCORE = {"title": "Scores", "class": "INDIVIDUAL_PROFILE", "customFields": {"score": {"type": "integer"}}}
MANY_FIELDS = {
    f"group{i}": {"type": "object", "properties": {f"field{j}": {"type": "string"} for j in range(30)}}
    for i in range(100)
}


async def schema_of(client):
    return await client.operations._schemas.read(await client.world.config())


async def test_a_new_schema_changes_the_sandboxs_graphql_at_once(client):
    asked = '{ __type(name: "ProfileEntity") { fields { name } } }'
    before = await client.data(asked)
    await client.changed(CREATE, SCORE)
    after = await client.data(asked)
    own = f"_{client.world.scope.organization.code}"
    assert own not in [field["name"] for field in before["__type"]["fields"]]
    assert own in [field["name"] for field in after["__type"]["fields"]]


async def test_sandboxes_with_the_same_unions_share_a_schema_and_others_do_not(client):
    own = await schema_of(client)
    other = Client(await World.create(client.world.db), client.operations)
    assert await schema_of(other) is own
    await other.changed(CREATE, SCORE)
    assert await schema_of(other) is not own
    assert await schema_of(client) is own


async def test_all_that_wait_for_a_schema_get_the_same_one(client):
    schemas = await asyncio.gather(*[schema_of(client) for _ in range(8)])
    assert len({id(schema) for schema in schemas}) == 1


class Watched(GraphQLSchema):
    """A base schema that notes on which threads others are made of it."""

    threads: ClassVar[list[threading.Thread]] = []

    def to_kwargs(self):
        self.threads.append(threading.current_thread())
        return super().to_kwargs()


async def test_thousands_of_fields_are_made_into_types_beside_the_event_loop(client):
    await client.changed(CREATE, {**SCORE, "customFields": MANY_FIELDS})
    base = Watched(**{**build_schema().to_kwargs(), "assume_valid": True})
    base._strawberry_schema = build_schema()._strawberry_schema
    made = await Schemas(base).read(await client.world.config())
    assert sum(name.startswith("XdmProfile") for name in made.graphql.type_map) > 100
    assert Watched.threads
    assert threading.main_thread() not in Watched.threads


def test_the_base_schema_is_not_touched(client):
    assert "placeholder" in build_schema().type_map["ProfileEntity"].fields

"""The wall between sandboxes: every query and every mutation is tried with the ids of another sandbox.

There is one operation for each place in an argument where an id or an identity goes: there goes the other sandbox's, everywhere else the
caller's own.
"""

from dataclasses import replace

import asyncpg
import orjson
import pytest
from graphql import GraphQLField
from reflection import Place, Side, arguments, codes, furnished, operation, places, root_fields
from world import World

from gateway.domain import sandboxes
from gateway.domain.tenants import SandboxType

MARK = "FOREIGN"
"""In every text that the other sandbox holds, and in no request."""

ECHOED = {"xid", "e-mail"}
"""`profiles` tells whom it was asked for."""

IMAGINED = {"simulateIdentityGraph"}
"""Say nothing of what is stored."""


@pytest.fixture(params=["another organization", "the same organization"])
async def sides(db, request):
    """The caller's sandbox, and another one: of the same organization, or of another."""
    own = await World.create(db)
    if request.param == "the same organization":
        sandbox = await sandboxes.create_sandbox(db, own.scope, "dev", None, SandboxType.DEVELOPMENT)
        other = await World.inside(db, replace(own.scope, sandbox=sandbox))
    else:
        other = await World.create(db)
    return await furnished(own, "own"), await furnished(other, MARK)


def tries(root: str) -> list[tuple[str, GraphQLField, Place]]:
    return [(name, field, place) for name, field in root_fields(root) for place in places(name, field)]


def is_open(own: Side, other: Side, place: Place) -> bool:
    """An administrator sees and disposes of all sandboxes of the organization, but not of what is in them."""
    return place.kind == "Sandbox" and own.client.world.scope.organization == other.client.world.scope.organization


async def test_no_query_shows_anything_of_another_sandbox(sides):
    own, other = sides
    for name, field, place in tries("Query"):
        if is_open(own, other, place):
            continue
        given = arguments(name, field, own.ids, place, other.ids)
        _, body = await own.client.answer(operation("Query", name, field), given)
        text = orjson.dumps(body).decode()
        assert MARK not in text, (name, place, text)
        assert place.kind in ECHOED or other.ids[place.kind] not in text, (name, place, text)
        assert {error["extensions"]["code"] for error in body.get("errors", ())} <= {"BAD_INPUT"}, (name, place, text)


async def test_the_same_queries_show_it_to_its_own_callers(sides):
    """Else the test above would prove nothing."""
    _, other = sides
    for name, field, place in tries("Query"):
        given = arguments(name, field, other.ids, place, other.ids)
        _, body = await other.client.answer(operation("Query", name, field), given)
        assert "errors" not in body, (name, place, body["errors"])
        assert MARK in orjson.dumps(body).decode() or place.kind == "Sandbox" or name in IMAGINED, (name, place)


async def test_no_list_shows_anything_of_another_sandbox(sides):
    own, _ = sides
    for name, field in root_fields("Query"):
        _, body = await own.client.answer(operation("Query", name, field), arguments(name, field, own.ids))
        assert MARK not in orjson.dumps(body).decode(), name
        assert "errors" not in body, (name, body)


async def test_no_mutation_reaches_into_another_sandbox(sides, dsn):
    own, other = sides
    sandbox_id = other.client.world.scope.sandbox_id
    before = await state(dsn, sandbox_id)
    assert len([digest for digest in before.values() if digest]) >= 12
    for name, field, place in tries("Mutation"):
        if is_open(own, other, place):
            continue
        given = arguments(name, field, own.ids, place, other.ids)
        _, body = await own.client.answer(operation("Mutation", name, field), given)
        assert codes(body) == ["NOT_FOUND"], (name, place, body)
        assert MARK not in orjson.dumps(body).decode(), (name, place)
        assert await state(dsn, sandbox_id) == before, (name, place)


def test_mutations_that_take_no_id_are_known():
    """They can make things in the caller's own sandbox only; each was looked at."""
    with_ids = {name for name, _, _ in tries("Mutation")}
    without = {name for name, _ in root_fields("Mutation")} - with_ids
    assert without == {"createSandbox", "createSchema", "createIdentityNamespace", "updateIdentitySettings"}


async def state(dsn: str, sandbox_id: int) -> dict[str, str]:
    """A digest of every row of a sandbox, by table."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch(
        "select c.table_name from information_schema.columns c join pg_class p on p.oid = ('gateway.' || c.table_name)::regclass"
        " where c.table_schema = 'gateway' and c.column_name = 'sandbox_id' and not p.relispartition"
    )
    digests = {
        name: await connection.fetchval(
            f"select md5(string_agg(t::text, ',' order by t::text)) from gateway.{name} t where sandbox_id = $1",
            sandbox_id,
        )
        for (name,) in tables
    }
    await connection.close()
    return digests

"""The wall between sandboxes: every query and every mutation is tried with the ids of another sandbox.

There is one operation for each place in an argument where an id or an identity goes: there goes the other sandbox's, everywhere else the
caller's own.
"""

from dataclasses import replace

import asyncpg
import orjson
import pytest
from client import Client
from graphql import GraphQLField
from reflection import LIMITS, Place, Side, arguments, codes, furnished, operation, places, root_fields
from world import World

from gateway.api.execution.documents import Documents
from gateway.api.ids import global_id
from gateway.domain.config import sandboxes
from gateway.domain.rules.scope import EVERY_SANDBOX, SandboxType

MARK = "FOREIGN"
"""In every text that the other sandbox holds, and in no request."""

ECHOED = {"xid", "e-mail"}
"""`profiles` tells whom it was asked for."""

CREATE_SANDBOX = 'mutation { createSandbox(input: {name: "alpha"}) { sandbox { name } userErrors { code } } }'
DELETE_SANDBOX = (
    "mutation ($given: DeleteSandboxInput!) { deleteSandbox(input: $given) { deletedId userErrors { code } } }"
)

OF_ORGANIZATION = {"apiKeys", "auditLog"}
"""Show what is in every sandbox that the token is for."""

IMAGINED = {"simulateIdentityGraph", "verifyErasure"}
"""Say nothing of what is stored, or name nobody: what is told of a stranger is told of nobody, too."""


BOUND = "the same organization, by a token for one sandbox"


@pytest.fixture(scope="module")
def operations(module_db):
    """Of all sandboxes, as in a server: their schemas are equal, so that each operation is prepared once."""
    made = Client.of(World(module_db, *([None] * 4)), LIMITS).operations
    made._documents = Documents(LIMITS, 10**9)
    return made


@pytest.fixture(scope="module", params=["another organization", "the same organization", BOUND])
async def sides(module_db, operations, request):
    """The caller's sandbox, and another one: of the same organization, or of another. Either way the caller is `admin`."""
    db, own = module_db, await World.create(module_db)
    if request.param == "another organization":
        other = await World.create(db)
    else:
        title = MARK if request.param == BOUND else None
        sandbox = await sandboxes.create_sandbox(db, own.scope, "dev", title, SandboxType.DEVELOPMENT)
        other = await World.inside(db, replace(own.scope, sandbox=sandbox))
    if request.param == BOUND:
        bind(own)
    return await furnished(own, "own", operations), await furnished(other, MARK, operations)


def bind(world: World) -> None:
    """From now on the caller's token is for this sandbox only."""
    world.scope = replace(world.scope, sandboxes=frozenset({world.scope.sandbox.name}))


def tries(root: str) -> list[tuple[str, GraphQLField, Place]]:
    return [(name, field, place) for name, field in root_fields(root) for place in places(name, field)]


def is_open(own: Side, other: Side, place: Place) -> bool:
    """An administrator sees and disposes of the organization's sandboxes that the token is for, and of their keys, but not of what is in them."""
    return place.kind in {"Sandbox", "ApiKey", "AuditEntry"} and is_covered(own, other)


def is_covered(own: Side, other: Side) -> bool:
    scope, foreign = own.client.world.scope, other.client.world.scope
    return scope.organization == foreign.organization and scope.covers(foreign.sandbox)


FOR_ANYBODY = "issueProjectionToken", "e-mail"
"""A token is issued for whoever may come: a value that another sandbox knows is nobody in one's own."""


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
    own, other = sides
    for name, field in root_fields("Query"):
        if name in OF_ORGANIZATION and is_covered(own, other):
            continue
        _, body = await own.client.answer(operation("Query", name, field), arguments(name, field, own.ids))
        assert MARK not in orjson.dumps(body).decode(), name
        assert "errors" not in body, (name, body)


async def test_no_mutation_reaches_into_another_sandbox(sides, module_dsn):
    own, other = sides
    sandbox_id = other.client.world.scope.sandbox_id
    before = await state(module_dsn, sandbox_id)
    assert len([digest for digest in before.values() if digest]) >= 12
    for name, field, place in tries("Mutation"):
        if is_open(own, other, place) or (name, place.kind) == FOR_ANYBODY:
            continue
        given = arguments(name, field, own.ids, place, other.ids)
        _, body = await own.client.answer(operation("Mutation", name, field), given)
        assert codes(body) == ["NOT_FOUND"], (name, place, body)
        assert MARK not in orjson.dumps(body).decode(), (name, place)
        assert await state(module_dsn, sandbox_id) == before, (name, place)


async def test_a_token_for_one_sandbox_creates_no_other(db):
    """Nor does a token for several: only one for all of them (`*`) is about the organization."""
    world = await World.create(db)
    client = Client.of(world)
    for names in ({"prod"}, {"prod", "beta"}):
        world.scope = replace(world.scope, sandboxes=frozenset(names))
        error = await client.error(CREATE_SANDBOX)
        assert error["extensions"]["code"] == "FORBIDDEN"
    world.scope = replace(world.scope, sandboxes=frozenset({EVERY_SANDBOX}))
    assert (await client.data(CREATE_SANDBOX))["createSandbox"]["sandbox"]


async def test_a_token_for_several_sandboxes_changes_those_and_no_others(db):
    world = await World.create(db)
    made = {}
    for name in ("beta", "gamma"):
        made[name] = await sandboxes.create_sandbox(db, world.scope, name, None, SandboxType.DEVELOPMENT)
    world.scope = replace(world.scope, sandboxes=frozenset({"prod", "beta"}))
    client = Client.of(world)
    listed = await client.data(
        """{ sandboxes { nodes { name identitySettings { namespaces { priority } } pseudonymousExpiry { days } } totalCount }
        beta: sandbox(name: "beta") { name } gamma: sandbox(name: "gamma") { name } }"""
    )
    assert (listed["beta"], listed["gamma"]) == ({"name": "beta"}, None)
    assert [each["name"] for each in listed["sandboxes"]["nodes"]] == ["beta", "prod"]
    assert listed["sandboxes"]["totalCount"] == 2
    deleted = {}
    for name, sandbox in made.items():
        given = {"id": global_id("Sandbox", sandbox.sandbox_id), "confirmName": name}
        _, body = await client.answer(DELETE_SANDBOX, {"given": given})
        deleted[name] = [error["code"] for error in body["data"]["deleteSandbox"]["userErrors"]]
    assert deleted == {"beta": [], "gamma": ["NOT_FOUND"]}


def test_mutations_that_take_no_id_are_known():
    """They can make things in the caller's own sandbox only, or need a token for all; each was looked at."""
    with_ids = {name for name, _, _ in tries("Mutation")}
    without = {name for name, _ in root_fields("Mutation")} - with_ids
    assert without == {
        *(
            "createSandbox",
            "createSchema",
            "createComputedAttribute",
            "createProjectionDestination",
            "createIdentityNamespace",
            "updateIdentitySettings",
            "revokeToken",
        ),
    }


async def state(dsn: str, sandbox_id: int) -> dict[str, str]:
    """A digest of every row of a sandbox, by table."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch(
        "select c.table_name from information_schema.columns c join pg_class p on p.oid = ('gateway.' || c.table_name)::regclass"
        " where c.table_schema = 'gateway' and c.column_name = 'sandbox_id'"
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

"""The projector delivers to each edge by itself, and says of each how it is."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from edge.hub import Hub, looked_up
from key_server import key_set, serving
from stalls import stalled
from world import World, record

from gateway.domain.config.sandboxes import create_sandbox, delete_sandbox
from gateway.domain.config.tenants import read_sandbox
from gateway.domain.edges.centers import name_center
from gateway.domain.edges.sandboxes import list_sandboxes, read_settings
from gateway.domain.operations import projection_centers, projection_delivery, projection_store
from gateway.domain.operations.data_centers import list_data_centers
from gateway.domain.rules.scope import SandboxType
from gateway.server import projector
from gateway.server.projector import projecting
from gateway.settings import Settings, TokenIssuer
from gateway.storage import pool
from gateway.storage.database import Database
from gateway.storage.migrations import migrate
from gateway.storage.queries import EDGE, Query

ANA = ("Email", "ana@example.com")


def statement(text):
    return Query("test.statement", text, (), (), "rows", "For tests.")


HELD = statement("select sandbox_id from edge.projection union all select sandbox_id from edge.identity")


@pytest.fixture
async def other_dsn(new_store):
    """The address of the store of the edge OR2."""
    return await new_store()


@pytest.fixture
async def edges(template_world, db, store, edge_dsn, other_dsn):
    """A hub for each of two edges, of one world, and the setting that names these."""
    other = await Database.connect(other_dsn, size=2)
    await name_center(other, "OR2")
    world = template_world.inside_of(db)
    yield Hub(world, store), Hub(world, other, "OR2"), f"VA6={edge_dsn},OR2={other_dsn}"
    await other.close()


async def until(condition):
    """Wait until something is true, which it has to be within a minute."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 (what is waited for is in other databases)
            await asyncio.sleep(0.01)


async def test_an_edge_that_is_away_or_of_another_version_holds_no_other_up(edges, monkeypatch):
    monkeypatch.setattr(projector, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(projector, "MAX_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(projector, "BEAT_SECONDS", 0.02)
    near, far, named = edges
    world, other = near.world, far.edge
    await world.project("names", "person.name", to=("VA6", "OR2", "NLD1"))

    async def name_at(hub):
        (found,) = await looked_up(hub, ANA)
        return found and found["person"]["name"]["firstName"]

    async def status(code):
        found = await list_data_centers(world.db, await near.scope(), await world.config())
        return next(each for each in found if each.code == code)

    async with projecting(world.db, world.configurations, Settings(edges=named)):
        await world.records(record(ANA, first_name="Ana"))
        for hub in (near, far):
            await until(lambda hub=hub: _is(name_at(hub), "Ana"))
        await until(lambda: _reached(status("OR2")))
        async with other.transaction() as tx:
            await tx.rows(statement("select code from edge.data_center for update"))
            await world.records(record(ANA, first_name="Anna"))
            await until(lambda: _is(name_at(near), "Anna"))
            assert await name_at(far) == "Ana"
        await until(lambda: _is(name_at(far), "Anna"))
        await other.rows(statement("insert into edge.migration (name) values ('9999_later')"))
        await until(lambda: _fault(status("OR2"), "9999_later"))
        await world.records(record(ANA, first_name="Annie"))
        await until(lambda: _is(name_at(near), "Annie"))
        held_back = await status("OR2")
        assert (await name_at(far), held_back.is_reachable) == ("Anna", False)
        assert held_back.pending_changes >= 1
        await other.rows(statement("delete from edge.migration where name = '9999_later'"))
        await until(lambda: _is(name_at(far), "Annie"))
        await until(lambda: _reached(status("OR2")))
    absent = await status("NLD1")
    assert (absent.is_reachable, absent.lag_seconds, absent.projections) == (False, None, 0)
    assert "GATEWAY_EDGES" in absent.error
    assert await near.differences() == await far.differences() == []


@pytest.fixture
async def edges_apart(template_world, db, store, edge_dsn, own_cluster):
    """As `edges`, where the store of OR2 is on a Postgres of its own."""
    await own_cluster.create_database("far_away")
    await migrate(own_cluster.dsn("far_away"), EDGE)
    edge = await Database.connect(own_cluster.dsn("far_away"), size=2)
    await name_center(edge, "OR2")
    world = template_world.inside_of(db)
    yield Hub(world, store), Hub(world, edge, "OR2"), f"VA6={edge_dsn},OR2={own_cluster.dsn('far_away')}"
    await edge.close()


@pytest.fixture
def impatient(monkeypatch):
    """Pauses, and limits of time, are a hundredth or a tenth of what they are else."""
    for name, seconds in (("POLL_SECONDS", 0.02), ("MAX_PAUSE_SECONDS", 0.05), ("BEAT_SECONDS", 0.02)):
        monkeypatch.setattr(projector, name, seconds)
    monkeypatch.setattr(projection_store, "EDGE_SECONDS", 1.0)
    monkeypatch.setattr(projection_centers, "REACHED_SECONDS", 1.0)
    monkeypatch.setattr(pool, "CANCEL_TIMEOUT_SECONDS", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_an_edge_whose_postgres_does_not_answer_holds_no_other_up_and_catches_up(edges_apart, own_cluster):
    near, far, named = edges_apart
    world = near.world
    await world.project("names", "person.name", to=("VA6", "OR2"))

    async def have(name, *hubs):
        await world.records(record(ANA, first_name=name))
        for hub in hubs:
            await until(lambda hub=hub: _is(name_at(hub), name))

    async def name_at(hub):
        (found,) = await looked_up(hub, ANA)
        return found and found["person"]["name"]["firstName"]

    async def status():
        found = await list_data_centers(world.db, await near.scope(), await world.config())
        return next(each for each in found if each.code == "OR2")

    async def told_away():
        told = await status()
        return not told.is_reachable and told.pending_changes and told.error == "The database does not answer."

    delivering = AsyncExitStack()
    await delivering.enter_async_context(projecting(world.db, world.configurations, Settings(edges=named)))
    await have("Ana", near, far)
    with stalled(own_cluster):
        await have("Anna", near)
        await until(told_away)
        lag = (await status()).lag_seconds
        await have("Anne", near)
        assert (await status()).lag_seconds > lag > 0
    await until(lambda: _is(name_at(far), "Anne"))
    await until(lambda: _reached(status()))
    with stalled(own_cluster):
        await have("Annie", near)
        async with asyncio.timeout(60):
            await delivering.aclose()
    assert await near.differences() == []


@pytest.mark.usefixtures("impatient")
async def test_edges_forget_a_sandbox_that_is_deleted(edges, monkeypatch):
    monkeypatch.setattr(projector, "LISTED_SECONDS", 0.05)
    near, far, named = edges
    world = near.world
    await create_sandbox(world.db, world.scope, "trial", None, SandboxType.DEVELOPMENT)
    read = await read_sandbox(world.db, world.scope.organization.organization_id, "trial")
    trial = await World.inside(world.db, replace(world.scope, sandbox=read))
    for each in (world, trial):
        await each.records(record(ANA, first_name="Ana"))
        await each.project("names", "person.name", to=("VA6", "OR2"))

    async def held():
        """The sandboxes of which edges know anything, and those of which they hold people."""
        found = [{one.sandbox_id for one in await list_sandboxes(hub.edge)} for hub in (near, far)]
        return [*found, *[{row["sandbox_id"] for row in await hub.edge.rows(HELD)} for hub in (near, far)]]

    both, left = {world.scope.sandbox_id, read.sandbox_id}, {world.scope.sandbox_id}
    async with projecting(world.db, world.configurations, Settings(edges=named)):
        await until(lambda: _is(held(), [both] * 4))
        await delete_sandbox(world.db, world.scope, read.sandbox_id, "trial")
        await until(lambda: _is(held(), [left] * 4))


async def test_keys_of_other_issuers_are_delivered_to_edges(edges, monkeypatch):
    monkeypatch.setattr(projector, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(projection_delivery, "NOTE_SECONDS", 0.02)
    near, far, named = edges
    await near.world.project("names", "person.name", to=("VA6", "OR2"))
    key = ec.generate_private_key(ec.SECP256R1())

    async def told():
        """The ids of the keys that each edge has, by issuer."""
        found = [await read_settings(hub.edge, near.world.scope.sandbox_id) for hub in (near, far)]
        return [
            {
                one.issuer: one.keys and [key["kid"] for key in json.loads(one.keys)["keys"]]
                for one in each.sandbox.issuers
            }
            if each
            else None
            for each in found
        ]

    async with serving(key_set(first=key)) as idp:
        issuers = [
            TokenIssuer(issuer="https://idp.example", audience="gateway", jwks_url=idp.url),
            TokenIssuer(issuer="https://away.example", audience="gateway", jwks_url="http://127.0.0.1:1/keys"),
        ]
        own = Settings(edges=named, jwt_issuers=issuers)
        async with projecting(near.world.db, near.world.configurations, own):
            await until(lambda: _is(told(), [{"https://idp.example": ["first"], "https://away.example": None}] * 2))
        idp.status = "503 Service Unavailable"
        async with projecting(
            near.world.db, near.world.configurations, own
        ):  # as by a process that starts while it is away
            await near.world.records(record(ANA, first_name="Ana"))
            await until(lambda: _is(_held(near), True))
            assert await told() == [{"https://idp.example": ["first"], "https://away.example": None}] * 2
        without = Settings(edges=named)
        async with projecting(near.world.db, near.world.configurations, without):
            await until(lambda: _is(told(), [{}] * 2))


async def _held(hub):
    return await looked_up(hub, ANA) != [None]


async def _is(found, expected):
    return await found == expected


async def _reached(found):
    return (await found).is_reachable


async def _fault(found, said):
    return said in ((await found).error or "")

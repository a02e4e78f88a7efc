"""The projector delivers to each edge by itself, and says of each how it is."""

import asyncio
from itertools import count

import pytest
from edge.hub import Hub, looked_up
from world import record

from gateway.domain.edges.centers import name_center
from gateway.domain.operations.data_centers import list_data_centers
from gateway.server import projector
from gateway.server.projector import projecting
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.queries import Query

ANA = ("Email", "ana@example.com")
_numbers = count(1)


def statement(text):
    return Query("test.statement", text, (), (), "rows", "For tests.")


@pytest.fixture
async def other_dsn(cluster, administrator, edge_template):
    """The address of the store of the edge OR2."""
    name = f"other_edge_{next(_numbers)}"
    await administrator.execute(f"create database {name} template edge_template strategy file_copy")
    yield cluster.dsn(name)
    await administrator.execute(f"drop database if exists {name} with (force)")


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


async def _is(found, expected):
    return await found == expected


async def _reached(found):
    return (await found).is_reachable


async def _fault(found, said):
    return said in ((await found).error or "")

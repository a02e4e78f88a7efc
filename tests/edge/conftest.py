"""The store of an edge, empty, for one test."""

from itertools import count
from urllib.parse import urlsplit

import asyncpg
import pytest
from edge.hub import Hub

from gateway.domain.edges.centers import name_center
from gateway.domain.operations import projection_delivery
from gateway.storage.database import Database
from gateway.storage.migrations import migrate
from gateway.storage.queries import EDGE

TEMPLATE = "edge_template"

_numbers = count(1)


def database_of(cluster, name):
    """What a database is called that `cluster.dsn` gives the address of."""
    return urlsplit(cluster.dsn(name)).path.removeprefix("/")


@pytest.fixture(scope="session")
async def edge_template(cluster):
    """The address of a store that is copied for each test. An edge has one Postgres, even where its hub has a cluster."""
    administrator = await asyncpg.connect(cluster.dsn("postgres"))
    name = database_of(cluster, TEMPLATE)
    await administrator.execute(f"create database {name}")
    await migrate(cluster.dsn(TEMPLATE), EDGE)
    yield cluster.dsn(TEMPLATE)
    await administrator.execute(f"drop database {name} with (force)")
    await administrator.close()


@pytest.fixture
async def new_store(cluster, administrator, edge_template):
    """Makes an empty store, and returns its address."""
    made = []

    async def make():
        name = f"edge_test_{next(_numbers)}"
        made.append(database_of(cluster, name))
        template = database_of(cluster, TEMPLATE)
        await administrator.execute(f"create database {made[-1]} template {template} strategy file_copy")
        return cluster.dsn(name)

    yield make
    for name in made:
        await administrator.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
async def edge_dsn(new_store):
    """The address of an empty store."""
    return await new_store()


@pytest.fixture
async def store(edge_dsn):
    """A pool of connections to one of the edge VA6."""
    database = await Database.connect(edge_dsn, size=4)
    await name_center(database, "VA6")
    yield database
    await database.close()


@pytest.fixture
async def hub(template_world, db, store):
    """A hub that delivers to that store."""
    made = Hub(template_world.inside_of(db), store)
    await made.take_over()
    return made


@pytest.fixture
def one_by_one(monkeypatch):
    """People come to the edge one by one."""
    monkeypatch.setattr(projection_delivery, "PEOPLE_PER_PIECE", 1)

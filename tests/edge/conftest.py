"""The store of an edge, empty, for one test."""

from itertools import count

import pytest
from edge.hub import Hub

from gateway.domain.edges.centers import name_center
from gateway.domain.operations import projection_delivery
from gateway.storage.database import Database
from gateway.storage.migrations import migrate
from gateway.storage.queries import EDGE

TEMPLATE = "edge_template"

_numbers = count(1)


@pytest.fixture(scope="session")
async def edge_template(cluster):
    """The address of a store that is copied for each test."""
    await cluster.create_database(TEMPLATE)
    await migrate(cluster.dsn(TEMPLATE), EDGE)
    return cluster.dsn(TEMPLATE)


@pytest.fixture
async def edge_dsn(cluster, administrator, edge_template):
    """The address of an empty store."""
    name = f"edge_test_{next(_numbers)}"
    await administrator.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
    yield cluster.dsn(name)
    await administrator.execute(f"drop database if exists {name} with (force)")


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

"""A client of a small sandbox; a real browser, and the GraphiQL page in it."""

import pytest
from client import Client
from world import World

from gateway.storage.database import Database


@pytest.fixture
async def client(template_world: World, db: Database) -> Client:
    """A client of a sandbox with three empty datasets."""
    return Client.of(template_world.inside_of(db))


@pytest.fixture(scope="module")
async def module_client(module_db: Database) -> Client:
    """A client of such a sandbox, for all tests of a module that change nothing there that another would notice."""
    return Client.of(await World.create(module_db))

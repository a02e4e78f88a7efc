"""A client of a small sandbox; a real browser, and the GraphiQL page in it."""

import pytest
from client import Client
from world import World

from gateway.storage.database import Database


@pytest.fixture
async def client(template_world: World, db: Database) -> Client:
    """A client of a sandbox with three empty datasets."""
    return Client.of(template_world.inside_of(db))

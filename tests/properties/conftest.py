"""A sandbox in which generated histories are ingested."""

from collections.abc import AsyncIterator

import pytest
from properties.histories import Replay
from world import World

from gateway.storage.database import Database


@pytest.fixture
async def replay(template_world: World, db: Database, dsn: str) -> AsyncIterator[Replay]:
    async with Replay.of(template_world.inside_of(db), dsn) as opened:
        yield opened

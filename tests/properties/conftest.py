"""A sandbox in which histories are told."""

import pytest
from properties.histories import Telling
from world import World


@pytest.fixture
async def telling(db, dsn):
    return Telling(await World.create(db), dsn)

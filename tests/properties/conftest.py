"""A sandbox in which generated histories are ingested."""

import pytest
from properties.histories import Replay


@pytest.fixture
async def replay(template_world, db, dsn):
    return Replay(template_world.inside_of(db), dsn)

"""A sandbox in which histories are told."""

import pytest
from properties.histories import Telling


@pytest.fixture
async def telling(template_world, db, dsn):
    return Telling(template_world.inside_of(db), dsn)

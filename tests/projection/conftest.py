"""The sandbox that projections are read in."""

import pytest


@pytest.fixture
async def world(template_world, db):
    return template_world.inside_of(db)

"""A sandbox in which generated histories are ingested."""

from collections.abc import AsyncIterator

import pytest
from properties.histories import Replay
from world import World

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.storage.database import Database


@pytest.fixture
async def replay(template_world: World, db: Database, dsn: str) -> AsyncIterator[Replay]:
    async with Replay.of(template_world.inside_of(db), dsn) as opened:
        yield opened


@pytest.fixture
async def policy_of(replay):
    """Make policies that keep nothing, one of them without a graph; give each by its number, the default one as the first."""
    world, loyal = replay.world, AttributeMergeType.DATASET_PRECEDENCE
    merges = [AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED), AttributeMerge(loyal, (world.loyalty.dataset_id,))]
    graphs = [IdentityGraphType.NONE, IdentityGraphType.PDG]
    for name, (graph, merge) in enumerate(zip(graphs, merges, strict=True)):
        await policies.create_policy(world.db, world.scope, PolicySettings(f"Other {name}", graph, merge))
    config = await world.config()
    ordered = sorted(config.policies.values(), key=lambda each: (not each.settings.is_default, each.settings.name))
    return ordered.__getitem__

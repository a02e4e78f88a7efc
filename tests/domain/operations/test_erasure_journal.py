"""Whoever lags behind with changes hears of everybody whom an erasure takes out of the journal."""

from dataclasses import replace

import pytest
from world import record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.reading import profiles
from gateway.domain.reading.changes import list_changes, read_position
from gateway.domain.rules.keyset import Window

ANA, BOB, CLEO = [("Email", f"{name}@example.com") for name in ("ana", "bob", "cleo")]


async def left(world, policy, before, after):
    """Return which of these people somebody still has who reads all again that changes behind a position name."""
    page = await list_changes(world.db, world.scope, policy, Window(100, after=after))
    named = {one for each in page.items for one in (each.profile_id, *each.former_profile_ids)}
    return before - named


async def people(world, policy):
    page = await profiles.search_profiles(world.db, world.scope, await world.config(), policy, Window(100))
    return {each.profile_id for each in page.items}


@pytest.mark.parametrize("reach", DeleteScope)
@pytest.mark.parametrize("erased", [ANA, BOB, CLEO])
async def test_followers_hear_of_everybody_who_is_gone_though_rows_that_said_so_are_forgotten(world, reach, erased):
    policy = (await world.config()).default_policy
    alone = replace(policy.settings, name="Alone", identity_graph=IdentityGraphType.NONE, is_default=False)
    both = policy, await policies.create_policy(world.db, world.scope, alone)
    await world.records(*(record(one) for one in (ANA, BOB, CLEO)))
    position, _ = await read_position(world.db, world.scope)
    before = [await people(world, each) for each in both]
    await world.records(record(ANA, BOB), dataset=world.loyalty)
    await world.records(record(BOB, CLEO), dataset=world.loyalty)
    await world.erase(await world.xid(*erased), reach=reach)
    for each, had in zip(both, before, strict=True):
        assert await left(world, each, had, position.key) <= await people(world, each)
    check = await verify_erasure(world.db, world.scope, await world.xid(*erased))
    assert check.is_erased

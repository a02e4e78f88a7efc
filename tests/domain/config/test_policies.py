"""Merge policies: the limits, the one default, the one on the edge, and versions."""

from dataclasses import replace
from uuid import uuid4

import pytest
from world import record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings, PolicyStatus
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.scope import Permission
from gateway.errors import Conflict, Forbidden, Invalid, NotFound, Stale, Taken, TooMany

NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
OTHER = PolicySettings("Other", IdentityGraphType.NONE, NEWEST)


async def default_of(db, scope):
    return next(policy for policy in await policies.list_policies(db, scope) if policy.settings.is_default)


async def test_a_new_sandbox_has_the_default_policy_and_nothing_to_build(db, scope):
    (policy,) = await policies.list_policies(db, scope)
    assert policy.settings == policies.DEFAULT
    assert (policy.version, policy.status) == (1, PolicyStatus.ACTIVE)


async def test_a_new_default_takes_the_flag_from_the_former_one(db, scope):
    former = await default_of(db, scope)
    policy = await policies.create_policy(db, scope, replace(OTHER, is_default=True))
    assert policy.status is PolicyStatus.ACTIVE  # there is nothing to build
    assert (await default_of(db, scope)).policy_id == policy.policy_id
    again = await policies.update_policy(db, scope, former.policy_id, {"is_default": True})
    assert (await default_of(db, scope)).policy_id == again.policy_id
    assert again.version == 3


async def test_the_default_cannot_be_deleted_or_unflagged(db, scope):
    policy = await default_of(db, scope)
    with pytest.raises(Conflict):
        await policies.delete_policy(db, scope, policy.policy_id)
    with pytest.raises(Conflict):
        await policies.update_policy(db, scope, policy.policy_id, {"is_default": False})


async def test_one_policy_is_active_on_the_edge_and_must_be_cleared_first(db, scope):
    policy = await policies.create_policy(db, scope, replace(OTHER, is_active_on_edge=True))
    with pytest.raises(Conflict):
        await policies.create_policy(db, scope, replace(OTHER, name="Second", is_active_on_edge=True))
    with pytest.raises(Conflict):
        await policies.delete_policy(db, scope, policy.policy_id)
    await policies.update_policy(db, scope, policy.policy_id, {"is_active_on_edge": False})
    await policies.delete_policy(db, scope, policy.policy_id)
    assert len(await policies.list_policies(db, scope)) == 1


async def test_a_sandbox_has_at_most_five(db, scope):
    for number in range(4):
        await policies.create_policy(db, scope, replace(OTHER, name=f"P{number}"))
    with pytest.raises(TooMany):
        await policies.create_policy(db, scope, OTHER)


async def test_a_stale_version_changes_nothing(db, scope):
    policy = await policies.create_policy(db, scope, OTHER)
    changed = await policies.update_policy(db, scope, policy.policy_id, {"name": "Renamed"}, policy.version)
    assert (changed.settings.name, changed.version) == ("Renamed", 2)
    with pytest.raises(Stale):
        await policies.update_policy(db, scope, policy.policy_id, {"name": "Late"}, policy.version)


DATASET = uuid4()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "Default"}, Taken),
        ({"name": " "}, Invalid),
        ({"attribute_merge": AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE)}, Invalid),
        ({"attribute_merge": AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED, (DATASET,))}, Invalid),
        ({"attribute_merge": AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (DATASET, DATASET))}, Invalid),
    ],
)
async def test_a_broken_rule_is_explained_and_leaves_all_as_it_was(db, scope, change, error):
    with pytest.raises(error) as caught:
        await policies.create_policy(db, scope, replace(OTHER, **change))
    assert caught.value.path
    assert len(await policies.list_policies(db, scope)) == 1


async def test_an_unknown_policy_is_not_found_and_config_write_is_needed(db, scope):
    with pytest.raises(NotFound):
        await policies.delete_policy(db, scope, uuid4())
    reader = replace(scope, permissions=frozenset({Permission.PROFILE_READ}))
    with pytest.raises(Forbidden):
        await policies.create_policy(db, reader, OTHER)


# ------------------------------------------------------------------------------------------------ datasets in order


def in_order(*dataset_ids):
    return AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, dataset_ids)


async def test_an_order_names_datasets_of_records_that_are_there(world):
    crm, loyalty, shop = (dataset.dataset_id for dataset in (world.crm, world.loyalty, world.shop))
    policy = await policies.create_policy(world.db, world.scope, replace(OTHER, attribute_merge=in_order(crm, loyalty)))
    assert policy.settings.attribute_merge == in_order(crm, loyalty)
    for order, error in [((crm, DATASET), NotFound), ((crm, shop), Invalid)]:
        settings = replace(OTHER, name="Another", attribute_merge=in_order(*order))
        for change in (
            policies.create_policy(world.db, world.scope, settings),
            policies.update_policy(world.db, world.scope, policy.policy_id, {"attribute_merge": in_order(*order)}),
        ):
            with pytest.raises(error) as caught:
                await change
            assert caught.value.path == ["attributeMerge", "order", "1"]


# ------------------------------------------------------------------------------------------------ what is to be built


async def test_a_policy_is_built_once_there_is_something_to_merge(world):
    db, scope = world.db, world.scope
    policy = await policies.create_policy(db, scope, OTHER)
    await world.records(record(("Email", "ana@x.io"), first_name="Ana"))
    former = await default_of(db, scope)
    assert former.status is PolicyStatus.ACTIVE
    policy = await policies.update_policy(db, scope, policy.policy_id, {"is_default": True})
    assert policy.status is PolicyStatus.BUILDING
    renamed = await policies.update_policy(db, scope, policy.policy_id, {"name": "Renamed"})
    assert renamed.status is PolicyStatus.BUILDING
    again = await policies.update_policy(db, scope, former.policy_id, {"is_default": True})
    assert again.status is PolicyStatus.BUILDING
    (retired,) = [each for each in await policies.list_policies(db, scope) if each.policy_id == policy.policy_id]
    assert retired.status is PolicyStatus.ACTIVE  # it is merged at read, which is always right


async def test_only_another_way_to_merge_builds_a_policy_again(world):
    db, scope = world.db, world.scope
    await world.records(record(("Email", "ana@x.io"), first_name="Ana"))
    policy = await default_of(db, scope)
    renamed = await policies.update_policy(db, scope, policy.policy_id, {"name": "Renamed", "is_active_on_edge": True})
    assert renamed.status is PolicyStatus.ACTIVE
    changed = await policies.update_policy(db, scope, policy.policy_id, {"identity_graph": IdentityGraphType.NONE})
    assert changed.status is PolicyStatus.BUILDING

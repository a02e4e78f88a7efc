"""A comparison of policies counts by identity, is bounded in size and time, and stores nothing."""

from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from world import event, record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.operations import diffs
from gateway.domain.operations.diffs import diff_policies
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.scope import Permission
from gateway.domain.work.job_lists import list_jobs
from gateway.errors import BadInput, Conflict, Forbidden, Invalid, LimitExceeded, NotFound, Taken

ANA, PHONE, BEN, CLEO = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io"), ("ECID", "1" * 38)
NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
ALONE = PolicySettings("Alone", IdentityGraphType.NONE, NEWEST)
FIRST_NAME, ADDRESS = ("person", "name", "firstName"), ("homeAddress",)


def in_order(*datasets):
    return AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, tuple(dataset.dataset_id for dataset in datasets))


@pytest.fixture
async def peopled(world):
    """Make three people: Ana under two identities that disagree, Ben under one, Cleo with events only."""
    await world.records(
        record(ANA, PHONE, first_name="Ana", homeAddress={"city": "Bonn"}), record(BEN, first_name="Ben")
    )
    await world.records(record(PHONE, first_name="Anna"), dataset=world.loyalty)
    await world.events(event("e1", "2026-01-01T00:00:00Z", CLEO))
    return world


async def diff(world, candidate, *, base=None, **more):
    base_id = base or (await world.config()).default_policy.policy_id
    return await diff_policies(
        world.db, world.scope, world.configurations, base_id, candidate, **{"seconds": 60, **more}
    )


def crm_first(world):
    return PolicySettings("CRM first", IdentityGraphType.PDG, in_order(world.crm, world.loyalty))


async def test_each_identity_counts_for_the_person_that_it_leads_to(peopled):
    found = await diff(peopled, crm_first(peopled))
    assert (found.profiles_compared, found.profiles_changed, found.is_complete) == (4, 2, True)
    assert [(field.path, field.profiles_changed) for field in found.fields] == [(FIRST_NAME, 2)]
    assert {example.xid for example in found.examples} == {await peopled.xid(*name) for name in (ANA, PHONE)}
    (change,) = found.examples[0].changes
    assert (change.path, change.base, change.candidate) == (FIRST_NAME, "Anna", "Ana")


async def test_policies_that_do_not_see_the_same_people_are_compared(peopled):
    found = await diff(peopled, ALONE)
    assert (found.profiles_compared, found.profiles_changed) == (4, 2)
    counted = {field.path: field.profiles_changed for field in found.fields}
    assert counted == {("identityMap", "Email"): 1, ("identityMap", "Phone"): 1, FIRST_NAME: 1, ADDRESS: 1}
    changes = {example.xid: example.changes for example in found.examples}
    lost = {change.path: (change.base, change.candidate) for change in changes[await peopled.xid(*PHONE)]}
    assert lost == {("identityMap", "Email"): ([{"id": "ana@x.io"}], None), ADDRESS: ({"city": "Bonn"}, None)}


async def test_the_fields_that_change_for_most_come_first(peopled, monkeypatch):
    found = await diff(peopled, PolicySettings("Loyalty", IdentityGraphType.PDG, in_order(peopled.loyalty)))
    assert [(field.path, field.profiles_changed) for field in found.fields] == [(ADDRESS, 2), (FIRST_NAME, 1)]
    monkeypatch.setattr(diffs, "MAX_FIELDS", 1)
    found = await diff(peopled, PolicySettings("Loyalty", IdentityGraphType.PDG, in_order(peopled.loyalty)))
    assert [(field.path, field.profiles_changed) for field in found.fields] == [(ADDRESS, 2)]
    monkeypatch.setattr(diffs, "MAX_COUNTED_PATHS", 0)
    found = await diff(peopled, PolicySettings("Loyalty", IdentityGraphType.PDG, in_order(peopled.loyalty)))
    assert (found.profiles_changed, found.fields) == (3, ())


async def test_any_policy_can_be_the_base(peopled):
    base = await policies.create_policy(peopled.db, peopled.scope, ALONE)
    same = await diff(peopled, replace(ALONE, name="The same"), base=base.policy_id)
    assert (same.profiles_compared, same.profiles_changed, same.fields, same.examples) == (4, 0, (), ())
    back = await diff(peopled, PolicySettings("Together", IdentityGraphType.PDG, NEWEST), base=base.policy_id)
    assert back.profiles_changed == 2


async def test_a_sample_is_as_large_as_asked_and_the_same_every_time(peopled, monkeypatch):
    monkeypatch.setattr(diffs, "IDENTITIES_PER_READ", 2)
    whole = await diff(peopled, ALONE)
    samples = [await diff(peopled, ALONE, sample=size) for size in (1, 3, 3, 4, 100_000)]
    assert [found.profiles_compared for found in samples] == [1, 3, 3, 4, 4]
    assert all(found.is_complete for found in samples)
    assert samples[1] == samples[2]
    assert samples[3] == samples[4] == whole


async def test_the_number_of_examples_is_bounded(peopled, monkeypatch):
    monkeypatch.setattr(diffs, "MAX_EXAMPLES", 1)
    found = await diff(peopled, ALONE)
    assert (len(found.examples), found.profiles_changed) == (1, 2)


async def test_a_comparison_that_runs_out_of_time_says_that_it_is_incomplete(peopled):
    found = await diff(peopled, ALONE, seconds=0)
    assert (found.profiles_compared, found.is_complete) == (0, False)


async def test_a_statement_that_takes_too_long_is_left_and_the_connection_goes_on(peopled, dsn):
    blocker = await asyncpg.connect(dsn)
    try:
        async with blocker.transaction():
            await blocker.execute("lock gateway.fragment in access exclusive mode")
            found = await diff(peopled, ALONE, seconds=0.05)
    finally:
        await blocker.close()
    assert (found.profiles_compared, found.is_complete) == (0, False)
    assert (await diff(peopled, ALONE)).profiles_compared == 4


async def test_an_empty_sandbox_is_compared_at_once(world):
    found = await diff(world, ALONE)
    assert (found.profiles_compared, found.profiles_changed, found.is_complete) == (0, 0, True)


async def test_the_statements_depend_on_how_many_are_read_at_a_time_not_on_how_many_there_are(peopled, statements):
    ran = []
    for number in (0, 100):
        await peopled.records(*(record(("Email", f"{n}@x.io"), first_name=f"{n}") for n in range(number)))
        with statements() as seen:
            await diff(peopled, crm_first(peopled))
        ran.append([name for name in seen if not name.startswith("tenants")])
    assert ran[0] == ran[1]


async def test_a_comparison_stores_nothing(peopled):
    async def stored():
        listed = await policies.list_policies(peopled.db, peopled.scope)
        return listed, (await list_jobs(peopled.db, peopled.scope)).items, await peopled.fresh_sandbox()

    before = await stored()
    await diff(peopled, replace(ALONE, is_default=True))
    assert await stored() == before


# ------------------------------------------------------------------------------------------------ refused


async def test_a_candidate_is_held_to_the_rules_of_a_policy_that_is_made(peopled):
    await policies.create_policy(
        peopled.db, peopled.scope, PolicySettings("Edge", IdentityGraphType.PDG, NEWEST, is_active_on_edge=True)
    )
    unknown = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (uuid4(),))
    for change, error in [
        ({"name": "Edge"}, Taken),
        ({"name": ""}, Invalid),
        ({"is_active_on_edge": True}, Conflict),
        ({"attribute_merge": AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE)}, Invalid),
        ({"attribute_merge": in_order(peopled.shop)}, Invalid),
        ({"attribute_merge": unknown}, NotFound),
    ]:
        with pytest.raises(error):
            await diff(peopled, replace(ALONE, **change))


async def test_a_policy_is_compared_with_itself_changed(peopled):
    """The candidate has the name and the flags of the base: the most common comparison."""
    edge = await policies.create_policy(
        peopled.db, peopled.scope, PolicySettings("Edge", IdentityGraphType.PDG, NEWEST, is_active_on_edge=True)
    )
    (default,) = [p for p in (await peopled.config()).policies.values() if p.settings.is_default]
    for policy in (default, edge):
        assert (await diff(peopled, policy.settings, base=policy.policy_id)).profiles_changed == 0
        changed = replace(policy.settings, attribute_merge=in_order(peopled.crm))
        assert (await diff(peopled, changed, base=policy.policy_id)).profiles_changed > 0


async def test_a_candidate_beyond_the_limit_of_policies_can_be_compared(peopled):
    for number in range(4):
        await policies.create_policy(peopled.db, peopled.scope, replace(ALONE, name=f"P{number}"))
    assert (await diff(peopled, ALONE)).is_complete


async def test_an_unknown_base_a_wrong_sample_and_a_caller_without_permission_are_refused(peopled):
    with pytest.raises(BadInput):
        await diff(peopled, ALONE, base=uuid4())
    for sample, error in ((0, BadInput), (-1, BadInput), (100_001, LimitExceeded)):
        with pytest.raises(error):
            await diff(peopled, ALONE, sample=sample)
    peopled.scope = replace(peopled.scope, permissions=frozenset({Permission.CONFIG_WRITE}))
    with pytest.raises(Forbidden):
        await diff(peopled, ALONE)

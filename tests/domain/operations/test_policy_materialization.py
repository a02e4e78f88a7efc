"""A job materializes a policy while writers go on, and ends the same wherever it is cut off."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings, PolicyStatus
from gateway.domain.operations import policy_materialization
from gateway.domain.operations.policy_materialization import materialize_policy
from gateway.domain.operations.verification import verify
from gateway.domain.reading import profiles
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.versions import Mode
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.storage.queries import Query

NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
KEPT = Query(
    "test.kept", "select policy_id, count(*) from gateway.profile where sandbox_id = $1 group by 1", ("sandbox_id",),
    (), "rows", "For tests.",
)  # fmt: skip


def email(number):
    return "Email", f"p{number}@example.com"


@pytest.fixture
async def peopled(world, monkeypatch):
    """Make twelve people of two identities, one of them with events only; pieces are so small that the job takes several."""
    monkeypatch.setattr(policy_materialization, "PEOPLE_PER_PIECE", 5)
    monkeypatch.setattr(policy_materialization, "DELETED_PER_PIECE", 7)
    await world.records(*(record(email(n), ("Phone", f"+{n}"), first_name=f"N{n}") for n in range(11)))
    await world.records(*(record(email(n), first_name=f"L{n}") for n in range(4)), dataset=world.loyalty)
    await world.events(event("e1", "2026-01-01T00:00:00Z", email(99)))
    return world


async def created(world, **settings):
    given = PolicySettings("Other", IdentityGraphType.PDG, NEWEST, is_default=True)
    return await policies.create_policy(world.db, world.scope, replace(given, **settings))


async def built(world, db=None):
    """Do all jobs that are due."""
    db = db or world.db
    while claim := await leases.claim(db, [JobKind.MATERIALIZE_POLICY]):
        scope = replace(world.scope, sandbox=await world.fresh_sandbox())
        await leases.carry_out(db, claim, materialize_policy(db, scope, world.configurations, claim))


async def status(world, policy):
    return (await world.config()).policies[policy.policy_id].status


async def kept(world):
    return {row["policy_id"]: row["count"] for row in await world.db.rows(KEPT, world.scope.sandbox_id)}


async def read(world, policy):
    """Read everybody's document as a client reads it."""
    config = await world.config()
    xids = [await world.xid(*email(n)) for n in range(11)]
    found = await profiles.read_profiles(world.db, world.scope, config, config.policies[policy.policy_id], xids)
    return [each.profile.document for each in found]


async def test_a_new_default_is_built_by_a_job_and_read_right_before_and_after(peopled):
    former = (await peopled.config()).default_policy
    policy = await created(peopled)
    assert policy.status is PolicyStatus.BUILDING
    before = await read(peopled, policy)
    assert [document["person"]["name"]["firstName"] for document in before[:5]] == ["L0", "L1", "L2", "L3", "N4"]
    assert await kept(peopled) == {former.policy_id: 11}
    await built(peopled)
    assert await status(peopled, policy) is PolicyStatus.ACTIVE
    assert await kept(peopled) == {policy.policy_id: 11}
    assert await read(peopled, policy) == before
    assert await verify(peopled.db, peopled.scope, peopled.configurations) == []


async def test_a_policy_without_a_graph_merges_each_identity_by_itself_from_listed_datasets(peopled):
    order = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (peopled.loyalty.dataset_id,))
    policy = await created(peopled, attribute_merge=order)
    await built(peopled)
    assert await kept(peopled) == {policy.policy_id: 4}
    changed = {"identity_graph": IdentityGraphType.NONE, "attribute_merge": NEWEST}
    await policies.update_policy(peopled.db, peopled.scope, policy.policy_id, changed)
    assert await status(peopled, policy) is PolicyStatus.BUILDING
    await built(peopled)
    assert await kept(peopled) == {policy.policy_id: 11}
    assert await verify(peopled.db, peopled.scope, peopled.configurations) == []


async def test_a_policy_that_leaves_the_edge_keeps_no_profiles(peopled):
    policy = await created(peopled, is_default=False, is_active_on_edge=True)
    await built(peopled)
    assert (await kept(peopled))[policy.policy_id] == 11
    await policies.update_policy(peopled.db, peopled.scope, policy.policy_id, {"is_active_on_edge": False})
    await policies.delete_policy(peopled.db, peopled.scope, policy.policy_id)
    await built(peopled)
    assert policy.policy_id not in await kept(peopled)


async def test_a_change_that_merges_as_before_builds_nothing(peopled):
    policy = await created(peopled)
    await policies.update_policy(peopled.db, peopled.scope, policy.policy_id, {"name": "Renamed"})
    assert await status(peopled, policy) is PolicyStatus.BUILDING
    await built(peopled)
    await policies.update_policy(
        peopled.db, peopled.scope, policy.policy_id, {"name": "Again", "is_active_on_edge": True}
    )
    assert await status(peopled, policy) is PolicyStatus.ACTIVE


async def test_a_newer_change_takes_the_place_of_a_job_that_runs(peopled):
    policy = await created(peopled)
    claim = await leases.claim(peopled.db, [JobKind.MATERIALIZE_POLICY])
    while claim.subject != policy.policy_id:
        claim = await leases.claim(peopled.db, [JobKind.MATERIALIZE_POLICY])
    changed = {"identity_graph": IdentityGraphType.NONE}
    await policies.update_policy(peopled.db, peopled.scope, policy.policy_id, changed)
    work = materialize_policy(peopled.db, peopled.scope, peopled.configurations, claim)
    await leases.carry_out(peopled.db, claim, work)
    assert await status(peopled, policy) is PolicyStatus.BUILDING
    await built(peopled)
    assert await status(peopled, policy) is PolicyStatus.ACTIVE
    statuses = [
        job.status for job in (await list_jobs(peopled.db, peopled.scope)).items if job.subject == claim.subject
    ]
    assert sorted(statuses) == [JobStatus.CANCELLED, JobStatus.COMPLETED]


async def test_the_progress_of_the_job_counts_people(peopled):
    policy = await created(peopled)
    await built(peopled)
    (job,) = [job for job in (await list_jobs(peopled.db, peopled.scope)).items if job.subject == policy.policy_id]
    assert (job.done, job.total, job.metrics.profiles, job.status) == (12, 12, 12, JobStatus.COMPLETED)


async def test_writers_go_on_while_a_policy_is_built(peopled):
    """Everything that they add, change and delete meanwhile is in the profiles once the policy is active."""
    await created(peopled)

    async def writer(number):
        for n in range(number, 40, 4):
            await peopled.records(record(email(n), ("Phone", f"+{n % 13}"), first_name=f"W{n}"))
            await peopled.records(record(email(n - 3)), mode=Mode.DELETE)

    await asyncio.gather(built(peopled), *(writer(number) for number in range(4)))
    await built(peopled)
    assert await verify(peopled.db, peopled.scope, peopled.configurations) == []


async def test_a_worker_killed_at_any_statement_leaves_work_that_ends_the_same(peopled, later):
    policy, number, killed = await created(peopled), 0, True
    after = await later(timedelta(hours=1))
    while killed:
        number += 1
        graph = [IdentityGraphType.NONE, IdentityGraphType.PDG][number % 2]
        await policies.update_policy(peopled.db, peopled.scope, policy.policy_id, {"identity_graph": graph})
        killed = await killed_at(number, built(peopled))
        await built(peopled, after)
        assert await status(peopled, policy) is PolicyStatus.ACTIVE
        assert await verify(peopled.db, peopled.scope, peopled.configurations) == []
    assert number > 20

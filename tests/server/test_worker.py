"""The worker beside the server and alone: what is enqueued gets done, whoever is killed on the way."""

import asyncio

import pytest
from world import World, record

from gateway.domain import policies
from gateway.domain.jobs import JobKind
from gateway.domain.policies import IdentityGraphType, PolicyStatus
from gateway.domain.verification import verify
from gateway.server.worker import HANDLERS, work_off
from gateway.telemetry import JobLeft, listen

CREATE_POLICY = """mutation { createMergePolicy(input: {name: "Other", identityGraph: NONE, isDefault: true,
  attributeMerge: {type: TIMESTAMP_ORDERED}}) { mergePolicy { id status } userErrors { message } } }"""
STATUS = "{ mergePolicies(filter: {isDefault: true}) { nodes { name status } } }"


@pytest.fixture
async def world(db):
    return await World.create(db)


def test_every_kind_of_job_has_its_handler():
    assert HANDLERS.keys() == set(JobKind)


async def test_all_that_is_due_is_done_in_every_sandbox(world, db):
    other = await World.create(db)
    for each in (world, other):
        await each.records(record(("Email", "ana@example.com"), first_name="Ana"))
        changed = {"identity_graph": IdentityGraphType.NONE}
        await policies.update_policy(db, each.scope, (await each.config()).default_policy.policy_id, changed)
    left = []
    stop = listen(lambda seen: left.append(seen) if isinstance(seen, JobLeft) else None)
    assert await work_off(db, world.configurations) == 2
    stop()
    assert [(one.kind, one.outcome) for one in left] == [("materialize_policy", "completed")] * 2
    for each in (world, other):
        assert (await each.config()).default_policy.status is PolicyStatus.ACTIVE
        assert await verify(db, each.scope, each.configurations) == []


async def test_a_server_works_beside_its_requests(gateway):
    dataset_id = await gateway.dataset()
    line = b'{"personalEmail": {"address": "ana@example.com"}}'
    headers = await gateway.headers() | {"content-type": "application/x-ndjson"}
    assert (await gateway.http.post(f"/ingest/{dataset_id}", content=line, headers=headers)).status_code == 200
    created = (await gateway.run(CREATE_POLICY))["createMergePolicy"]
    assert (created["userErrors"], created["mergePolicy"]["status"]) == ([], "BUILDING")
    async with asyncio.timeout(30):
        while (await gateway.run(STATUS))["mergePolicies"]["nodes"] != [{"name": "Other", "status": "ACTIVE"}]:
            pass

"""The worker in a server and alone: enqueued jobs are done, even if a worker is killed."""

import asyncio
import subprocess
from uuid import uuid4

import pytest
from places import reachable_directory
from program import GATEWAY, environment, server
from working import work_off
from world import World, record

from gateway.domain.config import policies
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.policies import IdentityGraphType, PolicyStatus
from gateway.domain.operations.verification import verify
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.server import worker
from gateway.server.worker import handlers, working
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.telemetry import FaultMasked, JobLeft, listen

CREATE_POLICY = """mutation { createMergePolicy(input: {name: "Other", identityGraph: NONE, isDefault: true,
  attributeMerge: {type: TIMESTAMP_ORDERED}}) { mergePolicy { id status } userErrors { message } } }"""
STATUS = "{ mergePolicies(filter: {isDefault: true}) { nodes { name status } } }"


@pytest.fixture
async def world(db):
    return await World.create(db)


def test_every_kind_of_job_has_its_handler():
    assert handlers(Settings()).keys() == set(JobKind)


async def test_due_jobs_of_every_sandbox_are_done(world, db):
    other = await World.create(db)
    for each in (world, other):
        await each.records(record(("Email", "ana@example.com"), first_name="Ana"))
        changed = {"identity_graph": IdentityGraphType.NONE}
        await policies.update_policy(db, each.scope, (await each.config()).default_policy.policy_id, changed)
    left = []
    stop = listen(lambda seen: left.append(seen) if isinstance(seen, JobLeft) else None)
    assert await work_off(db, world.configurations) == 2
    stop()
    assert [(one.kind, one.outcome) for one in left] == [(JobKind.MATERIALIZE_POLICY, "completed")] * 2
    for each in (world, other):
        assert (await each.config()).default_policy.status is PolicyStatus.ACTIVE
        assert await verify(db, each.scope, each.configurations) == []


async def test_an_error_that_repeats_with_each_look_is_observed_once(monkeypatch, dsn):
    monkeypatch.setattr(worker, "POLL_SECONDS", 0)
    db = await Database.connect(dsn)
    await db.close()
    told, looked = [], asyncio.Event()
    stop = listen(lambda seen: (told.append(seen), looked.set()) if isinstance(seen, FaultMasked) else None)
    async with asyncio.timeout(30), working(db, Configurations(), Settings()):
        await looked.wait()
        for _ in range(100):  # turns of the loop, in each of which it looks again
            await asyncio.sleep(0)
    stop()
    assert [str(one.error) for one in told] == ["The gateway is ending."]


async def test_a_worker_is_woken_by_the_commit_of_a_job(world, monkeypatch):
    monkeypatch.setattr(worker, "POLL_SECONDS", 3600)
    async with asyncio.timeout(30), working(world.db, world.configurations, Settings()):
        for kind in (IdentityGraphType.NONE, IdentityGraphType.PDG):
            await world.records(record(("Email", "ana@example.com"), first_name=kind))
            done, policy_id = left(JobKind.MATERIALIZE_POLICY), (await world.config()).default_policy.policy_id
            await policies.update_policy(world.db, world.scope, policy_id, {"identity_graph": kind})
            await done
            assert (await world.config()).default_policy.status is PolicyStatus.ACTIVE


def left(kind, outcome=None, times=1):
    """Return a future: the outcomes of the next jobs of this kind that the worker leaves, all or those with one outcome."""
    done, outcomes = asyncio.get_running_loop().create_future(), []

    def note(seen):
        if isinstance(seen, JobLeft) and seen.kind is kind and outcome in (None, seen.outcome):
            outcomes.append(seen.outcome)
            if len(outcomes) == times:
                stop()
                done.set_result(outcomes)

    stop = listen(note)
    return done


async def test_long_work_holds_up_no_short_work_and_a_free_slot_takes_the_next_job(world, monkeypatch):
    monkeypatch.setattr(worker, "POLL_SECONDS", 3600)
    begun, go_on = asyncio.Queue(), asyncio.Event()

    async def long(_, __, ___, job):
        begun.put_nowait(job.subject)
        await go_on.wait()

    async def short(*_):
        pass

    doing = {JobKind.MATERIALIZE_POLICY: long, JobKind.ABORT_BATCH: short}
    monkeypatch.setattr(worker, "handlers", lambda _: doing)
    made = [uuid4() for _ in range(3)]
    async with world.db.transaction() as tx:
        for subject in made:
            await jobs.enqueue(tx, world.scope, JobKind.MATERIALIZE_POLICY, subject)
    async with asyncio.timeout(30), working(world.db, world.configurations, Settings(long_jobs=2)):
        first = [await begun.get() for _ in range(2)]
        for _ in range(2):
            done = left(JobKind.ABORT_BATCH)
            async with world.db.transaction() as tx:
                await jobs.enqueue(tx, world.scope, JobKind.ABORT_BATCH, uuid4())
            assert await done == ["completed"]
        assert begun.empty()
        done = left(JobKind.MATERIALIZE_POLICY, times=3)
        go_on.set()
        await done
    assert sorted([*first, begun.get_nowait()]) == sorted(made)


async def test_a_long_job_gives_its_slot_to_another_sandbox_and_goes_on_when_it_is_its_turn(world, db, monkeypatch):
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(worker, "TURN_SECONDS", 0)
    other, pieces = await World.create(db), {}

    async def endless(_, scope, __, job):
        """Goes on until both have committed some pieces."""
        while len(pieces) < 2 or min(map(len, pieces.values())) < 3:
            async with db.transaction() as tx:
                await leases.advance(tx, job, None, done=job.done + 1)
            pieces.setdefault(scope.sandbox_id, []).append(job.done)

    monkeypatch.setattr(worker, "handlers", lambda _: {JobKind.REGROUP_IDENTITIES: endless})
    for each in (world, other):
        async with db.transaction() as tx:
            await jobs.enqueue(tx, each.scope, JobKind.REGROUP_IDENTITIES)
    ended = left(JobKind.REGROUP_IDENTITIES, "completed", times=2)
    async with asyncio.timeout(30), working(db, world.configurations, Settings(long_jobs=1)):
        await ended
    for each in (world, other):
        done = pieces[each.scope.sandbox_id]
        assert done == list(range(1, len(done) + 1))
        (job,) = (await list_jobs(db, each.scope)).items
        assert (job.status, job.done, job.error) == (JobStatus.COMPLETED, len(done), None)


async def test_a_server_does_jobs_besides_requests(gateway):
    dataset_id = await gateway.dataset()
    line = b'{"personalEmail": {"address": "ana@example.com"}}'
    headers = await gateway.headers() | {"content-type": "application/x-ndjson"}
    assert (await gateway.http.post(f"/ingest/{dataset_id}", content=line, headers=headers)).status_code == 200
    created = (await gateway.run(CREATE_POLICY))["createMergePolicy"]
    assert (created["userErrors"], created["mergePolicy"]["status"]) == ([], "BUILDING")
    async with asyncio.timeout(30):
        while (await gateway.run(STATUS))["mergePolicies"]["nodes"] != [{"name": "Other", "status": "ACTIVE"}]:
            pass


def test_a_worker_process_does_the_jobs_that_a_server_leaves():
    """In processes of their own: the server serves, the worker builds, and ends at SIGTERM."""
    with (
        reachable_directory() as path,
        server(path / "data", env=environment(GATEWAY_RUN_JOBS="false")) as started,
        started.client() as client,
    ):
        line = b'{"identityMap": {"Email": [{"id": "ana@example.com"}]}}'
        headers = {"content-type": "application/x-ndjson"}
        assert client.post(f"/ingest/{make_dataset(client)}", content=line, headers=headers).status_code == 200
        assert answer(client, CREATE_POLICY)["createMergePolicy"]["mergePolicy"]["status"] == "BUILDING"
        command = [*GATEWAY, "worker", "--data-dir", str(started.data_dir)]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "working\n"
            while answer(client, STATUS)["mergePolicies"]["nodes"] != [{"name": "Other", "status": "ACTIVE"}]:
                assert worker.poll() is None
            worker.terminate()
            assert worker.wait() == 0


def make_dataset(client):
    made = answer(client, 'mutation { createSchema(input: {title: "P", class: INDIVIDUAL_PROFILE}) { schema { id } } }')
    schema_id = made["createSchema"]["schema"]["id"]
    create = f'mutation {{ createDataset(input: {{name: "P", schemaId: "{schema_id}"}}) {{ dataset {{ id }} }} }}'
    return answer(client, create)["createDataset"]["dataset"]["id"]


def answer(client, query):
    body = client.post("/graphql", json={"query": query}).json()
    assert "errors" not in body, body
    return body["data"]

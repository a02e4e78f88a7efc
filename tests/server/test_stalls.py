"""A Postgres that does not answer costs each caller the time limit and no more, and nothing of it is left once it answers again."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from stalls import stalled

from gateway.postgres.cluster import Cluster

LIMIT = 2.0
IN_TIME = 5.0  # less than the time that a connection has for ending: nobody waits for that
CONNECTIONS = 4
NDJSON = {"content-type": "application/x-ndjson"}
VIEWER = "{ viewer { organization } }"
DATASETS = "{ datasets { nodes { name recordCount } } }"
PEOPLE = json.dumps({"personalEmail": {"address": "a@example.com"}}) + "\n"
CREATE = 'mutation { createSandbox(input: {name: "other", title: "Other", type: DEVELOPMENT}) { sandbox { name } } }'
BACKENDS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@pytest.fixture
def dsn(own_cluster: Cluster) -> str:
    return own_cluster.dsn()


@pytest.fixture
async def slow(start_gateway):
    """A gateway over that server, with little patience and few connections."""
    async with start_gateway(request_seconds=LIMIT, database_connections=CONNECTIONS, run_jobs=False) as gateway:
        yield gateway


async def all_of(slow, known, dataset):
    """An answer to every kind of request, of callers who were here before and of strangers, more at once than there are connections."""

    async def post(query, **more):
        return await slow.http.post("/graphql", json={"query": query}, headers=known | more)

    async def send():
        return await slow.http.post(f"/ingest/{dataset}", content=PEOPLE, headers=known | NDJSON)

    asked = [
        *(
            post(query, **{"x-sandbox-name": sandbox})
            for query in (VIEWER, DATASETS, CREATE)
            for sandbox in ("prod", "other", "x")
        ),
        *(slow.http.get("/schema.graphql", headers=known) for _ in range(2)),
        *(send() for _ in range(6)),
        *(post(DATASETS) for _ in range(6)),
    ]
    return await asyncio.gather(*asked)


def code(answer):
    return answer.json()["errors"][0]["extensions"]["code"]


async def test_requests_get_an_error_in_time_while_postgres_does_not_answer(slow, own_cluster):
    """By all doors, authentication included, be it the request's time that ends first or the statement's.

    Afterwards everybody is served as before, with no connection more than agreed.
    """
    to = (slow, await slow.headers(), await slow.dataset())
    await all_of(*to)
    with stalled(own_cluster):
        for _ in range(2):
            async with asyncio.timeout(IN_TIME):
                answers = await all_of(*to)
            assert {code(answer) for answer in answers} <= {"TIMEOUT", "UNAVAILABLE"}
            async with asyncio.timeout(IN_TIME):
                ready = await slow.http.get("/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "the database does not answer")
            assert (await slow.http.get("/healthz")).status_code == 200
    async with asyncio.timeout(60):
        while (await slow.http.get("/readyz")).status_code != 200:
            pass
    assert (await slow.run(DATASETS))["datasets"]["nodes"]
    watcher = await asyncpg.connect(own_cluster.dsn())
    async with asyncio.timeout(60):
        while await watcher.fetchval(BACKENDS) > 2 * CONNECTIONS:  # the store of the test has a pool of its own
            pass
    await watcher.close()
    answers = await all_of(*to)
    assert all(answer.status_code in {200, 403} for answer in answers), answers


async def test_a_process_leaks_no_descriptor_while_postgres_does_not_answer(slow, own_cluster):
    to = (slow, await slow.headers(), await slow.dataset(name="more"))
    await all_of(*to)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with stalled(own_cluster):
        for _ in range(2):
            await all_of(*to)
    async with asyncio.timeout(60):
        while (await slow.http.get("/readyz")).status_code != 200:
            pass
    async with asyncio.timeout(60):
        while len(list(Path("/proc/self/fd").iterdir())) > before + CONNECTIONS:
            await slow.http.get("/healthz")

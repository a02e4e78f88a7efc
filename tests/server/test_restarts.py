"""Postgres ends connections, or restarts, under load: callers get UNAVAILABLE, and no unexpected error."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
import orjson
import pytest

from gateway.domain.operations.verification import verify
from gateway.errors import Unavailable
from gateway.storage.database import Database

END_ALL = """select count(pg_terminate_backend(pid)) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid()"""
READ = '{ profiles(identities: [{key: {namespace: "Email", value: "p1@x.io"}}]) { status } datasets { totalCount } }'
WRITE = """mutation Write($dataset: ID!, $documents: [JSON!]!) {
  ingestRecords(input: {datasetId: $dataset, documents: $documents}) { accepted userErrors { message } } }"""
KILLS = 12
ANSWERS = 15
"""How many answers come between two of them."""
WRITERS, STREAMERS, READERS = 3, 2, 3


def documents(first):
    return [
        {"personalEmail": {"address": f"p{n}@x.io"}, "person": {"name": {"firstName": f"P{n}"}}}
        for n in range(first, first + 20)
    ]


class Load:
    """Callers that go on until they are stopped, and their responses."""

    def __init__(self, gateway, dataset, headers):
        self.gateway, self.dataset, self.headers = gateway, dataset, headers
        self.answers, self.numbers = Counter(), count()
        self.is_over, self.came = False, asyncio.Event()

    async def read(self):
        await self._send("/graphql", json={"query": READ})

    async def write(self):
        variables = {"dataset": self.dataset, "documents": documents(20 * (next(self.numbers) % 10))}
        await self._send("/graphql", json={"query": WRITE, "variables": variables})

    async def stream(self):
        lines = b"".join(orjson.dumps(one) + b"\n" for one in documents(20 * (next(self.numbers) % 10)))
        given = {"content-type": "application/x-ndjson"}
        await self._send(f"/ingest/{self.dataset}", content=lines, headers=given)

    async def _send(self, path, headers=(), **content):
        answer = await self.gateway.http.post(path, headers=self.headers | dict(headers), **content)
        codes = [error["extensions"]["code"] for error in answer.json().get("errors", [])]
        self.answers[answer.status_code, *codes] += 1
        self.came.set()

    async def _go_on(self, call):
        while not self.is_over:
            await call()

    @asynccontextmanager
    async def going(self):
        calls = [*[self.write] * WRITERS, *[self.stream] * STREAMERS, *[self.read] * READERS]
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(self._go_on(call))
            try:
                yield
            finally:
                self.is_over = True

    async def more(self, answers):
        """Wait until so many more have been answered."""
        wanted = self.answers.total() + answers
        while self.answers.total() < wanted:
            self.came.clear()
            await self.came.wait()


@pytest.fixture
def dsn(own_cluster):
    return own_cluster.dsn()


async def test_while_connections_end_and_postgres_restarts_every_response_is_right_or_unavailable(
    own_cluster, start_gateway
):
    async with start_gateway() as gateway:
        load = Load(gateway, await gateway.dataset(), await gateway.headers())
        async with load.going():
            for _ in range(KILLS):
                await load.more(ANSWERS)
                connection = await asyncpg.connect(own_cluster.dsn())
                await connection.execute(END_ALL)
                await connection.close()
            await own_cluster.stop()
            await load.more(ANSWERS)
            await own_cluster.start()
            await load.more(ANSWERS)
        assert set(load.answers) <= {(200,), (200, "UNAVAILABLE"), (503, "UNAVAILABLE")}, load.answers
        assert 0 < load.answers[200,] < load.answers.total()
        before = load.answers.copy()
        for call in (load.read, load.write, load.stream):
            await call()
        assert load.answers - before == {(200,): 3}
        scope = await gateway.store.scope()
        assert await verify(gateway.store.db, scope, gateway.app.state.services.configurations) == []


async def test_a_standby_which_may_not_know_of_a_revoked_key_yet_is_not_read(own_cluster, start_gateway):
    """A server that recovers forever is one, and becomes a primary when it is told to."""
    await own_cluster.stop()
    signal = own_cluster.data_dir / "postgres" / "standby.signal"
    signal.touch()
    signal.chmod(0o666)
    await own_cluster.start()
    try:
        with pytest.raises(Unavailable, match="primary"):
            await Database.connect(own_cluster.dsn())
    finally:
        await own_cluster.stop()
        signal.unlink()
        await own_cluster.start()
    async with start_gateway() as gateway:
        await gateway.run("{ __typename }")

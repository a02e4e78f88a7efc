"""A pooler in transaction mode may stand in front of Postgres: nothing that the gateway does depends on a session."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from pooler import STARTUP_PARAMETERS, pooler
from program import GATEWAY, environment, gateway, server

from gateway.errors import Timeout, Unavailable
from gateway.postgres.cluster import Cluster
from gateway.storage.connections import SESSION_SETTING
from gateway.storage.database import Database
from gateway.storage.queries import Query, query

SLEEP = Query("test.sleep", "select pg_sleep(60)", (), (), "value", "For this test.")
ECHO = Query("test.echo", "select $1::integer", (), (), "value", "For this test.")
LEFT = "select count(*) from pg_stat_activity where query = $1 and state = 'active'"
CREATE_SCHEMA = """mutation { createSchema(input: {title: "Person", class: INDIVIDUAL_PROFILE,
  fieldGroups: ["profile-person-details", "profile-personal-contact"],
  identities: [{path: "personalEmail.address", namespace: "Email", isPrimary: true}]}) { schema { id } } }"""
CREATE_DATASET = """mutation Create($schema: ID!) {
  createDataset(input: {name: "People", schemaId: $schema}) { dataset { id } } }"""
LOOK_UP = """query Look($address: String!) {
  profile(identity: {key: {namespace: "Email", value: $address}}) { entityJson } }"""


@pytest.fixture
async def empty(cluster: Cluster) -> AsyncIterator[str]:
    """The address of a database with nothing in it."""
    await cluster.create_database("gateway_pooled")
    yield cluster.dsn("gateway_pooled")
    await cluster.drop_database("gateway_pooled")


@pytest.mark.parametrize(
    ("cache", "ignore"), [("0", ""), ("500", STARTUP_PARAMETERS)], ids=["told of it", "finds it out"]
)
def test_every_command_works_through_a_pooler(empty: str, tmp_path: Path, cache: str, ignore: str) -> None:
    """With the setting that is documented, and without it, where the pooler drops what would tell."""
    with pooler(empty, ignore=ignore) as address:
        _go_through(address, tmp_path, cache)


def _go_through(address: str, place: Path, cache: str) -> None:
    given = {"GATEWAY_DATABASE_URL": address, "GATEWAY_DATA_DIR": str(place), "GATEWAY_STATEMENT_CACHE": cache}
    env = environment(**given)
    file = place / "people.ndjson"
    file.write_text("".join(f"{json.dumps(_person(n))}\n" for n in range(2_500)))
    for _ in range(2):
        assert gateway("migrate", env=env).returncode == 0
    with server(place, env=env) as first, server(place, env=env) as second, _worker(env) as worker:
        headers = json.loads(gateway("token", "--json", env=env).stdout)
        with (
            httpx.Client(base_url=first.url, headers=headers, timeout=60) as one,
            httpx.Client(base_url=second.url, headers=headers, timeout=60) as two,
        ):
            schema = _run(one, CREATE_SCHEMA)["createSchema"]["schema"]["id"]
            dataset = _run(two, CREATE_DATASET, schema=schema)["createDataset"]["dataset"]["id"]
            assert "2,500 accepted" in gateway("ingest", file, "--dataset", "People", env=env).stdout
            for client in (one, two, one, two):
                _stream(client, dataset)
            for number in range(100):
                client = (one, two)[number % 2]
                found = _run(client, LOOK_UP, address=f"p{number}@example.com")["profile"]["entityJson"]
                assert found["personalEmail"]["address"] == f"p{number}@example.com"
            assert one.get("/readyz").json() == {"status": "ready"}
        worker.terminate()
        assert worker.wait() == 0
        assert (first.end(), second.end()) == (0, 0)
    verified = gateway("verify", env=env)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@contextmanager
def _worker(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*GATEWAY, "worker"], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            yield process
        finally:
            process.terminate()


def _person(number: int) -> dict[str, object]:
    return {"personalEmail": {"address": f"p{number}@example.com"}, "person": {"name": {"firstName": f"{number}"}}}


def _stream(client: httpx.Client, dataset: str) -> None:
    lines = "".join(f"{json.dumps(_person(n))}\n" for n in range(3_500))
    told = client.post(f"/ingest/{dataset}", content=lines, headers={"content-type": "application/x-ndjson"}).json()
    assert told["failedCount"] == 0
    assert told["accepted"] + told["duplicates"] == 3_500


def _run(client: httpx.Client, text: str, **variables: str) -> dict:
    body = client.post("/graphql", json={"query": text, "variables": variables}).json()
    assert "errors" not in body, body
    return body["data"]


def test_an_error_that_encryption_is_unavailable_names_the_server_and_suggests_no_retry(
    dsn: str, tmp_path: Path
) -> None:
    with pooler(dsn) as address:
        env = environment(GATEWAY_DATABASE_URL=f"{address}?sslmode=require", GATEWAY_DATA_DIR=str(tmp_path))
        result = gateway("migrate", env=env)
    assert result.returncode == 1
    said = r"Error: No encrypted connection to the database can be made: .* rejected SSL upgrade\.\n"
    assert re.fullmatch(said, result.stderr), result.stderr


async def test_a_pooler_is_detected_and_postgres_itself_keeps_its_session(dsn: str) -> None:
    mark = Query("test.mark", f"select current_setting('{SESSION_SETTING}', true)", (), (), "value", "For this test.")
    with pooler(dsn) as refusing, pooler(dsn, ignore=STARTUP_PARAMETERS) as dropping:
        for address, kept in ((dsn, "kept"), (refusing, None), (dropping, None)):
            db = await Database.connect(address, size=1)
            assert await db.value(mark) == kept
            await db.close()


async def test_the_schema_is_changed_on_a_connection_to_postgres_itself_alone(dsn: str) -> None:
    """An index is made in several transactions, under limits and a lock of one session."""
    limit = Query("test.limit", "select current_setting('lock_timeout')", (), (), "value", "For this test.")
    with pooler(dsn) as refusing, pooler(dsn, ignore=STARTUP_PARAMETERS) as dropping:
        for address in (refusing, dropping):
            db = await Database.connect(address, size=1)
            with pytest.raises(Unavailable, match="GATEWAY_LISTEN_URL"):
                await db.altering(wait_seconds=7).__aenter__()
            await db.close()
        db = await Database.connect(refusing, size=1, listen_dsn=dsn)
        async with db.altering(wait_seconds=7) as session:
            assert await session.value(limit) == "7s"
        await db.close()


async def test_clients_that_share_server_connections_do_not_affect_each_other(dsn: str) -> None:
    """Statements and COPY of many connections, each with names of its own, on a few of the server's."""
    columns = ("sandbox_id", "profile_id", "xids", "identity_map", "is_contested", "size")
    read = query("tenants.read_organization")
    with pooler(dsn) as address:
        pools = [await Database.connect(address, size=5) for _ in range(3)]

        async def work(number: int) -> int:
            db = pools[number % 3]
            async with db.transaction() as tx:
                await tx.copy("graph", columns, [])
                echoed = await tx.value(ECHO, number)
            await db.rows(read, None)
            return echoed + await db.value(ECHO, number)

        assert await asyncio.gather(*map(work, range(200))) == [2 * number for number in range(200)]
        for db in pools:
            await db.close()


async def test_a_statement_past_its_limit_is_cancelled_behind_a_pooler(dsn: str) -> None:
    watcher = await asyncpg.connect(dsn)
    with pooler(dsn) as address:
        db = await Database.connect(address, size=1, statement_seconds=0.2)
        with pytest.raises(Timeout):
            await db.value(SLEEP)
        assert await db.value(ECHO, 1) == 1
        assert await watcher.fetchval(LEFT, SLEEP.sql) == 0
        await db.close()
    await watcher.close()

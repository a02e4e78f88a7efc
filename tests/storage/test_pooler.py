"""A pooler in transaction mode may stand in front of Postgres: nothing that the gateway does depends on a session."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import httpx
import jwt
import pytest
from pooler import STARTUP_PARAMETERS, pooler
from program import GATEWAY, Server, environment, gateway, server

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
CREATE_DATASET = """mutation Create($schema: ID!, $name: String!) {
  createDataset(input: {name: $name, schemaId: $schema}) { dataset { id } } }"""
LOOK_UP = """query Look($address: String!) {
  profile(identity: {key: {namespace: "Email", value: $address}}) { entityJson } }"""

ADD_LOYALTY = """mutation Add($schema: ID!) {
  updateSchema(input: {id: $schema, addFieldGroups: ["profile-loyalty"]}) { userErrors { message } } }"""
CREATE_ATTRIBUTE = """mutation Create($given: ComputedAttributeInput!) {
  createComputedAttribute(input: $given) { userErrors { code } } }"""
CREATE_KEY = "mutation Create($given: CreateApiKeyInput!) { createApiKey(input: $given) { apiKey { id } secret } }"
REVOKE_KEY = "mutation Revoke($given: DeleteInput!) { revokeApiKey(input: $given) { userErrors { message } } }"
REVOKE_TOKEN = "mutation Revoke($given: RevokeTokenInput!) { revokeToken(input: $given) { userErrors { message } } }"
DELETE_DATASET = """mutation Delete($dataset: ID!) {
  createSystemJob(input: {deleteDataset: $dataset}) { systemJob { id } } }"""
JOB = "query Job($job: ID!) { systemJob(id: $job) { status } }"


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
    env = environment(**given, GATEWAY_COMPUTED_ATTRIBUTES="1")
    file = place / "people.ndjson"
    file.write_text("".join(f"{json.dumps(_person(n))}\n" for n in range(2_500)))
    for _ in range(2):
        assert gateway("migrate", env=env).returncode == 0
    with ExitStack() as stack:
        worker = stack.enter_context(_worker(env))
        servers = [stack.enter_context(server(place, env=env)) for _ in range(3)]
        headers = json.loads(gateway("token", "--json", env=env).stdout)
        clients = [
            stack.enter_context(httpx.Client(base_url=each.url, headers=headers, timeout=60)) for each in servers
        ]
        one, two, _ = clients
        schema = _run(one, CREATE_SCHEMA)["createSchema"]["schema"]["id"]
        dataset = _run(two, CREATE_DATASET, schema=schema, name="People")["createDataset"]["dataset"]["id"]
        assert "2,500 accepted" in gateway("ingest", file, "--dataset", "People", env=env).stdout
        for client in (*clients, *clients):
            _stream(client, dataset)
        for number in range(100):
            assert _first_name(clients[number % 3], number) == f"{number}"
        assert [client.get("/readyz").json() for client in clients] == 3 * [{"status": "ready"}]
        _change_at_one_and_see_at_the_others(clients, env, schema, dataset)
        _end_the_one_that_was_asked_for_a_job(servers, clients, schema)
        worker.terminate()
        assert worker.wait() == 0
        assert [each.end() for each in servers[1:]] == [0, 0]
    verified = gateway("verify", env=env)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _change_at_one_and_see_at_the_others(
    clients: list[httpx.Client], env: dict[str, str], schema: str, dataset: str
) -> None:
    """What is changed at one gateway holds for the next request at each of the others."""
    one, *others = clients
    for name in ("Ann", "Eve"):  # a text of the person is kept after the first look
        assert _send(one, dataset, _person(7, name))["accepted"] == 1
        assert [_first_name(each, 7) for each in others] == [name, name]

    loyal = _person(8) | {"loyalty": {"program": "gold"}}
    assert [_send(each, dataset, loyal)["failedCount"] for each in others] == [1, 1]
    assert not _run(one, ADD_LOYALTY, schema=schema)["updateSchema"]["userErrors"]
    assert [_send(each, dataset, loyal)["failedCount"] for each in others] == [0, 0]

    attribute = {"name": "first", "expression": "person.name.firstName", "publish": True}
    assert not _run(one, CREATE_ATTRIBUTE, given=attribute)["createComputedAttribute"]["userErrors"]
    for each in others:
        made = _run(each, CREATE_ATTRIBUTE, given=attribute | {"name": "second"})["createComputedAttribute"]
        assert [error["code"] for error in made["userErrors"]] == ["LIMIT_EXCEEDED"]

    made = _run(one, CREATE_KEY, given={"name": "of a program"})["createApiKey"]
    theirs = json.loads(gateway("token", "--json", env=env).stdout)
    token = jwt.decode(theirs["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    for more, revoke, given, status in (
        ({"x-api-key": made["secret"]}, REVOKE_KEY, {"id": made["apiKey"]["id"]}, 403),
        (theirs, REVOKE_TOKEN, {"tokenId": token["jti"]}, 401),
    ):
        assert [_status(each, more) for each in others] == [200, 200]
        (payload,) = _run(one, revoke, given=given).values()
        assert not payload["userErrors"]
        assert [_status(each, more) for each in others] == [status, status]


def _end_the_one_that_was_asked_for_a_job(servers: list[Server], clients: list[httpx.Client], schema: str) -> None:
    """Whichever gateway has the job: where it ends, another goes on with it."""
    one, *others = clients
    dataset = _run(one, CREATE_DATASET, schema=schema, name="Guests")["createDataset"]["dataset"]["id"]
    guests = range(9_000, 9_010)
    assert _send(one, dataset, *map(_person, guests))["accepted"] == 10
    assert [_first_name(each, 9_001) for each in others] == ["9001", "9001"]
    asked = _run(one, DELETE_DATASET, dataset=dataset)["createSystemJob"]["systemJob"]["id"]
    assert servers[0].end() == 0
    while (status := _run(others[0], JOB, job=asked)["systemJob"]["status"]) in ("NEW", "PROCESSING"):
        pass
    assert status == "COMPLETED"
    for each in others:
        assert _run(each, LOOK_UP, address="p9001@example.com")["profile"] is None


def _first_name(client: httpx.Client, number: int) -> str:
    found = _run(client, LOOK_UP, address=f"p{number}@example.com")["profile"]["entityJson"]
    return found["person"]["name"]["firstName"]


def _status(client: httpx.Client, headers: dict[str, str]) -> int:
    return client.post("/graphql", json={"query": "{ viewer { actor } }"}, headers=headers).status_code


@contextmanager
def _worker(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*GATEWAY, "worker"], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            yield process
        finally:
            process.terminate()


def _person(number: int, name: str = "") -> dict[str, object]:
    address, name = f"p{number}@example.com", name or f"{number}"
    return {"personalEmail": {"address": address}, "person": {"name": {"firstName": name}}}


def _stream(client: httpx.Client, dataset: str) -> None:
    told = _send(client, dataset, *map(_person, range(3_500)))
    assert told["failedCount"] == 0
    assert told["accepted"] + told["duplicates"] == 3_500


def _send(client: httpx.Client, dataset: str, *documents: dict[str, object]) -> dict:
    lines = "".join(f"{json.dumps(document)}\n" for document in documents)
    return client.post(f"/ingest/{dataset}", content=lines, headers={"content-type": "application/x-ndjson"}).json()


def _run(client: httpx.Client, text: str, **variables: object) -> dict:
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

"""On a Postgres of one's own: the documented grants are enough, and what is wrong is said as the server says it."""

import re

import httpx
import pytest
from edge.deliveries import fill, projection
from edge.deliveries import headers as edge_headers
from own_postgres import oldest_postgres
from program import environment, gateway, server

from gateway.server.http.docs import read_document
from gateway.storage.database import Database

BLOCKS = re.findall(r"^```sql\n(.*?)^```$", read_document("operations").text, re.DOTALL | re.MULTILINE)
DATASETS = "{ datasets { totalCount } }"
CREATE_SCHEMA = """mutation { createSchema(input: {title: "Person", class: INDIVIDUAL_PROFILE,
  fieldGroups: ["profile-personal-contact"],
  identities: [{path: "personalEmail.address", namespace: "Email", isPrimary: true}]}) { schema { id } } }"""
CREATE_DATASET = """mutation Create($schema: ID!) {
  createDataset(input: {name: "People", schemaId: $schema}) { dataset { id } } }"""
CREATE_BATCH = """mutation Create($dataset: ID!) {
  createBatch(input: {datasetId: $dataset, key: "one"}) { batch { id } } }"""
ABORT_BATCH = "mutation Abort($batch: ID!) { abortBatch(input: {id: $batch}) { userErrors { message } } }"
CREATE_SANDBOX = """mutation { createSandbox(input: {name: "other", title: "Other", type: DEVELOPMENT}) {
  userErrors { message } } }"""


@pytest.fixture(scope="module")
def postgres():
    with oldest_postgres() as started:
        yield started


@pytest.fixture
async def database(postgres):
    """Drops what the documented statements make."""
    yield postgres
    await postgres.execute(
        "drop database if exists profiles", "drop role if exists gateway", "drop role if exists serving"
    )


def settings(place, dsn):
    return environment(GATEWAY_DATABASE_URL=dsn, GATEWAY_DATA_DIR=str(place))


def statements(block):
    return [one.strip() for one in block.split(";") if one.strip()]


async def test_the_documented_grants_are_enough_to_migrate_and_to_serve(database, tmp_path):
    await database.execute(*statements(BLOCKS[0]))
    env = settings(tmp_path, database.dsn("gateway", "choose one", "profiles"))
    assert gateway("migrate", env=env).returncode == 0
    assert works(tmp_path, env)


async def test_a_role_that_serves_needs_no_right_to_change_tables(database, tmp_path):
    await database.execute(*statements(BLOCKS[0]))
    assert gateway("migrate", env=settings(tmp_path, database.dsn("gateway", "choose one", "profiles"))).returncode == 0
    await database.execute(*statements(BLOCKS[1]), database="profiles")
    assert works(tmp_path, settings(tmp_path, database.dsn("serving", "choose another", "profiles")))


async def test_an_edge_may_have_its_store_there_and_grants_the_role_of_hubs_what_deliveries_need(database, tmp_path):
    await database.execute(
        "create role gateway login password 'x'",
        "create role gateway_hub login password 'y'",
        "create database profiles owner gateway",
    )
    env = environment(
        GATEWAY_EDGE_DATABASE_URL=database.dsn("gateway", "x", "profiles"), GATEWAY_DATA_DIR=str(tmp_path)
    )
    with server(tmp_path, "--data-center", "VA6", command="edge", env=env) as started:
        hub = await Database.connect(database.dsn("gateway_hub", "y", "profiles"), size=2)
        await fill(hub, projection(1, ["ana@example.com"], '{"name":"Ana"}'))
        await hub.close()
        async with httpx.AsyncClient(base_url=started.url, timeout=60) as client:
            answer = await client.get("/projections/shop/Email/ana@example.com", headers=edge_headers())
        assert (answer.status_code, answer.json()["profile"]) == (200, {"name": "Ana"})
        other = gateway("edge", "--data-center", "OR2", "--port", "0", env=env)
        assert (other.returncode, other.stderr) == (1, "Error: This is the store of the edge VA6, not of OR2.\n")
    await database.execute("drop owned by gateway_hub", database="profiles")
    await database.execute("drop database profiles", "drop role gateway_hub", "drop role gateway")


def client_of(started, env):
    return httpx.Client(base_url=started.url, headers=started.headers(env=env), timeout=60)


def works(place, env):
    """Serve, make a schema, a dataset and another sandbox, take in records, abort their batch in a job, verify."""
    with server(place, env=env) as started, client_of(started, env) as client:

        def run(query, **variables):
            answer = client.post("/graphql", json={"query": query, "variables": variables}).json()
            assert "errors" not in answer, answer
            (payload,) = answer["data"].values()
            return payload

        schema = run(CREATE_SCHEMA)["schema"]["id"]
        dataset = run(CREATE_DATASET, schema=schema)["dataset"]["id"]
        batch = run(CREATE_BATCH, dataset=dataset)["batch"]["id"]
        lines = '{"personalEmail": {"address": "a@x.io"}}\n{"personalEmail": {"address": "b@x.io"}}\n'
        given = {"content-type": "application/x-ndjson"}
        landed = client.post(f"/ingest/{dataset}", params={"batchId": batch}, content=lines, headers=given)
        assert landed.json()["accepted"] == 2, landed.text
        assert run(ABORT_BATCH, batch=batch)["userErrors"] == []
        assert run(CREATE_SANDBOX)["userErrors"] == []
    return gateway("verify", env=env).stdout.endswith("every view is what the facts make of it\n")


async def test_a_role_that_may_not_create_a_schema_gets_an_error_in_a_sentence(database, tmp_path):
    await database.execute("create role gateway login password 'x'", "create database profiles")
    result = gateway("serve", "--port", "0", env=settings(tmp_path, database.dsn("gateway", "x", "profiles")))
    assert result.returncode == 1
    assert re.fullmatch(
        r"Error: The role 'gateway' may not bring the database 'profiles' to the schema \w+: permission denied for database"
        r" profiles\. Run `gateway migrate` as a role that may; the document Operations says which grants are needed\.\n",
        result.stderr,
    )


async def test_a_role_that_may_not_read_the_schema_gets_an_error_in_a_sentence(database, tmp_path):
    await database.execute(*statements(BLOCKS[0]), "create role serving login password 'x'")
    assert gateway("migrate", env=settings(tmp_path, database.dsn("gateway", "choose one", "profiles"))).returncode == 0
    result = gateway("token", env=settings(tmp_path, database.dsn("serving", "x", "profiles")))
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "The role 'serving' may not" in result.stderr


@pytest.mark.parametrize(
    ("login", "name", "says"),
    [
        (("gateway", "wrong"), "profiles", 'password authentication failed for user "gateway" (28P01)'),
        (("nobody", "wrong"), "profiles", 'password authentication failed for user "nobody" (28P01)'),
        (("gateway", "choose one"), "none", 'database "none" does not exist (3D000)'),
        (("gateway", "choose one"), "profiles&no_such=1", 'unrecognized configuration parameter "no_such" (42704)'),
        (("gateway", "choose one"), "profiles&work_mem=much", 'invalid value for parameter "work_mem": "much" (22023)'),
    ],
)
async def test_an_error_of_the_server_is_passed_on_and_suggests_no_retry(database, tmp_path, login, name, says):
    await database.execute(*statements(BLOCKS[0]))
    name, _, more = name.partition("&")
    dsn = database.dsn(*login, name) + (f"&{more}" if more else "")
    result = gateway("migrate", env=settings(tmp_path, dsn))
    assert (result.returncode, result.stderr) == (1, f"Error: The database refuses the gateway: {says}.\n")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("sslmode=perhaps", "The address of the database cannot be used: `sslmode` parameter must be one of: .*"),
        ("target_session_attrs=mine", "The address of the database cannot be used: target_session_attrs .*"),
    ],
)
async def test_an_address_with_impossible_parameters_is_an_error_that_says_so(database, tmp_path, more, says):
    address = f"{database.dsn('gateway', 'choose one', 'profiles')}&{more}"
    result = gateway("migrate", env=settings(tmp_path, address))
    assert result.returncode == 1
    assert re.fullmatch(rf"Error: {says}\.\n", result.stderr), result.stderr


async def test_a_changed_password_is_logged_and_callers_see_only_unavailable(database, tmp_path):
    await database.execute(*statements(BLOCKS[0]))
    env = settings(tmp_path, database.dsn("gateway", "choose one", "profiles"))
    with server(tmp_path, env=env) as started, client_of(started, env) as client:
        await database.execute(
            "alter role gateway password 'another'",
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'gateway'",
        )
        for _ in range(20):  # as many as there are connections to notice that they are gone
            answer = client.post("/graphql", json={"query": DATASETS})
        ready = client.get("/readyz")
        log = started.log.read_text()
    message = "The database refuses the gateway, which only its operator can mend."
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["message"], error["extensions"]["code"]) == (503, message, "UNAVAILABLE")
    assert (ready.status_code, ready.json()["reason"]) == (503, message)
    assert 'password authentication failed for user \\"gateway\\" (28P01)' in log

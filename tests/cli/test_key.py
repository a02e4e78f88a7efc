"""`gateway key`, tokens of chosen subjects and lives, and rotation: what is revoked is refused at once by every process of a server."""

import json
import re
from collections.abc import Iterator

import httpx
import jwt
import pytest
from people_dataset import create_dataset, run
from places import reachable_directory
from program import Server, environment, gateway, server

from gateway.cli.program import COMMANDS
from gateway.server.deployment import system_user

CONNECTIONS = 8  # enough that both processes of the server get some
LINE = '{"personalEmail": {"address": "%s@example.com"}}\n'

COUNT = "query ($id: ID!) { dataset(id: $id) { recordCount } }"

LOGGED = {"serve", "demo", "token", "key", "jobs", "attributes", "export", "delete", "revert", "backup"}
"""Commands that change something, or hand out a way to: each leaves an entry in the audit log."""

UNLOGGED = {"worker", "edge", "preview", "doctor", "changes", "ingest", "verify", "migrate", "restore", "schema"}
"""Commands that only read, or bring documents; `migrate` has a table of its own, and `restore` brings the log of another time."""


@pytest.fixture(scope="module")
def two() -> Iterator[Server]:
    """A running server of two processes."""
    env = environment(GATEWAY_STREAM_COMMIT_SECONDS="0.02")
    with reachable_directory() as place, server(place / "data", "--workers", "2", env=env) as started:
        yield started


def command(two: Server, *arguments: str) -> str:
    done = gateway(*arguments, "--data-dir", two.data_dir)
    assert done.returncode == 0, done.stderr
    return done.stdout


def statuses(two: Server, headers: dict[str, str]) -> set[int]:
    """The statuses of a query on connections of its own each."""
    found = set()
    for _ in range(CONNECTIONS):
        with httpx.Client(base_url=two.url, headers=headers, timeout=60) as client:
            found.add(client.post("/graphql", json={"query": "{ viewer { actor } }"}).status_code)
    return found


def actor(two: Server, headers: dict[str, str]) -> str:
    with httpx.Client(base_url=two.url, headers=headers, timeout=60) as client:
        return run(client, "{ viewer { actor } }")["viewer"]["actor"]


def token_id(headers: dict[str, str]) -> str:
    claims = jwt.decode(headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    return claims["jti"]


def test_a_revoked_key_ends_the_requests_of_its_program_and_a_stream_that_is_under_way(two):
    secret = command(two, "key", "create", "crm import", "--sandbox", "prod", "--expires-in", "1h").strip()
    line = next(line for line in command(two, "key", "list").splitlines() if "crm import" in line)
    assert (secret[:6] in line, secret in line, " prod " in line, f" {system_user()} " in line) == (
        True,
        False,
        True,
        True,
    )
    key_id = re.match(r"key_[\w-]+", line)[0]
    headers = two.own_headers | {"x-api-key": secret}
    assert statuses(two, headers) == {200}
    with two.client() as admin:
        dataset = create_dataset(admin)

        def body():
            yield (LINE % "first").encode()
            while not run(admin, COUNT, id=dataset)["dataset"]["recordCount"]:
                pass
            command(two, "key", "revoke", key_id)
            yield (LINE % "second").encode() * 2000

        with httpx.Client(base_url=two.url, timeout=60) as client:
            given = headers | {"content-type": "application/x-ndjson"}
            answer = client.post(f"/ingest/{dataset}", content=body(), headers=given)
        assert (answer.status_code, answer.json()["accepted"]) == (403, 1)
        assert run(admin, COUNT, id=dataset)["dataset"]["recordCount"] == 1
    assert statuses(two, headers) == {403}
    assert "revoked" in next(line for line in command(two, "key", "list").splitlines() if key_id in line)
    assert statuses(two, two.own_headers) == {200}


def test_a_token_has_the_subject_and_the_life_that_were_chosen_and_is_revoked_by_its_id(two):
    assert actor(two, two.own_headers) == system_user()
    headers = json.loads(command(two, "token", "--json", "--subject", "ann", "--expires-in", "5m"))
    claims = jwt.decode(headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    assert 299 <= claims["exp"] - claims["iat"] <= 300
    assert actor(two, headers) == "ann"
    assert statuses(two, headers) == {200}
    with two.client() as admin:
        log = 'query { auditLog(filter: {action: "createToken"}, first: 1) { nodes { actor after } } }'
        (entry,) = run(admin, log)["auditLog"]["nodes"]
        assert (entry["actor"], entry["after"]["subject"]) == (system_user(), "ann")
        revoke = "mutation ($given: RevokeTokenInput!) { revokeToken(input: $given) { userErrors { message } } }"
        assert not run(admin, revoke, given={"tokenId": entry["after"]["tokenId"]})["revokeToken"]["userErrors"]
    assert entry["after"]["tokenId"] == token_id(headers)
    assert statuses(two, headers) == {401}


@pytest.mark.parametrize("life", ["5", "367d"])
def test_a_life_that_is_none_is_refused(two, life):
    refused = gateway("token", "--expires-in", life, "--data-dir", two.data_dir)
    assert (refused.returncode, "366 days" in refused.stderr) == (1, True)


def test_a_rotated_secret_leaves_tokens_of_the_former_one_valid_until_it_is_dropped(two):
    first = json.loads(command(two, "token", "--json"))
    second = json.loads(command(two, "token", "--json", "--rotate"))
    assert statuses(two, first) == statuses(two, second) == {200}
    third = json.loads(command(two, "token", "--json", "--rotate"))  # of three only two hold
    assert (statuses(two, first), statuses(two, second), statuses(two, third)) == ({401}, {200}, {200})
    fourth = json.loads(command(two, "token", "--json", "--drop-former"))
    assert (statuses(two, second), statuses(two, third), statuses(two, fourth)) == ({401}, {200}, {200})
    nothing = gateway("token", "--drop-former", "--data-dir", two.data_dir)
    assert (nothing.returncode, "no former secret" in nothing.stderr) == (1, True)
    kept = json.loads((two.data_dir / "credentials.json").read_text())
    assert kept.keys() == {"jwtSecret", "apiKeys"}


def test_every_command_that_changes_something_is_in_the_audit_log(two, tmp_path):
    assert set(COMMANDS) == LOGGED | UNLOGGED
    command(two, "key", "create", "for the log")
    (key_id,) = (line.split()[0] for line in command(two, "key", "list").splitlines() if "for the log" in line)
    command(two, "key", "revoke", key_id)
    for change in ("--rotate", "--drop-former"):
        command(two, "token", "--json", change)
    command(two, "backup", str(tmp_path / "file"))
    headers = json.loads(command(two, "token", "--json"))
    with httpx.Client(base_url=two.url, headers=headers, timeout=60) as client:
        log = "query { auditLog(last: 1000) { nodes { action actor apiKey { id } } } }"
        entries = run(client, log)["auditLog"]["nodes"]
    by_command = {entry["action"] for entry in entries if entry["apiKey"] is None}
    assert by_command == {
        *("createOrganization", "createApiKey", "createToken", "revokeApiKey"),
        *("replaceSigningKey", "dropSigningKey", "backup"),
    }
    assert {entry["actor"] for entry in entries} == {system_user()}

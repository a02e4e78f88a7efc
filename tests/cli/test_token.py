"""`gateway token`: headers that work, for as much as they are asked for."""

import json

import httpx
from people_dataset import CREATE_SCHEMA, run
from program import gateway


def test_once_ready_it_answers_and_token_gives_headers_that_work(shared):
    with shared.client() as client:
        assert client.get("/readyz").status_code == 200
        viewer = run(client, "{ viewer { sandbox { name } scopes } }")["viewer"]
    assert viewer["sandbox"]["name"] == "prod"
    assert set(viewer["scopes"]) == {"profile:read", "profile:write", "config:write", "jobs:write", "admin"}


def test_a_token_can_be_limited_to_scopes_and_a_sandbox(shared):
    headers = json.loads(
        gateway(
            "token", "--json", "--scopes", "profile:read", "--sandbox", "prod", "--data-dir", shared.data_dir
        ).stdout
    )
    with httpx.Client(base_url=shared.url, headers=headers) as client:
        assert run(client, "{ viewer { scopes } }")["viewer"]["scopes"] == ["profile:read"]
        refused = client.post("/graphql", json={"query": CREATE_SCHEMA}).json()
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    missing = gateway("token", "--sandbox", "nope", "--data-dir", shared.data_dir)
    assert (missing.returncode, "'nope'" in missing.stderr) == (1, True)


def test_token_prints_lines_that_curl_reads(shared):
    lines = gateway("token", "--data-dir", shared.data_dir).stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "Authorization",
        "x-api-key",
        "x-gw-ims-org-id",
        "x-sandbox-name",
    ]

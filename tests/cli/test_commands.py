"""The program as its users meet it: real processes, real ports, signals, exit codes."""

import asyncio
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

import asyncpg
import httpx
import pytest
from places import reachable_directory
from program import GATEWAY, Server, as_user, environment, gateway, postgres_runs, server
from typer.testing import CliRunner

from gateway import cli
from gateway.cli.program import COMMANDS, app
from gateway.postgres.account import Account
from gateway.storage.migrations import wanted_version

CREATE_SCHEMA = """mutation { createSchema(input: {title: "Person", class: INDIVIDUAL_PROFILE,
  fieldGroups: ["profile-person-details", "profile-personal-contact"],
  identities: [{path: "personalEmail.address", namespace: "Email", isPrimary: true}]}) { schema { id } } }"""
CREATE_DATASET = """mutation Create($schema: ID!) {
  createDataset(input: {name: "People", schemaId: $schema}) { dataset { id } } }"""
COUNT = "{ datasets { nodes { name recordCount batches { nodes { id status recordCount } } } } }"
NDJSON = {"content-type": "application/x-ndjson"}


def records(first: int, last: int) -> bytes:
    lines = (json.dumps({"personalEmail": {"address": f"p{n}@example.com"}}) for n in range(first, last))
    return "".join(f"{line}\n" for line in lines).encode()


def run(client: httpx.Client, query: str, **variables: str) -> dict:
    body = client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in body, body
    return body["data"]


def create_dataset(client: httpx.Client) -> str:
    schema = run(client, CREATE_SCHEMA)["createSchema"]["schema"]["id"]
    return run(client, CREATE_DATASET, schema=schema)["createDataset"]["dataset"]["id"]


def people(client: httpx.Client) -> dict:
    return next(one for one in run(client, COUNT)["datasets"]["nodes"] if one["name"] == "People")


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A running server for the tests that leave it as it is, with a dataset in it."""
    with reachable_directory() as path, server(path / "data") as started:
        with started.client() as client:
            create_dataset(client)
        yield started


# ---------------------------------------------------------------------------------------------- the command itself


def test_help_names_every_command_and_says_what_it_does():
    text = CliRunner().invoke(app, ["--help"]).stdout
    for command in COMMANDS:
        assert re.search(rf"\b{command}  +\w", text)
        assert len(CliRunner().invoke(app, [command, "--help"]).stdout) > 500


def test_every_command_has_a_file_and_every_file_that_holds_a_command_is_one():
    files = {
        path.stem for path in Path(cli.__file__).parent.glob("*.py") if path.read_text().startswith('"""`gateway ')
    }
    assert files == set(COMMANDS)


def test_the_version_is_the_packages():
    assert re.fullmatch(r"gateway \d+\.\d+\.\d+\n", gateway("--version").stdout)


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], ["strawberry", "starlette", "asyncpg", "pydantic_settings", "jsonschema_rs"]),
        (["token", "--help"], ["strawberry", "starlette"]),
        (["ingest", "--help"], ["strawberry", "starlette", "jwt"]),
        (["verify", "--help"], ["strawberry", "starlette"]),
        (["--help"], ["strawberry", "starlette", "asyncpg", "uvloop", "gateway.settings"]),
    ],
)
def test_a_command_loads_only_what_it_needs(arguments, unneeded):
    loaded = "import sys; sys.argv[0] = 'gateway'; from gateway.cli import app; app(standalone_mode=False)"
    listed = f"{loaded}; print([name for name in {unneeded} if name in sys.modules])"
    result = gateway(*arguments, program=[*GATEWAY[:1], "-c", listed])
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["serve", "--nonsense"], 2, "No such option"),
        (["serve", "--port", "x"], 2, "--port"),
        (["ingest"], 2, "Missing"),
        (["ingest", "none.ndjson", "--dataset", "x", "--mode", "UPSERT"], 2, "UPSERT"),
        (["ingest", "none.ndjson", "--dataset", "x"], 1, "Cannot read none.ndjson"),
        (["ingest", ".", "--dataset", "x"], 1, "Cannot read ."),
        (["serve", "--host", "no.such.host.invalid"], 1, "GATEWAY_HOST"),
        (["serve", "--port", "70000"], 1, "GATEWAY_PORT"),
        (["token", "--scopes", "profile:raed"], 1, "profile:raed"),
    ],
)
def test_a_wrong_command_is_explained_without_a_stack(arguments, code, says):
    result = gateway(*arguments, env=environment(GATEWAY_DATABASE_URL="postgresql://127.0.0.1:1/none"))
    assert result.returncode == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_setting_of_the_environment_that_is_wrong_is_named():
    result = gateway("serve", env=environment(GATEWAY_WORKERS="many"))
    assert (result.returncode, "GATEWAY_WORKERS" in result.stderr) == (1, True)


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["token"], ["verify"], ["migrate"]])
def test_a_database_that_is_not_there_is_said(command, tmp_path):
    env = environment(GATEWAY_DATABASE_URL="postgresql://127.0.0.1:1/none", GATEWAY_DATA_DIR=str(tmp_path))
    result = gateway(*command, env=env)
    assert result.returncode == 1
    assert "Error: The database does not answer" in result.stderr


async def test_every_command_refuses_a_database_of_a_newer_schema_in_a_sentence(dsn, tmp_path):
    connection = await asyncpg.connect(dsn)
    await connection.execute("insert into gateway.migration (name) values ('9999_tomorrow')")
    await connection.close()
    env = environment(GATEWAY_DATABASE_URL=dsn, GATEWAY_DATA_DIR=str(tmp_path))
    said = (
        f"Error: The database has the schema 9999_tomorrow, and this gateway wants {wanted_version()}, which is older"
    )
    file = tmp_path / "none.ndjson"
    file.write_text("{}\n")
    for command in [
        ["serve", "--port", "0"],
        ["worker"],
        ["token"],
        ["verify"],
        ["migrate"],
        ["ingest", file, "--dataset", "x"],
    ]:
        result = gateway(*command, env=env)
        assert (result.returncode, said in result.stderr, "Traceback" in result.stderr) == (1, True, False)


# ---------------------------------------------------------------------------------------------- serve and token


def test_once_ready_it_answers_and_token_gives_headers_that_work(shared):
    with shared.client() as client:
        assert client.get("/readyz").status_code == 200
        viewer = run(client, "{ viewer { sandbox { name } scopes } }")["viewer"]
    assert viewer["sandbox"]["name"] == "prod"
    assert set(viewer["scopes"]) == {"profile:read", "profile:write", "config:write", "jobs:write", "admin"}


def test_the_link_of_serve_is_for_people_and_not_on_stdout(shared):
    assert "GraphiQL: " in shared.log.read_text()
    assert shared.link.startswith(f"{shared.url}/graphiql#token=")
    assert httpx.get(shared.link, follow_redirects=True).status_code in {200, 503}  # 503 says how to build the page


def test_a_token_can_be_for_less(shared):
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


def test_a_port_in_use_is_said_before_anything_is_started(shared, place):
    port = shared.url.rsplit(":", 1)[1]
    result = gateway("serve", "--port", port, "--data-dir", place / "data")
    assert (result.returncode, "Address already in use" in result.stderr) == (1, True)
    assert not (place / "data").exists()


def test_sigterm_ends_it_and_its_postgres_and_the_next_start_finds_everything(place):
    data_dir = place / "data"
    before = gateway("token", "--json", "--data-dir", data_dir)  # the first start of all
    assert not postgres_runs(data_dir)
    with server(data_dir) as first, first.client() as client:
        create_dataset(client)
        assert first.end() == 0
    assert not postgres_runs(data_dir)
    with server(data_dir) as second:
        with httpx.Client(base_url=second.url, headers=json.loads(before.stdout)) as client:
            assert people(client)["recordCount"] == 0
        assert second.end(signal.SIGINT) == 0
    assert not postgres_runs(data_dir)


def test_two_gateways_share_one_postgres_and_the_last_ends_it(place):
    data_dir = place / "data"
    with server(data_dir) as first, server(data_dir, log=place / "second.log") as second:
        assert first.end() == 0
        with second.client() as client:
            assert run(client, "{ viewer { sandbox { name } } }")
        assert second.end() == 0
    assert not postgres_runs(data_dir)


def test_several_workers_answer_and_end_together(place):
    with server(place / "data", "--workers", "2") as started:
        with started.client() as client:
            dataset = create_dataset(client)
        for _ in range(10):  # each connection may reach the other worker
            with started.client() as client:
                assert run(client, "query Q($id: ID!) { dataset(id: $id) { name } }", id=dataset)
        assert started.end() == 0
    assert not postgres_runs(place / "data")


def test_connections_are_spread_over_the_workers_and_metrics_speak_for_all(place):
    temporary = place / "tmp"
    temporary.mkdir()
    with server(place / "data", "--workers", "2", env=environment(TMPDIR=str(temporary))) as started:
        before = workers(started)
        with ExitStack() as stack:
            clients = [stack.enter_context(httpx.Client(base_url=started.url)) for _ in range(32)]
            assert {client.get("/healthz").status_code for client in clients} == {200}
            assert all(sockets(worker) & connections(started) for worker in before)
            assert counted(clients[0]) == counted(clients[-1]) == 32
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(workers(started)) - {before[0]}) == 2)
        with httpx.Client(base_url=started.url) as client:  # of the worker that is left, or of the new one
            assert client.get("/healthz").status_code == 200
            assert counted(client) == 33
        assert started.end() == 0
    assert not list(temporary.glob("gateway-*"))


def test_workers_end_when_nobody_watches_over_them_any_more(place):
    with server(place / "data", "--workers", "2") as started:
        started.end(signal.SIGKILL)
        wait_for_refusal(started)
    assert gateway("token", "--data-dir", place / "data").returncode == 0  # as the last to leave it ends Postgres
    assert not postgres_runs(place / "data")


def workers(started: Server) -> list[int]:
    """The processes that serve for it."""
    pid, found = started.process.pid, []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return {file.removeprefix("socket:[").removesuffix("]") for file in files if file.startswith("socket:[")}


def counted(client: httpx.Client) -> float:
    """How many questions for health were answered, as the worker says that answers here."""
    found = re.search(
        r'^gateway_request_seconds_count{.*"/healthz".*} (\S+)$', client.get("/metrics").text, re.MULTILINE
    )
    return float(found[1])


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, but not for ever."""
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end


def test_what_runs_at_sigterm_is_answered(place):
    with server(place / "data") as started, started.client() as client:
        dataset = create_dataset(client)
        told = threading.Event()
        answers = []

        def body() -> Iterator[bytes]:
            yield records(0, 10)
            told.wait()
            yield records(10, 20)

        def send() -> None:
            answers.append(client.post(f"/ingest/{dataset}", content=body(), headers=NDJSON))

        sending = threading.Thread(target=send)
        sending.start()
        wait_for_request(started)
        started.process.send_signal(signal.SIGTERM)
        wait_for_refusal(started)
        told.set()
        sending.join()
        assert started.process.wait() == 0
    assert answers[0].json()["accepted"] == 20


def program(*arguments: str, **options) -> subprocess.Popen[str]:
    """A command that is not waited for."""
    given = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([*GATEWAY, *arguments], **given)


def wait_for_request(started: Server) -> None:
    """Until it has a connection beside ours."""
    until(lambda: len(connections(started)) > 0)


def connections(started: Server) -> set[str]:
    """The inodes of the connections that are established at its side."""
    wanted = f":{int(started.url.rsplit(':', 1)[1]):04X} "
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if f"{row[1]} ".endswith(wanted) and row[3] == "01"}


def wait_for_refusal(started: Server) -> None:
    """Until it takes no more connections."""
    host, port = started.url.removeprefix("http://").split(":")

    def is_refused() -> bool:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # it was about to
            return False
        return False

    until(is_refused)


def test_a_database_of_ones_own_replaces_the_embedded_one(dsn, place):
    env = environment(GATEWAY_DATABASE_URL=dsn)
    with server(place / "data", env=env) as started:
        with httpx.Client(base_url=started.url, headers=started.headers(env=env)) as client:
            create_dataset(client)
        assert started.end() == 0
    assert sorted(path.name for path in (place / "data").iterdir()) == ["credentials.json", "credentials.lock"]


def test_migrate_says_what_it_did(place):
    first, again = (gateway("migrate", "--data-dir", place / "data") for _ in range(2))
    assert first.stdout.splitlines()[0] == "new        0001_baseline: The schema of the first release."
    assert again.stdout.splitlines()[0] == "was there  0001_baseline: The schema of the first release."
    assert first.stdout.splitlines()[-1] == f"the schema is {wanted_version()}"
    assert again.stdout.splitlines()[-1] == f"the schema is {wanted_version()}, the newest: nothing to do"


def test_root_is_told_of_a_directory_that_its_server_cannot_reach(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root runs the server as somebody else")
    result = gateway("serve", "--port", "0", "--data-dir", tmp_path / "data")
    assert (result.returncode, "may not enter" in result.stderr) == (1, True)


def test_an_ordinary_user_runs_it(place):
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    nobody = Account("nobody", 65534, 65534)
    program, options = as_user(nobody)
    nobody.own(place)
    with server(place / "data", program=program, **options) as started:
        with httpx.Client(base_url=started.url, headers=started.headers(program=program, **options)) as client:
            create_dataset(client)
        assert (place / "data").stat().st_uid == nobody.uid
        assert started.end() == 0
    assert not postgres_runs(place / "data")


# ---------------------------------------------------------------------------------------------- kill -9


def test_what_was_acknowledged_survives_kill_9_and_what_was_not_is_wholly_absent(place):
    data_dir = place / "data"
    with server(data_dir) as started, started.client() as client:
        dataset = create_dataset(client)
        whole = client.post(f"/ingest/{dataset}", content=records(0, 1500), headers=NDJSON).json()
        assert whole["accepted"] == 1500

        def endless() -> Iterator[bytes]:
            for first in range(1500, 1_000_000, 250):
                yield records(first, first + 250)

        def send() -> None:
            with pytest.raises(httpx.TransportError):
                client.post(f"/ingest/{dataset}?batchKey=cut", content=endless(), headers=NDJSON)

        sending = threading.Thread(target=send)
        sending.start()
        with started.client() as other:
            while people(other)["recordCount"] == 1500:
                pass
        assert started.end(signal.SIGKILL) == -signal.SIGKILL
        sending.join()
    assert postgres_runs(data_dir)  # it goes on by itself
    with server(data_dir) as again, again.client() as client:
        counts = {batch["id"]: batch["recordCount"] for batch in people(client)["batches"]["nodes"]}
        assert counts.pop(whole["batchId"]) == 1500
        (committed,) = counts.values()
        assert committed % 1000 == 0  # whole calls or nothing
        sent = client.post(
            f"/ingest/{dataset}?batchKey=cut", content=records(1500, 1500 + committed + 1000), headers=NDJSON
        ).json()
        assert [sent[name] for name in ("accepted", "duplicates", "failedCount")] == [1000, committed, 0]
    assert gateway("verify", "--data-dir", data_dir).returncode == 0


def test_a_file_that_was_cut_off_by_kill_9_is_sent_again_without_harm(place):
    data_dir = place / "data"
    with server(data_dir) as started, started.client() as client:
        create_dataset(client)
        file = place / "people.ndjson"
        file.write_bytes(records(0, 30_000))
        command = ["ingest", str(file), "--dataset", "People", "--data-dir", str(data_dir)]
        with program(*command) as process:
            while people(client)["recordCount"] == 0:
                pass
            process.kill()
        before = people(client)
        assert before["batches"]["nodes"][0]["status"] == "LOADING"
        result = gateway(*command)
        after = people(client)
    assert 0 < before["recordCount"] < 30_000
    assert result.returncode == 0
    assert f"{30_000 - before['recordCount']:,} accepted, {before['recordCount']:,} duplicates" in result.stdout
    assert [(batch["status"], batch["recordCount"]) for batch in after["batches"]["nodes"]] == [("ACTIVE", 30_000)]


# ---------------------------------------------------------------------------------------------- ingest, verify, schema


def ingest(shared: Server, file: Path | str, *more: str, **options):
    return gateway("ingest", file, "--dataset", "People", "--data-dir", shared.data_dir, *more, **options)


def test_a_file_is_one_batch_and_sending_it_again_sends_nothing(shared, tmp_path):
    file = tmp_path / "people.ndjson"
    file.write_bytes(records(0, 2500))
    first, again = ingest(shared, file), ingest(shared, file)
    assert (first.returncode, again.returncode) == (0, 0)
    assert ": 2,500 accepted, 0 duplicates, 0 failed\n" in first.stdout
    assert "nothing was sent" in again.stdout
    assert first.stdout.split(":")[0] == again.stdout.split(":")[0]


def test_failures_are_listed_and_the_exit_code_tells(shared, tmp_path):
    file = tmp_path / "mixed.ndjson.gz"
    file.write_bytes(gzip.compress(records(5000, 5003) + b"nonsense\n" + b"{}\n" * 30))
    result = ingest(shared, file)
    assert result.returncode == 1
    head, first, *_, more = result.stdout.splitlines()
    assert head.endswith(": 3 accepted, 0 duplicates, 31 failed")
    assert first.startswith("  line 4, $: This is no JSON")
    assert more == "  and 11 more, kept with the batch"


def test_failures_are_named_by_the_lines_that_an_editor_shows(shared, tmp_path):
    file = tmp_path / "blank-lines.ndjson"
    file.write_bytes(b"\n\n" + records(5100, 5101) + b"\r\n" + b"nonsense\n\n" + records(5101, 5102) + b"more nonsense")
    result = ingest(shared, file)
    assert [line.split(",")[0] for line in result.stdout.splitlines()[1:]] == ["  line 5", "  line 8"]


def test_what_failed_is_sent_again_by_itself_once_its_cause_is_mended(shared, tmp_path):
    file = tmp_path / "loyal.ndjson"
    stranger = b'{"identityMap": {"Card": [{"id": "%d", "primary": true}]}}\n'
    file.write_bytes(records(5200, 5202) + stranger % 1 + records(5202, 5204) + stranger % 2)
    first, again = ingest(shared, file), ingest(shared, file)
    assert (first.returncode, again.returncode) == (1, 1)
    assert ": 4 accepted, 0 duplicates, 2 failed\n" in first.stdout
    assert "nothing was sent; `--retry-failed` sends those again that failed" in again.stdout
    assert "`--retry-failed`" in ingest(shared, tmp_path / "loyal.ndjson", "--mode", "MERGE", "--retry-failed").stderr
    in_vain = ingest(shared, file, "--retry-failed")
    assert (in_vain.returncode, ": 0 accepted, 0 duplicates, 2 failed\n  line 3," in in_vain.stdout) == (1, True)
    with shared.client() as client:
        run(
            client,
            'mutation { createIdentityNamespace(input: {code: "Card", name: "Card", idType: CROSS_DEVICE}) { userErrors { message } } }',
        )
    mended = ingest(shared, file, "--retry-failed")
    assert (mended.returncode, ": 2 accepted, 0 duplicates, 0 failed\n" in mended.stdout) == (0, True)
    done = ingest(shared, file, "--retry-failed")
    assert (done.returncode, "Nothing is left" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"_id": 1}, {"_id": 2}]', "is a JSON array"),
        (b"\xef\xbb\xbf[\n  {}\n]\n", "is a JSON array"),
        (b'{\n  "_id": "1"\n}\n', "is JSON over several lines"),
        (b'{"_id": "1", "more": {\n  "_id": "1"\n}}\n', "is JSON over several lines"),
        (b'{ "more":\n { "_id": "1" } }\n', "is JSON over several lines"),
        (b'{ "a": 1 }\r{ "a": 2 }\r', "ends its lines by carriage returns alone"),
        (b"email\nada@example.com\n", "holds no JSON objects"),
        (b'<?xml version="1.0"?>\n<a/>\n', "holds no JSON objects"),
        (bytes(range(1, 256)), "holds no JSON objects"),
        (b"email,first name\nada@example.com,Ada\n", "is a table (CSV)"),
        (b"email\tfirst name\nada@example.com\tAda\n", "is a table (CSV)"),
        (gzip.compress(b"email;first name\n", mtime=0), "is a table (CSV)"),
        (b"PK\x03\x04 and so on", "is a ZIP archive or a spreadsheet"),
        (b"PAR1 and so on", "is a Parquet file"),
        ('{"_id": "1"}'.encode("utf-16"), "is text in UTF-16"),
    ],
)
def test_a_file_that_holds_no_json_lines_is_named_in_one_sentence_and_nothing_is_sent(shared, tmp_path, content, says):
    file = tmp_path / "people.file"
    file.write_bytes(content)
    result = ingest(shared, file)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.search(f"people.file {re.escape(says)}.*, and `gateway ingest` takes JSON lines", result.stderr)
    assert "Traceback" not in result.stderr


def test_a_first_line_that_breaks_off_before_good_ones_fails_alone(shared, tmp_path):
    file = tmp_path / "people.ndjson"
    file.write_bytes(b'{"personalEmail": {\n' + records(8000, 8001))
    result = ingest(shared, file)
    assert (result.returncode, ": 1 accepted, 0 duplicates, 1 failed\n" in result.stdout) == (1, True), result.stderr


def test_how_to_send_failures_of_a_pipe_again_is_said(shared):
    result = ingest(shared, "-", "--retry-failed", input=records(8001, 8002).decode())
    assert (result.returncode, "`--batch-key`" in result.stderr) == (1, True)


@pytest.mark.parametrize("content", [b"", b"\n\n \n", gzip.compress(b"", mtime=0)])
def test_nothing_to_take_in_is_nothing_to_do(shared, tmp_path, content):
    (tmp_path / "empty.ndjson").write_bytes(content)
    for result in (
        ingest(shared, tmp_path / "empty.ndjson"),
        ingest(shared, "-", input=content.decode("latin-1"), encoding="latin-1"),
    ):
        assert (result.returncode, result.stdout) == (0, "nothing to do: there are no documents\n"), result.stderr
    nowhere = ingest(shared, "-", stdin=subprocess.DEVNULL)
    assert (nowhere.returncode, nowhere.stdout) == (0, "nothing to do: there are no documents\n"), nowhere.stderr


def test_a_file_that_breaks_off_tells_what_landed_before_and_goes_on_when_it_is_whole(shared, tmp_path):
    file, whole = tmp_path / "packed.ndjson.gz", gzip.compress(records(8300, 10300), compresslevel=0)
    file.write_bytes(whole[: len(whole) // 2])
    result = ingest(shared, file)
    assert result.returncode == 1
    assert re.search(r": [1-9][\d,]* accepted, 0 duplicates, 0 failed\n", result.stdout)
    assert "ends before its end" in result.stderr


def test_a_pipe_is_read_and_may_have_a_key(shared):
    read, write = os.pipe()
    os.write(write, gzip.compress(records(6000, 6003)))
    os.close(write)
    piped = ingest(shared, "-", stdin=read)
    os.close(read)
    assert ": 3 accepted," in piped.stdout
    keyed = ingest(shared, "-", "--batch-key", "from a pipe", input=records(6003, 6004).decode())
    assert ": 1 accepted," in keyed.stdout
    again = ingest(shared, "-", "--batch-key", "from a pipe", input=records(6003, 6004).decode())
    assert again.stdout.split(":")[0] == keyed.stdout.split(":")[0] != piped.stdout.split(":")[0]


def test_a_line_that_nests_too_deeply_fails_alone_in_a_file_too(shared, tmp_path):
    file = tmp_path / "deep.ndjson"
    file.write_bytes(records(7000, 7001) + b"[" * 300 + b"]" * 300 + b"\n" + records(7001, 7002))
    result = ingest(shared, file)
    assert "Traceback" not in result.stderr + result.stdout
    assert "32 levels" in result.stderr + result.stdout
    with shared.client() as client:
        assert people(client)["recordCount"] >= 2


def test_what_cannot_be_ingested_is_said(shared, tmp_path):
    file = tmp_path / "people.ndjson"
    file.write_bytes(records(0, 1))
    unknown = gateway("ingest", file, "--dataset", "nope", "--data-dir", shared.data_dir)
    assert (unknown.returncode, "'nope'" in unknown.stderr) == (1, True)
    elsewhere = ingest(shared, file, "--sandbox", "nope")
    assert (elsewhere.returncode, "'nope'" in elsewhere.stderr) == (1, True)
    file.write_bytes(gzip.compress(records(0, 1))[:-4])
    assert "gzip" in ingest(shared, file).stderr


def test_an_interrupt_ends_a_command_that_waits_for_a_pipe(shared):
    with shared.client() as client:
        before = people(client)["recordCount"]
        command = ("ingest", "-", "--dataset", "People", "--data-dir", str(shared.data_dir))
        with program(*command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(records(7000, 8000).decode())
            process.stdin.flush()
            while people(client)["recordCount"] == before:
                pass
            process.terminate()
            assert process.wait() == 130


def test_verify_finds_what_does_not_fit(shared, place):
    data_dir = place / "data"
    with server(data_dir) as started, started.client() as client:
        create_dataset(client)
        file = place / "people.ndjson"
        file.write_bytes(records(0, 5))
        assert ingest(started, file).returncode == 0
        right = gateway("verify", "--data-dir", data_dir)
        asyncio.run(spoil(data_dir))
        wrong, sampled = (
            gateway("verify", "--data-dir", data_dir),
            gateway("verify", "--sample", "5", "--data-dir", data_dir),
        )
        nowhere = gateway("verify", "--sandbox", "nope", "--data-dir", data_dir)
    assert (right.returncode, right.stdout) == (0, "every view is what the facts make of it\n")
    assert wrong.returncode == 1
    assert wrong.stdout.startswith("prod: profile ")
    assert wrong.stdout.endswith("5 differences\n")
    assert sampled.returncode in {0, 1}
    assert (nowhere.returncode, "'nope'" in nowhere.stderr) == (1, True)


async def spoil(data_dir: Path) -> None:
    """What a bug might do."""
    connection = await asyncpg.connect(f"postgresql://gateway@/gateway?host={data_dir}/socket&port=5432")
    await connection.execute("""update gateway.profile set document = '{"person": {}}'""")
    await connection.close()


def test_the_schema_is_printed_and_compared(shared, tmp_path):
    printed = gateway("schema").stdout
    (tmp_path / "schema.graphql").write_text(printed)
    same = gateway("schema", "--check", cwd=tmp_path)
    assert (same.returncode, same.stdout) == (0, "")
    (tmp_path / "schema.graphql").write_text(printed.replace("type Query", "type Queries", 1))
    other = gateway("schema", "--check", cwd=tmp_path)
    assert other.returncode == 1
    assert "-type Queries" in other.stdout
    assert gateway("schema", "--check", cwd="/").returncode == 1
    sandboxes = gateway("schema", "--sandbox", "prod", "--data-dir", shared.data_dir).stdout
    assert "type ProfileEntity" in sandboxes
    assert sandboxes != printed

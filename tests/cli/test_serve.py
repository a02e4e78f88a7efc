"""`gateway serve`: ports, signals, workers, its Postgres, and the user that runs it."""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

import httpx
import pytest
from people_dataset import NDJSON, create_dataset, people, records, run
from program import Server, as_user, environment, gateway, postgres_runs, server

from gateway.postgres.account import Account


def test_the_link_of_serve_is_for_people_and_not_on_stdout(shared):
    assert "GraphiQL: " in shared.log.read_text()
    assert shared.link.startswith(f"{shared.url}/graphiql#token=")
    assert httpx.get(shared.link, follow_redirects=True).status_code in {200, 503}  # 503 says how to build the page


def test_a_port_in_use_is_an_error_before_anything_is_started(shared, place):
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
            until(lambda: counted(client) == 33)  # this worker may have kept its exposition from before
        assert started.end() == 0
    assert not list(temporary.glob("gateway-*"))


def test_workers_end_when_the_process_that_started_them_is_killed(place):
    with server(place / "data", "--workers", "2") as started:
        started.end(signal.SIGKILL)
        wait_for_refusal(started)
    assert gateway("token", "--data-dir", place / "data").returncode == 0  # as the last to leave it ends Postgres
    assert not postgres_runs(place / "data")


def test_a_request_that_runs_at_sigterm_gets_its_response(place):
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


def test_a_database_of_ones_own_replaces_the_embedded_one(dsn, place):
    env = environment(GATEWAY_DATABASE_URL=dsn)
    with server(place / "data", env=env) as started:
        with httpx.Client(base_url=started.url, headers=started.headers(env=env)) as client:
            create_dataset(client)
        assert started.end() == 0
    assert sorted(path.name for path in (place / "data").iterdir()) == ["credentials.json", "credentials.lock"]


def test_a_directory_that_the_servers_user_cannot_reach_is_an_error_that_says_so(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root runs the server as somebody else")
    result = gateway("serve", "--port", "0", "--data-dir", tmp_path / "data")
    assert (result.returncode, "may not enter" in result.stderr) == (1, True)


def test_an_ordinary_user_can_run_the_server(place):
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


def workers(started: Server) -> list[int]:
    """Return the ids of the processes that serve for a program."""
    pid, found = started.process.pid, []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return {file.removeprefix("socket:[").removesuffix("]") for file in files if file.startswith("socket:[")}


def counted(client: httpx.Client) -> float:
    """Return how many requests for `/healthz` were served, by the metrics of the worker that answers this client."""
    found = re.search(
        r'^gateway_request_seconds_count{.*"/healthz".*} (\S+)$', client.get("/metrics").text, re.MULTILINE
    )
    return float(found[1])


def connections(started: Server) -> set[str]:
    """Return the inodes of the connections that are established to a program."""
    wanted = f":{int(started.url.rsplit(':', 1)[1]):04X} "
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if f"{row[1]} ".endswith(wanted) and row[3] == "01"}


def wait_for_request(started: Server) -> None:
    """Wait until a program has a connection."""
    until(lambda: len(connections(started)) > 0)


def wait_for_refusal(started: Server) -> None:
    """Wait until a program takes no more connections."""
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


def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, a minute at most."""
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end

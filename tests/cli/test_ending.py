"""Every command ends at a signal, in bounded time, whatever it waits for, and whatever the shell it was started from ignores."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from places import reachable_directory
from program import postgres_runs, server, started_program
from warm import Started

from gateway.postgres.account import server_account
from gateway.postgres.file_locks import locked

VIEWER = {"query": "{ viewer { organization } }"}
PATIENCE = 60  # seconds; far more than any command takes to end
LOOK_SECONDS = 0.005  # between two looks at a command, which needs the processor itself
SERVERS = [["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"], ["worker"]]
COMMANDS = [
    ["token"],
    ["verify"],
    ["migrate"],
    ["schema", "--sandbox", "prod"],
    ["ingest", "-", "--dataset", "People"],
    ["demo", "--port", "0"],
]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path / "data"


@contextmanager
def ignoring_interrupts(*arguments: str | Path) -> Iterator[Started]:
    """A command as a script starts it in its background: SIGINT is ignored."""
    with started_program(*map(str, arguments), stdin=subprocess.PIPE, ignored=[signal.SIGINT]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("command", SERVERS, ids=" ".join)
def test_a_server_that_ignores_interrupts_ends_at_sigterm(data_dir, command):
    with ignoring_interrupts(*command, "--data-dir", data_dir) as process:
        assert process.stdout.readline()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert not postgres_runs(data_dir)


@pytest.mark.parametrize("command", [*SERVERS, *COMMANDS], ids=" ".join)
def test_a_command_that_waits_for_its_store_ends_at_sigterm(data_dir, command):
    """Another process starts the embedded Postgres, and never finishes."""
    data_dir.mkdir()
    server_account().own(data_dir)
    with locked(data_dir / "start.lock"), ignoring_interrupts(*command, "--data-dir", data_dir) as process:
        wait_for_it(process, data_dir / "start.lock")
        process.terminate()
        assert process.wait(PATIENCE) in {0, 130}
    assert not postgres_runs(data_dir)


def test_a_command_that_waits_for_a_writer_of_a_named_pipe_ends_at_sigterm(data_dir):
    pipe = data_dir.parent / "pipe"
    os.mkfifo(pipe)
    with ignoring_interrupts("ingest", pipe, "--dataset", "People", "--data-dir", data_dir) as process:
        wait_until_it_sleeps(process)
        process.terminate()
        assert process.wait(PATIENCE) in {130, -signal.SIGTERM}


def wait_until_it_sleeps(process: Started) -> None:
    """Until the command waits for something, and not just for a moment."""
    end, asleep = monotonic() + PATIENCE, 0
    while asleep < 100:
        sleep(LOOK_SECONDS)
        assert process.poll() is None
        assert monotonic() < end
        is_asleep = "State:\tS" in Path(f"/proc/{process.pid}/status").read_text()
        asleep = asleep + 1 if is_asleep else 0


def wait_for_it(process: Started, path: Path) -> None:
    """Until the command has opened the lock, to wait for it."""
    wanted = path.stat()
    while process.poll() is None:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                opened = descriptor.stat()
            except FileNotFoundError:
                continue
            if (opened.st_dev, opened.st_ino) == (wanted.st_dev, wanted.st_ino):
                return
        sleep(LOOK_SECONDS)
    raise AssertionError((process.stdout.read(), process.stderr.read()))


# ---------------------------------------------------------------------------------------------- Postgres ends


def test_the_embedded_postgres_is_started_again_when_it_dies(data_dir):
    """Meanwhile requests get 503, the gateway is not ready, and the log says why."""
    with server(data_dir) as started, started.client() as client:
        before = int((data_dir / "postgres/postmaster.pid").read_text().splitlines()[0])
        assert client.post("/graphql", json=VIEWER).status_code == 200
        os.kill(before, signal.SIGKILL)
        seen = {client.post("/graphql", json=VIEWER).status_code}
        end = monotonic() + PATIENCE
        while "recovered" not in states(started.log) or client.get("/readyz").status_code != 200:
            seen.add(client.post("/graphql", json=VIEWER).status_code)
            assert monotonic() < end
        assert client.post("/graphql", json=VIEWER).status_code == 200
        assert states(started.log) == ["lost", "recovered"]
        assert seen <= {200, 503}
        assert started.end() == 0
    assert not postgres_runs(data_dir)


def states(log: Path) -> list[str]:
    """Return the states of the embedded Postgres in the log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line["state"] for line in lines if line["event"] == "embedded postgres"]

"""`gateway changes`: JSON lines of what happened to people, that others read on from where they left off."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_SETPIPE_SZ, fcntl
from select import PIPE_BUF, select

import pytest
from people_dataset import ingest, records
from program import Server, gateway, started_program

PATIENCE = 60  # seconds; far more than any of this takes


def changes(started: Server, *more: str) -> subprocess.CompletedProcess[str]:
    return gateway("changes", "--data-dir", started.data_dir, *more)


def lines(printed: str) -> list[dict]:
    return [json.loads(line) for line in printed.splitlines()]


def sent(started: Server, first: int, last: int) -> None:
    """Ingest the people numbered from `first` to before `last`."""
    result = ingest(started, "-", input=records(first, last).decode())
    assert result.returncode == 0, result.stderr


@contextmanager
def following(started: Server, after: str) -> Iterator[subprocess.Popen[str]]:
    command = ["changes", "--follow", "--after", after, "--data-dir", str(started.data_dir)]
    with started_program(*command) as process:
        try:
            yield process
        finally:
            process.kill()


def test_changes_are_printed_from_the_oldest_on_or_from_a_cursor(shared):
    sent(shared, 0, 3)
    everything = lines(changes(shared).stdout)
    assert len(everything) >= 3
    assert list(everything[0]) == ["cursor", "kind", "profileId", "version", "at", "changedPaths", "formerProfileIds"]
    for number, each in enumerate(everything):
        rest = lines(changes(shared, "--after", each["cursor"], "--policy", "Default").stdout)
        assert [one["profileId"] for one in rest] == [one["profileId"] for one in everything[number + 1 :]]
        if number == 1:
            break


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_prints_what_comes_and_ends_at_a_signal(shared, how):
    sent(shared, 10, 11)
    *_, newest = lines(changes(shared).stdout)
    with following(shared, newest["cursor"]) as process:
        sent(shared, 100 + how, 101 + how)
        (change,) = lines(process.stdout.readline())
        assert (change["kind"], change["profileId"] != newest["profileId"]) == ("CREATED", True)
        process.send_signal(how)
        assert process.wait(PATIENCE) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_a_follower_ends_at_a_signal_also_while_its_reader_stands_still(shared):
    sent(shared, 1_000, 1_100)
    first, *_ = lines(changes(shared).stdout)
    with following(shared, first["cursor"]) as process:
        fcntl(process.stdout, F_SETPIPE_SZ, PIPE_BUF)
        assert select([process.stdout], [], [], PATIENCE)[0]  # the pipe is full, and there is more to write
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert lines(process.stdout.read())  # whole ones


def test_a_follower_ends_when_nobody_reads_on(shared):
    sent(shared, 20, 22)
    first, *_ = lines(changes(shared).stdout)
    with following(shared, first["cursor"]) as process:
        assert process.stdout.readline()
        process.stdout.close()
        sent(shared, 30, 31)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--after", "x"), "cursor"),
        (("--policy", "none"), "no merge policy 'none'"),
        (("--sandbox", "x"), "no sandbox 'x'"),
    ],
)
def test_what_cannot_be_followed_is_an_error_of_one_line(shared, given, said):
    result = changes(shared, *given)
    assert (result.returncode, result.stdout, said in result.stderr) == (1, "", True), result.stderr

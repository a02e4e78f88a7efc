"""The user that runs the server, and what it can reach."""

import os
from pathlib import Path

import pytest

from gateway.errors import ClusterError
from gateway.postgres.account import ENVIRONMENT, SYSTEM_USER, Account, server_account

STRANGER = Account("stranger", 54321, 54321)


def test_the_server_never_runs_as_root() -> None:
    account = server_account()
    assert account.uid != 0
    assert account.name == SYSTEM_USER or account.uid == os.geteuid()


def test_a_program_runs_as_the_servers_user_without_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nonsense")
    account = server_account()
    assert account.run(["/usr/bin/id", "-u"]).stdout == f"{account.uid}\n"
    assert set(account.run(["/usr/bin/env"]).stdout.split()) == {
        f"{name}={value}" for name, value in ENVIRONMENT.items()
    }


def test_an_error_names_a_missing_program() -> None:
    with pytest.raises(ClusterError, match="cannot run /no/such/program as user"):
        server_account().run(["/no/such/program"])


def test_a_user_without_a_name_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ClusterError, match=r"user id 54321 has no name .* GATEWAY_DATABASE_URL"):
        server_account()


@pytest.mark.parametrize(("mode", "open_"), [(0o755, True), (0o711, True), (0o750, False), (0o700, False)])
def test_the_barrier_is_the_outermost_directory_that_is_closed(place: Path, mode: int, open_: bool) -> None:
    below = place / "outer" / "inner"
    below.mkdir(parents=True)
    below.chmod(0o700)
    below.parent.chmod(mode)
    assert STRANGER.barrier(below) == (below if open_ else below.parent)
    assert STRANGER.barrier(place / "not there yet") is None


def test_a_file_must_be_readable_and_runnable(place: Path) -> None:
    program = place / "program"
    program.touch()
    for mode, barrier in [(0o755, None), (0o744, program), (0o711, program)]:
        program.chmod(mode)
        assert STRANGER.barrier(program) == barrier

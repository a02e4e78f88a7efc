"""No directory is ever taken from anybody, and none above the gateway's own is changed."""

import os
import stat
from pathlib import Path

import pytest

from gateway.errors import ClusterError
from gateway.postgres.account import Account, server_account
from gateway.postgres.directories import claim_data_directory, claim_socket_directory, default_data_dir, write_unlinked


@pytest.fixture
def account() -> Account:
    return server_account()


def state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


def test_the_default_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/profile-gateway")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir() == Path("/home/ada/.local/share/profile-gateway")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    assert default_data_dir() == Path("/home/ada/.local/share/profile-gateway")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_dir() == Path("/data/profile-gateway")


def test_a_new_or_empty_directory_becomes_private_and_its_parents_stay(place: Path, account: Account) -> None:
    before = state(place)
    (place / "empty").mkdir(mode=0o755)
    for path in [place / "new", place / "parent/new", place / "empty"]:
        claim_data_directory(path, account)
        claim_data_directory(path, account)
        assert state(path) == (account.uid, 0o700)
    assert state(place) == before


def test_a_directory_with_something_in_it_is_refused_and_stays_as_it_was(place: Path, account: Account) -> None:
    (place / "photo").touch()
    before = state(place)
    with pytest.raises(ClusterError, match="must be empty, or belong to user"):
        claim_data_directory(place, account)
    assert state(place) == before


def test_a_directory_for_everybody_is_refused_even_when_empty(place: Path, account: Account) -> None:
    place.chmod(0o1777)
    with pytest.raises(ClusterError, match="choose another one"):
        claim_data_directory(place, account)
    assert state(place) == (os.geteuid(), 0o1777)


@pytest.mark.parametrize("name", ["$HOME", 'quo"te', "`id`", "back\\slash", "line\nbreak"])
def test_a_name_with_characters_of_the_shell_is_refused(place: Path, account: Account, name: str) -> None:
    with pytest.raises(ClusterError, match="must have none of"):
        claim_data_directory(place / name, account)
    assert list(place.iterdir()) == []


def test_the_socket_lies_beside_the_data_if_its_path_can_be_used(place: Path, account: Account) -> None:
    assert claim_socket_directory(place, account, "s") == place / "socket"
    assert state(place / "socket") == (account.uid, 0o700)


def test_a_planted_socket_directory_is_refused(place: Path, account: Account) -> None:
    (place / "elsewhere").mkdir()
    (place / "socket").symlink_to(place / "elsewhere")
    with pytest.raises(ClusterError, match="remove it"):
        claim_socket_directory(place, account, "s")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_socket_directory_of_somebody_else_is_refused(place: Path, account: Account) -> None:
    (place / "socket").mkdir()
    os.chown(place / "socket", 65534, 65534)
    with pytest.raises(ClusterError, match="somebody else's hands"):
        claim_socket_directory(place, account, "s")


def test_a_file_is_not_written_through_a_link(place: Path) -> None:
    (place / "precious").write_text("kept")
    (place / "pg_hba.conf").symlink_to(place / "precious")
    with pytest.raises(OSError, match=r"pg_hba\.conf"):
        write_unlinked(place / "pg_hba.conf", "lost")
    assert (place / "precious").read_text() == "kept"

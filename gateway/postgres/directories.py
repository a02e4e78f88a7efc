"""The directories of the embedded Postgres: private to the server's user, and never taken from another user."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from gateway.errors import ClusterError
from gateway.postgres.account import Account

ROOT_DATA_DIR = Path("/var/lib/profile-gateway")
MAX_SOCKET_PATH_BYTES = 103  # Linux allows 107, macOS 103
SHELL_CHARACTERS = frozenset('"$`\\\n')


def default_data_dir() -> Path:
    """Return the data directory that is used unless a setting names another."""
    if os.geteuid() == 0:
        return ROOT_DATA_DIR
    share = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (share if share.is_absolute() else Path.home() / ".local/share") / "profile-gateway"


def claim_data_directory(path: Path, account: Account) -> None:
    """Make the directory private to the account. It may be new, empty, or private to the account already; else raises ClusterError.

    Neither its parents nor what it contains are changed.
    """
    if SHELL_CHARACTERS & set(str(path)):
        # pg_ctl puts the path into a shell command, between double quotes.
        raise ClusterError(f'the data directory {path} must have none of " $ ` \\ or a line break in its name')
    _check_reach(path.parent, account)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_reach(path.parent, account)
    _claim(path, account)


def claim_socket_directory(data_dir: Path, account: Account, name: str) -> Path:
    """Make a private directory in which a socket of this name has a path that the system and the driver accept, and return it.

    It is next to the data, or if that path is too long among the temporary files: XDG_RUNTIME_DIR ends at logout. Raises ClusterError.
    """
    path = data_dir / "socket"
    if len(os.fsencode(path / name)) > MAX_SOCKET_PATH_BYTES or "," in str(
        path
    ):  # a comma separates hosts in an address
        digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()).resolve() / f"profile-gateway-{digest}"
        _check_reach(path.parent, account)
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {account.uid, os.geteuid()}:
        raise ClusterError(f"{path}, where the socket belongs, is in somebody else's hands: remove it")
    account.own(path)
    return path


def write_unlinked(path: Path, text: str) -> None:
    """Write a file in the server's directory, never through a symbolic link, which the server's user could have made."""
    with open(path, "w", opener=_refuse_link) as file:
        file.write(text)


def _refuse_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _check_reach(path: Path, account: Account) -> None:
    if barrier := account.barrier(path):
        raise ClusterError(
            f"root runs Postgres as user {account.name}, who may not enter {barrier}: choose a data directory that this "
            f"user can reach, such as {ROOT_DATA_DIR}, or run the gateway as an ordinary user"
        )


def _claim(path: Path, account: Account) -> None:
    # Listed first: if another gateway claims it meanwhile, the status that is read next says so.
    empty = not any(path.iterdir())
    status = path.stat()
    if status.st_uid == account.uid and stat.S_IMODE(status.st_mode) == 0o700:
        return
    if not empty or status.st_mode & stat.S_ISVTX or status.st_uid not in {account.uid, os.geteuid()}:
        raise ClusterError(
            f"the data directory {path} must be empty, or belong to user {account.name} with mode 0700: choose another one"
        )
    account.own(path)

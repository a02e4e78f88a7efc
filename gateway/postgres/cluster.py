"""The embedded Postgres: one server for a data directory, shared by all gateways that use the directory.

    <data directory>/          0700, the server user's
        postgres/              the database cluster
        postgres.log           the server's log
        socket/                0700, where the kernel names the user that connects; no TCP but for guests
        start.lock             held while the server is started or stopped
        users.lock             shared by all gateways that use the server; the last to leave stops it
        server.lock            held by every process of the server, so that process ids need not be looked at

A gateway that is killed leaves the server running: the next one uses it, and stops it when it leaves. A server that dies is started
again by the first of its gateways that notices.
"""

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Self
from urllib.parse import quote

import asyncpg

from gateway.errors import ClusterError
from gateway.postgres.account import server_account
from gateway.postgres.binaries import server_binaries
from gateway.postgres.directories import claim_data_directory
from gateway.postgres.file_locks import acquire, locked_unless, open_lock
from gateway.postgres.memory import memory_of_machine, memory_settings
from gateway.postgres.postmaster import ROLE, Guests, Postmaster, quoted
from gateway.telemetry import EmbeddedPostgres, Observation, observe

DATABASE = "gateway"
LEAVE_SECONDS = 10  # for another gateway that starts or stops the server; that one stops it in our place
CHECK_SECONDS = 1.0  # between two checks whether the server is up
MAX_PAUSE_SECONDS = 60.0  # between two attempts to start it again

SETTINGS: Mapping[str, str] = {
    "max_connections": "100",
    "random_page_cost": "1.1",
    "jit": "off",  # statements here take milliseconds; compiling them takes longer
    "wal_compression": "on",
    "max_wal_size": "4GB",  # a bulk load does not checkpoint all the time
    "checkpoint_timeout": "15min",
    "fsync": "on",  # acknowledged data survive kill -9 and a power cut
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",  # details and contexts quote rows, and those hold personal data
}


class Cluster:
    """A Postgres server that runs from `start` to `stop`, or inside `async with`. When it dies meanwhile, it is started again.

    Blocking work is done in threads. `settings` override the defaults, and apply only if this start launches the
    server: one that runs already keeps its own, and lets in the `guests` that it did. `tell` is called in such a thread when the server dies, is running again, or fails to start.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        tell: Callable[[Observation], None] = observe,
        guests: Guests | None = None,
    ) -> None:
        self._guests = guests
        self.data_dir = data_dir.expanduser().resolve()
        self._settings = {**SETTINGS, **memory_settings(memory_of_machine()), **(settings or {})}
        self._tell = tell
        self._users: int | None = None
        self._socket: Path | None = None
        self._ending = threading.Event()
        self._restarter: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the server, or again if it has died, and return when it answers and the database exists. Raises ClusterError.

        When cancelled, leave no server behind.
        """
        self._ending.clear()
        work = asyncio.ensure_future(asyncio.to_thread(self._bring_up))
        try:
            await asyncio.shield(work)
            await self._ensure_database()
        except BaseException:
            self._ending.set()
            await asyncio.gather(work, return_exceptions=True)
            await self.stop()
            raise
        if self._restarter is None:
            self._restarter = threading.Thread(target=self._restart_when_dead, name="restarts of Postgres", daemon=True)
            self._restarter.start()

    async def stop(self) -> None:
        """Stop using the server, and stop the server unless another gateway uses it. Raises ClusterError."""
        self._ending.set()
        await asyncio.to_thread(self._leave)

    @property
    def port(self) -> int:
        """The port of the server: in the name of its socket, and of TCP where it lets in guests. Raises ClusterError before `start`."""
        return int(self._started.name.rpartition(".")[2])

    def dsn(self, database: str = DATABASE, role: str = ROLE) -> str:
        """Return the address of one of the server's databases by its socket, for asyncpg. Raises ClusterError before `start`."""
        directory = quote(str(self._started.parent))
        return f"postgresql://{role}@/{quote(database, safe='')}?host={directory}&port={self.port}"

    @property
    def _started(self) -> Path:
        if self._socket is None:
            raise ClusterError("the embedded Postgres is not started")
        return self._socket

    async def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database, empty or as a copy of another to which nothing is connected."""
        # By files, a small template is copied twice as fast as through the log.
        source = f" template {quoted(template)} strategy file_copy" if template else ""
        await self._execute(f"create database {quoted(name)}{source}")

    async def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing its connections."""
        await self._execute(f"drop database if exists {quoted(name)} with (force)")

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

    def _postmaster(self) -> Postmaster:
        account = server_account()
        return Postmaster(self.data_dir, account, server_binaries(account), self._guests)

    def _bring_up(self) -> None:
        try:
            account = server_account()
            claim_data_directory(self.data_dir, account)
            postmaster = Postmaster(self.data_dir, account, server_binaries(account), self._guests)
            with locked_unless(self._ending.is_set, self.data_dir / "start.lock") as is_held:
                if is_held:
                    self._register()
                    self._socket = postmaster.ensure_running(self._settings, self._ending.is_set)
        except OSError as error:
            raise ClusterError(f"the embedded Postgres cannot use {self.data_dir}: {error}") from error

    def _restart_when_dead(self) -> None:
        """Start the server again each time it has died, until `stop`. Pauses double after failed attempts, up to MAX_PAUSE_SECONDS."""
        postmaster = self._postmaster()
        pause, died_at = CHECK_SECONDS, None
        while not self._ending.wait(pause):
            if postmaster.is_up():
                pause, died_at = CHECK_SECONDS, None
                continue
            if died_at is None:
                died_at = monotonic()
                self._tell(EmbeddedPostgres("lost", 0, None))
            try:
                self._bring_up()
            except ClusterError as error:
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                if not self._ending.is_set():
                    self._tell(EmbeddedPostgres("failed", monotonic() - died_at, error.message))
            else:
                self._tell(EmbeddedPostgres("recovered", monotonic() - died_at, None))
                pause, died_at = CHECK_SECONDS, None

    def _register(self) -> None:
        """Count as a user of the server, until `stop` or the end of this process."""
        if self._users is None:
            self._users = open_lock(self.data_dir / "users.lock")
            fcntl.flock(self._users, fcntl.LOCK_SH)

    def _leave(self) -> None:
        if self._restarter is not None:
            self._restarter.join()
            self._restarter = None
        if self._users is None:
            return
        until = monotonic() + LEAVE_SECONDS
        with locked_unless(lambda: monotonic() > until, self.data_dir / "start.lock") as is_held:
            try:
                if is_held and acquire(self._users, fcntl.LOCK_EX):
                    self._postmaster().stop()
            finally:
                os.close(self._users)
                self._users = self._socket = None

"""A Postgres that is not the gateway's: other programs, passwords, roles that may do little."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncpg
from places import reachable_directory

from gateway.postgres.account import server_account
from gateway.postgres.binaries import server_binaries

DEBIAN = Path("/usr/lib/postgresql/15/bin")
"""The oldest release that is supported, as Debian 12 brings it."""
PORT = 5432  # of the socket's name; no TCP
LOGIN = "local all postgres trust\nlocal all all scram-sha-256\n"


class OwnPostgres:
    """A running server: the address of a database for a role, and statements as the superuser."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @property
    def where(self) -> dict[str, str]:
        """Return the parameters of a connection to the server, by Postgres' names for them."""
        return {"host": str(self._socket), "port": f"{PORT}"}

    def dsn(self, role: str, password: str, database: str) -> str:
        login = f"{role}:{quote(password)}" if password else role
        return f"postgresql://{login}@/{database}?{urlencode(self.where)}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.dsn("postgres", "", database))
        for statement in statements:
            await connection.execute(statement)
        await connection.close()


@contextmanager
def oldest_postgres() -> Iterator[OwnPostgres]:
    """Start the oldest release that is supported, where it is installed; else the newest, which the embedded one is."""
    programs = DEBIAN if (DEBIAN / "initdb").exists() else server_binaries(server_account()).directory
    with own_postgres(programs) as started:
        yield started


@contextmanager
def own_postgres(programs: Path) -> Iterator[OwnPostgres]:
    """Start these programs on a directory of their own, until the block ends."""
    account = server_account()
    with reachable_directory() as place:
        account.own(place)
        data = place / "data"

        def run(*command: str | Path) -> None:
            result: subprocess.CompletedProcess[str] = account.run(command)
            assert result.returncode == 0, result.stdout

        run(
            programs / "initdb",
            "-D",
            data,
            "--auth=trust",
            "--username=postgres",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        )
        (data / "pg_hba.conf").write_text(LOGIN)
        options = f"-c listen_addresses='' -c port={PORT} -c unix_socket_directories={place} -c fsync=off"
        run(programs / "pg_ctl", "-s", "-w", "-D", data, "-l", place / "log", "-o", options, "start")
        try:
            yield OwnPostgres(place)
        finally:
            run(programs / "pg_ctl", "-s", "-w", "-D", data, "-m", "immediate", "stop")

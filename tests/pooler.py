"""A real pgbouncer in front of the tests' Postgres."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from places import reachable_directory

from gateway.postgres.account import server_account

STARTUP_PARAMETERS = "search_path,jit,enable_memoize,plan_cache_mode,statement_timeout,gateway.session"
CONNECTIONS = 3
"""To the server, for however many clients: so that a transaction seldom has the connection that the one before it had."""


@contextmanager
def pooler(dsn: str, *, ignore: str = "") -> Iterator[str]:
    """The address of the database through a pgbouncer in transaction mode, which drops these startup parameters and refuses others."""
    parts = urlsplit(dsn)
    server, database = parse_qs(parts.query), parts.path.strip("/")
    settings = (
        f"[databases]\n{database} = host={server['host'][0]} port={server['port'][0]} user={parts.username}\n"
        "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 0\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\nignore_startup_parameters = {ignore}\n"
    )
    with pgbouncer(settings) as port:
        yield f"postgresql://{parts.username}@127.0.0.1:{port}/{database}"


@contextmanager
def pgbouncer(settings: str, users: str = "") -> Iterator[int]:
    """The free port on which a pgbouncer with these settings listens, whatever port and file of users they name."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    account = server_account()
    with reachable_directory() as place, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.close()
        account.own(place)
        settings = re.sub(r"listen_port = \d+", f"listen_port = {port}\nunix_socket_dir =", settings)
        settings = re.sub(r"auth_file = .*", f"auth_file = {place / 'users'}", settings)
        for name, text in (("settings", settings), ("users", users)):
            (place / name).write_text(text)
            (place / name).chmod(0o644)
        as_server = {"user": account.uid, "group": account.gid, "extra_groups": []} if account.switches else {}
        log = (place / "log").open("w+")
        command = [program, place / "settings"]
        with log, subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **as_server) as process:
            try:
                _wait(process, port, place / "log")
                yield port
            finally:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            continue
        return

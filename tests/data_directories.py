"""Data directories as they are after the first start of the embedded Postgres: copied, as to initialize one takes ten times as long."""

import atexit
import os
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from places import reachable_directory

from gateway.postgres.account import server_account
from gateway.postgres.binaries import server_binaries
from gateway.postgres.directories import claim_data_directory
from gateway.postgres.file_locks import open_lock
from gateway.postgres.postmaster import Postmaster


def initialize(data_dir: Path) -> None:
    """Make a data directory, unless it is there."""
    if not data_dir.exists():
        claim_data_directory(data_dir, server_account())
        subprocess.run(["cp", "-a", _initialized() / "postgres", data_dir], check=True)


@cache
def _initialized() -> Path:
    place = ExitStack()
    atexit.register(place.close)
    data_dir, account = place.enter_context(reachable_directory()) / "data", server_account()
    claim_data_directory(data_dir, account)
    lock = open_lock(data_dir / "server.lock")
    Postmaster(data_dir, account, server_binaries(account))._initialize(lock)
    os.close(lock)
    return data_dir

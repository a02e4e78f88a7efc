"""An empty database gets `sql/schema/`; an older one gets the files of `sql/migrations/` that it has not seen, each in a transaction.

Any number of gateways may start at once: an advisory lock lets one do the work while the others wait.
"""

from pathlib import Path
from typing import Any

import asyncpg

from gateway.errors import Unavailable
from gateway.storage.database import Database
from gateway.storage.queries import SQL, query

LIST = query("migrations.list_migrations")

LOCK = 7_402_311  # any fixed number; it only has to be ours


async def migrate(dsn: str) -> list[str]:
    """Bring the database to the newest schema and return the names of the files that were applied. Raises Unavailable."""
    try:
        connection = await asyncpg.connect(dsn)
    except (
        OSError,
        ValueError,  # an address that is none
        asyncpg.PostgresConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
    ) as error:
        raise Unavailable(f"The database does not answer: {error}") from error
    try:
        await connection.execute(f"select pg_advisory_lock({LOCK})")
        return await _apply(connection)
    finally:
        await connection.close()


async def is_current(db: Database) -> bool:
    """Whether the database has the schema that this code was written for, or a newer one. Raises Unavailable."""
    try:
        seen = {row["name"] for row in await db.rows(LIST)}
    except asyncpg.UndefinedTableError:
        return False
    return seen.issuperset(path.name for path in _files("migrations"))


async def _apply(connection: Any) -> list[str]:
    migrations = _files("migrations")
    if await connection.fetchval("select to_regclass('gateway.migration')") is None:
        return await _create(connection, _files("schema"), migrations)
    done = {row["name"] for row in await connection.fetch("select name from gateway.migration")}
    pending = [path for path in migrations if path.name not in done]
    for path in pending:
        async with connection.transaction():
            await connection.execute(path.read_text(encoding="utf-8"))
            await connection.execute("insert into gateway.migration (name) values ($1)", path.name)
    return [path.name for path in pending]


async def _create(connection: Any, schema: list[Path], migrations: list[Path]) -> list[str]:
    async with connection.transaction():
        for path in schema:
            await connection.execute(path.read_text(encoding="utf-8"))
        await connection.executemany(
            "insert into gateway.migration (name) values ($1)", [(path.name,) for path in migrations]
        )
    return [path.name for path in schema]


def _files(folder: str) -> list[Path]:
    return sorted((SQL / folder).glob("*.sql"))

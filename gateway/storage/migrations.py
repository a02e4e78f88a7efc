"""The version of the database's schema, and its migration to the newest one.

An empty database gets `sql/schema/` in one transaction, which is what all of `sql/migrations/` together would have made of it. An older
one gets the files of `sql/migrations/` that were not applied yet, in order, each in a transaction of its own. `gateway.migration` lists the
migrations that were applied; the greatest name is its version.

Any number of gateways may start at once: an advisory lock, held by a transaction so that poolers may stand between, lets one do the work
while the others wait.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from gateway.errors import SchemaError, StatementFailed, Unavailable
from gateway.storage.database import Database
from gateway.storage.faults import DRIVER, OPENING, opening_failed, translated
from gateway.storage.queries import SQL, query

LIST = query("migrations.list_migrations")

ADVISORY_LOCK = 7_402_311  # any number that no other program uses
LOCK_TIMEOUT = "10min"
"""How long a gateway waits for another one that migrates the same database."""
TABLE_LOCK_TIMEOUT = "1min"
"""How long a migration waits for the transactions that use its tables; all later ones wait behind it meanwhile."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of `sql/migrations/`: its name without `.sql`, and the sentence of its first line, which says what it changes."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `migrate` found and did. `is_new`: the database was empty; `applied` then is every migration."""

    version: str
    is_new: bool
    before: tuple[Migration, ...]
    applied: tuple[Migration, ...]


async def migrate(dsn: str) -> Migrated:
    """Upgrade the database to the newest schema and return what was applied.

    Raises SchemaError when its schema is newer than this code, older than the first release, or may not be changed by this role;
    DatabaseRefused when the database refuses the connection; Unavailable when it does not answer, or others keep it locked.
    """
    connection = await _connect(dsn)
    applied: list[Migration] = []
    try:
        while True:
            async with connection.transaction():
                await _lock(connection)
                seen = await _applied(connection)
                if seen is None:
                    await _create(connection)
                    return Migrated(expected_version(), is_new=True, before=(), applied=migrations())
                _refuse_newer(seen)
                pending = [one for one in migrations() if one.name not in seen]
                if not pending:
                    break
                await _apply(connection, pending[0])
            applied.append(pending[0])
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable(
            "The database's tables are in use, or another gateway is migrating them: try again later."
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        role, database = await connection.fetchrow("select current_user, current_database()")
        raise SchemaError(
            f"The role {role!r} may not bring the database {database!r} to the schema {expected_version()}: {error}. Run"
            " `gateway migrate` as a role that may; the document Operations says which grants are needed."
        ) from error
    except DRIVER as error:
        raise translated(error, is_closed=connection.is_closed()) from error
    finally:
        await connection.close()
    before = tuple(one for one in migrations() if one not in applied)
    return Migrated(expected_version(), is_new=False, before=before, applied=tuple(applied))


async def check_schema(db: Database) -> None:
    """Check that the database has the schema that this code was written for. Raises SchemaError if not, Unavailable."""
    try:
        seen = {row["name"] for row in await db.rows(LIST)}
    except StatementFailed as error:
        if error.condition != "UndefinedTable":
            raise
        raise SchemaError(
            f"The database has no schema of the gateway, and this gateway wants {expected_version()}: run `gateway migrate`."
        ) from error
    _refuse_newer(seen)
    if any(one.name not in seen for one in migrations()):
        raise SchemaError(
            f"The database has the schema {_version(seen)}, and this gateway wants {expected_version()}: run `gateway migrate`."
        )


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration of this code, in order."""
    return tuple(
        Migration(path.stem, path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("-- "))
        for path in _files("migrations")
    )


def expected_version() -> str:
    """Return the schema version that this code was written for: the name of its newest migration."""
    return migrations()[-1].name


def _version(seen: Collection[str]) -> str:
    return max(seen, default=migrations()[0].name)


def _refuse_newer(seen: Collection[str]) -> None:
    if set(seen) - {one.name for one in migrations()}:
        raise SchemaError(
            f"The database has the schema {_version(seen)}, and this gateway wants {expected_version()}, which is older: "
            "run the gateway's newer version, which brought the database there."
        )


async def _connect(dsn: str) -> Any:
    """Open a connection that keeps nothing between two transactions, as poolers require it."""
    try:
        return await asyncpg.connect(dsn, statement_cache_size=0)
    except OPENING as error:
        raise opening_failed(error) from error


async def _lock(connection: Any) -> None:
    await connection.execute(
        f"set local statement_timeout = 0; set local lock_timeout = '{LOCK_TIMEOUT}';"
        f" select pg_advisory_xact_lock({ADVISORY_LOCK}); set local lock_timeout = '{TABLE_LOCK_TIMEOUT}'"
    )


async def _applied(connection: Any) -> set[str] | None:
    """Return the names of the migrations that were applied; None if the database has no schema of ours. Raises SchemaError."""
    if not await _columns(connection, "migration"):
        return None
    seen = {row["name"] for row in await connection.fetch("select name from gateway.migration")}
    if seen:
        return seen
    if "rung" not in await _columns(connection, "identity"):
        raise SchemaError(
            "The database was made before the gateway's first release, and there is no way from its schema to"
            f" {expected_version()}: start with an empty database and send the documents again."
        )
    await _record(connection, migrations()[:1])
    return {migrations()[0].name}


async def _columns(connection: Any, table: str) -> set[str]:
    rows = await connection.fetch(
        "select attname from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace"
        " where nspname = 'gateway' and relname = $1",
        table,
    )
    return {row["attname"] for row in rows}


async def _apply(connection: Any, migration: Migration) -> None:
    await connection.execute((SQL / "migrations" / f"{migration.name}.sql").read_text(encoding="utf-8"))
    await _record(connection, [migration])


async def _create(connection: Any) -> None:
    for path in _files("schema"):
        await connection.execute(path.read_text(encoding="utf-8"))
    await _record(connection, migrations())


async def _record(connection: Any, done: Collection[Migration]) -> None:
    names = [one.name for one in done]
    await connection.execute("insert into gateway.migration (name) select unnest($1::text[])", names)


def _files(folder: str) -> list[Path]:
    return sorted((SQL / folder).glob("*.sql"))

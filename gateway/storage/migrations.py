"""The version of the database's schema, and the way to the newest one.

An empty database gets `sql/schema/` in one transaction, which is what all of `sql/migrations/` together would have made of it. An older
one gets the files of `sql/migrations/` that it has not seen, in order, each in a transaction of its own. `gateway.migration` lists what
it has seen; the greatest name is its version.

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

LOCK = 7_402_311  # any fixed number; it only has to be ours
OTHERS_MIGRATE = "10min"
"""How long a gateway waits for another one that migrates the same database."""
TABLES_IN_USE = "1min"
"""How long a migration waits for the transactions that use its tables; everybody else waits behind it meanwhile."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of `sql/migrations/`: its name without `.sql`, and the sentence of its first line, which says what it brings."""

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
    """Bring the database to the newest schema.

    Raises SchemaError when its schema is newer than this code, older than the first release, or may not be changed by this role;
    DatabaseRefused when the database does not let us in; Unavailable when it does not answer, or others keep it locked.
    """
    connection = await _connect(dsn)
    applied: list[Migration] = []
    try:
        while True:
            async with connection.transaction():
                await _lock(connection)
                seen = await _seen(connection)
                if seen is None:
                    await _create(connection)
                    return Migrated(wanted_version(), is_new=True, before=(), applied=migrations())
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
            f"The role {role!r} may not bring the database {database!r} to the schema {wanted_version()}: {error}. Run"
            " `gateway migrate` as a role that may; the document Operations says which grants are needed."
        ) from error
    except DRIVER as error:
        raise translated(error, is_closed=connection.is_closed()) from error
    finally:
        await connection.close()
    before = tuple(one for one in migrations() if one not in applied)
    return Migrated(wanted_version(), is_new=False, before=before, applied=tuple(applied))


async def check_schema(db: Database) -> None:
    """Return if the database has the schema that this code was written for. Raises SchemaError if not, Unavailable."""
    try:
        seen = {row["name"] for row in await db.rows(LIST)}
    except StatementFailed as error:
        if error.condition != "UndefinedTable":
            raise
        raise SchemaError(
            f"The database has no schema of the gateway, and this gateway wants {wanted_version()}: run `gateway migrate`."
        ) from error
    _refuse_newer(seen)
    if any(one.name not in seen for one in migrations()):
        raise SchemaError(
            f"The database has the schema {_version(seen)}, and this gateway wants {wanted_version()}: run `gateway migrate`."
        )


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration that this code knows, in order."""
    return tuple(
        Migration(path.stem, path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("-- "))
        for path in _files("migrations")
    )


def wanted_version() -> str:
    """The schema that this code was written for: the name of the newest migration."""
    return migrations()[-1].name


def _version(seen: Collection[str]) -> str:
    return max(seen, default=migrations()[0].name)


def _refuse_newer(seen: Collection[str]) -> None:
    if set(seen) - {one.name for one in migrations()}:
        raise SchemaError(
            f"The database has the schema {_version(seen)}, and this gateway wants {wanted_version()}, which is older: "
            "run the gateway's newer version, which brought the database there."
        )


async def _connect(dsn: str) -> Any:
    """A connection that keeps nothing between two transactions, as poolers want it."""
    try:
        return await asyncpg.connect(dsn, statement_cache_size=0)
    except OPENING as error:
        raise opening_failed(error) from error


async def _lock(connection: Any) -> None:
    await connection.execute(
        f"set local statement_timeout = 0; set local lock_timeout = '{OTHERS_MIGRATE}';"
        f" select pg_advisory_xact_lock({LOCK}); set local lock_timeout = '{TABLES_IN_USE}'"
    )


async def _seen(connection: Any) -> set[str] | None:
    """The names of the migrations that the database has seen; None if it has no schema of ours. Raises SchemaError."""
    if not await _columns(connection, "migration"):
        return None
    seen = {row["name"] for row in await connection.fetch("select name from gateway.migration")}
    if seen:
        return seen
    if "rung" not in await _columns(connection, "identity"):
        raise SchemaError(
            "The database was made before the gateway's first release, and there is no way from its schema to"
            f" {wanted_version()}: start with an empty database and send the documents again."
        )
    await _note(connection, migrations()[:1])
    return {migrations()[0].name}


async def _columns(connection: Any, table: str) -> set[str]:
    """The names of the columns of a table of ours; none if there is no such table."""
    rows = await connection.fetch(
        "select attname from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace"
        " where nspname = 'gateway' and relname = $1",
        table,
    )
    return {row["attname"] for row in rows}


async def _apply(connection: Any, migration: Migration) -> None:
    await connection.execute((SQL / "migrations" / f"{migration.name}.sql").read_text(encoding="utf-8"))
    await _note(connection, [migration])


async def _create(connection: Any) -> None:
    for path in _files("schema"):
        await connection.execute(path.read_text(encoding="utf-8"))
    await _note(connection, migrations())


async def _note(connection: Any, done: Collection[Migration]) -> None:
    names = [one.name for one in done]
    await connection.execute("insert into gateway.migration (name) select unnest($1::text[])", names)


def _files(folder: str) -> list[Path]:
    return sorted((SQL / folder).glob("*.sql"))

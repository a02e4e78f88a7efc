"""The version of the database's schema, and its migration to the newest one.

An empty database gets `sql/schema/` in one transaction, which is what all of `sql/migrations/` together would have made of it. An older
one gets the files of `sql/migrations/` that were not applied yet, in order, each in a transaction of its own. `gateway.migration` lists the
migrations that were applied; the greatest name is its version. The store of an edge has a schema and migrations of its own, in `sql/edge/`.

Any number of gateways may start at once: an advisory lock, held by a transaction so that poolers may stand between, lets one do the work
while the others wait.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from gateway.errors import SchemaError, StatementFailed, Unavailable
from gateway.storage import distribution
from gateway.storage.database import Database
from gateway.storage.faults import DRIVER, OPENING, opening_failed, translated
from gateway.storage.queries import GATEWAY, SqlFolder, query

ADVISORY_LOCK = 7_402_311  # any number that no other program uses
LOCK_TIMEOUT = "10min"
"""How long a gateway waits for another one that migrates the same database."""
TABLE_LOCK_TIMEOUT = "1min"
"""How long a migration waits for the transactions that use its tables; all later ones wait behind it meanwhile."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of `migrations/`: its name without `.sql`, and the sentence of its first line, which says what it changes."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `migrate` found and did. `is_new`: the database was empty; `applied` then is every migration."""

    version: str
    is_new: bool
    before: tuple[Migration, ...]
    applied: tuple[Migration, ...]


async def migrate(dsn: str, folder: SqlFolder = GATEWAY) -> Migrated:
    """Upgrade the database to the newest schema of the folder and return what was applied.

    Raises SchemaError when its schema is newer than this code, older than the first release, or may not be changed by this role;
    DatabaseRefused when the database refuses the connection; Unavailable when it does not answer, or others keep it locked.
    """
    applied: list[Migration] = []
    async with _connected(dsn, folder) as connection:
        while True:
            async with connection.transaction():
                await _lock(connection)
                seen = await _applied(connection, folder)
                if seen is None:
                    await _create(connection, folder)
                    return Migrated(expected_version(folder), is_new=True, before=(), applied=migrations(folder))
                _refuse_newer(seen, folder)
                pending = [one for one in migrations(folder) if one.name not in seen]
                if not pending:
                    break
                await _apply(connection, folder, pending[0])
            applied.append(pending[0])
    before = tuple(one for one in migrations(folder) if one not in applied)
    return Migrated(expected_version(folder), is_new=False, before=before, applied=tuple(applied))


async def spread(dsn: str, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Spread the tables that are not spread yet over the nodes of a cluster, each with its rows in a transaction of its own; return their names.

    `tell` is called with each before its rows move. On one Postgres there are none. Raises as `migrate` does.
    """
    done: list[str] = []
    async with _connected(dsn) as connection:
        while True:
            async with connection.transaction():
                await _lock(connection)
                missing = await distribution.missing(connection)
                if not missing:
                    return tuple(done)
                tell(missing[0])
                await distribution.spread(connection, missing[0])
            done.append(missing[0])


async def check_schema(db: Database, folder: SqlFolder = GATEWAY) -> None:
    """Check that the database has the schema that this code was written for. Raises SchemaError if not, Unavailable."""
    expected = expected_version(folder)
    try:
        seen = {row["name"] for row in await db.rows(query("migrations.list_migrations", folder))}
    except StatementFailed as error:
        if error.condition != "UndefinedTable":
            raise
        raise SchemaError(
            f"The database has no schema of the gateway, and this gateway wants {expected}: run `{folder.command}`."
        ) from error
    _refuse_newer(seen, folder)
    if any(one.name not in seen for one in migrations(folder)):
        raise SchemaError(
            f"The database has the schema {_version(seen, folder)}, and this gateway wants {expected}: run `{folder.command}`."
        )


@cache
def migrations(folder: SqlFolder = GATEWAY) -> tuple[Migration, ...]:
    """Return every migration of this code, in order."""
    return tuple(
        Migration(path.stem, path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("-- "))
        for path in _files(folder, "migrations")
    )


def expected_version(folder: SqlFolder = GATEWAY) -> str:
    """Return the schema version that this code was written for: the name of its newest migration."""
    return migrations(folder)[-1].name


def _version(seen: Collection[str], folder: SqlFolder) -> str:
    return max(seen, default=migrations(folder)[0].name)


def _refuse_newer(seen: Collection[str], folder: SqlFolder) -> None:
    if set(seen) - {one.name for one in migrations(folder)}:
        raise SchemaError(
            f"The database has the schema {_version(seen, folder)}, and this gateway wants {expected_version(folder)}, which is older: "
            "run the gateway's newer version, which brought the database there."
        )


@asynccontextmanager
async def _connected(dsn: str, folder: SqlFolder = GATEWAY) -> AsyncIterator[Any]:
    """Open a connection that keeps nothing between two transactions, as poolers require it; translate what Postgres says."""
    try:
        connection: Any = await asyncpg.connect(dsn, statement_cache_size=0)
    except OPENING as error:
        raise opening_failed(error) from error
    try:
        yield connection
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable(
            "The database's tables are in use, or another gateway is migrating them: try again later."
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        role, database = await connection.fetchrow("select current_user, current_database()")
        raise SchemaError(
            f"The role {role!r} may not bring the database {database!r} to the schema {expected_version(folder)}: {error}. Run"
            " `gateway migrate` as a role that may; the document Operations says which grants are needed."
        ) from error
    except DRIVER as error:
        raise translated(error, is_closed=connection.is_closed()) from error
    finally:
        await connection.close()


async def _lock(connection: Any) -> None:
    await connection.execute(
        f"set local statement_timeout = 0; set local lock_timeout = '{LOCK_TIMEOUT}';"
        f" select pg_advisory_xact_lock({ADVISORY_LOCK}); set local lock_timeout = '{TABLE_LOCK_TIMEOUT}'"
    )


async def _applied(connection: Any, folder: SqlFolder) -> set[str] | None:
    """Return the names of the migrations that were applied; None if the database has no schema of ours. Raises SchemaError."""
    if not await _columns(connection, folder, "migration"):
        return None
    seen = {row["name"] for row in await connection.fetch(f"select name from {folder.schema}.migration")}
    if seen:
        return seen
    table, column = folder.oldest
    if column not in await _columns(connection, folder, table):
        raise SchemaError(
            "The database was made before the gateway's first release, and there is no way from its schema to"
            f" {expected_version(folder)}: start with an empty database and send the documents again."
        )
    first = migrations(folder)[:1]
    await _record(connection, folder, first)
    return {first[0].name}


async def _columns(connection: Any, folder: SqlFolder, table: str) -> set[str]:
    rows = await connection.fetch(
        "select attname from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace"
        " where nspname = $1 and relname = $2",
        folder.schema,
        table,
    )
    return {row["attname"] for row in rows}


async def _apply(connection: Any, folder: SqlFolder, migration: Migration) -> None:
    await _execute(connection, (folder.path / "migrations" / f"{migration.name}.sql").read_text(encoding="utf-8"))
    await _record(connection, folder, [migration])


async def _create(connection: Any, folder: SqlFolder) -> None:
    for path in _files(folder, "schema"):
        await _execute(connection, path.read_text(encoding="utf-8"))
    await _record(connection, folder, migrations(folder))


async def _execute(connection: Any, text: str) -> None:
    """Run statements one by one: several at once cannot change tables of a cluster."""
    for statement in split(text):
        await connection.execute(statement)


def split(text: str) -> list[str]:
    """Split SQL where a semicolon ends a line, but not inside of `$$`. Comments go with the statement that follows."""
    statements, begun, is_quoted = list[str](), "", False
    for line in text.splitlines(keepends=True):
        begun += line
        is_quoted ^= line.count("$$") % 2 == 1
        if not is_quoted and line.partition("--")[0].rstrip().endswith(";"):
            statements.append(begun)
            begun = ""
    return [*statements, begun] if begun.strip() else statements


async def _record(connection: Any, folder: SqlFolder, done: Collection[Migration]) -> None:
    names = [one.name for one in done]
    await connection.execute(f"insert into {folder.schema}.migration (name) select unnest($1::text[])", names)


def _files(folder: SqlFolder, kind: str) -> list[Path]:
    return sorted((folder.path / kind).glob("*.sql"))

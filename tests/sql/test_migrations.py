"""`sql/migrations/` and `sql/schema/` give the same database, and a database of another version is refused by name."""

import re
from itertools import count

import asyncpg
import pytest
from catalogue import read_catalogue

from gateway.errors import SchemaError
from gateway.storage.database import Database
from gateway.storage.migrations import check_schema, migrate, migrations, wanted_version
from gateway.storage.queries import SQL

_numbers = count(1)


@pytest.fixture
async def empty(cluster):
    """The address of a database without a schema of ours."""
    name = f"gateway_empty_{next(_numbers)}"
    await cluster.create_database(name)
    yield cluster.dsn(name)
    await cluster.drop_database(name)


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def run_sql(dsn, *texts):
    connection = await asyncpg.connect(dsn)
    for text in texts:
        await connection.execute(text)
    await connection.close()


async def catalogue_of(dsn):
    connection = await asyncpg.connect(dsn)
    found = await read_catalogue(connection)
    await connection.close()
    return found


def baseline():
    return (SQL / "migrations" / "0001_baseline.sql").read_text(encoding="utf-8")


def test_migrations_are_numbered_without_gaps_and_say_what_they_bring():
    assert [one.name[:5] for one in migrations()] == [f"{n:04}_" for n in range(1, len(migrations()) + 1)]
    assert not [one for one in migrations() if not re.fullmatch(r"[A-Z].*\.", one.sentence)]


async def test_every_migration_in_turn_gives_the_same_catalogue_as_the_schema_files(empty, dsn):
    await run_sql(empty, baseline())
    done = await migrate(empty)
    assert [one.name for one in done.applied] == [one.name for one in migrations()[1:]]
    assert await catalogue_of(empty) == await catalogue_of(dsn)


async def test_a_newer_schema_is_refused_by_name(dsn, connection):
    await connection.execute("insert into gateway.migration (name) values ('9999_tomorrow')")
    said = f"The database has the schema 9999_tomorrow, and this gateway wants {wanted_version()}, which is older"
    with pytest.raises(SchemaError, match=said):
        await migrate(dsn)
    db = await Database.connect(dsn, size=1)
    with pytest.raises(SchemaError, match=said):
        await check_schema(db)
    await db.close()


async def test_an_older_schema_is_told_by_name_until_it_is_migrated(empty):
    await run_sql(empty, baseline())
    db = await Database.connect(empty, size=1)
    with pytest.raises(SchemaError, match=f"has the schema 0001_baseline, and this gateway wants {wanted_version()}"):
        await check_schema(db)
    await migrate(empty)
    await check_schema(db)
    await db.close()


async def test_a_database_without_our_schema_is_told(empty):
    db = await Database.connect(empty, size=1)
    with pytest.raises(SchemaError, match="no schema of the gateway"):
        await check_schema(db)
    await db.close()


async def test_a_database_from_before_the_first_release_is_left_alone(empty):
    await run_sql(empty, baseline(), "alter table gateway.identity drop column rung")
    was = await catalogue_of(empty)
    with pytest.raises(SchemaError, match="before the gateway's first release"):
        await migrate(empty)
    assert await catalogue_of(empty) == was


async def test_migrating_twice_does_nothing(dsn):
    done = await migrate(dsn)
    assert (done.applied, done.before, done.version) == ((), migrations(), wanted_version())

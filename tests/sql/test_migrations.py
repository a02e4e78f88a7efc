"""`sql/migrations/` and `sql/schema/` give the same database, and a database of another version is refused by name."""

import asyncio
import re
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from catalogue import read_catalogue
from places import reachable_directory
from program import environment, gateway
from world import World

from gateway.domain.config.search_indexes import create_search_index, list_search_indexes
from gateway.errors import SchemaError
from gateway.storage.database import Database
from gateway.storage.migrations import check_schema, expected_version, migrate, migrations, split
from gateway.storage.queries import SQL

FIRST_RELEASE = Path(__file__).with_name("first_release.sql")
PARTITIONED_BEFORE = ["identity", "graph", "tie", "record", "fragment", "profile", "event"]

_numbers = count(1)


@pytest.fixture
async def empty(cluster):
    """Create a database without our schema and yield its address."""
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


def eight_partitions():
    """Return the schema right before the first release: it had eight partitions, of more tables."""
    text = re.sub(
        r"(create table gateway\.(?:identity|tie) .*?\n\));",
        r"\1 partition by hash (xid);",
        baseline(),
        flags=re.DOTALL,
    )
    text = re.sub(
        r"(create table gateway\.graph .*?\n\));", r"\1 partition by hash (profile_id);", text, flags=re.DOTALL
    )
    text = text.replace("['record', 'fragment', 'profile', 'event']", str(PARTITIONED_BEFORE))
    return text.replace("0..3", "0..7").replace("modulus 4", "modulus 8")


async def content_of(dsn, columns=None):
    """Read all rows of each table, in the given columns or in all of them."""
    connection = await asyncpg.connect(dsn)
    if columns is None:
        rows = await connection.fetch("""
            select relname, array_agg(quote_ident(attname)) as columns from pg_class c join pg_attribute a on a.attrelid = c.oid
             where relnamespace = 'gateway'::regnamespace and relkind in ('r', 'p') and not relispartition
               and relname <> 'migration' and attnum > 0 and not attisdropped group by 1
        """)
        columns = {row["relname"]: row["columns"] for row in rows}
    found = {
        table: sorted(map(repr, await connection.fetch(f"select {', '.join(names)} from gateway.{table}")))
        for table, names in columns.items()
    }
    await connection.close()
    return columns, found


RENAMED = {
    "cannot": "unlinked_pair",
    "event_repeat": "event_resend",
    "rung": "degree_limit",
    "named": "named_xids",
    "regroup_sandbox": "REGROUP_IDENTITIES",
    "materialize_policy": "MATERIALIZE_POLICY",
    "abort_batch": "ABORT_BATCH",
}
"""Tables, columns and values that a migration renamed, by their former names."""


LONG_TYPE = """
    update gateway.event
       set event_type = long.text, document = jsonb_set(document, '{eventType}', to_jsonb(long.text))
      from (select string_agg(md5(n::text), '') as text from generate_series(1, 200) n) long
     where event_id = 'a1'"""
"""Gives an event a type that is longer than an index of today takes."""

FIRST_OF = {"path": "paths[1] as path", "code": "codes[1] as code"}
"""What became of the columns of `ingest_error` that told of one violation."""

FORGOTTEN = {"ingest_error": {"message", "document"}, "ingestion_warning": {"sample"}}
"""Columns whose content a migration removed: it may name people by whom nobody finds it."""


def renamed(text):
    """Return the text with the names of today, an aborted batch with what it has, which is nothing, and the beginning of a long type."""
    text = text.replace("status='ABORTED' record_count=1", "status='ABORTED' record_count=0")
    text = re.sub(r"event_type='([^']{128})[^']*'", r"event_type='\1'", text)
    return re.sub(r"\b\w+\b", lambda word: RENAMED.get(word[0], word[0]), text)


def test_migrations_are_numbered_without_gaps_and_say_what_they_bring():
    assert [one.name[:5] for one in migrations()] == [f"{n:04}_" for n in range(1, len(migrations()) + 1)]
    assert not [one for one in migrations() if not re.fullmatch(r"[A-Z].*\.", one.sentence)]


async def test_every_migration_in_turn_gives_the_same_catalogue_as_the_schema_files(empty, dsn):
    await run_sql(empty, baseline())
    done = await migrate(empty)
    assert [one.name for one in done.applied] == [one.name for one in migrations()[1:]]
    assert await catalogue_of(empty) == await catalogue_of(dsn)


@pytest.mark.parametrize("schema", [baseline, eight_partitions])
async def test_a_filled_database_of_the_first_release_becomes_one_of_today_and_keeps_what_it_has(schema, empty, dsn):
    await run_sql(empty, schema(), FIRST_RELEASE.read_text(encoding="utf-8"), LONG_TYPE)
    columns, before = await content_of(empty)
    assert all(before.values())
    columns = {
        table: [name for name in names if name not in FORGOTTEN.get(table, ())] for table, names in columns.items()
    }
    _, before = await content_of(empty, columns)
    assert await catalogue_of(empty) != await catalogue_of(dsn)
    await migrate(empty)
    assert await catalogue_of(empty) == await catalogue_of(dsn)
    columns = {renamed(table): list(map(renamed, names)) for table, names in columns.items()}
    columns["ingest_error"] = [FIRST_OF.get(name, name) for name in columns["ingest_error"]]
    before = {renamed(table): sorted(map(renamed, rows)) for table, rows in before.items()}
    assert await content_of(empty, columns) == (columns, before)
    with reachable_directory() as place:
        env = environment(GATEWAY_DATABASE_URL=empty, GATEWAY_ORGANIZATION="story", GATEWAY_DATA_DIR=str(place))
        assert gateway("verify", env=env).stdout.endswith("every view is what the facts make of it\n")
        file = place / "more.ndjson"
        file.write_text('{"identityMap": {"Email": [{"id": "gus@example.com", "primary": true}]}}\n')
        assert "1 accepted" in gateway("ingest", file, "--dataset", "CRM", env=env).stdout


PARTS_OF_INDEXES = """
    do $$ begin for part in 0..3 loop
      execute format('create index search_1_ab_%s on gateway.profile_%s ((document ->> ''city'')) where sandbox_id = 1 and document ->> ''city'' is not null', part, part);
      execute format('create index search_1_cd_%s on gateway.event_%s ("timestamp") where sandbox_id = 1', part, part);
    end loop; end $$"""
INDEXES = """
    select c.relname, a.attstattarget, pg_get_indexdef(c.oid) as definition
      from pg_index x join pg_class c on c.oid = x.indexrelid join pg_attribute a on a.attrelid = c.oid
     where c.relname ~ '^search_[0-9]' order by 1"""


async def test_indexes_for_searches_are_of_the_whole_table_once_it_has_no_partitions(empty):
    older = [one.name for one in migrations() if one.name < "0025"]
    await run_sql(empty, *((SQL / "migrations" / f"{name}.sql").read_text(encoding="utf-8") for name in older))
    names = "', '".join(older)
    await run_sql(empty, f"insert into gateway.migration (name) select unnest(array['{names}'])", PARTS_OF_INDEXES)
    await migrate(empty)
    connection = await asyncpg.connect(empty)
    first, second = await connection.fetch(INDEXES)
    await connection.close()
    city = "((document ->> 'city'::text))"
    assert first["definition"].startswith(
        f"CREATE INDEX search_1_ab ON gateway.profile USING btree ({city}) WHERE ((sandbox_id = 1) AND ("
    )
    assert (
        second["definition"]
        == 'CREATE INDEX search_1_cd ON gateway.event USING btree ("timestamp") WHERE (sandbox_id = 1)'
    )
    assert (first["relname"], first["attstattarget"], second["relname"]) == ("search_1_ab", 0, "search_1_cd")


async def test_indexes_for_searches_are_made_anew_by_jobs_and_those_over_times_of_events_stay(empty):
    read_today = {"0037_edge_projections", "0042_content_versions"}  # by whatever reads the configuration
    older = [one.name for one in migrations() if one.name < "0029_indexes" or one.name in read_today]
    await run_sql(empty, *((SQL / "migrations" / f"{name}.sql").read_text(encoding="utf-8") for name in older))
    names = "', '".join(older)
    await run_sql(empty, f"insert into gateway.migration (name) select unnest(array['{names}'])")
    db = await Database.connect(empty, size=2)
    world = await World.create(db)
    config, made = await world.config(), {}
    for path in ("xEvent.timestamp", "person.birthDate", "xEvent.commerce.order.priceTotal"):
        index, _ = await create_search_index(db, world.scope, config, config.default_policy, path)
        made[path] = f"search_{world.scope.sandbox_id}_{index.index_id.hex}"
        await run_sql(empty, f"create index {made[path]} on gateway.event (timestamp)")
    await run_sql(
        empty, "update gateway.search_index set is_ready = true", "update gateway.job set status = 'COMPLETED'"
    )
    await migrate(empty)
    listed = await list_search_indexes(db, world.scope)
    assert [(index.path, index.is_ready, index.job_id is None) for index in listed] == [
        ("person.birthDate", False, False),
        ("xEvent.commerce.order.priceTotal", False, False),
        ("xEvent.timestamp", True, True),
    ]
    await db.close()
    connection = await asyncpg.connect(empty)
    assert [row["relname"] for row in await connection.fetch(INDEXES)] == [made["xEvent.timestamp"]]
    await connection.close()


async def test_of_many_gateways_that_start_at_once_each_migration_is_applied_by_one(empty):
    await run_sql(empty, baseline())
    done = await asyncio.gather(*(migrate(empty) for _ in range(4)))
    applied = [one.name for each in done for one in each.applied]
    assert sorted(applied) == [one.name for one in migrations()[1:]]


async def test_a_newer_schema_is_refused_by_name(dsn, connection):
    await connection.execute("insert into gateway.migration (name) values ('9999_tomorrow')")
    said = f"The database has the schema 9999_tomorrow, and this gateway wants {expected_version()}, which is older"
    with pytest.raises(SchemaError, match=said):
        await migrate(dsn)
    db = await Database.connect(dsn, size=1)
    with pytest.raises(SchemaError, match=said):
        await check_schema(db)
    await db.close()


async def test_an_older_schema_is_refused_by_name_until_it_is_migrated(empty):
    await run_sql(empty, baseline())
    db = await Database.connect(empty, size=1)
    with pytest.raises(SchemaError, match=f"has the schema 0001_baseline, and this gateway wants {expected_version()}"):
        await check_schema(db)
    await migrate(empty)
    await check_schema(db)
    await db.close()


async def test_a_database_without_our_schema_is_refused(empty):
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
    assert (done.applied, done.before, done.version) == ((), migrations(), expected_version())


def test_files_are_split_where_a_semicolon_ends_a_line_outside_of_functions():
    text = "-- One; two;\ncreate table a ();  -- a\ndo $$\nbegin\n  null;\nend $$;\nselect ';'\n  as b;\n-- Done.\n"
    assert split(text) == [
        "-- One; two;\ncreate table a ();  -- a\n",
        "do $$\nbegin\n  null;\nend $$;\n",
        "select ';'\n  as b;\n",
        "-- Done.\n",
    ]

"""Postgres keeps no statistics of what documents say: a sample of values would stay when a person is erased."""

import asyncpg
import pytest
from world import World, day, event, record

from gateway.domain.work.stores import OF_PEOPLE
from gateway.storage.queries import SQL, Query

OF_CLOSED_LISTS_OR_OURS = {
    *(
        ("change", "kind"),
        ("kept_value", "identity_graph"),
        ("record", "mode"),
        ("ingest_error", "codes"),
        ("ingestion_warning", "code"),
    ),
    *(("export_file", column) for column in ("path", "folder", "sha256")),
    *(("job", column) for column in ("kind", "status", "error", "created_by")),
}
"""Columns of text in which no value of a document stands."""


def statement(text):
    return Query("test.statement", text, (), (), "rows", "For tests.")


SAMPLED = statement("""
    select c.relname::text as table, a.attname::text as column
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and coalesce(a.attstattarget, -1) <> 0
      join pg_type t on t.oid = a.atttypid
      left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
     where c.relnamespace = 'gateway'::regnamespace and c.relkind = 'r'
       and (coalesce(e.typcategory, t.typcategory) = 'S' or t.typname in ('jsonb', 'bytea'))""")
KEPT = statement("""
    select tablename || '.' || attname as column from pg_stats
     where schemaname = 'gateway' and (most_common_vals::text ilike '%@example.com%' or histogram_bounds::text ilike '%@example.com%'
                                       or most_common_elems::text ilike '%@example.com%')""")
FILES = statement("""
    select relname, pg_relation_filenode(oid) as file from pg_class
     where relnamespace = 'gateway'::regnamespace and relkind in ('r', 'i') order by relname""")


async def test_no_column_that_holds_what_documents_say_is_sampled(db):
    sampled = {(row["table"], row["column"]) for row in await db.rows(SAMPLED) if row["table"] in OF_PEOPLE}
    assert sampled == OF_CLOSED_LISTS_OR_OURS


@pytest.mark.one_postgres("no older release was on a cluster, which refuses to set statistics of columns")
async def test_the_statistics_that_older_releases_kept_are_dropped_and_no_file_is_written_anew(db, dsn):
    world = await World.create(db)
    people = [("Email", f"{number}@example.com") for number in range(30)]
    await world.records(*(record(one) for one in people))
    await world.events(*(event(value, day(1), (namespace, value)) for namespace, value in people))
    text = (SQL / "migrations" / "0021_no_statistics_of_values.sql").read_text(encoding="utf-8")
    text = text.replace("array['event', 'event_0', 'event_1', 'event_2', 'event_3']", "array['event']").replace(
        "name = 'event')", "false)"
    )
    changes = text.partition("do $$")[0].replace("statistics 0", "statistics 100")
    async with db.transaction() as tx:
        for each in changes.split(";")[:-1]:
            await tx.execute(statement(each))
    await db.rows(statement("analyze"))
    held = {row["column"] for row in await db.rows(KEPT)}
    assert {"identity.value", "event.event_id", "event.document"} <= held
    files = await db.rows(FILES)
    connection = await asyncpg.connect(dsn)
    await connection.execute(text)
    await connection.close()
    assert await db.rows(KEPT) == []
    assert await db.rows(FILES) == files
    await db.rows(statement("analyze"))
    assert await db.rows(KEPT) == []

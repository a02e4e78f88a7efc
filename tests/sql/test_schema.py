"""The schema holds what its first page promises."""

import asyncpg
import pytest

from gateway.storage.migrations import migrate

PARTITIONED = {"record", "fragment", "profile", "event"}


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_each_table_of_documents_has_four_hash_partitions(connection):
    rows = await connection.fetch(
        "select p.relname as parent, count(*) as parts from pg_inherits join pg_class c on c.oid = inhrelid"
        " join pg_class p on p.oid = inhparent where c.relkind = 'r' group by 1"
    )
    assert {row["parent"]: row["parts"] for row in rows} == dict.fromkeys(PARTITIONED, 4)


async def test_every_key_of_a_sandbox_starts_with_the_sandbox(connection):
    rows = await connection.fetch("""
        select c.relname as table, i.relname as index, a.attname as first
          from pg_index x
          join pg_class c on c.oid = x.indrelid
          join pg_class i on i.oid = x.indexrelid
          join pg_namespace n on n.oid = c.relnamespace
          join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
         where n.nspname = 'gateway'
           and exists (select from pg_attribute s where s.attrelid = c.oid and s.attname = 'sandbox_id')
    """)
    elsewhere = {row["index"] for row in rows if row["first"] != "sandbox_id"}
    assert elsewhere == {"sandbox_name_key", "sandbox_default_key", "job_due_idx"}  # a worker serves every sandbox


async def test_no_table_has_a_trigger_of_ours(connection):
    assert await connection.fetch("select tgname from pg_trigger where not tgisinternal") == []


async def test_time_is_an_input(connection):
    await connection.execute("set gateway.now = '2026-01-02T03:04:05Z'")
    assert (await connection.fetchval("select gateway.now()")).isoformat() == "2026-01-02T03:04:05+00:00"
    await connection.execute("reset gateway.now")
    assert await connection.fetchval("select gateway.now() - clock_timestamp() < interval '1 minute'")


async def test_migrating_twice_does_nothing(dsn):
    assert await migrate(dsn) == []

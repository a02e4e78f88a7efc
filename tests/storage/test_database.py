"""The database as the domain sees it: verbs, transactions, errors in our words."""

from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest
from world import World, record

from gateway.errors import Timeout, Unavailable
from gateway.storage.database import ROWS_PER_STATEMENT, Database
from gateway.storage.queries import Query, query
from gateway.telemetry import StatementRan, listen

CREATE = query("tenants.create_organization")
READ = query("tenants.read_organization")
RENAME = Query(
    "test.rename",
    "update gateway.organization o set name = v.name from (values {rows}) as v (organization_id, name)"
    " where o.organization_id = v.organization_id",
    (),
    ("organization_id uuid", "name text"),
    "none",
    "For this test.",
)
PREPARED = Query(
    "test.prepared",
    "select count(*) from pg_prepared_statements where statement like 'update gateway.organization %'",
    (),
    (),
    "value",
    "For these tests.",
)
ESTIMATED_ROWS = Query(
    "test.estimated_rows",
    "select reltuples::bigint from pg_class where oid = 'gateway.identity'::regclass",
    (),
    (),
    "value",
    "For these tests.",
)
ANALYZED_COLUMNS = Query(
    "test.analyzed_columns",
    "select array_agg(attname::text order by attname) from pg_stats where schemaname = 'gateway' and tablename = 'profile'",
    (),
    (),
    "value",
    "For these tests.",
)
CITUS = "insert into pg_extension values (1, 'citus', 10, 11, false, '14.0-1', null, null)"


async def created(db: Database, codes: list[str]) -> dict[str, UUID]:
    ids = {code: uuid4() for code in codes}
    async with db.transaction() as tx:
        for code, organization_id in ids.items():
            await tx.execute(CREATE, organization_id, code, code)
    return ids


async def test_a_transaction_that_raises_leaves_nothing(db):
    organization_id = uuid4()
    with pytest.raises(RuntimeError, match="half-way"):
        async with db.transaction() as tx:
            await tx.execute(CREATE, organization_id, "acme", "Acme")
            raise RuntimeError("half-way")
    assert await db.row(READ, organization_id) is None


@pytest.mark.parametrize("count", [1, 2, 5, 600])
async def test_rows_are_updated_in_any_number(db, count):
    ids = await created(db, [f"o{i}" for i in range(count)])
    async with db.transaction() as tx:
        await tx.update_rows(RENAME, rows=[(organization_id, f"new {code}") for code, organization_id in ids.items()])
    names = {row["code"]: row["name"] for row in await db.rows(query("tenants.list_organizations"))}
    assert names == {code: f"new {code}" for code in ids}


async def test_the_statement_of_many_wide_rows_is_prepared_once(db):
    spare = [f"spare{n}" for n in range(8)]
    wide = replace(
        RENAME,
        sql=RENAME.sql.replace("name)", f"name, {', '.join(spare)})"),
        columns=(*RENAME.columns, *(f"{name} text" for name in spare)),
    )
    rows = [(uuid4(), "name", *spare)] * max(ROWS_PER_STATEMENT)
    async with db.transaction() as tx:
        await tx.update_rows(wide, rows=rows)
        assert await tx.value(PREPARED) == 1


async def test_every_statement_is_observed_with_its_rows(db):
    await created(db, ["one", "two"])
    seen: list[object] = []
    stop = listen(seen.append)
    await db.rows(query("tenants.list_organizations"))
    stop()
    assert [(s.name, s.rows) for s in seen if isinstance(s, StatementRan)] == [("tenants.list_organizations", 2)]


async def test_a_slow_statement_is_a_timeout(dsn):
    db = await Database.connect(dsn, size=1, statement_seconds=1)
    with pytest.raises(Timeout):
        await db.value(Query("test.slow", "select pg_sleep(60)", (), (), "value", "For this test."))
    await db.close()


@pytest.mark.one_postgres("it makes one Postgres look like a cluster")
async def test_a_database_knows_whether_it_is_a_cluster_of_several_nodes(dsn, db):
    connection = await asyncpg.connect(dsn)
    await connection.execute(CITUS)  # as if it were there
    await connection.close()
    later = await Database.connect(dsn, size=2)
    assert (db.is_distributed, later.is_distributed) == (False, True)
    async with db.snapshot() as here, later.snapshot() as there, later.transaction() as also_there:
        assert (here.is_distributed, there.is_distributed, also_there.is_distributed) == (False, True, True)
    await later.close()


async def test_an_unreachable_database_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        await Database.connect(f"postgresql://nobody@/gateway?host={tmp_path}")


@pytest.mark.one_postgres("the nodes of a cluster keep the statistics of their shards")
async def test_statistics_are_refreshed_of_tables_that_have_doubled(db):
    world = await World.create(db)
    people = [record(("Email", f"{number}@example.com")) for number in range(1500)]
    await world.records(*people[:500])
    await db.refresh_statistics()
    assert await db.value(ESTIMATED_ROWS) == 500
    assert await db.value(ANALYZED_COLUMNS) == ["policy_id", "profile_id", "sandbox_id"]  # documents would take long
    await world.records(*people[500:700])
    await db.refresh_statistics()
    assert await db.value(ESTIMATED_ROWS) == 500
    await world.records(*people[700:])
    await db.refresh_statistics()
    assert await db.value(ESTIMATED_ROWS) == 1500

"""Measures searches in PQL over all people of the demo beside hand-written SQL over plain typed tables of the same purchases.

    .venv/bin/gateway demo --full --data-dir /var/lib/demo
    .venv/bin/python tests/benchmarks/pql.py postgresql://gateway@/gateway?host=/var/lib/demo/socket [--plans]

The plain tables are made in a schema of their own, which is dropped at the end. Each figure is the shortest of several runs, both ways in
turn, warm; both answers are compared.
"""

import asyncio
import sys
from time import perf_counter
from typing import Any

import asyncpg

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.pql.check import check
from gateway.pql.inputs import Inputs
from gateway.pql.sql import compiled
from gateway.storage.connections import SETTINGS
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

ROUNDS = 5
BREAD, MILK = "1082185", "995242"
PLAIN = """
    drop schema if exists plain cascade;
    create schema plain;
    create table plain.person as select profile_id as person from gateway.graph where sandbox_id = 1;
    create table plain.purchase as
      select i.profile_id as person, e.timestamp as at, e.event_id as id, e.event_type as kind,
             (e.document #> '{commerce,order,priceTotal}')::numeric as total
        from gateway.event e join gateway.identity i using (sandbox_id, xid)
       where sandbox_id = 1;
    create table plain.line as
      select i.profile_id as person, e.timestamp as at, l ->> 'SKU' as sku, (l -> 'priceTotal')::numeric as total
        from gateway.event e join gateway.identity i using (sandbox_id, xid)
       cross join lateral jsonb_array_elements(e.document -> 'productListItems') l
       where sandbox_id = 1;
    create index on plain.person (person);
    create index on plain.purchase (person, at);
    create index on plain.line (person, sku, at);
    analyze plain.person, plain.purchase, plain.line;
"""
"""Typed columns, each with the index that suits it."""

QUERIES = {
    "count": (
        'xEvent[eventType = "commerce.purchases"].count() > 50',
        "select count(*) from plain.person p where (select count(*) from plain.purchase where person = p.person and kind = 'commerce.purchases') > 50",
    ),
    "sum (lifetime value)": (
        'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) > 2000',
        "select count(*) from plain.person p where (select sum(total) from plain.purchase where person = p.person and kind = 'commerce.purchases') > 2000",
    ),
    "count within 30 days": (
        'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 30 days before date(2017, 12, 1)].count() > 5',
        "select count(*) from plain.person p where (select count(*) from plain.purchase where person = p.person and kind = 'commerce.purchases' and at between '2017-11-01Z' and '2017-12-01Z') > 5",
    ),
    "bought X, then not Y within 30 days": (
        f'exists A from xEvent where A.productListItems[SKU = "{BREAD}"] and not (exists B from xEvent where B.productListItems[SKU = "{MILK}"] and B.timestamp occurs <= 30 days after A.timestamp)',
        f"select count(*) from plain.person p where exists (select from plain.line a where a.person = p.person and a.sku = '{BREAD}' and not exists (select from plain.line b where b.person = p.person and b.sku = '{MILK}' and b.at between a.at and a.at + interval '30 days'))",
    ),
    "sum over all lines": (
        "xEvent.productListItems.priceTotal.sum() > 3000",
        "select count(*) from plain.person p where (select sum(total) from plain.line where person = p.person) > 3000",
    ),
}


async def main(dsn: str, *, with_plans: bool) -> None:
    db = await Database.connect(dsn, size=2)
    scope = await read_own_scope(db, 1)
    assert scope is not None
    config = await Configurations().read(db, scope)
    connection = await asyncpg.connect(dsn, server_settings=SETTINGS)
    await connection.execute(PLAIN)
    print(f"{'':40} {'PQL':>9} {'by hand':>9} {'ratio':>6} {'compiled in':>12}")
    try:
        for name, (text, by_hand) in QUERIES.items():
            begin = perf_counter()
            checked = check(text, config.input_type(XdmClass.INDIVIDUAL_PROFILE))
            assert checked.expression, checked.errors
            found = compiled(checked.expression, Inputs("'{}'::jsonb", "$2::timestamptz", 2, xids="g.event_xids"))
            took = perf_counter() - begin
            sql = f"select count(*) from gateway.graph g where g.sandbox_id = $1 and $2::timestamptz is not null and ({found.sql}) = 'true'"
            values = [1, await connection.fetchval("select now()"), *found.values]
            if with_plans:
                rows = await connection.fetch(f"explain (analyze, buffers, timing off) {sql}", *values)
                print("\n".join(row[0] for row in rows))
            mine, other = await in_turn(connection, (sql, values), (by_hand, []))
            print(f"{name:40} {mine:6.0f} ms {other:6.0f} ms {mine / other:6.1f} {1000 * took:9.2f} ms")
    finally:
        await connection.execute("drop schema plain cascade")
        await connection.close()
        await db.close()


async def in_turn(connection: Any, *statements: tuple[str, list[Any]]) -> list[float]:
    """Run statements in turn, whose answers are equal, and return the shortest time of each in milliseconds."""
    best = [float("inf")] * len(statements)
    for _ in range(ROUNDS):
        answers = set()
        for place, (sql, values) in enumerate(statements):
            begin = perf_counter()
            answers.add(await connection.fetchval(sql, *values))
            best[place] = min(best[place], 1000 * (perf_counter() - begin))
        assert len(answers) == 1, answers
    return best


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], with_plans="--plans" in sys.argv))

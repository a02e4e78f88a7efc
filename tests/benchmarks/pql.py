"""Measures searches in PQL over all people of the demo beside SQL written by hand: over the same documents, and over plain typed tables.

    .venv/bin/gateway demo --full --data-dir /var/lib/demo
    .venv/bin/python tests/benchmarks/pql.py postgresql://gateway@/gateway?host=/var/lib/demo/socket [--plans]

The plain tables are made in a schema of their own, which is dropped at the end. Each figure is what Postgres takes of a CPU, the least of
several runs in turn, warm; all answers are compared. It is read under `/proc`, so Postgres has to run on this machine.
"""

import asyncio
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.reading.conditions import PERSON
from gateway.pql.check import check
from gateway.pql.sql import condition
from gateway.pql.types import ObjectOf
from gateway.projection.predicates import Predicate, Values
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

EVENTS = "from gateway.event where sandbox_id = 1 and xid = any(g.event_xids)"
QUERIES = {
    "count": (
        'xEvent[eventType = "commerce.purchases"].count() > 50',
        f"(select count(*) {EVENTS} and event_type = 'commerce.purchases') > 50",
        "(select count(*) from plain.purchase where person = p.person and kind = 'commerce.purchases') > 50",
    ),
    "sum (lifetime value)": (
        'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) > 2000',
        f"(select sum((document #> '{{commerce,order,priceTotal}}')::numeric) {EVENTS} and event_type = 'commerce.purchases') > 2000",
        "(select sum(total) from plain.purchase where person = p.person and kind = 'commerce.purchases') > 2000",
    ),
    "count within 30 days": (
        'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 30 days before date(2017, 12, 1)].count() > 5',
        f"(select count(*) {EVENTS} and event_type = 'commerce.purchases' and timestamp between '2017-11-01Z' and '2017-12-01Z') > 5",
        "(select count(*) from plain.purchase where person = p.person and kind = 'commerce.purchases' and at between '2017-11-01Z' and '2017-12-01Z') > 5",
    ),
    "bought X, then not Y within 30 days": (
        f'exists A from xEvent where A.productListItems[SKU = "{BREAD}"] and not (exists B from xEvent where B.productListItems[SKU = "{MILK}"] and B.timestamp occurs <= 30 days after A.timestamp)',
        f"""exists (select from gateway.event a where sandbox_id = 1 and xid = any(g.event_xids) and document -> 'productListItems' @> '[{{"SKU": "{BREAD}"}}]' and not exists (select {EVENTS} and document -> 'productListItems' @> '[{{"SKU": "{MILK}"}}]' and timestamp between a.timestamp and a.timestamp + interval '30 days'))""",
        f"exists (select from plain.line a where a.person = p.person and a.sku = '{BREAD}' and not exists (select from plain.line b where b.person = p.person and b.sku = '{MILK}' and b.at between a.at and a.at + interval '30 days'))",
    ),
    "sum over all lines": (
        "xEvent.productListItems.priceTotal.sum() > 3000",
        f"(select sum((l -> 'priceTotal')::numeric) {EVENTS.replace(' where', ' cross join jsonb_array_elements(document -> $$productListItems$$) l where')}) > 3000",
        "(select sum(total) from plain.line where person = p.person) > 3000",
    ),
}
"""Conditions on a person `g` or `p`: in PQL, by hand over documents, by hand over the plain tables."""


async def main(dsn: str, *, with_plans: bool) -> None:
    db = await Database.connect(dsn, size=2)
    scope = await read_own_scope(db, 1)
    assert scope is not None
    profiles = (await Configurations().read(db, scope)).input_type(XdmClass.INDIVIDUAL_PROFILE)
    connection = await asyncpg.connect(dsn, server_settings=SETTINGS | {"max_parallel_workers_per_gather": "0"})
    await connection.execute(PLAIN)
    print(f"{'':36} {'PQL':>8} {'documents':>9} {'plain':>8} {': documents':>11} {': plain':>8} {'compiled in':>12}")
    try:
        for name, (text, *by_hand) in QUERIES.items():
            found, took = written(text, profiles)
            values = Values(1)
            among = values.conditions([found])
            of_people = "select count(*) from gateway.graph g where g.sandbox_id = $1"
            sql = f"{of_people}{among}"
            if with_plans:
                rows = await connection.fetch(f"explain (analyze, buffers, timing off) {sql}", *values.given)
                print("\n".join(row[0] for row in rows))
            documents, plain = by_hand
            mine, *others = await in_turn(
                connection,
                (sql, values.given),
                (f"{of_people} and {documents}", [1]),
                (f"select count(*) from plain.person p where {plain}", []),
            )
            ratios = [mine / other for other in others]
            print(
                f"{name:36} {mine:5.0f} ms {others[0]:6.0f} ms {others[1]:5.0f} ms {ratios[0]:11.1f} {ratios[1]:8.1f} {1000 * took:9.2f} ms"
            )
    finally:
        await connection.execute("drop schema plain cascade")
        await connection.close()
        await db.close()


def written(text: str, profiles: ObjectOf) -> tuple[Predicate, float]:
    """Return a condition as SQL, and the least seconds that parsing, checking and compiling it takes."""
    least = float("inf")
    for _ in range(ROUNDS):
        begin = perf_counter()
        checked = check(text, profiles, is_condition=True)
        assert checked.expression, checked.errors
        found = condition(checked.expression, PERSON)
        least = min(least, perf_counter() - begin)
    return found, least


async def in_turn(connection: Any, *statements: tuple[str, list[Any]]) -> list[float]:
    """Run statements in turn, whose answers are equal, and return the least milliseconds of a CPU that each takes."""
    used = Path(f"/proc/{await connection.fetchval('select pg_backend_pid()')}/schedstat")
    least = [float("inf")] * len(statements)
    for _ in range(ROUNDS):
        answers = set()
        for place, (sql, values) in enumerate(statements):
            begin = int(used.read_text().split()[0])
            answers.add(await connection.fetchval(sql, *values))
            least[place] = min(least[place], (int(used.read_text().split()[0]) - begin) / 1_000_000)
        assert len(answers) == 1, answers
    return least


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], with_plans="--plans" in sys.argv))

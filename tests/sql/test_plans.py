"""No statement reads a large table from end to end: on tables without statistics too, as they are after the first start.

The plan is the generic one, which a prepared statement settles on. A sandbox's rows are found by an index whose first column is
sandbox_id; what a statement walks is said in its comment, and held against the plan.
"""

import re

import asyncpg
import pytest

from gateway.domain.config import api_keys
from gateway.domain.facts import batch_lists, ingest_errors
from gateway.domain.operations import erased_identities
from gateway.domain.reading.shapes import Fields, Items, Leaf, expression
from gateway.domain.work import audit, job_lists
from gateway.storage.queries import all_queries

LARGE = (
    *("identity", "graph", "tie", "record", "fragment", "profile", "event", "event_resend", "change"),
    *("ingest_error", "audit_entry", "revocation"),
)
WHOLE_SANDBOX = re.compile(r"^tenants\.empty_|^maintenance\.")  # these are about all rows, whatever way is shortest
SHAPE = Fields((("a", "a", Leaf("String")), ("b", "b", Items(Fields((("c", "c", Leaf("Int")),))))))
ENTITY = expression(SHAPE, "e.document")
KEYS = "(array_agg(row(e.timestamp, e.event_id, e.xid, e.dataset_id)))[1]"
PARTS = {
    "found": "document::text", "unknown": "'u'", "erased": "'e'", "bare": "'b'",
    "document": expression(SHAPE, "document"), "text": "''", "entity": ENTITY, "nodes": f"array_to_string((array_agg({ENTITY}))[:$5 - 1], ',')", "first": KEYS, "last": KEYS,
    "where": "", "time": "timestamp", "direction": "desc", "limited": "e.timestamp desc, e.event_id desc fetch first ($5) rows with ties",
    "between": "", "order": "1", "cells": "key", "table": "gateway.batch", "sandbox": "sandbox_id", "together": "order by e.timestamp desc, e.event_id desc, e.xid desc, e.dataset_id desc limit $3",
}  # fmt: skip
ORDERS = {
    "api_keys.list_api_keys": api_keys.NEWEST_FIRST,
    "audit.list_entries": audit.NEWEST_FIRST,
    "audit.list_entries_of_subject": audit.NEWEST_FIRST,
    "batch_lists.list_batches": batch_lists.NEWEST_FIRST.columns,
    "batch_lists.list_batches_of_datasets": batch_lists.NEWEST_FIRST.columns,
    "erased_identities.list_erased": erased_identities.NEWEST_FIRST,
    "ingest_errors.list_errors": ingest_errors.BY_ARRIVAL,
    "job_lists.list_jobs": job_lists.NEWEST_FIRST.columns,
}
"""Of statements that read a list page by page: the order whose index their comments name."""
STATEMENTS = [
    statement
    for statement in all_queries()
    if statement.name in ORDERS
    or (any(f"gateway.{table}" in statement.sql for table in LARGE) and not WHOLE_SANDBOX.match(statement.name))
]


# Nulls stand for all parameters, and would prune every partition away.
SETTINGS = {"jit": "off", "plan_cache_mode": "force_generic_plan", "enable_partition_pruning": "off"}


@pytest.fixture(scope="module")
async def connection(module_dsn):
    connection = await asyncpg.connect(module_dsn, server_settings=SETTINGS)
    yield connection
    await connection.close()


async def plan_of(connection, statement):
    text, bounds = statement.with_rows(1) if statement.columns else statement.filled(**PARTS).sql, 0
    if (order := ORDERS.get(statement.name)) is not None:
        key = (
            None if statement.name.startswith("batch_lists.") else (None,) * len(order.columns)
        )  # else parameters bound it
        page, values = statement.page(order.columns, after=key, before=key, descending=order.descending)
        text, bounds = page.sql, len(values)
    count = len(statement.parameters) + len(statement.columns) + bounds
    given = f"({', '.join(['null'] * count)})" if count else ""
    await connection.execute(f"prepare examined as {text}")
    try:
        return "\n".join(row[0] for row in await connection.fetch(f"explain (costs off) execute examined{given}"))
    finally:
        await connection.execute("deallocate examined")


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
async def test_no_large_table_is_read_from_end_to_end(connection, statement):
    plan = await plan_of(connection, statement)
    read_whole = re.findall(r"Seq Scan on (\w+?)(?:_\d)? ", plan + " ")
    assert not set(read_whole) & set(LARGE), plan


@pytest.mark.parametrize(
    "statement", [one for one in STATEMENTS if one.name in ORDERS], ids=lambda statement: statement.name
)
async def test_a_page_of_a_list_is_entered_at_its_cursor_and_left_where_it_is_full(connection, statement):
    """Nothing below the limit is sorted, and either end has one bound: of two the index would be entered by any."""
    _, _, below = (await plan_of(connection, statement)).partition("Limit")
    assert "Sort" not in below
    (bounds,) = [condition for condition in re.findall("Index Cond: (.*)", below) if re.search(" [<>] ", condition)]
    assert (bounds.count(" > "), bounds.count(" < ")) == (1, 1), bounds


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
async def test_the_comment_names_the_index_that_is_walked(connection, statement):
    named = set(re.findall(r"\b\w+_(?:pkey|idx|key)\b", statement.doc))
    plan = await plan_of(connection, statement)
    walked = {
        re.sub(r"_\d_", "_", index) for index in re.findall(r"(?:using|Index Scan on|Index Only Scan on) (\w+)", plan)
    }
    missing = {index for index in named if not any(similar(index, one) for one in walked)}
    assert not missing or "insert into" in statement.sql, f"{missing} of {walked}\n{plan}"


def similar(index, walked):
    """Tell whether `walked` is `index` or its part of a partition, which Postgres names: `event_3_sandbox_id_xid_timestamp_event_id_idx` is of `event_timeline_idx`."""
    table = index.rsplit("_", 2)[0] if index.endswith(("_idx", "_key")) else index.removesuffix("_pkey")
    return walked == index or (walked.startswith(f"{table}_") and walked.endswith(index.rsplit("_", 1)[1]))

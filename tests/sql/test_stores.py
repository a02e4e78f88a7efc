"""No table is forgotten: each is in the list of stores, which says what takes away what it holds; and the list is right."""

import re
from collections import defaultdict
from functools import reduce

import asyncpg
import pytest

from gateway.domain.config.sandboxes import EMPTY_SANDBOX
from gateway.domain.operations import erasure_verification
from gateway.domain.operations.removal import REMOVAL_PARTS
from gateway.domain.views.pipeline import VIEWS
from gateway.domain.work.receipts import DeletionReceipt
from gateway.domain.work.stores import OF_PEOPLE, STORES, StoreKind
from gateway.storage.queries import all_queries

BY_KIND = {kind: {store.table for store in STORES if store.kind is kind} for kind in StoreKind}
WHOLE = {"batch_removal", "erasure", "profile_retention"}
"""Files that remove all facts of a selection: each of them has to know every fact that comes with documents."""
BY_HAND = {"unlinked_pair"}
BESIDE = {"tenants", "removal", "resends", "fragments", "manual_links"}
"""Files that delete facts for other reasons: with their sandbox, for the removals above, or to write them anew."""


@pytest.fixture(scope="module")
async def connection(module_dsn):
    connection = await asyncpg.connect(module_dsn)
    yield connection
    await connection.close()


async def test_every_table_is_a_store(connection):
    """One that is missing here is known to no removal, to no reset of a sandbox, and to no verification: say in `work/stores.py` what it is."""
    rows = await connection.fetch("""
        select relname from pg_class
         where relnamespace = 'gateway'::regnamespace and relkind in ('r', 'm')
    """)
    assert {row["relname"] for row in rows} == {store.table for store in STORES}
    others = await connection.fetch("""
        select nspname from pg_namespace where nspname !~ '^(pg_|citus|columnar)' and nspname not in ('information_schema', 'public', 'gateway')
    """)
    assert others == []


def test_views_are_those_of_the_pipeline():
    assert BY_KIND[StoreKind.VIEW] == {table for view in VIEWS for table in view.tables}


async def test_what_does_not_go_with_its_sandbox_is_emptied_with_it(connection):
    """By the list, or by a foreign key; entries of the audit log outlive their sandbox."""
    rows = await connection.fetch("""
        with recursive going as (
          select 'gateway.sandbox'::regclass::oid as id
           union
          select c.conrelid from pg_constraint as c join going on c.confrelid = going.id where c.contype = 'f' and c.confdeltype = 'c'
        )
        select relname from pg_class join going on oid = id
    """)
    goes = {row["relname"] for row in rows}
    emptied = {re.search(r"delete from gateway\.(\w+)", statement.sql)[1] for statement in EMPTY_SANDBOX}
    assert not goes & emptied
    of_sandboxes = await connection.fetch("""
        select relname from pg_class join pg_attribute on attrelid = pg_class.oid
         where attname = 'sandbox_id' and relnamespace = 'gateway'::regnamespace and relkind = 'r'
    """)
    assert {row["relname"] for row in of_sandboxes} - goes - emptied == {"audit_entry"}


def test_every_removal_takes_every_fact():
    deleting = defaultdict(set)
    for statement in all_queries():
        sql = reduce(lambda text, name: text.replace(f"{{{name}}}", REMOVAL_PARTS[name]), REMOVAL_PARTS, statement.sql)
        for table in re.findall(r"delete from gateway\.(\w+)", sql):
            deleting[table].add(statement.name.partition(".")[0])
    for store in STORES:
        if store.removed_by:
            assert deleting[store.table] - (BESIDE - store.removed_by) == store.removed_by, store.table
        if store.kind is StoreKind.FACT and store.table not in BY_HAND:
            assert store.removed_by >= WHOLE, store.table


def test_a_receipt_counts_facts_and_a_check_of_an_erasure_looks_into_all_that_holds_people():
    told = erasure_verification.FIND_TRACES
    assert set(re.findall(r" as (\w+)(?:,|\n  from found)", told.sql)) >= set(OF_PEOPLE)
    assert {store.table for store in STORES if store.kind in (StoreKind.FACT, StoreKind.VIEW)} <= set(OF_PEOPLE)
    assert {"record_versions", "events", "ties"} <= DeletionReceipt.__dataclass_fields__.keys()

"""Making the indexes of Postgres that searches asked for, and dropping those that nothing used for long.

Each statement is one of its own and waits for open transactions, so that writers go on. What an interrupted one leaves is dropped, and made
anew; an index that is in no list, because it was deleted, or its policy or its sandbox, is dropped within the hour.
"""

from typing import Any, Final

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.search_indexes import SearchIndex, leaf_of_index, list_search_indexes, read_search_indexes
from gateway.domain.reading.search_candidates import owner_of
from gateway.domain.rules.scope import Scope
from gateway.domain.work import audit, leases
from gateway.domain.work.audit import Subject
from gateway.domain.work.leases import LeasedJob
from gateway.pql.indexes import TIME, Leaf, index_columns, presence
from gateway.storage.database import Database
from gateway.storage.queries import query

LIST_PARTS = query("search_indexing.list_parts")
CREATE = query("search_indexing.create_index")
FORGET_STATISTICS = query("search_indexing.forget_statistics")
DROP = query("search_indexing.drop_index")
LIST_STRAY = query("search_indexing.list_stray")
MARK_READY = query("search_indexes.mark_ready")
DELETE_UNUSED = query("search_indexes.delete_unused")
DELETE = query("search_indexes.delete_index")

_TABLES: Final = {False: "gateway.profile", True: "gateway.event"}


async def build_search_index(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Make an index on each partition of its table, one a piece: a job. The index may be in no list by now; then it is not made."""
    config = await configurations.read(db, scope)
    while index := (await read_search_indexes(db, scope, [job.subject]))[0]:
        leaf = leaf_of_index(config, index)
        if leaf is None:
            return  # the field is gone, and the index goes next
        parts = await db.rows(LIST_PARTS, _TABLES[leaf.is_of_events], _prefix(scope, index))
        missing = next((part for part in parts if not part["is_made"]), None)
        if missing is not None:
            await _build(db, scope, index, leaf, missing)
        done = len(parts) if missing is None else missing["place"] + 1
        async with db.transaction(scope.sandbox_id) as tx:
            await leases.advance(tx, job, done, done=done, total=len(parts))
            if missing is None:
                await tx.execute(MARK_READY, scope.sandbox_id, index.index_id)
                return


async def _build(db: Database, scope: Scope, index: SearchIndex, leaf: Leaf, part: Any) -> None:
    """Make an index on a partition, in place of what an interrupted job left there."""
    name = f"{_prefix(scope, index)}{part['place']}"
    if part["is_made"] is not None:
        await db.alter(DROP.filled(name=name))
    of, indexed = f"{owner_of(scope, index.policy_id)} and {presence(leaf)}", index_columns(leaf)
    await db.alter(CREATE.filled(name=name, partition=part["partition"], indexed=indexed, of=of))
    if leaf.path != TIME:
        await db.alter(FORGET_STATISTICS.filled(name=name))


async def expire_search_indexes(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, *, days: float
) -> None:
    """Take the sandbox's indexes from the list that nothing used for `days`, or whose field is gone, and drop what is in no list: a job."""
    config = await configurations.read(db, scope)
    async with db.transaction(scope.sandbox_id) as tx:
        gone = [row["index_id"] for row in await tx.rows(DELETE_UNUSED, scope.sandbox_id, days)]
        without_field = [one for one in await list_search_indexes(tx, scope) if leaf_of_index(config, one) is None]
        gone += [await tx.value(DELETE, scope.sandbox_id, index.index_id) for index in without_field]
        for index_id in gone:
            await audit.record(tx, scope, "deleteSearchIndex", Subject("SearchIndex", (index_id,)))
        await leases.advance(tx, job, None, done=job.done + len(gone))
    for row in await db.rows(LIST_STRAY):
        await db.alter(DROP.filled(name=row["name"]))


def _prefix(scope: Scope, index: SearchIndex) -> str:
    """Return how the names of an index' parts begin; the number of the partition follows."""
    return f"search_{scope.sandbox_id}_{index.index_id.hex}_"

"""Making the indexes of Postgres that searches asked for, and dropping those that nothing used for long.

Each statement is one of its own and waits for open transactions, so that writers go on; one is made or dropped at a time in the whole
database, since two would wait for each other, and none waits for long, except on the workers of a cluster: the job tells what it waits for,
and tries again. What an interrupted statement leaves is dropped, and made anew; an index that is in no list, because it was deleted, or its
policy or its sandbox, is dropped within the hour.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.search_indexes import SearchIndex, leaf_of_index, list_search_indexes, read_search_indexes
from gateway.domain.reading.search_candidates import owner_of
from gateway.domain.rules.scope import Scope
from gateway.domain.work import audit, leases
from gateway.domain.work.audit import Subject
from gateway.domain.work.leases import JobWaits, LeasedJob
from gateway.errors import Contended
from gateway.pql.indexes import Leaf, column_of, index_columns, presence
from gateway.storage.database import Database, Session
from gateway.storage.queries import query, template

TAKE_TURN = query("search_indexing.take_turn")
END_TURN = query("search_indexing.end_turn")
FIND_OLD_TRANSACTION = query("search_indexing.find_old_transaction")
IS_MADE = query("search_indexing.is_made")
CREATE = template("search_indexing.create_index")
FORGET_STATISTICS = template("search_indexing.forget_statistics")
DROP = template("search_indexing.drop_index")
LIST_STRAY = query("search_indexing.list_stray")
MARK_READY = query("search_indexes.mark_ready")
DELETE_UNUSED = query("search_indexes.delete_unused")
DELETE = query("search_indexes.delete_index")

WAIT_SECONDS = 45.0
"""How long a statement waits for one transaction, which is longer than one of a request is open by default."""
PAUSE_SECONDS = 10.0
"""Until a job that waits for transactions tries again."""
TURN_SECONDS = 1.0
"""Until a job tries again that waits for another index, which mostly takes less: those that wait meet again, and only one goes on each time."""


async def build_search_index(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Make an index: a job. The index may be in no list by now, or its field be gone; then it is not made."""
    config = await configurations.read(db, scope)
    (index,) = await read_search_indexes(db, scope, [job.subject])
    if index is None or (leaf := leaf_of_index(config, index)) is None:
        return
    is_made: bool | None = await db.value(IS_MADE, _name(scope, index))
    if not is_made:
        await _build(db, scope, index, leaf, is_broken=is_made is not None)
    async with db.transaction(scope.sandbox_id) as tx:
        await leases.advance(tx, job, None, done=1, total=1)
        await tx.execute(MARK_READY, scope.sandbox_id, index.index_id)


async def _build(db: Database, scope: Scope, index: SearchIndex, leaf: Leaf, *, is_broken: bool) -> None:
    """Make an index, in place of what an interrupted job left if it `is_broken`."""
    name, of = _name(scope, index), f"{owner_of(scope, index.policy_id)} and {presence(leaf)}"
    async with _turn(db) as session:
        if is_broken:
            await session.execute(DROP.filled(name=name))
        table = "gateway.event" if leaf.is_of_events else "gateway.profile"
        await session.execute(CREATE.filled(name=name, table=table, indexed=index_columns(leaf), of=of))
        if not column_of(leaf):
            await session.execute(FORGET_STATISTICS.filled(name=name))


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
    for row in await db.rows(LIST_STRAY, scope.sandbox_id):
        async with _turn(db) as session:
            await session.execute(DROP.filled(name=row["name"]))


@asynccontextmanager
async def _turn(db: Database) -> AsyncIterator[Session]:
    """Give a connection on which indexes are made and dropped, while no other does that. Raises JobWaits."""
    async with db.altering(wait_seconds=WAIT_SECONDS) as session:
        if not await session.value(TAKE_TURN):
            raise JobWaits("Another index for searches is being made or dropped.", TURN_SECONDS)
        await _check_transactions(session)
        try:
            yield session
        except Contended:
            await _check_transactions(session)
            raise JobWaits("Transactions that are open now hold it up.", PAUSE_SECONDS) from None
        await session.value(END_TURN)


async def _check_transactions(session: Session) -> None:
    """Raise JobWaits if a transaction has been open for so long that what is made or dropped would wait for it in vain."""
    since = await session.value(FIND_OLD_TRANSACTION, WAIT_SECONDS)
    if since is not None:
        raise JobWaits(
            f"A transaction of the database that is open since {since:%Y-%m-%dT%H:%M:%SZ} holds it up.", PAUSE_SECONDS
        )


def _name(scope: Scope, index: SearchIndex) -> str:
    return f"search_{scope.sandbox_id}_{index.index_id.hex}"

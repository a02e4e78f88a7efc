"""Instants: what a snapshot sees of a sandbox that lies on several nodes.

On one Postgres a snapshot sees one moment by itself. A cluster has no snapshot of all its nodes: that of a node begins when a statement first reaches it.
So all of them are reached while nobody writes to the sandbox, for as long as that takes, and see the same transactions of it from then on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.domain.work.locks import lock_exclusive
from gateway.errors import Unavailable
from gateway.storage.database import Database, Reader, Session
from gateway.storage.distribution import IS_UNSETTLED
from gateway.storage.queries import query

SET: Final = query("locks.set_for_snapshot")
REACH_NODES: Final = query("locks.reach_nodes")


async def see_all_nodes(tx: Session, still: Reader) -> None:
    """Have a snapshot see the sandbox on all nodes as it is while `tx` has its lock for itself: with its first statement, or right behind it.

    Raises Unavailable while a node is away, or has yet to learn how a transaction has ended.
    """
    if not still.is_distributed:
        return
    if await tx.value(IS_UNSETTLED):
        raise Unavailable("A node of the database has yet to commit what others have; try again in a minute.")
    await still.row(SET)
    await still.value(REACH_NODES)


@asynccontextmanager
async def snapshot_of(db: Database, sandbox_id: int) -> AsyncIterator[Session]:
    """Begin a transaction whose reads all see the sandbox at one moment, on a cluster too, where its writers wait until all nodes are reached.

    Raises Timeout, Unavailable.
    """
    async with db.snapshot() as still:
        if db.is_distributed and not db.is_still:
            async with lock_exclusive(db, sandbox_id) as tx:
                await see_all_nodes(tx, still)
        yield still

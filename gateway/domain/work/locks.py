"""The lock of a sandbox's facts: transactions that only add facts share it, one that may split graphs holds it exclusively.

A transaction that waits for the lock holds no connection. For each sandbox and kind of lock, one transaction of this process waits in
Postgres, within a bounded number of connections for all sandboxes; the others wait for that one in memory.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, query

TRY_EXCLUSIVE: Final = query("locks.try_exclusive")
TRY_SHARED: Final = query("locks.try_shared")
LOCK_EXCLUSIVE: Final = query("locks.lock_exclusive")
LOCK_SHARED: Final = query("locks.lock_shared")
IS_AWAITED: Final = query("locks.is_awaited")


def lock_exclusive(db: Database, sandbox_id: int, *, is_trial: bool = False) -> AbstractAsyncContextManager[Session]:
    """Begin a transaction with the lock for itself: nobody else writes to the sandbox's facts until its end; reads go on.

    A trial is rolled back at its end. Raises Timeout.
    """
    return _locked(db, sandbox_id, TRY_EXCLUSIVE, LOCK_EXCLUSIVE, is_trial=is_trial)


def lock_shared(db: Database, sandbox_id: int) -> AbstractAsyncContextManager[Session]:
    """Begin a transaction that shares the lock with others that only add facts to the sandbox. Raises Timeout."""
    return _locked(db, sandbox_id, TRY_SHARED, LOCK_SHARED, is_trial=False)


@asynccontextmanager
async def _locked(
    db: Database, sandbox_id: int, attempt: Query, lock: Query, *, is_trial: bool
) -> AsyncIterator[Session]:
    begin = db.trial if is_trial else db.transaction
    async with begin(sandbox_id) as tx:
        if await tx.value(attempt, sandbox_id):
            yield tx
            return
    async with AsyncExitStack() as queue:
        await queue.enter_async_context(db.waiting((sandbox_id, lock.name)))
        async with begin(sandbox_id) as tx:
            await tx.execute(lock, sandbox_id)
            await queue.aclose()  # the next one may wait in Postgres
            yield tx

"""The lock of a sandbox's facts: those who add work side by side, whoever may part people works alone.

Who has to wait for it holds no connection meanwhile. One of each sandbox and kind stands in the queue that Postgres keeps, in a bounded
number of connections for all sandboxes; the others wait for that one here.
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


def lock_exclusive(db: Database, sandbox_id: int, *, is_trial: bool = False) -> AbstractAsyncContextManager[Session]:
    """A transaction that has the sandbox's facts to itself. A trial is undone at its end. Raises Timeout."""
    return _locked(db, sandbox_id, TRY_EXCLUSIVE, LOCK_EXCLUSIVE, is_trial=is_trial)


def lock_shared(db: Database, sandbox_id: int) -> AbstractAsyncContextManager[Session]:
    """A transaction beside those who add facts to the sandbox. Raises Timeout."""
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
    async with AsyncExitStack() as place:
        await place.enter_async_context(db.waiting((sandbox_id, lock.name)))
        async with begin(sandbox_id) as tx:
            await tx.execute(lock, sandbox_id)
            await place.aclose()  # the next one may wait
            yield tx

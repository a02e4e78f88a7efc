"""The lock of a sandbox's facts: transactions that only add facts share it, one that may split graphs holds it exclusively.

A transaction that waits for the lock holds no connection. For each sandbox and kind of lock, one transaction of this process waits in
Postgres, within a bounded number of connections for all sandboxes; the others wait for that one in memory.

Beside others, a transaction locks the rows that it looks at before it writes. A statement cannot lock rows that lie on several nodes of a cluster: there
calls lock people by stripes, which many people have in common, and everybody else takes the lock for itself.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, Literal
from uuid import UUID

from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, Template, query

TRY_EXCLUSIVE: Final = query("locks.try_exclusive")
TRY_SHARED: Final = query("locks.try_shared")
LOCK_EXCLUSIVE: Final = query("locks.lock_exclusive")
LOCK_SHARED: Final = query("locks.lock_shared")
IS_AWAITED: Final = query("locks.is_awaited")
LOCK_STRIPES: Final = query("locks.lock_stripes")

STRIPES: Final = 1_024
"""How many advisory locks the people of a sandbox share on a cluster."""


def lock_exclusive(db: Database, sandbox_id: int, *, is_trial: bool = False) -> AbstractAsyncContextManager[Session]:
    """Begin a transaction with the lock for itself: nobody else writes to the sandbox's facts until its end; reads go on.

    A trial is rolled back at its end. Raises Timeout.
    """
    return _locked(db, sandbox_id, TRY_EXCLUSIVE, LOCK_EXCLUSIVE, is_trial=is_trial)


def lock_shared(db: Database, sandbox_id: int) -> AbstractAsyncContextManager[Session]:
    """Begin a transaction that shares the lock with others that only add facts to the sandbox. Raises Timeout."""
    return _locked(db, sandbox_id, TRY_SHARED, LOCK_SHARED, is_trial=False)


def lock_rows(db: Database, sandbox_id: int) -> AbstractAsyncContextManager[Session]:
    """Begin a transaction that locks rows, beside others: it shares the lock with them. On a cluster it has it for itself. Raises Timeout."""
    return lock_exclusive(db, sandbox_id) if db.is_distributed else lock_shared(db, sandbox_id)


def locking(
    statement: Template, tx: Session, lock: Literal["for update", "for no key update", "for update of v"] = "for update"
) -> Query:
    """Return the statement that locks what it reads, as far as rows can be locked: on a cluster something else is locked by then."""
    return statement.filled(lock="" if tx.is_distributed else lock)


async def lock_stripes(tx: Session, sandbox_id: int, people: Iterable[UUID]) -> None:
    """Lock these people on a cluster until the transaction ends, in an order that all writers have. On one Postgres their rows are locked instead."""
    if tx.is_distributed:
        await tx.execute(LOCK_STRIPES, sandbox_id, sorted({each.int % STRIPES for each in people}))


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

"""Identities that were erased: of each its xid stays, and refuses what is sent about it, until that is lifted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.domain.rules.keyset import Key, Order, Page, Window, page_of_rows
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import JobOpen, NotFound
from gateway.storage.database import Database
from gateway.storage.queries import query, template

LIST = template("erased_identities.list_erased")
COUNT = query("erased_identities.count_erased")
LOCK = query("erased_identities.lock_erased")
LIFT = query("erased_identities.lift")

NEWEST_FIRST: Final = Order(("i.erased_at", "i.xid"), (datetime, UUID), descending=True)

READ_ERASED = (Permission.PROFILE_READ, Permission.JOBS_WRITE)
"""The permissions that allow seeing what was erased: a caller that may erase may see it."""


@dataclass(frozen=True, slots=True)
class ErasedIdentity:
    """An identity that a job erased; `refused_count` is how many documents it has refused since."""

    xid: UUID
    namespace_id: int
    erased_at: datetime
    job_id: UUID
    refused_count: int

    @property
    def key(self) -> Key:
        """Its key in the list."""
        return (self.erased_at, self.xid)


async def list_erased(db: Database, scope: Scope, asked: Window) -> Page[ErasedIdentity]:
    """List a page of the erased identities, the newest first. Needs `profile:read` or `jobs:write`. Raises Forbidden, BadCursor."""
    scope.require(*READ_ERASED)
    statement, keys = LIST.page(**NEWEST_FIRST.stretch(asked))
    rows = await db.rows(statement, scope.sandbox_id, asked.fetch, *keys)
    return page_of_rows([ErasedIdentity(**row) for row in rows], asked)


async def count_erased(db: Database, scope: Scope) -> int:
    """Count the erased identities. Needs `profile:read` or `jobs:write`. Raises Forbidden."""
    scope.require(*READ_ERASED)
    count: int = await db.value(COUNT, scope.sandbox_id)
    return count


async def lift_erasure(db: Database, scope: Scope, xid: UUID) -> None:
    """Let an erased identity be stored again. Needs `jobs:write`. Raises Forbidden, NotFound, and JobOpen while it is being erased."""
    scope.require(Permission.JOBS_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        row = await tx.row(LOCK, scope.sandbox_id, xid)
        if row is None or row["erased_at"] is None:
            raise NotFound("This identity was not erased.", path=["identity"])
        if row["open_id"] is not None:
            raise JobOpen(row["open_id"], "is erasing this identity", path=["identity"])
        await tx.execute(LIFT, scope.sandbox_id, xid)
        before = {"erasedAt": row["erased_at"]}
        await audit.record(tx, scope, "liftErasure", Subject("Identity", (xid,)), before=before)

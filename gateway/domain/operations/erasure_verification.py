"""Verification of erasures: whether anything is left of an identity, store by store, found by keys alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work.stores import OF_PEOPLE
from gateway.errors import NotFound
from gateway.storage.database import Reader
from gateway.storage.queries import part, query, template

FIND_TRACES = query("erasure_verification.find_traces")
LIST_EXPORTS = template("export_jobs.list_with_identities").filled(with_identities=part("export_jobs.with_identities"))
LIST_UNCONFIRMED = query("erasure_verification.list_unconfirmed")

VERIFY_ERASURE = (Permission.PROFILE_READ, Permission.JOBS_WRITE)
"""The permissions that allow it: a caller that may erase may see that nothing is left."""


@dataclass(frozen=True, slots=True)
class ErasureCheck:
    """What is left of an identity: the names of the stores that hold something of it from before it was erased, or at all if it was not; and
    `edge VA6` for an edge that has yet to confirm that it was.

    `erased_at` is None for an identity that was not erased, or may be stored again. `is_used_again`: facts about it came in after it was erased.
    """

    erased_at: datetime | None
    traces: tuple[str, ...]
    is_used_again: bool

    @property
    def is_erased(self) -> bool:
        """Whether it was erased, and nothing is left from before."""
        return self.erased_at is not None and not self.traces


async def verify_erasure(db: Reader, scope: Scope, xid: UUID) -> ErasureCheck:
    """Look for an identity in every store that holds something of people, and at edges that may. Three statements, which read by keys.

    Documents of others that mention it are found as long as they are tied to it. Needs `profile:read` or `jobs:write`. Raises Forbidden.
    """
    scope.require(*VERIFY_ERASURE)
    exports = await db.value(LIST_EXPORTS, scope.sandbox_id)
    row: Any = await db.row(FIND_TRACES, scope.sandbox_id, xid, exports)
    unconfirmed = await db.rows(LIST_UNCONFIRMED, scope.sandbox_id, xid) if row["erased_at"] is not None else ()
    edges = (f"edge {each['data_center']}" for each in unconfirmed)
    traces = (*(table for table in OF_PEOPLE if row[table]), *edges)
    return ErasureCheck(row["erased_at"], traces, row["is_used_again"])


async def check_stored(db: Reader, scope: Scope, xid: UUID) -> None:
    """Check that some store holds something of an identity. Needs `profile:read` or `jobs:write`. Raises Forbidden, NotFound."""
    found = await verify_erasure(db, scope, xid)
    if found.traces or found.is_used_again:
        return
    if found.erased_at is not None:
        raise NotFound("This identity was erased: nothing is stored about it.")
    raise NotFound("Nothing is stored about this identity.")

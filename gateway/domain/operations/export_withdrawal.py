"""Withdrawing what exports hold of people who are erased: files that somebody could still read, and what an export has read and is yet to write."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.domain.rules.scope import Scope
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.storage.database import Session
from gateway.storage.queries import part, query

HOLDS: Final = part("export_jobs.holds")
COUNT_FILES = query("export_jobs.count_files_of_people").filled(holds=HOLDS)
WITHDRAW_FILES = query("export_jobs.withdraw_files").filled(holds=HOLDS)
CANCEL = query("export_jobs.cancel_exports_of_people")
FORGET_PEOPLE = query("export_jobs.forget_people")

WHY: Final = "Somebody whom it holds, or may hold, was erased while it was under way: ask for it again."
"""The error of an export that is cancelled so."""


async def count_files(tx: Session, scope: Scope, xids: Sequence[UUID]) -> int:
    """Count the files of exports that hold the people of these identities. Needs no permission."""
    count: int = await tx.value(COUNT_FILES, scope.sandbox_id, xids)
    return count


async def withdraw(tx: Session, scope: Scope, xids: Sequence[UUID]) -> int:
    """Let nobody read files of exports any more that hold the people of these identities, and return how many they are. Needs no permission.

    The facts under the identities are gone by now, so that no export reads them anew. One that is under way is cancelled, if it holds one of them, or is
    just reading people. A job takes the files away.
    """
    cancelled = await tx.rows(CANCEL, scope.sandbox_id, xids, WHY)
    withdrawn = await tx.rows(WITHDRAW_FILES, scope.sandbox_id, xids)
    await tx.execute(FORGET_PEOPLE, scope.sandbox_id, xids)
    if cancelled or withdrawn:
        await jobs.hasten(tx, scope, JobKind.EXPIRE_EXPORTS)
    return len(withdrawn)

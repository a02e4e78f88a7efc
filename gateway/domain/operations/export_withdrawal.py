"""Withdrawing what exports hold of people who are erased: files that somebody could still read, and what an export has read and is yet to write."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from gateway.domain.rules.scope import Scope
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.receipts import DeletionReceipt
from gateway.storage.database import Session
from gateway.storage.queries import part, query, template

HOLDS: Final = part("export_jobs.holds")
WITH_IDENTITIES: Final = part("export_jobs.with_identities")
LIST_HOLDING = template("export_jobs.list_files_of_people").filled(holds=HOLDS)
LIST_BEGUN = query("export_jobs.list_files_of")
WITHDRAW_FILES = template("export_jobs.withdraw_files").filled(holds=HOLDS)
HOLD = query("export_jobs.hold_open")
CANCEL = query("export_jobs.cancel_exports_of_people")
FORGET_PEOPLE = template("export_jobs.forget_people").filled(with_identities=WITH_IDENTITIES)

WHY: Final = "Somebody whom it holds, or may hold, was erased while it was under way: ask for it again."
"""The error of an export that is cancelled so."""


async def count_files(tx: Session, scope: Scope, xids: Sequence[UUID]) -> DeletionReceipt:
    """Count the files of exports that hold the people of these identities. Needs no permission."""
    return _receipt(await tx.rows(LIST_HOLDING, scope.sandbox_id, xids))


async def withdraw(tx: Session, scope: Scope, xids: Sequence[UUID]) -> DeletionReceipt:
    """Let nobody read files of exports any more that hold the people of these identities, and count them. Needs no permission.

    The facts under the identities are gone by now, so that no export reads them anew. One that is under way is cancelled, if it holds one of them, or is
    just reading people: what it has kept of these nobody sees before it is whole, and it is committed only as long as the export has its job, which is
    held here first. A job takes the files away.
    """
    await tx.rows(HOLD, scope.sandbox_id)
    cancelled = [row["job_id"] for row in await tx.rows(CANCEL, scope.sandbox_id, xids, WHY)]
    withdrawn = await tx.rows(WITHDRAW_FILES, scope.sandbox_id, xids)
    left = await tx.rows(LIST_BEGUN, scope.sandbox_id, cancelled) if cancelled else []
    await tx.execute(FORGET_PEOPLE, scope.sandbox_id, xids)
    if cancelled or withdrawn:
        await jobs.hasten(tx, scope, JobKind.EXPIRE_EXPORTS)
    return _receipt(withdrawn) + replace(_receipt(left), export_files=0)


def _receipt(files: Sequence[Any]) -> DeletionReceipt:
    elsewhere = {file["folder"] for file in files if "://" in file["folder"]}
    return DeletionReceipt(export_files=len(files), export_locations=tuple(sorted(elsewhere)))

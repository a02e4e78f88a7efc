"""Batches: documents that came in together and can be undone together.

A batch takes documents while it is LOADING, and is completed or aborted for good. The client's key names it: a client that sends the key
again for the dataset, even after a crash, gets the batch again, unless what that brought was taken back: then the key names a new one.
Calls that name no batch share a rolling batch, a new one every day (UTC), which completes the one before. A batch that nobody completes is
completed MAX_IDLE_DAYS after its last document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Conflict, NotFound
from gateway.runtime.uuids import uuid_of
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import query

READ = query("batches.read_batches")
FIND = query("batches.find_batch")
CREATE = query("batches.create_batch")
COMPLETE = query("batches.complete_batches")
LIST_ROLLING = query("batches.list_rolling")
CREATE_ROLLING = query("batches.create_rolling")
LIST_ENDED_ROLLING = query("batches.list_ended_rolling")
LIST_IDLE = query("batches.list_idle")

READ_BATCHES = (*READ_CONFIGURATION, Permission.PROFILE_WRITE)
"""The permissions that allow reading batches: clients that load data may see its batches, too."""


MAX_IDLE_DAYS = 7
BATCHES_AT_ONCE = 100
"""How many idle batches one statement completes."""


class BatchStatus(StrEnum):
    """The state of a batch. LOADING: it takes documents. ACTIVE: complete. FAILED: complete, with no valid document.

    In all other states its documents are gone, or a job removes them. ABORTING, then ABORTED: given up while LOADING. REVERTING, then
    REVERTED: taken back once it was complete, so that its key is free. DELETING, then DELETED: removed for good, so that its key is refused.
    """

    LOADING = "LOADING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"
    REVERTING = "REVERTING"
    REVERTED = "REVERTED"
    DELETING = "DELETING"
    DELETED = "DELETED"


COMPLETE_STATUSES = frozenset({BatchStatus.ACTIVE, BatchStatus.FAILED})


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. `record_count` counts its facts that are stored now: versions of records, or events; `failed_count` refused ones.

    A rolling batch has no key. `created_by` is the actor who made it, None for batches of earlier releases. `settled_at`: it can be
    reverted no longer since then, None while it can.
    """

    batch_id: UUID
    dataset_id: UUID
    key: str | None
    status: BatchStatus
    record_count: int
    failed_count: int
    created_at: datetime
    completed_at: datetime | None
    created_by: str | None
    settled_at: datetime | None

    @property
    def is_rolling(self) -> bool:
        """Whether it is the batch of calls that name none."""
        return self.key is None

    def revertible_until(self, days: float) -> datetime | None:
        """Return until when it can be reverted where complete batches can be for so many days; None while it is not complete, and for one that is gone."""
        if self.completed_at is None or self.status not in COMPLETE_STATUSES:
            return None
        return self.settled_at or self.completed_at + timedelta(days=days)


async def create_batch(db: Database, scope: Scope, config: Configuration, dataset_id: UUID, key: str | None) -> Batch:
    """Create a batch of the dataset with this key, or return the one that the key names; a random key for None. Needs `profile:write`.

    A batch whose key was used before may be complete. Raises Forbidden; Invalid for the key, and Conflict for that of a deleted batch;
    NotFound, Misconfigured, and Conflict while it is emptied, for the dataset.
    """
    scope.require(Permission.PROFILE_WRITE)
    config.open_dataset(dataset_id)
    key = str(uuid4()) if key is None else key
    check_name(key, "key")
    for number in (
        count()
    ):  # more than once if the key named batches that were taken back, or one is created with it at this moment
        batch_id = _derived_id("key", dataset_id, f"{key}\0{number}" if number else key)
        async with db.transaction(scope.sandbox_id) as tx:
            row = await tx.row(CREATE, scope.sandbox_id, dataset_id, key, batch_id, scope.actor)
            if row is None:
                continue
            values = dict(row)
            is_new, batch = values.pop("is_new"), batch_of_row(values)
            if batch.status in (BatchStatus.DELETING, BatchStatus.DELETED):
                raise Conflict("The batch of this key was deleted for good; choose another key.", path=["key"])
            if is_new:
                await audit.record(tx, scope, "createBatch", subject_of(batch_id), after=batch)
            return batch
    raise AssertionError  # `count` has no end


async def complete_batch(db: Database, scope: Scope, batch_id: UUID) -> Batch:
    """Complete a batch: it is ACTIVE then, or FAILED if no document of it was valid. Completing it again changes nothing.

    Needs `profile:write`. Raises Forbidden, NotFound, and Conflict for a batch that was aborted or removed.
    """
    scope.require(Permission.PROFILE_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        if rows := await tx.rows(COMPLETE, scope.sandbox_id, [batch_id]):
            before, after = {"status": BatchStatus.LOADING}, {"status": rows[0]["status"]}
            await audit.record(tx, scope, "completeBatch", subject_of(batch_id), before=before, after=after)
        batch = await read_batch(tx, scope, batch_id)
    if batch.status not in COMPLETE_STATUSES:
        raise Conflict(f"The batch is {batch.status} and cannot be completed.", path=["id"])
    return batch


async def complete_idle_batches(tx: Session, scope: Scope) -> int:
    """Complete some batches of the sandbox that got no document for MAX_IDLE_DAYS, as `complete_batch` does. Return how many there were.

    Needs `profile:write`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_WRITE)
    rows = await tx.rows(LIST_IDLE, scope.sandbox_id, MAX_IDLE_DAYS, BATCHES_AT_ONCE)
    await _complete_listed(tx, scope, rows)
    return len(rows)


async def rolling_batch(db: Database, scope: Scope, dataset_id: UUID) -> UUID:
    """Return the id of today's LOADING rolling batch of a dataset. If there is none, create one, and complete those of earlier days.

    Needs `profile:write`. Raises Forbidden, NotFound.
    """
    scope.require(Permission.PROFILE_WRITE)
    rows = await db.rows(LIST_ROLLING, scope.sandbox_id, dataset_id)
    for row in rows:
        if row["status"] == BatchStatus.LOADING:
            open_id: UUID = row["batch_id"]
            return open_id
    day, closed = rows[0]["day"], sum(row["batch_id"] is not None for row in rows)
    batch_id = _derived_id("rolling", dataset_id, f"{day:%Y-%m-%d}/{closed}")
    await db.value(CREATE_ROLLING, scope.sandbox_id, batch_id, dataset_id, scope.actor)
    await _complete_listed(db, scope, await db.rows(LIST_ENDED_ROLLING, scope.sandbox_id, dataset_id, day))
    return batch_id


async def read_batches(db: Reader, scope: Scope, batch_ids: Sequence[UUID]) -> list[Batch | None]:
    """Read batches by id, in order; None for an unknown one. Needs any of READ_BATCHES. Raises Forbidden."""
    scope.require(*READ_BATCHES)
    found = {row["batch_id"]: batch_of_row(row) for row in await db.rows(READ, scope.sandbox_id, batch_ids)}
    return [found.get(batch_id) for batch_id in batch_ids]


async def find_batch(db: Database, scope: Scope, dataset_id: UUID, key: str) -> Batch | None:
    """Return the batch that this key of the dataset names, None if it names none. Needs any of READ_BATCHES. Raises Forbidden."""
    scope.require(*READ_BATCHES)
    row = await db.row(FIND, scope.sandbox_id, dataset_id, key)
    return None if row is None else batch_of_row(row)


async def read_batch(db: Reader, scope: Scope, batch_id: UUID) -> Batch:
    """Read a batch that is about to be changed. Needs any of READ_BATCHES. Raises Forbidden, NotFound."""
    (batch,) = await read_batches(db, scope, [batch_id])
    if batch is None:
        raise NotFound("There is no batch with this id.", path=["id"])
    return batch


def subject_of(batch_id: UUID) -> Subject:
    """Return what entries of the audit log about a batch are about."""
    return Subject("Batch", (batch_id,))


def _derived_id(kind: str, dataset_id: UUID, text: str) -> UUID:
    """Derive the id of a batch, so that concurrent calls create the same one. Ids of different kinds never collide."""
    seed = b"%b\0%b" % (dataset_id.bytes, text.encode())
    return uuid_of(blake2b(seed, digest_size=16, person=kind.encode()).digest())


async def _complete_listed(db: Reader, scope: Scope, rows: Sequence[Any]) -> None:
    if rows:
        await db.rows(COMPLETE, scope.sandbox_id, [row["batch_id"] for row in rows])


def batch_of_row(row: Any) -> Batch:
    """Return the batch that a row of a statement describes."""
    return Batch(**{**row, "status": BatchStatus(row["status"])})

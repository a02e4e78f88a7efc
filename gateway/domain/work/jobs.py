"""Jobs: work that takes longer than a request, and is finished however often it is interrupted.

    enqueue    add a job in the transaction that makes the work necessary: both are committed, or neither
    claim      lease a job to one worker, for as long as its heartbeat goes on
    advance    commit a step's progress in the transaction of its effect
    carry_out  run leased work to its end, or put it off to the next attempt

A job whose worker was killed is free again when its heartbeat is `LEASE_SECONDS` old, and goes on after the last committed step. Only the
holder of the lease commits a step: for a worker that has lost it `advance` raises LeaseLost, which undoes the step.
"""

import asyncio
from collections.abc import Awaitable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import orjson

from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.errors import GatewayError, Timeout, Unavailable
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.telemetry import JobLeft, observe

ENQUEUE = query("jobs.enqueue_job")
END = query("jobs.end_jobs")
CLAIM = query("jobs.claim_job")
EXTEND = query("jobs.extend_lease")
ADVANCE = query("jobs.advance_job")
RELEASE = query("jobs.release_job")
LIST = query("jobs.list_jobs")
IS_OPEN = query("jobs.is_open")

LEASE_SECONDS = 60.0  # seconds
HEARTBEAT_SECONDS = LEASE_SECONDS / 4
MAX_JOB_ATTEMPTS = 10
"""Attempts without progress after which a job has failed."""
MAX_WAIT_SECONDS = 600.0
"""The longest pause between two attempts."""

SANDBOX = UUID(int=0)
"""The subject of a job on a sandbox as a whole."""


class JobKind(StrEnum):
    """The kind of a job; the worker has a handler for each."""

    MATERIALIZE_POLICY = "materialize_policy"
    REGROUP_IDENTITIES = "regroup_identities"
    ABORT_BATCH = "abort_batch"


class JobStatus(StrEnum):
    """The state of a job. NEW and PROCESSING are open, COMPLETED, FAILED and CANCELLED are final.

    NEW: it waits for its first or next attempt. PROCESSING: a worker has leased it; if that one was killed, another claims it later.
    """

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as callers see it.

    `done` and `total` count units of work, such as people or identities; `total` is None while unknown. `error` is why the last
    attempt was put off or the job failed, None after a step that succeeded.
    """

    job_id: UUID
    kind: JobKind
    subject: UUID
    status: JobStatus
    done: int
    total: int | None
    error: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class LeasedJob:
    """A job that this worker has leased; `advance` keeps it up to date.

    `cursor` is where to go on, None at the start. `attempt` counts the claims since the last committed step, this one included:
    1 at the first claim, 0 as soon as this worker has committed a step.
    """

    sandbox_id: int
    job_id: UUID
    lease: UUID
    kind: JobKind
    subject: UUID
    cursor: Any = None
    done: int = 0
    total: int | None = None
    attempt: int = 1


class LeaseLost(Exception):
    """The job is no longer leased to this worker: it was cancelled, deleted with its sandbox, or claimed by another worker."""


# ------------------------------------------------------------------------------------------------ making


async def enqueue(tx: Session, scope: Scope, kind: JobKind, subject: UUID = SANDBOX, *, seconds: float = 0) -> UUID:
    """Add a job, due `seconds` after now, and return its id. Open jobs of this kind about this subject are cancelled."""
    job_id = uuid4()
    await end(tx, scope, kind, subject, JobStatus.CANCELLED)
    await tx.execute(ENQUEUE, scope.sandbox_id, job_id, kind, subject, seconds)
    return job_id


async def end(tx: Session, scope: Scope, kind: JobKind, subject: UUID, status: JobStatus) -> None:
    """End the open jobs of this kind about this subject with this status. None of them commits a step after this transaction."""
    await tx.execute(END, scope.sandbox_id, kind, subject, status)


async def is_open(tx: Session, scope: Scope, kind: JobKind, subject: UUID) -> bool:
    """Return whether a job of this kind about this subject is open: NEW or PROCESSING."""
    found: bool = await tx.value(IS_OPEN, scope.sandbox_id, kind, subject)
    return found


async def list_jobs(db: Database, scope: Scope, size: int = 100) -> list[Job]:
    """List up to `size` jobs of the sandbox, newest first. Needs `profile:read`, `config:write` or `jobs:write`. Raises Forbidden."""
    scope.require(*READ_CONFIGURATION, Permission.JOBS_WRITE)
    rows = await db.rows(LIST, scope.sandbox_id, size)
    return [Job(**{**row, "kind": JobKind(row["kind"]), "status": JobStatus(row["status"])}) for row in rows]


# ------------------------------------------------------------------------------------------------ working


async def claim(db: Database, kinds: Collection[JobKind]) -> LeasedJob | None:
    """Lease the job of these kinds, in any sandbox, that has been due for longest. Return None if no job is due.

    A job whose lease has run out is due again. One that has had MAX_JOB_ATTEMPTS without progress fails, and the next one is tried.
    """
    while True:
        lease = uuid4()
        async with db.transaction() as tx:
            row = await tx.row(CLAIM, list(kinds), lease, LEASE_SECONDS)
        if row is None:
            return None
        cursor = None if row["cursor"] is None else orjson.loads(row["cursor"])
        claimed = LeasedJob(lease=lease, **{**row, "kind": JobKind(row["kind"]), "cursor": cursor})
        if claimed.attempt <= MAX_JOB_ATTEMPTS:
            return claimed
        await _release(db, claimed, JobStatus.FAILED, error="Every worker that took it was killed in the middle of it.")


async def advance(tx: Session, claim: LeasedJob, cursor: Any, *, done: int, total: int | None = None) -> None:
    """Store, in the transaction of a step, that the work goes on at `cursor`, and begin the lease anew. Raises LeaseLost.

    `cursor`: any JSON value. `done`: the units done so far, not in this step alone. `total`: all units, None to leave it as it was.
    """
    total = claim.total if total is None else total
    text = orjson.dumps(cursor).decode()
    if await tx.value(ADVANCE, *_key(claim), LEASE_SECONDS, text, done, total) is None:
        raise LeaseLost
    claim.cursor, claim.done, claim.total, claim.attempt = cursor, done, total, 0


async def extend_lease(db: Database, claim: LeasedJob) -> bool:
    """Let the lease end LEASE_SECONDS from now, as each heartbeat does. Return whether the job is still leased to this worker."""
    async with db.transaction() as tx:
        return await tx.value(EXTEND, *_key(claim), LEASE_SECONDS) is not None


async def carry_out(db: Database, claim: LeasedJob, work: Awaitable[None]) -> None:
    """Run the work of a leased job with a heartbeat, and store how it ended. Raises what the work raises, except LeaseLost.

    A job whose work raises is put off: for 2 ** `attempt` seconds, up to MAX_WAIT_SECONDS. After MAX_JOB_ATTEMPTS without progress it
    fails. If the call itself is cancelled, another worker may go on at once.
    """
    began = perf_counter()
    beating = asyncio.create_task(_beat(db, claim))
    outcome = "lost"
    try:
        await work
        outcome = await _release(db, claim, JobStatus.COMPLETED)
    except LeaseLost:
        pass
    except asyncio.CancelledError:
        outcome = await _release(db, claim, JobStatus.NEW)  # this process stops: another may go on at once
        raise
    except Exception as error:
        outcome = await _put_off(db, claim, error)
        raise
    finally:
        beating.cancel()
        observe(JobLeft(claim.kind, outcome, perf_counter() - began))


async def _put_off(db: Database, claim: LeasedJob, error: Exception) -> str:
    """Put the job off, or let it fail. Only the class of an unexpected error is stored: its text may quote data."""
    said = error.message if isinstance(error, GatewayError) else f"Something broke inside ({type(error).__name__})."
    status = JobStatus.FAILED if claim.attempt >= MAX_JOB_ATTEMPTS else JobStatus.NEW
    return await _release(db, claim, status, seconds=min(2.0**claim.attempt, MAX_WAIT_SECONDS), error=said)


async def _release(
    db: Database, claim: LeasedJob, status: JobStatus, *, seconds: float = 0, error: str | None = None
) -> str:
    with suppress(Timeout, Unavailable):  # then the lease runs out, and another worker comes to the same end
        async with db.transaction() as tx:
            if await tx.value(RELEASE, *_key(claim), status, seconds, error) is not None:
                return "put off" if status is JobStatus.NEW else status.lower()
    return "lost"


async def _beat(db: Database, claim: LeasedJob) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        with suppress(Timeout, Unavailable):
            await extend_lease(db, claim)


def _key(claim: LeasedJob) -> tuple[int, UUID, UUID]:
    return claim.sandbox_id, claim.job_id, claim.lease

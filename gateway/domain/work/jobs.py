"""Jobs: work that takes longer than a request, and ends however often it is cut off.

    enqueue    in the transaction that makes the work necessary: with it, or not at all
    claim      one worker takes a job, for as long as its heart beats
    advance    in the transaction of each piece: its effect and how far the work has come are committed together
    carry_out  from a claim to the end, or to the next attempt

A job whose worker was killed is free again once the heart-beat is `LEASE_SECONDS` seconds old, and goes on after the last piece that was
committed. Nobody but the holder of the lease commits a piece: who lost it finds out by `LeaseLost`, which undoes the piece.
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
"""How often a job is taken without getting on before it has failed."""

MAX_WAIT_SECONDS = 600.0  # seconds between two attempts


SANDBOX = UUID(int=0)
"""The subject of work on a sandbox as a whole."""


class JobKind(StrEnum):
    """The kinds of work."""

    MATERIALIZE_POLICY = "materialize_policy"
    REGROUP_IDENTITIES = "regroup_identities"
    ABORT_BATCH = "abort_batch"


class JobStatus(StrEnum):
    """NEW waits, for the first or the next attempt; the last three are final."""

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `done` of `total` tells its progress, None while the total is unknown; `error` why it was put off or failed."""

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
    """A job that is ours. `cursor` is what the last piece left, None before the first; `attempt` counts the claims since then, from 1."""

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
    """The job is no longer ours: cancelled, gone with its sandbox, or taken by another worker since our heart-beat failed."""


# ------------------------------------------------------------------------------------------------ making


async def enqueue(tx: Session, scope: Scope, kind: JobKind, subject: UUID = SANDBOX, *, seconds: float = 0) -> UUID:
    """The id of a new job, due so many seconds after the transaction commits; it takes the place of an open one like it."""
    job_id = uuid4()
    await end(tx, scope, kind, subject, JobStatus.CANCELLED)
    await tx.execute(ENQUEUE, scope.sandbox_id, job_id, kind, subject, seconds)
    return job_id


async def end(tx: Session, scope: Scope, kind: JobKind, subject: UUID, status: JobStatus) -> None:
    """The open jobs of this kind about this subject are over: none of them commits a piece after this transaction."""
    await tx.execute(END, scope.sandbox_id, kind, subject, status)


async def is_open(tx: Session, scope: Scope, kind: JobKind, subject: UUID) -> bool:
    """Whether a job of this kind about this subject is still to be done."""
    found: bool = await tx.value(IS_OPEN, scope.sandbox_id, kind, subject)
    return found


async def list_jobs(db: Database, scope: Scope, size: int = 100) -> list[Job]:
    """The sandbox's newest jobs, the newest first. Needs `profile:read`, `config:write` or `jobs:write`."""
    scope.require(*READ_CONFIGURATION, Permission.JOBS_WRITE)
    rows = await db.rows(LIST, scope.sandbox_id, size)
    return [Job(**{**row, "kind": JobKind(row["kind"]), "status": JobStatus(row["status"])}) for row in rows]


# ------------------------------------------------------------------------------------------------ working


async def claim(db: Database, kinds: Collection[JobKind]) -> LeasedJob | None:
    """The job of these kinds that has been due longest, ours from now on; None when nothing is due."""
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
    """Commit with this transaction that a piece is done: the work goes on at `cursor`. Raises LeaseLost."""
    total = claim.total if total is None else total
    text = orjson.dumps(cursor).decode()
    if await tx.value(ADVANCE, *_key(claim), LEASE_SECONDS, text, done, total) is None:
        raise LeaseLost
    claim.cursor, claim.done, claim.total, claim.attempt = cursor, done, total, 0


async def extend_lease(db: Database, claim: LeasedJob) -> bool:
    """The heart-beat: nobody takes the job for another while; whether it is still ours."""
    async with db.transaction() as tx:
        return await tx.value(EXTEND, *_key(claim), LEASE_SECONDS) is not None


async def carry_out(db: Database, claim: LeasedJob, work: Awaitable[None]) -> None:
    """See the work through: with a heart-beat, and with its end noted, however it ends. Raises what the work raises, but for LeaseLost.

    Work that breaks off is put off, longer each time; when `MAX_JOB_ATTEMPTS` in a row have not got on, the job has failed.
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
        outcome = await _release(db, claim, JobStatus.NEW)  # we are told to stop: another may go on at once
        raise
    except Exception as error:
        outcome = await _put_off(db, claim, error)
        raise
    finally:
        beating.cancel()
        observe(JobLeft(claim.kind, outcome, perf_counter() - began))


async def _put_off(db: Database, claim: LeasedJob, error: Exception) -> str:
    """What is kept of an unexpected error names its kind only: its text may quote data."""
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

"""Leases: a worker's right to a job, from its claim to its end.

    claim      lease a job to one worker, for as long as its heartbeat goes on
    begin      be the one job of its kind that works in the sandbox
    advance    commit a piece's progress in the transaction of its effect
    carry_out  run leased work to its end, or put it off to the next attempt

A job whose worker was killed is free again when its heartbeat is `LEASE_SECONDS` old, and goes on after the last committed piece. Only
the holder of the lease commits a piece: for a worker that has lost it `advance` raises LeaseLost, which undoes the piece.
"""

import asyncio
from collections.abc import Awaitable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import orjson

from gateway.domain.work.job_kinds import RULES, JobKind, KindRules
from gateway.domain.work.jobs import LOCK_CONFIGURATION, NOTHING_DONE, OPEN, JobMetrics, JobStatus, loads
from gateway.domain.work.receipts import DeletionReceipt, receipt_of
from gateway.errors import GatewayError, Timeout, Unavailable
from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, query
from gateway.telemetry import JobLeft, observe

CLAIM = query("leases.claim_job")
EXTEND = query("leases.extend_lease")
IS_ANOTHER_BEGUN = query("leases.is_another_begun")
IS_WAITED_FOR = query("leases.is_waited_for")
ADVANCE = query("leases.advance_job")
RELEASE = query("leases.release_job")
REARM = query("leases.rearm_job")

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = LEASE_SECONDS / 4
MAX_JOB_ATTEMPTS = 10
"""Attempts without progress after which a job has failed, unless others depend on its end."""
MAX_WAIT_SECONDS = 600.0
"""The longest pause between two attempts."""

LOST = "lost"
"""How an attempt ended whose job is another worker's by now, was cancelled, or is gone."""


@dataclass(slots=True)
class LeasedJob:
    """A job that this worker has leased; `advance` keeps it up to date.

    `cursor` is where to go on, None at the start. `attempt` counts the claims since the last committed piece, this one included:
    1 at the first claim, 0 as soon as this worker has committed a piece. `is_recalled`: another job is to have its turn, so that the
    next piece is not committed.
    """

    sandbox_id: int
    job_id: UUID
    lease: UUID
    kind: JobKind
    subject: UUID
    input: Any = None
    cursor: Any = None
    done: int = 0
    total: int | None = None
    metrics: JobMetrics = NOTHING_DONE
    receipt: DeletionReceipt | None = None
    attempt: int = 1
    is_recalled: bool = False


class LeaseRecalled(Exception):
    """Another job is to have its turn: the piece in hand is undone, and the job is due again."""


class JobWaits(Exception):
    """What the job needs is not to be had now, which is no fault: it is tried again after some seconds, however often.

    `reason`: what it waits for. `is_begun`: it has done something, and stays PROCESSING, although no worker has it.
    """

    def __init__(self, reason: str | None, seconds: float, *, is_begun: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.seconds, self.is_begun = reason, seconds, is_begun


class JobFails(Exception):
    """What the job is to do cannot be done, however often it is tried: it fails at once. `reason`: why it cannot be done."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LeaseLost(Exception):
    """The job is no longer leased to this worker: it was cancelled, deleted with its sandbox, or claimed by another worker."""


async def claim(db: Database, kinds: Collection[JobKind]) -> LeasedJob | None:
    """Lease a job of these kinds, in any sandbox, and return it; None if no job is due.

    Sandboxes take turns: the one from which no job was claimed for longest comes first, and of its jobs the one that has been due for
    longest. A job whose lease has run out is due again, after a pause that grows with its attempts. One that may fail, and had
    MAX_JOB_ATTEMPTS without progress, fails, and the next one is tried.
    """
    while True:
        lease = uuid4()
        async with db.transaction() as tx:
            single = [kind for kind in kinds if RULES[kind].is_single]
            row = await tx.row(CLAIM, list(kinds), lease, LEASE_SECONDS, MAX_WAIT_SECONDS, single)
        if row is None:
            return None
        claimed = _leased(row, lease)
        if claimed.attempt <= MAX_JOB_ATTEMPTS or RULES[claimed.kind].must_complete:
            return claimed
        await _release(db, claimed, JobStatus.FAILED, error="Every worker that took it was killed in the middle of it.")


async def begin(tx: Session, claim: LeasedJob, cursor: Any) -> bool:
    """Begin a job of a single kind at `cursor`, unless another one has begun in its sandbox. Return whether it begins.

    The transaction holds a lock that all such jobs of the sandbox take here. Raises LeaseLost, LeaseRecalled.
    """
    is_first = not await tx.value(IS_ANOTHER_BEGUN, claim.sandbox_id, claim.kind, claim.job_id)
    await advance(
        tx, claim, cursor if is_first else None, done=claim.done, receipt=DeletionReceipt() if is_first else None
    )
    return is_first


async def is_waited_for(db: Database, kinds: Collection[JobKind], served: Collection[int]) -> bool:
    """Return whether a job of these kinds is due in a sandbox that is none of those served now."""
    found: bool = await db.value(IS_WAITED_FOR, list(kinds), list(served))
    return found


async def advance(
    tx: Session,
    claim: LeasedJob,
    cursor: Any,
    *,
    done: int,
    total: int | None = None,
    records: int = 0,
    profiles: int = 0,
    receipt: DeletionReceipt | None = None,
    may_rest: bool = True,
) -> None:
    """Store, in the transaction of a piece, that the work goes on at `cursor`, and begin the lease anew. Raises LeaseLost, LeaseRecalled.

    `cursor`: any JSON value. `done`: the units done so far, not in this piece alone. `total`: all units, None to leave it as it was.
    `records` and `profiles`: what this piece adds to the metrics: rows that it worked on, people that it changed. `receipt`: what it
    deleted, which is added to the job's; None for a job that deletes nothing. `may_rest`: false where all would be lost if another job had its
    turn now.
    """
    if claim.is_recalled and may_rest:
        raise LeaseRecalled
    total = claim.total if total is None else total
    metrics = JobMetrics(claim.metrics.records + records, claim.metrics.profiles + profiles)
    told = claim.receipt if receipt is None else receipt + (claim.receipt or DeletionReceipt())
    texts = (
        orjson.dumps(cursor).decode(),
        orjson.dumps(asdict(metrics)).decode(),
        told and orjson.dumps(told).decode(),
    )
    if await tx.value(ADVANCE, *_key(claim), LEASE_SECONDS, *texts, done, total) is None:
        raise LeaseLost
    claim.cursor, claim.done, claim.total, claim.metrics, claim.attempt = cursor, done, total, metrics, 0
    claim.receipt = told


async def extend_lease(db: Database, claim: LeasedJob) -> bool:
    """Let the lease end LEASE_SECONDS from now, as each heartbeat does. Return whether the job is still leased to this worker."""
    async with db.transaction() as tx:
        return await tx.value(EXTEND, *_key(claim), LEASE_SECONDS) is not None


async def carry_out(db: Database, claim: LeasedJob, work: Awaitable[None]) -> None:
    """Run the work of a leased job with a heartbeat, and store how it ended. Raises what the work raises while it has the lease.

    A job whose work raises is put off: for 2 ** `attempt` seconds, up to MAX_WAIT_SECONDS. One that may fail does so after
    MAX_JOB_ATTEMPTS without progress, or at once where it cannot be done (JobFails). One that waits (JobWaits) tells for what, and that attempt
    does not count. If the call itself is cancelled, another worker may go on at once.
    """
    began = perf_counter()
    beating = asyncio.create_task(_beat(db, claim))
    outcome = LOST
    try:
        await work
        outcome = await _complete(db, claim)
    except LeaseLost:
        pass
    except LeaseRecalled:
        outcome = await _release(db, claim, JobStatus.NEW)
    except JobWaits as waits:
        claim.attempt = max(claim.attempt - 1, 0)
        status = JobStatus.PROCESSING if waits.is_begun else JobStatus.NEW
        outcome = await _release(db, claim, status, seconds=waits.seconds, error=waits.reason)
    except JobFails as fails:
        outcome = await _release(db, claim, JobStatus.FAILED, error=fails.reason)
    except asyncio.CancelledError:
        outcome = await _release(db, claim, JobStatus.NEW)  # this process stops: another may go on at once
        raise
    except Exception as error:
        outcome = await _put_off(db, claim, error)
        if outcome != LOST:
            raise
    finally:
        beating.cancel()
        observe(JobLeft(claim.kind, outcome, perf_counter() - began))


async def _put_off(db: Database, claim: LeasedJob, error: Exception) -> str:
    """Put the job off, or let it fail. Only the class of an unexpected error is stored: its text may quote data."""
    said = error.message if isinstance(error, GatewayError) else f"Something broke inside ({type(error).__name__})."
    if claim.attempt >= MAX_JOB_ATTEMPTS and not RULES[claim.kind].must_complete:
        return await _release(db, claim, JobStatus.FAILED, error=said)
    pause = min(2.0 ** min(claim.attempt, MAX_JOB_ATTEMPTS), MAX_WAIT_SECONDS)
    return await _release(db, claim, JobStatus.NEW, seconds=pause, error=said)


async def _complete(db: Database, claim: LeasedJob) -> str:
    if RULES[claim.kind].every is None:
        return await _release(db, claim, JobStatus.COMPLETED)
    return "completed" if await _is_stored(db, REARM, *_key(claim)) else LOST


async def _release(
    db: Database, claim: LeasedJob, status: JobStatus, *, seconds: float = 0, error: str | None = None
) -> str:
    rules = RULES[claim.kind] if status is JobStatus.FAILED else None
    if not await _is_stored(db, RELEASE, *_key(claim), status, seconds, error, claim.attempt, given_back=rules):
        return LOST
    return "put off" if status in OPEN else status.lower()


async def _is_stored(db: Database, statement: Query, *args: Any, given_back: KindRules | None = None) -> bool:
    """Return whether the end of a lease could be stored; else it runs out, and another worker comes to the same end."""
    with suppress(Timeout, Unavailable):
        async with db.transaction() as tx:
            if given_back and given_back.changes_configuration:
                await tx.value(LOCK_CONFIGURATION, args[0])
            is_held = await tx.value(statement, *args) is not None
            if is_held and given_back and given_back.give_back:
                await tx.execute(given_back.give_back, *args[:2])
            return is_held
    return False


async def _beat(db: Database, claim: LeasedJob) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        with suppress(Timeout, Unavailable):
            await extend_lease(db, claim)


def _leased(row: Any, lease: UUID) -> LeasedJob:
    values = {
        "kind": JobKind(row["kind"]),
        "input": loads(row["input"]),
        "cursor": loads(row["cursor"]),
        "metrics": JobMetrics(**loads(row["metrics"])),
        "receipt": receipt_of(loads(row["receipt"])),
    }
    return LeasedJob(lease=lease, **{**row, **values})


def _key(claim: LeasedJob) -> tuple[int, UUID, UUID]:
    return claim.sandbox_id, claim.job_id, claim.lease

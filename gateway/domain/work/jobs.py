"""Jobs: work that takes longer than a request, and is finished however often it is interrupted.

A job is enqueued in the transaction that makes the work necessary: both are committed, or neither. A worker leases it and goes
through it in pieces (module `leases`), and callers see how far it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID, uuid4

import orjson

from gateway.domain.rules.scope import OWN_ACTOR, READ_CONFIGURATION, Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.domain.work.job_kinds import RULES, About, Equal, JobKind
from gateway.domain.work.receipts import DeletionReceipt, receipt_of
from gateway.errors import Conflict, JobOpen, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.notifications import Channel
from gateway.storage.queries import query

ENQUEUE = query("jobs.enqueue_job")
HASTEN = query("jobs.hasten_job")
FIND_OPEN = query("jobs.find_open_job")
END = query("jobs.end_jobs")
SCHEDULE = query("jobs.schedule_jobs")
READ = query("jobs.read_jobs")
LOCK = query("jobs.lock_job")
LOCK_CONFIGURATION = query("tenants.lock_configuration")

READ_JOBS = (*READ_CONFIGURATION, Permission.PROFILE_WRITE, Permission.JOBS_WRITE)
"""The permissions that allow seeing jobs: a caller that may start one may watch it."""

SANDBOX = UUID(int=0)
"""The subject of a job on a sandbox as a whole."""

T = TypeVar("T")


class JobStatus(StrEnum):
    """The state of a job. NEW and PROCESSING are open, COMPLETED, FAILED and CANCELLED are final.

    NEW: it waits for its first or next attempt. PROCESSING: a worker has leased it; if that one was killed, another claims it later.
    """

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


OPEN = frozenset({JobStatus.NEW, JobStatus.PROCESSING})


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """What a job has done so far: the records, events and other rows that it worked on, and the people that it changed."""

    records: int = 0
    profiles: int = 0


NOTHING_DONE: Final = JobMetrics()


@dataclass(frozen=True, slots=True)
class Job:
    """A job as callers see it.

    `input`: what was asked for beyond kind and subject, a JSON value. `done` and `total` count units of work, such as people or
    facts; `total` is None while unknown, and equals `done` once the job is completed. `error` is why the last attempt was put off or the job failed, None after a piece that succeeded.
    `attempts`: how often workers took it up. `started_at` is None until the first one did. `receipt`: what it deleted; None if it deletes nothing,
    or did not begin.
    """

    job_id: UUID
    kind: JobKind
    subject: UUID
    status: JobStatus
    input: Any
    done: int
    total: int | None
    metrics: JobMetrics
    error: str | None
    attempts: int
    created_at: datetime
    created_by: str | None
    started_at: datetime | None
    updated_at: datetime
    receipt: DeletionReceipt | None

    @property
    def is_open(self) -> bool:
        """Whether a worker will go on with it."""
        return self.status in OPEN

    @property
    def progress(self) -> float | None:
        """How much of it is done, from 0 to 1; None while the total is unknown."""
        if self.status is JobStatus.COMPLETED:
            return 1.0
        if self.total is None:
            return None
        return min(self.done / self.total, 1.0) if self.total else 1.0

    @property
    def seconds(self) -> float:
        """Seconds from its first attempt to its last piece or its end; 0 before the first attempt."""
        return (self.updated_at - self.started_at).total_seconds() if self.started_at else 0.0


class Started(NamedTuple, Generic[T]):
    """What a verb changed, and the job that it started to finish the work; None if there is nothing left to do."""

    changed: T
    job_id: UUID | None


async def enqueue(
    tx: Session,
    scope: Scope,
    kind: JobKind,
    subject: UUID = SANDBOX,
    *,
    input: Any = None,  # noqa: A002 (what users call it)
    seconds: float = 0,
) -> UUID:
    """Add a job, due `seconds` after now, and return its id; the scope's actor is its author.

    An open job of this kind about this subject is cancelled, or is the one whose id is returned, as the rules of the kind say. Raises
    JobOpen where they refuse a second one.
    """
    equal, job_id = RULES[kind].equal, uuid4()
    text = None if input is None else orjson.dumps(input, default=str).decode()  # the driver has UUIDs of its own
    row = (scope.sandbox_id, job_id, kind, subject, text, scope.actor, seconds)
    while True:
        if equal is Equal.REPLACE:
            await end(tx, scope, kind, subject, JobStatus.CANCELLED)
        if await tx.value(ENQUEUE, *row) is not None:
            tx.notify(Channel.JOBS)
            return job_id
        open_id: UUID | None = await tx.value(FIND_OPEN, scope.sandbox_id, kind, subject)
        if open_id is not None and equal is Equal.JOIN:
            return open_id
        if open_id is not None and equal is Equal.REFUSE:
            raise JobOpen(open_id)


async def hasten(tx: Session, scope: Scope, kind: JobKind) -> None:
    """Let the recurring job of a kind begin its next run now."""
    await tx.execute(HASTEN, scope.sandbox_id, kind, SANDBOX)
    tx.notify(Channel.JOBS)


async def create_job(
    tx: Session,
    scope: Scope,
    kind: JobKind,
    subject: UUID,
    *,
    input: Any = None,  # noqa: A002 (what users call it)
    logged: Mapping[str, Any] | None = None,
) -> Job:
    """Add a job that somebody asked for, log it, and return it. Raises JobOpen.

    `logged`: what the log says of it beside its type; without it, its subject.
    """
    job_id = await enqueue(tx, scope, kind, subject, input=input)
    after = {"type": kind, **(logged or {f"{RULES[kind].about.lower()}Id": subject})}
    await audit.record(tx, scope, "createSystemJob", Subject("SystemJob", (job_id,)), after=after)
    return await read_job(tx, scope, job_id)


async def refuse_open(tx: Session, scope: Scope, kind: JobKind, subject: UUID, *, path: Sequence[str]) -> None:
    """Raise JobOpen if a job of this kind about this subject is open."""
    open_id: UUID | None = await tx.value(FIND_OPEN, scope.sandbox_id, kind, subject)
    if open_id is not None:
        raise JobOpen(open_id, path=path)


async def read_job(tx: Session, scope: Scope, job_id: UUID) -> Job:
    """Read a job that this transaction has made or changed. Needs no permission."""
    (job,) = jobs_of_rows(await tx.rows(READ, scope.sandbox_id, [job_id]))
    return job


async def end(tx: Session, scope: Scope, kind: JobKind, subject: UUID, status: JobStatus) -> None:
    """End the open jobs of this kind about this subject with this status. None of them commits a piece after this transaction."""
    await tx.execute(END, scope.sandbox_id, kind, subject, status)


async def schedule(db: Database) -> None:
    """Give each sandbox the recurring jobs that it lacks, due after their time, and each of them the interval of its kind's rules.

    A sandbox that is being deleted or reset is left out; it gets them next time.
    """
    every = {kind: rules.every for kind, rules in RULES.items() if rules.every is not None}
    async with db.transaction() as tx:
        await tx.execute(SCHEDULE, list(every), list(every.values()), SANDBOX, OWN_ACTOR)


async def is_open(tx: Session, scope: Scope, kind: JobKind, subject: UUID) -> bool:
    """Return whether a job of this kind about this subject is open: NEW or PROCESSING."""
    return await tx.value(FIND_OPEN, scope.sandbox_id, kind, subject) is not None


async def cancel_job(
    db: Database, scope: Scope, job_id: UUID, *, action: str = "cancelSystemJob", subject: Subject | None = None
) -> Job:
    """Cancel an open job and return it: the pieces that it has committed stay, no other follows. Needs `jobs:write`.

    `action` and `subject`: what the log says was done, and to what; an export has an action of its own. Raises Forbidden, NotFound, and Conflict
    for a job that has ended or that others depend on.
    """
    scope.require(Permission.JOBS_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        kinds = [JobKind(row["kind"]) for row in await tx.rows(READ, scope.sandbox_id, [job_id])]
        if any(RULES[kind].changes_configuration for kind in kinds):
            await tx.value(LOCK_CONFIGURATION, scope.sandbox_id)
        found = jobs_of_rows(await tx.rows(LOCK, scope.sandbox_id, job_id))
        if not found:
            raise NotFound("There is no job with this id.", path=["id"])
        (job,) = found
        if RULES[job.kind].about is About.EXPORT and subject is None:
            raise NotFound("There is no job with this id.", path=["id"])
        if not job.is_open:
            raise Conflict(f"The job is {job.status} already.", path=["id"])
        rules = RULES[job.kind]
        if rules.must_complete and not (rules.may_be_withdrawn and job.attempts == 0):
            raise Conflict(f"A job of type {job.kind} cannot be cancelled: {rules.must_complete}", path=["id"])
        await end(tx, scope, job.kind, job.subject, JobStatus.CANCELLED)
        if rules.give_back:
            await tx.execute(rules.give_back, scope.sandbox_id, job_id)
        before, after = {"status": job.status}, {"status": JobStatus.CANCELLED}
        about = subject or Subject("SystemJob", (job_id,))
        await audit.record(tx, scope, action, about, before=before, after=after)
        return await read_job(tx, scope, job_id)


def jobs_of_rows(rows: Sequence[Any]) -> list[Job]:
    """Make jobs of rows of their table."""
    return [
        Job(
            **{
                **row,
                "kind": JobKind(row["kind"]),
                "status": JobStatus(row["status"]),
                "input": loads(row["input"]),
                "metrics": JobMetrics(**loads(row["metrics"])),
                "receipt": receipt_of(loads(row["receipt"])),
            }
        )
        for row in rows
    ]


def loads(text: str | None) -> Any:
    """Return the JSON value that a column holds, None for a null."""
    return None if text is None else orjson.loads(text)

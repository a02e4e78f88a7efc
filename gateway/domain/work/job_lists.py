"""Jobs as callers see them: by id, and in lists by filter and order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from gateway.domain.rules.keyset import Key, Order, Page, Window, page_of_rows
from gateway.domain.rules.scope import Scope
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import READ, READ_JOBS, Job, JobStatus, jobs_of_rows
from gateway.storage.database import Database
from gateway.storage.queries import query, template
from gateway.telemetry import JobsCounted

LIST = template("job_lists.list_jobs")
COUNT = query("job_lists.count_jobs")
COUNT_OPEN = query("job_lists.count_open_jobs")

STALLED_ATTEMPTS: Final = 3
"""Attempts without progress after which a job that is still tried is stalled."""


class JobOrderField(StrEnum):
    """What comes first in an order of jobs; the id settles what is equal."""

    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """An order of jobs. Only that by `CREATED_AT` has an index: the time of the last change moves with each piece."""

    field: JobOrderField = JobOrderField.CREATED_AT
    descending: bool = True

    def key(self, job: Job) -> Key:
        """Return a job's key in lists of this order."""
        return getattr(job, self.field.lower()), job.job_id

    @property
    def columns(self) -> Order:
        """The order for SQL."""
        return Order((self.field.lower(), "job_id"), (datetime, UUID), self.descending)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are wanted: of any of these statuses and of these kinds. None: of all statuses; of all kinds but recurring ones and exports."""

    statuses: Collection[JobStatus] | None = None
    kinds: Collection[str] | None = None

    @property
    def values(self) -> tuple[list[str] | None, list[str] | None]:
        """The values of a statement's parameters for the filter."""
        statuses = None if self.statuses is None else list[str](self.statuses)
        return statuses, None if self.kinds is None else list(self.kinds)


EVERY_JOB: Final = JobFilter()
NEWEST_FIRST: Final = JobOrder()
FIRST_PAGE: Final = Window()


async def read_jobs(db: Database, scope: Scope, job_ids: Sequence[UUID]) -> list[Job | None]:
    """Read jobs by id, in order; None for an unknown one. Needs any of READ_JOBS. Raises Forbidden."""
    scope.require(*READ_JOBS)
    found = {job.job_id: job for job in jobs_of_rows(await db.rows(READ, scope.sandbox_id, job_ids))}
    return [found.get(job_id) for job_id in job_ids]


async def list_jobs(
    db: Database,
    scope: Scope,
    wanted: JobFilter = EVERY_JOB,
    order: JobOrder = NEWEST_FIRST,
    window: Window = FIRST_PAGE,
) -> Page[Job]:
    """List a page of the sandbox's jobs. Needs any of READ_JOBS. Raises Forbidden, BadCursor."""
    scope.require(*READ_JOBS)
    statement, keys = LIST.page(**order.columns.stretch(window))
    rows = await db.rows(statement, scope.sandbox_id, *wanted.values, window.fetch, *keys)
    return page_of_rows(jobs_of_rows(rows), window)


async def count_jobs(db: Database, scope: Scope, wanted: JobFilter) -> int:
    """Count the sandbox's jobs that are wanted. Needs any of READ_JOBS. Raises Forbidden."""
    scope.require(*READ_JOBS)
    count: int = await db.value(COUNT, scope.sandbox_id, *wanted.values)
    return count


async def count_open_jobs(db: Database) -> list[JobsCounted]:
    """Count the open jobs of all sandboxes by kind; a kind without any has zeros. Needs no permission, as it names no sandbox."""
    found = {row["kind"]: JobsCounted(**row) for row in await db.rows(COUNT_OPEN, STALLED_ATTEMPTS)}
    return [found.get(kind, JobsCounted(kind, 0, 0.0, 0)) for kind in JobKind]

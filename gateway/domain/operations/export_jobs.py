"""Export jobs: what somebody asks to be written to files, and how far that is. An export is a job seen otherwise.

What was asked for is the job's input and never changes; how far it is, is its cursor. `export_profiles` does the work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.operations.erasure_verification import check_stored
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_removal import IS_OVER_NOW, remove_files
from gateway.domain.reading.conditions import Condition, check_condition
from gateway.domain.reading.search import check_search
from gateway.domain.rules import selectors
from gateway.domain.rules.keyset import Page, Window
from gateway.domain.rules.limits import check_room
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.selectors import Selector
from gateway.domain.work import audit, jobs
from gateway.domain.work.audit import Subject
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import (
    FIRST_PAGE,
    NEWEST_FIRST,
    JobFilter,
    JobOrder,
    count_jobs,
    list_jobs,
    read_jobs,
)
from gateway.domain.work.jobs import Job, JobStatus
from gateway.errors import BadInput, BadPql, BadSelector, Conflict, Invalid, NotFound
from gateway.storage.database import Database
from gateway.storage.queries import query, template
from gateway.xdm.classes import XdmClass

READ = template("export_jobs.read_exports").filled(is_over=IS_OVER_NOW)
HOLD_POLICY = query("export_jobs.hold_policy")
COUNT_OPEN = query("export_jobs.count_open")
DELETE = query("export_jobs.delete_export")
LIST_FILES = query("export_jobs.list_files")

EVENT: Final = "event"
"""The store of events, by its name."""

MAX_OPEN: Final = 20
"""Exports of a sandbox that have not ended."""


class ExportFormat(StrEnum):
    """How files are written: columns with types, or a JSON object on each line, packed by gzip."""

    PARQUET = "PARQUET"
    JSONL = "JSONL"


def format_of(asked: ExportFormat | None, subject: UUID | None) -> ExportFormat:
    """Return the format that was asked for; else PARQUET, or JSONL for an export about one person, whose rows have no columns in common."""
    return asked or (ExportFormat.PARQUET if subject is None else ExportFormat.JSONL)


@dataclass(frozen=True, slots=True)
class ExportEvents:
    """Which events of the people go into files of their own: those ingested from a time on, and before another, that satisfy a condition. None: no
    bound; as `fields`, all of them."""

    fields: str | None = None
    from_ingested_at: datetime | None = None
    to_ingested_at: datetime | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be exported: of people as a version of a policy sees them, last modified from a time on, and before another, who satisfy a condition.

    None: no bound; as `fields`, the whole document; as `events`, no events. `empty_profiles`: people without records, too. `location` is as
    somebody gave it: below the directory of exports, or a URL. `subject`: an identity; everything that is stored about its person is exported, as JSONL,
    and nothing else can be chosen. `estimated_bytes`: about how many bytes of people it is to read, as if all satisfied its condition; None where that
    was not estimated.
    """

    policy_id: UUID
    policy_version: int
    format: ExportFormat = ExportFormat.PARQUET
    location: str | None = None
    fields: str | None = None
    where: str | None = None
    from_ingested_at: datetime | None = None
    to_ingested_at: datetime | None = None
    empty_profiles: bool = False
    events: ExportEvents | None = None
    subject: UUID | None = None
    estimated_bytes: int | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "ExportRequest":
        """Return the request that a job's input holds."""
        events = stored["events"] and ExportEvents(**_with_times(stored["events"]))
        subject = stored.get("subject") and UUID(stored["subject"])
        kinds = {"policy_id": UUID(stored["policy_id"]), "format": ExportFormat(stored["format"]), "events": events}
        return cls(**{**_with_times(stored), **kinds, "subject": subject})


class ExportStage(StrEnum):
    """What an export does next."""

    PEOPLE = "PEOPLE"
    EVENTS = "EVENTS"
    MANIFEST = "MANIFEST"
    NOTHING = "NOTHING"


@dataclass(frozen=True, slots=True)
class ExportState:
    """How far an export is that has taken its instant and read people at it.

    `snapshot_at`: the instant; `position`: of the journal then, as a cursor holds it. `people` and `found_events`: how many there were to write.
    `after`: the key behind which the next file begins, of a person or an event; empty: the first one. `profiles` and `events`: how many are in
    files, which are `files` of this stage. `by_store`: of an export about one person, how many rows each store has; `people` and `profiles` are rows then.
    """

    snapshot_at: datetime
    position: Sequence[Any]
    people: int
    found_events: int
    by_namespace: Mapping[str, int]
    stage: ExportStage = ExportStage.PEOPLE
    after: Sequence[str] = ()
    files: int = 0
    profiles: int = 0
    events: int = 0
    expires_at: datetime | None = None
    by_store: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "ExportState | None":
        """Return the state that a job's cursor holds."""
        if stored is None:
            return None
        at, end = (stored[name] and datetime.fromisoformat(stored[name]) for name in ("snapshot_at", "expires_at"))
        return cls(**{**stored, "snapshot_at": at, "expires_at": end, "stage": ExportStage(stored["stage"])})

    @property
    def profiles_exported(self) -> int:
        """How many people are in files."""
        return min(self.profiles, 1) if self.by_store else self.profiles

    @property
    def events_exported(self) -> int:
        """How many events are in files."""
        return self.by_store[EVENT] if self.by_store and self.stage is not ExportStage.PEOPLE else self.events

    @property
    def done(self) -> int:
        """How many people and events were read or written."""
        return self.people + self.profiles + self.events

    @property
    def total(self) -> int:
        """How many there are to read and to write."""
        return 2 * self.people + self.found_events


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file that is whole: its name, and what the manifest tells of it. `job_id`: whose."""

    job_id: UUID
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export as callers see it: its job, what was asked for, how far it is (None before its instant), and its files."""

    job: Job
    request: ExportRequest
    state: ExportState | None = None
    files: Sequence[ExportFile] = field(default=())

    @property
    def job_id(self) -> UUID:
        """Its key."""
        return self.job.job_id


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a configuration understands it: its selectors and conditions, of people and of events."""

    request: ExportRequest
    selector: Selector | None
    where: Condition | None
    event_selector: Selector | None
    event_where: Condition | None


# ------------------------------------------------------------------------------------------------ what is asked for


async def check_request(db: Database, scope: Scope, config: Configuration, request: ExportRequest) -> MergePolicy:
    """Check that people can be read so, that something is stored about a subject, and return the policy that they are read by.

    Raises Invalid and NotFound, with the path of the field at fault; Unavailable while the policy's profiles are built.
    """
    policy = config.policies.find(request.policy_id)
    if policy is None:
        raise NotFound("There is no merge policy with this id.", path=["mergePolicyId"])
    if request.where is not None:
        try:
            await check_search(db, scope, policy)
        except BadInput as error:
            raise Invalid(error.message, path=["where"]) from error
    if request.subject is not None:
        try:
            await check_stored(db, scope, request.subject)
        except NotFound as error:
            raise NotFound(error.message, path=["subject"]) from error
    return policy


async def understand(config: Configuration, request: ExportRequest) -> Asked:
    """Return a request as the configuration understands it. Raises Invalid, with the path of the field at fault."""
    _check_choice(request)
    events = request.events or ExportEvents()
    _check_window(request.from_ingested_at, request.to_ingested_at)
    _check_window(events.from_ingested_at, events.to_ingested_at, "events")
    profile, event = XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT
    return Asked(
        request,
        _selector(config, profile, request.fields, "fields"),
        await _condition(config, profile, request.where, "where"),
        _selector(config, event, events.fields, "events", "fields"),
        await _condition(config, event, events.where, "events", "where"),
    )


def _check_choice(request: ExportRequest) -> None:
    """Check that nothing is chosen of what is stored about one person. Raises Invalid."""
    if request.subject is None:
        return
    if request.format is not ExportFormat.JSONL:
        raise Invalid(
            "What is stored about one person has no columns: an export of a subject is JSONL.", path=["format"]
        )
    for name in ("fields", "where", "from_ingested_at", "to_ingested_at", "empty_profiles", "events"):
        if getattr(request, name) not in (None, False):
            head, *rest = name.split("_")
            raise Invalid(
                "An export of a subject has everything that is stored about it: leave this out.",
                path=[head + "".join(map(str.title, rest))],
            )


def _check_window(since: datetime | None, until: datetime | None, *path: str) -> None:
    if since is not None and until is not None and since >= until:
        raise Invalid("It is to end after it begins.", path=[*path, "toIngestedAt"])


def _selector(config: Configuration, xdm_class: XdmClass, text: str | None, *path: str) -> Selector | None:
    if text is None:
        return None
    try:
        return selectors.parse(text, config.with_codes(config.full_union(xdm_class)))
    except BadSelector as error:
        raise Invalid(error.message, path=path, line=error.line, column=error.column) from error


async def _condition(config: Configuration, xdm_class: XdmClass, text: str | None, *path: str) -> Condition | None:
    if text is None:
        return None
    try:
        found = await check_condition(config, (xdm_class, text))
        if isinstance(found, Condition):
            return found
        raise found[0].error
    except BadPql as error:
        raise Invalid(error.message, path=path, line=error.line, column=error.column) from error


# ------------------------------------------------------------------------------------------------ verbs


async def create_export_job(
    db: Database, scope: Scope, config: Configuration, request: ExportRequest, locations: Locations
) -> ExportJob:
    """Ask for an export, which a worker does. Needs `jobs:write` and `profile:read`.

    Raises Forbidden; Invalid and NotFound with the path of the field at fault; TooMany; Conflict where the policy has just been changed; Unavailable while profiles are built.
    """
    scope.require(Permission.JOBS_WRITE)
    scope.require(Permission.PROFILE_READ)
    locations.check(request.location)
    await understand(config, request)
    await check_request(db, scope, config, request)
    async with db.transaction(scope.sandbox_id) as tx:
        if await tx.value(HOLD_POLICY, scope.sandbox_id, request.policy_id, request.policy_version) is None:
            raise Conflict("The merge policy has just been changed.", path=["mergePolicyId"])
        check_room(await tx.value(COUNT_OPEN, scope.sandbox_id), MAX_OPEN, "exports at once", "A sandbox")
        job_id = await jobs.enqueue(tx, scope, JobKind.EXPORT_PROFILES, uuid4(), input=request)
        await audit.record(tx, scope, "createExportJob", _subject(job_id), after=request)
        return ExportJob(await jobs.read_job(tx, scope, job_id), request)


async def cancel_export_job(db: Database, scope: Scope, job_id: UUID) -> ExportJob:
    """Cancel an export that has not ended; its files go within moments. Needs `jobs:write`. Raises Forbidden, NotFound, Conflict."""
    scope.require(Permission.JOBS_WRITE)
    await _known(db, scope, job_id)
    job = await jobs.cancel_job(db, scope, job_id, action="cancelExportJob", subject=_subject(job_id))
    async with db.transaction(scope.sandbox_id) as tx:
        await jobs.hasten(tx, scope, JobKind.EXPIRE_EXPORTS)
    (export,) = await _exports(db, scope, [job])
    return replace(export, files=())


async def delete_export_job(db: Database, scope: Scope, job_id: UUID, locations: Locations) -> None:
    """Delete an export that has ended, and its files. Needs `jobs:write`. Raises Forbidden, NotFound, and Conflict for one that has not ended."""
    scope.require(Permission.JOBS_WRITE)
    export = await _known(db, scope, job_id)
    async with db.transaction(scope.sandbox_id) as tx:
        if await tx.value(DELETE, scope.sandbox_id, job_id) is None:
            raise Conflict("The export has not ended; cancel it first.", path=["id"])
        await audit.record(tx, scope, "deleteExportJob", _subject(job_id), before=export.request)
        await jobs.hasten(tx, scope, JobKind.EXPIRE_EXPORTS)
    await remove_files(db, scope, locations, await db.rows(LIST_FILES, scope.sandbox_id, job_id))


async def read_export_jobs(db: Database, scope: Scope, job_ids: Sequence[UUID]) -> list[ExportJob | None]:
    """Read exports by id, in order; None for an unknown one. Needs any of `jobs.READ_JOBS`. Raises Forbidden."""
    found = [job for job in await read_jobs(db, scope, job_ids) if job and job.kind is JobKind.EXPORT_PROFILES]
    exports = {export.job_id: export for export in await _exports(db, scope, found)}
    return [exports.get(job_id) for job_id in job_ids]


async def list_export_jobs(
    db: Database,
    scope: Scope,
    statuses: Sequence[JobStatus] | None = None,
    order: JobOrder = NEWEST_FIRST,
    window: Window = FIRST_PAGE,
) -> Page[ExportJob]:
    """List a page of the sandbox's exports. Needs any of `jobs.READ_JOBS`. Raises Forbidden, BadCursor."""
    page = await list_jobs(db, scope, JobFilter(statuses, [JobKind.EXPORT_PROFILES]), order, window)
    return Page(await _exports(db, scope, page.items), page.has_next, page.has_previous)


async def count_export_jobs(db: Database, scope: Scope, statuses: Sequence[JobStatus] | None = None) -> int:
    """Count the sandbox's exports. Needs any of `jobs.READ_JOBS`. Raises Forbidden."""
    return await count_jobs(db, scope, JobFilter(statuses, [JobKind.EXPORT_PROFILES]))


# ------------------------------------------------------------------------------------------------


async def _known(db: Database, scope: Scope, job_id: UUID) -> ExportJob:
    (known,) = await read_export_jobs(db, scope, [job_id])
    if known is None:
        raise NotFound("There is no export with this id.", path=["id"])
    return known


async def _exports(db: Database, scope: Scope, found: Sequence[Job]) -> list[ExportJob]:
    """Return the exports that these jobs are."""
    rows = await db.rows(READ, scope.sandbox_id, [job.job_id for job in found]) if found else []
    known = {row["job_id"]: row for row in rows}
    return [_export(job, known[job.job_id]) for job in found if job.job_id in known]


def _export(job: Job, row: Any) -> ExportJob:
    files = tuple(ExportFile(job.job_id, **each) for each in orjson.loads(row["files"] or "[]"))
    return ExportJob(job, ExportRequest.of(job.input), ExportState.of(jobs.loads(row["cursor"])), files)


def _subject(job_id: UUID) -> Subject:
    return Subject("ExportJob", (job_id,))


def _with_times(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a stored object with their times read."""
    times = {name: stored[name] for name in ("from_ingested_at", "to_ingested_at")}
    return {**stored, **{name: text and datetime.fromisoformat(text) for name, text in times.items()}}

"""Exporting: the job that takes an instant, reads everybody who is wanted at it, and writes them and their events to files.

1. `export_spool`: take the instant and read people at it. Killed before that is done, the job does it anew.
2. `export_files`: write people, then events, then the manifest; each file is committed once it is whole.
3. Forget what was read. The files stay until their time is over.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.export_files import write_events, write_manifest, write_people
from gateway.domain.operations.export_jobs import LIST_FILES, READ, ExportRequest, ExportStage, ExportState
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_removal import remove_files
from gateway.domain.operations.export_rows import Export
from gateway.domain.operations.export_spool import EMPTY_PEOPLE, empty, take_instant, understood
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.jobs import loads
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

HAS_PEOPLE = query("export_jobs.has_people")


async def export_profiles(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    job: LeasedJob,
    *,
    locations: Locations,
    days: float,
    most: int,
) -> None:
    """Write an export: a job, a file in each piece. `days`: how long its files are kept; `most`: bytes that it may read before it writes."""
    request, state = ExportRequest.of(job.input), ExportState.of(job.cursor)
    kept_folder = locations.folder_of(scope, job.job_id, request.location)
    if state is None or not await _is_read(db, scope, job, state):
        await remove_files(db, scope, locations, await db.rows(LIST_FILES, scope.sandbox_id, job.job_id))
        state = await take_instant(db, scope, configurations, job, request, most=most)
    config = await configurations.read(db, scope)
    asked = await understood(db, config, request, state.snapshot_at)
    export = Export(db, scope, config, job, asked, locations.at(kept_folder), kept_folder)
    if state.stage is ExportStage.PEOPLE:
        state = await write_people(export, state)
    if state.stage is ExportStage.EVENTS:
        state = await write_events(export, state)
    if state.stage is ExportStage.MANIFEST:
        expires_at = await read_instant(db) + timedelta(days=days)
        state = replace(state, expires_at=expires_at)
        await write_manifest(export, state, await _files(db, scope, job))
    await _forget(db, scope, job)


async def _is_read(db: Database, scope: Scope, job: LeasedJob, state: ExportState) -> bool:
    """Return whether what was read is there: a crash of Postgres empties the table."""
    if state.stage is not ExportStage.PEOPLE or not state.people:
        return True
    found: bool = await db.value(HAS_PEOPLE, scope.sandbox_id, job.job_id)
    return found


async def _files(db: Database, scope: Scope, job: LeasedJob) -> list[dict[str, Any]]:
    (row,) = await db.rows(READ, scope.sandbox_id, [job.job_id])
    return loads(row["files"]) or []


async def _forget(db: Database, scope: Scope, job: LeasedJob) -> None:
    """Remove what was read of people. Raises LeaseLost."""

    async def advance(tx: Session, _: int) -> None:
        await leases.advance(tx, job, job.cursor, done=job.done)

    await empty(db, scope, EMPTY_PEOPLE, job.job_id, advance)

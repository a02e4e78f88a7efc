"""Retention of exports: a recurring job removes files whose time is over, and what is left of exports that ended or are gone.

Files of an export that was cancelled, deleted or failed go with the next run, which is hastened when it ends.
"""

import asyncio
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations.export_locations import Locations, of_sandbox
from gateway.domain.operations.export_removal import IS_OVER, remove_files
from gateway.domain.operations.export_spool import EMPTY_IDENTITIES, EMPTY_PEOPLE, empty
from gateway.domain.operations.export_withdrawal import WITH_IDENTITIES
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database, Session
from gateway.storage.queries import fill, query, template

LIST_DUE_FILES = template("export_jobs.list_due_files").filled(is_over=fill(IS_OVER, at="$2"))
LIST_SPOOLED = query("export_jobs.list_spooled")
LIST_UNFILED = template("export_jobs.list_unfiled").filled(with_identities=WITH_IDENTITIES)
LIST_KNOWN = query("export_jobs.list_known")

FILES_PER_PIECE = 100


async def expire_exports(
    db: Database, scope: Scope, _configurations: Configurations, job: LeasedJob, *, locations: Locations
) -> None:
    """Remove files that nobody is to read any more, and what exports hold that have ended: a job, in pieces."""
    removed = FILES_PER_PIECE
    while removed == FILES_PER_PIECE:
        rows = await db.rows(LIST_DUE_FILES, scope.sandbox_id, await read_instant(db), FILES_PER_PIECE)
        removed = await remove_files(db, scope, locations, rows, job)

    async def advance(tx: Session, removed: int) -> None:
        await leases.advance(tx, job, None, done=job.done + removed, records=removed)

    for ended, statement in ((LIST_SPOOLED, EMPTY_PEOPLE), (LIST_UNFILED, EMPTY_IDENTITIES)):
        for row in await db.rows(ended, scope.sandbox_id):
            await empty(db, scope, statement, row["job_id"], advance)
    organization, _ = of_sandbox(scope)
    await _sweep(db, scope, locations.directory / organization)


async def _sweep(db: Database, scope: Scope, directory: Path) -> None:
    """Remove folders in the organization's directory that nobody knows of: of exports of this sandbox that are gone, and of sandboxes that are."""
    for sandbox_id in await asyncio.to_thread(_sandboxes, directory):
        if sandbox_id == scope.sandbox_id:
            folders = await asyncio.to_thread(_folders, directory / str(sandbox_id))
            rows = await db.rows(LIST_KNOWN, scope.sandbox_id, list(folders))
            unknown: Iterable[Path] = [folders[one] for one in folders.keys() - {row["job_id"] for row in rows}]
        elif await read_own_scope(db, sandbox_id) is None:
            unknown = [directory / str(sandbox_id)]
        else:
            continue
        for path in unknown:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _sandboxes(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.glob("[0-9]*") if path.name.isdecimal() and path.is_dir()]


def _folders(directory: Path) -> dict[UUID, Path]:
    """Return the folders of exports below a directory, by their jobs."""
    found = dict[UUID, Path]()
    for at, names, _ in os.walk(directory):
        for name in list(names):
            try:
                found[UUID(name)] = Path(at) / name
            except ValueError:
                continue
            names.remove(name)
    return found

"""Reading files of exports back, wherever they are."""

import asyncio
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_removal import IS_OVER_NOW
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import NotFound
from gateway.storage.database import Database
from gateway.storage.queries import template

FIND_FILE = template("export_jobs.find_file").filled(is_over=IS_OVER_NOW)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is whole: its bytes, which can be read from any place, how many they are, and their SHA-256. It is to be closed."""

    content: BinaryIO
    size: int
    sha256: str


async def open_export_file(db: Database, scope: Scope, locations: Locations, job_id: UUID, path: str) -> OpenFile:
    """Open a file of an export. Needs `profile:read`. Raises Forbidden; NotFound for one that is not there, or not any more; Unavailable."""
    scope.require(Permission.PROFILE_READ)
    row = await db.row(FIND_FILE, scope.sandbox_id, job_id, path) if "\0" not in path else None
    if row is None or not row["may_be_read"]:
        raise NotFound("The sandbox has no such file of an export, or has it no more.")
    try:
        content = await asyncio.to_thread(locations.at(row["folder"]).open, path)
    except FileNotFoundError as error:
        raise NotFound("The file of the export is gone.") from error
    return OpenFile(content, row["bytes"], row["sha256"])

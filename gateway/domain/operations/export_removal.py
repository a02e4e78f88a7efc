"""Removing files of exports, wherever they are, and then what is known of them."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from gateway.domain.operations.export_locations import Locations
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.errors import GatewayError
from gateway.storage.database import Database
from gateway.storage.queries import fill, part, query
from gateway.telemetry import FaultMasked, observe

REMOVE_FILES = query("export_jobs.remove_files")

IS_OVER: Final = part("export_jobs.is_over")
IS_OVER_NOW: Final = fill(IS_OVER, at="(select gateway.now())")
"""Whether nobody is to read a file of an export any more."""


async def remove_files(
    db: Database, scope: Scope, locations: Locations, rows: Sequence[Any], job: LeasedJob | None = None
) -> int:
    """Remove the files of rows with `job_id`, `path` and `folder`, and return how many are gone; with the progress of a job that does so.

    Files that a location does not let go stay known. Needs no permission. Raises LeaseLost.
    """
    gone = 0
    for (job_id, folder), group in groupby(rows, key=itemgetter("job_id", "folder")):
        paths = [row["path"] for row in group]
        try:
            await asyncio.to_thread(lambda at, names: locations.at(at).remove(names), folder, paths)
        except GatewayError as error:
            observe(FaultMasked(error))
            continue
        async with db.transaction(scope.sandbox_id) as tx:
            await tx.execute(REMOVE_FILES, scope.sandbox_id, [job_id] * len(paths), paths)
            if job is not None:
                await leases.advance(tx, job, None, done=job.done + len(paths), records=len(paths))
        gone += len(paths)
    return gone

"""People who are erased go from edges, too: the job waits until each edge has confirmed what was committed when the hub had done all."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from gateway.domain.operations.projection_centers import list_deliveries, read_reached
from gateway.domain.operations.projection_withdrawals import sum_withdrawn
from gateway.domain.rules.scope import Scope
from gateway.domain.work.leases import JobWaits, LeasedJob
from gateway.domain.work.receipts import DeletionReceipt
from gateway.storage.database import Database

DONE_AT: Final = "done_at"
"""Where the cursor of a job has the time when all was committed at the hub."""

LOOK_SECONDS: Final = 0.5
"""Between two looks at what edges have confirmed."""

AWAY_SECONDS: Final = 10.0
"""Between two looks where edges do not answer."""


async def confirmed_at_edges(
    db: Database, scope: Scope, job: LeasedJob, data_centers: Collection[str]
) -> DeletionReceipt:
    """Return what went from edges, once all of these data centres that have something of the sandbox have confirmed it. Needs no permission.

    Edges in other data centres, which are delivered to no longer, are named. Raises JobWaits until then.
    """
    done_at = datetime.fromisoformat(job.cursor[DONE_AT])
    behind = [
        each.data_center
        for each in await list_deliveries(db, scope)
        if each.confirmed_at is None or each.confirmed_at < done_at
    ]
    if awaited := [each for each in behind if each in data_centers]:
        reached = await read_reached(db, awaited)
        if away := [
            f"{each}: {reached[each].error or 'it does not answer'}"
            for each in awaited
            if not reached[each].is_reachable
        ]:
            raise JobWaits(f"Edges have yet to confirm it ({'; '.join(away)}).", AWAY_SECONDS, is_begun=True)
        raise JobWaits(None, LOOK_SECONDS, is_begun=True)
    left = tuple(each for each in behind if each not in data_centers)
    return DeletionReceipt(projections=await sum_withdrawn(db, scope, job.job_id), unconfirmed_data_centers=left)

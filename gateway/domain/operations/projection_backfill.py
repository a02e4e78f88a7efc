"""The job that stands for a configuration which edges are filled with: it ends once every edge serves the newest edition.

The filling itself is done by the processes that deliver to edges; the job says how far they are, and holds no slot meanwhile.
"""

from collections.abc import Collection
from typing import Final

from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.projection_centers import list_configuration_deliveries, read_reached
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import JobWaits, LeasedJob
from gateway.storage.database import Database

LOOK_SECONDS: Final = 1.0
"""Between two looks at how far edges are."""


async def backfill_projection(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, *, data_centers: Collection[str]
) -> None:
    """Wait until the edges in those of these data centres to which a configuration goes serve its newest edition.

    Raises JobWaits until then, which names edges that do not answer.
    """
    config = await configurations.read(db, scope)
    configuration = config.projections.get(job.subject)
    if configuration is None:
        return
    destination = config.destinations[configuration.settings.destination_id]
    awaited = [each for each in destination.settings.data_centers if each in data_centers]
    told = await list_configuration_deliveries(db, scope)
    known = {each.data_center: each for each in told if each.configuration_id == job.subject}
    lacking = [each for each in awaited if each not in known or not known[each].serves(configuration.content_version)]
    found = [known[each] for each in awaited if each in known]
    total = sum(each.total or 0 for each in found) if len(found) == len(awaited) else None
    async with db.transaction(scope.sandbox_id) as tx:
        await leases.advance(tx, job, None, done=sum(each.done for each in found), total=total)
    if lacking:
        reached = await read_reached(db, lacking)
        why = [
            f"{each}: {reached[each].error or 'it does not answer'}"
            for each in lacking
            if not reached[each].is_reachable
        ]
        why += [f"{each.data_center}: {each.error}" for each in found if each.error]
        raise JobWaits(f"Edges: {'; '.join(why)}." if why else None, LOOK_SECONDS, is_begun=True)

"""Attributes that followers of changes name: their values are kept as those that searches read, so that a window that slides is a change."""

from collections.abc import Sequence

from gateway.domain.config.attribute_programs import in_order
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.reading.computed_attributes import published_attributes
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.kept_values import KnownValues, fold, list_kept, note_use
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import enqueue, hasten
from gateway.storage.database import Database


async def follow_attributes(
    db: Database, scope: Scope, config: Configuration, policy: MergePolicy, names: Sequence[str]
) -> None:
    """Have the values of published attributes of people kept, by their names, and of all that they read, as far as their windows slide.

    A job computes them, and looks for windows that have slid each hour from then on. Needs `profile:read`. Raises Forbidden; BadInput for a
    name that no published attribute of people has.
    """
    scope.require(Permission.PROFILE_READ)
    programs = in_order(config.programs.programs, [each.name for each in published_attributes(config, names)])
    sliding = {each.name for each in programs if each.is_of_events and each.window.lookback is not None}
    attributes = [each for each in config.attributes.values() if each.is_published and each.name in sliding]
    if not attributes:
        return
    graph = policy.settings.identity_graph
    kept = {each.attribute_id for each in await list_kept(db, scope) if each.identity_graph == graph}
    begun = [each for each in attributes if each.attribute_id not in kept]
    for attribute in begun:
        await fold(db, scope, config, policy, attribute)
    if begun:
        async with db.transaction(scope.sandbox_id) as tx:
            await enqueue(tx, scope, JobKind.REFRESH_KEPT_VALUES)
            await hasten(tx, scope, JobKind.REFRESH_KEPT_VALUES)
    await note_use(db, scope, KnownValues(db, graph, attributes), await read_instant(db))

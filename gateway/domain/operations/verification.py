"""Verification: every view rebuilds itself from the facts, and compares what it made with what is stored. Nothing is written.

Facts are read in one snapshot, component by component, so writers go on. Rows that differ from what the facts make, are missing, or are
stored though no fact makes them are found; and events that are stored twice, and batches that count other facts than are stored.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID, uuid4

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.namespaces import STANDARD
from gateway.domain.operations.batch_verification import verify_batches
from gateway.domain.operations.event_verification import verify_events
from gateway.domain.operations.kept_values import verify_kept_values
from gateway.domain.rules.normalization import NEWEST, RULES
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.check import Check, Difference, Piece
from gateway.domain.views.graph_component import read_component
from gateway.domain.views.graph_rebuild import group_component
from gateway.domain.views.pipeline import VIEWS
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import query

LIST_IDENTITIES = query("verification.list_identities")
LIST_VALUES = query("verification.list_values")

IDENTITIES_PER_READ: Final = 1_000


async def verify(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    sample: int | None = None,
    progress: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> list[Difference]:
    """List the differences between the sandbox's views and its facts, for all identities or for about `sample` of them.

    Rows of views that no fact makes are looked for only without `sample`. If a row of the configuration cannot be used, list only such
    rows. `progress` is called with the numbers of rows compared so far: of `identities`, of each view by its name, and of `events` and `batches`.
    Profiles of a policy that is being built are skipped. After a change of the identity settings people are listed until the job has
    regrouped them. Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    async with configurations.snapshot(db, scope) as (tx, config):
        if config.broken:  # views cannot be rebuilt by what is broken
            return [
                Difference(row.table, str(row.key), f"{row.name!r} cannot be used: {row.fault}")
                for row in config.broken
            ]
        check = Check(tx, scope, config)
        seen = set[UUID]()
        after = NIL if sample is None else uuid4()  # xids are hashes: those after any value are a fair sample
        while sample is None or len(seen) < sample:
            rows = await tx.rows(LIST_IDENTITIES, scope.sandbox_id, after, IDENTITIES_PER_READ)
            if not rows:
                break
            after = rows[-1]["xid"]
            await _verify_piece(check, {row["xid"] for row in rows} - seen, seen)
            progress(check.compared)
        if sample is None:
            for view in VIEWS:
                await view.verify_rest(check)
            await verify_kept_values(check)
            await verify_batches(check)
            progress(check.compared)
        return check.differences


async def _verify_piece(check: Check, seeds: set[UUID], seen: set[UUID]) -> None:
    """Have every view compare the rows of these identities and of their components. Add the identities to those `seen`."""
    component = await read_component(check.tx, check.scope, check.config, seeds, recount=True)
    xids = list(component.degree_limits.keys() - seen)
    seen.update(xids)
    check.compared["identities"] += len(xids)
    piece = Piece(xids, component, group_component(check.config, component))
    for view in VIEWS:
        await view.verify(check, piece)
    await verify_events(check, piece)


async def count_other_spellings(db: Database, scope: Scope, configurations: Configurations) -> int:
    """Count the identities that the newest text rules would normalize to another value, or take for placeholders.

    They stay as they are: a sandbox keeps the text rules that it was made with. Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    if scope.sandbox.text_rules == NEWEST:
        return 0
    config, rules, count, after = await configurations.read(db, scope), RULES[NEWEST], 0, NIL
    today = {namespace.namespace_id: namespace.normalization for namespace in (*config.namespaces.values(), *STANDARD)}
    while rows := await db.rows(LIST_VALUES, scope.sandbox_id, after, IDENTITIES_PER_READ):
        after = rows[-1]["xid"]
        for _, namespace_id, value in rows:
            count += rules.is_placeholder(value) or rules.forms[today[namespace_id]](value) != value
    return count

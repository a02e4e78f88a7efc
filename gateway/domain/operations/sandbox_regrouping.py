"""Regrouping: the job that rebuilds a sandbox's identity graphs after a change of its identity settings."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.namespaces import Namespace
from gateway.domain.reading.people import COUNT
from gateway.domain.rules.graphs import Rules
from gateway.domain.rules.scope import Scope
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import exclusive_transaction, shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

LIST_GRAPHS = query("graph_rebuild.list_graphs")

PEOPLE_PER_PIECE = 500
"""How many people one piece of the job examines."""


async def regroup_identities(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Group all people of a sandbox by its present identity settings: a job, in pieces."""
    last: UUID | None = UUID(job.cursor) if job.cursor else NIL
    while last is not None:
        last = await _regroup(db, scope, configurations, job, last)


async def _regroup(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, after: UUID
) -> UUID | None:
    """Group the next people. Return the id of the last one, or None when no more are left.

    The exclusive lock is taken only if a graph among them may change; most stay as they are.
    """
    config = await configurations.read(db, scope)
    rows = await db.rows(LIST_GRAPHS, scope.sandbox_id, after, PEOPLE_PER_PIECE)
    if not rows:
        return None
    seeds = {xid for row in rows if _may_change(row, config.namespaces, config.rules) for xid in row["xids"]}
    if seeds:
        async with exclusive_transaction(db, scope, configurations) as change:
            change.seeds = seeds
            await refresh(change)
            await _advance(change.tx, scope, job, rows, changed=len(change.effects.people))
    else:
        async with shared_transaction(db, scope, configurations) as (tx, _):
            await _advance(tx, scope, job, rows, changed=0)
    last: UUID = rows[-1]["profile_id"]
    return last


async def _advance(tx: Session, scope: Scope, job: LeasedJob, rows: Sequence[Any], *, changed: int) -> None:
    done = job.done + len(rows)  # people who are split are counted twice
    total = job.total or await tx.value(COUNT, scope.sandbox_id)
    last = str(rows[-1]["profile_id"])
    await leases.advance(tx, job, last, done=done, total=max(done, total), records=len(rows), profiles=changed)


def _may_change(row: Any, namespaces: Mapping[int, Namespace], rules: Rules) -> bool:
    """Tell whether the rules may change a graph. One without refused links that breaks no rule stays as it is."""
    if row["is_contested"]:
        return True
    identity_map = orjson.loads(row["identity_map"]) if rules.unique else {}
    return any(len(identity_map.get(namespaces[number].code, ())) > 1 for number in rules.unique)

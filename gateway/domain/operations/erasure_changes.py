"""Erasing: taking people out of the journal, so that its followers still hear who is gone.

A row that says who was merged into an erased person, or that an erased one was merged into somebody, goes, or no longer says so. A follower who
has not read it would keep that former person for good. So each of them is told of again, before.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import ChangeKind, Effects, PersonChange
from gateway.domain.views.graph_union import READ_GRAPHS, READ_MEMBERS
from gateway.domain.views.journal import write_changes
from gateway.domain.views.transactions import exclusive_transaction
from gateway.storage.database import Database, Session
from gateway.storage.queries import part, template

NAMED: Final = part("erasure.named_in_changes")
FIND_FORMER_IDS = template("erasure.find_former_ids").filled(named=NAMED)
FORGET_CHANGES = template("erasure.forget_changes").filled(named=NAMED)


@asynccontextmanager
async def telling_of_former_people(
    db: Database, scope: Scope, configurations: Configurations, rows: tuple[Any, ...]
) -> AsyncIterator[Session]:
    """Write into the journal what has become of former people, and yield the transaction, for FORGET_CHANGES to take their ids out. `rows`: its arguments.

    Needs no permission. It waits for the exclusive lock only where there are such people. Raises NotFound.
    """
    former = await db.value(FIND_FORMER_IDS, *rows)
    if not former:
        async with db.transaction(scope.sandbox_id) as tx:
            yield tx
        return
    async with exclusive_transaction(db, scope, configurations) as change:
        await write_changes(change.tx, scope, change.seq, change.at, await _become(change.tx, scope, former))
        yield change.tx


async def _become(tx: Session, scope: Scope, former: Collection[UUID]) -> Effects:
    """Say whose the ids of former people are now. Of somebody who has the id again, their own row tells."""
    owners = {row["xid"]: row["profile_id"] for row in await tx.rows(READ_MEMBERS, scope.sandbox_id, list(former))}
    graphs = {row["profile_id"]: row for row in await tx.rows(READ_GRAPHS, scope.sandbox_id, list(owners.values()))}
    effects, merged = Effects(), dict[UUID, list[UUID]]()
    for one in former:
        if owners.get(one) in graphs:
            merged.setdefault(owners[one], []).append(one)
        else:
            effects.people[one] = PersonChange(ChangeKind.DELETED, one, (one,))
    for owner, ids in merged.items():
        others = tuple(sorted(one for one in ids if one != owner))
        if others:
            effects.people[owner] = PersonChange(ChangeKind.MERGED, owner, tuple(graphs[owner]["xids"]), others)
    return effects

"""People who vanish whole: no fact names any of their identities any more. They go by set, without a look at ties."""

from collections.abc import Collection
from uuid import UUID

from gateway.domain.rules.scope import Scope
from gateway.storage.database import Session
from gateway.storage.queries import part, template

DROP_VANISHED, DROP_VANISHED_OF_CLUSTER = (
    template("graph_vanishing.drop_vanished").filled(vanished=part(f"graph_vanishing.{name}"))
    for name in ("vanished", "vanished_of_cluster")
)


async def drop_vanished(tx: Session, scope: Scope, xids: Collection[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """Delete the people of these identities, with all of their identities, who have no fact left. Return their members by profile id.

    Contested graphs stay for a rebuild: their component has other people. Needs the exclusive lock of the sandbox's facts.
    """
    drop = DROP_VANISHED_OF_CLUSTER if tx.is_distributed else DROP_VANISHED
    rows = await tx.rows(drop, scope.sandbox_id, list(xids)) if xids else []
    return {row["profile_id"]: tuple(row["xids"]) for row in rows}

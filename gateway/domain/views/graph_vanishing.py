"""People who vanish whole: no fact names any of their identities any more. They go by set, without a look at ties."""

from collections.abc import Collection
from uuid import UUID

from gateway.domain.rules.scope import Scope
from gateway.storage.database import Session
from gateway.storage.queries import query

DROP_VANISHED = query("graph_vanishing.drop_vanished")


async def drop_vanished(tx: Session, scope: Scope, xids: Collection[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """Delete the people of these identities, with all of their identities, who have no fact left. Return their members by profile id.

    Contested graphs stay for a rebuild: their component has other people. Needs the exclusive lock of the sandbox's facts.
    """
    rows = await tx.rows(DROP_VANISHED, scope.sandbox_id, list(xids)) if xids else []
    return {row["profile_id"]: tuple(row["xids"]) for row in rows}

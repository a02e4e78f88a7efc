"""Fills: an edition of a configuration that an edge does not serve yet, and how far it is filled."""

from dataclasses import dataclass
from uuid import UUID

from gateway.storage.database import Reader, Session
from gateway.storage.queries import EDGE, query

BEGIN = query("fills.begin_fill", EDGE)
NOTE = query("fills.note_fill", EDGE)
LIST = query("fills.list_fills", EDGE)


@dataclass(frozen=True, slots=True)
class Fill:
    """An edition that is filled. `filled_to` is the hub's own, None at the beginning; `done` counts people."""

    configuration_id: UUID
    edition: int
    filled_to: str | None
    done: int


async def begin_fill(tx: Session, sandbox_id: int, configuration_id: UUID, edition: int) -> None:
    """Begin to fill an edition; what is filled of it already stays."""
    await tx.execute(BEGIN, sandbox_id, configuration_id, edition)


async def note_fill(
    tx: Session, sandbox_id: int, configuration_id: UUID, edition: int, *, filled_to: str | None, done: int
) -> None:
    """Note how far an edition is filled, in the transaction that did so."""
    await tx.execute(NOTE, sandbox_id, configuration_id, edition, filled_to, done)


async def list_fills(db: Reader, sandbox_id: int) -> list[Fill]:
    """List the editions of a sandbox's configurations that are filled."""
    return [Fill(**row) for row in await db.rows(LIST, sandbox_id)]

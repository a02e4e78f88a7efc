"""The store of a data centre: its schema, which data centre it belongs to, and which hub delivers to it."""

from typing import Final

from gateway.errors import Conflict, SchemaError, SettingsError
from gateway.storage.database import Database, Session
from gateway.storage.migrations import check_schema, expected_version, migrate
from gateway.storage.queries import EDGE, query

NAME = query("centers.name_center", EDGE)
LOCK = query("centers.lock_center", EDGE)
LET_DELIVER = query("centers.let_deliver", EDGE)

SILENT_SECONDS: Final = 60.0
"""How long a hub may say nothing in the middle of a delivery: it is longer than it reads people for one statement."""


async def migrate_store(dsn: str) -> None:
    """Bring a store to the newest schema. Raises as `migrate` does."""
    await migrate(dsn, EDGE)


async def check_store(db: Database) -> None:
    """Check that a store has the schema that this code was written for. Raises SchemaError if not, Unavailable."""
    await check_schema(db, EDGE)


async def name_center(db: Database, data_center: str) -> None:
    """Make a new store that of a data centre. Raises SettingsError for the store of another one."""
    named = await db.value(NAME, data_center)
    if named != data_center:
        raise SettingsError(f"This is the store of the edge {named}, not of {data_center}.")


async def begin_delivery(tx: Session, *, hub: str, data_center: str, fence: int) -> None:
    """Begin a transaction that delivers to an edge. No other one does so before it ends.

    `hub` names the deployment, for ever the same: the first to deliver is the only one. `fence` grows with each projector that takes over from
    another. The edge ends a delivery whose hub says nothing for SILENT_SECONDS. Raises Conflict for another hub or data centre and for a smaller fence, SchemaError where the edge is of another version.
    """
    row = await tx.row(LOCK, f"{round(SILENT_SECONDS * 1_000)}ms")
    if row is None or row["code"] != data_center:
        raise Conflict(f"The edge is {row['code'] if row else 'nameless'}, not {data_center}.")
    if row["schema_version"] != expected_version(EDGE):
        raise SchemaError(
            f"The edge {data_center} has the schema {row['schema_version']}, and this gateway delivers to {expected_version(EDGE)}:"
            " bring both to one version."
        )
    if row["hub"] not in {None, hub}:
        raise Conflict(f"Another deployment delivers to the edge {data_center}.")
    if fence < row["fence"]:
        raise Conflict(f"Another projector has taken over the edge {data_center}.")
    if (row["hub"], row["fence"]) != (hub, fence):
        await tx.execute(LET_DELIVER, hub, fence)

"""The role `gateway_hub`, as which hubs connect to the store of an edge: it may write what is delivered, and nothing else."""

from typing import Final

from gateway.storage.database import Database
from gateway.storage.queries import EDGE, query

CREATE = query("hub_role.create_role", EDGE)
REMEMBER_PASSWORD = query("hub_role.remember_password", EDGE)
SET_PASSWORD = query("hub_role.set_password", EDGE)
ALLOW = query("hub_role.allow_deliveries", EDGE)

HUB_ROLE: Final = "gateway_hub"


async def create_hub_role(db: Database, password: str | None) -> None:
    """Create the role if there is none, and give it a password unless that is None."""
    async with db.transaction() as tx:
        await tx.execute(CREATE)
        if password is not None:
            await tx.value(REMEMBER_PASSWORD, password)
            await tx.execute(SET_PASSWORD)


async def allow_deliveries(db: Database) -> None:
    """Allow the role what deliveries need, if the server has such a role."""
    async with db.transaction() as tx:
        await tx.execute(ALLOW)

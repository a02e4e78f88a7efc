"""Projection configurations as an edge serves them."""

from dataclasses import astuple, dataclass
from uuid import UUID

from gateway.storage.database import Reader, Session
from gateway.storage.queries import EDGE, part, query, template

NOTICED = part("configurations.noticed", EDGE)
SWITCH = template("configurations.switch", EDGE).filled(noticed=NOTICED)
KEEP_ERASED = query("configurations.keep_erased", EDGE)
STOP_SERVING = template("configurations.stop_serving", EDGE).filled(noticed=NOTICED)
LIST_SERVED = query("configurations.list_served", EDGE)


@dataclass(frozen=True, slots=True)
class ServedConfiguration:
    """A configuration as it is served: the projections of one edition, under a name.

    `ttl` is in seconds; `replication_policy` is PROACTIVE or REACTIVE; `events_within` is the ISO duration after which events are served no more.
    """

    configuration_id: UUID
    edition: int
    name: str
    replication_policy: str
    ttl: int
    events_within: str | None


async def switch(tx: Session, sandbox_id: int, configuration: ServedConfiguration) -> None:
    """Serve this edition of a configuration from the commit on, and no other. What was erased from the former one stays erased.

    The sandbox has been delivered before. Nothing is confirmed of the edition yet.
    """
    await tx.execute(KEEP_ERASED, sandbox_id, configuration.configuration_id, configuration.edition)
    await tx.execute(SWITCH, sandbox_id, *astuple(configuration))


async def stop_serving(tx: Session, sandbox_id: int, configuration_id: UUID) -> None:
    """Serve a configuration no longer. Its projections stay until they are dropped."""
    await tx.execute(STOP_SERVING, sandbox_id, configuration_id)


async def list_served(db: Reader, sandbox_id: int) -> list[ServedConfiguration]:
    """List the configurations that an edge serves of a sandbox, by id."""
    return [ServedConfiguration(**row) for row in await db.rows(LIST_SERVED, sandbox_id)]

"""Data centres: who delivers to each, and what its edge has by now, as the one who delivers last told.

The lease of a data centre has a number, which grows with each holder: an edge takes nothing from the holder of a smaller one. What an edge has
it says itself; here stands what is shown of it, and what others wait for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.rules.changes import Position, position_of
from gateway.domain.rules.scope import Scope
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import query

TAKE_LEASE = query("projection_centers.take_lease")
EXTEND_LEASE = query("projection_centers.extend_lease")
RELEASE_LEASE = query("projection_centers.release_lease")
READ_HUB = query("projection_centers.read_hub")
LIST_HELD = query("projection_centers.list_held")
LIST_REACHED = query("projection_centers.list_reached")
LIST_DESTINATIONS = query("projection_centers.list_destinations")
NOTE_DELIVERY = query("projection_centers.note_delivery")
NOTE_CONFIGURATION = query("projection_centers.note_configuration")
FORGET_DELIVERY = query("projection_centers.forget_delivery")
LIST_DELIVERIES = query("projection_centers.list_deliveries")
LIST_CONFIGURATION_DELIVERIES = query("projection_centers.list_configuration_deliveries")
COUNT_PENDING = query("projection_centers.count_pending")

LEASE_SECONDS: Final = 10.0
REACHED_SECONDS: Final = 10.0
"""How long an edge that answered counts as reachable."""

MAX_PENDING: Final = 100_000
"""The most changes that are counted as pending."""

GENERATION_BITS: Final = 16
"""The number of an edition is the content version of the configuration, and behind it in so many bits how often that was delivered anew."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to deliver to a data centre. `number` is greater than that of every holder before."""

    data_center: str
    lease: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether a data centre's edge answers, and if nothing is delivered to it, why."""

    is_reachable: bool
    error: str | None


UNREACHABLE: Final = Reached(False, "No edge of this deployment stands there: `GATEWAY_EDGES` does not name one.")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the edge of a data centre has of a sandbox: everything that was committed until `confirmed_at`, which is `lag_seconds` ago; how many projections; and when
    the last of them came. `position` is where it goes on in the journal."""

    data_center: str
    position: str | None
    confirmed_at: datetime | None
    delivered_at: datetime | None
    projections: int
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class ConfigurationDelivery:
    """What the edge of a data centre has of a configuration: the edition that it serves, the one that it is filled with, of how many people, and why that does not go on."""

    data_center: str
    configuration_id: UUID
    served: int | None
    filling: int | None
    done: int
    total: int | None
    error: str | None

    def serves(self, content_version: int) -> bool:
        """Return whether this content of the configuration is served, and is not delivered anew."""
        return self.served is not None and self.served >> GENERATION_BITS == content_version and self.filling is None


async def take_lease(db: Database, data_center: str, lease: UUID) -> Lease | None:
    """Take the lease of a data centre; None while another holds it."""
    async with db.transaction() as tx:
        number: int | None = await tx.value(TAKE_LEASE, data_center, lease, LEASE_SECONDS)
    return None if number is None else Lease(data_center, lease, number)


async def extend_lease(db: Database, lease: Lease, *, is_reached: bool, error: str | None) -> bool:
    """Hold the lease from now on, and note whether the edge answered, or why nothing is delivered. Return whether the lease is still held."""
    async with db.transaction() as tx:
        of = lease.data_center, lease.lease, LEASE_SECONDS
        return await tx.value(EXTEND_LEASE, *of, is_reached, error) is not None


async def release_lease(db: Database, lease: Lease) -> None:
    """Let others take the lease at once."""
    async with db.transaction() as tx:
        await tx.execute(RELEASE_LEASE, lease.data_center, lease.lease)


async def read_hub(db: Database) -> str:
    """Return what names this deployment for its edges: the same for as long as its database lives."""
    hub: str = await db.value(READ_HUB)
    return hub


async def list_destinations(db: Database, data_center: str) -> list[int]:
    """List the sandboxes that have something for a data centre, or left something at its edge, as far as is noted."""
    return [row["sandbox_id"] for row in await db.rows(LIST_DESTINATIONS, data_center)]


async def note_delivery(
    tx: Session, sandbox_id: int, data_center: str, position: Position, confirmed_at: datetime | None, **counted: Any
) -> None:
    """Note what an edge has of a sandbox: `projections`, and whether something was `delivered` since the last note."""
    key = orjson.dumps(position.key).decode()
    told = counted["projections"], counted["delivered"]
    await tx.execute(NOTE_DELIVERY, sandbox_id, data_center, key, confirmed_at, *told)


async def note_configuration(tx: Session, sandbox_id: int, told: ConfigurationDelivery) -> None:
    """Note what an edge has of a configuration."""
    of = told.data_center, told.configuration_id, told.served, told.filling, told.done, told.total, told.error
    await tx.execute(NOTE_CONFIGURATION, sandbox_id, *of)


async def forget_delivery(tx: Session, sandbox_id: int, data_center: str) -> None:
    """Forget what was noted of an edge that has nothing of the sandbox any more."""
    await tx.execute(FORGET_DELIVERY, sandbox_id, data_center)


# ------------------------------------------------------------------------------------------------ what is shown


async def list_deliveries(db: Reader, scope: Scope) -> list[Delivery]:
    """List what edges have of the sandbox, by data centre. Needs no permission."""
    return [Delivery(**row) for row in await db.rows(LIST_DELIVERIES, scope.sandbox_id)]


async def list_configuration_deliveries(db: Reader, scope: Scope) -> list[ConfigurationDelivery]:
    """List what edges have of the sandbox's configurations. Needs no permission."""
    return [ConfigurationDelivery(**row) for row in await db.rows(LIST_CONFIGURATION_DELIVERIES, scope.sandbox_id)]


async def read_delivery_errors(db: Reader, scope: Scope, configuration_ids: Sequence[UUID]) -> list[Mapping[str, str]]:
    """Return of each configuration why some of it is not delivered, by the data centres in which that is so. Needs no permission."""
    found: dict[UUID, dict[str, str]] = {each: {} for each in configuration_ids}
    for one in await list_configuration_deliveries(db, scope):
        if one.error is not None and one.configuration_id in found:
            found[one.configuration_id][one.data_center] = one.error
    return [found[each] for each in configuration_ids]


async def list_held(db: Reader) -> list[str]:
    """List the data centres to which a process delivers, or tries to."""
    return [row["data_center"] for row in await db.rows(LIST_HELD)]


async def read_reached(db: Reader, data_centers: Collection[str]) -> Mapping[str, Reached]:
    """Return of each data centre whether its edge answers."""
    rows = await db.rows(LIST_REACHED, list(data_centers), REACHED_SECONDS)
    known = {row["data_center"]: Reached(row["is_reachable"], row["error"]) for row in rows}
    return {each: known.get(each, UNREACHABLE) for each in data_centers}


async def count_pending(db: Reader, scope: Scope, deliveries: Sequence[Delivery]) -> list[int]:
    """Count the changes that each edge has yet to get, at most MAX_PENDING. Needs no permission."""
    counts = []
    for each in deliveries:
        if each.position is None:
            counts.append(0)
            continue
        since = position_of(tuple(orjson.loads(each.position))).since
        of = since.as_stored, since.running, since.seq, MAX_PENDING
        counts.append(min(await db.value(COUNT_PENDING, scope.sandbox_id, *of), MAX_PENDING))
    return counts

"""Destinations of projections: the data centres whose edges hold what is projected, and how that is kept up.

A data centre that no edge of this deployment stands in is taken, too: it is told as unreachable until there is one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from gateway.domain.config.broken_rows import Broken, parse_rows, refuse_change
from gateway.domain.config.projection_contents import list_projected, names_of, renew
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.edited import Edited, check_version, edited_columns
from gateway.domain.rules.limits import DESTINATIONS, check_room
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Conflict, Invalid, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

LIST = query("projection_destinations.list_destinations")
CREATE = query("projection_destinations.create_destination")
UPDATE = query("projection_destinations.update_destination")
DELETE = query("projection_destinations.delete_destination")

EDGE: Final = "EDGE"
"""The one type of destinations."""
LEAST_TTL: Final = 600
"""Seconds that a copy at an edge lives at least."""
MOST_TTL: Final = 604_800
"""Seconds that a copy at an edge lives at most: a week."""
MAX_DATA_CENTERS: Final = 20
"""Data centres of one destination."""

DATA_CENTER: Final = re.compile("[A-Z]{2,3}[0-9]{1,2}")
"""The code of a data centre: `VA6`, `OR1`, `NLD2`."""


class ReplicationPolicy(StrEnum):
    """How edges get what they hold. PROACTIVE: every change is pushed to them. REACTIVE: they fetch what they are asked for, and keep it for `ttl`."""

    PROACTIVE = "PROACTIVE"
    REACTIVE = "REACTIVE"


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """The part of a destination that callers choose: codes of data centres, and seconds that a fetched copy lives."""

    data_centers: tuple[str, ...]
    ttl: int
    replication_policy: ReplicationPolicy


@dataclass(frozen=True, slots=True)
class ProjectionDestination(Edited):
    """A destination."""

    destination_id: UUID
    settings: DestinationSettings


async def load_destinations(
    tx: Session, scope: Scope, broken: Broken[UUID] | None = None
) -> list[ProjectionDestination]:
    """Load all destinations of the sandbox, oldest first. Needs no permission. Rows that cannot be parsed go into `broken`."""
    rows = await tx.rows(LIST, scope.sandbox_id)
    return parse_rows(
        rows, _destination, broken, table="projection_destination", key="destination_id", name="destination_id"
    )


async def create_destination(
    db: Database, scope: Scope, settings: DestinationSettings, *, kind: str = EDGE
) -> ProjectionDestination:
    """Create a destination of a type, which is EDGE. Needs `config:write`. Raises Forbidden, Invalid, TooMany."""
    scope.require(Permission.CONFIG_WRITE)
    if kind != EDGE:
        raise Invalid(f"Destinations are of type {EDGE}.", path=["type"])
    _check(settings)
    destination_id = uuid4()
    async with db.transaction(scope.sandbox_id) as tx:
        await lock_configuration(tx, scope)
        present = len(await load_destinations(tx, scope))
        check_room(present, DESTINATIONS, "destinations of projections; delete one first", "A sandbox")
        await tx.execute(CREATE, scope.sandbox_id, destination_id, *_columns(settings), scope.actor)
        made = find_destination(await load_destinations(tx, scope), destination_id)
        await audit.record(tx, scope, "createProjectionDestination", _subject(made), after=_told(made))
        return made


async def update_destination(
    db: Database, scope: Scope, destination_id: UUID, settings: DestinationSettings, current_version: int
) -> ProjectionDestination:
    """Replace the settings of a destination, and return it: what is projected to it is delivered again. Needs `config:write`.

    Raises Forbidden, NotFound, Invalid, Stale unless `current_version` is the destination's version, and Conflict for a broken one.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        before = await _locked(tx, scope, destination_id)
        check_version(before.version, current_version)
        _check(settings)
        if settings == before.settings:
            return before
        await tx.execute(UPDATE, scope.sandbox_id, destination_id, *_columns(settings))
        going = [each for each in await list_projected(tx, scope) if each.destination_id == destination_id]
        await renew(tx, scope, (each.configuration_id for each in going))
        changed = find_destination(await load_destinations(tx, scope), destination_id)
        states = {"before": _told(before), "after": _told(changed)}
        await audit.record(tx, scope, "updateProjectionDestination", _subject(changed), **states)
        return changed


async def delete_destination(
    db: Database, scope: Scope, destination_id: UUID, current_version: int | None = None
) -> None:
    """Delete a destination to which nothing is projected. Needs `config:write`.

    Raises Forbidden, NotFound, Stale unless `current_version` is None or the destination's version, and Conflict for one in use.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        before = await _locked(tx, scope, destination_id)
        check_version(before.version, current_version)
        going = [each for each in await list_projected(tx, scope) if each.destination_id == destination_id]
        if going:
            message = f"Projections go there: {names_of(going)}. Delete them or give them another destination first."
            raise Conflict(message, path=["id"])
        await tx.execute(DELETE, scope.sandbox_id, destination_id)
        await audit.record(tx, scope, "deleteProjectionDestination", _subject(before), before=_told(before))


def find_destination(
    destinations: Sequence[ProjectionDestination], destination_id: UUID, *path: str
) -> ProjectionDestination:
    """Return the destination with this id. Raises NotFound, with the path in the caller's input, `id` by default."""
    found = next((each for each in destinations if each.destination_id == destination_id), None)
    if found is None:
        raise NotFound("There is no destination of projections with this id.", path=path or ["id"])
    return found


async def _locked(tx: Session, scope: Scope, destination_id: UUID) -> ProjectionDestination:
    """Load a destination under the lock of the configuration."""
    await lock_configuration(tx, scope)
    broken: Broken[UUID] = {}
    destinations = await load_destinations(tx, scope, broken)
    refuse_change(broken, destination_id)
    return find_destination(destinations, destination_id)


def _subject(destination: ProjectionDestination) -> Subject:
    return Subject("ProjectionDestination", (destination.destination_id,))


def _check(settings: DestinationSettings) -> None:
    """Check settings. Raises Invalid."""
    codes = settings.data_centers
    if not 1 <= len(codes) <= MAX_DATA_CENTERS or len(set(codes)) != len(codes):
        raise Invalid(f"Name 1 to {MAX_DATA_CENTERS} data centres, each once.", path=["dataCenters"])
    for place, code in enumerate(codes):
        if not DATA_CENTER.fullmatch(code):
            message = "The code of a data centre is two or three capital letters and one or two digits, such as VA6."
            raise Invalid(message, path=["dataCenters", str(place)])
    if not LEAST_TTL <= settings.ttl <= MOST_TTL:
        raise Invalid(f"A copy at an edge lives {LEAST_TTL:,} to {MOST_TTL:,} seconds.", path=["ttl"])


# ------------------------------------------------------------------------------------------------ rows


def _columns(settings: DestinationSettings) -> tuple[Any, ...]:
    return list(settings.data_centers), settings.ttl, settings.replication_policy


def _told(destination: ProjectionDestination) -> Mapping[str, Any]:
    """Return a destination as the audit log tells it."""
    of = destination.settings
    chosen = {"dataCenters": of.data_centers, "ttl": of.ttl, "replicationPolicy": of.replication_policy}
    return {**chosen, "version": destination.version}


def _destination(row: Any) -> ProjectionDestination:
    centers: Iterable[str] = row["data_centers"]
    settings = DestinationSettings(tuple(centers), row["ttl"], ReplicationPolicy(row["replication_policy"]))
    return ProjectionDestination(
        destination_id=row["destination_id"],
        settings=settings,
        **edited_columns(row),
    )

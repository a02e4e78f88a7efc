"""Contents of projections: whatever changes what a configuration gives edges gives it a greater content version, in the same transaction.

A content version is a version of the sandbox's whole configuration, so it grows for as long as the sandbox is there. Nouns that projections depend
on (policies, computed attributes, destinations) ask here who selects what, and know nothing else of projections.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.domain.rules import selectors
from gateway.domain.rules.scope import Scope
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import Conflict
from gateway.pql.types import EVENTS
from gateway.storage.database import Session
from gateway.storage.queries import query
from gateway.xdm.fields import Field

LIST = query("projection_contents.list_projected")
RENEW = query("projection_contents.renew")

_OF_EVENTS: Final = f"{EVENTS}."


@dataclass(frozen=True, slots=True)
class Projected:
    """What one configuration selects: dotted paths, those of events under `xEvent`; and where it goes."""

    configuration_id: UUID
    name: str
    destination_id: UUID
    paths: tuple[str, ...]

    def selects(self, place: str) -> bool:
        """Return whether it selects what stands at a dotted place, or something in it, by its name."""
        return any(f"{path}.".startswith(f"{place}.") for path in self.paths)

    def selects_around(self, place: str) -> bool:
        """Return whether it selects something whole that a dotted place stands in."""
        return any(f"{place}.".startswith(f"{path}.") for path in self.paths)


def lacking(paths: Iterable[str], profile: Field, event: Field) -> list[str]:
    """Return those of the paths of a configuration that name no field of these unions."""
    by_union: dict[bool, list[str]] = {True: [], False: []}
    for path in paths:
        by_union[path.startswith(_OF_EVENTS)].append(path)
    of_events = selectors.lacking([path.removeprefix(_OF_EVENTS) for path in by_union[True]], event)
    return [*selectors.lacking(by_union[False], profile), *(f"{_OF_EVENTS}{path}" for path in of_events)]


async def list_projected(tx: Session, scope: Scope) -> list[Projected]:
    """List what the configurations of the sandbox select, by their names. Needs no permission."""
    return [Projected(**{**row, "paths": tuple(row["paths"])}) for row in await tx.rows(LIST, scope.sandbox_id)]


async def renew(tx: Session, scope: Scope, configurations: Iterable[UUID]) -> None:
    """Give configurations a new content version, as what edges hold of them is to be delivered again, and have a job tell how far that is.

    The caller has locked the sandbox's configuration. Needs no permission.
    """
    renewed = list(configurations)
    await tx.execute(RENEW, scope.sandbox_id, renewed)
    for configuration_id in renewed:
        await jobs.enqueue(tx, scope, JobKind.BACKFILL_PROJECTION, configuration_id)


async def renew_around(tx: Session, scope: Scope, place: str) -> None:
    """Give those configurations a new content version that select something whole in which a field comes or goes. Needs no permission."""
    around = [each.configuration_id for each in await list_projected(tx, scope) if each.selects_around(place)]
    if around:
        await renew(tx, scope, around)


async def check_unselected(tx: Session, scope: Scope, place: str, *path: str) -> None:
    """Raise Conflict, with the path in the caller's input, if a configuration names what stands at a dotted place. Needs no permission."""
    if selecting := [each for each in await list_projected(tx, scope) if each.selects(place)]:
        raise Conflict(f"Projections select it: {names_of(selecting)}. Change or delete them first.", path=path)


def names_of(projected: Iterable[Projected]) -> str:
    """Return the names of configurations, as a message says them."""
    return ", ".join(repr(each.name) for each in projected)

"""Projections at an edge: how they are delivered, looked up, counted and taken away.

A delivery replaces: whatever it says of a person holds, and what the edge had of that person before is gone. So it may be repeated, and
come in any order for different people.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import EDGE, part, query, template

GIVEN = part("projections.given", EDGE)
FIND_FORMER_PEOPLE = template("projections.find_former_people", EDGE).filled(given=GIVEN)
SET_STRAYS_ABSENT = template("projections.set_strays_absent", EDGE).filled(given=GIVEN)
ASSIGN = template("projections.assign", EDGE).filled(given=GIVEN)
SET_ABSENT = query("projections.set_absent", EDGE)
DROP_PEOPLE_WITHOUT_IDENTITIES = query("projections.drop_people_without_identities", EDGE)
PUT_PROJECTIONS = query("projections.put_projections", EDGE)
REMOVE = query("projections.remove", EDGE)
FORGET_WANTED = query("projections.forget_wanted", EDGE)
WITHDRAW = query("projections.withdraw", EDGE)
DROP_PROJECTIONS = query("projections.drop_projections", EDGE)
LOOK_UP = template("projections.look_up", EDGE)
LOOK_UP_ONE = LOOK_UP.filled(asked=part("projections.one", EDGE))
LOOK_UP_MANY = LOOK_UP.filled(asked=part("projections.many", EDGE))
FIND_HELD_PEOPLE = query("projections.find_held_people", EDGE)
FIND_HELD_IDENTITIES = query("projections.find_held_identities", EDGE)
LIST_DUE = query("projections.list_due", EDGE)
COUNT_PROJECTIONS = query("projections.count_projections", EDGE)
READ_PROJECTIONS = query("projections.read_projections", EDGE)
LIST_PEOPLE = query("projections.list_people", EDGE)

ABSENT_SECONDS: Final = 30
"""How long an edge remembers that nobody has an identity."""


@dataclass(frozen=True, slots=True)
class DeliveredProjection:
    """What one edition of a configuration says of one person, by all of whose identities it is found: keys of the edge, each once.

    `profile` and each of `events`, newest first, are finished JSON; `etag`, without quotes, is of both. `projected_at` is when the hub read them,
    and at `due` it has to do so again though nothing changes. `person` means something to the hub only.
    """

    configuration_id: UUID
    edition: int
    person: UUID
    identities: Sequence[UUID]
    profile: str = field(repr=False)
    events: Sequence[str] = field(repr=False)
    event_times: Sequence[datetime]
    etag: str
    projected_at: datetime
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The people that an edition of a configuration has at an edge, and the identities that it knows to be theirs, or nobody's."""

    people: frozenset[UUID]
    identities: frozenset[UUID]


class Found(NamedTuple):
    """A projection as it is served: `profile` and each of `events`, newest first, are finished JSON. `etag`, without quotes, is of both.

    `age` is since how many seconds the hub may know better.
    """

    profile: str
    events: Sequence[str]
    projected_at: str
    etag: str
    age: int

    @property
    def text(self) -> str:
        """Its JSON, without the braces around."""
        return f'"profile":{self.profile},"events":[{",".join(self.events)}],"projectedAt":"{self.projected_at}"'

    @property
    def size(self) -> int:
        """How many characters its profile and events have."""
        return len(self.profile) + sum(map(len, self.events))


class LookupResult(NamedTuple):
    """What a look-up finds: the version of the sandbox's settings that it ran under, and what is held of each identity.

    None stands where nobody has the identity; an identity is missing if nothing is known of it.
    """

    settings_version: int
    held: Mapping[UUID, Found | None]


@dataclass(frozen=True, slots=True)
class Due:
    """A projection that has to be read again."""

    configuration_id: UUID
    edition: int
    person: UUID


@dataclass(frozen=True, slots=True)
class Counted:
    """How many projections of one edition of a configuration an edge has."""

    configuration_id: UUID
    edition: int
    projections: int


async def deliver(tx: Session, sandbox_id: int, projections: Sequence[DeliveredProjection]) -> None:
    """Store projections in place of what is there of the same people in the same editions.

    Another person who had one of the identities there loses it, and goes once none is left. Identities that a person has no longer are nobody's.
    """
    if not projections:
        return
    of = [(identity, each) for each in projections for identity in each.identities]
    given = (
        [identity for identity, _ in of],
        [each.person for _, each in of],
        [each.configuration_id for _, each in of],
        [each.edition for _, each in of],
    )
    former = await tx.rows(FIND_FORMER_PEOPLE, sandbox_id, *given)
    await tx.execute(SET_STRAYS_ABSENT, sandbox_id, *given, ABSENT_SECONDS)
    await tx.execute(ASSIGN, sandbox_id, *given)
    if former:
        await tx.execute(DROP_PEOPLE_WITHOUT_IDENTITIES, sandbox_id, *zip(*former, strict=True))
    await tx.update_rows(PUT_PROJECTIONS, sandbox_id, rows=list(map(_row, projections)))


def _row(one: DeliveredProjection) -> tuple[Any, ...]:
    told = one.etag, one.projected_at, one.due, one.profile, one.events, one.event_times
    return one.person, one.configuration_id, one.edition, *told


async def remove(tx: Session, sandbox_id: int, people: Sequence[UUID], *, erased: bool) -> int:
    """Take away all projections of people, and return how many went. Nobody has their identities: for good if they were erased.

    Otherwise that is known for 30 seconds, and then has to be asked again.
    """
    await tx.execute(FORGET_WANTED, sandbox_id, people)
    gone: int = await tx.value(REMOVE, sandbox_id, people, None if erased else ABSENT_SECONDS)
    return gone


async def set_absent(
    tx: Session, sandbox_id: int, configuration_id: UUID, edition: int, identities: Iterable[UUID]
) -> None:
    """Note of identities that are nobody's in an edition: it is known for 30 seconds, and then has to be asked again."""
    await tx.execute(SET_ABSENT, sandbox_id, configuration_id, edition, list(identities), ABSENT_SECONDS)


async def withdraw(tx: Session, sandbox_id: int, configuration_id: UUID, edition: int, people: Sequence[UUID]) -> None:
    """Take away what one edition of a configuration says of people, whose identities stay theirs."""
    await tx.execute(WITHDRAW, sandbox_id, configuration_id, edition, people)


async def drop_projections(
    tx: Session, sandbox_id: int, configuration_id: UUID, keep: Collection[int], limit: int
) -> int:
    """Take away at most `limit` projections, and as many identities, of a configuration in all editions but these; return how many went."""
    gone: int = await tx.value(DROP_PROJECTIONS, sandbox_id, configuration_id, keep, limit)
    return gone


async def look_up(
    db: Database, sandbox_id: int, configuration_id: UUID, since: datetime | None, identities: Sequence[UUID]
) -> LookupResult | None:
    """Look up identities in the edition that is served, without events of before `since`; None if the edge does not serve the configuration."""
    seconds = since.timestamp() if since else None
    if len(identities) == 1:
        rows = await db.rows(LOOK_UP_ONE, sandbox_id, configuration_id, seconds, identities[0])
    else:
        rows = await db.rows(LOOK_UP_MANY, sandbox_id, configuration_id, seconds, identities)
    if not rows:
        return None
    held = {row["identity"]: _found(row, since) for row in rows if row["profile"] is not None or row["is_absent"]}
    return LookupResult(rows[0]["settings_version"], held)


def _found(row: Any, since: datetime | None) -> Found | None:
    _, _, _, age, etag, projected_at, profile, events, event_times = row
    if profile is None:
        return None
    if since and event_times:
        count = sum(at >= since for at in event_times)
        etag, events = f"{etag}-{count}", events[:count]
    return Found(profile, events, projected_at, etag, max(int(age), 0))


async def find_held(
    db: Reader,
    sandbox_id: int,
    configuration_id: UUID,
    edition: int,
    *,
    people: Sequence[UUID],
    identities: Sequence[UUID],
) -> Held:
    """Find which of these people and identities an edition of a configuration knows at an edge."""
    of = sandbox_id, configuration_id, edition
    return Held(
        frozenset(row["person"] for row in await db.rows(FIND_HELD_PEOPLE, *of, people)),
        frozenset(row["identity"] for row in await db.rows(FIND_HELD_IDENTITIES, *of, identities)),
    )


async def list_due(db: Reader, sandbox_id: int, at: datetime, limit: int) -> list[Due]:
    """List projections that had to be read again by an instant, longest due first."""
    return [Due(**row) for row in await db.rows(LIST_DUE, sandbox_id, at, limit)]


async def count_projections(db: Reader, sandbox_id: int) -> list[Counted]:
    """Count the projections that an edge has of a sandbox."""
    return [Counted(**row) for row in await db.rows(COUNT_PROJECTIONS, sandbox_id)]


async def read_projections(
    db: Reader, sandbox_id: int, configuration_id: UUID, edition: int, *, after: UUID | None, limit: int
) -> list[DeliveredProjection]:
    """Read the projections that an edge has of one edition of a configuration, in the order of people, after one of them."""
    rows = await db.rows(READ_PROJECTIONS, sandbox_id, configuration_id, edition, after or NIL, limit)
    return [DeliveredProjection(**row) for row in rows]


async def list_people(
    db: Reader, sandbox_id: int, configuration_id: UUID, edition: int, *, after: UUID | None, limit: int
) -> list[UUID]:
    """List the people with a projection of one edition of a configuration at an edge, in order, after one of them."""
    rows = await db.rows(LIST_PEOPLE, sandbox_id, configuration_id, edition, after or NIL, limit)
    return [row["person"] for row in rows]

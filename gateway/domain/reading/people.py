"""People: the identities that belong together, as a policy's kind of identity graph sees them.

Under PDG a person is a graph, and any member finds it. Under NONE each identity with data of its own is a person, and an identity that
others merely name is nobody.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.reading.identities import Identity, read_known_identities, read_primaries
from gateway.domain.reading.shapes import Shape, between, expression, literal, pick
from gateway.domain.reading.timelines import FinishedPage, Timeline, page_of_row, timeline_sql
from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.merge import Document, Merged
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import Unavailable
from gateway.storage.database import Database, Reader
from gateway.storage.queries import Query, query

FIND = query("people.find_people")
GLIMPSE = query("people.glimpse_people")
GLIMPSE_TIMELINES = query("people.glimpse_timelines")
WRITE = query("people.write_people")
WRITE_TIMELINES = query("people.write_timelines")
READ = query("people.read_people")
LIST = query("people.list_people")
COUNT = query("people.count_people")
READ_MERGED = query("people.read_merged")
LIST_PRIMARIES = query("people.list_primaries")
COUNT_PRIMARIES = query("people.count_primaries")

TRIES = 3
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)  # no hash is ever one of these


Keeper = tuple[UUID | None, int]
"""A version of a policy that keeps profiles merged. What another version keeps is not given as its own, so that a read that began
before the policy changed does not mix the two."""

NOBODY: Keeper = (None, 0)


class Person(NamedTuple):
    """`xids` are its members in canonical order, the first of them its id; `size` counts those beyond the cap as well.

    `identity_map` is JSON text. `is_contested`: a refused link touches a member. `merged` is what the policy asked about keeps
    of the person: None if that is nothing, or if none was asked about. Where not the whole document is wanted, `merged.document` is
    the finished JSON of what is, the identity map included.
    """

    profile_id: UUID
    xids: tuple[UUID, ...]
    identity_map: str
    size: int
    is_contested: bool
    merged: Merged | None

    @property
    def document(self) -> Document:
        """The whole document, parsed anew, with the identity map rendered from the graph."""
        merged: Document = orjson.loads(self.merged.document) if self.merged else {}
        return {**merged, "identityMap": orjson.loads(self.identity_map)}

    def finished(self, wanted: Shape) -> str:
        """The finished JSON of what is wanted of the whole document."""
        return orjson.dumps(pick(wanted, self.document)).decode()


class Found(NamedTuple):
    """What an xid leads to: the identity if it is known or was erased, and its person if there is one."""

    identity: Identity | None
    person: Person | None


class Texts(NamedTuple):
    """What is written of an identity: of one whose person the policy keeps a document of, what is wanted of that, and the page of events if
    one is wanted, between these texts; of an unknown one, and of one that is merely named; of an erased one; and of one of whose person
    nothing is kept."""

    found: Sequence[str]
    unknown: str
    erased: str
    bare: str


async def read_people(
    db: Reader,
    scope: Scope,
    config: Configuration,
    xids: Sequence[UUID],
    *,
    graph: IdentityGraphType = IdentityGraphType.PDG,
    merged_by: Keeper = NOBODY,
    wanted: Shape | None = None,
) -> list[Found]:
    """Where each xid leads, two that are one person to equal ones; with what the policy `merged_by` keeps of them.

    Needs `profile:read`. Raises Forbidden, and Unavailable when writers regroup the people of a cluster faster than they can be read.
    """
    scope.require(Permission.PROFILE_READ)
    if graph is IdentityGraphType.NONE:
        identities, people = await _alone(db, scope, config, xids, merged_by=merged_by, wanted=wanted)
    elif db.is_distributed:
        identities, people = await _in_two_trips(db, scope, xids, merged_by, wanted)
    else:
        identities, people = await _in_one_trip(db, scope, xids, merged_by, wanted)
    return [Found(identities.get(xid), people.get(xid)) for xid in xids]


async def glimpse_people(
    db: Reader, scope: Scope, xids: Iterable[UUID], merged_by: Keeper, wanted: Shape
) -> list[tuple[Identity, str | None]]:
    """Each known identity, and what is wanted of the document that the policy keeps for its person, as finished JSON: None where it keeps
    none. The identity map must not be wanted, and the store not be a cluster. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    statement = GLIMPSE.filled(document=expression(wanted, "document"))
    rows = await db.rows(statement, scope.sandbox_id, list(set(xids)), *merged_by)
    return [(Identity(*row[:4]), row[4]) for row in rows]


async def glimpse_timelines(
    db: Reader, scope: Scope, xids: Iterable[UUID], merged_by: Keeper, *, wanted: Shape, timeline: Timeline
) -> list[tuple[Identity, str | None, FinishedPage]]:
    """The same, and the page of the person's events. Raises BadInput and BadCursor as well."""
    scope.require(Permission.PROFILE_READ)
    parts, values = timeline_sql(timeline)
    statement = GLIMPSE_TIMELINES.filled(document=expression(wanted, "document"), **parts)
    rows = await db.rows(statement, scope.sandbox_id, list(set(xids)), *merged_by, *values)
    window = timeline.asked.window
    return [
        (Identity(xid, namespace_id, value, profile_id), document, page_of_row(page, window))
        for xid, namespace_id, value, profile_id, document, *page in rows
    ]


async def write_people(
    db: Reader,
    scope: Scope,
    xids: Sequence[UUID],
    merged_by: Keeper,
    *,
    wanted: Shape,
    texts: Texts,
    timeline: Timeline | None = None,
) -> tuple[str, list[UUID]]:
    """What `texts` has for each identity, in their order and with commas between; and whose text is `bare`.

    The identity map must not be wanted, and the store not be a cluster. Needs `profile:read`. Raises Forbidden; BadInput and BadCursor
    for a timeline.
    """
    scope.require(Permission.PROFILE_READ)
    document = expression(wanted, "document")
    given = {"unknown": literal(texts.unknown), "erased": literal(texts.erased), "bare": literal(texts.bare)}
    if timeline is None:
        values: Sequence[Any] = ()
        statement = WRITE.filled(found=between(texts.found, [document]), **given)
    else:
        parts, values = timeline_sql(timeline)
        statement = WRITE_TIMELINES.filled(found=between(texts.found, [document, "page.nodes"]), **given, **parts)
    row: Any = await db.row(statement, scope.sandbox_id, xids, *merged_by, *values)
    return row["text"] or "", row["bare"] or []


async def read_members(
    db: Database, scope: Scope, config: Configuration, xids: Sequence[UUID], graph: IdentityGraphType
) -> tuple[UUID, ...]:
    """All members of all the people whom these xids lead to, each once. Needs `profile:read`. Raises Forbidden, Unavailable."""
    found = await read_people(db, scope, config, xids, graph=graph)
    return tuple(sorted({xid for each in found if each.person for xid in each.person.xids}))


async def _in_one_trip(
    db: Reader, scope: Scope, xids: Iterable[UUID], merged_by: Keeper, wanted: Shape | None
) -> tuple[dict[UUID, Identity], dict[UUID, Person]]:
    identities: dict[UUID, Identity] = {}
    people: dict[UUID, Person] = {}
    for row in await db.rows(_giving(FIND, wanted), scope.sandbox_id, list(set(xids)), *merged_by):
        xid, namespace_id, value, *graph = row
        identities[xid] = Identity(xid, namespace_id, value, graph[0])
        if graph[0] is not None:
            people[xid] = _person(*graph)
    return identities, people


async def _in_two_trips(
    db: Reader, scope: Scope, xids: Iterable[UUID], merged_by: Keeper, wanted: Shape | None
) -> tuple[dict[UUID, Identity], dict[UUID, Person]]:
    """On a cluster read_known_identities and graphs lie on different nodes. A pointer may be older than the graph that it leads to: then the graph
    lacks the xid, and both are read again."""
    identities: dict[UUID, Identity] = {}
    people: dict[UUID, Person] = {}
    missing = set(xids)
    read = _giving(READ, wanted)
    for _ in range(TRIES):
        found = await read_known_identities(db, scope, missing)
        identities = {xid: identity for xid, identity in identities.items() if xid not in missing} | found
        leads = {xid: identity.profile_id for xid, identity in found.items() if identity.profile_id}
        rows = await db.rows(read, scope.sandbox_id, list(set(leads.values())), *merged_by) if leads else []
        graphs = {row["profile_id"]: _person(*row) for row in rows}
        people |= {xid: graphs[lead] for xid, lead in leads.items() if lead in graphs and xid in graphs[lead].xids}
        missing = leads.keys() - people.keys()
        if not missing:
            return identities, people
    raise Unavailable("Writers are regrouping these people right now; try again.")


async def _alone(
    db: Reader, scope: Scope, config: Configuration, xids: Sequence[UUID], *, merged_by: Keeper, wanted: Shape | None
) -> tuple[dict[UUID, Identity], dict[UUID, Person]]:
    identities = await read_known_identities(db, scope, xids)
    known = list(identities)
    primary = [xid for xid, is_primary in zip(known, await read_primaries(db, scope, known), strict=True) if is_primary]
    people = await _each_alone(
        db, scope, config, [identities[xid] for xid in primary], merged_by=merged_by, wanted=wanted
    )
    return identities, {person.profile_id: person for person in people}


async def list_people(
    db: Reader,
    scope: Scope,
    config: Configuration,
    asked: Window,
    *,
    graph: IdentityGraphType = IdentityGraphType.PDG,
    merged_by: Keeper = NOBODY,
    wanted: Shape | None = None,
) -> Page[Person]:
    """People by their id, which is the key of a page. Needs `profile:read`. Raises Forbidden, BadCursor."""
    scope.require(Permission.PROFILE_READ)
    after, before = asked.bounds(UUID)
    bounds = (after or FIRST, before or LAST, asked.fetch)
    direction = "desc" if asked.backward else "asc"
    if graph is IdentityGraphType.PDG:
        statement = _giving(LIST, wanted, direction=direction)
        return page_of_rows(
            [_person(*row) for row in await db.rows(statement, scope.sandbox_id, *merged_by, *bounds)], asked
        )
    statement = LIST_PRIMARIES.filled(direction=direction)
    identities = [Identity(*row) for row in await db.rows(statement, scope.sandbox_id, *bounds)]
    return page_of_rows(await _each_alone(db, scope, config, identities, merged_by=merged_by, wanted=wanted), asked)


async def count_people(db: Database, scope: Scope, graph: IdentityGraphType = IdentityGraphType.PDG) -> int:
    """How many people there are. Needs `profile:read`."""
    scope.require(Permission.PROFILE_READ)
    count: int = await db.value(COUNT if graph is IdentityGraphType.PDG else COUNT_PRIMARIES, scope.sandbox_id)
    return count


async def _each_alone(
    db: Reader,
    scope: Scope,
    config: Configuration,
    identities: Sequence[Identity],
    *,
    merged_by: Keeper,
    wanted: Shape | None,
) -> list[Person]:
    """What is wanted is picked here: the identity map, which may be among it, is made of the configuration's names."""
    xids = [identity.xid for identity in identities]
    rows = [] if merged_by == NOBODY else await db.rows(READ_MERGED, scope.sandbox_id, xids, *merged_by)
    merged = {profile_id: _merged(*kept) for profile_id, *kept in rows}
    people = [_alone_of(config, identity, merged.get(identity.xid)) for identity in identities]
    return people if wanted is None else [_picked(person, wanted) for person in people]


def _picked(person: Person, wanted: Shape) -> Person:
    if person.merged is None:
        return person
    return person._replace(merged=person.merged._replace(document=person.finished(wanted)))


def _alone_of(config: Configuration, identity: Identity, merged: Merged | None) -> Person:
    code = config.namespaces[identity.namespace_id].code
    identity_map = orjson.dumps({code: [{"id": identity.value}]}).decode()
    return Person(identity.xid, (identity.xid,), identity_map, 1, is_contested=False, merged=merged)


def _giving(statement: Query, wanted: Shape | None, **parts: str) -> Query:
    """The statement that gives this much of the document."""
    document = "document" if wanted is None else expression(wanted, "document", "identity_map::jsonb")
    return statement.filled(document=document, **parts)


def _person(profile_id: UUID, xids: list[UUID], identity_map: str, size: int, is_contested: bool, *kept: Any) -> Person:
    """Of a row's columns."""
    return Person(profile_id, tuple(xids), identity_map, size, is_contested, _merged(*kept))


def _merged(document: str | None, sources: list[UUID], modified_at: datetime) -> Merged | None:
    return None if document is None else Merged(document, tuple(sources), modified_at)

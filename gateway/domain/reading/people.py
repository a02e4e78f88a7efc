"""People: the identities that belong together, as a policy's kind of identity graph sees them.

Under PDG a person is a graph, and any member finds it. Under NONE each identity with data of its own is a person, and an identity that
others merely name is none.
"""

from collections.abc import Awaitable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.reading.attribute_times import timed
from gateway.domain.reading.identities import Identity, is_primary, read_known_identities, read_primaries
from gateway.domain.reading.people_statements import (
    DOCUMENT,
    LIST,
    NO_POLICY,
    ORIGIN,
    PERSON,
    RAW,
    READ,
    READ_TEXTS,
    STATEMENTS,
    WHOLE,
    PolicyVersion,
    Way,
)
from gateway.domain.reading.statements import Made, kinds_of
from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.merge import Document, Merged
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import Unavailable, Unstorable
from gateway.projection.tree import Projection
from gateway.storage.database import Database, Reader
from gateway.storage.queries import part, query, template

READ_BY_ID = template("people.read_people_by_id")
IS_VERSION = query("people.is_version")
LIST_IDS = template("people.list_ids")
COUNT = query("people.count_people")
READ_MERGED = query("people.read_merged")
LIST_PRIMARIES = template("people.list_primaries")
COUNT_PRIMARIES = template("people.count_primaries").filled(is_primary=is_primary("i"))

TRIES = 3
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)  # no hash is ever one of these

_BETWEEN: Final = "\x01"  # as in people.read_texts
NOT_COMPUTED: Final = "\x02"
"""In place of the text of a person: the statement cannot compute a value, as JSON has no room for it, or something was left out of what it is folded of."""
_Read = TypeVar("_Read")
_UNREAD: Any = object()
"""Stands for what was not read; whatever looks into it fails."""


class Person(NamedTuple):
    """`xids` are its members in canonical order, the first of them its id; `size` counts those beyond the cap as well.

    `event_xids`: the members under which its events are stored; maybe more, never fewer. `identity_map` is JSON text. `is_contested`: a refused link touches a member. `merged` is what the policy that was asked about keeps
    of the person: None if that is nothing, or if none was asked about.
    """

    profile_id: UUID
    xids: tuple[UUID, ...]
    event_xids: tuple[UUID, ...]
    identity_map: str
    size: int
    is_contested: bool
    merged: Merged | None

    @property
    def document(self) -> Document:
        """The whole document, parsed anew, with the identity map rendered from the graph."""
        merged: Document = orjson.loads(self.merged.document) if self.merged else {}
        return {**merged, "identityMap": orjson.loads(self.identity_map)}


class Found(NamedTuple):
    """What an xid leads to: the identity if it is known or was erased, its person if there is one, and the parts of a projection as JSON."""

    identity: Identity | None
    person: Person | None
    parts: Sequence[str | None] | None = None


NOTHING: Final = Found(None, None)


async def read_people(
    db: Reader,
    scope: Scope,
    config: Configuration,
    xids: Sequence[UUID],
    *,
    graph: IdentityGraphType = IdentityGraphType.PDG,
    policy: PolicyVersion = NO_POLICY,
) -> list[Found]:
    """Read the person that each xid leads to, xids of one person to equal ones, with what the policy keeps of them.

    Needs `profile:read`. Raises Forbidden, and Unavailable when writers regroup the people of a cluster faster than they can be read.
    """
    scope.require(Permission.PROFILE_READ)
    distinct = list(dict.fromkeys(xids))
    if graph is IdentityGraphType.NONE:
        found = await _read_without_graph(db, scope, config, distinct, policy)
    elif db.is_distributed:
        found = await _read_in_two_steps(db, scope, distinct, policy)
    else:
        read = await project_people(db, scope, distinct, Way(policy))
        found = dict(zip(distinct, read or (), strict=True))
    return [found.get(xid, NOTHING) for xid in xids]


async def project_people(
    db: Reader,
    scope: Scope,
    xids: Sequence[UUID],
    way: Way,
) -> list[Found] | None:
    """Read as much of each xid's person as is projected; the values of attributes in it are computed in the statement. Not on a cluster.

    None if the policy or the configuration has another version by now, or a value is out of range. A person has no parts where a value cannot be
    given so: JSON has no room for it, or something was left out of what it is folded of. Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    if not xids:
        return []
    made = STATEMENTS.of(way.projection, READ, "", (), way.computed)
    rows = await observed(made.rows(db, scope.sandbox_id, *way.policy, xids), scope, way, len(xids))
    return None if rows is None else _found(rows, way)


async def project_texts(
    db: Reader,
    scope: Scope,
    xids: Sequence[UUID],
    way: Way,
) -> list[str | None] | None:
    """Read of each xid the one JSON text that is projected, None where it is missing, NOT_COMPUTED where a value cannot be given so; or None if the policy
    or the configuration has another version by now, or a value is out of range.

    Not on a cluster. Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    if not xids:
        return []
    return await _texts(STATEMENTS.of(way.projection, READ_TEXTS, "", (), way.computed), db, scope, way, xids)


async def project_texts_alike(
    db: Reader,
    scope: Scope,
    asked: Sequence[tuple[UUID, Projection]],
    way: Way,
) -> list[str | None] | None:
    """Read for each xid the one JSON text of a projection of its own, as `project_texts` does. None as well if a condition computes values.

    The projections have the structure of that of the way, and values of some `kinds_of` it. One statement. Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    xids, projections = zip(*asked, strict=True)
    made = STATEMENTS.of_each(projections, READ_TEXTS, "", kinds_of(way.projection), way.computed)
    return None if made.computes else await _texts(made, db, scope, way, xids)


async def read_members(
    db: Database, scope: Scope, config: Configuration, xids: Sequence[UUID], graph: IdentityGraphType
) -> tuple[UUID, ...]:
    """Read all members of all the people that these xids lead to, each once. Needs `profile:read`. Raises Forbidden, Unavailable."""
    found = await read_people(db, scope, config, xids, graph=graph)
    return tuple(sorted({xid for each in found if each.person for xid in each.person.xids}))


async def list_people(
    db: Reader,
    scope: Scope,
    config: Configuration,
    asked: Window,
    *,
    graph: IdentityGraphType = IdentityGraphType.PDG,
    policy: PolicyVersion = NO_POLICY,
) -> Page[Person]:
    """List people by their id, which is the key of a page, with what the policy keeps of them. Needs `profile:read`.

    Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    if graph is IdentityGraphType.PDG and db.is_distributed:
        return page_of_rows(await _list_in_two_steps(db, scope, asked, policy), asked)
    if graph is IdentityGraphType.PDG:
        found = await list_projected(db, scope, asked, Way(policy))
        return Page([each.person for each in found.items if each.person], found.has_next, found.has_previous)
    statement = LIST_PRIMARIES.filled(direction=_direction(asked), is_primary=is_primary("i"))
    identities = [Identity(*row) for row in await db.rows(statement, scope.sandbox_id, *_bounds(asked))]
    return page_of_rows(await _each_without_graph(db, scope, config, identities, policy), asked)


async def list_projected(
    db: Reader,
    scope: Scope,
    asked: Window,
    way: Way,
) -> Page[Found]:
    """List as much of each person as is projected, by their id. Gives nobody where `project_people` gives None. Not on a cluster.

    Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    statement = STATEMENTS.of(way.projection, LIST, _direction(asked), (), way.computed)
    reading = statement.rows(db, scope.sandbox_id, *way.policy, *_bounds(asked))
    rows = await observed(reading, scope, way, asked.fetch)
    if rows is None or not _is_current(rows, way):
        return Page([], has_next=False, has_previous=False)
    read = ((row[0], *_read_row(row, way.projection, 1)) for row in rows)
    return page_of_rows(
        [Found(None, person, parts if is_computed else None) for is_computed, person, parts in read], asked
    )


async def count_people(db: Reader, scope: Scope, graph: IdentityGraphType = IdentityGraphType.PDG) -> int:
    """Count the people that there are. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    count: int = await db.value(COUNT if graph is IdentityGraphType.PDG else COUNT_PRIMARIES, scope.sandbox_id)
    return count


# ------------------------------------------------------------------------------------------------ statements


async def observed(reading: Awaitable[_Read], scope: Scope, way: Way, records: int) -> _Read | None:
    """Return what a statement reads, and observe its time for the attributes whose values are computed in it. None where one of these is out of
    range, which is an error of the caller alone who asked for it."""
    if way.computed is None or not way.computed.programs:
        return await reading
    with timed(scope, way.computed.costs, records), suppress(Unstorable):
        return await reading
    return None


async def _texts(made: Made, db: Reader, scope: Scope, way: Way, xids: Sequence[UUID]) -> list[str | None] | None:
    row = await observed(made.row(db, scope.sandbox_id, *way.policy, xids), scope, way, len(xids))
    if not row or not row["is_current"]:
        return None
    texts: list[str | None] = row["texts"].split(_BETWEEN)
    return texts if all(texts) else [text or None for text in texts]


def _found(rows: Sequence[Any], way: Way) -> list[Found] | None:
    if not _is_current(rows, way):
        return None
    found = []
    for row in rows:
        is_computed, xid, namespace_id, value, profile_id = row[:5]
        identity = None if namespace_id is None else Identity(xid, namespace_id, value, profile_id)
        person, parts = _read_row(row, way.projection, 4)
        found.append(Found(identity, person, parts if is_computed else None))
    return found


def _is_current(rows: Sequence[Any], way: Way) -> bool:
    """Return whether the policy and the configuration have the versions of the way. With computed values a row has None if not, and False for one that cannot be given."""
    return way.projection is WHOLE or all(row[0] is not None if way.computed else row[0] for row in rows)


def _read_row(
    row: Sequence[Any], projection: Projection, place: int
) -> tuple[Person | None, Sequence[str | None] | None]:
    """Return the person whose id is at this place of a row, with what follows, and the parts."""
    profile_id, kept = row[place], _UNREAD
    graph: Sequence[Any] = (_UNREAD,) * 5
    place += 1
    if PERSON in projection.raw:
        graph, place = row[place : place + 5], place + 5
    if {ORIGIN, DOCUMENT} & projection.raw:
        kept, place = _merged(*row[place : place + 3]), place + 3
    parts = None if projection is WHOLE else row[place:]
    if profile_id is None:
        return None, parts
    xids, event_xids, identity_map, size, is_contested = graph
    if xids is not _UNREAD:
        xids, event_xids = tuple(xids), tuple(event_xids)
    return Person(profile_id, xids, event_xids, identity_map, size, is_contested, kept), parts


def _direction(asked: Window) -> str:
    return "desc" if asked.backward else "asc"


def _bounds(asked: Window) -> tuple[UUID, UUID, int]:
    after, before = asked.bounds(UUID)
    return after or FIRST, before or LAST, asked.fetch


# ------------------------------------------------------------------------------------------------ other ways of a store and of policies


async def _read_in_two_steps(
    db: Reader, scope: Scope, xids: Iterable[UUID], policy: PolicyVersion
) -> dict[UUID, Found]:
    """Read identities, then graphs, which are on different nodes of a cluster. A pointer may be older than the graph that it leads to: then
    the graph lacks the xid, and both are read again. Raises Unavailable."""
    known: dict[UUID, Found] = {}
    missing = set(xids)
    for _ in range(TRIES):
        found = await read_known_identities(db, scope, missing)
        leads = {xid: identity.profile_id for xid, identity in found.items() if identity.profile_id}
        graphs = await _read_by_id(db, scope, set(leads.values()), policy)
        people = {xid: graphs[lead] for xid, lead in leads.items() if lead in graphs and xid in graphs[lead].xids}
        known |= {xid: Found(identity, people.get(xid)) for xid, identity in found.items()}
        missing = leads.keys() - people.keys()
        if not missing:
            return known
    raise Unavailable("Writers are regrouping these people right now; try again.")


async def _list_in_two_steps(db: Reader, scope: Scope, asked: Window, policy: PolicyVersion) -> list[Person]:
    """List ids, then read the people that have them still."""
    statement = LIST_IDS.filled(direction=_direction(asked))
    ids = [row["profile_id"] for row in await db.rows(statement, scope.sandbox_id, *_bounds(asked))]
    people = await _read_by_id(db, scope, ids, policy)
    return [people[profile_id] for profile_id in ids if profile_id in people]


async def _read_by_id(
    db: Reader, scope: Scope, profile_ids: Collection[UUID], policy: PolicyVersion
) -> dict[UUID, Person]:
    """Read the people that exist of these, on a cluster, with what the policy keeps of them."""
    if not profile_ids:
        return {}
    asked = list(profile_ids)
    is_one = len(asked) == 1
    sql = part("people.is_one" if is_one else "people.is_any")
    statement = READ_BY_ID.filled(columns=", ".join(["g.profile_id", *RAW[PERSON], *RAW[DOCUMENT]]), is_asked=sql)
    kept_by = policy[0] or FIRST  # the id of none: Citus refuses to join the rows of a null id
    rows = await db.rows(statement, scope.sandbox_id, kept_by, asked[0] if is_one else asked)
    # Asked for after the rows were read: versions only grow, so that the policy had this one then, too.
    is_kept = policy != NO_POLICY and await db.value(IS_VERSION, scope.sandbox_id, *policy)
    return {
        profile_id: Person(
            profile_id,
            tuple(members),
            tuple(event_xids),
            identity_map,
            size,
            is_contested,
            _merged(*kept) if is_kept else None,
        )
        for profile_id, members, event_xids, identity_map, size, is_contested, *kept in rows
    }


async def _read_without_graph(
    db: Reader, scope: Scope, config: Configuration, xids: Sequence[UUID], policy: PolicyVersion
) -> dict[UUID, Found]:
    identities = await read_known_identities(db, scope, xids)
    known = list(identities)
    primary = [xid for xid, is_primary in zip(known, await read_primaries(db, scope, known), strict=True) if is_primary]
    people = await _each_without_graph(db, scope, config, [identities[xid] for xid in primary], policy)
    persons = {person.profile_id: person for person in people}
    return {xid: Found(identity, persons.get(xid)) for xid, identity in identities.items()}


async def _each_without_graph(
    db: Reader, scope: Scope, config: Configuration, identities: Sequence[Identity], policy: PolicyVersion
) -> list[Person]:
    xids = [identity.xid for identity in identities]
    rows = [] if policy == NO_POLICY else await db.rows(READ_MERGED, scope.sandbox_id, xids, *policy)
    merged = {profile_id: _merged(*kept) for profile_id, *kept in rows}
    return [_without_graph(config, identity, merged.get(identity.xid)) for identity in identities]


def _without_graph(config: Configuration, identity: Identity, merged: Merged | None) -> Person:
    code = config.namespaces[identity.namespace_id].code
    identity_map = orjson.dumps({code: [{"id": identity.value}]}).decode()
    xids = (identity.xid,)
    return Person(identity.xid, xids, xids, identity_map, 1, is_contested=False, merged=merged)


def _merged(document: str | None, sources: list[UUID], modified_at: datetime) -> Merged | None:
    return None if document is None else Merged(document, tuple(sources), modified_at)

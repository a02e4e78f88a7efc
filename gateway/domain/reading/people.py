"""People: the identities that belong together, as a policy's kind of identity graph sees them.

Under PDG a person is a graph, and any member finds it. Under NONE each identity with data of its own is a person, and an identity that
others merely name is none.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.reading.events import LISTS, OF_DATASET
from gateway.domain.reading.identities import IDENTITY, Identity, is_primary, read_known_identities, read_primaries
from gateway.domain.reading.profile_limits import DOCUMENT_SIZE, EVENTS
from gateway.domain.reading.statements import Made, Statements, kinds_of
from gateway.domain.rules.graphs import MAX_GRAPH_SIZE
from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.merge import Document, Merged
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import Unavailable
from gateway.projection.predicates import Slot, Values
from gateway.projection.sql import Relation, Source, columns
from gateway.projection.tree import Projection
from gateway.storage.database import Database, Reader
from gateway.storage.queries import Query, fill, part, query

READ = query("people.read_people")
READ_BY_ID = query("people.read_people_by_id")
READ_TEXTS = query("people.read_texts")
LIST = query("people.list_people")
COUNT = query("people.count_people")
READ_MERGED = query("people.read_merged")
LIST_PRIMARIES = query("people.list_primaries")
COUNT_PRIMARIES = query("people.count_primaries").filled(is_primary=is_primary("i"))

TRIES = 3
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)  # no hash is ever one of these

PolicyVersion = tuple[UUID | None, int]
"""A version of a policy that keeps profiles merged. What another version keeps is not given as its own, so that a read that began
before the policy changed does not mix the two."""

NO_POLICY: Final[PolicyVersion] = (None, 0)

PERSON, ORIGIN, DOCUMENT = "person", "origin", "document"
"""What may be read of people as it is: their graph; where the profile that a policy keeps is from, without its document; and with it."""

WHOLE: Final = Projection((), frozenset({PERSON, DOCUMENT}))
"""Everything of people."""

_KEYS, _IS_CURRENT = part("people.keys"), part("people.is_current")
_JOINED: Final = {
    "graph": (re.compile(r"\bg\."), part("people.graph")),
    "profile": (re.compile(r"\b(p|kept)\."), part("people.profile")),
    "size": (
        re.compile(r"\bsize\."),
        fill(part("people.size"), identities=str(MAX_GRAPH_SIZE), events=str(EVENTS), bytes=str(DOCUMENT_SIZE)),
    ),
}
"""What statements join by what their columns name."""

_SOURCE: Final = Source(
    "person",
    "kept.document",
    {"identityMap": "g.identity_map"},
    "g.event_xids",
    LISTS,
    related={
        "identities": Relation(partial(fill, part("people.members")), IDENTITY, order="member.place"),
        "sources": Relation(partial(fill, part("people.sources")), OF_DATASET.source, order='d.name collate "C"'),
    },
    derived={
        "identity_count": "g.size",
        "event_count": "size.event_count",
        "exceeded": "size.exceeded",
        "modified_at": part("people.modified_at"),
    },
)
_IDENTITY_COLUMNS = "person.xid, person.namespace_id, person.value, person.profile_id"
_RAW: Final = {
    PERSON: ("g.xids", "g.event_xids", "g.identity_map", "g.size", "g.is_contested"),
    ORIGIN: ("kept.unread_document", "p.sources", "p.modified_at"),
    DOCUMENT: ("p.document", "p.sources", "p.modified_at"),
}
_BETWEEN: Final = "\x01"  # as in people.read_texts
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
        read = await project_people(db, scope, distinct, policy, WHOLE)
        found = dict(zip(distinct, read or (), strict=True))
    return [found.get(xid, NOTHING) for xid in xids]


async def project_people(
    db: Reader, scope: Scope, xids: Sequence[UUID], policy: PolicyVersion, projection: Projection
) -> list[Found] | None:
    """Read as much of each xid's person as is projected. None if the policy has another version by now. Not on a cluster.

    Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    if not xids:
        return []
    rows = await _STATEMENTS.of(projection, READ).rows(db, scope.sandbox_id, *policy, xids)
    return _found(rows, projection)


async def project_texts(
    db: Reader, scope: Scope, xids: Sequence[UUID], policy: PolicyVersion, projection: Projection
) -> list[str | None] | None:
    """Read of each xid the one JSON text that is projected, None where it is missing. None if the policy has another version by now.

    Not on a cluster. Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    if not xids:
        return []
    return await _texts(_STATEMENTS.of(projection, READ_TEXTS), db, scope, policy, xids)


async def project_texts_alike(
    db: Reader, scope: Scope, asked: Sequence[tuple[UUID, Projection]], policy: PolicyVersion
) -> list[str | None] | None:
    """Read for each xid the one JSON text of a projection of its own, as `project_texts` does. None as well if a condition computes values.

    The projections have one structure, and values of some `kinds_of` it. One statement. Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    xids, projections = zip(*asked, strict=True)
    made = _STATEMENTS.of_each(projections, READ_TEXTS, "", kinds_of(projections[0]))
    return None if made.computes else await _texts(made, db, scope, policy, xids)


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
    if graph is IdentityGraphType.PDG:
        found = await list_projected(db, scope, asked, policy, WHOLE)
        return Page([each.person for each in found.items if each.person], found.has_next, found.has_previous)
    scope.require(Permission.PROFILE_READ)
    statement = LIST_PRIMARIES.filled(direction=_direction(asked), is_primary=is_primary("i"))
    identities = [Identity(*row) for row in await db.rows(statement, scope.sandbox_id, *_bounds(asked))]
    return page_of_rows(await _each_without_graph(db, scope, config, identities, policy), asked)


async def list_projected(
    db: Reader, scope: Scope, asked: Window, policy: PolicyVersion, projection: Projection
) -> Page[Found]:
    """List as much of each person as is projected, by their id. Gives nobody if the policy has another version by now.

    Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    statement = _STATEMENTS.of(projection, LIST, _direction(asked))
    rows = await statement.rows(db, scope.sandbox_id, *policy, *_bounds(asked))
    if rows and projection is not WHOLE and not rows[0][0]:
        return Page([], has_next=False, has_previous=False)
    return page_of_rows([Found(None, *_read_row(row, projection, 1)) for row in rows], asked)


async def count_people(db: Database, scope: Scope, graph: IdentityGraphType = IdentityGraphType.PDG) -> int:
    """Count the people that there are. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    count: int = await db.value(COUNT if graph is IdentityGraphType.PDG else COUNT_PRIMARIES, scope.sandbox_id)
    return count


# ------------------------------------------------------------------------------------------------ statements


def statement_of(projection: Projection, query: Query, direction: str = "", kinds: Sequence[str] = ()) -> Made:
    """Return a statement on people that reads a projection, and the values behind its own parameters.

    With `kinds`, the types of all slots, each stands for an array of values, one for each key.
    """
    own_values = [None] * len(query.parameters)
    values = Values(*own_values, *map(Slot, range(len(kinds))), slots="asked.value_{}" if kinds else "")
    arrays = [f", ${place}::{kind}[]" for place, kind in enumerate(kinds, len(own_values) + 1)]
    names = [f", value_{place}" for place in range(len(kinds))]
    texts = columns(projection.parts, _SOURCE, values)
    raw = [column for name in _raw_of(projection) for column in _RAW[name]]
    joined = _joined(", ".join([*raw, *texts]))
    is_current = _IS_CURRENT if joined["profile"] else "true"
    own = "person.profile_id" if query is LIST else _IDENTITY_COLUMNS
    gaps = {
        "columns": ", ".join([is_current, own, *raw, *texts]),
        "is_current": is_current,
        "text": texts[0] if texts else "null",
        "keys": fill(_KEYS, arrays="".join(arrays), names="".join(names)),
        "direction": direction,
    }
    return Made.of(query.filled(**gaps, **joined), values, len(query.parameters))


_STATEMENTS: Final = Statements(statement_of)


async def _texts(
    made: Made, db: Reader, scope: Scope, policy: PolicyVersion, xids: Sequence[UUID]
) -> list[str | None] | None:
    row = await made.row(db, scope.sandbox_id, *policy, xids)
    return [text or None for text in row["texts"].split(_BETWEEN)] if row["is_current"] else None


def _joined(looked_at: str) -> dict[str, str]:
    """Return the parts that are joined for columns of this SQL. A text in it that looks like a name joins one too many, at most."""
    found = dict[str, str]()
    for name, (named, sql) in reversed(_JOINED.items()):
        found[name] = sql if named.search(looked_at) else ""
        looked_at += found[name]
    return {"graph": found["graph"], "profile": " ".join(filter(None, (found["profile"], found["size"])))}


def _raw_of(projection: Projection) -> tuple[str, ...]:
    """Return which raw columns are read, in the order of rows: those of the document have its origin, too."""
    kept = DOCUMENT if DOCUMENT in projection.raw else ORIGIN
    return tuple(name for name in (PERSON, kept) if name in projection.raw)


def _found(rows: Sequence[Any], projection: Projection) -> list[Found] | None:
    if projection is not WHOLE and not rows[0][0]:
        return None
    found = []
    for row in rows:
        _, xid, namespace_id, value, profile_id = row[:5]
        identity = None if namespace_id is None else Identity(xid, namespace_id, value, profile_id)
        found.append(Found(identity, *_read_row(row, projection, 4)))
    return found


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
    statement = READ_BY_ID.filled(columns=", ".join(["g.profile_id", *_RAW[PERSON], *_RAW[DOCUMENT]]))
    for _ in range(TRIES):
        found = await read_known_identities(db, scope, missing)
        leads = {xid: identity.profile_id for xid, identity in found.items() if identity.profile_id}
        rows = await db.rows(statement, scope.sandbox_id, *policy, list(set(leads.values()))) if leads else []
        graphs = {
            profile_id: Person(
                profile_id, tuple(members), tuple(event_xids), identity_map, size, is_contested, _merged(*kept)
            )
            for profile_id, members, event_xids, identity_map, size, is_contested, *kept in rows
        }
        people = {xid: graphs[lead] for xid, lead in leads.items() if lead in graphs and xid in graphs[lead].xids}
        known |= {xid: Found(identity, people.get(xid)) for xid, identity in found.items()}
        missing = leads.keys() - people.keys()
        if not missing:
            return known
    raise Unavailable("Writers are regrouping these people right now; try again.")


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

"""Graphs grown by union: identities join people, and people join each other, where no rule of graphs can be broken.

A union needs no look at the ties as long as every graph that takes part is uncontested, none grows past the cap, and no unique namespace
occurs twice. Everything else, and everything that may part people, is work for `graph_rebuild`, under the exclusive lock.

Locks are taken in this order: the advisory lock of the sandbox, graphs by profile id, identities by xid. A writer that finds
the store changed between reading and locking raises RetryTransaction, or ConstraintViolated if another one brought an identity first, and
starts again with fresh pointers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.documents import NamedIdentity, ValidDocument
from gateway.domain.rules.graphs import MAX_GRAPH_SIZE
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import GraphChange
from gateway.domain.work.locks import lock_stripes, locking
from gateway.storage.database import Session
from gateway.storage.queries import query, template

READ_POINTERS = query("graph_union.read_pointers")
READ_MEMBERS = query("graph_union.read_members")
READ_GRAPHS = query("graph_union.read_graphs")
LOCK_GRAPHS = template("graph_union.lock_graphs")
NAME_AGAIN = query("graph_union.name_again")
NOTE_FIRST_EVENTS = template("graph_union.note_first_events")
RELINK = query("graph_union.relink")
UPDATE_GRAPHS = query("graph_union.update_graphs")
DELETE_GRAPHS = query("graph_union.delete_graphs")

IDENTITY_COLUMNS = ("sandbox_id", "xid", "namespace_id", "value", "profile_id", "has_events")
GRAPH_COLUMNS = ("sandbox_id", "profile_id", "xids", "identity_map", "is_contested", "size", "event_xids")


class RetryTransaction(Exception):
    """The transaction must begin again; if `exclusive`, under the sandbox's exclusive lock, since people may have to part."""

    def __init__(self, reason: str, *, exclusive: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exclusive = exclusive


@dataclass(frozen=True, slots=True)
class LockedPeople:
    """People whose graphs are locked, as the transaction will leave them. `write_graphs` stores what differs.

    `former_members`: the members of the graphs that are stored, by profile id. `members`: the identities of those that are rebuilt.
    `with_events`: the members with events of those that are rebuilt, among other identities.
    """

    people: list[GraphChange]
    former_members: dict[UUID, tuple[UUID, ...]]
    members: Mapping[UUID, NamedIdentity] = field(default_factory=dict)
    with_events: AbstractSet[UUID] = frozenset()


class Known(NamedTuple):
    """What is stored of the identities that documents name.

    `named`: all of them, by xid. `pointers`: the people of those that a fact names already. `with_events`: those whose rows have `has_events` set.
    `emptied`: those that were erased, and that no fact names since.
    """

    named: dict[UUID, NamedIdentity]
    pointers: dict[UUID, UUID | None]
    with_events: set[UUID]
    emptied: Collection[UUID]


@dataclass(slots=True)
class _Group:
    """What becomes one person: people who are known, and identities that are new. `is_tied`: a document links some of them."""

    people: set[UUID] = field(default_factory=set)
    newcomers: set[UUID] = field(default_factory=set)
    is_tied: bool = False
    has_facts: bool = False

    @property
    def changes(self) -> bool:
        return len(self.people) + bool(self.newcomers) > 1 or not self.people

    def take_in(self, other: "_Group") -> None:
        self.people |= other.people
        self.newcomers |= other.newcomers
        self.is_tied |= other.is_tied
        self.has_facts |= other.has_facts


async def join(
    tx: Session,
    scope: Scope,
    config: Configuration,
    documents: Sequence[ValidDocument],
    known: Known,
    *,
    rewriting: bool,
    first_events: AbstractSet[UUID] = frozenset(),
) -> tuple[LockedPeople, set[UUID]]:
    """Join people and identities as the documents link them: return people, whose graphs are still to be written, and new xids.

    `known` is what is stored of the documents' identities, `first_events` those under which the documents are the first events.
    Lock and return the people whose graph changes. With `rewriting`, for documents that may change profiles, lock and return all
    people that the documents are about. Note the first events, which locks the people whose they are. Insert the identities that are new
    to the sandbox, which locks them.
    Raises RetryTransaction, exclusive if the rules of graphs have to be applied; ConstraintViolated if another writer inserts one of them.
    """
    pointers = known.pointers
    if None in pointers.values():
        raise RetryTransaction("an identity has no person", exclusive=True)
    linking = documents if rewriting else [d for d in documents if len(d.tied) > 1 or d.xid not in pointers]
    groups = _groups(linking, pointers)
    changing = [group for group in groups if group.changes or rewriting]
    noted = {xid: owner for xid in first_events if (owner := pointers.get(xid))}
    graphs = await _lock_graphs(tx, scope, changing, noted.values(), pointers)
    await _note_first_events(tx, scope, noted)
    await _check_unchanged(tx, scope, [g for g in groups if g.is_tied and not (g.changes or rewriting)])
    newcomers = known.named.keys() - pointers.keys()
    members = known.named | await _read_members(tx, scope, config, changing, graphs)
    people = [_united(config, group, graphs, members) for group in changing if group.people or group.has_facts]
    rebuilt = [person for person in people if person.is_rebuilt]
    owners = {xid: person.profile_id for person in rebuilt for xid in person.xids}
    await insert_identities(
        tx, scope, [members[xid] for xid in newcomers], owners, emptied=known.emptied, with_events=first_events
    )
    former_members = {profile_id: tuple(row["xids"]) for profile_id, row in graphs.items()}
    with_events = set(first_events).union(
        *(graphs[former]["event_xids"] for person in rebuilt for former in person.former)
    )
    return LockedPeople(people, former_members, members, with_events), newcomers


def unchanged_people(members: Mapping[UUID, tuple[UUID, ...]]) -> LockedPeople:
    """Return people whose graphs are locked and stay as they are. `members`: the xids of each, by profile id."""
    people = [GraphChange(profile_id, xids, (profile_id,), is_rebuilt=False) for profile_id, xids in members.items()]
    return LockedPeople(people, dict(members))


async def write_graphs(tx: Session, scope: Scope, locked: LockedPeople) -> None:
    """Write the graphs of locked people that were rebuilt, and the pointers of members who moved."""
    rebuilt = [person for person in locked.people if person.is_rebuilt]
    await _relink(tx, scope, rebuilt, locked.former_members)
    await _write_graphs(tx, scope, rebuilt, locked)


def _groups(documents: Iterable[ValidDocument], pointers: Mapping[UUID, UUID | None]) -> list[_Group]:
    """Find what becomes one person, by union-find over people and new identities."""
    group_of: dict[UUID, _Group] = {}

    def group_at(xid: UUID) -> _Group:
        node = pointers.get(xid) or xid
        if node not in group_of:
            known = xid in pointers
            group_of[node] = _Group({node} if known else set(), set() if known else {node})
        return group_of[node]

    for document in documents:
        group_at(document.xid).has_facts = True
        tied = document.tied
        for xid in tied[1:]:
            first, other = group_at(tied[0]), group_at(xid)
            first.is_tied = True
            if first is not other:
                first.take_in(other)
                group_of.update(dict.fromkeys((*other.people, *other.newcomers), first))
    return list({id(group): group for group in group_of.values()}.values())


async def _lock_graphs(
    tx: Session,
    scope: Scope,
    groups: Iterable[_Group],
    noted: Iterable[UUID],
    pointers: Mapping[UUID, UUID | None],
) -> dict[UUID, Any]:
    """Lock the graphs of these groups and check the pointers against them. Return rows by profile id. Raises RetryTransaction.

    The people of `noted` first events are locked at once with these: two writers could else wait for each other.
    """
    ids = {profile_id for group in groups for profile_id in group.people}
    if not ids:
        return {}
    locked = sorted(ids.union(noted), key=lambda uuid: uuid.int)
    await lock_stripes(tx, scope.sandbox_id, locked)
    graphs = {row["profile_id"]: row for row in await tx.rows(locking(LOCK_GRAPHS, tx), scope.sandbox_id, locked)}
    if len(graphs) < len(locked):
        raise RetryTransaction("a person is gone")
    for xid, profile_id in pointers.items():
        if profile_id in graphs and xid not in graphs[profile_id]["xids"]:
            raise RetryTransaction("an identity moved")
    return {profile_id: graphs[profile_id] for profile_id in ids}


async def _note_first_events(tx: Session, scope: Scope, owners: Mapping[UUID, UUID]) -> None:
    """Note in identities and in their graphs, which are locked then, that they have events. `owners`: profile ids by xid. Raises RetryTransaction."""
    if not owners:
        return
    await lock_stripes(tx, scope.sandbox_id, owners.values())
    noted = await tx.rows(locking(NOTE_FIRST_EVENTS, tx), scope.sandbox_id, list(owners.values()), list(owners))
    if len(noted) < len(set(owners.values())):
        raise RetryTransaction("an identity moved")


async def _check_unchanged(tx: Session, scope: Scope, groups: Sequence[_Group]) -> None:
    """Check that no graph of these groups is contested: a tie among its members that is said again could regroup it."""
    ids = [profile_id for group in groups for profile_id in group.people]
    if not ids:
        return
    rows = await tx.rows(READ_GRAPHS, scope.sandbox_id, ids)
    if len(rows) < len(ids):
        raise RetryTransaction("a person is gone")
    if any(row["is_contested"] for row in rows):
        raise RetryTransaction("a contested graph", exclusive=True)


async def _read_members(
    tx: Session, scope: Scope, config: Configuration, groups: Iterable[_Group], graphs: Mapping[UUID, Any]
) -> dict[UUID, NamedIdentity]:
    """Read the members of all graphs that change. Raises RetryTransaction if one that changes or is tied is contested."""
    growing = [graphs[profile_id] for group in groups if group.changes for profile_id in group.people]
    contested = [graphs[p] for group in groups if group.is_tied for p in group.people if graphs[p]["is_contested"]]
    if contested or any(graph["is_contested"] for graph in growing):
        raise RetryTransaction("a contested graph", exclusive=True)
    xids = [xid for graph in growing for xid in graph["xids"]]
    rows = await tx.rows(READ_MEMBERS, scope.sandbox_id, xids) if xids else []
    return {row["xid"]: NamedIdentity(row["xid"], config.namespaces[row["namespace_id"]], row["value"]) for row in rows}


def _united(
    config: Configuration, group: _Group, graphs: Mapping[UUID, Any], members: Mapping[UUID, NamedIdentity]
) -> GraphChange:
    if not group.changes:
        (profile_id,) = group.people
        return GraphChange(profile_id, tuple(graphs[profile_id]["xids"]), (profile_id,), is_rebuilt=False)
    xids = [*group.newcomers, *(xid for profile_id in group.people for xid in graphs[profile_id]["xids"])]
    if len(xids) > MAX_GRAPH_SIZE:
        raise RetryTransaction("a graph grows past the cap", exclusive=True)
    ordered = sorted((members[xid] for xid in xids), key=canonical_order)
    unique = [n for member in ordered if (n := member.namespace.namespace_id) in config.rules.unique]
    if len(unique) > len(set(unique)):
        raise RetryTransaction("two values of a unique namespace", exclusive=True)
    return GraphChange(ordered[0].xid, tuple(m.xid for m in ordered), tuple(group.people), is_rebuilt=True)


def canonical_order(member: NamedIdentity) -> tuple[int, int]:
    """Return the sort key of a graph's members: the first one gives the profile id."""
    return member.namespace.type.rank, member.xid.int


async def insert_identities(
    tx: Session,
    scope: Scope,
    identities: Sequence[NamedIdentity],
    owners: Mapping[UUID, UUID],
    *,
    emptied: Collection[UUID],
    with_events: Collection[UUID],
) -> None:
    """Insert new identities, with their profile id if `owners` has one, and note which of them get events. Raises ConstraintViolated where another writer was first.

    They come in the order of xids, so that two writers cannot wait for each other. `emptied` identities are there without a value, and get it
    back. Raises RetryTransaction where another writer gave it first.
    """
    sandbox_id = scope.sandbox_id
    rows = [
        (sandbox_id, n.xid, n.namespace.namespace_id, n.value, owners.get(n.xid), n.xid in with_events)
        for n in identities
        if n.xid not in emptied
    ]
    if emptied:
        again = sorted(
            (n.xid, n.value, owners.get(n.xid), n.xid in with_events) for n in identities if n.xid in emptied
        )
        if await tx.update_rows(NAME_AGAIN, sandbox_id, rows=again) < len(again):
            raise RetryTransaction("another writer used an erased identity first")
    await tx.copy("identity", IDENTITY_COLUMNS, sorted(rows, key=lambda row: row[1].int))


async def _relink(
    tx: Session, scope: Scope, people: Sequence[GraphChange], former_members: Mapping[UUID, Sequence[UUID]]
) -> None:
    moved = [
        (xid, person.profile_id)
        for person in people
        for former in person.former
        if former != person.profile_id
        for xid in former_members[former]
    ]
    if moved:
        await tx.update_rows(RELINK, scope.sandbox_id, [xid for xid, _ in moved], rows=sorted(moved))


async def _write_graphs(tx: Session, scope: Scope, people: Sequence[GraphChange], locked: LockedPeople) -> None:
    gone = [former for person in people for former in person.former if former != person.profile_id]
    if gone:
        await tx.execute(DELETE_GRAPHS, scope.sandbox_id, gone)
    rows = {p.profile_id: graph_row(p.profile_id, p.xids, locked.members, locked.with_events) for p in people}
    kept = sorted(person.profile_id for person in people if person.profile_id in person.former)
    if kept:
        await tx.update_rows(UPDATE_GRAPHS, scope.sandbox_id, kept, rows=[rows.pop(profile_id) for profile_id in kept])
    await tx.copy("graph", GRAPH_COLUMNS, [(scope.sandbox_id, *row) for row in rows.values()])


def graph_row(
    profile_id: UUID,
    xids: Sequence[UUID],
    members: Mapping[UUID, NamedIdentity],
    with_events: Collection[UUID],
    *,
    contested: bool = False,
    size: int | None = None,
) -> tuple[Any, ...]:
    """Return the row of a person's graph, without the sandbox. `size`: its members before a cut to MAX_GRAPH_SIZE, None without a cut.

    `with_events`: those of the members that have events, among other identities.
    """
    event_xids = [xid for xid in xids if xid in with_events]
    rendered = identity_map([members[xid] for xid in xids])
    return profile_id, list(xids), rendered, contested, size or len(xids), event_xids


def identity_map(members: Iterable[NamedIdentity]) -> str:
    """Render members as an XDM identityMap, in their order: JSON text of `{code: [{"id": value}]}`."""
    rendered: dict[str, list[dict[str, str]]] = {}
    for member in members:
        rendered.setdefault(member.namespace.code, []).append({"id": member.value})
    return orjson.dumps(rendered).decode()

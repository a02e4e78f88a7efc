"""Effects: what one transaction did to people, for the views after the graphs, and for followers of the journal.

A change names the person by the profile id of the sandbox's own graph. Under a policy without a graph, each xid of the person, and of the
people that it was made of, may have changed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class ChangeKind(StrEnum):
    """What happened to a person.

    CREATED: none of its members had a person. UPDATED: what a record of it says, or its members, changed. MERGED: all members of another
    person belong to it now, or it has another profile id. SPLIT: members of a former person belong to several people now; said of each
    that has some of them. EVENTS: only events came or went. DELETED: no identity of it belongs to anybody.
    """

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    MERGED = "MERGED"
    SPLIT = "SPLIT"
    EVENTS = "EVENTS"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A person's graph as a transaction leaves it: members in canonical order.

    `former` are the profile ids that its members belonged to before, none if all are new. `is_rebuilt`: the members changed.
    """

    profile_id: UUID
    xids: tuple[UUID, ...]
    former: tuple[UUID, ...]
    is_rebuilt: bool


class PersonChange(NamedTuple):
    """A change of one person. `xids`: the members after it; before it, if the person is DELETED.

    `former`: the other people that some of its members belonged to, for MERGED and SPLIT. `paths`: the changed paths of the default
    policy's document, sorted, which end at maps; empty if a record changed and the document did not. None where they are not known, and if
    no person had this profile id before.
    """

    kind: ChangeKind
    profile_id: UUID
    xids: tuple[UUID, ...]
    former: tuple[UUID, ...] = ()
    paths: tuple[tuple[str, ...], ...] | None = None


@dataclass(slots=True)
class Effects:
    """The changes of one transaction: at most one for each person. `event_xids`: identities of other people under which events came or went.

    A profile id that nobody has any more is DELETED, or `former` of somebody. `dropped_xids`: identities that nobody has any more, though others
    who were the same person are still there.
    """

    people: dict[UUID, PersonChange] = field(default_factory=dict)
    event_xids: set[UUID] = field(default_factory=set)
    dropped_xids: set[UUID] = field(default_factory=set)


def effects_of(
    people: Iterable[GraphChange],
    before: Mapping[UUID, Sequence[UUID]],
    rewritten: AbstractSet[UUID],
    event_xids: Collection[UUID],
) -> Effects:
    """Say what happened to people, without the paths.

    `people` are there now; `before` holds the members of the people before, by profile id. `rewritten`: identities
    with a record that changed. `event_xids`: identities under which events came or went.
    """
    people = list(people)
    rebuilt = before.keys() - {person.profile_id for person in people if not person.is_rebuilt}
    owners = {xid: person.profile_id for person in people for xid in person.xids} if rebuilt else {}
    heirs = {former: {owners[xid] for xid in before[former] if xid in owners} for former in rebuilt}
    changes = {
        former: PersonChange(ChangeKind.DELETED, former, tuple(before[former]))
        for former, owned_by in heirs.items()
        if not owned_by
    }
    for person in people:
        kind = _kind(person, heirs, rewritten)
        if kind is not None:
            others: tuple[UUID, ...] = ()
            if kind in (ChangeKind.MERGED, ChangeKind.SPLIT):
                others = tuple(sorted(former for former in person.former if former != person.profile_id))
            changes[person.profile_id] = PersonChange(kind, person.profile_id, person.xids, others)
    changed = {xid for change in changes.values() for xid in change.xids} if event_xids else ()
    dropped = {xid for former, owned_by in heirs.items() if owned_by for xid in before[former] if xid not in owners}
    return Effects(changes, {xid for xid in event_xids if xid not in changed}, dropped)


def _kind(
    person: GraphChange, heirs: Mapping[UUID, Collection[UUID]], rewritten: AbstractSet[UUID]
) -> ChangeKind | None:
    if not person.is_rebuilt:
        return None if rewritten.isdisjoint(person.xids) else ChangeKind.UPDATED
    if not person.former:
        return ChangeKind.CREATED
    if any(len(heirs[former]) == 1 for former in person.former if former != person.profile_id):
        return ChangeKind.MERGED
    if any(len(heirs[former]) > 1 for former in person.former):
        return ChangeKind.SPLIT
    return ChangeKind.UPDATED

"""Effects: what one transaction did to people, which every view after the graphs, and the journal, are made from.

A change names the person by the profile id of the sandbox's own graph. Under a policy without a graph, each xid of the person, and of the
people that it was made of, may have changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class ChangeKind(StrEnum):
    """What happened to a person.

    CREATED: there was none. UPDATED: the document or the identities changed. MERGED: all members of another person belong to it now.
    SPLIT: members of a former person belong to another one now; said of each person that has some of them. EVENTS: only events came or
    went. DELETED: no identity of it belongs to anybody.
    """

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    MERGED = "MERGED"
    SPLIT = "SPLIT"
    EVENTS = "EVENTS"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class PersonChange:
    """A change of one person. `xids`: the members after it; before it, if the person is DELETED.

    `former`: profile ids of the people that were merged into this one, or that it was split from. `paths`: the changed paths of the
    default policy's document, which end at maps; None where they are not known.
    """

    kind: ChangeKind
    profile_id: UUID
    xids: tuple[UUID, ...]
    former: tuple[UUID, ...] = ()
    paths: tuple[tuple[str, ...], ...] | None = None


@dataclass(slots=True)
class Effects:
    """The changes of one transaction: at most one for each person. `event_xids`: identities under which events came or went."""

    people: dict[UUID, PersonChange] = field(default_factory=dict)
    event_xids: set[UUID] = field(default_factory=set)

    def add(self, changes: Iterable[PersonChange]) -> None:
        """Add changes of people without a change so far."""
        self.people.update((change.profile_id, change) for change in changes)

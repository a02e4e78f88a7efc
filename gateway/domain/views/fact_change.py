"""What one transaction did to facts: the value that every writer makes, and that goes through the views."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.facts.documents import ValidDocument
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import RecordKey, RecordState, RecordStates
from gateway.domain.views.effects import Effects, GraphChange
from gateway.domain.views.graph_union import LockedPeople
from gateway.storage.database import Session


@dataclass(slots=True)
class FactChange:
    """What one transaction did to facts, and what its views make of that. Each view reads what the views before it left here.

    Set by the writer, `seq` and `at` once the transaction holds all its locks:

        locked       the people that the change concerns, locked, and as it leaves them; None under the exclusive lock
        seeds        without locked people: the identities whose components are grouped anew
        recount      ties may have gone, so that identities may be excluded no longer, or named by no fact
        states       the states of records after the change, complete for the identities `known` and for the `newcomers`
        known        identities that were stored before, with all of their records in `states`
        newcomers    identities that this transaction made known
        before       the records that it appended versions to, with their former states, None for a new one
        refolded     without locked people: the records to fold anew from all versions, since one came late or went
        event_xids   identities under which events came or went
        added        the events by dataset, where all of them came and none went
        is_removal   facts went, and with them what is kept of the people that they were of
        policies     write the profiles of all locked people under these policies alone; some people may have none yet

    Set by the views:

        changed          the records that say something else now
        people           all people that the change may concern
        former_members   the members of the people before, by profile id
        excluded         identities that join nobody from now on
        dropped          how many identities no fact names any more
        forgotten_values how many values of computed attributes went
        effects          what happened to people
    """

    tx: Session
    scope: Scope
    config: Configuration
    seq: int
    at: datetime

    locked: LockedPeople | None = None
    seeds: set[UUID] = field(default_factory=set)
    recount: bool = False
    states: RecordStates = field(default_factory=dict)
    known: set[UUID] = field(default_factory=set)
    newcomers: set[UUID] = field(default_factory=set)
    before: dict[RecordKey, RecordState | None] = field(default_factory=dict)
    refolded: set[RecordKey] = field(default_factory=set)
    event_xids: set[UUID] = field(default_factory=set)
    added: list[tuple[UUID, Sequence[ValidDocument]]] = field(default_factory=list)
    is_removal: bool = False
    policies: Sequence[MergePolicy] | None = None

    changed: set[RecordKey] = field(default_factory=set)
    people: list[GraphChange] = field(default_factory=list)
    former_members: dict[UUID, tuple[UUID, ...]] = field(default_factory=dict)
    excluded: set[UUID] = field(default_factory=set)
    dropped: int = 0
    forgotten_values: int = 0
    effects: Effects = field(default_factory=Effects)

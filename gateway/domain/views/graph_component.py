"""Components: the identities that ties connect, read only as far as a change of ties can reach.

The degree limit of an identity is the highest of `graphs.DEGREE_LIMITS` that it fits at. It fits at a limit of n if it has at
most n neighbours, and if its component among the identities with at most n neighbours has at most `graphs.MAX_COMPONENT` members. The limit
is stored with the identity, so that a walk stops where it meets a component that is known to be too large. `read_component` finds every
limit that a change may alter:

1. Start from the seeds and the other members of their present graphs.
2. Add the neighbours of these, but not those of an identity that is stored with too many neighbours and still has them.
3. Identities with more neighbours than `graphs.MAX_NEIGHBOURS` get TOO_MANY_NEIGHBOURS.
4. For each degree limit, the highest first, connect the identities with at most so many neighbours. Stop walking when a group is
   too large, except from members that are stored with this limit or a higher one: their limit falls now.
   The members of a group that fits get the limit. The others are tried at the next one.
5. Identities that fit nowhere get EXCLUDED.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.documents import NamedIdentity
from gateway.domain.rules import graphs
from gateway.domain.rules.graphs import Graph, Member, RefusedLink, Rules, Tie
from gateway.domain.rules.scope import Scope
from gateway.domain.views.graph_union import READ_GRAPHS, READ_MEMBERS
from gateway.runtime.slices import in_time_slices
from gateway.runtime.threads import Thread
from gateway.storage.database import Session
from gateway.storage.distribution import AMONG
from gateway.storage.queries import query, template

READ_TIES = query("graph_component.read_ties")
READ_UNLINKED_PAIRS = query("graph_component.read_unlinked_pairs")
WITH_FACTS: Final = {
    is_distributed: template("graph_component.with_facts").filled(among=among)
    for is_distributed, among in AMONG.items()
}

EXCLUDED: Final = 0
"""The degree limit of an identity that joins nobody, since its component is too large at every limit."""

TOO_MANY_NEIGHBOURS: Final = -1
"""The degree limit of an identity that joins nobody, since it has more neighbours than any person's identity may have."""

MAX_NAMES_INLINE: Final = 1_000
"""The largest component that is examined on the event loop, in a few milliseconds: its members plus the xids in all of its ties."""

T = TypeVar("T")

_RuleArguments = tuple[Mapping[UUID, Member], Sequence[Tie], Collection[tuple[UUID, UUID]], Rules, AbstractSet[UUID]]


@dataclass(slots=True)
class Component:
    """Identities that may join other people after a change, with everything that the graph rules need to know of them.

    The identities are the keys of `degree_limits`, whose values are their new limits. `members` also holds neighbours outside: the rules
    treat them as excluded. `pointers` and `stored_degree_limits` are what the store says now: the profile id and the limit of each.
    `neighbours` maps an identity to all that ties name together with it. `ties` maps the xids that a tie names to the latest time of
    such a tie. `with_facts`: the identities with a live fragment or an event. `with_events`: those with an event; `noted_with_events`: those
    whose rows have `has_events` set.
    """

    members: dict[UUID, NamedIdentity] = field(default_factory=dict)
    degree_limits: dict[UUID, int] = field(default_factory=dict)
    stored_degree_limits: dict[UUID, int] = field(default_factory=dict)
    pointers: dict[UUID, UUID | None] = field(default_factory=dict)
    neighbours: dict[UUID, set[UUID]] = field(default_factory=dict)
    ties: dict[tuple[UUID, ...], datetime] = field(default_factory=dict)
    unlinked_pairs: set[tuple[UUID, UUID]] = field(default_factory=set)
    with_facts: set[UUID] = field(default_factory=set)
    with_events: set[UUID] = field(default_factory=set)
    noted_with_events: set[UUID] = field(default_factory=set)


async def read_component(
    tx: Session, scope: Scope, config: Configuration, seeds: Collection[UUID], *, recount: bool
) -> Component:
    """Read the identities whose graph may change with the ties of `seeds`: one Component, also where they do not hang together.

    `recount`: ties may have gone, so that a seed with too many neighbours may have few enough now, and its ties are read again.
    """
    walk = _NeighbourWalk(tx, scope, config, set(seeds) if recount else set())
    await walk.read(seeds)
    touched = {*seeds, *await walk.read_graph_members()} & walk.component.members.keys()
    await walk.read(touched)
    touched |= await walk.read_neighbours(touched)
    overlinked = {xid for xid in touched if not walk.has_at_most(graphs.MAX_NEIGHBOURS, xid)}
    left = touched - overlinked
    for degree_limit in graphs.DEGREE_LIMITS:
        left = await walk.assign(degree_limit, left)
    return await walk.complete(dict.fromkeys(overlinked, TOO_MANY_NEIGHBOURS) | dict.fromkeys(left, EXCLUDED))


async def examine_component(
    examine: Callable[[Configuration, Component], T], config: Configuration, component: Component, thread: Thread
) -> T:
    """Call `examine` with a component, in the thread if the component is large. Return its result."""
    if len(component.members) + sum(map(len, component.ties)) <= MAX_NAMES_INLINE:
        return examine(config, component)
    return await thread.run(examine, config, component)


def graphs_in(config: Configuration, component: Component) -> Iterator[Graph]:
    """List the graphs that the rules make of the component's identities."""
    found = graphs.graphs_of(*_rule_arguments(config, component))
    return (graph for graph in found if graph.profile_id in component.degree_limits)


def whole_graphs_in(config: Configuration, component: Component) -> list[Graph]:
    """List the graphs that the rules make of the component's identities, before those that are too large are cut."""
    return list(graphs.graphs_of(*_rule_arguments(config, component), is_cut=False))


def refused_links_in(config: Configuration, component: Component) -> Iterator[RefusedLink]:
    """List the refused links with at least one end among the component's identities."""
    refused = graphs.resolve(*_rule_arguments(config, component)).refused
    return (link for link in refused if link.a in component.degree_limits or link.b in component.degree_limits)


def _rule_arguments(config: Configuration, component: Component) -> _RuleArguments:
    members = {
        xid: Member(xid, member.namespace.namespace_id, member.namespace.type)
        for xid, member in component.members.items()
    }
    ties = [Tie(xids, at) for xids, at in component.ties.items()]
    joining = {xid for xid, degree_limit in component.degree_limits.items() if degree_limit > EXCLUDED}
    return members, ties, component.unlinked_pairs, config.rules, members.keys() - joining


class _NeighbourWalk:
    """A walk along ties; `component` grows with what has been read."""

    def __init__(self, tx: Session, scope: Scope, config: Configuration, recounted: set[UUID]) -> None:
        self._tx, self._scope, self._config, self._recounted = tx, scope, config, recounted
        self._requested = set[UUID]()
        self.component = Component()

    async def read(self, xids: Iterable[UUID]) -> None:
        """Read identities and their ties, each once; no ties of one that is stored with too many neighbours and is not recounted."""
        requested = set(xids) - self._requested
        self._requested |= requested
        rows = await self._tx.rows(READ_MEMBERS, self._scope.sandbox_id, list(requested)) if requested else []
        for row in rows:
            member = NamedIdentity(row["xid"], self._config.namespaces[row["namespace_id"]], row["value"])
            self.component.members[member.xid], self.component.pointers[member.xid] = member, row["profile_id"]
            self.component.stored_degree_limits[member.xid] = row["degree_limit"]
        await self._read_ties(
            {row["xid"] for row in rows if row["degree_limit"] != TOO_MANY_NEIGHBOURS or row["xid"] in self._recounted}
        )

    async def _read_ties(self, xids: set[UUID]) -> None:
        neighbours: dict[UUID, set[UUID]] = {xid: set() for xid in xids}

        def note(row: Any) -> None:
            together = tuple(row["xids"])
            self.component.ties[together] = row["at"]
            for xid in together:
                if xid in neighbours:
                    neighbours[xid].update(together)

        await in_time_slices(note, await self._tx.rows(READ_TIES, self._scope.sandbox_id, list(xids)) if xids else ())
        for xid, others in neighbours.items():
            others.discard(xid)
        self.component.neighbours |= neighbours

    async def read_graph_members(self) -> set[UUID]:
        """Return all members of the graphs that the identities read so far belong to."""
        pointers = {pointer for pointer in self.component.pointers.values() if pointer}
        rows = await self._tx.rows(READ_GRAPHS, self._scope.sandbox_id, list(pointers)) if pointers else []
        return {xid for row in rows for xid in row["xids"]}

    async def read_neighbours(self, xids: Iterable[UUID]) -> set[UUID]:
        """Read and return the neighbours of these; but none of an identity that had too many before and has them still."""
        stored = self.component.stored_degree_limits
        followed = (
            xid for xid in xids if self.has_at_most(graphs.MAX_NEIGHBOURS, xid) or stored[xid] != TOO_MANY_NEIGHBOURS
        )
        found = set[UUID]()
        await in_time_slices(lambda xid: found.update(self.component.neighbours[xid]), followed)
        await self.read(found)
        return found & self.component.members.keys()

    def has_at_most(self, degree_limit: int, xid: UUID) -> bool:
        """Tell whether the ties of this identity were read and give it no more neighbours than the limit."""
        return xid in self.component.neighbours and len(self.component.neighbours[xid]) <= degree_limit

    async def assign(self, degree_limit: int, left: set[UUID]) -> set[UUID]:
        """Give the limit to every identity that fits at it. Return those that are left for lower limits.

        Members of a group that is too large are not walked from, unless they are stored with this limit or a higher one.
        """
        component, stored = self.component, self.component.stored_degree_limits
        groups = {xid: {xid} for xid in left if self.has_at_most(degree_limit, xid)}
        todo = set(groups)
        while todo := {xid for xid in todo if len(groups[xid]) <= graphs.MAX_COMPONENT or stored[xid] >= degree_limit}:
            unread = await in_time_slices(lambda xid: component.neighbours[xid] - self._requested, todo)
            await self.read(islice(set[UUID]().union(*unread), graphs.MAX_COMPONENT))
            ready = {xid for xid in todo if component.neighbours[xid] <= self._requested}
            met = await in_time_slices(lambda xid: self._unite(groups, xid, degree_limit), ready)
            todo = (todo - ready).union(*met)
        for group in {id(group): group for group in groups.values()}.values():
            if len(group) <= graphs.MAX_COMPONENT:
                component.degree_limits.update(dict.fromkeys(group, degree_limit))
                left = left - group
            else:
                left = left | {xid for xid in group if stored[xid] >= degree_limit}
        return left

    def _unite(self, groups: dict[UUID, set[UUID]], xid: UUID, degree_limit: int) -> set[UUID]:
        """Join an identity's group with those of its neighbours within the limit. Return neighbours that had no group yet."""
        new = set[UUID]()
        for other in self.component.neighbours[xid]:
            if other not in groups:
                if not self.has_at_most(degree_limit, other):
                    continue
                groups[other] = {other}
                new.add(other)
            if groups[xid] is not groups[other]:
                small, large = sorted((groups[xid], groups[other]), key=len)
                large |= small
                groups.update(dict.fromkeys(small, large))
        return new

    async def complete(self, excluded: dict[UUID, int]) -> Component:
        """Return the component with the limits of excluded identities, unlinked pairs, and which identities have facts, and which events."""
        component, sandbox_id = self.component, self._scope.sandbox_id
        component.degree_limits |= excluded
        component.pointers = {xid: component.pointers[xid] for xid in component.degree_limits}
        xids = list(component.degree_limits)
        pairs = await self._tx.rows(READ_UNLINKED_PAIRS, sandbox_id, xids)
        component.unlinked_pairs = {(row["xid"], row["other_xid"]) for row in pairs}
        rows = await self._tx.rows(WITH_FACTS[self._tx.is_distributed], sandbox_id, xids)
        component.with_facts = {row["xid"] for row in rows if row["has_events"] or row["has_fragment"]}
        component.with_events = {row["xid"] for row in rows if row["has_events"]}
        component.noted_with_events = {row["xid"] for row in rows if row["is_noted"]}
        return component

"""Components: who hangs together with whom by ties, read as far as a change of facts can reach and no further.

Nobody is followed through an identity that joins nobody, and what hangs together through others is at most a crowd. So that this holds
where millions hang together, each identity keeps the degree_limit of the ladder on which it joins others (`graphs.busiest`): those who
keep a lower degree_limit than the one that is looked at are known to be in a crowd there, and not walked again.

Whose degree_limit may be another after ties came or went: those whom the ties name and their neighbours; those who stood on a degree_limit together
with one of them, since that may have become a crowd; and those who stand there together with one of them now.
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
from gateway.storage.queries import query

READ_TIES = query("graph_component.read_ties")
READ_UNLINKED_PAIRS = query("graph_component.read_unlinked_pairs")
WITH_FACTS = query("graph_component.with_facts")

NOBODY, HUB = 0, -1
"""The rungs of who joins nobody: one of the busiest of a crowd, and one that is too busy anywhere."""

FEW: Final = 1_000
"""Identities of a component, and those that its ties name, each as often as it is named, that are looked at on the event loop: milliseconds."""

T = TypeVar("T")

_Asked = tuple[Mapping[UUID, Member], Sequence[Tie], Collection[tuple[UUID, UUID]], Rules, AbstractSet[UUID]]


@dataclass(slots=True)
class Component:
    """Identities whose people may be others now, as `degree_limits` has it, and all that the graph rules ask about them.

    `stored_degree_limits` and `pointers` are what the store has of them, `near` their neighbours; `members` holds those at the edge, too,
    who join nobody.
    """

    members: dict[UUID, NamedIdentity] = field(default_factory=dict)
    degree_limits: dict[UUID, int] = field(default_factory=dict)
    stored_degree_limits: dict[UUID, int] = field(default_factory=dict)
    pointers: dict[UUID, UUID | None] = field(default_factory=dict)
    near: dict[UUID, set[UUID]] = field(default_factory=dict)
    ties: dict[tuple[UUID, ...], datetime] = field(default_factory=dict)
    cannot: set[tuple[UUID, UUID]] = field(default_factory=set)
    with_facts: set[UUID] = field(default_factory=set)


async def read_component(
    tx: Session, scope: Scope, config: Configuration, seeds: Collection[UUID], *, recount: bool
) -> Component:
    """Everybody whom a change of these identities' ties may concern, the people that they have now included.

    `recount`: ties may have gone, so that a hub among the seeds may be none any more.
    """
    web = _Web(tx, scope, config, set(seeds) if recount else set())
    await web.read(seeds)
    touched = {*seeds, *await web.companions()} & web.known.members.keys()
    await web.read(touched)
    touched |= await web.neighbours(touched)
    hubs = {xid for xid in touched if not web.stands(xid, graphs.MAX_NEIGHBOURS)}
    left = touched - hubs
    for degree_limit in graphs.DEGREE_LIMITS:
        left = await web.stand(degree_limit, left)
    return await web.complete(dict.fromkeys(hubs, HUB) | dict.fromkeys(left, NOBODY))


async def examine_component(
    look: Callable[[Configuration, Component], T], config: Configuration, component: Component, thread: Thread
) -> T:
    """What a look at a component by the graph rules gives: at a small one here, as most are, at another in the thread."""
    if len(component.members) + sum(map(len, component.ties)) <= FEW:
        return look(config, component)
    return await thread.run(look, config, component)


def graphs_in(config: Configuration, component: Component) -> Iterator[Graph]:
    """The graphs of the component's identities."""
    return (
        graph for graph in graphs.graphs_of(*_asked(config, component)) if graph.profile_id in component.degree_limits
    )


def refused_links_in(config: Configuration, component: Component) -> Iterator[RefusedLink]:
    """The refused links that touch one of the component's identities."""
    refused = graphs.resolve(*_asked(config, component)).refused
    return (link for link in refused if link.a in component.degree_limits or link.b in component.degree_limits)


def _asked(config: Configuration, component: Component) -> _Asked:
    """What the graph rules look at, as they take it."""
    members = {
        xid: Member(xid, member.namespace.namespace_id, member.namespace.type)
        for xid, member in component.members.items()
    }
    ties = [Tie(xids, at) for xids, at in component.ties.items()]
    joining = {xid for xid, degree_limit in component.degree_limits.items() if degree_limit > NOBODY}
    return members, ties, component.cannot, config.rules, members.keys() - joining


class _Web:
    """What ties say, as far as it has been read."""

    def __init__(self, tx: Session, scope: Scope, config: Configuration, recounted: set[UUID]) -> None:
        self._tx, self._scope, self._config, self._recounted = tx, scope, config, recounted
        self._asked = set[UUID]()
        self.known = Component()

    async def read(self, xids: Iterable[UUID]) -> None:
        """Read identities and their ties; of a known hub that need not be counted again only that it is one."""
        asked = set(xids) - self._asked
        self._asked |= asked
        rows = await self._tx.rows(READ_MEMBERS, self._scope.sandbox_id, list(asked)) if asked else []
        for row in rows:
            member = NamedIdentity(row["xid"], self._config.namespaces[row["namespace_id"]], row["value"])
            self.known.members[member.xid], self.known.pointers[member.xid] = member, row["profile_id"]
            self.known.stored_degree_limits[member.xid] = row["degree_limit"]
        await self._read_ties(
            {row["xid"] for row in rows if row["degree_limit"] != HUB or row["xid"] in self._recounted}
        )

    async def _read_ties(self, xids: set[UUID]) -> None:
        near: dict[UUID, set[UUID]] = {xid: set() for xid in xids}

        def note(row: Any) -> None:
            together = tuple(row["xids"])
            self.known.ties[together] = row["at"]
            for xid in together:
                if xid in near:
                    near[xid].update(together)

        await in_time_slices(note, await self._tx.rows(READ_TIES, self._scope.sandbox_id, list(xids)) if xids else ())
        for xid, others in near.items():
            others.discard(xid)
        self.known.near |= near

    async def companions(self) -> set[UUID]:
        """All members of the people whom those that were read have now."""
        pointers = {pointer for pointer in self.known.pointers.values() if pointer}
        rows = await self._tx.rows(READ_GRAPHS, self._scope.sandbox_id, list(pointers)) if pointers else []
        return {xid for row in rows for xid in row["xids"]}

    async def neighbours(self, xids: Iterable[UUID]) -> set[UUID]:
        """The neighbours of these, read; those of a hub only if it has just become one."""
        new = (
            xid
            for xid in xids
            if self.stands(xid, graphs.MAX_NEIGHBOURS) or self.known.stored_degree_limits[xid] != HUB
        )
        found = set[UUID]()
        await in_time_slices(lambda xid: found.update(self.known.near[xid]), new)
        await self.read(found)
        return found & self.known.members.keys()

    def stands(self, xid: UUID, degree_limit: int) -> bool:
        """Whether an identity that was read has no more neighbours than the degree_limit says."""
        return xid in self.known.near and len(self.known.near[xid]) <= degree_limit

    async def stand(self, degree_limit: int, left: set[UUID]) -> set[UUID]:
        """Find out who of those left joins others on this degree_limit; who is left for the lower ones.

        It is walked on from who is in no crowd yet, and from who was in none before.
        """
        groups = {xid: {xid} for xid in left if self.stands(xid, degree_limit)}
        todo, stored = set(groups), self.known.stored_degree_limits
        while todo := {xid for xid in todo if len(groups[xid]) <= graphs.MAX_COMPONENT or stored[xid] >= degree_limit}:
            unread = await in_time_slices(lambda xid: self.known.near[xid] - self._asked, todo)
            await self.read(islice(set[UUID]().union(*unread), graphs.MAX_COMPONENT))
            ready = {xid for xid in todo if self.known.near[xid] <= self._asked}
            met = await in_time_slices(lambda xid: self._unite(groups, xid, degree_limit), ready)
            todo = (todo - ready).union(*met)
        for group in {id(group): group for group in groups.values()}.values():
            if len(group) <= graphs.MAX_COMPONENT:
                self.known.degree_limits.update(dict.fromkeys(group, degree_limit))
                left = left - group
            else:
                left = left | {xid for xid in group if stored[xid] >= degree_limit}
        return left

    def _unite(self, groups: dict[UUID, set[UUID]], xid: UUID, degree_limit: int) -> set[UUID]:
        """Put an identity into a group with its neighbours who stand on the degree_limit; those of them who were in none."""
        new = set[UUID]()
        for other in self.known.near[xid]:
            if other not in groups:
                if not self.stands(other, degree_limit):
                    continue
                groups[other] = {other}
                new.add(other)
            if groups[xid] is not groups[other]:
                small, large = sorted((groups[xid], groups[other]), key=len)
                large |= small
                groups.update(dict.fromkeys(small, large))
        return new

    async def complete(self, others: dict[UUID, int]) -> Component:
        """The component: those whose degree_limit is settled, and these."""
        known, sandbox_id = self.known, self._scope.sandbox_id
        known.degree_limits |= others
        known.pointers = {xid: known.pointers[xid] for xid in known.degree_limits}
        xids = list(known.degree_limits)
        known.cannot = {
            (row["xid"], row["other_xid"]) for row in await self._tx.rows(READ_UNLINKED_PAIRS, sandbox_id, xids)
        }
        known.with_facts = {row["xid"] for row in await self._tx.rows(WITH_FACTS, sandbox_id, xids)}
        return known

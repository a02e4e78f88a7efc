"""Which identities are one person: a pure function of the facts, whatever order they came in.

    xid_of       an identity's key, from its namespace and value
    resolve      the graphs that the ties make, and the links that were refused on the way

Every link that the ties speak of is either inside a graph or in the list of refused ones. NON_PEOPLE identities have no
links: a tie that names one says nothing about it.
"""

import hashlib
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TypeVar
from uuid import UUID

from gateway.runtime.uuids import uuid_of

MAX_GRAPH_SIZE = 50
"""The most identities that a graph holds."""

MAX_NEIGHBOURS = 100
"""An identity with more distinct neighbours than this is no person's: a shared terminal, a test account."""

MAX_COMPONENT = 2000
"""The most identities that may hang together by links, refused ones included: what a single link can make us look at is bounded."""

KEPT = 4096
"""Namespaces of which the beginning of a hash is kept."""

DEGREE_LIMITS = (MAX_NEIGHBOURS, 50, 20, 10, 5, 2)
"""In a larger crowd an identity with more neighbours than the next degree_limit is no person's either; and so on down, until what is left fits."""


class IdentityType(StrEnum):
    """The kind of a namespace. They stand in the order in which an identity speaks for its person: see `rank`."""

    CROSS_DEVICE = "CROSS_DEVICE"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    DEVICE = "DEVICE"
    COOKIE = "COOKIE"
    PARTNER = "PARTNER"
    NON_PEOPLE = "NON_PEOPLE"

    rank: int

    def __init__(self, _value: str) -> None:
        self.rank = len(type(self).__members__)


class LinkRefusal(StrEnum):
    """Why a link that the data speaks of joins nobody."""

    UNIQUE_NAMESPACE = "UNIQUE_NAMESPACE"
    IDENTITY_CAP = "IDENTITY_CAP"
    UNLINKED = "UNLINKED"


@dataclass(frozen=True, slots=True)
class Member:
    """An identity as far as the graph rules look at it."""

    xid: UUID
    namespace: int
    type: IdentityType


@dataclass(frozen=True, slots=True)
class Tie:
    """What one row said: these identities belong together, as of `at`. It links every two of them."""

    xids: tuple[UUID, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """A sandbox's identity settings: the priority of namespaces (1 is highest) and those unique in a graph."""

    priority: Mapping[int, int] = field(default_factory=dict)
    unique: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Graph:
    """One person: its members in canonical order, by (rank of their type, xid), so the first names the profile.

    `size` counts all that belonged together before the cap. `contested` says that a refused link touches a member, so
    that the next tie may regroup it: only a graph that is not contested may grow by a plain union.
    """

    profile_id: UUID
    xids: tuple[UUID, ...]
    size: int
    contested: bool


@dataclass(frozen=True, slots=True)
class RefusedLink:
    """A link that joins nobody, and why. `a` is the smaller xid."""

    a: UUID
    b: UUID
    reason: LinkRefusal


@dataclass(frozen=True, slots=True)
class Resolution:
    """Every member in exactly one graph, graphs by their first member; the refused links by their ends."""

    graphs: tuple[Graph, ...]
    refused: tuple[RefusedLink, ...]


# ------------------------------------------------------------------------------------------------ keys


def xid_of(secret: bytes, namespace_id: int, value: str) -> UUID:
    """The key of an identity: deterministic inside a sandbox, and of no use to who lacks the sandbox's secret.

    `value` is in the form under which its namespace knows it; `secret` has 16 to 64 bytes. Unkeyed, the hash of an e-mail address can be guessed.
    It is one of the driver's UUIDs, which are hashed and compared in C: xids are keys everywhere.
    """
    return xids_in(secret, namespace_id)(value)


@lru_cache(KEPT)
def xids_in(secret: bytes, namespace_id: int) -> Callable[[str], UUID]:
    """`xid_of` for many values of a namespace: what their hashes have in common is made once."""
    begun = hashlib.blake2b(b"%d\0" % namespace_id, digest_size=16, key=secret)

    def xid(value: str) -> UUID:
        hashed = begun.copy()
        hashed.update(value.encode())
        return uuid_of(hashed.digest())

    return xid


# ------------------------------------------------------------------------------------------------ graphs


def resolve(
    members: Mapping[UUID, Member],
    ties: Iterable[Tie],
    cannot: Collection[tuple[UUID, UUID]],
    rules: Rules,
    hubs: AbstractSet[UUID] = frozenset(),
) -> Resolution:
    """The graphs that the ties make of these members: a function of the set of facts, not of their order.

    1. Refused outright: the direct link of a pair in `cannot` (either way round), as UNLINKED; else every link of a hub,
       as IDENTITY_CAP. A hub is listed in `hubs`, or has more than MAX_NEIGHBOURS distinct neighbours among the members, or is one of
       the busiest in a crowd (`excluded_by_degree`).
    2. The others are added one by one: first those whose lower-ranked end ranks highest, then the newest, then those whose
       higher end ranks highest, then by xids; namespaces without a priority rank last. A link that would bring two
       values of a unique namespace together is refused.
    3. Of a graph beyond MAX_GRAPH_SIZE stay the best by (people's ids, devices, cookies, partners; last seen newest first; xid).
       The others become people of their own, their links refused as IDENTITY_CAP.

    Identities that a tie names and `members` does not hold are passed over.
    """
    graphs, web = _joined(members, ties, cannot, rules, hubs)
    return Resolution(graphs, web.refusals() if web else ())


def graphs_of(
    members: Mapping[UUID, Member],
    ties: Iterable[Tie],
    cannot: Collection[tuple[UUID, UUID]],
    rules: Rules,
    hubs: AbstractSet[UUID] = frozenset(),
) -> tuple[Graph, ...]:
    """The graphs that `resolve` finds, without the list of refused links: of many ties it may be as long as they are."""
    return _joined(members, ties, cannot, rules, hubs)[0]


def _joined(
    members: Mapping[UUID, Member],
    ties: Iterable[Tie],
    cannot: Collection[tuple[UUID, UUID]],
    rules: Rules,
    hubs: AbstractSet[UUID],
) -> "tuple[tuple[Graph, ...], _Web | None]":
    """The graphs, and the links among them if any can be refused."""
    people = [member for member in members.values() if member.type is not IdentityType.NON_PEOPLE]
    alone = [_graph([member]) for member in members.values() if member.type is IdentityType.NON_PEOPLE]
    if len(people) <= MAX_GRAPH_SIZE and not (cannot or rules.unique or hubs):
        joined = (_graph([members[xid] for xid in xids]) for xids in _components(people, ties))
        return _in_order(members, chain(joined, alone)), None
    people.sort(key=lambda member: member.xid.int)
    web = _Web(people, ties)
    web.refuse_outright(cannot, hubs)
    graphs = web.capped(web.join(rules))
    return _in_order(members, chain(graphs, alone)), web


_Key = TypeVar("_Key", bound=Hashable)


def excluded_by_degree(near: Mapping[_Key, AbstractSet[_Key]], hubs: AbstractSet[_Key] = frozenset()) -> set[_Key]:
    """Those who join nobody although they are no hubs, given the neighbours of all: the busiest of each crowd.

    On a degree_limit of the ladder stand those who have no more neighbours than it says. Who hangs together there, through others who
    stand there, with no more than MAX_COMPONENT joins them; who does on no degree_limit joins nobody.
    """
    left = near.keys() - hubs
    for degree_limit in DEGREE_LIMITS:
        standing = {key for key in left if len(near[key]) <= degree_limit}
        left = left.difference(*(group for group in _hanging_together(standing, near) if len(group) <= MAX_COMPONENT))
    return left


def _hanging_together(keys: set[_Key], near: Mapping[_Key, AbstractSet[_Key]]) -> Iterable[set[_Key]]:
    unseen = set(keys)
    while unseen:
        group, todo = set[_Key](), [unseen.pop()]
        while todo:
            key = todo.pop()
            group.add(key)
            found = near[key] & unseen
            unseen -= found
            todo += found
        yield group


def _in_order(members: Mapping[UUID, Member], graphs: Iterable[Graph]) -> tuple[Graph, ...]:
    listed = list(graphs)
    if len(listed) > 1:
        listed.sort(key=lambda graph: _canonical(members[graph.profile_id]))
    return tuple(listed)


def _canonical(member: Member) -> tuple[int, int]:
    return member.type.rank, member.xid.int


def _graph(members: list[Member], size: int = 0, *, contested: bool = False) -> Graph:
    members.sort(key=_canonical)
    return Graph(members[0].xid, tuple([member.xid for member in members]), size or len(members), contested)


def _components(people: Iterable[Member], ties: Iterable[Tie]) -> Iterable[set[UUID]]:
    group = {member.xid: {member.xid} for member in people}
    for tie in ties:
        known = [xid for xid in tie.xids if xid in group]
        for xid in known[1:]:
            into, other = group[known[0]], group[xid]
            if into is not other:
                into |= other
                group.update(dict.fromkeys(other, into))
    return {id(xids): xids for xids in group.values()}.values()


_Place = int  # of a member in the list of people sorted by xid: small integers hash and compare faster than UUIDs
_Link = tuple[_Place, _Place]  # the smaller place first

_CLASS = {IdentityType.DEVICE: 1, IdentityType.COOKIE: 2, IdentityType.PARTNER: 3}
"""Who goes first from a graph that is too large: the highest; people's own identities are 0."""


class _Web:
    """All links between some people, and which of them are refused.

    Links are kept as the neighbours of each: thousands of rows that name the same twenty identities are read by sets, not pair by pair,
    and the links of who joins nobody, who may have any number of them, are never listed unless somebody asks for the refused ones.
    """

    def __init__(self, people: Sequence[Member], ties: Iterable[Tie]) -> None:
        self.people = people
        self.place = place = {member.xid: number for number, member in enumerate(people)}
        self.near: list[set[_Place]] = [set() for _ in people]
        self.seen = dict[_Place, datetime]()
        self.rows = [({place[xid] for xid in xids if xid in place}, at) for xids, at in _rows(ties)]
        self.refused: dict[_Link, LinkRefusal] = {}
        self.outside = set[
            _Place
        ]()  # whose links are all refused as IDENTITY_CAP, but for those that are refused already
        for places, at in self.rows:
            for one in places:
                self.near[one] |= places
                self.seen[one] = at
        for one, others in enumerate(self.near):
            others.discard(one)

    def refuse_outright(self, cannot: Iterable[tuple[UUID, UUID]], hubs: AbstractSet[UUID]) -> None:
        for a, b in cannot:
            one, other = self.place.get(a), self.place.get(b)
            if one is not None and other is not None and other in self.near[one]:
                self.refused[min(one, other), max(one, other)] = LinkRefusal.UNLINKED
        self.outside = {place for place, others in enumerate(self.near) if len(others) > MAX_NEIGHBOURS}
        self.outside |= {self.place[xid] for xid in hubs if xid in self.place}
        if len(self.people) > MAX_COMPONENT:
            self.outside |= excluded_by_degree(dict(enumerate(self.near)), self.outside)

    def join(self, rules: Rules) -> Iterable[list[_Place]]:
        """Adds the links one by one and refuses those that break a rule; gives the groups that result."""
        group = [[place] for place in range(len(self.people))]
        claimed = [{member.namespace} & rules.unique for member in self.people]
        for a, b in self._ranked(rules):
            if group[a] is group[b]:
                continue
            if not claimed[a].isdisjoint(claimed[b]):
                self.refused[a, b] = LinkRefusal.UNIQUE_NAMESPACE
                continue
            small, large = (a, b) if len(group[a]) < len(group[b]) else (b, a)
            moved, into, claims = group[small], group[large], claimed[large]
            claims |= claimed[small]
            into += moved
            for place in moved:
                group[place], claimed[place] = into, claims
        return {id(places): places for places in group}.values()

    def _ranked(self, rules: Rules) -> Sequence[_Link]:
        """The links that are not refused, in the order of the rules; any order does where nothing can break."""
        above = self._above()
        if not rules.unique:
            return [(one, other) for one, others in enumerate(above) for other in others]
        newest = self._newest(above)
        links = list(newest)
        last = max(rules.priority.values(), default=0) + 1
        rank = [rules.priority.get(member.namespace, last) for member in self.people]
        links.sort(key=lambda link: (min(rank[link[0]], rank[link[1]]), link))  # sorts are stable: least key first
        links.sort(key=newest.__getitem__, reverse=True)
        links.sort(key=lambda link: max(rank[link[0]], rank[link[1]]))
        return links

    def _above(self) -> list[set[_Place]]:
        """The links that are not refused: for each place the greater ones."""
        above = [
            set() if one in self.outside else {other for other in others if other > one} - self.outside
            for one, others in enumerate(self.near)
        ]
        for one, other in self.refused:
            above[one].discard(other)
        return above

    def _newest(self, above: list[set[_Place]]) -> dict[_Link, datetime]:
        """When a row last spoke of each of these links. They are taken out of `above` as they are found, the newest first."""
        newest = dict[_Link, datetime]()
        for places, at in reversed(self.rows):
            for one in places:
                if found := above[one] & places:
                    above[one] -= found
                    for other in found:
                        newest[one, other] = at
        return newest

    def capped(self, groups: Iterable[list[_Place]]) -> list[Graph]:
        """The groups as graphs, each cut down to MAX_GRAPH_SIZE; what is cut off stands alone."""
        parts = [(part, len(group)) for group in groups for part in self._cut(group)]
        contested = set(chain.from_iterable(self.refused)).union(*(self.near[place] for place in self.outside))
        contested |= {place for place in self.outside if self.near[place]}
        return [
            _graph([self.people[place] for place in part], size, contested=not contested.isdisjoint(part))
            for part, size in parts
        ]

    def _cut(self, group: list[_Place]) -> list[list[_Place]]:
        if len(group) <= MAX_GRAPH_SIZE:
            return [group]
        best = sorted(group)
        best.sort(key=self.seen.__getitem__, reverse=True)
        best.sort(key=lambda place: _CLASS.get(self.people[place].type, 0))
        self.outside.update(best[MAX_GRAPH_SIZE:])
        return [best[:MAX_GRAPH_SIZE], *([place] for place in best[MAX_GRAPH_SIZE:])]

    def refusals(self) -> tuple[RefusedLink, ...]:
        refused = dict[_Link, LinkRefusal]()
        for one in self.outside:
            for other in self.near[one]:
                if one < other:
                    refused[one, other] = LinkRefusal.IDENTITY_CAP
                elif other not in self.outside:
                    refused[other, one] = LinkRefusal.IDENTITY_CAP
        refused |= self.refused
        return tuple(RefusedLink(self.people[a].xid, self.people[b].xid, refused[a, b]) for a, b in sorted(refused))


def _rows(ties: Iterable[Tie]) -> list[tuple[tuple[UUID, ...], datetime]]:
    """What the rows said, once each although thousands of events say it, with its newest time; the oldest first."""
    rows: dict[tuple[UUID, ...], datetime] = {}
    for tie in ties:
        if tie.xids not in rows or rows[tie.xids] < tie.at:
            rows[tie.xids] = tie.at
    return sorted(rows.items(), key=itemgetter(1))

"""Which identities are one person: a pure function of the facts, whatever order they came in.

    xid_of       the key of an identity, from its namespace and value
    resolve      the graphs that the ties make, and the links that the rules refuse

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
"""Identities of one graph."""

MAX_NEIGHBOURS = 100
"""Distinct neighbours of an identity that joins others. With more it is no person's: a shared terminal, a test account."""

MAX_COMPONENT = 2000
"""Identities that are connected by links, refused ones included: it bounds how many one new link makes the gateway look at."""

MAX_CACHED_PREFIXES = 4096
"""Namespaces for which the first part of the hash is cached."""

DEGREE_LIMITS = (MAX_NEIGHBOURS, 50, 20, 10, 5, 2)
"""How many neighbours an identity may have and still join others: in a component larger than MAX_COMPONENT the next smaller limit is tried."""


class IdentityType(StrEnum):
    """The kind of a namespace. `rank` counts the kinds from 0: the identity of least rank names its person."""

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
    """Why a link between two identities does not join them."""

    UNIQUE_NAMESPACE = "UNIQUE_NAMESPACE"
    IDENTITY_CAP = "IDENTITY_CAP"
    UNLINKED = "UNLINKED"


@dataclass(frozen=True, slots=True)
class Member:
    """An identity with what the rules of graphs look at."""

    xid: UUID
    namespace: int
    type: IdentityType


@dataclass(frozen=True, slots=True)
class Tie:
    """The statement of a document, or of a link by hand, that these identities belong together, as of `at`. It links every two of them."""

    xids: tuple[UUID, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """A sandbox's identity settings: the priority of namespaces (1 is highest) and those unique in a graph."""

    priority: Mapping[int, int] = field(default_factory=dict)
    unique: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Graph:
    """One person: the xids of its members, ordered by (rank of their type, xid). The first is the `profile_id`.

    `size` counts the members before the graph was cut down to MAX_GRAPH_SIZE; it is the size of the whole in the graphs of
    members that were cut off, too. `contested`: a refused link touches a member, so that the next tie may regroup it; only
    a graph that is not contested may grow by a plain union.
    """

    profile_id: UUID
    xids: tuple[UUID, ...]
    size: int
    contested: bool


@dataclass(frozen=True, slots=True)
class RefusedLink:
    """A link that joins nobody, and why. `a` and `b` are the xids of its ends, the smaller first."""

    a: UUID
    b: UUID
    reason: LinkRefusal


@dataclass(frozen=True, slots=True)
class Resolution:
    """Graphs that hold every member exactly once, ordered by their first member; and the refused links, ordered by their ends."""

    graphs: tuple[Graph, ...]
    refused: tuple[RefusedLink, ...]


# ------------------------------------------------------------------------------------------------ keys


def xid_of(secret: bytes, namespace_id: int, value: str) -> UUID:
    """Return the key of an identity: a hash of its namespace and value, keyed by the sandbox's secret (16 to 64 bytes).

    `value` is normalized. Without the key, the hash of an e-mail address could be guessed. The result is of the driver's
    class of UUIDs, which hashes and compares in C.
    """
    return xids_in(secret, namespace_id)(value)


@lru_cache(MAX_CACHED_PREFIXES)
def xids_in(secret: bytes, namespace_id: int) -> Callable[[str], UUID]:
    """Return a function from a value of the namespace to its xid: `xid_of` for many values, with the common part hashed once."""
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
    unlinked: Collection[tuple[UUID, UUID]],
    rules: Rules,
    excluded: AbstractSet[UUID] = frozenset(),
) -> Resolution:
    """Return the graphs that the ties make of these members, and the links that were refused. The order of facts plays no part.

    1. Take every pair of identities that a tie names as a link. Skip NON_PEOPLE, and identities that are not in `members`.
    2. Refuse the link of a pair in `unlinked`, either way round, as UNLINKED.
    3. Refuse all other links of an identity as IDENTITY_CAP if it is in `excluded`, if it has more than MAX_NEIGHBOURS
       distinct neighbours, or if `excluded_by_degree` returns it.
    4. Compare the priorities of the two ends of each remaining link, and sort the links: first by the lower priority of
       the two, highest first; then by the time of their newest tie, newest first; then by the higher priority of the two,
       highest first; then by the xids. A namespace without a priority comes after all that have one.
    5. Join the ends of each link in this order. Refuse a link as UNIQUE_NAMESPACE if it would bring two identities of a
       unique namespace into one graph.
    6. Sort the members of a graph of more than MAX_GRAPH_SIZE: people's identities, devices, cookies, partners; each kind
       by its newest tie, newest first; then by xid. Keep the first MAX_GRAPH_SIZE. Each other one becomes a graph of its
       own, and its links are refused as IDENTITY_CAP.
    """
    graphs, links = _joined(members, ties, unlinked, rules, excluded)
    return Resolution(graphs, links.refusals() if links else ())


def graphs_of(
    members: Mapping[UUID, Member],
    ties: Iterable[Tie],
    unlinked: Collection[tuple[UUID, UUID]],
    rules: Rules,
    excluded: AbstractSet[UUID] = frozenset(),
    *,
    is_cut: bool = True,
) -> tuple[Graph, ...]:
    """Return the graphs that `resolve` gives, without the refused links, whose list may be as long as that of the ties.

    With `is_cut` False, graphs of more than MAX_GRAPH_SIZE members stay whole.
    """
    return _joined(members, ties, unlinked, rules, excluded, is_cut=is_cut)[0]


def _joined(
    members: Mapping[UUID, Member],
    ties: Iterable[Tie],
    unlinked: Collection[tuple[UUID, UUID]],
    rules: Rules,
    excluded: AbstractSet[UUID],
    *,
    is_cut: bool = True,
) -> "tuple[tuple[Graph, ...], _Links | None]":
    """Return the graphs, and the links between people if any can be refused."""
    people = [member for member in members.values() if member.type is not IdentityType.NON_PEOPLE]
    singles = [_graph([member]) for member in members.values() if member.type is IdentityType.NON_PEOPLE]
    if len(people) <= MAX_GRAPH_SIZE and not (unlinked or rules.unique or excluded):
        joined = (_graph([members[xid] for xid in xids]) for xids in _components(people, ties))
        return _in_order(members, chain(joined, singles)), None
    people.sort(key=lambda member: member.xid.int)
    links = _Links(people, ties)
    links.refuse_outright(unlinked, excluded)
    graphs = links.capped(links.join(rules), MAX_GRAPH_SIZE if is_cut else len(people))
    return _in_order(members, chain(graphs, singles)), links


_Key = TypeVar("_Key", bound=Hashable)


def excluded_by_degree(near: Mapping[_Key, AbstractSet[_Key]], excluded: AbstractSet[_Key] = frozenset()) -> set[_Key]:
    """Return the identities, without the `excluded` ones, that join nobody because too many others are connected with them.

    `near` gives all neighbours of each identity. They are counted once and for all: neighbours that are excluded or done count, too.

    1. Begin with the identities that are not `excluded`, and with the greatest of DEGREE_LIMITS.
    2. Of these identities take the ones that have no more neighbours than the limit, and connect them by the links between them.
    3. Every component of up to MAX_COMPONENT is done: its identities may join each other.
    4. Repeat 2 and 3 with the identities that are not done, and with the next smaller limit.
    5. Return the identities that are not done after the last limit.
    """
    left = near.keys() - excluded
    for degree_limit in DEGREE_LIMITS:
        within = {key for key in left if len(near[key]) <= degree_limit}
        left = left.difference(*(group for group in _connected(within, near) if len(group) <= MAX_COMPONENT))
    return left


def _connected(keys: set[_Key], near: Mapping[_Key, AbstractSet[_Key]]) -> Iterable[set[_Key]]:
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
    return tuple(sorted(graphs, key=lambda graph: _canonical(members[graph.profile_id])))


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


_Index = int  # of a member in the list of people sorted by xid: small integers hash and compare faster than UUIDs
_Link = tuple[_Index, _Index]  # the smaller index first

_CLASS = {IdentityType.DEVICE: 1, IdentityType.COOKIE: 2, IdentityType.PARTNER: 3}
"""Kinds that leave a graph that is too large before others do: the highest first. All other kinds are 0."""


class _Links:
    """All links between the identities of people, and which of them are refused.

    Links are kept as sets of neighbours: thousands of rows that name the same twenty identities are read by sets, not pair
    by pair. The links of excluded identities, of any number, are listed by `refusals` only.
    """

    def __init__(self, people: Sequence[Member], ties: Iterable[Tie]) -> None:
        self.people = people
        self.index = index = {member.xid: number for number, member in enumerate(people)}
        self.near: list[set[_Index]] = [set() for _ in people]
        self.seen = dict[_Index, datetime]()
        self.rows = [({index[xid] for xid in xids if xid in index}, at) for xids, at in _rows(ties)]
        self.refused: dict[_Link, LinkRefusal] = {}
        self.excluded = set[_Index]()  # their links are refused as IDENTITY_CAP, unless for another reason
        for places, at in self.rows:
            for one in places:
                self.near[one] |= places
                self.seen[one] = at
        for one, others in enumerate(self.near):
            others.discard(one)

    def refuse_outright(self, unlinked: Iterable[tuple[UUID, UUID]], excluded: AbstractSet[UUID]) -> None:
        for a, b in unlinked:
            one, other = self.index.get(a), self.index.get(b)
            if one is not None and other is not None and other in self.near[one]:
                self.refused[min(one, other), max(one, other)] = LinkRefusal.UNLINKED
        self.excluded = {place for place, others in enumerate(self.near) if len(others) > MAX_NEIGHBOURS}
        self.excluded |= {self.index[xid] for xid in excluded if xid in self.index}
        if len(self.people) > MAX_COMPONENT:
            self.excluded |= excluded_by_degree(dict(enumerate(self.near)), self.excluded)

    def join(self, rules: Rules) -> Iterable[list[_Index]]:
        """Return the groups that the links make: add them one by one, and refuse each that breaks a rule."""
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
        """Return the links that are not refused, in the order of the rules; in any order where no namespace is unique."""
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

    def _above(self) -> list[set[_Index]]:
        """Return the links that are not refused: for each index the greater indexes that it is linked with."""
        above = [
            set() if one in self.excluded else {other for other in others if other > one} - self.excluded
            for one, others in enumerate(self.near)
        ]
        for one, other in self.refused:
            above[one].discard(other)
        return above

    def _newest(self, above: list[set[_Index]]) -> dict[_Link, datetime]:
        """Return the time of the newest row that made each of these links. Each is taken out of `above` when it is found."""
        newest = dict[_Link, datetime]()
        for places, at in reversed(self.rows):
            for one in places:
                if found := above[one] & places:
                    above[one] -= found
                    for other in found:
                        newest[one, other] = at
        return newest

    def capped(self, groups: Iterable[list[_Index]], cap: int) -> list[Graph]:
        """Return the groups as graphs of up to `cap` members; each other member has a graph of its own."""
        parts = [(part, len(group)) for group in groups for part in self._cut(group, cap)]
        contested = set(chain.from_iterable(self.refused)).union(*(self.near[place] for place in self.excluded))
        contested |= {place for place in self.excluded if self.near[place]}
        return [
            _graph([self.people[place] for place in part], size, contested=not contested.isdisjoint(part))
            for part, size in parts
        ]

    def _cut(self, group: list[_Index], cap: int) -> list[list[_Index]]:
        if len(group) <= cap:
            return [group]
        best = sorted(group)
        best.sort(key=self.seen.__getitem__, reverse=True)
        best.sort(key=lambda place: _CLASS.get(self.people[place].type, 0))
        self.excluded.update(best[cap:])
        return [best[:cap], *([place] for place in best[cap:])]

    def refusals(self) -> tuple[RefusedLink, ...]:
        refused = dict[_Link, LinkRefusal]()
        for one in self.excluded:
            for other in self.near[one]:
                if one < other:
                    refused[one, other] = LinkRefusal.IDENTITY_CAP
                elif other not in self.excluded:
                    refused[other, one] = LinkRefusal.IDENTITY_CAP
        refused |= self.refused
        return tuple(RefusedLink(self.people[a].xid, self.people[b].xid, refused[a, b]) for a, b in sorted(refused))


def _rows(ties: Iterable[Tie]) -> list[tuple[tuple[UUID, ...], datetime]]:
    """Return the distinct sets of xids that the ties name, each with its newest time, oldest first."""
    rows: dict[tuple[UUID, ...], datetime] = {}
    for tie in ties:
        if tie.xids not in rows or rows[tie.xids] < tie.at:
            rows[tie.xids] = tie.at
    return sorted(rows.items(), key=itemgetter(1))

"""Identity graphs of people: their identities, the links between them with the rows they come from, and refused links.

A link stands for all live ties that name its two ends. A refused link has ends in two graphs, and both show it. An identity that has too
many neighbours to join anybody may have millions of them: its newest links are read, and the others counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.people import Found, read_people
from gateway.domain.rules.graphs import LinkRefusal
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.graph_component import (
    TOO_MANY_NEIGHBOURS,
    Component,
    examine_component,
    read_component,
    refused_links_in,
)
from gateway.runtime.threads import COMPUTATIONS
from gateway.storage.database import Database
from gateway.storage.queries import query

READ_TIES = query("identity_graphs.read_ties")
READ_OVERLINKED = query("identity_graphs.read_overlinked")

MAX_REFUSED_LINKS: Final = 100
"""The most refused links of a graph that are shown."""

MAX_MENTIONS_INLINE: Final = 2_000
"""The most xids in ties, counted tie by tie, whose links are built on the event loop, in milliseconds; more are left to a thread."""

Pair = tuple[UUID, UUID]
"""Two identities, the smaller xid first."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two identities that rows name together, the times of the first and last row, and the datasets.

    `refusal` is why the link does not make them one person, None where it does.
    """

    a: UUID
    b: UUID
    first_at: datetime
    last_at: datetime
    dataset_ids: tuple[UUID, ...]
    refusal: LinkRefusal | None


@dataclass(frozen=True, slots=True)
class IdentityGraph:
    """The xids of a graph in canonical order, and the links between them, sorted by their ends.

    `refused_links` are the newest of the refused links of any of them, at most MAX_REFUSED_LINKS; `refused_link_count` counts all.
    """

    xids: tuple[UUID, ...]
    links: tuple[Link, ...] = ()
    refused_links: tuple[Link, ...] = ()
    refused_link_count: int = 0


class Members(NamedTuple):
    """The xids of a graph in canonical order, and whether one of them may have a refused link."""

    xids: tuple[UUID, ...]
    is_contested: bool


async def find_members(db: Database, scope: Scope, config: Configuration, xids: Sequence[UUID]) -> list[Members | None]:
    """Read who is in the graph of the person that each xid leads to.

    An identity of no person is a graph of its own; an unknown or erased one gives None. Needs `profile:read`. Raises Forbidden,
    Unavailable.
    """
    return [_members(found) for found in await read_people(db, scope, config, xids)]


async def read_graphs(
    db: Database, scope: Scope, config: Configuration, members: Sequence[Members]
) -> list[IdentityGraph]:
    """Read the links of graphs whose members are known, and return these graphs in order.

    Refused links are looked for only where the members may have some. Needs `profile:read`. Raises Forbidden, Unavailable.
    """
    scope.require(Permission.PROFILE_READ)
    lone = {xids[0] for xids, is_contested in members if is_contested and len(xids) == 1}
    overlinked = await _read_overlinked(db, scope, lone) if lone else {}
    linked = [
        (xids, contested) for xids, contested in members if (contested or len(xids) > 1) and xids[0] not in overlinked
    ]
    everybody = list({xid for xids, _ in linked for xid in xids})
    ties = await db.rows(READ_TIES, scope.sandbox_id, everybody) if everybody else []
    contested = {xid for xids, is_contested in linked if is_contested for xid in xids}
    refused = await _refused(db, scope, config, contested, ties) if contested else {}
    if sum(len(tie["xids"]) for tie in ties) <= MAX_MENTIONS_INLINE:
        graphs = _graphs(members, ties, refused)
    else:
        graphs = await COMPUTATIONS.run(_graphs, members, ties, refused)
    pairs = zip(members, graphs, strict=True)
    return [overlinked.get(xids[0], graph) if is_contested else graph for (xids, is_contested), graph in pairs]


async def _read_overlinked(db: Database, scope: Scope, xids: set[UUID]) -> dict[UUID, IdentityGraph]:
    """Read the graphs of those of these identities, each alone in its own, that have too many neighbours to join anybody."""
    rows = await db.rows(READ_OVERLINKED, scope.sandbox_id, list(xids), TOO_MANY_NEIGHBOURS, MAX_REFUSED_LINKS)
    links: dict[UUID, list[Link]] = {}
    counts: dict[UUID, int] = {}
    for row in rows:
        xid, other = row["xid"], row["other"]
        counts[xid] = row["links"]
        refusal = LinkRefusal.UNLINKED if row["is_apart"] else LinkRefusal.IDENTITY_CAP
        source = (row["first_at"], row["last_at"], tuple(row["dataset_ids"] or ()))
        links.setdefault(xid, []).append(Link(min(xid, other), max(xid, other), *source, refusal))
    return {xid: IdentityGraph((xid,), (), tuple(links[xid]), counts[xid]) for xid in links}


def _members(found: Found) -> Members | None:
    if found.person is not None:
        return Members(found.person.xids, found.person.is_contested)
    if found.identity is None or found.identity.is_erased:
        return None
    return Members((found.identity.xid,), is_contested=True)


async def _refused(
    db: Database, scope: Scope, config: Configuration, contested: set[UUID], ties: Iterable[Any]
) -> dict[Pair, LinkRefusal]:
    """Return why links are refused in the component of the contested identities, by pair."""
    named = {xid for tie in ties for xid in tie["xids"] if not contested.isdisjoint(tie["xids"])}
    async with db.transaction(scope.sandbox_id) as tx:
        component = await read_component(tx, scope, config, contested | named, recount=False)
    return await examine_component(_reasons, config, component, COMPUTATIONS)


def _reasons(config: Configuration, component: Component) -> dict[Pair, LinkRefusal]:
    return {(link.a, link.b): link.reason for link in refused_links_in(config, component)}


def _graphs(
    members: Sequence[Members], ties: Iterable[Any], refused: Mapping[Pair, LinkRefusal]
) -> list[IdentityGraph]:
    by_xid: dict[UUID, list[Any]] = {}
    for tie in ties:
        for xid in tie["xids"]:
            by_xid.setdefault(xid, []).append(tie)
    return [_shown(xids, _pairs(xids, by_xid), refused) for xids, _ in members]


def _pairs(xids: Iterable[UUID], by_xid: Mapping[UUID, Sequence[Any]]) -> dict[Pair, list[Any]]:
    """Return the ties that name both identities of a pair, by pair; one of each pair is among the xids."""
    pairs: dict[Pair, list[Any]] = {}
    for xid in xids:
        for tie in by_xid.get(xid, ()):
            for other in tie["xids"]:
                if other != xid:
                    pairs.setdefault((min(xid, other), max(xid, other)), []).append(tie)
    return pairs


def _shown(
    xids: tuple[UUID, ...], pairs: Mapping[Pair, Sequence[Any]], refused: Mapping[Pair, LinkRefusal]
) -> IdentityGraph:
    together = set(xids)
    links = [_link(pair, pairs[pair], refused.get(pair)) for pair in sorted(pairs)]
    parted = [link for link in links if link.refusal is not None]
    parted.sort(key=lambda link: link.last_at, reverse=True)
    return IdentityGraph(
        xids=xids,
        links=tuple(link for link in links if link.refusal is None and together >= {link.a, link.b}),
        refused_links=tuple(parted[:MAX_REFUSED_LINKS]),
        refused_link_count=len(parted),
    )


def _link(pair: Pair, ties: Sequence[Any], refusal: LinkRefusal | None) -> Link:
    return Link(
        *pair,
        first_at=min(tie["first_at"] for tie in ties),
        last_at=max(tie["last_at"] for tie in ties),
        dataset_ids=tuple({tie["dataset_id"] for tie in ties if tie["dataset_id"]}),
        refusal=refusal,
    )

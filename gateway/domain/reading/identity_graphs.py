"""Identity graphs as they are shown: who belongs together, which rows say so, and what was said but refused.

A link stands for all live ties that name its two ends. A refused one touches two people, and both show it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.people import Found, read_people
from gateway.domain.rules.graphs import LinkRefusal
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.graph_component import Component, examine_component, read_component, refused_links_in
from gateway.runtime.threads import COMPUTATIONS
from gateway.storage.database import Database
from gateway.storage.queries import query

READ_TIES = query("identity_graphs.read_ties")

MAX_MENTIONS_INLINE: Final = 2_000
"""Identities that ties name, each as often as it is named, whose links are put together on the event loop: milliseconds."""

Pair = tuple[UUID, UUID]
"""Two identities, the smaller xid first."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two identities that rows named together, from when to when, and in which datasets; `refusal`: why they join nobody."""

    a: UUID
    b: UUID
    first_at: datetime
    last_at: datetime
    dataset_ids: tuple[UUID, ...]
    refusal: LinkRefusal | None


@dataclass(frozen=True, slots=True)
class IdentityGraph:
    """The members in canonical order; the links between them, and the refused ones that touch one of them, by their ends."""

    xids: tuple[UUID, ...]
    links: tuple[Link, ...]
    refused_links: tuple[Link, ...]


Members = tuple[tuple[UUID, ...], bool]
"""Those whose graph is to be shown, and whether a refused link may touch them."""


async def find_graphs(
    db: Database, scope: Scope, config: Configuration, xids: Sequence[UUID]
) -> list[IdentityGraph | None]:
    """The graph of the person that each xid leads to; one of its own for an identity that is nobody's; None for one not known.

    Needs `profile:read`. Raises Forbidden, Unavailable.
    """
    members = [_members(found) for found in await read_people(db, scope, config, xids)]
    graphs = iter(await read_graphs(db, scope, config, [each for each in members if each]))
    return [next(graphs) if each else None for each in members]


async def read_graphs(
    db: Database, scope: Scope, config: Configuration, members: Sequence[Members]
) -> list[IdentityGraph]:
    """The graph of each group of members. Needs `profile:read`."""
    scope.require(Permission.PROFILE_READ)
    everybody = list({xid for xids, _ in members for xid in xids})
    ties = await db.rows(READ_TIES, scope.sandbox_id, everybody) if everybody else []
    contested = {xid for xids, is_contested in members if is_contested for xid in xids}
    refused = await _refused(db, scope, config, contested, ties) if contested else {}
    if sum(len(tie["xids"]) for tie in ties) <= MAX_MENTIONS_INLINE:
        return _graphs(members, ties, refused)
    return await COMPUTATIONS.run(_graphs, members, ties, refused)


def _members(found: Found) -> Members | None:
    if found.person is not None:
        return found.person.xids, found.person.is_contested
    if found.identity is None or found.identity.is_erased:
        return None
    return (found.identity.xid,), True


async def _refused(
    db: Database, scope: Scope, config: Configuration, contested: set[UUID], ties: Iterable[Any]
) -> dict[Pair, LinkRefusal]:
    """What the graph rules refuse among all who belong together with these by ties."""
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
    """The ties that name each pair of which one is among the xids."""
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
    return IdentityGraph(
        xids=xids,
        links=tuple(link for link in links if link.refusal is None and together >= {link.a, link.b}),
        refused_links=tuple(link for link in links if link.refusal is not None),
    )


def _link(pair: Pair, ties: Sequence[Any], refusal: LinkRefusal | None) -> Link:
    return Link(
        *pair,
        first_at=min(tie["first_at"] for tie in ties),
        last_at=max(tie["last_at"] for tie in ties),
        dataset_ids=tuple({tie["dataset_id"] for tie in ties if tie["dataset_id"]}),
        refusal=refusal,
    )

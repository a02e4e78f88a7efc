"""Graphs rebuilt from the facts themselves, where people may part. The transaction needs the sandbox's exclusive lock.

What `rebuild_graphs` writes depends on the facts that are stored now, and on nothing else:

1. Where events or record versions went, delete the people who vanish whole (`graph_vanishing`); the rest is about the others.
2. Read the component that the change can reach (`graph_component`), and let the graph rules group it into people.
3. Write pointers, degree limits, who has events, and graphs that differ from the stored ones; delete identities that no fact names any more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.graphs import Graph
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import GraphChange
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.graph_component import EXCLUDED, Component, examine_component, graphs_in, read_component
from gateway.domain.views.graph_union import DELETE_GRAPHS, GRAPH_COLUMNS, READ_GRAPHS, RELINK, graph_row
from gateway.domain.views.graph_vanishing import drop_vanished
from gateway.runtime.threads import WRITES
from gateway.storage.database import Session
from gateway.storage.queries import query

NAMED_BY_FACTS = query("graph_rebuild.named_by_facts")
DELETE_IDENTITIES = query("graph_rebuild.delete_identities")
SET_DEGREE_LIMITS = query("graph_rebuild.set_degree_limits")
NOTE_EVENTS = query("graph_rebuild.note_events")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What the graph rules make of a component: the graphs of its people, and the identities that belong to no person."""

    people: tuple[Graph, ...]
    unowned: frozenset[UUID]


async def rebuild_graphs(change: FactChange) -> None:
    """Group the components of the change's `seeds` anew, and write what differs. Set its `people`, `former_members`, `excluded` and `dropped`."""
    tx, scope = change.tx, change.scope
    may_vanish = change.recount and (change.event_xids or change.refolded)
    vanished = await drop_vanished(tx, scope, change.seeds) if may_vanish else {}
    change.former_members, change.dropped = vanished, sum(map(len, vanished.values()))
    seeds = change.seeds.difference(*vanished.values())
    if not seeds:
        return
    component = await read_component(tx, scope, change.config, seeds, recount=change.recount)
    grouping = await examine_component(group_component, change.config, component, WRITES)
    await _relink(tx, scope, component, grouping)
    await _set_degree_limits(tx, scope, component)
    await _note_events(tx, scope, component)
    stored = await _read_stored(tx, scope, component)
    await _write_graphs(tx, scope, component, grouping, stored)
    if change.recount:
        change.dropped += await _drop_unnamed(tx, scope, grouping.unowned)
    change.former_members = vanished | _former_members(component, stored)
    change.people = [_graph_change(component, graph, change.former_members) for graph in grouping.people]
    limits = component.degree_limits.items()
    change.excluded = {xid for xid, limit in limits if limit <= EXCLUDED < component.stored_degree_limits[xid]}


def group_component(config: Configuration, component: Component) -> Grouping:
    """Group a component by the graph rules: a graph with a fragment or an event is a person, the identities of the others are unowned.

    A person's graph is contested by the rules, as `graphs.Graph` explains, and also if a member is excluded or in an unlinked pair.
    """
    people = [graph for graph in graphs_in(config, component) if not component.with_facts.isdisjoint(graph.xids)]
    contested = {xid for xid, degree_limit in component.degree_limits.items() if degree_limit <= EXCLUDED}
    contested.update(*component.unlinked_pairs)
    marked = (replace(g, contested=g.contested or not contested.isdisjoint(g.xids)) for g in people)
    unowned = component.degree_limits.keys() - {xid for graph in people for xid in graph.xids}
    return Grouping(tuple(marked), frozenset(unowned))


def _former_members(component: Component, stored: Mapping[UUID, Any]) -> dict[UUID, tuple[UUID, ...]]:
    """Return the members of the people that the component's identities belonged to: as graphs say, or pointers where there is no graph."""
    pointing: dict[UUID, list[UUID]] = {}
    for xid, profile_id in component.pointers.items():
        if profile_id:
            pointing.setdefault(profile_id, []).append(xid)
    members = {profile_id: tuple(row["xids"]) for profile_id, row in stored.items()}
    return {profile_id: members.get(profile_id, tuple(xids)) for profile_id, xids in pointing.items()}


def _graph_change(component: Component, graph: Graph, former_members: Mapping[UUID, Collection[UUID]]) -> GraphChange:
    former = {profile_id for xid in graph.xids if (profile_id := component.pointers[xid]) is not None}
    is_rebuilt = former_members.get(graph.profile_id) != graph.xids
    return GraphChange(graph.profile_id, graph.xids, tuple(former), is_rebuilt=is_rebuilt)


# ------------------------------------------------------------------------------------------------ writing


async def _relink(tx: Session, scope: Scope, component: Component, grouping: Grouping) -> None:
    pointers = dict.fromkeys(grouping.unowned) | {xid: g.profile_id for g in grouping.people for xid in g.xids}
    moved = [(xid, profile_id) for xid, profile_id in pointers.items() if component.pointers[xid] != profile_id]
    if moved:
        moved.sort(key=lambda pair: pair[0].int)
        await tx.update_rows(RELINK, scope.sandbox_id, [xid for xid, _ in moved], rows=moved)


async def _read_stored(tx: Session, scope: Scope, component: Component) -> dict[UUID, Any]:
    former = list({profile_id for profile_id in component.pointers.values() if profile_id})
    rows = await tx.rows(READ_GRAPHS, scope.sandbox_id, former) if former else []
    return {row["profile_id"]: row for row in rows}


async def _write_graphs(
    tx: Session, scope: Scope, component: Component, grouping: Grouping, stored: Mapping[UUID, Any]
) -> None:
    """Write the graphs that differ from the stored ones."""
    with_events = component.with_events
    known = {
        profile_id: (tuple(row["xids"]), row["is_contested"], row["size"], set(row["event_xids"]))
        for profile_id, row in stored.items()
    }
    expected = {
        graph.profile_id: (graph.xids, graph.contested, graph.size, with_events.intersection(graph.xids))
        for graph in grouping.people
    }
    changed = {profile_id for profile_id, graph in expected.items() if known.get(profile_id) != graph}
    gone = [profile_id for profile_id in stored if profile_id not in expected or profile_id in changed]
    if gone:
        await tx.execute(DELETE_GRAPHS, scope.sandbox_id, gone)
    written = [
        graph_row(
            graph.profile_id, graph.xids, component.members, with_events, contested=graph.contested, size=graph.size
        )
        for graph in grouping.people
        if graph.profile_id in changed
    ]
    await tx.copy("graph", GRAPH_COLUMNS, [(scope.sandbox_id, *row) for row in written])


async def _set_degree_limits(tx: Session, scope: Scope, component: Component) -> None:
    changed = [
        (xid, degree_limit)
        for xid, degree_limit in component.degree_limits.items()
        if degree_limit != component.stored_degree_limits[xid]
    ]
    if changed:
        changed.sort(key=lambda pair: pair[0].int)
        await tx.update_rows(SET_DEGREE_LIMITS, scope.sandbox_id, [xid for xid, _ in changed], rows=changed)


async def _note_events(tx: Session, scope: Scope, component: Component) -> None:
    """Note which identities have events now: others may have lost theirs since that was noted."""
    now, noted = component.with_events, component.noted_with_events
    for has_events, xids in ((True, now - noted), (False, noted - now)):
        if xids:
            await tx.execute(NOTE_EVENTS, scope.sandbox_id, list(xids), has_events)


async def _drop_unnamed(tx: Session, scope: Scope, unowned: Collection[UUID]) -> int:
    """Delete those of these identities that no fact names, and return how many there were."""
    if not unowned:
        return 0
    named = {row["xid"] for row in await tx.rows(NAMED_BY_FACTS, scope.sandbox_id, list(unowned))}
    if unnamed := [xid for xid in unowned if xid not in named]:
        await tx.execute(DELETE_IDENTITIES, scope.sandbox_id, unnamed)
    return len(unnamed)

"""Graphs rebuilt from the facts themselves, where people may part. The transaction needs the sandbox's exclusive lock.

`rebuild_views` makes every view right after any change of facts: record versions or ties that were added, removed or retracted, and pairs
that were unlinked by hand. What it writes depends on the facts that are stored now, and on nothing else:

1. Fold the versions of the changed records into fragments, and retract the ties that a later deletion covers.
2. Read the component that the change can reach (`graph_component`), and let the graph rules group it into people.
3. Write pointers, degree limits and graphs that differ from the stored ones; delete identities that no fact names any more.
4. Merge the profiles of people whose members or records changed.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.rules.graphs import Graph
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Version, VersionOrder, last_deletion
from gateway.domain.views.graph_component import EXCLUDED, Component, examine_component, graphs_in, read_component
from gateway.domain.views.graph_union import DELETE_GRAPHS, GRAPH_COLUMNS, READ_GRAPHS, RELINK, GraphChange, graph_row
from gateway.domain.views.materialized import (
    RecordKey,
    delete_profiles,
    materialize,
    read_states,
    read_versions,
    refold,
)
from gateway.domain.work.locks import lock_exclusive, lock_shared
from gateway.runtime.threads import WRITES
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

READ_VERSION = query("configuration.read_version")
READ_RECORD_TIES = query("graph_rebuild.read_record_ties")
RETRACT_TIES = query("graph_rebuild.retract_ties")
NAMED_BY_FACTS = query("graph_rebuild.named_by_facts")
DELETE_IDENTITIES = query("graph_rebuild.delete_identities")
SET_DEGREE_LIMITS = query("graph_rebuild.set_degree_limits")


def exclusive_transaction(
    db: Database, scope: Scope, configurations: Configurations
) -> AbstractAsyncContextManager[tuple[Session, Configuration]]:
    """Open a transaction with the exclusive lock of the sandbox's facts. Yield it with the configuration as it is now."""
    return _locked(db, scope, configurations, lock_exclusive)


def shared_transaction(
    db: Database, scope: Scope, configurations: Configurations
) -> AbstractAsyncContextManager[tuple[Session, Configuration]]:
    """Open a transaction with the shared lock, as calls that add facts do. Yield it with the configuration as it is now."""
    return _locked(db, scope, configurations, lock_shared)


@asynccontextmanager
async def _locked(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    lock: Callable[[Database, int], AbstractAsyncContextManager[Session]],
) -> AsyncIterator[tuple[Session, Configuration]]:
    config = await configurations.read(db, scope)
    while True:
        async with lock(db, scope.sandbox_id) as tx:
            version = await tx.value(READ_VERSION, scope.sandbox_id)
            if version == config.version:
                yield tx, config
                return
        config = await configurations.read(db, scope, version)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What the graph rules make of a component: the graphs of its people, and the identities that belong to no person."""

    people: tuple[Graph, ...]
    unowned: frozenset[UUID]


async def rebuild_views(
    tx: Session,
    scope: Scope,
    config: Configuration,
    keys: Collection[RecordKey],
    seeds: Collection[UUID],
    *,
    recount: bool,
    changed: Collection[UUID] = (),
) -> set[UUID]:
    """Make the views right for the records `keys`, the identities `seeds`, and the components that they belong to.

    The fragments of `keys` are written anew; those of the seeds in `changed` were already. Profiles of both are merged again.
    `recount`: ties may have gone, so that identities may be excluded no longer, or named by no fact. Return the identities that
    are excluded by their degree limit now and were not before.
    """
    versions = await read_versions(tx, scope, sorted(keys))
    await refold(tx, scope, versions)
    touched = {xid for xid, _ in keys} | set(seeds) | await _retract(tx, scope, versions)
    component = await read_component(tx, scope, config, touched, recount=recount)
    grouping = await examine_component(group_component, config, component, WRITES)
    people = await _regroup(tx, scope, component, grouping)
    if recount:
        await _drop_unnamed(tx, scope, grouping.unowned)
    rewritten = {*changed, *(xid for xid, _ in keys)}
    concerned = [person for person in people if person.is_rebuilt or not rewritten.isdisjoint(person.xids)]
    states = await read_states(tx, scope, [xid for person in concerned for xid in person.xids])
    vanished = {p for p in component.pointers.values() if p} - {person.profile_id for person in people}
    await delete_profiles(tx, scope, config, vanished | (rewritten - component.with_facts))
    await materialize(tx, scope, config, concerned, states, fresh=set())
    return {
        xid
        for xid, degree_limit in component.degree_limits.items()
        if degree_limit <= EXCLUDED < component.stored_degree_limits[xid]
    }


async def _retract(tx: Session, scope: Scope, versions: Mapping[RecordKey, Sequence[Version]]) -> set[UUID]:
    """Retract the ties of deleted records, and revive those that no deletion covers. Return all members of ties that changed."""
    if not versions:
        return set()
    origins = list({xid for xid, _ in versions})
    deleted_at = {key: last_deletion(history) for key, history in versions.items()}
    changed, members = [], set[UUID]()
    for row in await tx.rows(READ_RECORD_TIES, scope.sandbox_id, origins):
        key = (row["origin"], row["dataset_id"])
        if key not in deleted_at:
            continue
        deletion = deleted_at[key]
        is_retracted = (
            deletion is not None and VersionOrder(row["ingested_at"], row["batch_id"], row["ordinal"]) < deletion
        )
        if is_retracted != row["is_retracted"]:
            changed.append((row["tie_id"], row["batch_id"], is_retracted))
            members |= set(row["xids"])
    if changed:
        await tx.update_rows(RETRACT_TIES, scope.sandbox_id, list(members), rows=sorted(changed))
    return members


# ------------------------------------------------------------------------------------------------ rules


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


# ------------------------------------------------------------------------------------------------ writing


async def _regroup(tx: Session, scope: Scope, component: Component, grouping: Grouping) -> list[GraphChange]:
    """Write pointers, degree limits and graphs that differ from the stored ones. Return the people of the component."""
    pointers = dict.fromkeys(grouping.unowned) | {xid: g.profile_id for g in grouping.people for xid in g.xids}
    moved = [(xid, profile_id) for xid, profile_id in pointers.items() if component.pointers[xid] != profile_id]
    if moved:
        moved.sort(key=lambda pair: pair[0].int)
        await tx.update_rows(RELINK, scope.sandbox_id, [xid for xid, _ in moved], rows=moved)
    await _set_degree_limits(tx, scope, component)
    regrouped = await _write_graphs(tx, scope, component, grouping)
    return [
        GraphChange(g.profile_id, g.xids, _former(component, g), is_rebuilt=g.profile_id in regrouped)
        for g in grouping.people
    ]


def _former(component: Component, graph: Graph) -> tuple[UUID, ...]:
    return tuple({former for xid in graph.xids if (former := component.pointers[xid]) is not None})


async def _write_graphs(tx: Session, scope: Scope, component: Component, grouping: Grouping) -> set[UUID]:
    """Write the graphs that differ from the stored ones. Return the profile ids of those whose members changed."""
    former = list({profile_id for profile_id in component.pointers.values() if profile_id})
    rows = await tx.rows(READ_GRAPHS, scope.sandbox_id, former) if former else []
    stored = {row["profile_id"]: (tuple(row["xids"]), row["is_contested"], row["size"]) for row in rows}
    expected = {graph.profile_id: (graph.xids, graph.contested, graph.size) for graph in grouping.people}
    changed = {profile_id for profile_id, graph in expected.items() if stored.get(profile_id) != graph}
    gone = [profile_id for profile_id in stored if profile_id not in expected or profile_id in changed]
    if gone:
        await tx.execute(DELETE_GRAPHS, scope.sandbox_id, gone)
    written = [
        graph_row(graph.profile_id, graph.xids, component.members, contested=graph.contested, size=graph.size)
        for graph in grouping.people
        if graph.profile_id in changed
    ]
    await tx.copy("graph", GRAPH_COLUMNS, [(scope.sandbox_id, *row) for row in written])
    return {profile_id for profile_id in changed if stored.get(profile_id, ((),))[0] != expected[profile_id][0]}


async def _set_degree_limits(tx: Session, scope: Scope, component: Component) -> None:
    changed = [
        (xid, degree_limit)
        for xid, degree_limit in component.degree_limits.items()
        if degree_limit != component.stored_degree_limits[xid]
    ]
    if changed:
        changed.sort(key=lambda pair: pair[0].int)
        await tx.update_rows(SET_DEGREE_LIMITS, scope.sandbox_id, [xid for xid, _ in changed], rows=changed)


async def _drop_unnamed(tx: Session, scope: Scope, unowned: Collection[UUID]) -> None:
    if not unowned:
        return
    named = {row["xid"] for row in await tx.rows(NAMED_BY_FACTS, scope.sandbox_id, list(unowned))}
    if unnamed := [xid for xid in unowned if xid not in named]:
        await tx.execute(DELETE_IDENTITIES, scope.sandbox_id, unnamed)

"""Whole people of identities that are to be erased: with the identities that are beyond what a graph may hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.scope import Scope
from gateway.domain.views.graph_component import WITH_FACTS, examine_component, read_component, whole_graphs_in
from gateway.domain.views.graph_union import READ_GRAPHS
from gateway.runtime.threads import WRITES
from gateway.storage.database import Session
from gateway.storage.queries import query

READ_GIVEN = query("erasure.read_given")


async def read_stored(tx: Session, scope: Scope, xids: Collection[UUID]) -> dict[UUID, int]:
    """Read the stored ones of these identities, erased ones included, each with the number of its namespace."""
    return {row["xid"]: row["namespace_id"] for row in await tx.rows(READ_GIVEN, scope.sandbox_id, list(xids))}


async def whole_people(tx: Session, scope: Scope, config: Configuration, given: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return all identities of the people of these, each with the number of its namespace. An identity of nobody is alone."""
    stored = await _graphs_of(tx, scope, given)
    members = {xid for graph in stored for xid in graph["xids"]}
    if cut := {xid for graph in stored if graph["size"] > len(graph["xids"]) for xid in graph["xids"]}:
        component = await read_component(tx, scope, config, cut, recount=False)
        whole = await examine_component(whole_graphs_in, config, component, WRITES)
        members |= {xid for graph in whole if not cut.isdisjoint(graph.xids) for xid in graph.xids}
    return dict(given) | await read_stored(tx, scope, members)


async def count_people(tx: Session, scope: Scope, erased: Mapping[UUID, int]) -> int:
    """Count the people who would vanish with these identities: those under whose other identities nothing is stored."""
    stored = await _graphs_of(tx, scope, erased)
    others = [xid for graph in stored for xid in graph["xids"] if xid not in erased]
    staying = {row["xid"] for row in await tx.rows(WITH_FACTS, scope.sandbox_id, others)} if others else set()
    return sum(staying.isdisjoint(graph["xids"]) for graph in stored)


async def _graphs_of(tx: Session, scope: Scope, xids: Collection[UUID]) -> Sequence[Any]:
    """Read the graphs of the people of these identities, each once."""
    rows = await tx.rows(READ_GIVEN, scope.sandbox_id, list(xids))
    profile_ids = list({row["profile_id"] for row in rows if row["profile_id"] is not None})
    return await tx.rows(READ_GRAPHS, scope.sandbox_id, profile_ids) if profile_ids else []

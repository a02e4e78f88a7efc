"""Whole people of identities that are to be erased: with the identities that are beyond what a graph may hold, and what an earlier job left of them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.scope import Scope
from gateway.domain.views.graph_component import WITH_FACTS, examine_component, read_component, whole_graphs_in
from gateway.domain.views.graph_union import READ_GRAPHS
from gateway.domain.work.receipts import DeletionReceipt
from gateway.runtime.threads import WRITES
from gateway.storage.database import Session
from gateway.storage.queries import query

READ_GIVEN = query("erasure.read_given")
READ_UNFINISHED = query("erasure.read_unfinished")
COUNT_RELATED = query("erasure.count_related")
LIST_SUCCESSORS = query("erasure.list_successors")
COUNT_VALUES = query("kept_values.count_values")


async def read_stored(tx: Session, scope: Scope, xids: Collection[UUID]) -> dict[UUID, int]:
    """Read the stored ones of these identities, erased ones included, each with the number of its namespace."""
    return {row["xid"]: row["namespace_id"] for row in await tx.rows(READ_GIVEN, scope.sandbox_id, list(xids))}


async def read_members(tx: Session, scope: Scope, xids: Collection[UUID]) -> set[UUID]:
    """Return the identities of the people of these, as far as graphs show them."""
    return {xid for graph in await _graphs_of(tx, scope, xids) for xid in graph["xids"]}


class Member(NamedTuple):
    """An identity that is to be erased: the number of its namespace, and one identity of its person, by which those of one person are known.

    `marked_at`: when the job marked it that is taken over here; what came in since stays, as it may be of somebody else. None where it is asked for now.
    """

    namespace_id: int
    person: UUID
    marked_at: datetime | None = None


class ToErase(NamedTuple):
    """The identities that are to be erased, and the jobs which have marked some of them and ended before they were through."""

    members: dict[UUID, Member]
    unfinished: list[UUID]


async def find_to_erase(
    tx: Session, scope: Scope, config: Configuration, given: Mapping[UUID, int], *, is_whole: bool
) -> ToErase:
    """Find what is to be erased where these identities are given: they alone, or all identities of their people, as graphs and earlier jobs know them."""
    marked = await tx.rows(READ_UNFINISHED, scope.sandbox_id, list(given))
    now = await _persons_now(tx, scope, config, given) if is_whole else []
    groups = [*now, *_marked_together(marked)] if is_whole else []
    persons = {xid: xid for xid in given} | _person_of(groups)
    asked, marked_at = set(given).union(*now), {row["xid"]: row["erased_at"] for row in marked}
    namespaces = dict(given) | await read_stored(tx, scope, persons.keys() - given.keys())
    members = {
        xid: Member(namespaces[xid], person, None if xid in asked else marked_at[xid])
        for xid, person in persons.items()
        if xid in namespaces
    }
    return ToErase(members, list({row["job_id"] for row in marked}))


async def _persons_now(
    tx: Session, scope: Scope, config: Configuration, given: Mapping[UUID, int]
) -> list[Collection[UUID]]:
    """Return whole graphs, the identities of one person each."""
    stored = await _graphs_of(tx, scope, given)
    graphs: list[Collection[UUID]] = [graph["xids"] for graph in stored]
    if cut := {xid for graph in stored if graph["size"] > len(graph["xids"]) for xid in graph["xids"]}:
        component = await read_component(tx, scope, config, cut, recount=False)
        whole = await examine_component(whole_graphs_in, config, component, WRITES)
        graphs += [graph.xids for graph in whole if not cut.isdisjoint(graph.xids)]
    return graphs


def _marked_together(marked: Sequence[Any]) -> Collection[Collection[UUID]]:
    """Return what unfinished jobs marked together as of one person, as ties between them may be gone."""
    together = defaultdict[tuple[UUID, UUID], list[UUID]](list)
    for row in marked:
        together[row["job_id"], row["erased_with"]].append(row["xid"])
    return together.values()


def _person_of(groups: Iterable[Collection[UUID]]) -> dict[UUID, UUID]:
    """Return one identity of its person for each of these; groups that share an identity are of one person."""
    person_of = dict[UUID, UUID]()
    for group in groups:
        persons = {person_of[xid] for xid in group if xid in person_of}
        same = {xid for xid, person in person_of.items() if person in persons} if persons else set[UUID]()
        person_of |= dict.fromkeys(same.union(group), min(group))
    return person_of


async def count_related(tx: Session, scope: Scope, erased: Collection[UUID]) -> DeletionReceipt:
    """Count what would go with the facts under these identities: they and others that only they name, people, ties of others and refused documents."""
    row: Any = await tx.row(COUNT_RELATED, scope.sandbox_id, list(erased))
    return DeletionReceipt(**row) + await count_with_people(tx, scope, erased)


async def count_with_people(tx: Session, scope: Scope, erased: Collection[UUID]) -> DeletionReceipt:
    """Count the people who would vanish with these identities, and the values that are stored of theirs and of the identities."""
    values = await tx.value(COUNT_VALUES, scope.sandbox_id, list(erased))
    return DeletionReceipt(profiles=await count_vanishing(tx, scope, erased), computed_values=values)


async def count_vanishing(tx: Session, scope: Scope, erased: Collection[UUID]) -> int:
    """Count the people who would vanish with these identities: those under whose other identities nothing is stored, nor would be."""
    stored = await _graphs_of(tx, scope, erased)
    others = [xid for graph in stored for xid in graph["xids"] if xid not in erased]
    rows = await tx.rows(WITH_FACTS[tx.is_distributed], scope.sandbox_id, others) if others else []
    successors = await tx.rows(LIST_SUCCESSORS, scope.sandbox_id, list(erased)) if others else []
    staying = {row["xid"] for row in (*rows, *successors)}
    return sum(staying.isdisjoint(graph["xids"]) for graph in stored)


async def _graphs_of(tx: Session, scope: Scope, xids: Collection[UUID]) -> Sequence[Any]:
    """Read the graphs of the people of these identities, each once."""
    rows = await tx.rows(READ_GIVEN, scope.sandbox_id, list(xids))
    profile_ids = list({row["profile_id"] for row in rows if row["profile_id"] is not None})
    return await tx.rows(READ_GRAPHS, scope.sandbox_id, profile_ids) if profile_ids else []

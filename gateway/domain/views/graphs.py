"""Graphs: who is one person. They grow by union where people can only join, and are rebuilt from ties where people may part."""

from gateway.domain.views.check import Check, Piece
from gateway.domain.views.effects import effects_of
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.graph_rebuild import NAMED_BY_FACTS, rebuild_graphs
from gateway.domain.views.graph_union import graph_row, write_graphs
from gateway.runtime.uuids import NIL
from gateway.storage.queries import query

READ_GRAPHS = query("verification.read_graphs")
LIST_GRAPHS = query("verification.list_graphs")


class Graphs:
    """The view of identities, as far as they belong to people, and of people."""

    name = "graphs"
    tables = ("identity", "graph")

    async def refresh(self, change: FactChange) -> None:
        """Write pointers and graphs, and note what happened to people."""
        if change.locked is None:
            await rebuild_graphs(change)
        else:
            await write_graphs(change.tx, change.scope, change.locked)
            change.people, change.former_members = change.locked.people, change.locked.former_members
        rewritten = {xid for xid, _ in change.changed}
        if change.policies is not None:
            rewritten.update(*(person.xids for person in change.people))
        change.effects = effects_of(change.people, change.former_members, rewritten, change.event_xids)

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare pointers, degree limits and graphs with what the graph rules make, and look for identities that no fact names."""
        owners = {xid: graph.profile_id for graph in piece.grouping.people for xid in graph.xids}
        component = piece.component
        for xid, pointer in component.pointers.items():
            if pointer != owners.get(xid):
                check.differs("identity", xid, f"points to {pointer}; its person is {owners.get(xid)}")
            limit, stored = component.degree_limits[xid], component.stored_degree_limits[xid]
            if limit != stored:
                check.differs("identity", xid, f"degree_limit is {stored}; the facts make {limit}")
        for xid in component.with_events - component.noted_with_events:
            check.differs("identity", xid, "has events, and has_events is false")
        unowned = list(piece.grouping.unowned)
        rows = await check.tx.rows(NAMED_BY_FACTS, check.scope.sandbox_id, unowned) if unowned else []
        for xid in piece.grouping.unowned - {row["xid"] for row in rows}:
            check.differs("identity", xid, "no fact names it")
        await _compare_graphs(check, piece)

    async def verify_rest(self, check: Check) -> None:
        """Report graphs that are nobody's."""
        for (profile_id,) in await check.strays("graph", LIST_GRAPHS, NIL):
            check.differs("graph", profile_id, "nobody is this person")


GRAPHS = Graphs()


async def _compare_graphs(check: Check, piece: Piece) -> None:
    component, expected = piece.component, {graph.profile_id: graph for graph in piece.grouping.people}
    keys = expected.keys() | component.degree_limits.keys()
    rows = await check.tx.rows(READ_GRAPHS, check.scope.sandbox_id, list(keys))
    stored = {row["profile_id"]: row for row in rows}
    check.make("graph", ((profile_id,) for profile_id in expected))
    check.compared[GRAPHS.name] += len(stored.keys() | expected.keys())
    for profile_id in stored.keys() - expected.keys():
        check.differs("graph", profile_id, "nobody is this person")
    for profile_id, graph in expected.items():
        noted = component.noted_with_events  # after events went it may say too much
        row = graph_row(profile_id, graph.xids, component.members, noted, contested=graph.contested, size=graph.size)
        if profile_id not in stored:
            check.differs("graph", profile_id, "is missing")
        else:
            is_now = {**stored[profile_id], "event_xids": sorted(stored[profile_id]["event_xids"])}
            columns = zip(is_now.items(), (*row[:-1], sorted(row[-1])), strict=True)
            if differing := [name for (name, value), expected in columns if value != expected]:
                check.differs("graph", profile_id, f"differs in {', '.join(differing)}")

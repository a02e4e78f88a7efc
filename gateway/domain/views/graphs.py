"""Graphs: who is one person. They grow by union where people can only join, and are rebuilt from ties where people may part."""

from gateway.domain.views.effects import effects_of
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.graph_rebuild import rebuild_graphs
from gateway.domain.views.graph_union import RetryTransaction, write_graphs


class Graphs:
    """The view of identities, as far as they belong to people, and of people."""

    name = "graphs"
    tables = ("identity", "graph")

    async def refresh(self, change: FactChange) -> None:
        """Write pointers and graphs, and note what happened to people. Raises RetryTransaction if locked people may have to part."""
        if change.locked is None:
            await rebuild_graphs(change)
        elif change.seeds:
            raise RetryTransaction("ties changed", exclusive=True)
        else:
            await write_graphs(change.tx, change.scope, change.locked)
            change.people, change.former_members = change.locked.people, change.locked.former_members
        rewritten = {xid for xid, _ in change.changed}
        if change.policies is not None:
            rewritten.update(*(person.xids for person in change.people))
        change.effects = effects_of(change.people, change.former_members, rewritten, change.event_xids)


GRAPHS = Graphs()

"""A simulation predicts the graphs that ingestion of the same rows makes in an empty sandbox with the same settings."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.histories import VALUES, by_examples, identity_rules
from world import event

from gateway.domain.config import namespaces
from gateway.domain.config.identity_settings import NamespaceRule
from gateway.domain.operations.simulation import SimulatedEvent, simulate
from gateway.domain.reading import identity_graphs
from gateway.domain.rules.graphs import MAX_GRAPH_SIZE, MAX_NEIGHBOURS, IdentityType
from gateway.domain.rules.normalization import NEWEST, RULES

LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
NAMED = [
    *((namespace, value) for namespace, values in VALUES.items() for value in values),
    *(("Email", " ANA@example.com"), ("Email", "guest"), ("Phone", "0000"), ("Store", "7")),
]
ONE_EMAIL = [NamespaceRule("Email", is_unique=True), NamespaceRule("Phone"), NamespaceRule("ECID")]

times = st.none() | st.integers(0, 4).map(lambda hours: LONG_AGO + timedelta(hours=hours))


def real(row):
    """Return the identities of a row that are no placeholders."""
    return [each for each in row.identities if not RULES[NEWEST].is_placeholder(each[1])]


def is_about_people(row):
    """Tell whether the primary identity of a row is no store's: such a row would be refused."""
    return all(namespace != "Store" for namespace, _ in real(row)[:1])


rows = st.lists(
    st.builds(SimulatedEvent, st.lists(st.sampled_from(NAMED), min_size=1, max_size=4), times).filter(is_about_people),
    min_size=1,
    max_size=9,
)


@pytest.fixture
async def replay(replay):
    world = replay.world
    await namespaces.create_namespace(world.db, world.scope, code="Store", name="Store", kind=IdentityType.NON_PEOPLE)
    return replay


async def ingested(replay, rows, rules, order):
    """Ingest the rows and return the graph of every identity that they name: members, links, refused links."""
    await replay.empty()
    await replay.set_rules(rules)
    world = replay.world
    for place in order:
        row = rows[place]
        at = row.at or LATER + timedelta(hours=place)
        if named := real(row):  # else the event would be refused
            result = await world.events(event(f"e{place}", at.isoformat(), *named))
            assert result.failed == []
    xids = {await world.xid(*identity) for row in rows for identity in row.identities}
    with patch.object(identity_graphs, "MAX_REFUSED_LINKS", 10_000):  # so that all are shown
        graphs = await world.graphs(list(xids))
    assert all(graph is None or graph.refused_link_count == len(graph.refused_links) for graph in graphs)
    return {
        xid: (
            graph.xids,
            {(each.a, each.b) for each in graph.links},
            {(each.a, each.b, each.refusal) for each in graph.refused_links},
        )
        for xid, graph in zip(xids, graphs, strict=True)
        if graph is not None
    }


def simulated(world, config, rows, rules=None):
    """Return the simulated graphs in the form of `ingested`."""
    return {
        each.xid: (
            tuple(member.xid for member in graph.identities),
            {(link.a.xid, link.b.xid) for link in graph.links},
            {(link.a.xid, link.b.xid, link.refusal) for link in graph.refused_links},
        )
        for graph in simulate(world.scope, config, rows, rules)
        for each in graph.identities
    }


@by_examples
@given(rows=rows, rules=identity_rules(), data=st.data())
async def test_simulated_graphs_equal_ingested_ones(replay, rows, rules, data):
    world, former = replay.world, await replay.world.config()
    made = await ingested(replay, rows, rules, data.draw(st.permutations(range(len(rows)))))
    assert simulated(world, former, rows, rules) == made
    assert simulated(world, await world.config(), rows) == made


@pytest.mark.parametrize("rules", [[], ONE_EMAIL])
async def test_simulated_graphs_equal_ingested_ones_beyond_the_limits(replay, rules):
    """A household beyond the cap, and a terminal that everybody uses and that events are stored under, unless settings forbid it."""
    home = [
        SimulatedEvent([("Phone", "+1"), ("Email", "a@x.io"), ("ECID", f"{n:038}")])
        for n in range(1, MAX_GRAPH_SIZE + 10)
    ]
    terminal = ("ECID", "9" * 38)
    shop = [SimulatedEvent([terminal, ("Email", f"{n}@x.io"), ("Phone", f"+9{n}")]) for n in range(MAX_NEIGHBOURS)]
    rows = [*home, *shop]
    made = await ingested(replay, rows, rules, range(len(rows)))
    assert simulated(replay.world, await replay.world.config(), rows) == made
    assert len({graph[0] for graph in made.values()}) > MAX_NEIGHBOURS

"""`gateway doctor`: it says what keeps the data, and what is amiss."""

from dataclasses import replace

import asyncpg
import pytest
from citus import CLUSTER_URL
from pooler import pooler
from world import World

from gateway.storage.database import Database
from gateway.storage.distribution import Node, Spreading
from gateway.storage.examination import amiss_with, examine
from gateway.storage.migrations import expected_version
from gateway.storage.queries import Query

NODES = (Node("a:1", False, True, 100), Node("b:1", True, True, 100), Node("c:1", True, True, 100))
SOUND = Spreading("14.0-1", NODES, 32, (), ())


def test_a_store_with_nothing_amiss_is_named(gateway_here):
    result = gateway_here("doctor")
    store, schema, rest = result.stdout.splitlines()
    assert store.startswith("store   Citus " if CLUSTER_URL else "store   one Postgres 18.")
    assert (schema, rest) == (f"schema  {expected_version()}", "nothing is amiss")
    assert result.exit_code == 0


def test_rows_of_the_configuration_and_edges_that_are_amiss_are_named(gateway_here, in_database, monkeypatch):
    misfit = Query(
        "test.misfit",
        "update gateway.projection_configuration set selector = 'person.gone', paths = '{person.gone}' where sandbox_id = $1",
        *(("sandbox_id",), (), "rows", "For these tests."),
    )

    async def spoil(db, scope):
        world = await World.inside(db, scope)
        await world.project("site", "person.name")
        await db.rows(misfit, scope.sandbox_id)

    assert gateway_here("token").exit_code == 0  # the first start
    in_database(spoil)
    monkeypatch.setenv("GATEWAY_EDGES", "VA6=postgresql://127.0.0.1:1/edge")
    result = gateway_here("doctor")
    amiss = [line for line in result.stdout.splitlines() if line.startswith("amiss")]
    assert [each.partition(": ")[0] for each in amiss] == ["amiss   Sandbox prod of local", "amiss   Edge VA6"]
    assert "The projection 'site': The union has no field 'person.gone' any more" in amiss[0]
    assert "does not answer" in amiss[1]
    assert result.exit_code == 1


@pytest.fixture
async def older(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("delete from gateway.migration where name = $1", expected_version())
    await connection.close()


def test_an_older_schema_is_amiss(older, gateway_here):
    result = gateway_here("doctor")
    assert f"this gateway wants {expected_version()}: run `gateway migrate`." in result.stdout
    assert result.exit_code == 1


async def test_a_pooler_is_amiss_unless_postgres_itself_is_known_too(dsn):
    with pooler(dsn) as address:
        db = await Database.connect(address, size=1)
        alone, with_postgres = [await examine(db, address, each) for each in (None, dsn)]
        await db.close()
    (said,) = alone.amiss
    assert "set GATEWAY_LISTEN_URL" in said
    assert "behind a pooler" in alone.kind
    assert with_postgres.amiss == ()


@pytest.mark.parametrize(
    ("spreading", "said"),
    [
        (SOUND, None),
        (replace(SOUND, missing=("event",)), "Not spread over the nodes yet: event."),
        (replace(SOUND, shards=1), "Each table has 1 shards, so that some of the 2 workers hold none"),
        (replace(SOUND, unnamed=("tie",)), "no shard can be moved while writers write: tie."),
        (replace(SOUND, nodes=(*NODES[:2], NODES[2]._replace(prepared=None))), "The node c:1 does not answer"),
        (replace(SOUND, nodes=(*NODES[:2], NODES[2]._replace(is_active=False))), "The node c:1 is not active"),
        (replace(SOUND, nodes=(*NODES[:2], NODES[2]._replace(prepared=0))), "c:1 has no room for transactions"),
    ],
)
def test_what_is_amiss_with_a_cluster_is_said(spreading, said):
    found = list(amiss_with(spreading, 2))
    assert [said in each for each in found] == ([True] if said else [])


def test_a_cluster_without_workers_is_amiss():
    assert list(amiss_with(replace(SOUND, nodes=NODES[:1]), 0)) == [
        "No worker takes shards: add some by citus_add_node."
    ]

"""What goes to edges changes, and a job tells how far each edge is with it."""

import pytest
from client import Client
from edge.hub import LEASES_RUN_OUT, looked_up
from world import record

from gateway.domain.config.projection_configurations import delete_projection
from gateway.domain.config.projection_destinations import DestinationSettings, ReplicationPolicy, update_destination
from gateway.domain.edges import configurations
from gateway.domain.edges.sandboxes import list_sandboxes
from gateway.domain.operations.projection_backfill import backfill_projection
from gateway.domain.operations.projection_centers import list_configuration_deliveries
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import read_jobs

PEOPLE = [("Email", f"{number}@example.com") for number in range(5)]
NEW = ("Email", "new@example.com")
STATUS = "{ projectionDestinations { nodes { status { dataCenter reachable error lagSeconds pendingChanges lastDeliveredAt } } } }"
JOBS = "{ systemJobs(filter: {type: [BACKFILL_PROJECTION]}) { nodes { status progress error } } }"


async def worked(hub, *data_centers):
    """Let the job of the configuration that was changed last look at these data centres; return it as it is told."""
    world = hub.world
    await world.db.rows(LEASES_RUN_OUT)
    claim = await leases.claim(world.db, [JobKind.BACKFILL_PROJECTION])
    work = backfill_projection(world.db, await hub.scope(), world.configurations, claim, data_centers=data_centers)
    await leases.carry_out(world.db, claim, work)
    (job,) = await read_jobs(world.db, world.scope, [claim.job_id])
    return job


async def status_of(hub):
    (destination,) = (await Client.of(hub.world).data(STATUS))["projectionDestinations"]["nodes"]
    return {each.pop("dataCenter"): each for each in destination["status"]}


async def test_a_job_tells_how_far_edges_are_and_ends_once_they_serve_all(hub, one_by_one):
    world, turns = hub.world, 0
    await world.records(*(record(one, first_name="Ana") for one in PEOPLE))
    await world.project("names", "person.name", to=("VA6", "NLD2"))
    job = await worked(hub, "VA6")
    assert (job.status, job.error) == ("PROCESSING", "Edges: VA6: it does not answer.")
    before = await status_of(hub)
    assert before["VA6"] == before["NLD2"] | {"error": None}
    assert before["NLD2"] == {
        "reachable": False, "error": before["NLD2"]["error"], "lagSeconds": None, "pendingChanges": 0, "lastDeliveredAt": None,
    }  # fmt: skip
    await hub.answer_for_lease()
    filled = []
    while not filled or filled[-1].filling is not None:
        hub.delivery._told_at = float("-inf")
        await hub.delivery.turn(await hub.scope())
        filled = [*filled, *await list_configuration_deliveries(world.db, await hub.scope())]
        turns += 1
        assert turns < 50
    assert [each.done for each in filled if each.filling is not None] == sorted(
        each.done for each in filled if each.filling is not None
    )
    assert {each.total for each in filled} == {5}
    assert len({each.done for each in filled}) > 3
    await hub.deliver()
    job = await worked(hub, "VA6")
    assert (job.status, job.progress, job.error) == ("COMPLETED", 1.0, None)
    told = (await status_of(hub))["VA6"]
    assert (told["reachable"], told["error"], told["pendingChanges"]) == (True, None, 0)
    assert told["lagSeconds"] >= 0
    await world.records(record(NEW))
    assert (await status_of(hub))["VA6"]["pendingChanges"] == 1


@pytest.mark.parametrize("policy", ReplicationPolicy)
async def test_other_data_centres_and_policies_of_a_destination_reach_the_edge(hub, policy):
    world, everybody = hub.world, [*PEOPLE, NEW]
    await world.records(*(record(one, first_name="Ana") for one in PEOPLE))
    configuration = await world.project("names", "person.name")
    await hub.deliver()
    await worked(hub, "VA6")

    async def change(data_centers, replication_policy):
        (target,) = (await world.config()).destinations.values()
        settings = DestinationSettings(data_centers, 3_600, replication_policy)
        await update_destination(world.db, world.scope, target.destination_id, settings, target.version)
        await hub.deliver()
        assert await hub.differences() == []
        assert (await worked(hub, "VA6")).status == "COMPLETED"
        return sum(found is not None for found in await looked_up(hub, *everybody))

    assert await change(("OR2",), policy) == 0
    assert await list_sandboxes(hub.edge) == []
    proactive = policy is ReplicationPolicy.PROACTIVE
    assert await change(("VA6", "OR2"), policy) == (5 if proactive else 0)
    other = ReplicationPolicy.REACTIVE if proactive else ReplicationPolicy.PROACTIVE
    assert await change(("VA6",), other) == 5
    await world.records(record(NEW, first_name="New"))
    await hub.deliver()
    assert sum(found is not None for found in await looked_up(hub, *everybody)) == (5 if proactive else 6)
    await delete_projection(world.db, world.scope, configuration.configuration_id)
    await hub.deliver()
    assert await configurations.list_served(hub.edge, world.scope.sandbox_id) == []

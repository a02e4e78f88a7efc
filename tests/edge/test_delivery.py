"""What a hub delivers to an edge is what the edge is to have, whatever happened on the way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from client import Client
from crashes import killed_after
from edge.hub import LEASES_RUN_OUT, looked_up, want
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import UNDOING, VALUES, Replay, by_examples, histories
from world import event, record

from gateway.domain.config import policies, sandboxes
from gateway.domain.config.projection_configurations import EventWindow, delete_projection, update_projection
from gateway.domain.config.projection_destinations import ReplicationPolicy
from gateway.domain.edges import fills, projections
from gateway.domain.edges.sandboxes import list_sandboxes
from gateway.domain.operations import erasure_edges, projection_delivery
from gateway.domain.operations.erasure import delete_profiles, erase_people
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.operations.projection_centers import list_configuration_deliveries, list_deliveries
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.merge import AttributeMergeType
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import read_jobs
from gateway.errors import Conflict, UserFault

ANA, BOB, CARL = [("Email", f"{name}@example.com") for name in ("ana", "bob", "carl")]
PHONE = ("Phone", "+1")
REACTIVE = ReplicationPolicy.REACTIVE


@pytest.fixture
async def replay(hub, dsn):
    async with Replay.of(hub.world, dsn) as opened:
        yield opened


async def people_of(hub):
    """Return the names that the edge has of Ana, Bob and Carl, None where it has nothing."""
    return [
        (found or {}).get("person", {}).get("name", {}).get("firstName")
        for found in await looked_up(hub, ANA, BOB, CARL)
    ]


async def test_everybody_is_delivered_and_each_change_follows(hub):
    world = hub.world
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.project("names", "person.name", EventWindow("eventType"))
    await hub.deliver()
    assert await hub.differences() == []
    await world.records(record(CARL, first_name="Carl"), record(ANA, first_name="Anna"))
    await world.events(event("e1", "2026-11-01T00:00:00Z", BOB))
    assert len(await hub.differences()) == 3
    await hub.deliver()
    assert await hub.differences() == []
    assert await people_of(hub) == ["Anna", "Bob", "Carl"]
    (told,) = await list_deliveries(world.db, await hub.scope())
    assert (told.data_center, told.projections) == ("VA6", 3)
    assert None not in (told.confirmed_at, told.delivered_at)


async def test_people_come_in_bounded_batches_and_one_who_changed_often_comes_once(hub, monkeypatch):
    world, batches, deliver = hub.world, [], projections.deliver
    everybody = [("Email", f"{number}@example.com") for number in range(9)]

    async def delivered(tx, sandbox_id, rows):
        batches.append(len(rows))
        await deliver(tx, sandbox_id, rows)

    monkeypatch.setattr(projections, "deliver", delivered)
    monkeypatch.setattr(projection_delivery, "PEOPLE_PER_PIECE", 4)
    await world.records(*(record(one) for one in everybody))
    for name in ("names", "mails"):
        await world.project(name, "person.name")
    await hub.deliver()
    assert sorted(filter(None, batches)) == sorted([4, 4, 1] * 2)
    batches.clear()
    for number in range(4):
        await world.records(record(everybody[0], first_name=f"Name {number}"))
    await hub.deliver()
    assert batches == [1, 1]
    await world.records(*(record(one, first_name="All") for one in everybody))
    await hub.deliver()
    assert (max(batches), sum(batches)) == (4, 2 + 2 * len(everybody))
    assert await hub.differences() == []


async def test_people_who_merge_part_or_go_do_so_at_the_edge(hub):
    world = hub.world
    batch_id = await world.batch("people")
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.project("names", "person.name,identityMap")
    await hub.deliver()
    ana, bob = [await world.xid(*one) for one in (ANA, BOB)]
    for change in (
        world.records(record(CARL, ANA, first_name="Carl"), batch_id=batch_id),
        link_identities(world.db, world.scope, world.configurations, ana, bob),
        unlink_identities(world.db, world.scope, world.configurations, ana, bob),
        world.revert(batch_id),
        world.clear(world.crm),
    ):
        await change
        await hub.deliver()
        assert await hub.differences() == []
    assert await people_of(hub) == [None, None, None]


async def test_an_edge_that_asks_gets_what_it_asked_for_and_what_becomes_of_it(hub):
    world = hub.world
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    configuration = await world.project("names", "person.name", by=REACTIVE)
    await hub.deliver()
    assert await people_of(hub) == [None, None, None]
    await want(hub, configuration, ANA, CARL)
    await hub.answer()
    assert await people_of(hub) == ["Ana", None, None]
    await world.records(
        record(ANA, first_name="Anna"), record(BOB, first_name="Bobby"), record(CARL, first_name="Carl")
    )
    await hub.deliver()
    assert await people_of(hub) == ["Anna", None, "Carl"]  # the edge knew that nobody was Carl
    await world.records(record(BOB, ANA))
    await hub.deliver()
    assert await people_of(hub) == ["Anna", "Anna", "Carl"]
    assert await hub.differences() == []


async def test_a_changed_configuration_is_served_once_all_of_it_is_there(hub, one_by_one):
    world = hub.world
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    made = await world.project("names", "person.name")
    await hub.deliver()
    for change in ({"selector": "identityMap"}, {"selector": "person.name,identityMap"}):
        before = await looked_up(hub, ANA, BOB)
        asked = world.db, world.scope, (await world.config()).selectable, made.configuration_id, change
        made = await update_projection(*asked, current_version=made.version)
        seen, more = [], True
        while more:
            more = await hub.delivery.turn(await hub.scope())
            seen.append(await looked_up(hub, ANA, BOB))
        after = await looked_up(hub, ANA, BOB)
        assert after != before
        assert [each for each in seen if each not in (before, after)] == []
        assert before in seen
        assert await hub.differences() == []
    rows = await projections.count_projections(hub.edge, world.scope.sandbox_id)
    assert [row.projections for row in rows] == [2]


async def test_people_who_go_while_a_new_view_is_filled_are_gone_from_the_old_one_at_once(hub, one_by_one):
    world = hub.world
    others = [("Email", f"{number}@example.com") for number in range(20)]
    await world.records(*(record(one) for one in (ANA, BOB, *others)))
    made = await world.project("names", "identityMap")
    await hub.deliver()
    asked = world.db, world.scope, (await world.config()).selectable, made.configuration_id, {"selector": "person"}
    await update_projection(*asked, current_version=made.version)
    await hub.delivery.turn(await hub.scope())
    await world.erase(await world.xid(*ANA))
    while (await hub.delivery.turn(await hub.scope())) and (await looked_up(hub, ANA, BOB))[0]:
        pass
    assert await fills.list_fills(hub.edge, world.scope.sandbox_id) != []
    assert await looked_up(hub, ANA) == [None]
    await hub.deliver()
    assert await hub.differences() == []


async def test_other_policies_settings_and_attributes_reach_the_edge(hub):
    world, scope = hub.world, hub.world.scope
    await world.records(record(ANA, first_name="Ana"))
    await world.records(record(ANA, first_name="Anna"), dataset=world.loyalty)
    await world.project("names", "person.name")
    await hub.deliver()
    assert (await people_of(hub))[0] == "Anna"
    policy = (await world.config()).default_policy
    merge = replace(
        policy.settings.attribute_merge, type=AttributeMergeType.DATASET_PRECEDENCE, order=(world.crm.dataset_id,)
    )
    await policies.update_policy(world.db, scope, policy.policy_id, {"attribute_merge": merge})
    await hub.deliver()
    assert (await people_of(hub))[0] == "Anna"  # the policy is BUILDING: the old view is served
    await hub.materialize()
    await hub.deliver()
    assert (await people_of(hub))[0] == "Ana"
    own = f"_{scope.organization.code}.ComputedAttributes"
    await world.publish("visits", "xEvent.count()")
    await world.project("visits", f"{own}.visits")
    await world.events(event("e1", "2026-11-01T00:00:00Z", ANA))
    await hub.deliver()
    assert await looked_up(hub, ANA, name="visits") == [{own.partition(".")[0]: {"ComputedAttributes": {"visits": 1}}}]
    assert await hub.differences() == []


async def test_what_nobody_asks_for_any_more_goes(hub):
    world, scope = hub.world, hub.world.scope
    await world.records(record(ANA, first_name="Ana"))
    names, mails = await world.project("names", "person.name"), await world.project("mails", "identityMap")
    await hub.deliver()
    assert len(await projections.count_projections(hub.edge, scope.sandbox_id)) == 2
    await delete_projection(world.db, scope, names.configuration_id)
    await hub.deliver()
    assert len(await projections.count_projections(hub.edge, scope.sandbox_id)) == 1
    assert await hub.differences() == []
    await delete_projection(world.db, scope, mails.configuration_id)
    await hub.deliver()
    assert await list_sandboxes(hub.edge) == []
    assert await list_deliveries(world.db, await hub.scope()) == []


async def test_a_sandbox_that_is_reset_leaves_nothing_at_the_edge(hub):
    world, scope = hub.world, hub.world.scope
    await world.records(record(ANA, first_name="Ana"))
    await world.project("names", "person.name")
    await hub.deliver()
    await sandboxes.reset_sandbox(world.db, scope, scope.sandbox_id, scope.sandbox.name)
    await hub.deliver()
    assert await list_sandboxes(hub.edge) == []
    assert await projections.count_projections(hub.edge, scope.sandbox_id) == []


async def test_an_edge_that_lost_everything_or_was_away_for_too_long_is_filled_anew(hub, one_by_one):
    world, sandbox_id = hub.world, hub.world.scope.sandbox_id
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.project("names", "person.name")
    await hub.deliver()
    await world.records(record(CARL, first_name="Carl"), record(ANA, first_name="Anna"))
    await world.erase(await world.xid(*BOB))
    await hub.forget_journal()
    await hub.take_over()
    await hub.delivery.turn(await hub.scope())
    await hub.delivery.turn(await hub.scope())
    (told,) = await list_deliveries(world.db, await hub.scope())
    assert told.confirmed_at < await hub.now() - timedelta(microseconds=1)
    await hub.deliver()
    assert await people_of(hub) == ["Anna", None, "Carl"]
    assert await hub.differences() == []
    await hub.wipe()
    await hub.take_over()
    await hub.deliver()
    assert await hub.differences() == []
    assert {row.projections for row in await projections.count_projections(hub.edge, sandbox_id)} == {2}


async def test_time_alone_brings_a_projection_again(hub, later):
    world = hub.world
    now = datetime.now(UTC)
    await world.records(record(ANA, first_name="Ana"))
    hours = [(now - timedelta(hours=ago)).strftime("%Y-%m-%dT%H:%M:%SZ") for ago in (20, 4)]
    await world.events(*(event(f"e{number}", at, ANA) for number, at in enumerate(hours)))
    own = f"_{world.scope.organization.code}"
    await world.publish("visits", "xEvent.count()", parse_duration("P1D"))
    await world.project(
        "recent", f"{own}.ComputedAttributes.visits", EventWindow("_id", within=parse_duration("PT12H"))
    )
    await hub.deliver()
    for passed, visits in ((0, 2), (5, 1), (21, 0)):
        hub.world = world.inside_of(await later(timedelta(hours=passed)))
        await hub.take_over()
        await hub.deliver()
        (found,) = await looked_up(hub, ANA, name="recent")
        assert found[own]["ComputedAttributes"].get("visits", 0) == visits
        assert await hub.differences() == []


async def test_a_projection_that_is_too_large_is_an_error_of_its_configuration(hub, monkeypatch):
    world = hub.world
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="B" * 300))
    await world.project("names", "person.name")
    monkeypatch.setattr("gateway.domain.reading.edge_projections.MAX_BYTES", 200)
    await hub.deliver()
    assert await people_of(hub) == ["Ana", None, None]
    (state,) = await list_configuration_deliveries(world.db, await hub.scope())
    assert "1 people have projections of more than" in state.error
    told = await Client.of(world).data("{ projectionConfigurations { nodes { problems } } }")
    assert told["projectionConfigurations"]["nodes"] == [{"problems": [f"VA6: {state.error}"]}]
    assert await hub.differences() == []


async def test_a_process_that_has_lost_the_lease_delivers_no_more(hub):
    await hub.world.records(record(ANA, first_name="Ana"))
    await hub.world.project("names", "person.name")
    earlier = hub.delivery
    await hub.take_over()
    await hub.deliver()
    await hub.world.records(record(BOB, first_name="Bob"))
    with pytest.raises(Conflict):
        await earlier.turn(await hub.scope())
    assert len(await hub.differences()) == 1


async def test_a_delivery_that_is_killed_after_any_commit_is_taken_up_by_another(hub, one_by_one):
    world = hub.world
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    made = await world.project("names", "person.name")
    for number in count(1):
        names = f"Ana{number}", f"Carl{number}"
        await world.records(record(ANA, first_name=names[0]), record(CARL, first_name=names[1]))
        asked = world.db, world.scope, (await world.config()).selectable, made.configuration_id
        selector = ("person.name", "person")[number % 2]
        made = await update_projection(*asked, {"selector": selector}, current_version=made.version)
        points = []
        was_killed = await killed_after(number, hub.deliver(), points)
        await hub.take_over()
        await hub.deliver()
        assert await hub.differences() == [], f"killed after {points[-1:]}"
        assert await people_of(hub) == [names[0], "Bob", names[1]]
        if not was_killed:
            break
    assert number > 5


async def test_a_person_is_erased_once_every_edge_says_so(hub, monkeypatch):
    monkeypatch.setattr(erasure_edges, "LOOK_SECONDS", 0)
    monkeypatch.setattr(erasure_edges, "AWAY_SECONDS", 0)
    world = hub.world
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.project("names", "person.name")
    await world.project("mails", "identityMap")
    await hub.deliver()
    asked = await delete_profiles(world.db, world.scope, [await world.xid(*ANA)])

    async def worked(*data_centers):
        claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
        work = erase_people(world.db, world.scope, world.configurations, claim, data_centers=data_centers)
        await leases.carry_out(world.db, claim, work)
        (job,) = await read_jobs(world.db, world.scope, [asked.job_id])
        return job

    job = await worked("VA6")
    assert (job.status, job.error) == ("PROCESSING", "Edges have yet to confirm it (VA6: it does not answer).")
    assert (await verify_erasure(world.db, world.scope, await world.xid(*ANA))).traces == ("edge VA6",)
    await hub.answer_for_lease()
    assert (await worked("VA6")).error is None
    other = await delete_profiles(world.db, world.scope, [await world.xid(*BOB)])
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert claim is not None, "one that only waits holds no other up"
    claim = claim if claim.job_id == other.job_id else await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    await leases.carry_out(world.db, claim, erase_people(world.db, world.scope, world.configurations, claim))
    (left,) = await read_jobs(world.db, world.scope, [other.job_id])
    assert (left.status, left.receipt.unconfirmed_data_centers) == ("COMPLETED", ("VA6",))
    await hub.deliver()
    assert await people_of(hub) == [None, None, None]
    await world.db.rows(LEASES_RUN_OUT)
    job = await worked("VA6")
    assert (job.status, job.receipt.projections, job.receipt.profiles) == ("COMPLETED", 2, 1)
    assert job.receipt.unconfirmed_data_centers == ()
    assert (await verify_erasure(world.db, world.scope, await world.xid(*ANA))).is_erased
    assert await hub.differences() == []


@settings(by_examples, max_examples=12)
@given(history=histories(vary=True, max_size=4), data=st.data())
async def test_after_any_history_the_edge_has_what_the_hub_says(hub, replay, history, data):
    world = replay.world
    if not (await world.config()).projections:
        await world.project("all", "person.name,identityMap", EventWindow("_id,eventType", last=2))
        await world.project("fetched", "person.name", by=REACTIVE)
    fetched = next(each for each in (await world.config()).projections.values() if each.name == "fetched")
    await hub.deliver()
    await want(hub, fetched, *[(code, value) for code, values in VALUES.items() for value in values[:2]])
    for step in history:
        await replay.run([step])
        await _changed(world, data, ["nothing", "link", "unlink"])
        if data.draw(st.booleans()):
            await hub.deliver()
            await hub.answer()
    await replay.undo(data.draw(st.sampled_from(history)), data.draw(UNDOING))
    await _changed(world, data, ["erase"])
    await hub.deliver()
    assert await hub.differences() == []
    await replay.empty()
    await hub.forget_journal()


async def _changed(world, data, ways):
    """Link, unlink or erase somebody, in one of these ways."""
    identities = st.sampled_from([(code, value) for code, values in VALUES.items() for value in values])
    one, other = [await world.xid(*data.draw(identities)) for _ in range(2)]
    what = data.draw(st.sampled_from(ways))
    try:
        if what == "link":
            await link_identities(world.db, world.scope, world.configurations, one, other)
        elif what == "unlink":
            await unlink_identities(world.db, world.scope, world.configurations, one, other)
        elif what == "erase":
            await world.erase(one)
    except UserFault:
        pass

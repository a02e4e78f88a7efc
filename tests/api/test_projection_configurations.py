"""The life of destinations and configurations of projections through the API, and what keeps them in line with what they depend on."""

from dataclasses import replace

import pytest
from client import Client
from world import World

from gateway.api.ids import global_id
from gateway.domain.config import policies, sandboxes
from gateway.domain.config.computed_attributes import AttributeStatus, update_attribute
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.config.projection_configurations import EventWindow
from gateway.domain.config.sandboxes import create_sandbox
from gateway.domain.rules.limits import ATTRIBUTES, DESTINATIONS
from gateway.domain.rules.scope import SandboxType
from gateway.domain.work import jobs
from gateway.storage.queries import Query
from gateway.telemetry import ConfigurationBroken, listen
from gateway.xdm.classes import XdmClass

DESTINATION = "{ id type dataCenters ttl replicationPolicy version createdBy configurations { name } }"
CONFIGURATION = (
    """{ id name class selector events { selector last within where } version createdBy destination { id } }"""
)
EDGES = {"dataCenters": ["VA6", "NLD2"]}
HALF_A_YEAR = {"selector": "eventType,commerce.order.priceTotal", "within": "P6M", "where": 'eventType = "a"'}
MISFIT = Query(
    "test.misfit",
    """update gateway.projection_configuration
          set selector = 'person.name,person.gone', event_selector = 'lost', event_last = 1, paths = '{person.name,person.gone,xEvent.lost}'
        where sandbox_id = $1 and name = 'site' returning 1""",
    *(("sandbox_id",), (), "rows", "For these tests."),
)
"""As another version of the gateway may have left it."""
CONTENT_VERSIONS = Query(
    "test.content_versions",
    "select name, content_version from gateway.projection_configuration where sandbox_id = $1",
    *(("sandbox_id",), (), "rows", "For these tests."),
)


@pytest.fixture(scope="module")
async def edge_client(module_db):
    """A client of a sandbox in which people can be projected, and which no test changes."""
    client = Client.of(await World.create(module_db))
    await client.world.project("site", "person.name")
    return client


async def answer(client, verb, noun, /, **given):
    """Run a mutation; return its object, or its first error as (code, path, line, column)."""
    name, selected = f"{verb}Projection{noun}", {"Destination": DESTINATION, "Configuration": CONFIGURATION}[noun]
    kind, field = f"Projection{noun}Input", f"projection{noun} {selected}"
    if verb == "update":
        kind = f"Update{kind}"
    elif verb == "delete":
        kind, field = "DeleteInput", "deletedId"
    text = (
        f"mutation ($given: {kind}!) {{ {name}(input: $given) {{ {field} userErrors {{ code path line column }} }} }}"
    )
    ((_, payload),) = (await client.data(text, given=given)).items()
    changed, errors = payload.values()
    return tuple(errors[0].values()) if errors else changed


async def destination_of(client, **given):
    return (await answer(client, "create", "Destination", **EDGES, **given))["id"]


async def create(client, name, selector, destination_id, **given):
    return await answer(
        client, "create", "Configuration", name=name, selector=selector, destinationId=destination_id, **given
    )


async def activate(world, **changes):
    """Change the default policy; `is_active_on_edge` makes it the one of edges."""
    policy = (await world.config()).default_policy
    return await policies.update_policy(world.db, world.scope, policy.policy_id, changes)


async def content_versions(world):
    return {
        row["name"]: row["content_version"] for row in await world.db.rows(CONTENT_VERSIONS, world.scope.sandbox_id)
    }


async def test_a_destination_is_made_replaced_and_deleted_unless_projections_go_there(client):
    made = await answer(client, "create", "Destination", **EDGES)
    assert made == {
        "id": made["id"], "type": "EDGE", "dataCenters": ["VA6", "NLD2"], "ttl": 3600, "replicationPolicy": "REACTIVE", "version": 1,
        "createdBy": "gateway", "configurations": [],
    }  # fmt: skip
    wanted = {"id": made["id"], "dataCenters": ["OR1"], "ttl": 600, "replicationPolicy": "PROACTIVE"}
    changed = await answer(client, "update", "Destination", **wanted, currentVersion=1)
    assert changed == made | wanted | {"version": 2}
    assert (await answer(client, "update", "Destination", **wanted, currentVersion=1))[0] == "STALE"
    assert await answer(client, "update", "Destination", **wanted, currentVersion=2) == changed  # which changes nothing
    await activate(client.world, is_active_on_edge=True)
    projection = await create(client, "site", "person.name", made["id"])
    assert await answer(client, "delete", "Destination", id=made["id"]) == ("CONFLICT", ["id"], None, None)
    listed = await client.data(
        f"query ($id: ID!) {{ projectionDestinations(first: 1) {{ totalCount nodes {DESTINATION} }} projectionDestination(id: $id) {{ id }}"
        " node(id: $id) { ... on ProjectionDestination { ttl } } }",
        id=made["id"],
    )
    assert listed == {
        "projectionDestinations": {"totalCount": 1, "nodes": [changed | {"configurations": [{"name": "site"}]}]},
        "projectionDestination": {"id": made["id"]},
        "node": {"ttl": 600},
    }
    assert await answer(client, "delete", "Configuration", id=projection["id"]) == projection["id"]
    assert (await answer(client, "delete", "Destination", id=made["id"], currentVersion=1))[0] == "STALE"
    assert await answer(client, "delete", "Destination", id=made["id"], currentVersion=2) == made["id"]
    assert (await answer(client, "delete", "Destination", id=made["id"]))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"type": "LAKE"}, ["type"]), ({"ttl": 599}, ["ttl"]), ({"ttl": 604_801}, ["ttl"]), ({"dataCenters": []}, ["dataCenters"]),
        ({"dataCenters": ["VA6", "VA6"]}, ["dataCenters"]), ({"dataCenters": [f"VA{number}" for number in range(21)]}, ["dataCenters"]),
        *(({"dataCenters": ["VA6", code]}, ["dataCenters", "1"]) for code in ("V6", "VAIL6", "VA", "VA666", "va6", "VA٦", " VA6", "")),
    ],
)  # fmt: skip
async def test_what_no_destination_can_be_is_refused_with_its_place(edge_client, given, path):
    assert await answer(edge_client, "create", "Destination", **(EDGES | given)) == ("INVALID", path, None, None)


async def test_a_configuration_is_made_changed_found_and_deleted(client):
    target, other = await destination_of(client), await destination_of(client, ttl=604_800)
    assert await create(client, "site", "person", target) == ("CONFLICT", None, None, None)  # no policy is of edges
    await activate(client.world, is_active_on_edge=True)
    made = await create(client, "site", "person.name(firstName),identityMap", target, events=HALF_A_YEAR)
    assert made == {
        "id": made["id"], "name": "site", "class": "INDIVIDUAL_PROFILE", "selector": "person.name(firstName),identityMap",
        "events": {**HALF_A_YEAR, "last": 10}, "version": 1, "createdBy": "gateway", "destination": {"id": target},
    }  # fmt: skip
    assert await create(client, "site", "person", other) == ("TAKEN", ["name"], None, None)
    this, first = {"id": made["id"]}, await content_versions(client.world)
    assert (await answer(client, "update", "Configuration", **this, currentVersion=2))[0] == "STALE"
    assert await answer(client, "update", "Configuration", **this, name=None, currentVersion=1) == made
    assert await content_versions(client.world) == first
    changed = await answer(
        client, "update", "Configuration", **this, name="shop", events=None, destinationId=other, currentVersion=1
    )
    assert changed == made | {"name": "shop", "events": None, "destination": {"id": other}, "version": 2}
    assert (await content_versions(client.world))["shop"] > first["site"]
    window = {"selector": "eventType", "last": 100}
    changed = await answer(client, "update", "Configuration", **this, events=window, currentVersion=2)
    assert changed["events"] == window | {"within": None, "where": None}
    unknown = await answer(client, "update", "Configuration", **this, destinationId=made["id"], currentVersion=3)
    assert unknown == ("NOT_FOUND", ["destinationId"], None, None)
    found = await client.data(
        """query ($id: ID!) { node(id: $id) { id } one: projectionConfiguration(name: "shop") { id } none: projectionConfiguration(name: "site") { id }
          all: projectionConfigurations(class: INDIVIDUAL_PROFILE) { totalCount } events: projectionConfigurations(class: EXPERIENCE_EVENT) { totalCount }
          named: projectionConfigurations(name: "shop") { nodes { id } } other: projectionConfigurations(name: "site") { nodes { id } } }""",
        **this,
    )
    assert found == {
        "node": this, "one": this, "none": None, "all": {"totalCount": 1}, "events": {"totalCount": 0}, "named": {"nodes": [this]}, "other": {"nodes": []},
    }  # fmt: skip
    assert (await answer(client, "delete", "Configuration", **this, currentVersion=2))[0] == "STALE"
    assert await answer(client, "delete", "Configuration", **this, currentVersion=3) == made["id"]
    assert (await answer(client, "delete", "Configuration", **this))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": " "}, ("INVALID", ["name"], None, None)), ({"class": "EXPERIENCE_EVENT"}, ("INVALID", ["class"], None, None)),
        ({"selector": "person.name(first)"}, ("INVALID", ["selector"], 1, 13)), ({"selector": "identityMap,\nperso"}, ("INVALID", ["selector"], 2, 1)),
        ({"selector": "identityMap.email"}, ("INVALID", ["selector"], 1, 13)),
        ({"selector": ""}, ("INVALID", ["selector"], 1, 1)), ({"selector": "person," * 1_500}, ("INVALID", ["selector"], None, None)),
        *(
            ({"events": {"selector": "eventType"} | events}, ("INVALID", ["events", field], *at))
            for events, field, *at in (
                ({"selector": "person"}, "selector", 1, 1), ({"last": 0}, "last", None, None), ({"last": 101}, "last", None, None),
                ({"within": "PT59S"}, "within", None, None), ({"within": "P4Y"}, "within", None, None), ({"within": "P1099D"}, "within", None, None),
                ({"where": "person.name"}, "where", 1, 1), ({"where": "eventType"}, "where", 1, 1), ({"where": "\u0000"}, "where", 1, 1),
                ({"where": "timestamp occurs < 7 days before now"}, "where", 1, 1),
            )
        ),
    ],
)  # fmt: skip
async def test_what_no_configuration_can_be_is_refused_with_its_place(edge_client, given, told):
    (node,) = (await edge_client.data("{ projectionDestinations { nodes { id } } }"))["projectionDestinations"]["nodes"]
    assert (
        await create(edge_client, **({"name": "a", "selector": "person", "destination_id": node["id"]} | given)) == told
    )


async def test_the_policy_of_edges_stays_while_there_are_projections_which_follow_its_rules(client):
    world, target = client.world, await destination_of(client)
    await activate(world, is_active_on_edge=True)
    made = await create(client, "site", "person", target)
    clear = """mutation ($id: ID!) { updateMergePolicy(input: {id: $id, isActiveOnEdge: false}) { userErrors { code path } } }"""
    policy = global_id("MergePolicy", (await world.config()).default_policy.policy_id)
    refused = (await client.data(clear, id=policy))["updateMergePolicy"]["userErrors"]
    assert refused == [{"code": "CONFLICT", "path": ["isActiveOnEdge"]}]
    first = (await content_versions(world))["site"]
    await activate(world, name="Renamed")
    assert (await content_versions(world))["site"] == first
    await activate(world, identity_graph=IdentityGraphType.NONE)
    assert (await content_versions(world))["site"] > first
    await answer(client, "delete", "Configuration", id=made["id"])
    assert (await client.data(clear, id=policy))["updateMergePolicy"]["userErrors"] == []


async def test_a_changed_destination_changes_what_is_projected_there_and_nothing_else(client):
    await activate(client.world, is_active_on_edge=True)
    one, other = await destination_of(client), await destination_of(client)
    await create(client, "here", "person", one)
    await create(client, "there", "person", other)
    before = await content_versions(client.world)
    wanted = {**EDGES, "id": one, "ttl": 700, "replicationPolicy": "REACTIVE", "currentVersion": 1}
    await answer(client, "update", "Destination", **wanted)
    after = await content_versions(client.world)
    assert (after["here"] > before["here"], after["there"]) == (True, before["there"])


async def test_an_attribute_that_a_projection_names_is_not_switched_off(client):
    """Nor by the job that gives up its history. One that stands in what a projection selects whole may go, and the projection changes with it."""
    world, target = client.world, await destination_of(client)
    await activate(world, is_active_on_edge=True)
    visits = await world.publish("visits", "xEvent.count()")
    size = await world.publish("size", "productListItems.count()", xdm_class=XdmClass.EXPERIENCE_EVENT)
    own = f"_{world.scope.organization.code}"
    wrong = await create(client, "wrong", f"{own}.ComputedAttributes.visit", target)
    assert wrong == ("INVALID", ["selector"], 1, len(f"{own}.ComputedAttributes.") + 1)
    named = await create(client, "named", f"person,{own}.ComputedAttributes(visits)", target)
    events = {"selector": f"{own}.ComputedAttributes.size"}
    await create(client, "of events", "person", target, events=events)
    await create(
        client, "by events", "person", target, events={"selector": "eventType", "where": f"{events['selector']} > 1"}
    )
    await create(client, "whole", own, target)
    off = "mutation ($id: ID!) { updateComputedAttribute(input: {id: $id, status: DISABLED}) { userErrors { code message path } } }"
    for attribute, selecting in ((visits, "'named'"), (size, "'by events', 'of events'")):
        (error,) = (await client.data(off, id=global_id("ComputedAttribute", attribute.attribute_id)))[
            "updateComputedAttribute"
        ]["userErrors"]
        assert (error["code"], error["path"]) == ("CONFLICT", ["status"])
        assert f": {selecting}." in error["message"]
    before = await content_versions(world)
    await answer(client, "delete", "Configuration", id=named["id"])
    unions = (await world.config()).unions
    await update_attribute(
        world.db, world.scope, unions, visits.attribute_id, {}, most=ATTRIBUTES, status=AttributeStatus.DISABLED
    )
    after = await content_versions(world)
    assert (after["whole"] > before["whole"], after["of events"]) == (True, before["of events"])
    assert await create(client, "named", f"{own}.ComputedAttributes.visits", target) == ("INVALID", ["selector"], 1, 1)


async def test_an_attribute_whose_history_is_given_up_keeps_its_values_for_projections(client):
    world, target = client.world, await destination_of(client)
    await activate(world, is_active_on_edge=True)
    own = f"_{world.scope.organization.code}"
    unions, status = (await world.config()).unions, {}
    for name, selected in (("read", f"{own}.ComputedAttributes.read"), ("around", f"{own}"), ("unread", None)):
        made = await world.publish(name, "xEvent.count()")
        for wanted in (AttributeStatus.DISABLED, AttributeStatus.NEW):
            await update_attribute(world.db, world.scope, unions, made.attribute_id, {}, most=ATTRIBUTES, status=wanted)
        projection = selected and await create(client, name, selected, target)
        job_id = (await world.config()).attributes[made.attribute_id].job_id
        await jobs.cancel_job(world.db, world.scope, job_id)
        status[name] = (await world.config()).attributes[made.attribute_id].status
        if projection:
            await answer(client, "delete", "Configuration", id=projection["id"])
    assert status == {"read": "FAILED", "around": "FAILED", "unread": "DISABLED"}


async def test_the_first_schema_of_a_class_has_all_that_projections_select(client):
    """The union of a class has all shipped fields until its first schema is enabled, which may have fewer."""
    world = client.world
    fresh = await create_sandbox(world.db, world.scope, "fresh", None, SandboxType.DEVELOPMENT)
    client = Client(replace(world, scope=replace(world.scope, sandbox=fresh)), client.operations)
    await client.world.project("site", "person.name", EventWindow("eventType,commerce.order.priceTotal"))
    text = "mutation ($given: CreateSchemaInput!) { createSchema(input: $given) { schema { id } userErrors { code message } } }"
    given = {"title": "Visits", "class": "EXPERIENCE_EVENT", "fieldGroups": []}
    (error,) = (await client.data(text, given=given))["createSchema"]["userErrors"]
    assert (error["code"], "'site' selects: xEvent.commerce.order.priceTotal." in error["message"]) == (
        "CONFLICT",
        True,
    )
    given["fieldGroups"] = ["experienceevent-commerce"]
    assert (await client.data(text, given=given))["createSchema"]["userErrors"] == []


async def test_a_selector_that_fits_the_union_no_longer_says_so(client):
    world, told = client.world, []
    await world.project("site", "person.name")
    await world.project("mail", "identityMap")
    await world.db.rows(MISFIT, world.scope.sandbox_id)
    stop = listen(told.append)
    await destination_of(client)  # another version of the configuration
    found = await client.data("{ projectionConfigurations { nodes { name problems } } }")
    stop()
    problem = "The union has no field 'person.gone', 'xEvent.lost' any more: edges get the rest."
    assert {each["name"]: each["problems"] for each in found["projectionConfigurations"]["nodes"]} == {
        "mail": [],
        "site": [problem],
    }
    faults = [one.message for one in told if isinstance(one, ConfigurationBroken)]
    assert set(faults) == {f"The projection 'site': {problem}"}


async def test_a_sandbox_has_so_many_destinations(client):
    for _ in range(DESTINATIONS):
        await destination_of(client)
    assert (await answer(client, "create", "Destination", **EDGES))[0] == "LIMIT_EXCEEDED"


async def test_a_sandbox_that_is_reset_has_no_projections(client):
    world = client.world
    await world.project("site", "person")
    await sandboxes.reset_sandbox(world.db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
    left = await client.data("{ projectionConfigurations { totalCount } projectionDestinations { totalCount } }")
    assert left == {"projectionConfigurations": {"totalCount": 0}, "projectionDestinations": {"totalCount": 0}}

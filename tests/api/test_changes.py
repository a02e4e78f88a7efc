"""Changes of people as GraphQL shows them."""

import pytest
from client import Client
from world import World, event, record

from gateway.domain.reading.kept_values import list_kept
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.versions import Mode

CHANGES = """query Changes($first: Int, $after: String, $last: Int, $before: String) {
  profileChanges(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { cursor } }
    nodes { cursor kind profileId version at changedPaths formerProfileIds profile { profileId entityJson(select: "person") } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
ANA, BEN = ("Email", "ana@x.io"), ("Email", "ben@x.io")


@pytest.fixture
async def client(db) -> Client:
    return Client.of(await World.create(db))


async def test_a_program_keeps_up_from_where_it_left_off(client):
    world = client.world
    present = (await client.data(CHANGES, first=0))["profileChanges"]
    assert present["nodes"] == []
    assert present["pageInfo"] == {
        "hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": present["pageInfo"]["endCursor"],
    }  # fmt: skip
    await world.records(record(ANA, first_name="Ana"), record(BEN, first_name="Ben"))
    page = (await client.data(CHANGES, first=1, after=present["pageInfo"]["endCursor"]))["profileChanges"]
    (first,) = page["nodes"]
    assert page["edges"] == [{"cursor": first["cursor"], "node": {"cursor": first["cursor"]}}]
    assert page["pageInfo"] == {
        "hasNextPage": True, "hasPreviousPage": True, "startCursor": first["cursor"], "endCursor": first["cursor"],
    }  # fmt: skip
    rest = (await client.data(CHANGES, after=first["cursor"]))["profileChanges"]
    assert not rest["pageInfo"]["hasNextPage"]
    (second,) = rest["nodes"]
    assert {first["kind"], second["kind"]} == {"CREATED"}
    assert first["version"] == second["version"]
    assert {first["profile"]["profileId"], second["profile"]["profileId"]} == {first["profileId"], second["profileId"]}
    assert {each["profile"]["entityJson"]["person"]["name"]["firstName"] for each in (first, second)} == {"Ana", "Ben"}
    assert (await client.data(CHANGES, after=rest["pageInfo"]["endCursor"]))["profileChanges"]["nodes"] == []


async def test_changes_of_somebody_who_is_gone_have_no_profile(client):
    world = client.world
    await world.records(record(ANA, first_name="Ana"))
    await world.records(record(ANA), mode=Mode.DELETE)
    created, deleted = (await client.data(CHANGES))["profileChanges"]["nodes"]
    assert (created["kind"], created["profile"]) == ("CREATED", None)
    assert (deleted["kind"], deleted["profile"], deleted["profileId"]) == ("DELETED", None, created["profileId"])
    assert deleted["version"] > created["version"]


async def test_the_newest_changes_are_at_the_end(client):
    await client.world.records(record(ANA))
    await client.world.events(event("e", "2026-01-01T00:00:00Z", ANA))
    page = (await client.data(CHANGES, last=1))["profileChanges"]
    assert [each["kind"] for each in page["nodes"]] == ["EVENTS"]
    assert page["pageInfo"]["hasPreviousPage"]
    before = (await client.data(CHANGES, last=5, before=page["pageInfo"]["startCursor"]))["profileChanges"]
    assert [each["kind"] for each in before["nodes"]] == ["CREATED"]


async def test_cursors_of_other_sandboxes_and_lists_and_old_ones_are_refused(client, db):
    other = Client.of(await World.create(db))
    cursor = (await other.data(CHANGES, first=0))["profileChanges"]["pageInfo"]["endCursor"]
    datasets = await client.data("{ datasets { pageInfo { endCursor } } }")
    for wrong in (cursor, datasets["datasets"]["pageInfo"]["endCursor"], "x"):
        assert (await client.error(CHANGES, after=wrong))["extensions"]["code"] == "BAD_CURSOR"
    own = (await client.data(CHANGES, first=0))["profileChanges"]["pageInfo"]["endCursor"]
    scope = client.world.scope
    await client.changed(RESET, {"id": await sandbox_id(client), "confirmName": scope.sandbox.name})
    assert (await client.error(CHANGES, after=own))["extensions"]["code"] == "CURSOR_EXPIRED"


RESET = "mutation ($given: ResetSandboxInput!) { resetSandbox(input: $given) { userErrors { code } } }"


async def sandbox_id(client: Client) -> str:
    return (await client.data("{ sandboxes { nodes { id } } }"))["sandboxes"]["nodes"][0]["id"]


async def test_a_follower_names_published_attributes_alone(client):
    query = "query ($names: [String!]) { profileChanges(first: 0, attributes: $names) { pageInfo { endCursor } } }"
    await client.world.publish("lately", "xEvent.count()", parse_duration("P1D"))
    assert (await client.error(query, names=["latly"]))["extensions"]["code"] == "BAD_INPUT"
    assert (await client.data(query, names=["lately"]))["profileChanges"]["pageInfo"]["endCursor"]
    assert len(await list_kept(client.world.db, client.world.scope)) == 1

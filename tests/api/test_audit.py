"""The audit log as admins read it: newest first, filtered, paged, and no further than the token reaches."""

from dataclasses import dataclass, field, replace

import pytest
from client import Client
from reflection import root_fields
from world import World, record

from gateway.api.ids import global_id
from gateway.domain.config import sandboxes
from gateway.domain.operations.erasure import erase_people
from gateway.domain.rules.scope import SandboxType
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import RULES, JobKind
from gateway.storage.queries import Query

CREATE_KEY = "mutation ($given: CreateApiKeyInput!) { createApiKey(input: $given) { apiKey { id prefix } secret userErrors { code path } } }"
REVOKE_KEY = "mutation ($given: DeleteInput!) { revokeApiKey(input: $given) { deletedId userErrors { code } } }"
REVOKE_TOKEN = (
    "mutation ($given: RevokeTokenInput!) { revokeToken(input: $given) { deletedId userErrors { code path } } }"
)
LOG = """query ($filter: AuditFilter, $first: Int, $after: String, $last: Int, $before: String) {
  auditLog(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    nodes { id actor action subjectId before after correlationId apiKey { name } } totalCount
    pageInfo { hasNextPage hasPreviousPage endCursor startCursor }
  }
}"""


INGESTION = {"ingestRecords", "ingestEvents"}
"""The mutations that leave no entry: documents are facts, not configuration."""

KEY_ID = Query("test.key", "select api_key_id from gateway.api_key", (), (), "row", "For this test.")


@pytest.fixture
async def client(db):
    world = await World.create(db)
    world.scope = replace(world.scope, actor="ann")
    return Client.of(world)


async def log(client, **given):
    return (await client.data(LOG, **given))["auditLog"]


async def actions(client, **given):
    return [entry["action"] for entry in (await log(client, **given))["nodes"]]


async def test_a_version_of_a_key_is_no_guard_that_is_passed_over(client):
    key = (await client.changed(CREATE_KEY, {"name": "crm import"}))["apiKey"]
    given = {"id": key["id"], "currentVersion": 1}
    refused = (await client.data(REVOKE_KEY, given=given))["revokeApiKey"]
    assert refused == {"deletedId": None, "userErrors": [{"code": "INVALID"}]}
    assert await actions(client, filter={"subjectId": key["id"]}) == ["createApiKey"]


async def test_an_entry_names_the_actor_the_key_and_the_object_and_no_secret(client):
    made = await client.changed(CREATE_KEY, {"name": "crm import"})
    key, secret = made["apiKey"], made["secret"]
    client.world.scope = replace(client.world.scope, api_key_id=client.world.scope.organization.organization_id)
    await client.changed(REVOKE_KEY, {"id": key["id"]})
    found = await log(client, filter={"subjectId": key["id"]})
    assert [(entry["action"], entry["actor"], entry["subjectId"]) for entry in found["nodes"]] == [
        ("revokeApiKey", "ann", key["id"]),
        ("createApiKey", "ann", key["id"]),
    ]
    revoked, created = found["nodes"]
    assert (created["before"], created["after"]["prefix"]) == (None, key["prefix"])
    assert (revoked["before"]["revokedAt"], revoked["apiKey"]) == (
        None,
        None,
    )  # of a key that is not the organization's
    assert revoked["after"]["revokedAt"]
    assert secret not in str(found)
    node = await client.data("query ($id: ID!) { node(id: $id) { ... on AuditEntry { action } } }", id=created["id"])
    assert node["node"] == {"action": "createApiKey"}


async def test_the_key_of_the_request_is_named_too(client):
    key = (await client.changed(CREATE_KEY, {"name": "crm import"}))["apiKey"]
    (entry,) = (await log(client, filter={"action": "createApiKey"}))["nodes"]
    api_key_id = (await client.world.db.row(KEY_ID))["api_key_id"]
    client.world.scope = replace(client.world.scope, api_key_id=api_key_id)
    await client.changed(REVOKE_TOKEN, {"tokenId": "of another issuer"})
    newest, *_ = (await log(client, first=1))["nodes"]
    assert (newest["action"], newest["apiKey"], newest["subjectId"]) == ("revokeToken", {"name": "crm import"}, None)
    assert (entry["apiKey"], entry["subjectId"]) == (None, key["id"])


async def test_pages_go_both_ways_and_filters_hold_together(client):
    for number in range(5):
        await client.changed(REVOKE_TOKEN, {"tokenId": f"token {number}"})
        client.world.scope = replace(client.world.scope, actor=f"actor {number}")
    wanted = {"action": "revokeToken"}
    first = await log(client, filter=wanted, first=2)
    assert [entry["before"]["tokenId"] for entry in first["nodes"]] == ["token 4", "token 3"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (5, True)
    rest = await log(client, filter=wanted, after=first["pageInfo"]["endCursor"])
    assert [entry["before"]["tokenId"] for entry in rest["nodes"]] == ["token 2", "token 1", "token 0"]
    back = await log(client, filter=wanted, last=1, before=rest["pageInfo"]["startCursor"])
    assert [entry["before"]["tokenId"] for entry in back["nodes"]] == ["token 3"]
    assert await actions(client, filter=wanted | {"actor": "actor 2"}) == ["revokeToken"]
    assert await actions(client, filter={"action": "updateDataset", "actor": "actor 2"}) == []
    assert await actions(client, filter=wanted | {"until": "2020-01-01T00:00:00Z"}) == []
    assert len(await actions(client, filter=wanted | {"since": "2020-01-01T00:00:00Z"})) == 5
    for given in ({"subjectId": "nonsense"}, {"actor": ""}):
        error = await client.error(LOG, filter=given)
        assert error["extensions"]["code"] == "BAD_INPUT"


async def test_a_token_for_one_sandbox_sees_what_was_done_there(client):
    world = client.world
    dev = await sandboxes.create_sandbox(world.db, world.scope, "dev", None, SandboxType.DEVELOPMENT)
    await client.changed(CREATE_KEY, {"name": "every"})
    inside = Client.of(await World.inside(world.db, replace(world.scope, sandbox=dev, sandboxes=frozenset({"dev"}))))
    error = await inside.error(CREATE_KEY, given={"name": "every"})
    assert error["extensions"]["code"] == "FORBIDDEN"
    await inside.changed(CREATE_KEY, {"name": "dev", "sandboxIds": [global_id("Sandbox", dev.sandbox_id)]})
    seen = await log(inside)
    assert [entry["after"]["name"] for entry in seen["nodes"] if entry["action"] == "createApiKey"] == ["dev"]
    assert seen["totalCount"] == len(seen["nodes"])
    entries = {entry["id"] for entry in (await log(client))["nodes"]}
    assert entries > {entry["id"] for entry in seen["nodes"]}
    others = entries - {entry["id"] for entry in seen["nodes"]}
    nodes = await inside.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=sorted(others))
    assert nodes["nodes"] == [None] * len(others)


@dataclass
class Walk:
    """Calls mutations, and checks the entry that each leaves."""

    client: Client
    called: set[str] = field(default_factory=set)

    async def call(self, name, returned="", /, **given):
        """Call a mutation as somebody who may not, then as `ann`; return the id that its payload gives."""
        self.called.add(name)
        input_type = dict(root_fields("Mutation"))[name].args["input"].type
        text = f"mutation ($given: {input_type}) {{ {name}(input: $given) {{ {returned} userErrors {{ message }} }} }}"
        before = await log(self.client, first=1)
        _, refused = await self.client.answer(text, {"given": given}, scopes=[])
        assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert (await log(self.client, first=1))["totalCount"] == before["totalCount"]
        payload = await self.client.changed(text, given)
        entry = (await log(self.client, first=1))["nodes"][0]
        assert (entry["action"], entry["actor"]) == (name, "ann")
        assert entry["before"] or entry["after"]
        assert "@example.com" not in str(entry)
        return self.checked_id(entry, payload, given)

    def checked_id(self, entry, payload, given):
        """Return the id of what was changed, after comparing it with the entry's."""
        payload.pop("userErrors")
        (changed,) = payload.values() or [None]
        if isinstance(changed, dict):
            assert entry["after"]
            changed = changed["id"]
        if changed is not None and not {"tokenId", "configurationId"} & given.keys():
            assert entry["subjectId"] == changed
        return changed


async def walk_projections(walk):
    await walk.client.world.project("site", "person.name")
    edges = {"dataCenters": ["VA6"], "ttl": 600, "replicationPolicy": "PROACTIVE"}
    destination = await walk.call("createProjectionDestination", "projectionDestination { id }", **edges)
    edges["dataCenters"] = ["OR2"]
    await walk.call(
        "updateProjectionDestination", "projectionDestination { id }", id=destination, **edges, currentVersion=1
    )
    projection = await walk.call(
        *("createProjectionConfiguration", "projectionConfiguration { id }"),
        name="shop",
        selector="person.name",
        destinationId=destination,
    )
    await walk.call(
        *("updateProjectionConfiguration", "projectionConfiguration { id }"),
        id=projection,
        events={"selector": "eventType", "within": "P7D"},
        currentVersion=1,
    )
    identity = {"key": {"namespace": "Email", "value": "a@example.com"}}
    await walk.call("issueProjectionToken", "expiresAt", configurationId=projection, identity=identity)
    await walk.call("deleteProjectionConfiguration", "deletedId", id=projection)
    await walk.call("deleteProjectionDestination", "deletedId", id=destination)


async def call_for_export(walk):
    made = await walk.call("createExportJob", "exportJob { id }", fields="person")
    await walk.call("cancelExportJob", "exportJob { id }", id=made)
    await walk.call("deleteExportJob", "deletedId", id=made)


async def test_every_mutation_but_ingestion_leaves_an_entry_and_one_that_is_refused_leaves_none(client, monkeypatch):
    """A mutation that is added tomorrow fails here until it is called below, and leaves its entry."""
    monkeypatch.setitem(RULES, JobKind.ABORT_BATCH, replace(RULES[JobKind.ABORT_BATCH], must_complete=""))
    world, walk = client.world, Walk(client)
    pair = ("Email", "a@example.com"), ("Phone", "+15550001")
    email, phone = ({"key": {"namespace": namespace, "value": value}} for namespace, value in pair)
    person = record(*pair, first_name="Ann")
    await world.records(person, {**person, "extSourceSystemAudit": {"lastUpdatedDate": "2999-01-01T00:00:00Z"}})
    (warning,) = (await client.data("{ ingestionWarnings { nodes { id } } }"))["ingestionWarnings"]["nodes"]

    schema = await walk.call("createSchema", "schema { id }", title="Added", **{"class": "INDIVIDUAL_PROFILE"})
    await walk.call("updateSchema", "schema { id }", id=schema, title="Changed")
    dataset = await walk.call("createDataset", "dataset { id }", name="Added", schemaId=schema)
    await walk.call("updateDataset", "dataset { id }", id=dataset, name="Changed")
    for end in ("completeBatch", "abortBatch"):
        batch = await walk.call("createBatch", "batch { id }", datasetId=dataset, key=end)
        await walk.call(end, "batch { id }", id=batch)
    (job,) = (await client.data("{ systemJobs(first: 1) { nodes { id } } }"))["systemJobs"]["nodes"]
    await walk.call("cancelSystemJob", "systemJob { id }", id=job["id"])
    await walk.call("createSystemJob", "systemJob { id }", deleteDataset=dataset)
    await call_for_export(walk)
    carl = ("Email", "carl@example.com")
    await world.records(record(carl))
    erased = {"key": {"namespace": carl[0], "value": carl[1]}}
    await walk.call("createSystemJob", "systemJob { id }", deleteProfile={"identities": [erased]})
    while claim := await leases.claim(world.db, [JobKind.DELETE_PROFILE]):
        await leases.carry_out(world.db, claim, erase_people(world.db, world.scope, world.configurations, claim))
    await walk.call("liftErasure", "deletedId", identity=erased)
    await walk.call("acknowledgeIngestionWarning", "deletedId", id=warning["id"])
    namespace = await walk.call(
        "createIdentityNamespace", "identityNamespace { id }", code="Card", name="Card", idType="CROSS_DEVICE"
    )
    await walk.call("updateIdentityNamespace", "identityNamespace { id }", id=namespace, name="Changed")
    await walk.call("updateIdentitySettings", namespaces=[{"namespace": "Email"}])
    await walk.call("unlinkIdentities", a=email, b=phone)
    await walk.call("linkIdentities", a=email, b=phone)
    merge = {"identityGraph": "NONE", "attributeMerge": {"type": "TIMESTAMP_ORDERED"}}
    policy = await walk.call("createMergePolicy", "mergePolicy { id }", name="Added", **merge)
    await walk.call("updateMergePolicy", "mergePolicy { id }", id=policy, name="Changed")
    await walk.call("deleteMergePolicy", "deletedId", id=policy)
    index = await walk.call("createSearchIndex", "searchIndex { id }", path="person.name.lastName")
    await walk.call("deleteSearchIndex", "deletedId", id=index)
    attribute = await walk.call(
        "createComputedAttribute", "computedAttribute { id }", name="visits", expression="xEvent.count()"
    )
    await walk.call("updateComputedAttribute", "computedAttribute { id }", id=attribute, displayName="Visits")
    await walk.call("deleteComputedAttribute", "deletedId", id=attribute)
    await walk_projections(walk)
    sandbox = await walk.call("createSandbox", "sandbox { id }", name="added")
    await walk.call("updateSandbox", "sandbox { id }", id=sandbox, title="Changed")
    await walk.call("resetSandbox", "sandbox { id }", id=sandbox, confirmName="added")
    await walk.call("deleteSandbox", "deletedId", id=sandbox, confirmName="added")
    key = await walk.call("createApiKey", "apiKey { id }", name="added")
    await walk.call("revokeApiKey", "deletedId", id=key)
    await walk.call("revokeToken", "deletedId", tokenId="of another issuer")
    assert walk.called == {name for name, _ in root_fields("Mutation")} - INGESTION

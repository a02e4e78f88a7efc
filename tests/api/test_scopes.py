"""Scopes: what each of them opens, field by field; a new field is in the table or the test fails."""

import pytest
from reflection import arguments, furnished, operation, root_fields
from world import World

from gateway.domain.rules.scope import Permission

ANY = {"profile:read", "profile:write", "config:write", "jobs:write", "admin"}
CONFIGURATION = {"profile:read", "config:write", "admin"}
PEOPLE = {"profile:read", "admin"}
SEND = {"profile:write", "admin"}
CONFIGURE = {"config:write", "admin"}
RUN_JOBS = {"jobs:write", "admin"}
ADMIN = {"admin"}

OPENED_BY = {
    **dict.fromkeys(("viewer", "sandbox"), ANY),
    **dict.fromkeys(("node", "nodes", "schemas", "unionSchema", "datasets", "dataset", "identityNamespaces", "identityNamespace"), CONFIGURATION),
    **dict.fromkeys(("schema", "computedAttributes", "computedAttribute", "mergePolicies", "mergePolicy", "serviceLimits", "fieldGroups", "searchIndexes"), CONFIGURATION),
    **dict.fromkeys(("projectionDestinations", "projectionDestination", "projectionConfigurations", "projectionConfiguration", "dataCenters"), CONFIGURATION),
    **dict.fromkeys(("batch", "batches"), CONFIGURATION | SEND),
    **dict.fromkeys(("profile", "profiles", "searchProfiles", "events", "identity", "identityGraph", "identityGraphs", "profileChanges", "ingestionWarnings", "testExpression", "previewComputedAttribute", "projection"), PEOPLE),
    **dict.fromkeys(("systemJobs", "systemJob", "exportJobs", "exportJob"), ANY),
    **dict.fromkeys(("createSystemJob", "cancelSystemJob", "liftErasure", "cancelExportJob", "deleteExportJob"), RUN_JOBS),
    "erasedIdentities": PEOPLE | RUN_JOBS,
    **dict.fromkeys(("diffMergePolicies", "issueProjectionToken", "profilePreview"), PEOPLE),
    "verifyErasure": PEOPLE | RUN_JOBS,
    **dict.fromkeys(("simulateIdentityGraph", "checkExpression"), CONFIGURATION),
    **dict.fromkeys(("linkIdentities", "unlinkIdentities"), SEND),
    **dict.fromkeys(("sandboxes", "createSandbox", "updateSandbox", "resetSandbox", "deleteSandbox"), ADMIN),
    "createExportJob": ADMIN,  # or two scopes, as it shows people to whom it is for
    **dict.fromkeys(("apiKeys", "auditLog", "createApiKey", "revokeApiKey", "revokeToken"), ADMIN),
    **dict.fromkeys(("ingestRecords", "ingestEvents", "createBatch", "completeBatch", "abortBatch", "acknowledgeIngestionWarning"), SEND),
    **dict.fromkeys(("createSchema", "updateSchema", "createDataset", "updateDataset"), CONFIGURE),
    **dict.fromkeys(("createIdentityNamespace", "updateIdentityNamespace", "updateIdentitySettings"), CONFIGURE),
    **dict.fromkeys(("createSearchIndex", "deleteSearchIndex"), CONFIGURE),
    **dict.fromkeys(("createComputedAttribute", "updateComputedAttribute", "deleteComputedAttribute"), CONFIGURE),
    **dict.fromkeys(("createProjectionDestination", "updateProjectionDestination", "deleteProjectionDestination"), CONFIGURE),
    **dict.fromkeys(("createProjectionConfiguration", "updateProjectionConfiguration", "deleteProjectionConfiguration"), CONFIGURE),
    **dict.fromkeys(("createMergePolicy", "updateMergePolicy", "deleteMergePolicy"), CONFIGURE),
}  # fmt: skip


@pytest.fixture
async def side(db):
    return await furnished(await World.create(db), "own")


@pytest.mark.parametrize("scope", sorted(Permission))
async def test_a_scope_opens_what_it_says_and_nothing_else(side, scope):
    for root in ("Query", "Mutation"):
        for name, field in root_fields(root):
            given = arguments(name, field, side.ids | {"any": side.ids["Dataset"]})
            _, body = await side.client.answer(operation(root, name, field, depth=0), given, scopes=[scope])
            codes = {error["extensions"]["code"] for error in body.get("errors", ())}
            assert codes == (set() if scope in OPENED_BY[name] else {"FORBIDDEN"}), (name, body)


async def test_without_any_scope_only_the_viewer_and_its_sandbox_can_be_read(side):
    for root in ("Query", "Mutation"):
        for name, field in root_fields(root):
            given = arguments(name, field, side.ids | {"any": side.ids["Dataset"]})
            _, body = await side.client.answer(operation(root, name, field, depth=0), given, scopes=[])
            assert ("errors" not in body) == (name in {"viewer", "sandbox"}), (name, body)


async def test_a_mutation_reveals_nothing_about_ids_without_its_scope(side):
    for name, field in root_fields("Mutation"):
        given = arguments(name, field, dict.fromkeys([*side.ids, "any"], "nonsense"))
        error = await side.client.error(operation("Mutation", name, field, depth=0), **given, scopes=[])
        assert error["extensions"]["code"] == "FORBIDDEN", name


async def test_a_caller_that_may_only_write_reads_no_documents_of_others(side):
    batch = "query ($id: ID!) { batch(id: $id) { status recordCount failedCount %s } }"
    assert await side.client.data(batch % "", id=side.ids["Batch"], scopes=["profile:write"])
    for inner in ("errors { nodes { document } }", "errors { totalCount }"):
        error = await side.client.error(batch % inner, id=side.ids["Batch"], scopes=["profile:write"])
        assert (error["extensions"]["code"], error["path"][:2]) == ("FORBIDDEN", ["batch", "errors"])


async def test_a_caller_that_may_only_write_links_people_and_does_not_read_them(side):
    given = {"a": {"xid": side.ids["xid"]}, "b": {"key": {"namespace": "own title", "value": "own number"}}}
    unlink = "mutation ($given: LinkIdentitiesInput!) { unlinkIdentities(input: $given) { userErrors { code } %s } }"
    assert await side.client.changed(unlink % "", given, scopes=["profile:write"])
    error = await side.client.error(
        unlink % "identityGraphs { links { refusal } }", given=given, scopes=["profile:write"]
    )
    assert (error["extensions"]["code"], error["path"]) == ("FORBIDDEN", ["unlinkIdentities", "identityGraphs"])


async def test_a_caller_that_may_not_read_profiles_reads_none_by_their_ids(side):
    node = "query ($id: ID!) { node(id: $id) { id } }"
    for kind in ("Profile", "Identity", "ExperienceEvent", "IngestionWarning"):
        error = await side.client.error(node, id=side.ids[kind], scopes=["config:write"])
        assert error["extensions"]["code"] == "FORBIDDEN", kind

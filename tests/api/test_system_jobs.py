"""System jobs: what callers see of long work, and which of it they can cancel."""

from dataclasses import replace
from uuid import uuid4

import pytest
from working import work_off
from world import record

from gateway.api.ids import global_id
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import RULES, JobKind

SHOWN = """id type status dataset { name } batch { id } mergePolicy { name } identities { xid } scope isDryRun done total progress error
  attempts createdBy startedAt metrics { recordsProcessed profilesAffected timeTakenInSec }"""
SHOW = f"query ($id: ID!) {{ systemJob(id: $id) {{ {SHOWN} }} }}"
LIST = """query ($filter: SystemJobFilter, $order: JobOrder, $first: Int, $after: String, $last: Int, $before: String) {
  systemJobs(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
CANCEL = "mutation ($given: CancelInput!) { cancelSystemJob(input: $given) { systemJob { id status } userErrors { code message path } } }"
CREATE = """mutation ($given: SystemJobInput!) { createSystemJob(input: $given) { userErrors { code message path } systemJob {
  id type status dataset { name status } batch { id status } receipt { recordVersions completedAt } } } }"""
RECEIPT = """query ($id: ID!) { systemJob(id: $id) { status receipt { recordVersions events ties identities profiles computedValues
  projections errors redactedMentions exportFiles completedAt } } }"""
ERASED = "{ erasedIdentities(first: 10) { totalCount nodes { xid namespace { code } job { id } refusedSince } } }"
PROFILE = "query ($identity: IdentityInput!) { profile(identity: $identity) { id } }"
PROFILES = """query ($identities: [IdentityInput!]!) { profiles(identities: $identities) {
  status requested { namespace value xid } } }"""
LOG = "query ($filter: AuditFilter) { auditLog(filter: $filter) { nodes { action before after } } }"

UPDATE_POLICY = """mutation ($given: UpdateMergePolicyInput!) { updateMergePolicy(input: $given) {
  mergePolicy { status job { id } } systemJob { id type status mergePolicy { id } } userErrors { code message } } }"""
UPDATE_SETTINGS = """mutation ($given: IdentitySettingsInput!) { updateIdentitySettings(input: $given) {
  settings { status job { id } } systemJob { id type status mergePolicy { id } } userErrors { code message } } }"""


async def enqueued(world, kind=JobKind.ABORT_BATCH):
    async with world.db.transaction() as tx:
        return global_id("SystemJob", await jobs.enqueue(tx, world.scope, kind, uuid4()))


async def listed(client, **given):
    found = (await client.data(LIST, **given))["systemJobs"]
    assert "filter" in given or found["totalCount"] >= len(found["nodes"])
    return [node["id"] for node in found["nodes"]], found


async def test_a_job_tells_what_it_works_on_how_far_it_is_and_who_caused_it(client):
    world = client.world
    taken = await world.records(*(record(("Email", f"{n}@example.com"), first_name="Ana") for n in range(3)))
    batch_id = global_id("Batch", taken.batch_id)
    async with world.db.transaction() as tx:
        scope = replace(world.scope, actor="ana")
        job_id = global_id("SystemJob", await jobs.enqueue(tx, scope, JobKind.ABORT_BATCH, taken.batch_id))
    made = (await client.data(SHOW, id=job_id))["systemJob"]
    assert made["dataset"] == {"name": (await world.config()).datasets[world.crm.dataset_id].name}
    assert made["batch"] == {"id": batch_id}
    assert made | {"dataset": None, "batch": None} == {
        "id": job_id,
        "type": "ABORT_BATCH",
        "status": "NEW",
        "dataset": None,
        "batch": None,
        "mergePolicy": None,
        "identities": [],
        "scope": None,
        "isDryRun": False,
        "done": 0,
        "total": None,
        "progress": None,
        "error": None,
        "attempts": 0,
        "createdBy": "ana",
        "startedAt": None,
        "metrics": {"recordsProcessed": 0, "profilesAffected": 0, "timeTakenInSec": 0},
    }
    claim = await leases.claim(world.db, [JobKind.ABORT_BATCH])
    async with world.db.transaction() as tx:
        await leases.advance(tx, claim, None, done=1, total=4, records=5, profiles=1)
    half = (await client.data(SHOW, id=job_id))["systemJob"]
    assert (half["status"], half["done"], half["total"], half["progress"]) == ("PROCESSING", 1, 4, 0.25)
    assert half["metrics"]["timeTakenInSec"] > 0
    assert (half["metrics"]["recordsProcessed"], half["metrics"]["profilesAffected"]) == (5, 1)


async def test_policies_and_settings_answer_at_once_with_the_job_until_whose_end_they_are_building(client):
    world = client.world
    await world.records(record(("Email", "ana@example.com"), ("Phone", "+1"), first_name="Ana"))
    rules = [{"namespace": "Email", "isUniquePerGraph": True}]
    merge = {"type": "DATASET_PRECEDENCE", "order": [global_id("Dataset", world.crm.dataset_id)]}
    policy_id = global_id("MergePolicy", (await world.config()).default_policy.policy_id)
    changes = [
        (
            UPDATE_POLICY,
            {"id": policy_id, "attributeMerge": merge},
            "mergePolicy",
            "MATERIALIZE_POLICY",
            {"id": policy_id},
        ),
        (UPDATE_SETTINGS, {"namespaces": rules}, "settings", "REGROUP_IDENTITIES", None),
    ]
    for mutation, given, name, kind, policy in changes:
        changed = await client.changed(mutation, given)
        job = changed["systemJob"]
        assert (job["type"], job["status"], job["mergePolicy"]) == (kind, "NEW", policy)
        assert changed[name] == {"status": "BUILDING", "job": {"id": job["id"]}}
        assert await work_off(world.db, world.configurations) == 1
        ended = (await client.data(SHOW, id=job["id"]))["systemJob"]
        assert (ended["status"], ended["progress"]) == ("COMPLETED", 1)
        again = await client.changed(mutation, given)
        assert (again[name], again["systemJob"]) == ({"status": "ACTIVE", "job": None}, None)


async def test_jobs_are_listed_by_status_and_type_and_in_pages_both_ways(client):
    world = client.world
    made = [await enqueued(world) for _ in range(4)]
    assert await work_off(world.db, world.configurations) == 4
    open_ids = [await enqueued(world, JobKind.MATERIALIZE_POLICY), await enqueued(world)]
    await jobs.schedule(world.db)
    newest_first = [*open_ids[::-1], *made[::-1]]
    everything, found = await listed(client)
    assert (everything, found["totalCount"]) == (newest_first, 6)
    by_update = {"field": "UPDATED_AT", "direction": "ASC"}
    assert (await listed(client, order=by_update))[0] == [*made, *open_ids]
    assert (await listed(client, filter={"status": ["NEW", "PROCESSING"]}))[0] == open_ids[::-1]
    assert (await listed(client, filter={"status": ["NEW"], "type": ["ABORT_BATCH", "DELETE_BATCH"]}))[0] == open_ids[
        1:
    ]
    assert (await listed(client, filter={"status": []}))[0] == []
    (recurring,), _ = await listed(client, filter={"type": ["EXPIRE_JOBS"]})
    assert recurring not in everything
    for order in (None, {"direction": "ASC"}, by_update):
        whole, _ = await listed(client, order=order)
        first, found = await listed(client, order=order, first=4)
        rest, ended = await listed(client, order=order, first=4, after=found["pageInfo"]["endCursor"])
        assert (first + rest, ended["pageInfo"]["hasNextPage"]) == (whole, False)
        last, found = await listed(client, order=order, last=2)
        before, begun = await listed(client, order=order, last=9, before=found["pageInfo"]["startCursor"])
        assert (before + last, begun["pageInfo"]["hasPreviousPage"]) == (whole, False)


async def test_a_job_on_which_nothing_depends_can_be_cancelled_and_commits_no_further_piece(client, monkeypatch):
    world = client.world
    monkeypatch.setitem(RULES, JobKind.ABORT_BATCH, replace(RULES[JobKind.ABORT_BATCH], must_complete=""))
    started, waiting = await enqueued(world), await enqueued(world)
    claim = await leases.claim(world.db, [JobKind.ABORT_BATCH])
    for job_id in (started, waiting):
        done = await client.changed(CANCEL, {"id": job_id})
        assert done["systemJob"] == {"id": job_id, "status": "CANCELLED"}
        again = await client.data(CANCEL, given={"id": job_id})
        (error,) = again["cancelSystemJob"]["userErrors"]
        assert (error["code"], error["message"]) == ("CONFLICT", "The job is CANCELLED already.")
    with pytest.raises(leases.LeaseLost):
        async with world.db.transaction() as tx:
            await leases.advance(tx, claim, 1, done=1)
    assert await leases.claim(world.db, [JobKind.ABORT_BATCH]) is None


@pytest.mark.parametrize("kind", [JobKind.ABORT_BATCH, JobKind.MATERIALIZE_POLICY, JobKind.REGROUP_IDENTITIES])
async def test_a_job_on_whose_end_others_depend_cannot_be_cancelled_and_says_why(client, kind):
    job_id = await enqueued(client.world, kind)
    (error,) = (await client.data(CANCEL, given={"id": job_id}))["cancelSystemJob"]["userErrors"]
    assert (error["code"], error["path"]) == ("CONFLICT", ["id"])
    assert RULES[kind].must_complete in error["message"]
    assert (await client.data(SHOW, id=job_id))["systemJob"]["status"] == "NEW"


async def test_a_deletion_answers_at_once_tells_what_went_and_is_logged(client):
    world = client.world
    everybody = [record(("Email", f"{n}@example.com"), first_name="Ana") for n in range(3)]
    batch_id = (await world.records(*everybody)).batch_id
    name = world.crm.name
    for argument, kind, key, subject, meanwhile in (
        ("revertBatch", "REVERT_BATCH", batch_id, "Batch", ("ACTIVE", "REVERTING")),
        ("deleteDataset", "DELETE_DATASET", world.crm.dataset_id, "Dataset", ("DELETING", None)),
    ):
        given = {argument: global_id(subject, key)}
        job = (await client.changed(CREATE, given))["systemJob"]
        batch = meanwhile[1] and {"id": global_id("Batch", batch_id), "status": meanwhile[1]}
        assert (job["type"], job["status"], job["receipt"]) == (kind, "NEW", None)
        assert (job["dataset"], job["batch"]) == ({"name": name, "status": meanwhile[0]}, batch)
        (error,) = (await client.data(CREATE, given=given))["createSystemJob"]["userErrors"]
        assert (error["code"], error["path"], job["id"] in error["message"]) == ("CONFLICT", [argument], True)
        assert await work_off(world.db, world.configurations) == 1
        ended = (await client.data(RECEIPT, id=job["id"]))["systemJob"]
        completed_at = ended["receipt"].pop("completedAt")
        counts = {name: count for name, count in ended["receipt"].items() if count}
        assert (ended["status"], completed_at is None) == ("COMPLETED", False)
        assert counts == ({"recordVersions": 3, "identities": 3, "profiles": 3} if batch else {})
        (entry,) = (await client.data(LOG, filter={"subjectId": job["id"]}))["auditLog"]["nodes"]
        logged = {"type": kind, f"{subject.lower()}Id": str(key)}
        assert (entry["action"], entry["after"]) == ("createSystemJob", logged)
    gone = await client.data("query ($id: ID!) { batch(id: $id) { id } }", id=global_id("Batch", batch_id))
    assert gone == {"batch": None}


async def test_a_cancelled_deletion_gives_the_dataset_back_in_the_same_answer(client):
    made = await client.changed(CREATE, {"deleteDataset": global_id("Dataset", client.world.crm.dataset_id)})
    cancel = """mutation ($given: CancelInput!) { cancelSystemJob(input: $given) { userErrors { code }
      systemJob { status dataset { status } } } }"""
    done = await client.changed(cancel, {"id": made["systemJob"]["id"]})
    assert done["systemJob"] == {"status": "CANCELLED", "dataset": {"status": "ACTIVE"}}


async def test_what_is_not_there_cannot_be_deleted_and_one_thing_is_asked_for_at_a_time(client):
    for argument, kind in (("deleteDataset", "Dataset"), ("deleteBatch", "Batch"), ("revertBatch", "Batch")):
        for job_id in (global_id(kind, uuid4()), global_id("SystemJob", uuid4()), ""):
            (error,) = (await client.data(CREATE, given={argument: job_id}))["createSystemJob"]["userErrors"]
            assert (error["code"], error["path"]) == ("NOT_FOUND", [argument])
    two = {"deleteBatch": "a", "revertBatch": "a"}
    assert (await client.error(CREATE, given=two))["extensions"]["code"] == "BAD_INPUT"


async def test_people_are_erased_listed_and_may_come_back_once_that_is_lifted(client):
    world, (ana, bob) = (
        client.world,
        [{"namespace": "Email", "value": f"{name}@example.com"} for name in ("ana", "bob")],
    )
    await world.records(*(record(("Email", one["value"]), first_name="A") for one in (ana, bob)))
    given = {"identities": [{"key": ana}], "scope": "IDENTITY"}
    dry = (await client.changed(CREATE, {"deleteProfile": given | {"dryRun": True}}))["systemJob"]
    made = (await client.changed(CREATE, {"deleteProfile": given}))["systemJob"]
    xid = str(await world.xid("Email", ana["value"]))
    shown = (await client.data(SHOW, id=made["id"]))["systemJob"]
    assert (shown["type"], shown["scope"], shown["isDryRun"], shown["identities"]) == (
        "DELETE_PROFILE",
        "IDENTITY",
        False,
        [{"xid": xid}],
    )
    (error,) = (await client.data(CREATE, given={"deleteProfile": given}))["createSystemJob"]["userErrors"]
    assert (error["code"], made["id"] in error["message"]) == ("CONFLICT", True)
    assert await work_off(world.db, world.configurations) == 2
    shown = (await client.data(SHOW, id=made["id"]))["systemJob"]
    assert (shown["status"], shown["identities"], shown["progress"]) == ("COMPLETED", [], 1)
    receipts = [(await client.data(RECEIPT, id=job["id"]))["systemJob"]["receipt"] for job in (dry, made)]
    assert [{name: n for name, n in each.items() if n and name != "completedAt"} for each in receipts] == [
        {"recordVersions": 1, "identities": 1, "profiles": 1}
    ] * 2
    (entry, _) = (await client.data(LOG, filter={"action": "createSystemJob"}))["auditLog"]["nodes"]
    assert entry["after"] == {"type": "DELETE_PROFILE", "identities": [xid], "scope": "IDENTITY", "isDryRun": False}
    erased = await client.data(ERASED)
    (node,) = erased["erasedIdentities"]["nodes"]
    assert node == {"xid": xid, "namespace": {"code": "Email"}, "job": {"id": made["id"]}, "refusedSince": 0}
    results = (await client.data(PROFILES, identities=[{"key": ana}, {"key": bob}]))["profiles"]
    assert [(each["status"], each["requested"]["value"]) for each in results] == [
        ("ERASED", None),
        ("FOUND", bob["value"]),
    ]
    assert await client.data(PROFILE, identity={"key": ana}) == {"profile": None}
    lift = "mutation ($given: LiftErasureInput!) { liftErasure(input: $given) { deletedId userErrors { code path } } }"
    lifted = await client.changed(lift, {"identity": {"key": ana}})
    assert lifted["deletedId"] == global_id("Identity", await world.xid("Email", ana["value"]))
    assert (await client.data(ERASED))["erasedIdentities"] == {"totalCount": 0, "nodes": []}
    (error,) = (await client.data(lift, given={"identity": {"xid": xid}}))["liftErasure"]["userErrors"]
    assert error == {"code": "NOT_FOUND", "path": ["identity"]}


async def test_a_list_of_people_with_a_fault_is_refused_with_its_place(client):
    await client.world.records(record(("Email", "ana@example.com")))
    known, unknown = ({"key": {"namespace": "Email", "value": f"{name}@example.com"}} for name in ("ana", "bob"))
    for identities, code, path in (
        ([known, unknown], "NOT_FOUND", ["identities", "1"]),
        ([known, {"key": {"namespace": "Nothing", "value": "x"}}], "INVALID", ["identities", "1", "key", "namespace"]),
        ([known, {"xid": "x"}], "INVALID", ["identities", "1", "xid"]),
        ([], "INVALID", ["identities"]),
        ([known] * 1001, "LIMIT_EXCEEDED", ["identities"]),
    ):
        given = {"deleteProfile": {"identities": identities}}
        (error,) = (await client.data(CREATE, given=given))["createSystemJob"]["userErrors"]
        assert (error["code"], error["path"]) == (code, ["deleteProfile", *path])
    given = {"deleteProfile": {"identities": [known], "mergePolicyId": global_id("MergePolicy", uuid4())}}
    (error,) = (await client.data(CREATE, given=given))["createSystemJob"]["userErrors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["deleteProfile", "mergePolicyId"])


async def test_a_job_that_is_not_there_is_null_and_cannot_be_cancelled(client):
    for job_id in (global_id("SystemJob", uuid4()), "job_", "nothing"):
        assert await client.data(SHOW, id=job_id) == {"systemJob": None}
        (error,) = (await client.data(CANCEL, given={"id": job_id}))["cancelSystemJob"]["userErrors"]
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["id"])


CREATE_INDEX = """mutation ($given: CreateSearchIndexInput!) { createSearchIndex(input: $given) { userErrors { code message path }
  searchIndex { id path type isReady mergePolicy { isDefault } job { id } createdBy } systemJob { id type searchIndex { path } } } }"""
INDEXES = "{ searchIndexes { id path type isReady job { id } mergePolicy { isDefault } } }"


async def test_an_index_for_searches_is_made_by_a_job_that_names_it(client):
    made = (await client.data(CREATE_INDEX, given={"path": "xEvent.eventType"}))["createSearchIndex"]
    index, job = made["searchIndex"], made["systemJob"]
    assert (index["isReady"], index["job"], index["mergePolicy"]) == (False, {"id": job["id"]}, None)
    assert (job["type"], job["searchIndex"]) == ("BUILD_SEARCH_INDEX", {"path": "xEvent.eventType"})
    await work_off(client.world.db, client.world.configurations)
    (shown,) = (await client.data(INDEXES))["searchIndexes"]
    assert shown == {key: index[key] for key in shown} | {"isReady": True, "job": None}
    assert (await client.data("query ($id: ID!) { node(id: $id) { id } }", id=index["id"]))["node"] == {
        "id": index["id"]
    }
    delete = "mutation ($given: DeleteSearchIndexInput!) { deleteSearchIndex(input: $given) { deletedId userErrors { code path } } }"
    for errors in ([], [{"code": "NOT_FOUND", "path": ["id"]}]):
        answer = (await client.data(delete, given={"id": index["id"]}))["deleteSearchIndex"]
        assert answer == {"deletedId": None if errors else index["id"], "userErrors": errors}
    refused = (await client.data(CREATE_INDEX, given={"path": "xEvent"}))["createSearchIndex"]
    assert [(each["code"], each["path"]) for each in refused["userErrors"]] == [("INVALID", ["path"])]

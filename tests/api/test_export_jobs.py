"""Export jobs as callers see them: of whom one is, and what is said where it cannot be."""

import pytest
from world import record

CREATE = """mutation ($given: ExportJobInput!) { createExportJob(input: $given) { userErrors { code message path } exportJob {
  id format fields filter { where } subject { namespace value xid } metrics { profilesExported } } } }"""
SHOW = "query ($id: ID!) { exportJob(id: $id) { subject { namespace value xid } } }"
ANA = ("Email", "ana@example.com")
KEY = {"key": {"namespace": "Email", "value": "Ana@example.com "}}


async def created(client, **given):
    answer = (await client.data(CREATE, given=given))["createExportJob"]
    return answer["exportJob"], answer["userErrors"]


async def test_an_export_names_its_subject_until_that_is_erased(client):
    world = client.world
    await world.records(record(ANA))
    made, errors = await created(client, subject=KEY)
    xid = await world.xid(*ANA)
    shown = {"namespace": "Email", "value": ANA[1], "xid": str(xid)}
    assert (errors, made["format"], made["filter"], made["subject"]) == ([], "JSONL", None, shown)
    await world.erase(xid)
    shown = {"namespace": None, "value": None, "xid": str(xid)}
    assert (await client.data(SHOW, id=made["id"]))["exportJob"]["subject"] == shown
    made, _ = await created(client)
    assert (made["format"], made["subject"]) == ("PARQUET", None)


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"subject": {"key": {"namespace": "Nothing", "value": "x"}}}, "INVALID", ["subject", "key", "namespace"]),
        ({"subject": {"xid": "x"}}, "INVALID", ["subject", "xid"]),
        ({"subject": {"key": {"namespace": "Email", "value": "bob@example.com"}}}, "NOT_FOUND", ["subject"]),
        ({"subject": KEY, "format": "PARQUET"}, "INVALID", ["format"]),
        ({"subject": KEY, "emptyProfiles": True}, "INVALID", ["emptyProfiles"]),
        ({"subject": KEY, "events": {}}, "INVALID", ["events"]),
    ],
)
async def test_a_subject_that_cannot_be_exported_is_refused_with_the_path(client, given, code, path):
    made, (error,) = await created(client, **given)
    assert (made, error["code"], error["path"]) == (None, code, path)

"""Export jobs as callers see them: of whom one is, and what is said where it cannot be."""

import orjson
import pytest
from client import Client
from exported import exported, rows_of
from world import record

from gateway.domain.operations.export_jobs import ExportFormat
from gateway.domain.operations.export_locations import Locations

CREATE = """mutation ($given: ExportJobInput!) { createExportJob(input: $given) { userErrors { code message path } exportJob {
  id format fields filter { where } estimatedBytes subject { namespace value xid } metrics { profilesExported } } } }"""
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


async def test_what_an_export_will_read_is_estimated_when_it_is_asked_for(client, tmp_path):
    world = client.world
    await world.records(*(record(("Email", f"{n}@example.com"), first_name="Ana") for n in range(5)))
    given = [
        {"fields": "person.name.firstName"},
        {"fields": "person.name.firstName", "where": 'person.name.firstName = "Bob"'},
    ]
    estimates = [(await created(client, **each))[0]["estimatedBytes"] for each in given]
    ended = await exported(world, Locations(tmp_path), fields="person.name.firstName", format=ExportFormat.JSONL)
    rows = rows_of(world, Locations(tmp_path), ended, "profiles")
    read = sum(len(orjson.dumps({name: each for name, each in row.items() if name != "profileId"})) for row in rows)
    assert estimates == [pytest.approx(read, rel=0.1)] * 2  # Postgres writes a blank or two more
    small = Client.of(world, most_spooled=read // 2)
    made, (error,) = await created(small, **given[0])
    assert (made, error["code"], error["path"]) == (None, "LIMIT_EXCEEDED", ["fields"])
    made, errors = await created(
        small, **given[1]
    )  # a condition may leave people out: the bound is kept while they are read
    assert (made["estimatedBytes"], errors) == (estimates[1], [])
    assert (await created(small, fromIngestedAt="2999-01-01T00:00:00Z"))[0]["estimatedBytes"] == 0

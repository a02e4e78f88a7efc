"""Why a field has its value, in GraphQL."""

import pytest
from world import record

ANA, PHONE = ("Email", "ana@x.io"), ("Phone", "+49")
ASK = '{ profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) { %s } }'
READ = """query ($select: String) {
  profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) {
    explain(select: $select) {
      path value rule
      winner { value at ingestedAt identity { value } dataset { name } batch { status } }
      candidates { value at ingestedAt identity { value } dataset { name } batch { status } }
    } } }"""


def said(name, day, **fields):
    """What a source says it knew on this day of January."""
    return record(
        ANA, PHONE, first_name=name, extSourceSystemAudit={"lastUpdatedDate": f"2026-01-0{day}T00:00:00Z"}, **fields
    )


@pytest.fixture
async def ana(client):
    """The CRM sends late what it knew early."""
    await client.world.records(said("Anna", 2), dataset=client.world.loyalty)
    await client.world.records(said("Ana", 1, homeAddress={"city": "Bonn", "street1": "A 1"}))
    return client


async def explained(client, select=None):
    told = (await client.data(READ, select=select))["profile"]["explain"]
    return {".".join(each["path"]): each for each in told}


async def test_the_winner_is_shown_with_the_losers_and_the_times_that_were_compared(ana):
    told = (await explained(ana))["person.name.firstName"]
    (lost,) = told["candidates"]
    assert (told["value"], told["rule"], lost["value"]) == ("Anna", "NEWEST", "Ana")
    assert (told["winner"]["at"], lost["at"]) == ("2026-01-02T00:00:00.000Z", "2026-01-01T00:00:00.000Z")
    assert lost["ingestedAt"] > told["winner"]["ingestedAt"]
    assert (lost["dataset"], lost["identity"], lost["batch"]) == (
        {"name": "CRM"}, {"value": "ana@x.io"}, {"status": "LOADING"},
    )  # fmt: skip


async def test_of_equal_times_the_later_ingestion_is_shown_to_win(ana):
    await ana.world.records(said("Annabel", 2))
    told = (await explained(ana))["person.name.firstName"]
    (lost,) = told["candidates"]
    assert (told["value"], told["rule"], lost["value"]) == ("Annabel", "TIE_BREAK", "Anna")
    assert told["winner"]["at"] == lost["at"]
    assert told["winner"]["ingestedAt"] > lost["ingestedAt"]


async def test_segments_have_no_winner(ana):
    for dataset, status in ((ana.world.loyalty, "realized"), (ana.world.crm, "exited")):
        membership = {"ups": {"vip": {"status": status}}}
        await ana.world.records(record(ANA, segmentMembership=membership), dataset=dataset)
    told = (await explained(ana, "segmentMembership"))["segmentMembership.ups.vip"]
    assert (told["value"], told["rule"], told["winner"]) == ({"status": "exited"}, "UNION", None)
    assert [each["value"] for each in told["candidates"]] == [{"status": "exited"}, {"status": "realized"}]


async def test_a_selector_chooses_leaves_and_a_part_of_an_address_is_explained_as_the_whole(ana):
    told = await explained(ana, "homeAddress.city,workEmail,identityMap")
    assert list(told) == ["homeAddress"]
    assert told["homeAddress"]["value"] == {"city": "Bonn", "street1": "A 1"}
    assert told["homeAddress"]["rule"] == "ONLY_CANDIDATE"


async def test_a_broken_selector_says_where(ana):
    broken = 'a: explain(select: "person,\\nworkEmail..address") { rule } b: explain(select: "person") { rule }'
    error = await ana.error(ASK % broken)
    assert error["extensions"] == {"code": "BAD_SELECTOR", "line": 2, "column": 11}
    assert "path" not in error  # it is found out before any field is read
    assert error["message"].startswith("The selector of `a`: Expected")


async def test_records_and_reasons_are_read_at_once(ana, statements):
    fields = 'fragments { document } explain { rule } names: explain(select: "person") { path }'
    with statements() as seen:
        await ana.data(ASK % fields)
    assert seen.count("profiles.read_fragments") == 1

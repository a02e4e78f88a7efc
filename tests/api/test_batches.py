"""Batches and their errors in GraphQL: pages in both directions, of one dataset or of many, and cursors that stay at home."""

from datetime import datetime, timedelta

import pytest
from world import record

from gateway.api.ids import global_id
from gateway.domain.facts import batches
from gateway.domain.rules.limits import DAYS

BATCHES = """query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  dataset(id: $id) { batches(first: $first, after: $after, last: $last, before: $before) {
    totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
ERRORS = """query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  batch(id: $id) { errors(first: $first, after: $after, last: $last, before: $before) {
    totalCount edges { cursor node { index code document } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
WARNINGS = """query ($first: Int, $after: String, $last: Int, $before: String) {
  ingestionWarnings(first: $first, after: $after, last: $last, before: $before) {
    totalCount edges { cursor node { id count dataset { name } } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def connection(data):
    """The one connection that lies somewhere in the answer."""
    while "edges" not in data:
        data = next(iter(data.values()))
    return data


async def walked(client, query, size, *, backward=False, **variables):
    """All nodes of a list, met page by page, and how many pages that took."""
    nodes, cursor, pages = [], None, 0
    window = ("last", "before") if backward else ("first", "after")
    while True:
        page = connection(await client.data(query, **variables, **{window[0]: size, window[1]: cursor}))
        met = [edge["node"] for edge in page["edges"]]
        nodes = met + nodes if backward else nodes + met
        pages += 1
        info = page["pageInfo"]
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            assert page["totalCount"] == len(nodes)
            return nodes, pages
        cursor = info["startCursor" if backward else "endCursor"]


@pytest.fixture
async def filled(client):
    """Seven batches in one dataset, one in another; the first has five errors."""
    world = client.world
    first = await world.batch("0", world.crm)
    await world.records(*(record(("Email", "a@b.c"), wrong=n) for n in range(5)), batch_id=first)
    for n in range(1, 7):
        await world.batch(str(n), world.crm)
    await world.batch("other", world.loyalty)
    return client


@pytest.mark.parametrize("backward", [False, True])
async def test_a_walk_over_batches_meets_each_once_the_newest_first(filled, backward):
    crm = global_id("Dataset", filled.world.crm.dataset_id)
    met, pages = await walked(filled, BATCHES, 3, backward=backward, id=crm)
    assert (len({node["id"] for node in met}), len(met), pages) == (7, 7, 3)
    assert met[-1]["id"] == global_id("Batch", await filled.world.batch("0", filled.world.crm))


@pytest.mark.parametrize("backward", [False, True])
async def test_a_walk_over_errors_meets_each_once_in_the_order_sent(filled, backward):
    batch = global_id("Batch", await filled.world.batch("0", filled.world.crm))
    met, pages = await walked(filled, ERRORS, 2, backward=backward, id=batch)
    assert ([node["index"] for node in met], pages) == ([0, 1, 2, 3, 4], 3)
    assert met[3]["document"]["wrong"] == 3


@pytest.mark.parametrize("backward", [False, True])
async def test_a_walk_over_warnings_meets_each_once(client, backward):
    world = client.world
    for dataset in (world.crm, world.loyalty):
        await world.records(record(("Email", "a@b.c"), ("Phone", "null")), dataset=dataset)
    met, pages = await walked(client, WARNINGS, 1, backward=backward)
    assert (sorted(node["dataset"]["name"] for node in met), pages) == (["CRM", "Loyalty"], 2)


async def test_a_cursor_of_one_datasets_batches_is_none_of_anothers(filled):
    crm, loyalty = (global_id("Dataset", each.dataset_id) for each in (filled.world.crm, filled.world.loyalty))
    cursor = connection(await filled.data(BATCHES, id=crm, first=1))["edges"][0]["cursor"]
    for variables in ({"id": loyalty, "after": cursor}, {"id": loyalty, "before": cursor}):
        assert (await filled.error(BATCHES, **variables))["extensions"]["code"] == "BAD_CURSOR"
    assert (await filled.error(WARNINGS, after=cursor))["extensions"]["code"] == "BAD_CURSOR"


async def test_a_total_costs_a_statement_only_when_it_is_asked_for(filled, statements):
    crm = global_id("Dataset", filled.world.crm.dataset_id)
    counted = {}
    for what in ("nodes { id }", "totalCount", "nodes { id } totalCount"):
        with statements() as ran:
            await filled.data(f"query ($id: ID!) {{ dataset(id: $id) {{ batches {{ {what} }} }} }}", id=crm)
        counted[what] = [name for name in ran if name.startswith("batch_lists.")]
    assert counted["nodes { id }"] == ["batch_lists.list_batches_of_datasets"]
    assert "batch_lists.count_batches" in counted["totalCount"]
    assert sorted(counted["nodes { id } totalCount"]) == [
        "batch_lists.count_batches",
        "batch_lists.list_batches_of_datasets",
    ]


async def test_an_acknowledged_warning_leaves_the_list_and_is_named_by_its_id(client):
    world = client.world
    await world.records(record(("Email", "a@b.c"), ("Phone", "null")))
    (warning,) = connection(await client.data(WARNINGS))["edges"]
    given = {"id": warning["node"]["id"]}
    done = await client.changed(ACKNOWLEDGE, given, scopes=["profile:write"])
    assert done["deletedId"] == given["id"]
    assert connection(await client.data(WARNINGS))["edges"] == []
    again = (await client.data(ACKNOWLEDGE, given=given))["acknowledgeIngestionWarning"]
    assert (again["deletedId"], [each["code"] for each in again["userErrors"]]) == (None, ["NOT_FOUND"])


ACKNOWLEDGE = """mutation ($given: AcknowledgeInput!) {
  acknowledgeIngestionWarning(input: $given) { deletedId userErrors { code path } } }"""


async def test_a_batch_of_records_tells_until_when_it_can_be_reverted(client):
    async def told(batch_id):
        return (await client.data("query ($id: ID!) { batch(id: $id) { completedAt revertibleUntil } }", id=batch_id))[
            "batch"
        ]

    world = client.world
    events, records = await world.batch("e", world.shop), await world.batch("r", world.crm)
    assert (await told(global_id("Batch", records)))["revertibleUntil"] is None
    for each in (events, records):
        await batches.complete_batch(world.db, world.scope, each)
    of_records = await told(global_id("Batch", records))
    days = datetime.fromisoformat(of_records["revertibleUntil"]) - datetime.fromisoformat(of_records["completedAt"])
    assert days == timedelta(days=DAYS)
    assert (await told(global_id("Batch", events)))["revertibleUntil"] is None

"""Conditions in PQL among the arguments of an operation: what passes them, and how mistakes are told."""

import pytest
from client import Client
from reference import reference
from world import day, event, record

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome
from gateway.pql import ranges

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")


@pytest.fixture
async def shop(client):
    """What Ana bought under two identities, the dearest of it by a name that braces are in."""
    await client.world.records(record(ANA, PHONE, first_name="Ana"), record(BEN, first_name="Ben"))

    def bought(name, number, who, *prices):
        items = [{"SKU": f"{{{price}}}", "priceTotal": price} for price in prices]
        return event(name, day(number), who, eventType="commerce.purchases", productListItems=items)

    await client.world.events(
        bought("one", 1, ANA, 5, 7), bought("two", 2, PHONE, 12), bought("three", 3, ANA, 20, 20, 20), event("look", day(4), ANA),
    )  # fmt: skip
    return client


DEAR = "productListItems.sum(priceTotal) >= 12"
OF_PERSON = """query ($filter: EventFilter, $where: String = "true") { profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) {
  all: events { totalCount }
  written: events(filter: {where: "productListItems.sum(priceTotal) >= 12"}, orderBy: {direction: DESC}, first: 2) { ...P }
  given: events(filter: $filter) { ...P }
  inside: events(filter: {since: "2026-01-02T00:00:00Z", where: $where}, last: 1) { ...P }
  resolved: events(filter: {where: "eventType.isNull()"}) { nodes { eventId identity { value } } totalCount }
} }
fragment P on EventConnection { totalCount nodes { eventId } pageInfo { hasNextPage hasPreviousPage } }"""


def page(total, *ids, on=False, back=False):
    nodes = [{"eventId": each} for each in ids]
    return {"totalCount": total, "nodes": nodes, "pageInfo": {"hasNextPage": on, "hasPreviousPage": back}}


async def test_pages_and_counts_are_of_the_events_for_which_it_is_true(shop):
    for client in (shop, reference(shop.world)):
        found = (
            await client.data(
                OF_PERSON,
                filter={"where": DEAR, "eventTypes": ["commerce.purchases"]},
                where='productListItems[SKU = "{12}"]',
            )
        )["profile"]
        assert found["all"] == {"totalCount": 4}
        assert found["written"] == page(3, "three", "two", on=True)
        assert found["given"] == page(3, "one", "two", "three")
        assert found["inside"] == page(1, "two")
        assert found["resolved"] == {"nodes": [{"eventId": "look", "identity": {"value": "ana@x.io"}}], "totalCount": 1}
        left_out = (await client.data(OF_PERSON, filter={"where": None}))["profile"]
        assert (left_out["given"]["totalCount"], left_out["inside"]) == (4, page(3, "look", back=True))


async def test_pages_hold_under_it_in_both_directions(shop):
    query = """query ($first: Int, $after: String, $last: Int, $before: String) { events(identities: [{key: {namespace: "Email", value: "ana@x.io"}}],
        filter: {where: "productListItems.count() > 0"}, first: $first, after: $after, last: $last, before: $before) {
          nodes { eventId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    one = (await shop.data(query, first=2))["events"]
    assert [each["eventId"] for each in one["nodes"]] == ["one", "two"]
    other = (await shop.data(query, first=2, after=one["pageInfo"]["endCursor"]))["events"]
    assert ([each["eventId"] for each in other["nodes"]], other["pageInfo"]["hasNextPage"]) == (["three"], False)
    back = (await shop.data(query, last=1, before=other["pageInfo"]["startCursor"]))["events"]
    assert ([each["eventId"] for each in back["nodes"]], back["pageInfo"]["hasPreviousPage"]) == (["two"], True)


async def test_now_is_one_instant_for_the_whole_operation(shop, statements):
    query = """query ($where: String) { profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) {
      a: events(filter: {where: $where}) { totalCount } b: events(filter: {where: $where}) { totalCount } } }"""
    with statements() as seen:
        found = await shop.data(query, where="timestamp occurs >= 0 days before now and now = now")
    assert found["profile"] == {"a": {"totalCount": 4}, "b": {"totalCount": 4}}
    assert seen.count("expressions.read_instant") == 1
    with statements() as seen:
        await shop.data(query, where="timestamp.getYear() = 2026")
    assert "expressions.read_instant" not in seen


async def test_mistakes_have_places_and_come_before_anything_is_read(shop, statements):
    query = """query ($where: String) {
  viewer { organization }
  profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) {
    ...Bought
  }
}
fragment Bought on Profile { bought: events(filter: {where: $where}) { totalCount } }"""
    with statements() as seen:
        outcome, body = await shop.answer(
            query, {"where": 'evenType = "a"\n  and productListItems.sum(priceTotal) > "2"'}
        )
    assert (outcome, "data" in body) == (Outcome.REFUSED, False)
    assert body["errors"] == [
        {
            "message": "`bought`: `filter.where`: Line 1, column 1: There is no field `evenType` here. Did you mean `eventType` or `eventMergeId`?",
            "locations": [{"line": 7, "column": 45}],
            "path": ["profile", "bought"],
            "extensions": {"code": "BAD_PQL", "line": 1, "column": 1},
        },
        {
            "message": "`bought`: `filter.where`: Line 2, column 40: `>` compares a number with a string, of which none is greater.",
            "locations": [{"line": 7, "column": 45}],
            "path": ["profile", "bought"],
            "extensions": {"code": "BAD_PQL", "line": 2, "column": 40},
        },
    ]
    assert {name for name in seen if not name.startswith(("configuration.", "tenants."))} == set()
    for text, told in (
        ("", "The expression is empty"),
        ("productListItems", "A condition is expected here"),
        ("xEvent.count() > 1", "no field `xEvent`"),
    ):
        error = await shop.error(query, where=text)
        assert told in error["message"], error


async def test_what_it_costs_counts_where_it_stands_and_is_known_before(shop):
    query = """query ($where: String, $first: Int) { searchProfiles(first: $first) { nodes {
      events(filter: {where: $where}, first: 1) { nodes { eventId } } } } }"""
    limited = Client.of(shop.world, Limits(cost=1_500))
    assert (await limited.data(query, where=DEAR, first=20))["searchProfiles"]["nodes"]
    error = await limited.error(query, where=DEAR, first=100)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert (await limited.data(query, where='eventType = "a"', first=100))["searchProfiles"]["nodes"]
    long = await shop.error(query, where='eventType = "' + "a" * 10_000 + '"', first=1)
    assert (long["extensions"]["code"], "10,000" in long["message"]) == ("LIMIT_EXCEEDED", True)


KEY = '{key: {namespace: "Email", value: "ana@x.io"}}'
PAGES = "events(filter: {where: $where}) { nodes { eventId %s } }"


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (f"events(identities: [{KEY}], filter: {{where: $where}}) {{ totalCount }}", ["events"]),
        (f"profile(identity: {KEY}) {{ {PAGES % ''} }}", ["profile"]),
        (f"profile(identity: {KEY}) {{ {PAGES % 'batch { revertibleUntil }'} }}", ["profile", "events"]),
    ],
)
async def test_what_postgres_cannot_compute_is_an_error_of_the_condition(shop, monkeypatch, field, path):
    """A condition that might come to such a number for some event is refused; what is left are values too large for JSON."""
    monkeypatch.setattr(ranges, "MAX_DIGITS", 10**9)
    large = f"let A = (productListItems.sum(priceTotal) * 1.0e300) in let B = ({'*'.join('A' * 25)}) in ({'*'.join('B' * 20)}) > 1"
    error = await shop.error(f"query ($where: String) {{ {field} }}", where=large)
    assert (error["extensions"]["code"], error["path"]) == ("BAD_PQL", path)
    assert "out of range" in error["message"]

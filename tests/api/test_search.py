"""`searchProfiles(where:)`: who is found, page by page, and what cannot be searched."""

import pytest
from citus import STATEMENTS, WAYS
from working import work_off
from world import day, event, record

from gateway.api.ids import global_id
from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings, PolicyStatus
from gateway.domain.reading import search, search_of_cluster
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType

SEARCH = """query ($where: String, $policy: ID, $first: Int, $after: String, $last: Int, $before: String) {
  searchProfiles(where: $where, mergePolicyId: $policy, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { entity { person { name { firstName } } } identities { value } events(first: 1) { totalCount } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
NEWEST_FIRST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)


PHONE = ("Phone", "+49")


def who(name):
    return "Email", f"{name}@x.io"


@pytest.fixture(params=WAYS, ids=lambda is_distributed: "cluster" if is_distributed else "postgres")
async def people(client, request):
    """Twenty people with a record, and ten with events only, each with as many of them as their number."""
    world = client.world
    world.db.is_distributed = request.param
    await world.records(*(record(who(f"r{n}"), *[PHONE][n:], first_name=f"N{n % 4}") for n in range(20)))
    await world.events(event("call", day(1), PHONE, eventType="b"))
    await world.events(
        *(event(f"e{n}-{k}", day(1 + k), who(f"e{n}"), eventType="a") for n in range(10) for k in range(n + 1))
    )
    return client


async def found(client, where, **more):
    page = (await client.data(SEARCH, where=where, **more))["searchProfiles"]
    return sorted(each["identities"][0]["value"].partition("@")[0] for each in page["nodes"]), page


async def test_people_are_found_by_profile_events_and_identities(people):
    names, page = await found(people, 'person.name.firstName = "N1"')
    assert names == ["r1", "r13", "r17", "r5", "r9"]
    assert page["totalCount"] == 5
    assert page["nodes"][0] == {"entity": {"person": {"name": {"firstName": "N1"}}}, "identities": page["nodes"][0]["identities"], "events": {"totalCount": 0}}  # fmt: skip
    names, page = await found(people, "xEvent.count() > 7")
    assert (names, page["nodes"][0]["entity"]) == (["e7", "e8", "e9"], {"person": None})
    assert (await found(people, 'identityMap.get("Email").id.includes("r3@x.io")'))[0] == ["r3"]
    assert (await found(people, "person.isNull() and xEvent.isNull()"))[0] == []
    assert (await found(people, 'xEvent[eventType = "b"]'))[0] == ["r0"]
    assert len((await found(people, "xEvent.min(timestamp) occurs before now"))[0]) == 11


async def test_people_are_found_who_bought_one_thing_and_not_another_within_days(client):
    def bought(number, at, name, thing):
        return event(f"{number}", at, who(name), productListItems=[{"SKU": "other"}, {"SKU": thing}])

    lines = [
        (1, "soon", "X"),
        (9, "soon", "Y"),
        (1, "late", "X"),
        (40, "late", "Y"),
        (1, "never", "X"),
        (1, "not", "Y"),
    ]
    await client.world.events(*(bought(n, day(at), name, thing) for n, (at, name, thing) in enumerate(lines)))
    then = 'B.productListItems[SKU = "Y"] and B.timestamp occurs <= 30 days after A.timestamp'
    asked = f'exists A from xEvent where A.productListItems[SKU = "X"] and not (exists B from xEvent where {then})'
    assert (await found(client, asked))[0] == ["late", "never"]


async def test_a_page_that_ends_before_it_is_full_says_where_it_goes_on(people, monkeypatch):
    monkeypatch.setattr(search, "MAX_PEOPLE", 7)
    monkeypatch.setattr("gateway.api.profiles.SEARCH_SHARE", -1.0)  # no time for a second statement
    query = SEARCH.replace("totalCount nodes", "nodes")
    for size, cursor, end, goes_on in (
        ("first", "after", "endCursor", "hasNextPage"),
        ("last", "before", "startCursor", "hasPreviousPage"),
    ):
        names, arguments, pages = [], {size: 2}, 0
        while True:
            page = (await people.data(query, where="xEvent.count() > 7", **arguments))["searchProfiles"]
            names += [each["identities"][0]["value"] for each in page["nodes"]]
            pages += 1
            if not page["pageInfo"][goes_on]:
                break
            arguments = {size: 2, cursor: page["pageInfo"][end]}
        assert sorted(names) == ["e7@x.io", "e8@x.io", "e9@x.io"]
        assert pages >= 5
    error = await people.error('{ searchProfiles(where: "true", first: 0) { totalCount } }')
    assert error["extensions"]["code"] == "TIMEOUT"
    assert "Leave `totalCount` out" in error["message"]


async def test_a_search_on_a_cluster_is_given_so_many_events_at_once_and_no_more_of_one_person(people, monkeypatch):
    people.world.db.is_distributed = True
    monkeypatch.setattr(search_of_cluster, "MAX_EVENTS", 9)
    assert (await found(people, "xEvent.count() > 4"))[0] == ["e4", "e5", "e6", "e7", "e8", "e9"]
    monkeypatch.setattr(search_of_cluster, "MAX_EVENTS_OF_ONE", 9)
    error = await people.error(SEARCH, where="xEvent.count() > 4")
    assert (error["extensions"]["code"], "took too long" in error["message"]) == ("TIMEOUT", True)


async def test_a_policy_without_a_graph_finds_each_identity_alone(people):
    world = people.world
    settings = PolicySettings("Alone", IdentityGraphType.NONE, NEWEST_FIRST)
    policy = await policies.create_policy(world.db, world.scope, settings)
    given = {"policy": global_id("MergePolicy", policy.policy_id)}
    error = await people.error(SEARCH, where="true", **given)
    assert (error["extensions"]["code"], "keeps its profiles" in error["message"]) == ("BAD_INPUT", True)
    policy = await policies.update_policy(world.db, world.scope, policy.policy_id, {"is_active_on_edge": True})
    assert policy.status is PolicyStatus.BUILDING
    error = await people.error(SEARCH, where="true", **given)
    assert (error["extensions"]["code"], "still being merged" in error["message"]) == ("UNAVAILABLE", True)
    await work_off(world.db, world.configurations)
    names, page = await found(
        people, 'person.name.firstName = "N1" and identityMap.keys() = ["Email"] or xEvent.count() = 10', **given
    )
    assert (names, page["totalCount"]) == (["e9", "r1", "r13", "r17", "r5", "r9"], 6)


async def test_what_cannot_be_searched_is_explained(people, statements):
    with statements() as seen:
        error = await people.error(SEARCH, where='person.name.fistName = "Ana"')
    assert error["extensions"] == {"code": "BAD_PQL", "line": 1, "column": 13}
    assert error["path"] == ["searchProfiles"]
    assert error["message"].startswith(
        "`searchProfiles`: `where`: Line 1, column 13: There is no field `fistName` here. Did you mean `firstName`"
    )
    assert not [name for name in seen if name.startswith(("search.", "people."))]
    assert "condition is expected" in (await people.error(SEARCH, where="xEvent.count()"))["message"]
    nested = "exists A from xEvent where (exists B from xEvent where (exists C from xEvent where C.eventType = B.eventType and A.eventType = B.eventType))"
    assert (await people.error(SEARCH, where=nested))["extensions"]["code"] in ("BAD_PQL", "LIMIT_EXCEEDED")
    assert (await people.error(SEARCH, where="true", scopes=["profile:write"]))["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.one_postgres(STATEMENTS)
async def test_a_search_takes_two_statements(client, statements):
    await client.world.records(record(who("r1"), first_name="N1"))
    with statements() as seen:
        await client.data(SEARCH.replace("totalCount nodes", "nodes"), where='person.name.firstName = "N1"')
    assert [name for name in seen if name.startswith(("search.", "people."))] == [
        "search.find_people",
        "people.read_people",
    ]

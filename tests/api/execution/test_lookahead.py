"""Look-ahead: one statement reads all that an operation selects of people, in whatever order, number and nesting, and no more than that."""

import pytest
from citus import STATEMENTS, WAYS
from client import Client
from reference import reference
from world import World, event, record

from gateway.api.loading import FEW
from gateway.domain.reading import profiles

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")
ONE = 'query { profile(identity: {key: {namespace: "Email", value: "ana@x.io"}}) { %s } }'
MANY = "query ($asked: [IdentityInput!]!) { profiles(identities: $asked) { %s } }"
NAME = "entity { person { name { firstName } } }"
NODES = "nodes { id eventId timestamp __typename entity { eventType } }"
INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
NAMESPACE = "id version createdAt code name description idType isCustom normalization priority isUniquePerGraph"
IDENTITY = f"id xid value namespace {{ {NAMESPACE} }}"
DATASET = "id version createdAt createdBy name description isProfileEnabled status eventRetentionDays"
TEXTS, ROWS = ["people.read_texts"], ["people.read_people"]


@pytest.fixture(scope="module")
async def stored(module_db):
    """Ana, whom a record tells of; Ben, of whom there is an event only."""
    world = await World.create(module_db)
    await world.records(record(ANA, PHONE, first_name="Ana"))
    await world.events(event("e1", "2026-02-01T00:00:00.000Z", ANA), event("e2", "2026-02-02T00:00:00.000Z", BEN))
    return world


@pytest.fixture
def people(stored):
    """A client that has prepared nothing yet."""
    return Client.of(stored)


@pytest.mark.one_postgres(STATEMENTS)
@pytest.mark.parametrize(
    "fields",
    [
        NAME,
        f"id profileId mergePolicy {{ name }} {NAME}",
        "entity { identityMap }",
        "entityJson",
        f"{NAME} events {{ nodes {{ timestamp }} }}",
        f"events {{ nodes {{ timestamp }} }} {NAME} profileId",
        f"id profileId events {{ {NODES} {INFO} }}",
        "profileId events { nodes { timestamp } totalCount }",
        f"a: events {{ {NODES} }} b: events(first: 1) {{ {NODES} {INFO} }} c: events {{ totalCount }} {NAME}",
        "entity { identityMap } events { nodes { timestamp } }",
        f"events {{ edges {{ cursor node {{ timestamp entity {{ eventType }} }} }} {NODES} }} entityJson",
        "events { nodes { id entityJson } }",
        f"events {{ nodes {{ identity {{ {IDENTITY} }} dataset {{ {DATASET} }} entity {{ eventType }} }} totalCount }}",
        f"{NAME} identities {{ {IDENTITY} }} again: identities {{ xid }} identityGraph {{ identities {{ value }} }}",
        f"limits {{ identityCount eventCount exceeded }} sources {{ {DATASET} }} lastModifiedAt",
        "lastModifiedAt",
        "limits { exceeded }",
        'entityJson(select: "person,identityMap.Email.id") events { nodes { entityJson(select: "timestamp") } }',
        'identities(namespaces: ["Email"]) { value isPrimary firstSeenAt lastSeenAt } identities { isPrimary }'.replace(
            "} i", "} all: i"
        ),
        "events { nodes { batch { id key status dataset { name } recordCount } identity { isPrimary } } }",
    ],
)
async def test_whatever_can_be_projected_is_read_by_one_statement(people, statements, fields):
    await people.data("{ __typename }")
    for query in (
        ONE,
        "{ searchProfiles(first: 5) { nodes { %s } edges { cursor node { %s } } pageInfo { endCursor } } }",
    ):
        with statements() as seen:
            await people.data(query.replace("%s", fields))
        reads = [name for name in seen if not name.startswith(("tenants", "configuration"))]
        assert reads == (ROWS if "mergePolicy" in fields else TEXTS) if query is ONE else ["people.list_people"]


@pytest.mark.one_postgres(STATEMENTS)
@pytest.mark.parametrize(
    ("fields", "more"),
    [
        (
            f"{NAME} identities {{ value profile {{ {NAME} }} }} limits {{ eventCount }}",
            ["identities.read_identities", *TEXTS],
        ),
        (
            f"{NAME} events {{ nodes {{ batch {{ revertibleUntil }} identity {{ value }} }} }} lastModifiedAt",
            ["events.list_events", "batches.read_batches"],
        ),
    ],
)
async def test_a_field_that_cannot_be_projected_leaves_the_others_to_the_statement(people, statements, fields, more):
    await people.data("{ __typename }")
    with statements() as seen:
        await people.data(ONE % fields)
    assert [name for name in seen if not name.startswith(("tenants", "configuration"))] == [*ROWS, *more]


@pytest.mark.parametrize(
    "fields",
    [
        f"status profile {{ {NAME} }}",
        f"__typename profile {{ __typename {NAME} __typename }} status again: status",
        f"profile {{ a: {NAME} b: {NAME} }} status",
        f"profile {{ {NAME} }} more: profile {{ {NAME} }}",
        f"status requested {{ xid value }} profile {{ {NAME} }}",
        "status profile { profileId }",
        f"status profile {{ id events {{ {NODES} {INFO} }} profileId }}",
        f"profile {{ {NAME} events(first: 1, orderBy: {{direction: DESC}}) {{ {INFO} {NODES} __typename }} }}",
        f"profile {{ events(last: 1) {{ __typename {INFO} info: {INFO} more: {NODES} {NODES} }} }}",
        f"profile {{ events(last: 0) {{ {INFO} {NODES} }} }}",
        f"profile {{ a: events {{ {NODES} }} b: events {{ {INFO} }} {NAME} }}",
        f"profile {{ identities {{ {IDENTITY} }} some: identities(namespaces: []) {{ value }} {NAME} }}",
        'profile { identities(namespaces: ["Nope"]) { value } }',
        f"profile {{ events {{ nodes {{ identity {{ {IDENTITY} }} dataset {{ {DATASET} }} }} }} lastModifiedAt }}",
        f"profile {{ limits {{ identityCount eventCount exceeded }} sources {{ {DATASET} }} lastModifiedAt profileId }}",
        "profile { limits { __typename } }",
        "profile { limits { eventCount @skip(if: true) } identityGraph { __typename } profileId }",
        f"profile {{ identityGraph {{ identities {{ {IDENTITY} }} links {{ firstSeenAt }} }} limits {{ exceeded }} }}",
        f"status profile {{ events(first: -1) {{ {NODES} }} }}",
        f'status profile {{ events(first: 1, after: "x") {{ {NODES} }} }}',
        f'profile {{ events(filter: {{eventTypes: ["\\u0000"]}}) {{ {NODES} }} }}',
        "status",
    ],
)
@pytest.mark.parametrize("is_distributed", WAYS)
@pytest.mark.parametrize("often", [1, FEW])
async def test_results_are_the_same_however_they_are_written(people, fields, often, is_distributed, monkeypatch):
    monkeypatch.setattr(people.world.db, "is_distributed", is_distributed)
    stock = reference(people.world)
    asked = often * [
        {"key": {"namespace": namespace, "value": value}} for namespace, value in (ANA, BEN, PHONE, ("Email", "no"))
    ]
    query = MANY % fields
    told = await people.answer(query, {"asked": asked}), await stock.answer(query, {"asked": asked})
    for _, body in told:
        body.get("errors", []).sort(key=str)  # which of them is told first depends on who fails first
    assert str(told[0]) == str(told[1])  # the order of keys included


@pytest.mark.one_postgres(STATEMENTS)
@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 300])
@pytest.mark.parametrize("more", ["", "profileId", f"events {{ {NODES} {INFO} }}"])
async def test_the_number_of_identities_changes_no_statement(people, statements, count, more):
    values = ["ana@x.io", *(f"nobody{number}@x.io" for number in range(1, count))]
    asked = [{"key": {"namespace": "Email", "value": value}} for value in values]
    with statements() as seen:
        results = (await people.data(MANY % f"status profile {{ {NAME} {more} }}", asked=asked))["profiles"]
    assert {name for name in seen if name.startswith("people")} == {*TEXTS}
    entities = [each["profile"] and each["profile"]["entity"] for each in results]
    assert entities == [{"person": {"name": {"firstName": "Ana"}}}, *[None] * (count - 1)]


@pytest.mark.one_postgres(STATEMENTS)
async def test_an_identity_that_is_requested_twice_is_read_once(people, statements):
    ana = {"key": {"namespace": "Email", "value": "ana@x.io"}}
    with statements() as seen:
        results = (await people.data(MANY % f"status profile {{ {NAME} }}", asked=[ana] * 20))["profiles"]
    assert results == [results[0]] * 20
    assert seen[-1:] == TEXTS


@pytest.mark.one_postgres(STATEMENTS)
async def test_a_page_of_variables_is_read_with_the_person_and_fails_at_its_own_path(people, statements):
    page = f"profileId events(first: $size, after: $place) {{ {NODES} }}"
    query = "query ($size: Int, $place: String) { " + ONE.removeprefix("query { ") % page
    with statements() as seen:
        assert len((await people.data(query, size=1))["profile"]["events"]["nodes"]) == 1
    assert seen[-1:] == TEXTS
    elsewhere = (await people.data("{ datasets(first: 1) { pageInfo { endCursor } } }"))["datasets"]["pageInfo"]
    _, answer = await people.answer(query, {"size": 1, "place": elsewhere["endCursor"]})
    assert [error["path"] for error in answer["errors"]] == [["profile", "events"]]


@pytest.mark.one_postgres(STATEMENTS)
async def test_too_many_leaves_take_the_whole_document(people, statements, monkeypatch):
    monkeypatch.setattr(profiles, "MAX_NODES", 2)
    query = ONE % "entity { person { name { firstName lastName } } workEmail { address } }"
    with statements() as seen:
        entity = (await people.data(query))["profile"]["entity"]
    assert entity == {"person": {"name": {"firstName": "Ana", "lastName": None}}, "workEmail": None}
    assert seen[-1:] == ROWS


@pytest.mark.parametrize("below", ["__typename", "__typename @skip(if: true)"])
@pytest.mark.parametrize("field", ["limits", "identities", "identityGraph", "sources", "mergePolicy"])
async def test_an_object_of_which_nothing_is_read_is_there_all_the_same(people, field, below):
    fields = f"{field} {{ {below} }} profileId"
    compiled = await people.data(ONE % fields)
    assert compiled == await reference(people.world).data(ONE % fields)
    assert compiled["profile"][field] is not None


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_projection_without_parts_and_a_whole_read_of_one_person_share_no_records(people, is_first):
    """Both read the whole document of one person: one as no part of it is wanted, the other as an argument is wrong."""
    asked = 'profile(identity: {key: {namespace: "Email", value: "ana@x.io"}})'
    fields = [
        f"a: {asked} {{ explain {{ path }} }}",
        f"b: {asked} {{ {NAME} limits {{ exceeded }} events(after: $place) {{ {NODES} }} }}",
    ]
    query = f"query ($place: String) {{ {' '.join(fields if is_first else reversed(fields))} }}"
    elsewhere = (await people.data("{ datasets(first: 1) { pageInfo { endCursor } } }"))["datasets"]["pageInfo"]
    told = [await each.answer(query, {"place": elsewhere["endCursor"]}) for each in (people, reference(people.world))]
    assert told[0] == told[1]
    assert [error["path"] for error in told[0][1]["errors"]] == [["b", "events"]]

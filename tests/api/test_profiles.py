"""Profiles in GraphQL: one, many, all; what they are made of; and in how few statements."""

from collections import Counter

import pytest
from citus import STATEMENTS
from reference import reference
from world import event, record

from gateway.domain.rules.versions import Mode

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")
KEY = "query ($key: IdentityKeyInput!, $policy: ID) { profile(identity: {key: $key}, mergePolicyId: $policy) { %s } }"
MANY = "query ($asked: [IdentityInput!]!, $policy: ID) { profiles(identities: $asked, mergePolicyId: $policy) { %s } }"
SEARCH = """query ($policy: ID, $first: Int, $after: String, $last: Int, $before: String) {
  searchProfiles(mergePolicyId: $policy, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { profileId } edges { cursor node { profileId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
CREATE_POLICY = "mutation ($given: MergePolicyInput!) { createMergePolicy(input: $given) { mergePolicy { id } userErrors { message } } }"
WITHOUT_GRAPH = {"name": "Alone", "identityGraph": "NONE", "attributeMerge": {"type": "TIMESTAMP_ORDERED"}}
EVERYTHING = """id profileId lastModifiedAt entityJson mergePolicy { name } sources { name }
  identities { value isPrimary firstSeenAt lastSeenAt namespace { code } }
  identityGraph { identities { value } links { a { value } b { value } sources { name } } refusedLinks { refusal } }
  fragments { identity { value } dataset { name } batch { status } document ingestedAt observedAt }
  events(first: 2, orderBy: {direction: DESC}) { totalCount nodes { eventId dataset { name } batch { id } identity { value } } }
  limits { identityCount eventCount exceeded } entity { person { name { firstName } } identityMap }"""


def key(identity):
    return {"namespace": identity[0], "value": identity[1]}


def keys(*identities):
    return [{"key": key(identity)} for identity in identities]


async def alone(client):
    """The id of a policy without a graph."""
    return (await client.changed(CREATE_POLICY, WITHOUT_GRAPH))["mergePolicy"]["id"]


@pytest.fixture
async def people(client):
    """Ana, whom two sources know; Ben, of whom there are events only."""
    world = client.world
    await world.records(record(ANA, PHONE, first_name="Ana", homeAddress={"city": "Bonn", "street1": "A 1"}))
    await world.records(record(PHONE, first_name="Anna"), dataset=world.loyalty)
    await world.events(
        event("1", "2026-01-01T00:00:00.000Z", ANA), event("2", "2026-01-02T00:00:00.000Z", PHONE),
        event("3", "2026-01-03T00:00:00.000Z", ANA), event("b", "2026-01-01T00:00:00.000Z", BEN),
    )  # fmt: skip
    return client


async def test_a_profile_has_identities_document_provenance_and_events(people):
    ana = (await people.data(KEY % EVERYTHING, key=key(ANA)))["profile"]
    assert ana["entity"] == {
        "person": {"name": {"firstName": "Anna"}},
        "identityMap": {"Email": [{"id": "ana@x.io"}], "Phone": [{"id": "+49"}]},
    }
    assert ana["entityJson"]["homeAddress"] == {"city": "Bonn", "street1": "A 1"}
    assert ana["sources"] == [{"name": "CRM"}, {"name": "Loyalty"}]
    assert [(each["value"], each["isPrimary"], each["namespace"]["code"]) for each in ana["identities"]] == [
        ("ana@x.io", True, "Email"), ("+49", True, "Phone"),
    ]  # fmt: skip
    (link,) = ana["identityGraph"]["links"]
    assert {link["a"]["value"], link["b"]["value"]} == {"ana@x.io", "+49"}
    assert link["sources"] == [{"name": "CRM"}]
    assert [each["dataset"]["name"] for each in ana["fragments"]] == ["Loyalty", "CRM"]
    assert ana["fragments"][1]["document"]["person"] == {"name": {"firstName": "Ana"}}
    assert ana["fragments"][0]["ingestedAt"] == ana["lastModifiedAt"]
    assert [each["eventId"] for each in ana["events"]["nodes"]] == ["3", "2"]
    assert (ana["events"]["totalCount"], ana["limits"]) == (3, {"identityCount": 2, "eventCount": 3, "exceeded": []})
    assert ana["mergePolicy"] == {"name": "Default"}


async def test_a_person_with_events_only_has_an_empty_document(people):
    ben = (await people.data(KEY % EVERYTHING, key=key(BEN)))["profile"]
    assert ben["entityJson"] == {"identityMap": {"Email": [{"id": "ben@x.io"}]}}
    assert ben["entity"]["person"] is None
    assert (ben["sources"], ben["fragments"]) == ([{"name": "Shop"}], [])
    assert ben["identityGraph"] == {"identities": [{"value": "ben@x.io"}], "links": [], "refusedLinks": []}


async def test_a_selector_cuts_the_document_down_and_a_broken_one_says_where(people):
    ana = (await people.data(KEY % 'entityJson(select: "person.name,homeAddress(city)")', key=key(ANA)))["profile"]
    assert ana["entityJson"] == {"person": {"name": {"firstName": "Anna"}}, "homeAddress": {"city": "Bonn"}}
    error = await people.error(KEY % 'entityJson(select: "person..name")', key=key(ANA))
    assert error["extensions"]["code"] == "BAD_SELECTOR"


async def test_many_are_answered_one_by_one_in_the_order_asked(people):
    fields = "requested { namespace value xid } status identity { value } profile { profileId }"
    xid = str(await people.world.xid(*PHONE))
    asked = [*keys(("Email", " ANA@x.io"), ("Email", "nobody@x.io")), {"xid": xid}, *keys(BEN, ANA)]
    answers = (await people.data(MANY % fields, asked=asked))["profiles"]
    assert [each["status"] for each in answers] == ["FOUND", "NOT_FOUND", "FOUND", "FOUND", "FOUND"]
    assert [each["requested"]["value"] for each in answers] == [
        " ANA@x.io",
        "nobody@x.io",
        None,
        "ben@x.io",
        "ana@x.io",
    ]
    assert answers[2]["requested"] == {"namespace": None, "value": None, "xid": xid}
    assert [each["identity"] and each["identity"]["value"] for each in answers] == [
        "ana@x.io", None, "+49", "ben@x.io", "ana@x.io",
    ]  # fmt: skip
    assert answers[0]["profile"] == answers[2]["profile"] == answers[4]["profile"]
    assert answers[1]["profile"] is None
    assert (await people.data(MANY % fields, asked=[]))["profiles"] == []
    for selection in ("status", "status profile { entityJson }"):
        assert await people.data(MANY % selection, asked=[]) == {"profiles": []}


async def test_a_profile_id_finds_its_person_like_any_xid(people):
    ana = (await people.data(KEY % "profileId", key=key(PHONE)))["profile"]
    again = await people.data(
        "query ($xid: ID!) { profile(identity: {xid: $xid}) { profileId } }", xid=ana["profileId"]
    )
    assert again["profile"] == ana


async def test_without_a_graph_each_identity_with_data_is_a_profile(people):
    policy = await alone(people)
    ana = (await people.data(KEY % EVERYTHING, key=key(ANA), policy=policy))["profile"]
    assert ana["entityJson"]["identityMap"] == {"Email": [{"id": "ana@x.io"}]}
    assert ana["identityGraph"] == {"identities": [{"value": "ana@x.io"}], "links": [], "refusedLinks": []}
    assert ana["events"]["totalCount"] == 2
    assert ana["limits"]["identityCount"] == 1
    assert (await people.data(SEARCH, policy=policy))["searchProfiles"]["totalCount"] == 3


async def test_pages_of_all_profiles_go_both_ways(people):
    await people.world.records(*(record(("Email", f"{n}@y.io")) for n in range(5)))
    whole = (await people.data(SEARCH))["searchProfiles"]
    ids = [node["profileId"] for node in whole["nodes"]]
    assert (len(ids), whole["totalCount"]) == (7, 7)
    for size, cursor, end in (("first", "after", "endCursor"), ("last", "before", "startCursor")):
        collected, arguments = [], {size: 3}
        for _ in range(3):
            page = (await people.data(SEARCH, **arguments))["searchProfiles"]
            mine = [node["profileId"] for node in page["nodes"]]
            collected = collected + mine if size == "first" else mine + collected
            arguments = {size: 3, cursor: page["pageInfo"][end]}
        assert collected == ids
        assert not page["pageInfo"]["hasNextPage" if size == "first" else "hasPreviousPage"]
    assert [edge["node"] for edge in whole["edges"]] == whole["nodes"]


async def test_every_profile_is_found_again_by_its_id(people):
    policy = await alone(people)
    for asked in (None, policy):
        ana = (await people.data(KEY % "id profileId", key=key(PHONE), policy=asked))["profile"]
        query = "query ($id: ID!) { node(id: $id) { id ... on Profile { profileId } } }"
        assert (await people.data(query, id=ana["id"]))["node"] == ana


async def test_a_deleted_record_takes_the_person_along(people):
    await people.world.records(record(ANA), mode=Mode.DELETE)
    await people.world.records(record(PHONE), mode=Mode.DELETE, dataset=people.world.loyalty)
    found = (await people.data(KEY % "entityJson events { totalCount }", key=key(ANA)))["profile"]
    assert found == {"entityJson": {"identityMap": {"Email": [{"id": "ana@x.io"}]}}, "events": {"totalCount": 2}}


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (KEY % "id", {"key": {"namespace": "email", "value": "a"}}, "BAD_INPUT"),
        (KEY % "id", {"key": key(ANA), "policy": "policy_AAAAAAAAAAAAAAAAAAAAAA"}, "BAD_INPUT"),
        (KEY % "id", {"key": key(ANA), "policy": "x"}, "BAD_INPUT"),
        ('{ profile(identity: {xid: "x"}) { id } }', {}, "BAD_INPUT"),
        ('{ profile(identity: {xid: "{00000000-0000-0000-0000-000000000001}"}) { id } }', {}, "BAD_INPUT"),
        (MANY % "status", {"asked": keys(ANA) * 1001}, "LIMIT_EXCEEDED"),
        (SEARCH, {"first": 1001}, "LIMIT_EXCEEDED"),
        (SEARCH, {"first": -1}, "BAD_INPUT"),
        (SEARCH, {"first": 1, "last": 1}, "BAD_INPUT"),
        (SEARCH, {"after": "x"}, "BAD_CURSOR"),
        ('{ searchProfiles(where: "tru") { totalCount } }', {}, "BAD_PQL"),
        ("{ profile(identity: {}) { id } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        (
            '{ profile(identity: {xid: "a", key: {namespace: "Email", value: "a"}}) { id } }',
            {},
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ],
)
async def test_what_cannot_be_asked_is_explained(module_client, query, variables, code):
    error = await module_client.error(query, **variables)
    assert error["extensions"]["code"] == code, error


async def test_people_with_their_events_are_the_same_by_every_policy_however_they_are_read(people, statements):
    stock = reference(people.world)
    fields = (
        "status profile { id profileId entity { person { name { firstName } } } events(last: 2) { nodes { eventId } } }"
    )
    for policy, expected in (
        (None, ["people.read_texts"]),
        (await alone(people), ["identities.read_primaries", "events.read_lists"]),
    ):
        given = {"asked": keys(ANA, BEN, PHONE, ("Email", "no")), "policy": policy}
        with statements() as seen:
            _, answer = await people.answer(MANY % fields, given)
        assert answer == (await stock.answer(MANY % fields, given))[1]
        assert [each["status"] for each in answer["data"]["profiles"]] == ["FOUND", "FOUND", "FOUND", "NOT_FOUND"]
        reads = [
            name for name in seen if name in {"people.read_texts", "identities.read_primaries", "events.read_lists"}
        ]
        assert people.world.db.is_distributed or reads == expected


async def test_a_cursor_of_another_policys_list_is_refused(people):
    cursor = (await people.data(SEARCH))["searchProfiles"]["pageInfo"]["endCursor"]
    error = await people.error(SEARCH, after=cursor, policy=await alone(people))
    assert error["extensions"]["code"] == "BAD_CURSOR"


@pytest.mark.parametrize(
    ("query", "variables"),
    [(KEY % "id", {"key": key(ANA)}), (MANY % "status", {"asked": keys(ANA)}), (SEARCH, {})],
)
async def test_profile_read_is_needed(client, query, variables):
    error = await client.error(query, scopes=["config:write"], **variables)
    assert error["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.one_postgres(STATEMENTS)
async def test_the_number_of_statements_does_not_depend_on_how_many_are_asked_for(people, statements):
    names = [("Email", f"{n}@y.io") for n in range(20)]
    await people.world.records(*(record(name, ("Phone", f"{n}"), first_name=f"{n}") for n, name in enumerate(names)))
    await people.world.events(*(event(f"e{n}", "2026-02-01T00:00:00.000Z", name) for n, name in enumerate(names)))
    seen_for = []
    for asked in ([ANA, BEN], [ANA, BEN, PHONE, *names]):
        with statements() as seen:
            await people.data(MANY % f"status identity {{ value }} profile {{ {EVERYTHING} }}", asked=keys(*asked))
        seen_for.append(Counter(name for name in seen if not name.startswith(("tenants", "configuration"))))
    all_of_them = Counter([
        "people.read_people", "profiles.read_fragments", "identity_graphs.read_ties",
        "batches.read_batches", "identities.read_identities",  # of fragments and links: the others are read with the people
    ])  # fmt: skip
    assert seen_for == [all_of_them, all_of_them]


@pytest.mark.one_postgres(STATEMENTS)
async def test_a_lookup_takes_one_statement_with_events_or_without(people, statements):
    for fields in ("entityJson", "entityJson events { nodes { entityJson } }"):
        with statements() as seen:
            await people.data(KEY % fields, key=key(ANA))
        reads = [name for name in seen if not name.startswith(("tenants", "configuration"))]
        assert reads == ["people.read_texts"]


IMPOSSIBLE = {
    ("ECID", "12"): "An ECID has exactly 38 digits.",
    ("ECID", "\N{ARABIC-INDIC DIGIT ONE}" * 38): "An ECID has exactly 38 digits.",
    ("Email", "x" * 1025): "at most 1,024 characters",
    ("Email", "a\0@x.io"): "no NUL character",
    **{("Email", value): "names nobody" for value in ("", " ", "Guest", "'null'", "0000")},
    **{(namespace, "0" * 38): "names nobody" for namespace in ("ECID", "Phone", "Email")},
}


@pytest.mark.parametrize("key", IMPOSSIBLE, ids=repr)
async def test_a_value_that_no_identity_can_have_is_invalid_in_every_field(module_client, key):
    """As in the documents that would bring it."""
    namespace, value = key
    says, given = IMPOSSIBLE[key], {"key": {"namespace": namespace, "value": value}}
    for others in ([], [{"key": {"namespace": "Email", "value": f"{n}@x.io"}} for n in range(10)]):
        query = "query ($all: [IdentityInput!]!) { profiles(identities: $all) { status message } }"
        *found, last = (await module_client.data(query, all=[*others, given]))["profiles"]
        assert (last["status"], [each["status"] for each in found]) == ("INVALID", ["NOT_FOUND"] * len(others))
        assert says in last["message"]
    for field in ("profile", "identity", "identityGraph"):
        error = await module_client.error(
            f"query ($given: IdentityInput!) {{ {field}(identity: $given) {{ __typename }} }}", given=given
        )
        assert (error["extensions"]["code"], says in error["message"]) == ("BAD_INPUT", True)
    possible = {"key": {"namespace": "Email", "value": "ana@x.io"}}
    for field, kind, asked, path in (
        ("linkIdentities", "LinkIdentitiesInput", {"a": possible, "b": given}, ["b"]),
        ("unlinkIdentities", "LinkIdentitiesInput", {"a": given, "b": possible}, ["a"]),
        ("liftErasure", "LiftErasureInput", {"identity": given}, ["identity"]),
        (
            "createSystemJob",
            "SystemJobInput",
            {"deleteProfile": {"identities": [possible, given]}},
            ["deleteProfile", "identities", "1"],
        ),
    ):
        mutation = f"mutation ($given: {kind}!) {{ {field}(input: $given) {{ userErrors {{ code path message }} }} }}"
        (told,) = (await module_client.data(mutation, given=asked))[field]["userErrors"]
        assert (told["code"], told["path"], says in told["message"]) == ("INVALID", [*path, "key", "value"], True)
    taken = await module_client.world.records(record(key))
    assert len(taken.failed) == 1


NAMESPACES = {"email": "Did you mean 'Email'?", "Emial": "Did you mean 'Email'", "xyzzy": "in this sandbox."}
SELECTIONS = [
    "status message requested { namespace value xid } identity { value } profile { entityJson }",
    "status message",
    "status",
    "status profile { entity { person { name { firstName } } } }",
    "status profile { entity { person { name { firstName } } } events(first: 1) { nodes { eventId } } }",
    "requested { value } status profile { id }",
]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("count", [1, 10])
async def test_an_impossible_identity_has_a_status_and_leaves_the_other_results(module_client, selection, count):
    """However the others are told, and however many they are."""
    await module_client.world.records(record(("Email", "ana@x.io"), first_name="Ana"))
    good = [{"key": {"namespace": "Email", "value": "ana@x.io" if n == 0 else f"{n}@x.io"}} for n in range(count)]
    bad = [{"key": {"namespace": "email", "value": "ana@x.io"}}, {"xid": "nonsense"}]
    query = f"query ($identities: [IdentityInput!]!) {{ profiles(identities: $identities) {{ {selection} }} }}"
    expected = (await module_client.data(query, identities=good))["profiles"]
    found = (await module_client.data(query, identities=[bad[0], *good, bad[1]]))["profiles"]
    assert found[1:-1] == expected
    for result in (found[0], found[-1]):
        assert (result.get("status"), result.get("profile"), result.get("identity")) == ("INVALID", None, None)
    if "message" in selection:
        assert "Did you mean 'Email'?" in found[0]["message"]
        assert "is not an xid" in found[-1]["message"]
    if "namespace" in selection:
        assert found[0]["requested"] == {"namespace": "email", "value": "ana@x.io", "xid": None}
        assert found[-1]["requested"] == {"namespace": None, "value": None, "xid": None}


@pytest.mark.parametrize("field", ["profile", "identity", "identityGraph"])
@pytest.mark.parametrize("code", NAMESPACES)
async def test_a_single_read_offers_the_namespaces_most_like_an_unknown_one(module_client, field, code):
    error = await module_client.error(
        f'{{ {field}(identity: {{key: {{namespace: "{code}", value: "1"}}}}) {{ __typename }} }}'
    )
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert NAMESPACES[code] in error["message"]


TAKING = [
    '{ profile(identity: {key: {namespace: "Email", value: "%s"}}) { entityJson(select: $select) } }',
    '{ profile(identity: {key: {namespace: "Email", value: "%s"}}) { explain(select: $select) { rule } } }',
    '{ profiles(identities: [{key: {namespace: "Email", value: "%s"}}]) { profile { ...Part } } } fragment Part on Profile { entityJson(select: $select) }',
    '{ nodes(ids: ["%s"]) { ... on Profile { entityJson(select: $select) } ... on ExperienceEvent { entityJson } } }',
]
WRONG = {
    "person.nme": (8, "There is no field 'nme' here (line 1, column 8). Did you mean 'name'?"),
    "loyalty,persn(name)": (9, "There is no field 'persn' here (line 1, column 9). Did you mean 'person'"),
    "person.name.firstName.x": (23, "below a plain value"),
    "identityMap.Email.idd": (19, "Did you mean 'id'?"),
    "identityMap.email": (13, "There is no identity namespace 'email' here (line 1, column 13). Did you mean 'Email'?"),
    "identityMap(Email,crm.id)": (19, "There is no identity namespace 'crm' here"),
    "person..name": (8, "Expected the name of a field"),
}


@pytest.mark.parametrize("select", WRONG)
@pytest.mark.parametrize("query", TAKING)
@pytest.mark.parametrize("value", ["ana@x.io", "nobody@x.io"])
@pytest.mark.parametrize("way", ["literal", "variable", "default"])
async def test_a_selector_is_checked_before_anything_is_read(  # noqa: PLR0917
    module_client, statements, select, query, value, way
):
    """Against all fields that the sandbox's documents can have; the column and the nearest name are told."""
    await module_client.world.records(record(("Email", "ana@x.io"), first_name="Ana"))
    await module_client.data("{ __typename }")
    text, variables = query.replace("%s", value), {}
    if way == "literal":
        text = text.replace("$select", f'"{select}"')
    else:
        default = f' = "{select}"' if way == "default" else ""
        text, variables = f"query ($select: String{default}) {text}", {} if default else {"select": select}
    with statements() as ran:
        error = await module_client.error(text, **variables)
    column, message = WRONG[select]
    assert message in error["message"]
    assert (error["extensions"]["code"], error["extensions"]["column"]) == ("BAD_SELECTOR", column)
    assert not [name for name in ran if not name.startswith("tenants.")]


async def test_selectors_of_events_are_checked_against_what_events_can_have(client):
    read = """query ($identities: [IdentityInput!]!) { events(identities: $identities) { nodes { entityJson(select: "%s") } } }"""
    assert (await client.data(read % "web.webPageDetails.name,_id", identities=[]))["events"]["nodes"] == []
    assert "Did you mean 'web'?" in (await client.error(read % "wep", identities=[]))["message"]
    assert "'person'" in (await client.error(read % "person", identities=[]))["message"]

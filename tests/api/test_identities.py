"""Identities and their graphs in GraphQL."""

import pytest
from citus import STATEMENTS
from world import event, record

ANA, PHONE, DEVICE = ("Email", "ana@x.io"), ("Phone", "+49"), ("ECID", "1" * 38)
IDENTITY = "query ($key: IdentityKeyInput!) { identity(identity: {key: $key}) { %s } }"
GRAPH = """query ($key: IdentityKeyInput!) { identityGraph(identity: {key: $key}) {
  identities { value } links { ...Link } refusedLinks { ...Link } } }
fragment Link on IdentityLink { a { value } b { value } firstSeenAt lastSeenAt sources { name } refusal }"""


def key(identity):
    return {"namespace": identity[0], "value": identity[1]}


async def test_an_identity_that_is_only_named_beside_others_is_known(client):
    await client.world.events(event("1", "2026-01-01T00:00:00.000Z", ANA, PHONE))
    fields = "id xid value isPrimary firstSeenAt lastSeenAt namespace { code idType } profile { profileId }"
    phone = (await client.data(IDENTITY % fields, key=key(PHONE)))["identity"]
    assert (phone["value"], phone["isPrimary"], phone["namespace"]) == (
        "+49",
        False,
        {"code": "Phone", "idType": "PHONE"},
    )
    assert (phone["firstSeenAt"], phone["lastSeenAt"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z")
    assert phone["profile"]["profileId"] == str(await client.world.xid(*ANA))
    again = await client.data("query ($xid: ID!) { identity(identity: {xid: $xid}) { id } }", xid=phone["xid"])
    assert again["identity"] == {"id": phone["id"]}
    node = await client.data("query ($id: ID!) { node(id: $id) { id ... on Identity { value } } }", id=phone["id"])
    assert node["node"] == {"id": phone["id"], "value": "+49"}


async def test_an_unknown_identity_is_null(client):
    assert (await client.data(IDENTITY % "id", key=key(ANA)))["identity"] is None
    assert (await client.data(GRAPH, key=key(ANA)))["identityGraph"] is None


async def test_a_graph_shows_its_links_with_their_times_and_sources(client):
    await client.world.events(
        event("1", "2026-01-02T00:00:00.000Z", ANA, DEVICE), event("2", "2026-01-01T00:00:00.000Z", DEVICE, ANA)
    )
    graph = (await client.data(GRAPH, key=key(DEVICE)))["identityGraph"]
    assert [each["value"] for each in graph["identities"]] == ["ana@x.io", "1" * 38]
    (link,) = graph["links"]
    assert {link.pop("a")["value"], link.pop("b")["value"]} == {"ana@x.io", "1" * 38}
    assert link == {
        "firstSeenAt": "2026-01-01T00:00:00.000Z",
        "lastSeenAt": "2026-01-02T00:00:00.000Z",
        "sources": [{"name": "Shop"}],
        "refusal": None,
    }
    assert graph["refusedLinks"] == []


GRAPHS = (
    "query ($asked: [IdentityInput!]!) { identityGraphs(identities: $asked) { identities { value } refusedLinkCount } }"
)


async def test_graphs_of_many_come_in_the_order_asked_for_with_nulls_for_unknown_ones(client, statements):
    await client.world.records(record(ANA, PHONE), record(DEVICE))
    nobody = ("Email", "nobody@x.io")
    asked = [{"key": key(name)} for name in (DEVICE, nobody, PHONE, ANA)]
    with statements() as ran:
        found = (await client.data(GRAPHS, asked=[*asked, {"xid": str(await client.world.xid(*DEVICE))}]))[
            "identityGraphs"
        ]
    assert [graph and [each["value"] for each in graph["identities"]] for graph in found] == [
        ["1" * 38], None, ["ana@x.io", "+49"], ["ana@x.io", "+49"], ["1" * 38],
    ]  # fmt: skip
    assert [graph["refusedLinkCount"] for graph in found if graph] == [0] * 4
    reads = [name for name in ran if "graph" in name or "people" in name]
    assert client.world.db.is_distributed or reads == ["people.read_people", "identity_graphs.read_ties"]


@pytest.mark.one_postgres(STATEMENTS)
async def test_identities_of_graphs_are_read_without_ties(client, statements):
    await client.world.records(record(ANA, PHONE), record(DEVICE))
    query = "query ($asked: [IdentityInput!]!) { identityGraphs(identities: $asked) { identities { value } } }"
    asked = [{"key": key(name)} for name in (ANA, DEVICE)]
    await client.data(query, asked=asked)
    with statements() as ran:
        await client.data(query, asked=asked)
    assert ran[1:] == ["people.read_people", "identities.read_identities"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"key": {"namespace": "Emial", "value": "x"}}, "`identities[1]`: There is no identity namespace 'Emial' in this sandbox. Did you mean 'Email'?"),
        ({"key": {"namespace": "ECID", "value": "12"}}, "`identities[1]`: An ECID has exactly 38 digits."),
        ({"xid": "x"}, "`identities[1]`: This is not an xid that this server gave out."),
    ],
)  # fmt: skip
async def test_an_identity_that_cannot_exist_is_named_by_its_place(client, wrong, says):
    error = await client.error(GRAPHS, asked=[{"key": key(ANA)}, wrong])
    assert (error["message"], error["extensions"]["code"]) == (says, "BAD_INPUT")


async def test_more_than_a_thousand_graphs_are_refused(client):
    error = await client.error(GRAPHS, asked=[{"key": key(ANA)}] * 1001)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"


BY_NAMESPACE = """query ($key: IdentityKeyInput!, $namespaces: [String!]) {
  profile(identity: {key: $key}) {
    identities(namespaces: $namespaces) { value } identityGraph { identities(namespaces: $namespaces) { value } } } }"""


@pytest.mark.parametrize(
    ("namespaces", "told"),
    [
        (["Phone"], ["+49"]), (["ECID", "Email", "Email"], ["ana@x.io", "1" * 38]), (["GAID"], []), ([], []), (None, ["ana@x.io", "+49", "1" * 38]),
    ],
)  # fmt: skip
async def test_identities_can_be_filtered_by_namespaces(client, namespaces, told):
    await client.world.records(record(ANA, PHONE, DEVICE))
    profile = (await client.data(BY_NAMESPACE, key=key(DEVICE), namespaces=namespaces))["profile"]
    assert [each["value"] for each in profile["identities"]] == told
    assert profile["identityGraph"]["identities"] == profile["identities"]


@pytest.mark.parametrize(
    ("namespaces", "code", "says"),
    [
        (["Email", "email"], "BAD_INPUT", "There is no identity namespace 'email' in this sandbox. Did you mean 'Email'?"),
        (["Email"] * 1001, "LIMIT_EXCEEDED", "At most 1,000 namespaces at once; 1,001 were given."),
    ],
)  # fmt: skip
async def test_a_namespace_that_is_unknown_is_an_error_where_it_is_asked_for(client, namespaces, code, says):
    await client.world.records(record(ANA))
    _, body = await client.answer(BY_NAMESPACE, {"key": key(ANA), "namespaces": namespaces})
    assert body["data"] == {"profile": None}
    assert {(error["extensions"]["code"], error["message"]) for error in body["errors"]} == {(code, says)}


async def test_what_the_cap_cuts_off_is_shown_as_refused_on_both_sides(client):
    devices = [("ECID", f"1{n:037}") for n in range(51)]
    await client.world.events(
        *(event(f"{n}", f"2026-01-01T00:{n:02}:00.000Z", ANA, device) for n, device in enumerate(devices))
    )
    ana = (await client.data(GRAPH, key=key(ANA)))["identityGraph"]
    assert (len(ana["identities"]), len(ana["links"]), len(ana["refusedLinks"])) == (50, 49, 2)
    oldest = (await client.data(GRAPH, key=key(devices[0])))["identityGraph"]
    assert oldest["identities"] == [{"value": devices[0][1]}]
    (refused,) = oldest["refusedLinks"]
    assert refused in ana["refusedLinks"]
    assert refused["refusal"] == "IDENTITY_CAP"
    query = "query ($key: IdentityKeyInput!) { profile(identity: {key: $key}) { limits { identityCount exceeded } } }"
    limits = (await client.data(query, key=key(ANA)))["profile"]["limits"]
    assert limits == {"identityCount": 52, "exceeded": ["IDENTITIES"]}


@pytest.mark.parametrize("query", [IDENTITY % "id", GRAPH])
async def test_profile_read_is_needed(client, query):
    error = await client.error(query, key=key(ANA), scopes=["config:write"])
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_the_same_person_is_in_every_answer_about_an_identity(client):
    await client.world.records(record(ANA, PHONE), record(PHONE, DEVICE))
    for identity in (ANA, PHONE, DEVICE):
        found = await client.data(
            """query ($key: IdentityKeyInput!) {
                 identity(identity: {key: $key}) { profile { profileId identities { value } } }
                 profile(identity: {key: $key}) { profileId identities { value } }
                 identityGraph(identity: {key: $key}) { identities { value } } }""",
            key=key(identity),
        )
        assert found["identity"]["profile"] == found["profile"]
        assert found["identityGraph"]["identities"] == found["profile"]["identities"]

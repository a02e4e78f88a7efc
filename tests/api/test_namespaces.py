"""Identity namespaces in GraphQL: listed, made, renamed."""

import pytest

CREATE = """mutation ($given: CreateIdentityNamespaceInput!) { createIdentityNamespace(input: $given) {
  identityNamespace { id code name description idType isCustom normalization priority isUniquePerGraph }
  userErrors { code path } } }"""
UPDATE = """mutation ($given: UpdateIdentityNamespaceInput!) { updateIdentityNamespace(input: $given) {
  identityNamespace { name description } userErrors { code path } } }"""
LIST = """query ($first: Int, $after: String) { identityNamespaces(first: $first, after: $after) {
  totalCount nodes { id code isCustom } pageInfo { hasNextPage endCursor } } }"""
LOYALTY = {"code": "Loyalty", "name": "Loyalty programme", "idType": "CROSS_DEVICE"}


async def test_a_namespace_is_made_and_can_be_used_at_once(client):
    made = (await client.changed(CREATE, {**LOYALTY, "normalization": "TRIM_LOWERCASE"}))["identityNamespace"]
    assert made == {
        "id": made["id"], "code": "Loyalty", "name": "Loyalty programme", "description": None, "idType": "CROSS_DEVICE",
        "isCustom": True, "normalization": "TRIM_LOWERCASE", "priority": None, "isUniquePerGraph": False,
    }  # fmt: skip
    query = '{ identity(identity: {key: {namespace: "Loyalty", value: "7"}}) { id } }'
    assert await client.data(query) == {"identity": None}
    node = "query ($id: ID!) { node(id: $id) { ... on IdentityNamespace { code } } }"
    assert (await client.data(node, id=made["id"]))["node"] == {"code": "Loyalty"}


async def test_what_is_left_out_of_a_change_stays(client):
    made = (await client.changed(CREATE, {**LOYALTY, "description": "Cards"}))["identityNamespace"]
    renamed = await client.changed(UPDATE, {"id": made["id"], "name": "Club"})
    assert renamed["identityNamespace"] == {"name": "Club", "description": "Cards"}
    bare = await client.changed(UPDATE, {"id": made["id"], "name": None, "description": None})
    assert bare["identityNamespace"] == {"name": "Club", "description": None}


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"code": "Email"}, "TAKEN", ["code"]),
        ({"code": " "}, "INVALID", ["code"]),
        ({"code": "x" * 65}, "INVALID", ["code"]),
        ({"name": ""}, "INVALID", ["name"]),
    ],
)
async def test_a_broken_rule_is_a_user_error(client, change, code, path):
    payload = (await client.data(CREATE, given={**LOYALTY, **change}))["createIdentityNamespace"]
    assert payload == {"identityNamespace": None, "userErrors": [{"code": code, "path": path}]}


async def test_standard_and_unknown_namespaces_do_not_change(client):
    listed = (await client.data(LIST))["identityNamespaces"]["nodes"]
    standard = next(each["id"] for each in listed if not each["isCustom"])
    for given in (standard, "namespace_AAAA", "nonsense"):
        payload = (await client.data(UPDATE, given={"id": given, "name": "x"}))["updateIdentityNamespace"]
        assert payload["userErrors"] == [{"code": "NOT_FOUND", "path": ["id"]}]


async def test_the_list_goes_by_code_page_by_page(client):
    await client.changed(CREATE, LOYALTY)
    whole = (await client.data(LIST))["identityNamespaces"]
    assert [each["code"] for each in whole["nodes"]] == sorted(each["code"] for each in whole["nodes"])
    assert whole["totalCount"] == len(whole["nodes"]) == 13
    first = (await client.data(LIST, first=5))["identityNamespaces"]
    rest = (await client.data(LIST, after=first["pageInfo"]["endCursor"]))["identityNamespaces"]
    assert first["nodes"] + rest["nodes"] == whole["nodes"]


@pytest.mark.parametrize("query", [CREATE, UPDATE])
async def test_config_write_is_needed(client, query):
    made = (await client.changed(CREATE, LOYALTY))["identityNamespace"]
    given = {"id": made["id"], "name": "x"} if query == UPDATE else {**LOYALTY, "code": "x"}
    error = await client.error(query, given=given, scopes=["profile:read"])
    assert error["extensions"]["code"] == "FORBIDDEN"

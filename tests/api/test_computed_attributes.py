"""The life of a computed attribute through the API, and its values beside the profile."""

import asyncio
from dataclasses import replace

import pytest
from client import Client
from reference import reference
from world import World, event, record

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.api.ids import global_id
from gateway.api.schema import build_schema
from gateway.domain.config import policies
from gateway.domain.config.policies import DEFAULT, IdentityGraphType
from gateway.domain.config.tenants import read_sandbox
from gateway.storage.queries import Query

CREATE = """mutation ($given: ComputedAttributeInput!) { createComputedAttribute(input: $given) {
  computedAttribute { id name displayName status mergeFunction returnType path lookback keepCurrent class dependencies version
                      expression { type format value } dependents { name } }
  userErrors { code message path line column } } }"""
UPDATE = """mutation ($given: UpdateComputedAttributeInput!) { updateComputedAttribute(input: $given) {
  computedAttribute { name status version returnType } userErrors { code message path line column } } }"""
DELETE = "mutation ($given: DeleteInput!) { deleteComputedAttribute(input: $given) { deletedId userErrors { code message path } } }"
VALUES = """query ($who: IdentityInput!, $names: [String!], $policy: ID) { profile(identity: $who, mergePolicyId: $policy) { computedAttributes(names: $names) {
  attribute { name } value valueAt asOf windowStart windowEnd eventsCounted isComplete } } }"""
BREAK = Query(
    "test.break",
    "update gateway.computed_attribute set expression = 'xEvent.gone.count()' where sandbox_id = $1 and name = 'wrong'",
    ("sandbox_id",),
    (),
    "rows",
    "For these tests.",
)
ADA, COOKIE = ("Email", "ada@example.com"), ("ECID", "7" * 38)
WHO = {"key": {"namespace": "Email", "value": "ada@example.com"}}
COUNT = "xEvent.count()"


async def answer(client, mutation, **given):
    """Run a mutation; return its object, or its first error as (code, path, line, column)."""
    ((_, payload),) = (await client.data(mutation, given=given)).items()
    changed, errors = (payload[key] for key in payload)
    return tuple(errors[0].get(key) for key in ("code", "path", "line", "column")) if errors else changed


async def create(client, name, expression, **given):
    return await answer(client, CREATE, name=name, expression=expression, **given)


async def values(client, *names, **given):
    profile = (await client.data(VALUES, who=WHO, names=names or None, **given))["profile"]
    return {each["attribute"]["name"]: each for each in profile["computedAttributes"]}


async def test_an_attribute_is_drafted_published_switched_off_and_deleted(client):
    await client.world.events(event("1", "2026-01-01T00:00:00Z", ADA))
    code = client.world.scope.organization.code
    made = await create(client, "visits", "xEvent.countt()")
    assert made == ("INVALID", ["expression"], 1, 8)
    made = await create(client, "visits", COUNT, displayName="Visits", lookback="P3Y", keepCurrent=False)
    assert made == {
        "id": made["id"], "name": "visits", "displayName": "Visits", "status": "DRAFT", "mergeFunction": "COUNT", "returnType": "long",
        "path": f"_{code}.ComputedAttributes.visits", "lookback": "P3Y", "keepCurrent": False, "class": "INDIVIDUAL_PROFILE",
        "dependencies": ["xEvent"], "version": 1, "expression": {"type": "PQL", "format": "pql/text", "value": COUNT}, "dependents": [],
    }  # fmt: skip
    this = {"id": made["id"]}
    assert await values(client) == {}
    assert (await client.error(VALUES, who=WHO, names=["visits"]))["message"].endswith("'visits'. It is DRAFT.")
    changed = await answer(client, UPDATE, **this, name="lastVisit", expression="xEvent.max(timestamp)", lookback=None)
    assert changed == {"name": "lastVisit", "status": "DRAFT", "version": 2, "returnType": "date-time"}
    assert (await answer(client, UPDATE, **this, status="PROCESSED"))[0] == "INVALID"
    assert (await answer(client, UPDATE, **this, status="NEW"))["status"] == "NEW"
    (value,) = (await values(client)).values()
    assert (value["value"], value["windowStart"], value["eventsCounted"]) == ("2026-01-01T00:00:00.000Z", None, 1)
    assert await answer(client, UPDATE, **this, status="NEW") == ("CONFLICT", ["status"], None, None)
    assert await answer(client, UPDATE, **this, expression=COUNT) == ("CONFLICT", ["id"], None, None)
    assert (await answer(client, UPDATE, **this, displayName="Last visit", description="When?"))["version"] == 4
    assert (await answer(client, DELETE, **this))[0] == "CONFLICT"
    assert (await answer(client, UPDATE, **this, status="DISABLED", currentVersion=3))[0] == "STALE"
    assert (await answer(client, UPDATE, **this, status="DISABLED", currentVersion=4))["status"] == "DISABLED"
    assert await values(client) == {}
    assert (await answer(client, UPDATE, **this, expression=COUNT))[0] == "CONFLICT"
    assert (await answer(client, UPDATE, **this, status="NEW"))["status"] == "NEW"
    assert list(await values(client)) == ["lastVisit"]
    await answer(client, UPDATE, **this, status="DISABLED")
    assert await answer(client, DELETE, **this) == made["id"]
    assert (await answer(client, DELETE, **this))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": "a_b"}, ["name"]), ({"name": "1a"}, ["name"]), ({"name": ""}, ["name"]), ({"name": "a" * 101}, ["name"]),
        ({"displayName": " "}, ["displayName"]), ({"class": "EXPERIENCE_EVENT"}, ["expression"]), ({"lookback": "PT90M"}, ["lookback"]),
        ({"class": "EXPERIENCE_EVENT", "expression": "eventType", "lookback": "P1D"}, ["lookback"]),
        ({"class": "EXPERIENCE_EVENT", "expression": "timestamp occurs today"}, ["expression"]),
        ({"expression": "{}"}, ["expression"]), ({"expression": "this"}, ["expression"]), ({"expression": '{"a": $1}'}, ["expression"]), ({"expression": '{"a b": 1}'}, ["expression"]), ({"expression": "xEvent._id\u0000"}, ["expression"]),
        ({"lookback": "P4Y"}, ["lookback"]), ({"expression": "homeAddress.city", "lookback": "P1D"}, ["lookback"]),
        ({"expression": "xEvent.count() + 1"}, ["expression"]), ({"expression": "xEvent[^person.isNull()].count()"}, ["expression"]),
        ({"expression": "xEvent[timestamp occurs < 7 days before now].count()"}, ["expression"]), ({"expression": ""}, ["expression"]),
    ],
)  # fmt: skip
async def test_what_no_attribute_can_be_is_refused_with_its_place(module_client, given, path):
    code, told, line, _ = await answer(module_client, CREATE, **{"name": "a", "expression": COUNT, **given})
    assert (code, told, line) == ("INVALID", path, 1 if path == ["expression"] else None)


async def test_attributes_read_published_ones_which_are_then_neither_disabled_nor_deleted(client):
    total = f"_{client.world.scope.organization.code}.ComputedAttributes.total"
    assert (await create(client, "half", f"{total} / 2"))[0] == "INVALID"
    base = await create(client, "total", COUNT)
    assert (await create(client, "half", f"{total} / 2"))[0] == "INVALID"  # a draft is read by nobody
    await answer(client, UPDATE, id=base["id"], status="NEW")
    assert (await create(client, "all", total.removesuffix(".total")))[0] == "INVALID"
    half = await create(client, "half", f"{total} / 2", publish=True)
    assert (half["mergeFunction"], half["returnType"], half["dependencies"]) == (None, "double", [total])
    data = await client.data('{ computedAttribute(name: "total") { dependents { name } } }')
    assert data["computedAttribute"]["dependents"] == [{"name": "half"}]
    assert await answer(client, UPDATE, id=base["id"], status="DISABLED") == ("CONFLICT", ["status"], None, None)
    await answer(client, UPDATE, id=half["id"], status="DISABLED")
    assert (await answer(client, UPDATE, id=base["id"], status="DISABLED"))["status"] == "DISABLED"
    assert (await answer(client, UPDATE, id=half["id"], status="NEW"))[0] == "INVALID"


async def test_attributes_read_each_other_in_no_circle(client):
    own = f"_{client.world.scope.organization.code}.ComputedAttributes"
    assert (await create(client, "itself", f"{own}.itself + 1"))[0] == "INVALID"
    base = await create(client, "total", COUNT, publish=True)
    half = await create(client, "half", f"{own}.total / 2", publish=True)
    circle = await answer(client, UPDATE, id=base["id"], expression=f"{own}.half * 2")
    assert circle == ("CONFLICT", ["id"], None, None)
    await answer(client, UPDATE, id=half["id"], status="DISABLED")
    await answer(client, UPDATE, id=base["id"], status="DISABLED")
    assert await answer(client, DELETE, id=base["id"]) == base["id"]
    assert (await create(client, "total", f"{own}.half * 2"))[0] == "INVALID"
    assert (await create(client, "total", COUNT, publish=True))["status"] == "NEW"
    assert (await answer(client, UPDATE, id=half["id"], status="NEW"))["status"] == "PROCESSED"


async def test_an_attribute_of_events_is_in_conditions_and_in_aggregations_and_then_not_disabled(client):
    await client.world.events(
        *(event(str(day), f"2026-01-0{day}T00:00:00Z", ADA, eventType="a" * day) for day in (1, 2))
    )
    code, given = client.world.scope.organization.code, {"class": "EXPERIENCE_EVENT", "publish": True}
    double = await create(client, "double", 'if(eventType = "aa", "double", "other")', **given)
    assert (double["class"], double["status"], double["mergeFunction"], double["dependencies"]) == (
        "EXPERIENCE_EVENT", "PROCESSED", None, ["eventType"],
    )  # fmt: skip
    place = f"_{code}.ComputedAttributes.double"
    assert (await create(client, "again", f"{place} = 1", **given))[
        0
    ] == "INVALID"  # an event's value is of that event alone
    count = await create(client, "doubles", f'xEvent[{place} = "double"].count()', publish=True)
    assert count["dependencies"] == [f"xEvent.{place}"]
    assert {name: each["value"] for name, each in (await values(client)).items()} == {"doubles": 1}
    assert (await client.error(VALUES, who=WHO, names=["double"]))["message"].endswith("Events have it, not people.")
    text = """query ($who: IdentityInput!, $events: String, $people: String) { profile(identity: $who) { events(filter: {where: $events}) { nodes { eventId } } }
                                                                             searchProfiles(where: $people) { nodes { profileId } } }"""
    data = await client.data(text, who=WHO, events=f'{place} = "double"', people=f'xEvent.{place}.includes("double")')
    assert (data["profile"]["events"]["nodes"], len(data["searchProfiles"]["nodes"])) == ([{"eventId": "2"}], 1)
    assert await answer(client, UPDATE, id=double["id"], status="DISABLED") == ("CONFLICT", ["status"], None, None)
    await answer(client, UPDATE, id=count["id"], status="DISABLED")
    assert (await answer(client, UPDATE, id=double["id"], status="DISABLED"))["status"] == "DISABLED"
    assert (await client.error(text, who=WHO, events=f'{place} = "double"'))["extensions"]["code"] == "BAD_PQL"


async def test_the_place_of_attributes_is_taken_by_no_custom_field(client):
    field = {"ComputedAttributes": {"type": "string"}}
    text = "mutation ($given: CreateSchemaInput!) { createSchema(input: $given) { schema { id } userErrors { code path line column } } }"
    given = {"title": "Own", "class": "INDIVIDUAL_PROFILE", "customFields": field}
    assert await answer(client, text, **given) == ("INVALID", ["customFields", "ComputedAttributes"], None, None)


async def test_windows_beyond_the_retention_of_events_are_warned_of_on_both_sides(client):
    attribute = "mutation ($given: ComputedAttributeInput!) { createComputedAttribute(input: $given) { warnings userErrors { code } } }"
    dataset = "mutation ($given: UpdateDatasetInput!) { updateDataset(input: $given) { warnings userErrors { code } } }"
    shop = {"id": global_id("Dataset", client.world.shop.dataset_id)}

    async def warned(text, **given):
        ((_, payload),) = (await client.data(text, given=given)).items()
        assert payload["userErrors"] == []
        return [each.split("'")[1] for each in payload["warnings"]]

    for name, lookback in (("day", "P1D"), ("month", "P1M"), ("year", "P1Y"), ("ever", None)):
        assert await warned(attribute, name=name, expression=COUNT, lookback=lookback) == []
    assert await warned(attribute, name="caller", expression="person.name.firstName") == []
    assert await warned(dataset, **shop, eventRetentionDays=366) == ["ever"]
    assert await warned(dataset, **shop, eventRetentionDays=30) == ["ever", "month", "year"]
    assert await warned(attribute, name="weeks", expression=COUNT, lookback="P5W") == ["weeks"]
    assert await warned(attribute, name="hours", expression=COUNT, lookback="PT720H") == []
    assert await warned(dataset, **shop, eventRetentionDays=None) == []


async def test_a_schema_that_would_take_fields_from_attributes_waits_for_them(client):
    """The union of a class has all shipped fields until its first schema is enabled, which may have fewer."""
    world = client.world
    await client.data('mutation { createSandbox(input: {name: "fresh"}) { userErrors { message } } }')
    sandbox = await read_sandbox(world.db, world.scope.organization.organization_id, "fresh")
    assert sandbox is not None
    fresh = Client(replace(world, scope=replace(world.scope, sandbox=sandbox)), client.operations)
    spent = await create(fresh, "spent", "xEvent.sum(commerce.order.priceTotal)", publish=True)
    await create(fresh, "visits", COUNT, publish=True)
    text = "mutation ($given: CreateSchemaInput!) { createSchema(input: $given) { schema { id } userErrors { code path message } } }"
    given = {"title": "Visits", "class": "EXPERIENCE_EVENT", "fieldGroups": []}
    payload = (await fresh.data(text, given=given))["createSchema"]
    assert [
        (each["code"], "'spent'" in each["message"], "'visits'" in each["message"]) for each in payload["userErrors"]
    ] == [("CONFLICT", True, False)]
    await answer(fresh, UPDATE, id=spent["id"], status="DISABLED")
    assert (await fresh.data(text, given=given))["createSchema"]["userErrors"] == []
    assert (await answer(fresh, UPDATE, id=spent["id"], status="NEW"))[0] == "INVALID"


async def test_an_attribute_whose_expression_is_wrong_by_now_says_so_and_hides_no_other(client):
    world = client.world
    await world.records(record(ADA, first_name="Ada"))
    wrong, right = (
        await create(client, "wrong", COUNT, publish=True),
        await create(client, "right", "person.name.firstName", publish=True),
    )
    await create(client, "reader", f"{wrong['path']} + 1", publish=True)
    await world.db.rows(BREAK, world.scope.sandbox_id)
    await answer(client, UPDATE, id=right["id"], displayName="Right")  # another version of the configuration
    data = await client.data(
        "{ computedAttributes(orderBy: {field: NAME, direction: ASC}) { nodes { name status error progress } } }"
    )
    told = {each["name"]: (each["status"], bool(each["error"])) for each in data["computedAttributes"]["nodes"]}
    assert told["wrong"] == told["reader"] == ("FAILED", True)
    assert not told["right"][1]
    assert {name: each["value"] for name, each in (await values(client)).items()} == {"right": "Ada"}
    assert (await client.error(VALUES, who=WHO, names=["wrong"]))["message"].endswith("'wrong'. It is FAILED.")
    assert await answer(client, UPDATE, id=wrong["id"], status="DISABLED") == ("CONFLICT", ["status"], None, None)
    (reader,) = (await client.data('{ computedAttribute(name: "reader") { id } }')).values()
    assert (await answer(client, UPDATE, id=reader["id"], status="DISABLED"))["status"] == "DISABLED"
    assert (await answer(client, UPDATE, id=wrong["id"], status="DISABLED"))["status"] == "DISABLED"
    assert await answer(client, DELETE, id=wrong["id"]) == wrong["id"]


async def test_as_many_are_published_as_a_setting_allows(client):
    few = Client(
        client.world,
        Operations(client.world.db, client.world.configurations, build_schema(), Limits(), most_attributes=2),
    )
    first = await create(few, "a", COUNT, publish=True)
    await create(few, "b", COUNT, publish=True)
    draft = await create(few, "c", COUNT)
    assert (await create(few, "d", COUNT, publish=True))[0] == "LIMIT_EXCEEDED"
    assert (await answer(few, UPDATE, id=draft["id"], status="NEW"))[0] == "LIMIT_EXCEEDED"
    await answer(few, UPDATE, id=first["id"], status="DISABLED")
    assert (await answer(few, UPDATE, id=draft["id"], status="NEW"))["status"] == "NEW"
    assert (await create(few, "a", COUNT))[0] == "TAKEN"
    await answer(few, UPDATE, id=draft["id"], status="DISABLED")
    raced = await asyncio.gather(*(create(few, f"r{number}", COUNT, publish=True) for number in range(4)))
    assert sorted(each[0] if isinstance(each, tuple) else "made" for each in raced) == 3 * ["LIMIT_EXCEEDED"] + ["made"]


async def test_values_come_in_the_order_of_their_names_under_any_policy_on_every_way(client):
    world: World = client.world
    await world.records(record(ADA, COOKIE, first_name="Ada"))
    await world.events(
        event("1", "2026-01-01T00:00:00Z", ADA, eventType="a"),
        event("2", "2026-01-02T00:00:00Z", COOKIE, eventType="b"),
    )
    await world.publish("visits", COUNT)
    await world.publish("latest", "xEvent.topN(timestamp, 1).head().eventType")
    await world.publish("caller", "person.name.firstName")
    found = await values(client, "latest", "visits", "latest", "caller")
    assert [(name, each["value"], each["eventsCounted"]) for name, each in found.items()] == [
        ("latest", "b", 2),
        ("visits", 2, 2),
        ("caller", "Ada", 0),
    ]
    assert found["latest"]["valueAt"] == "2026-01-02T00:00:00.000Z"
    assert {each["windowEnd"] for each in found.values()} == {found["visits"]["asOf"]}
    alone = await policies.create_policy(
        world.db, world.scope, DEFAULT.__class__("Alone", IdentityGraphType.NONE, DEFAULT.attribute_merge)
    )
    found = await values(client, policy=global_id("MergePolicy", alone.policy_id))
    assert {name: each["value"] for name, each in found.items()} == {"caller": "Ada", "latest": "a", "visits": 1}
    many = """query ($who: [IdentityInput!]!) { profiles(identities: $who) { profile { profileId computedAttributes { value } } }
                                                searchProfiles(first: 5) { nodes { computedAttributes(names: ["visits"]) { value } } } }"""
    stock = reference(world)
    told = await client.data(many, who=[WHO, WHO])
    assert told == await stock.data(many, who=[WHO, WHO])
    assert [each["profile"]["computedAttributes"] for each in told["profiles"]] == 2 * [
        [{"value": "Ada"}, {"value": "b"}, {"value": 2}]
    ]
    assert told["searchProfiles"]["nodes"] == [{"computedAttributes": [{"value": 2}]}]
    error = await client.error(VALUES, who=WHO, names=["visit"])
    assert (error["extensions"]["code"], "Did you mean 'visits'?" in error["message"]) == ("BAD_INPUT", True)


async def test_a_number_beyond_any_double_is_missing_and_incomplete_on_every_way(client):
    huge = {"order": {"priceTotal": 1e308}}
    await client.world.events(*[event(f"{n}", f"2026-01-0{n}T00:00:00Z", ADA, commerce=huge) for n in (1, 2)])
    await client.world.publish("spent", "xEvent.sum(commerce.order.priceTotal)")
    folded = await values(client, "spent")
    factors = " * ".join(["A"] * 12)
    await client.world.publish("large", f"let A = (100000000000000000000000000000) in ({factors})")
    computed = await values(client)
    told = [(each["value"], each["isComplete"]) for each in (*folded.values(), *computed.values())]
    assert told == 3 * [(None, False)]
    assert folded["spent"]["eventsCounted"] == computed["spent"]["eventsCounted"] == 2

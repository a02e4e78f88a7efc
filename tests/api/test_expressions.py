"""`checkExpression` over the sandbox's own schema, and `testExpression` over one person."""

import asyncio
from datetime import timedelta

import pytest
from world import World, event, record

from gateway.api.ids import global_id
from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.reading.conditions import READ_INSTANT
from gateway.domain.reading.expressions import evaluate_expression
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.errors import BadPql
from gateway.pql import ranges
from gateway.xdm.classes import XdmClass

CHECK = """query ($text: String!, $of: XdmClass) { checkExpression(expression: $text, class: $of) {
  isValid returnType dependencies cost errors { message line column suggestions } warnings { message line column } } }"""


async def test_an_expression_is_checked_against_the_schemas_of_the_sandbox(client):
    own = await World.create(client.world.db, custom_fields={"shoeSize": {"type": "integer"}})
    text = f"_{own.scope.organization.code}.shoeSize + xEvent.count()"
    found = (await client.of(own).data(CHECK, text=text))["checkExpression"]
    assert found == {
        "isValid": True,
        "returnType": "long",
        "dependencies": [text.partition(" ")[0], "xEvent"],
        "cost": found["cost"],
        "errors": [],
        "warnings": [],
    }
    assert found["cost"] > 100
    elsewhere = (await client.data(CHECK, text=text))["checkExpression"]
    assert (elsewhere["isValid"], elsewhere["cost"], elsewhere["dependencies"]) == (False, None, [])
    assert [(each["line"], each["column"]) for each in elsewhere["errors"]] == [(1, 1)]


async def test_an_event_has_its_own_fields_and_no_events(client):
    given = {"text": 'eventType = "a"', "of": XdmClass.EXPERIENCE_EVENT.value}
    assert (await client.data(CHECK, **given))["checkExpression"]["dependencies"] == ["eventType"]
    of_profile = (await client.data(CHECK, text='eventType = "a"'))["checkExpression"]
    assert of_profile["errors"][0]["message"] == "There is no field `eventType` here."
    assert of_profile["returnType"] == "boolean"
    unread = (await client.data(CHECK, text="eventType ="))["checkExpression"]
    assert (unread["returnType"], unread["errors"][0]["column"]) == (None, 12)


async def test_computed_attributes_are_read_as_they_are_at_the_moment(client):
    own = await World.create(client.world.db)
    path, asked = f"_{own.scope.organization.code}.ComputedAttributes", client.of(own)
    await own.records(record(ADA, first_name="Ada"))
    at = await own.db.value(READ_INSTANT)
    await own.events(*[event(f"e{days}", (at - timedelta(days=days)).isoformat(), ADA) for days in (1, 5, 40)])
    await own.publish("visits", "xEvent.count()")
    await own.publish("recent", "xEvent.count()", parse_duration("P1M"))
    await own.publish("share", f"{path}.recent / {path}.visits")
    found = (await asked.data(CHECK, text=f"{path}.share > 0.5"))["checkExpression"]
    assert (found["returnType"], found["dependencies"]) == ("boolean", [f"{path}.share"])
    assert found["cost"] > 200
    text = f"[{path}.visits, {path}.recent, {path}.share * 3, xEvent.count()]"
    assert await value(asked, text, lookback="P3D") == [3, 2, 2, 1]
    whole = (await asked.data(CHECK, text=f"{path}.isNull()"))["checkExpression"]["errors"]
    assert [each["message"].split(":")[0] for each in whole] == ["Name the computed attribute that is read"]
    unknown = await asked.error(TEST, text=f"{path}.visit", who=WHO)
    assert "no field `visit`" in unknown["message"]
    assert "`visits`" in unknown["message"]


@pytest.mark.parametrize("text", ["", "\x00", "a" * 20_000, "(" * 9_000, '"\ufffe"'])
async def test_no_text_is_a_fault_of_the_gateway(client, text):
    assert "errors" not in (await client.answer(CHECK, {"text": text}))[1]


TEST = """query ($text: String!, $who: IdentityInput!, $policy: ID, $lookback: Duration) {
  testExpression(expression: $text, identity: $who, mergePolicyId: $policy, lookback: $lookback) { value returnType asOf } }"""
ADA = ("Email", "ada@example.com")
WHO = {"key": {"namespace": "Email", "value": "ada@example.com"}}
COOKIE = ("ECID", "7" * 38)


@pytest.fixture(scope="module")
async def person(module_client):
    """Somebody with a record, an event under the same identity, and an older one under a cookie that is theirs, too."""
    await module_client.world.records(record(ADA, first_name="Ada"))
    at = await module_client.world.db.value(READ_INSTANT)
    await module_client.world.events(
        event("new", (at - timedelta(days=2)).isoformat(), ADA, COOKIE, eventType="a"),
        event("old", (at - timedelta(days=40)).isoformat(), COOKIE, eventType="b"),
        event("ahead", (at + timedelta(days=400)).isoformat(), COOKIE, eventType="c"),
    )
    return module_client


async def value(client, text, **given):
    return (await client.data(TEST, text=text, who=WHO, **given))["testExpression"]["value"]


async def test_an_expression_is_evaluated_over_the_profile_its_events_and_its_identities(person):
    found = await person.data(TEST, text="xEvent.eventType", who=WHO)
    assert found["testExpression"]["value"] == ["b", "a", "c"]
    assert found["testExpression"]["returnType"] == "array<string>"
    assert await value(person, "person.name.firstName") == "Ada"
    assert await value(person, "identityMap.keys()") == ["ECID", "Email"]
    assert await value(person, 'identityMap.get("ECID").id') == ["7" * 38]
    assert await value(person, "person.name.lastName") is None
    assert await value(person, "1 / 3") == pytest.approx(1 / 3)
    now = (await person.data(TEST, text="now", who=WHO))["testExpression"]
    assert (now["value"], now["returnType"]) == (now["asOf"], "date-time")


async def test_events_are_those_of_the_look_back_at_the_time_by_which_they_are_in_order(person):
    assert await value(person, "xEvent.eventType", lookback="P30D") == ["a", "c"]
    assert await value(person, "xEvent.eventType", lookback="P3Y") == ["b", "a", "c"]
    assert await value(person, "xEvent[timestamp occurs < 1 hour before now].eventType") == ["c"]
    for wrong in ("PT90M", "P1DT1H", "P4Y", "P0D", "7 days", "-P1D"):
        assert (await person.error(TEST, text="1", who=WHO, lookback=wrong))["extensions"]["code"] == "BAD_INPUT", wrong


async def test_any_policy_sees_the_person_in_its_own_way(person):
    world = person.world
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    policy = await policies.create_policy(world.db, world.scope, PolicySettings("Alone", IdentityGraphType.NONE, rule))
    given = {"policy": global_id("MergePolicy", policy.policy_id)}
    assert await value(person, "xEvent.eventType", **given) == ["a"]
    assert await value(person, "person.name.firstName", **given) is None
    assert await value(person, "identityMap.keys()", **given) == ["Email"]


async def test_nobody_is_null_and_a_mistake_is_an_error_with_its_place(person):
    nobody = {"key": {"namespace": "Email", "value": "bob@example.com"}}
    assert await person.data(TEST, text="1", who=nobody) == {"testExpression": None}
    for who in (WHO, nobody):
        error = await person.error(TEST, text="person.name.\n  fistName", who=who)
        assert error["extensions"] == {"code": "BAD_PQL", "line": 2, "column": 3}
        assert (
            error["message"]
            == "Line 2, column 3: There is no field `fistName` here. Did you mean `firstName` or `lastName` or `fullName`?"
        )


async def test_a_number_beyond_any_double_is_an_error(person):
    text = "let A = (100000000000000000000000000000) in (A * A * A * A * A * A * A * A * A * A * A * A)"
    error = await person.error(TEST, text=text, who=WHO)
    assert (error["extensions"]["code"], "out of range" in error["message"]) == ("BAD_PQL", True)


async def test_a_value_that_cannot_be_computed_ends_no_other_read_of_one_moment(person, monkeypatch):
    monkeypatch.setattr(ranges, "MAX_DIGITS", 10**9)  # such an expression is refused
    world = person.world
    config, xid = await world.config(), await world.xid(*ADA)
    large = f"let A = (1.0e300) in let B = ({'*'.join('A' * 25)}) in ({'*'.join('B' * 20)})"
    async with world.db.at_one_moment() as still:

        async def found(text):
            return await evaluate_expression(still, world.scope, config, config.default_policy, text=text, xid=xid)

        texts = [
            "person.name.firstName",
            large,
            "person.name.firstName",
        ]
        one, wrong, other = await asyncio.gather(*map(found, texts), return_exceptions=True)
        assert isinstance(wrong, BadPql)
        assert "out of range" in wrong.message
        again = await found(texts[0])
        assert {each.value for each in (one, other, again)} == {"Ada"}


@pytest.mark.parametrize(
    "text",
    [
        "let A = (100000000000000000000000000000 * 100000000000000000000000000000) in let B = (A*A*A*A*A*A*A*A*A*A) in let C = (B*B*B*B*B*B*B*B*B*B) in (C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C*C)",
        "let A = (100000000000000000000000000000 * 100000000000000000000000000000) in (A*A*A*A*A*A*A*A*A*A)",
        "let A = (1 / 100000000000000000000000000000) in (A*A*A*A*A*A*A*A*A*A*A*A)",
        '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".matches("^((a+)+)+b$")',
        "date(1, 1, 1) occurs < 1000 years before date(9999, 12, 31)",
        "date(1, 1, 1) occurs > 999 years before date(1, 1, 1)",
        "date(9999, 12, 31) occurs < 1 millennium after date(9999, 12, 31)",
        "today occurs this millennium",
        '{"a": [{}]}',
    ],
)
async def test_no_value_is_a_fault_of_the_gateway(person, text):
    _, body = await person.answer(TEST, {"text": text, "who": WHO})
    assert {each["extensions"]["code"] for each in body.get("errors", ())} <= {"BAD_PQL"}, body

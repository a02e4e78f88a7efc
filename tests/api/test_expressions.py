"""`checkExpression`: what is known of an expression over the sandbox's own schema."""

import pytest
from world import World

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


@pytest.mark.parametrize("text", ["", "\x00", "a" * 20_000, "(" * 9_000, '"\ufffe"'])
async def test_no_text_is_a_fault_of_the_gateway(client, text):
    assert "errors" not in (await client.answer(CHECK, {"text": text}))[1]

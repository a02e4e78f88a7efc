"""Selectors as arguments: one that cannot be read is refused before anything is read, whoever is found."""

import pytest

from gateway.api.execution.operations import Outcome

NOBODY = '(identity: {key: {namespace: "Email", value: "nobody@example.com"}})'
FIELDS = ["entityJson(select: {})", "explain(select: {}) {{ rule }}"]


@pytest.mark.parametrize("field", FIELDS)
async def test_a_selector_that_cannot_be_read_is_refused_whoever_is_found(client, statements, field):
    written = field.format('"person.name("'), field.format("$select")
    asked = [
        (f"{{ profile{NOBODY} {{ {written[0]} }} }}", {}),
        (f"query($select: String) {{ profile{NOBODY} {{ {written[1]} }} }}", {"select": "person..name"}),
        (f'query($select: String = "(") {{ profile{NOBODY} {{ {written[1]} }} }}', {}),
        (f"{{ profile{NOBODY} {{ ...F }} }} fragment F on Profile {{ {written[0]} }}", {}),
    ]
    for query, variables in asked:
        with statements() as seen:
            outcome, body = await client.answer(query, variables)
        (error,) = body["errors"]
        assert (outcome, error["extensions"]["code"]) == (Outcome.REFUSED, "BAD_SELECTOR")
        assert "line 1, column" in error["message"]
        assert not {name.partition(".")[0] for name in seen} & {"people", "profiles", "identities"}


@pytest.mark.parametrize("field", FIELDS)
async def test_a_selector_that_can_be_read_finds_nobody_where_nobody_is(client, field):
    written = field.format('"person.name"')
    assert await client.data(f"{{ profile{NOBODY} {{ {written} }} }}") == {"profile": None}
    null = f"query($select: String) {{ profile{NOBODY} {{ {field.format('$select')} }} }}"
    assert await client.data(null, select=None) == {"profile": None}
    other = f"query A {{ profile{NOBODY} {{ {written} }} }} query B {{ profile{NOBODY} {{ {field.format(chr(34) + '(' + chr(34))} }} }}"
    outcome, body = await client.answer(other, {}, operation_name="A")
    assert (outcome, body) == (Outcome.ANSWERED, {"data": {"profile": None}})

"""Selectors as arguments: one that cannot be read is refused before anything is read, whoever is found."""

import asyncio
from collections import Counter
from threading import Event

import pytest
from graphql import is_object_type
from world import record

from gateway.api.execution import argument_texts
from gateway.api.execution.operations import Outcome
from gateway.api.schema import build_schema
from gateway.api.selectors import ARGUMENT, MAX_CHARACTERS_PROJECTED
from gateway.domain.rules import selectors
from gateway.runtime import slices
from gateway.runtime.threads import DOCUMENTS

NOBODY = '(identity: {key: {namespace: "Email", value: "nobody@example.com"}})'
FIELDS = ["entityJson(select: {})", "explain(select: {}) {{ rule }}"]


@pytest.mark.parametrize("field", FIELDS)
async def test_a_selector_that_cannot_be_parsed_is_refused_whether_a_person_is_found_or_not(client, statements, field):
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
async def test_a_valid_selector_gives_null_where_there_is_no_person(client, field):
    written = field.format('"person.name"')
    assert await client.data(f"{{ profile{NOBODY} {{ {written} }} }}") == {"profile": None}
    null = f"query($select: String) {{ profile{NOBODY} {{ {field.format('$select')} }} }}"
    assert await client.data(null, select=None) == {"profile": None}
    other = f"query A {{ profile{NOBODY} {{ {written} }} }} query B {{ profile{NOBODY} {{ {field.format(chr(34) + '(' + chr(34))} }} }}"
    outcome, body = await client.answer(other, {}, operation_name="A")
    assert (outcome, body) == (Outcome.ANSWERED, {"data": {"profile": None}})


LONG = ",".join(["person.name.firstName"] * 200)


async def test_a_selector_is_parsed_once_in_an_operation(client, monkeypatch):
    names = [("Email", f"p{number}@example.com") for number in range(20)]
    await client.world.records(*(record(name, first_name="Ana") for name in names))
    read, parse = [], argument_texts.parse
    monkeypatch.setattr(argument_texts, "parse", lambda text, schema: read.append(text) or parse(text, schema))
    keys = [{"key": {"namespace": namespace, "value": value}} for namespace, value in names]
    found = await client.data(
        "query($k: [IdentityInput!]!, $s: String) { profiles(identities: $k) { profile { entityJson(select: $s) explain(select: $s) { value } } } }",
        k=keys,
        s="person.name.firstName",
    )
    assert [each["profile"]["entityJson"] for each in found["profiles"]] == [
        {"person": {"name": {"firstName": "Ana"}}}
    ] * 20
    assert read == ["person.name.firstName"]


async def test_long_selectors_are_parsed_in_a_thread_and_delay_no_other_request(client):
    busy = Event()
    blocker = asyncio.ensure_future(DOCUMENTS.run(busy.wait))
    waiting = asyncio.ensure_future(
        client.data(f"query($s: String) {{ profile{NOBODY} {{ entityJson(select: $s) }} }}", s=LONG)
    )
    while DOCUMENTS._waiting < 2 and not waiting.done():  # noqa: ASYNC110 (nobody says when it has come so far)
        await asyncio.sleep(0)
    try:
        assert (await client.data("{ viewer { organization } }"))["viewer"]
        assert not waiting.done()
    finally:
        busy.set()
    await blocker
    assert await waiting == {"profile": None}


async def test_an_operation_has_only_so_many_characters_of_selectors_in_it(client):
    given = {f"s{number}": LONG + " " * number for number in range(25)}
    fields = " ".join(f"a{number}: entityJson(select: $s{number})" for number in range(25))
    declared = " ".join(f"${name}: String" for name in given)
    error = await client.error(f"query({declared}) {{ profile{NOBODY} {{ {fields} }} }}", **given)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "characters together" in error["message"]


def test_every_type_whose_fields_take_a_selector_declares_the_class_of_its_documents():
    types = [type_ for type_ in build_schema().type_map.values() if is_object_type(type_)]
    taking = {type_.name for type_ in types for field in type_.fields.values() if ARGUMENT in field.args}
    having = {
        type_.name
        for type_ in types
        if (definition := type_.extensions.get("strawberry-definition"))
        and getattr(definition.origin, "documents", None)
    }
    assert taking == having == {"Profile", "ExperienceEvent"}


async def test_what_is_selected_of_many_documents_is_picked_in_slices(client, monkeypatch):
    """With slices as short as can be, others have a turn of the event loop after each few of them."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 1e-9)
    names = [("Email", f"p{number}@example.com") for number in range(60)]
    await client.world.records(*(record(name, first_name="Ana") for name in names))
    turn, picked, apply = 0, Counter[int](), selectors.apply

    async def others():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def spy(*given):
        picked[turn] += 1
        return apply(*given)

    monkeypatch.setattr(selectors, "apply", spy)
    watching = asyncio.create_task(others())
    found = await client.data(
        "query($n: Int, $s: String) { searchProfiles(first: $n) { nodes { profileId sources { name } entityJson(select: $s) } } }",
        n=60,
        s="person" + " " * MAX_CHARACTERS_PROJECTED,
    )
    watching.cancel()
    assert len(found["searchProfiles"]["nodes"]) == sum(picked.values()) == 60
    assert max(picked.values()) == 1

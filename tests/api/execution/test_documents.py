"""Documents: refused with what is wrong and no word too many, or valid and parsed but once."""

import asyncio
import gc
from contextlib import suppress
from threading import Event, current_thread, main_thread

import pytest
from graphql import build_schema

from gateway.api.execution.documents import SHORT_CHARACTERS, Documents
from gateway.api.execution.errors import ParseFailed, ValidationFailed
from gateway.api.execution.limits import Limits
from gateway.api.execution.schemas import SandboxSchema
from gateway.api.execution.stages import Stages
from gateway.errors import LimitExceeded

SCHEMA = SandboxSchema(build_schema("type Query { hello(name: String): String }"), b"one")
OTHER = SandboxSchema(build_schema("type Query { goodbye: String }"), b"other")


async def read(text, limits=None, schema=SCHEMA):
    return await Documents(limits or Limits()).read(text, schema, Stages())


def planned(operation, given):
    values = operation.variables.read(given)
    return operation.keep(values, operation.compile(values, Stages()))


def long(selection):
    """A document that is read in the thread of long ones."""
    return f"{{ {selection} {'#' * SHORT_CHARACTERS}\n}}"


async def test_a_text_is_parsed_once_for_each_schema():
    kept = Documents(Limits())
    first = await kept.read("{ hello }", SCHEMA, Stages())
    assert await kept.read("{ hello }", SCHEMA, Stages()) is first
    assert await kept.read("{ hello  }", SCHEMA, Stages()) is not first
    with pytest.raises(ValidationFailed):
        await kept.read("{ hello }", OTHER, Stages())


async def test_what_was_not_used_for_long_is_forgotten():
    kept = Documents(Limits(), kept_nodes=12)  # a document of one field has five or six
    first, second = await kept.read("{ hello }", SCHEMA, Stages()), await kept.read("{ a: hello }", SCHEMA, Stages())
    assert await kept.read("{ hello }", SCHEMA, Stages()) is first
    await kept.read("{ b: hello }", SCHEMA, Stages())
    assert await kept.read("{ hello }", SCHEMA, Stages()) is first
    assert await kept.read("{ a: hello }", SCHEMA, Stages()) is not second


async def test_each_kept_plan_adds_to_the_weight_of_its_document():
    kept = Documents(Limits())
    document = await kept.read("query ($a: Boolean!) { __typename @skip(if: $a) }", SCHEMA, Stages())
    operation, alone = document.operation(None), document.weight
    for number, flag in enumerate((True, False, True)):
        planned(operation, {"a": flag})
        kept.keep(document)
        assert (kept.plans, document.weight > alone) == (min(number + 1, 2), True)


async def test_the_number_of_plans_is_known_without_visiting_the_documents():
    kept = Documents(Limits(), kept_nodes=40)
    for number in range(50):
        document = await kept.read(f"{{ a{number}: __typename }}", SCHEMA, Stages())
        operation = document.operation(None)
        planned(operation, {})
        kept.keep(document)
    held = [held.document for held, _ in kept._kept._values.values()]
    assert kept.plans == sum(document.plans for document in held)
    assert 0 < kept._kept.weight == sum(document.weight for document in held) <= 40


async def test_a_long_document_is_read_in_a_thread_and_once_for_concurrent_requests():
    kept, stages = Documents(Limits()), [Stages() for _ in range(5)]
    documents = await asyncio.gather(*(kept.read(long("hello"), SCHEMA, each) for each in stages))
    assert len({*documents}) == 1
    assert [each.has("validate") for each in stages] == [True, False, False, False, False]
    refused = await asyncio.gather(
        *(kept.read(long("helo"), SCHEMA, Stages()) for _ in range(3)), return_exceptions=True
    )
    assert {type(each) for each in refused} == {ValidationFailed}


async def test_short_documents_are_read_beside_the_event_loop_and_beside_long_ones(monkeypatch):
    """Nobody waits for one who sends documents that are never the same, and short ones do not wait for long ones."""
    busy, threads, prepare = Event(), [], Documents._prepared

    def spy(self, source, *given):
        threads.append(current_thread())
        if len(source) > SHORT_CHARACTERS:
            busy.wait()
        return prepare(self, source, *given)

    monkeypatch.setattr(Documents, "_prepared", spy)
    documents = Documents(Limits())
    slow = asyncio.create_task(documents.read(long("hello"), SCHEMA, Stages()))
    await asyncio.sleep(0)
    await asyncio.gather(*(documents.read(f"{{ a{number}: hello }}", SCHEMA, Stages()) for number in range(5)))
    assert not slow.done()
    busy.set()
    await slow
    assert (len(threads), len(set(threads)), main_thread() in threads) == (6, 2, False)


@pytest.mark.parametrize("wrong", ["", "helo", "hello @nothing"])
async def test_a_document_is_freed_without_a_collection(wrong):
    """A thousand documents that are never the same leave no garbage which everybody would wait for."""
    documents = Documents(Limits(), kept_nodes=0)
    fields = " ".join(f'a{number}: hello(name: "x")' for number in range(20))

    async def read_new(number):
        with suppress(ValidationFailed):
            await documents.read(f"query A{number} {{ {fields} {wrong} }}", SCHEMA, Stages())

    await read_new(0)
    gc.collect()
    gc.disable()
    try:
        for number in range(1, 11):
            await read_new(number)
        assert gc.collect() < 10 * 100  # where rules and tokens are left, it is ten times as many
    finally:
        gc.enable()


async def test_a_cancelled_request_leaves_the_document_to_the_others():
    kept = Documents(Limits())
    first, second = [asyncio.create_task(kept.read(long("hello"), SCHEMA, Stages())) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).operation(None).is_query
    assert not kept._reading._tasks


async def test_a_text_that_is_not_graphql_has_another_error_than_a_limit():
    with pytest.raises(ParseFailed, match="Expected Name"):
        await read("{ hello ")


@pytest.mark.parametrize(
    "text",
    [
        "{ a" * 900 + "}" * 900,
        "{ " + "... { " * 600 + "a" + " }" * 601,
        "{ hello(name: " + "[" * 600 + "]" * 600 + ") }",
        "{ hello(name: " + "{a: " * 300 + "1" + "}" * 300 + ") }",
        "{ hello @include(if: " + "[" * 100 + "]" * 100 + ") }",
        "query ($x: " + "[" * 400 + "Int" + "]" * 400 + ") { hello }",
        "query ($x: String = " + "[" * 400 + "]" * 400 + ") { hello }",
        "{ ...F0 } " + "".join(f"fragment F{n} on Query {{ ...F{n + 1} }} " for n in range(90)) + "fragment F90 on Query { hello }",
    ],
)  # fmt: skip
async def test_whatever_is_nested_too_deeply_is_a_limit(text):
    with pytest.raises(LimitExceeded, match="nests brackets and fragments more than 50 deep"):
        await read(text)


async def test_tokens_and_bytes_are_limited_and_values_belong_into_variables():
    limits = Limits(tokens=5, document_bytes=40)
    await read("{ hello hello hello }", limits)
    with pytest.raises(LimitExceeded, match=r"more than 5 tokens\. Put values into variables"):
        await read("{ hello hello hello hello }", limits)
    with pytest.raises(LimitExceeded, match="has 43 bytes; at most 40"):
        await read('{ hello(name: "' + "ä" * 12 + '") }', limits)


async def test_at_most_a_few_errors_are_listed_without_suggestions():
    with pytest.raises(ValidationFailed) as caught:
        await read("{ " + " ".join(f"helo{n}" for n in range(20)) + " }", Limits(errors=5))
    messages = [error.message for error in caught.value.errors]
    assert len(messages) == 6
    assert messages[-1].startswith("Too many validation errors")
    assert not any("Did you mean" in message for message in messages)

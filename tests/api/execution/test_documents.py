"""Documents: refused with what is wrong and no word too many, or valid and parsed but once."""

import pytest
from graphql import build_schema

from gateway.api.execution.documents import Documents, ParseFailed, ValidationFailed
from gateway.api.execution.limits import Limits
from gateway.api.execution.schemas import SandboxSchema
from gateway.api.execution.stages import Stages
from gateway.errors import LimitExceeded

SCHEMA = SandboxSchema(build_schema("type Query { hello(name: String): String }"), b"one")
OTHER = SandboxSchema(build_schema("type Query { goodbye: String }"), b"other")


def read(text, limits=None, schema=SCHEMA):
    return Documents(limits or Limits()).read(text, schema, Stages())


def test_a_text_is_parsed_once_for_each_schema():
    kept = Documents(Limits())
    first = kept.read("{ hello }", SCHEMA, Stages())
    assert kept.read("{ hello }", SCHEMA, Stages()) is first
    assert kept.read("{ hello  }", SCHEMA, Stages()) is not first
    with pytest.raises(ValidationFailed):
        kept.read("{ hello }", OTHER, Stages())


def test_what_was_not_used_for_long_is_forgotten():
    kept = Documents(Limits(), kept_characters=30)
    first, second = kept.read("{ hello }", SCHEMA, Stages()), kept.read("{ a: hello }", SCHEMA, Stages())
    assert kept.read("{ hello }", SCHEMA, Stages()) is first
    kept.read("{ b: hello }", SCHEMA, Stages())
    assert kept.read("{ hello }", SCHEMA, Stages()) is first
    assert kept.read("{ a: hello }", SCHEMA, Stages()) is not second


def test_a_text_that_is_not_graphql_is_told_from_a_limit():
    with pytest.raises(ParseFailed, match="Expected Name"):
        read("{ hello ")
    with pytest.raises(ParseFailed, match="nested too deeply"):
        read("{ a" * 900)


def test_tokens_and_bytes_are_limited_and_values_belong_into_variables():
    limits = Limits(tokens=5, document_bytes=40)
    read("{ hello hello hello }", limits)
    with pytest.raises(LimitExceeded, match=r"more than 5 tokens\. Put values into variables"):
        read("{ hello hello hello hello }", limits)
    with pytest.raises(LimitExceeded, match="has 43 bytes; at most 40"):
        read('{ hello(name: "' + "ä" * 12 + '") }', limits)


def test_no_more_than_a_few_mistakes_are_told_and_nothing_is_suggested():
    with pytest.raises(ValidationFailed) as caught:
        read("{ " + " ".join(f"helo{n}" for n in range(20)) + " }", Limits(errors=5))
    messages = [error.message for error in caught.value.errors]
    assert len(messages) == 6
    assert messages[-1].startswith("Too many validation errors")
    assert not any("Did you mean" in message for message in messages)

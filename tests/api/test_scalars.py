"""Scalars: what goes out is RFC 3339 and plain JSON, what comes in is checked and said why."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import pytest
import strawberry
from graphql import execute, parse, validate
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from gateway.api.scalars import JSON, SCALARS, Long, described


@strawberry.type
class Query:
    @strawberry.field
    def time(self, at: datetime) -> datetime:
        assert at.tzinfo is UTC
        return at

    @strawberry.field
    def json(self, value: JSON) -> JSON:
        return value

    @strawberry.field
    def long(self, value: Long) -> Long:
        return value

    @strawberry.field
    def stored(self) -> datetime:
        return "2024-05-01T12:30:00.000Z"  # type: ignore[return-value]  # inside a document a time is text


SCHEMA = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))._schema


def ask(query, **variables):
    document = parse(query)
    errors = validate(SCHEMA, document)
    if not errors:
        result = execute(SCHEMA, document, variable_values=variables)
        errors = result.errors
    return errors[0].message if errors else next(iter(result.data.values()))


def both(field, argument, kind, literal, value):
    """The answer for a value written in the document, and for the same value sent as a variable."""
    in_document = ask(f"{{ {field}({argument}: {literal}) }}")
    return [in_document, ask(f"query ($v: {kind}!) {{ {field}({argument}: $v) }}", v=value)]


@given(st.integers(0, 250_000_000_000), st.integers(0, 999_999), st.integers(-1439, 1439))
def test_a_time_comes_out_as_the_same_moment_in_utc_with_milliseconds(second, microsecond, offset):
    at = datetime.fromtimestamp(second, timezone(timedelta(minutes=offset))).replace(microsecond=microsecond)
    printed = ask("query ($v: DateTime!) { time(at: $v) }", v=at.isoformat())
    assert len(printed) == len("2026-01-02T03:04:05.678Z")
    assert printed.endswith("Z")
    assert timedelta() <= at - datetime.fromisoformat(printed) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02", "2026-01-02T03:04:05", "20260102T030405Z", "2026-W01-1T03:04:05Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "2026-01-02 03:04:05Z", "2026-01-02T25:00:00Z", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-01:00", "", "now", "٢٠٢٦-01-02T03:04:05Z",
    ],
)  # fmt: skip
def test_what_is_no_time_of_rfc_3339_is_refused_with_a_reason(text):
    for message in both("time", "at", "DateTime", f'"{text}"', text):
        assert "A time is written as in RFC 3339" in message or "There is no such time" in message


def test_a_number_is_no_time():
    for message in both("time", "at", "DateTime", "1735689600", 1735689600):
        assert "RFC 3339" in message


def test_a_time_inside_a_document_stays_as_it_is():
    assert ask("{ stored }") == "2024-05-01T12:30:00.000Z"


@pytest.mark.parametrize("value", [0, -1, 2**53, 2**63 - 1, -(2**63)])
def test_a_long_is_a_number_of_64_bits(value):
    assert both("long", "value", "Long", str(value), value) == [value, value]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_what_does_not_fit_a_long_is_refused(value):
    for message in both("long", "value", "Long", str(value), value):
        assert "A Long is a whole number of 64 bits" in message


@pytest.mark.parametrize(("literal", "value"), [('"5"', "5"), ("1.5", 1.5), ("true", True)])
def test_only_whole_numbers_are_longs(literal, value):
    for message in both("long", "value", "Long", literal, value):
        assert "A Long is a whole number of 64 bits" in message


def test_json_is_taken_as_it_is():
    value = {"a": [1, 2.5, "x", True, None, {}], "b": {}}
    assert both("json", "value", "JSON", '{a: [1, 2.5, "x", true, null, {}], b: {}}', value) == [value, value]


def test_json_in_a_document_may_hold_variables():
    assert ask("query ($v: JSON!) { json(value: {a: $v, b: [$v]}) }", v=5) == {"a": 5, "b": [5]}


def test_numbers_in_a_documents_json_are_such_as_can_be_stored():
    assert ask("{ json(value: {a: 123456789012345678901234567890}) }") == {"a": 1.2345678901234568e29}
    assert "JSON has no number that large" in ask("{ json(value: [1e999]) }")
    assert "JSON has no number that large" in ask(f"{{ json(value: {'9' * 5000}) }}")


def test_every_scalar_says_what_it_is_and_where_that_is_specified():
    for name in ("DateTime", "JSON", "Long"):
        scalar = SCHEMA.type_map[name]
        assert scalar.description
        assert scalar.specified_by_url.startswith("https://www.rfc-editor.org/rfc/")


def test_an_enum_without_a_sentence_for_each_value_is_a_mistake():
    class Colour(StrEnum):
        RED = "RED"
        BLUE = "BLUE"

    with pytest.raises(KeyError, match="BLUE"):
        described(Colour, "Colour", "How it looks.", RED="Like a tomato.")

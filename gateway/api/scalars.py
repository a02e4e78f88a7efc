"""Leaf types: the gateway's own scalars, and the domain's enums with a description for each value."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Final, NewType, TypeVar

import orjson
import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped

from gateway.domain.rules.durations import Duration, parse_duration
from gateway.errors import BadInput
from gateway.projection.evaluate import printed

JSON = NewType("JSON", object)
"""A document as it is stored: anything that JSON can say."""

Long = NewType("Long", int)
"""A whole number of 64 bits."""

_E = TypeVar("_E", bound=type[Enum])

_LONG: Final = 2**63
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # what Python reads beyond RFC 3339 stays out: dates alone, week numbers, times without a zone

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _printed(at: datetime | str) -> str:
    """Return RFC 3339 in UTC with milliseconds. Inside a document a time is text already, normalized when it was stored."""
    return at if isinstance(at, str) else printed(at)


def _read_timestamp(value: Any) -> datetime:
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise GraphQLError("A time is written as in RFC 3339, with its zone: 2026-01-02T03:04:05.678Z.")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise GraphQLError(f"There is no such time: {error}.") from error


def _read_date(value: Any) -> date:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise GraphQLError("A day is written as in RFC 3339: 2026-01-02.")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise GraphQLError(f"There is no such day: {error}.") from error


def _read_long(value: Any) -> int:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(whole, int) or isinstance(whole, bool) or not -_LONG <= whole < _LONG:
        raise GraphQLError("A Long is a whole number of 64 bits.")
    return whole


def _read_duration(value: Any) -> Duration:
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except BadInput as error:
        raise GraphQLError(error.message) from error


def _read_json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """Read a literal as orjson reads a variable: numbers beyond 64 bits are rounded, and there is no infinity."""
    value = value_from_ast_untyped(node, variables)
    try:
        return orjson.loads(json.dumps(value, allow_nan=False))
    except ValueError as error:
        raise GraphQLError("JSON has no number that large.") from error
    except TypeError:  # while it is validated, a variable in it has no value yet
        return value


SCALARS: Final[Mapping[object, Any]] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A point in time as in RFC 3339. Answers are in UTC with milliseconds: `2026-01-02T03:04:05.678Z`; inputs may have any zone, but must have one.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_printed,
        parse_value=_read_timestamp,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A day as in RFC 3339: `2026-01-02`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=date.isoformat,
        parse_value=_read_date,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: an object, an array, a text, a number, a boolean or null.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
        parse_value=lambda value: value,
        parse_literal=_read_json_literal,
    ),
    Duration: strawberry.scalar(
        name="Duration",
        description="A duration in one whole unit, as in ISO 8601: `PT24H`, `P7D`, `P4W`, `P6M`, `P1Y`. Months and years are those of the calendar.",
        specified_by_url="https://www.iso.org/iso-8601-date-and-time-format.html",
        serialize=str,
        parse_value=_read_duration,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number of 64 bits, written as a JSON number. JavaScript holds it exactly up to 2^53 - 1.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-6",
        serialize=int,
        parse_value=_read_long,
    ),
}
"""The scalar of each Python type, for the schema's configuration."""


def described(enum: _E, name: str, description: str, **values: str) -> _E:
    """Make a GraphQL enum of a domain enum, with a description for each value, and return it. Raises KeyError when a value has none."""
    definition = strawberry.enum(enum, name=name, description=description).__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]
    return enum

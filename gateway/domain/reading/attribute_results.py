"""What an attribute gives for a person, out of the JSON that Postgres makes of it.

Numbers are computed as decimals of any length, kept as they are, and told as doubles. A value is missing if a number in it is beyond any
double, and says so: what one person's events come to is no mistake of a caller who asks for many.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import orjson

from gateway.pql.aggregates import COUNTED, VALUE

TEXT, IS_BEYOND = "text", "beyond"
"""Keys beside those that `pql.aggregates.explained` makes: the JSON itself, and whether a number was beyond any double."""

Result: TypeAlias = dict[str, Any]
"""What an attribute gives for a person."""

UNTOLD: Final = orjson.dumps({VALUE: None, COUNTED: 0, IS_BEYOND: True}).decode()
"""The JSON of a value that is missing since not all of what it is of could be looked at."""

MAX_KEYS: Final = 1_000
"""Keys of a map that are told; of more, the first ones by code point."""


def result_of(text: str) -> dict[str, Any]:
    """Return what an attribute gives, which `pql.aggregates.explained` made."""
    try:
        told: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:  # as a double, a number is infinite
        told = json.loads(text, parse_int=float)
        told |= {VALUE: None, COUNTED: int(told.get(COUNTED, 0)), IS_BEYOND: True}
    told[TEXT] = text
    return told


def value_of(text: str | None) -> Any:
    """Return a value of JSON; None for a missing one, and for one with a number that is beyond any double."""
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def bounded_value(told: Result) -> tuple[Any, bool]:
    """Return the value of a result, of a map the first MAX_KEYS keys, and whether that is all of it."""
    value = told[VALUE]
    if isinstance(value, dict) and len(value) > MAX_KEYS:
        return {key: value[key] for key in sorted(value)[:MAX_KEYS]}, False
    return value, not told.get(IS_BEYOND)


def exact_values(told: Mapping[str, Result]) -> dict[str, str]:
    """Return the values that are there, by the names of their attributes, as JSON whose numbers have all of their digits."""
    return {name: _exact(each) for name, each in told.items() if each[VALUE] is not None}


def _exact(told: Result) -> str:
    value = json.loads(told[TEXT], parse_int=orjson.Fragment, parse_float=orjson.Fragment)[VALUE]
    return orjson.dumps(_without_nulls(value)).decode()


def as_fields(values: Mapping[str, str]) -> dict[str, orjson.Fragment]:
    """Return values in JSON as fields of an object that `orjson` writes."""
    return {name: orjson.Fragment(text) for name, text in values.items()}


def comparable(text: str | None) -> Any:
    """Return what equals another value if both are the same; None for a missing one."""
    return None if text is None else json.loads(text, parse_float=Decimal)


def _without_nulls(value: Any) -> Any:
    """Return a value as a stored document would have it: its objects have no field that is null."""
    match value:
        case dict():
            return {key: _without_nulls(each) for key, each in value.items() if each is not None}
        case list():
            return [_without_nulls(each) for each in value]
    return value

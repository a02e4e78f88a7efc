"""Checks of custom fields: an organization's JSON Schema must be inside the subset that `fields` describes. Problems are returned, not raised."""

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from gateway.xdm.fields import FORMATTED, JSON_TYPES, RANGES, Field, Problem, child_path, kind_of
from gateway.xdm.names import collisions, graphql_name
from gateway.xdm.patterns import MAX_COMPILED_BYTES, MAX_PATTERN_LENGTH, is_pattern

MAX_FIELD_DEPTH: Final = 16
"""Levels of fields that custom fields may nest; with the class above them, documents stay below `violations.MAX_DOCUMENT_DEPTH`."""
MAX_PROBLEMS: Final = 100
"""Problems of one answer."""
MAX_ENUM_VALUES: Final = 1_000
"""Values of one enum."""


MAX_EXACT: Final = 2**53
"""The greatest whole number that every reader of JSON reads exactly; a greater bound is written as `1e20`."""

_NAMES: Final = tuple(sorted(set(JSON_TYPES.values())))
_ALWAYS: Final = frozenset({"type", "title", "description", "meta:xdmType"})
_ALSO: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"enum", "minLength", "maxLength", "pattern", "format"}),
    **dict.fromkeys(FORMATTED, frozenset({"format"})),
    **dict.fromkeys((*RANGES, "double"), frozenset({"minimum", "maximum"})),
    "boolean": frozenset(),
    "array": frozenset({"items"}),
    "object": frozenset({"properties", "required", "additionalProperties", "meta:composite"}),
    "map": frozenset({"additionalProperties", "meta:composite"}),
}
_KEY = re.compile(r"[A-Za-z0-9_@$:-]{1,64}")


def check_custom_fields(custom_fields: Any) -> list[Problem]:
    """Return the problems of custom fields, given as JSON Schema `properties`: at most MAX_PROBLEMS, none if they can be used.

    A keyword of JSON Schema that `fields` does not list is a problem; none is ignored. `bounds` checks their amount.
    """
    if not isinstance(custom_fields, dict) or not custom_fields:
        return [Problem("", "Custom fields are an object of field names and JSON Schemas, with one field at least.")]
    return list(islice(_check_properties("", custom_fields, depth=1), MAX_PROBLEMS))


def are_field_names(keys: Collection[str]) -> bool:
    """Return whether all of these could be the names of custom fields of one object."""
    return not collisions(keys) and not any(True for key in keys for _ in _check_key(key, key))


def _check_properties(path: str, properties: dict[Any, Any], *, depth: int) -> Iterator[Problem]:
    for key, field in properties.items():
        here = child_path(path, str(key))
        yield from _check_key(here, key)
        yield from _check_field(here, field, depth=depth)
    for later, earlier in collisions(map(str, properties)):
        yield Problem(
            child_path(path, later),
            f"{later!r} and {earlier!r} would share the GraphQL name {graphql_name(later)!r}; rename one.",
        )


def _check_key(path: str, key: Any) -> Iterator[Problem]:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        yield Problem(path, "A field name has 1 to 64 characters out of letters, digits and _ @ $ : -")
    elif graphql_name(key).startswith("__"):
        yield Problem(
            path,
            "A field name must not begin with two underscores, also after characters that GraphQL forbids became underscores.",
        )


def _check_field(path: str, field: Any, *, depth: int) -> Iterator[Problem]:
    if not isinstance(field, dict):
        yield Problem(path, "A field is described by a JSON Schema object.")
    elif depth > MAX_FIELD_DEPTH:
        yield Problem(path, f"Fields nest up to {MAX_FIELD_DEPTH} levels.")
    elif fault := _type_fault(field):
        yield Problem(path, fault)
    else:
        kind = kind_of(field)
        unknown = [keyword for keyword in field if keyword not in _ALWAYS and keyword not in _ALSO[kind]]
        for keyword in unknown:
            yield Problem(path, f"{keyword!r} cannot be said of a field of type {kind}.")
        if not unknown:
            yield from (Problem(path, fault) for keyword in field if (fault := _keyword_fault(keyword, field, kind)))
            yield from _check_below(path, field, kind, depth=depth + 1)


def _type_fault(field: Field) -> str | None:
    json_type, xdm_type = field.get("type"), field.get("meta:xdmType")
    if json_type is None and xdm_type is None:
        return "The field needs a 'type', or a 'meta:xdmType'."
    if json_type is not None and json_type not in _NAMES:
        return f"'type' is one of {', '.join(_NAMES)}."
    if xdm_type is not None and (not isinstance(xdm_type, str) or xdm_type not in JSON_TYPES):
        return f"'meta:xdmType' is one of {', '.join(sorted(JSON_TYPES))}."
    if json_type is not None and xdm_type is not None and JSON_TYPES[xdm_type] != json_type:
        return f"'meta:xdmType' {xdm_type} is written as 'type' {JSON_TYPES[xdm_type]}, not {json_type}."
    numbers = (field[keyword] for keyword in ("minimum", "maximum") if keyword in field)
    if not all(isinstance(number, int | float) and abs(number) <= sys.float_info.max for number in numbers):
        return "'minimum' and 'maximum' are numbers."
    return None


def _check_below(path: str, field: Field, kind: str, *, depth: int) -> Iterator[Problem]:
    if kind == "object" and isinstance(properties := field.get("properties"), dict) and properties:
        yield from _check_properties(path, properties, depth=depth)
    elif kind == "object":
        yield Problem(
            path, "An object has 'properties' with one field at least; a map has 'additionalProperties' instead."
        )
    elif kind == "array":
        yield from _check_field(child_path(path, "[]"), field.get("items"), depth=depth)
    elif kind == "map":
        yield from _check_field(child_path(path, "*"), field.get("additionalProperties"), depth=depth)


def _keyword_fault(keyword: str, field: Field, kind: str) -> str | None:
    check = _KEYWORD_CHECKS.get(keyword)
    return check(field, kind) if check else None


def _text_fault(keyword: str) -> Callable[[Field, str], str | None]:
    return lambda field, _: None if isinstance(field[keyword], str) else f"{keyword!r} is text."


def _enum_fault(field: Field, _: str) -> str | None:
    values = field["enum"]
    listed = (
        isinstance(values, list)
        and 0 < len(values) <= MAX_ENUM_VALUES
        and all(isinstance(v, str) and v for v in values)
    )
    return (
        None
        if listed and len(set(values)) == len(values)
        else f"'enum' is a list of 1 to {MAX_ENUM_VALUES:,} different texts, none empty."
    )


def _length_fault(field: Field, _: str) -> str | None:
    low, high = field.get("minLength", 0), field.get("maxLength", 2**31 - 1)
    fine = all(type(number) is int and 0 <= number < 2**31 for number in (low, high)) and low <= high and high > 0
    return None if fine else "'minLength' and 'maxLength' are whole numbers, the first no greater than the second."


def _range_fault(field: Field, kind: str) -> str | None:
    low, high = RANGES.get(kind, (-sys.float_info.max, sys.float_info.max))
    least, most = field.get("minimum", low), field.get("maximum", high)
    exact = all(abs(n) <= MAX_EXACT for n in (field.get("minimum", 0), field.get("maximum", 0)) if isinstance(n, int))
    whole = (kind == "double" and exact) or (
        kind != "double" and all(type(field.get(keyword, 0)) is int for keyword in ("minimum", "maximum"))
    )
    fine = whole and not isinstance(least, bool) and not isinstance(most, bool) and low <= least <= most <= high
    return (
        None if fine else f"'minimum' and 'maximum' lie in the range of {kind}, the first no greater than the second."
    )


def _format_fault(field: Field, kind: str) -> str | None:
    allowed = kind if kind in FORMATTED else "email"
    return None if field["format"] == allowed else f"The 'format' of a field of type {kind} can only be {allowed}."


def _pattern_fault(field: Field, _: str) -> str | None:
    if isinstance(field["pattern"], str) and is_pattern(field["pattern"]):
        return None
    return (
        f"'pattern' is a regular expression without look-around and back-references, of up to {MAX_PATTERN_LENGTH:,} characters and "
        f"{MAX_COMPILED_BYTES // 1024} kB compiled: say lengths by 'minLength' and 'maxLength', rather than by repetitions such as {{0,60}}."
    )


def _required_fault(field: Field, _: str) -> str | None:
    names, properties = field["required"], field.get("properties")
    known = (
        isinstance(names, list)
        and isinstance(properties, dict)
        and all(isinstance(n, str) and n in properties for n in names)
    )
    return None if known and len(set(names)) == len(names) else "'required' lists names out of 'properties', each once."


def _additional_fault(field: Field, kind: str) -> str | None:
    value = field["additionalProperties"]
    if kind == "object":
        return (
            None
            if value is False
            else "An object with 'properties' takes no others: leave 'additionalProperties' out, or make it a map."
        )
    return None if isinstance(value, dict) else "'additionalProperties' of a map describes the one type of its values."


def _composite_fault(field: Field, _: str) -> str | None:
    return None if isinstance(field["meta:composite"], bool) else "'meta:composite' is true or false."


_KEYWORD_CHECKS: Final[Mapping[str, Callable[[Field, str], str | None]]] = {
    "title": _text_fault("title"),
    "description": _text_fault("description"),
    "enum": _enum_fault,
    "minLength": _length_fault,
    "maxLength": _length_fault,
    "minimum": _range_fault,
    "maximum": _range_fault,
    "format": _format_fault,
    "pattern": _pattern_fault,
    "required": _required_fault,
    "additionalProperties": _additional_fault,
    "meta:composite": _composite_fault,
}

"""Fields: the subset of JSON Schema in which XDM schemas are written.

    xdm type                      JSON Schema                                    may also say
    string                        string                                         enum, minLength, maxLength, pattern, format email
    uri, date, date-time          string with that format
    long, integer, short, byte    integer                                        minimum, maximum
    double                        number                                         minimum, maximum
    boolean                       boolean
    array                         array with items
    object                        object with properties                         required
    map                           object with additionalProperties (one type)

Every field may have `title`, `description` and `meta:xdmType`; objects and maps may be `meta:composite`, which makes
merging take them whole. Whatever a custom field leaves out is filled in by `complete`, so that the rest of the package
can rely on `meta:xdmType` being there.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jsonschema_rs import Draft7Validator, RegexOptions

from gateway.xdm.names import collisions, graphql_name

Field = dict[str, Any]

MAX_DEPTH: Final = 16
"""Levels of fields that custom fields may nest; with the class above them, documents stay below `validation.MAX_DEPTH`."""
MAX_FIELDS: Final = 10_000
"""Custom fields of one schema."""
MAX_ENUM: Final = 1_000
"""Values of one enum."""

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "long": (-(2**53) + 1, 2**53 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-(2**7), 2**7 - 1),
}
_FORMATTED: Final = frozenset({"uri", "date", "date-time"})
_JSON_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string", *_FORMATTED), "string"),
    **dict.fromkeys(RANGES, "integer"),
    "double": "number",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
    "map": "object",
}
_ALWAYS: Final = frozenset({"type", "title", "description", "meta:xdmType"})
_ALSO: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"enum", "minLength", "maxLength", "pattern", "format"}),
    **dict.fromkeys(_FORMATTED, frozenset({"format"})),
    **dict.fromkeys((*RANGES, "double"), frozenset({"minimum", "maximum"})),
    "boolean": frozenset(),
    "array": frozenset({"items"}),
    "object": frozenset({"properties", "required", "additionalProperties", "meta:composite"}),
    "map": frozenset({"additionalProperties", "meta:composite"}),
}
_KEY = re.compile(r"[A-Za-z0-9_@$:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field: its dotted path (`[]` steps into arrays, `*` into maps) and a sentence about it."""

    path: str
    message: str


def children(field: Field) -> Iterator[tuple[str, Field]]:
    """The fields one step below: by name in an object, `[]` in an array, `*` in a map."""
    match field["meta:xdmType"]:
        case "object":
            yield from field["properties"].items()
        case "array":
            yield "[]", field["items"]
        case "map":
            yield "*", field["additionalProperties"]


def join(path: str, step: str) -> str:
    """The path of a child."""
    return f"{path}.{step}" if path else step


def complete(field: Field) -> Field:
    """The field with everything said that its author may leave out; for fields without problems."""
    kind = _kind(field)
    done = field | {"type": _JSON_TYPES[kind], "meta:xdmType": kind}
    if kind in _FORMATTED:
        done["format"] = kind
    elif kind in RANGES:
        low, high = RANGES[kind]
        done |= {"minimum": field.get("minimum", low), "maximum": field.get("maximum", high)}
    elif kind == "array":
        done["items"] = complete(field["items"])
    elif kind == "map":
        done["additionalProperties"] = complete(field["additionalProperties"])
    elif kind == "object":
        done |= {"properties": {k: complete(v) for k, v in field["properties"].items()}, "additionalProperties": False}
    return done


def check_custom_fields(custom_fields: Any) -> list[Problem]:
    """Everything that is wrong with custom fields, given as JSON Schema `properties`; empty if they can be used."""
    if not isinstance(custom_fields, dict) or not custom_fields:
        return [Problem("", "Custom fields are an object of field names and JSON Schemas, with one field at least.")]
    problems = list(_check_properties("", custom_fields, depth=1))
    if not problems and (count := _count(custom_fields)) > MAX_FIELDS:
        problems.append(Problem("", f"These are {count:,} fields; a schema takes up to {MAX_FIELDS:,} custom fields."))
    return problems


def _kind(field: Field) -> str:
    """The XDM type that the field states or implies."""
    if "meta:xdmType" in field:
        return str(field["meta:xdmType"])
    match field["type"]:
        case "string":
            return str(field["format"]) if field.get("format") in _FORMATTED else "string"
        case "integer":
            low, high = RANGES["integer"]
            fits = low <= field.get("minimum", low - 1) and field.get("maximum", high + 1) <= high
            return "integer" if fits else "long"
        case "number":
            return "double"
        case "object":
            return "object" if "properties" in field else "map"
        case other:
            return str(other)


def _count(properties: Mapping[str, Field]) -> int:
    return sum(1 + _count(dict(children(complete(field)))) for field in properties.values())


# ------------------------------------------------------------------------------------------------ checks of custom fields


def _check_properties(path: str, properties: dict[Any, Any], *, depth: int) -> Iterator[Problem]:
    for key, field in properties.items():
        here = join(path, str(key))
        yield from _check_key(here, key)
        yield from _check_field(here, field, depth=depth)
    for later, earlier in collisions(map(str, properties)):
        yield Problem(
            join(path, later),
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
    elif depth > MAX_DEPTH:
        yield Problem(path, f"Fields nest up to {MAX_DEPTH} levels.")
    elif fault := _type_fault(field):
        yield Problem(path, fault)
    else:
        kind = _kind(field)
        unknown = [keyword for keyword in field if keyword not in _ALWAYS and keyword not in _ALSO[kind]]
        for keyword in unknown:
            yield Problem(path, f"{keyword!r} cannot be said of a field of type {kind}.")
        if not unknown:
            yield from (Problem(path, fault) for keyword in field if (fault := _keyword_fault(keyword, field, kind)))
            yield from _check_below(path, field, kind, depth=depth + 1)


def _type_fault(field: Field) -> str | None:
    """Why the field's type cannot be told, or None."""
    json_type, xdm_type = field.get("type"), field.get("meta:xdmType")
    if json_type is None and xdm_type is None:
        return "The field needs a 'type', or a 'meta:xdmType'."
    if json_type is not None and json_type not in set(_JSON_TYPES.values()):
        return f"'type' is one of {', '.join(sorted(set(_JSON_TYPES.values())))}."
    if xdm_type is not None and (not isinstance(xdm_type, str) or xdm_type not in _JSON_TYPES):
        return f"'meta:xdmType' is one of {', '.join(sorted(_JSON_TYPES))}."
    if json_type is not None and xdm_type is not None and _JSON_TYPES[xdm_type] != json_type:
        return f"'meta:xdmType' {xdm_type} is written as 'type' {_JSON_TYPES[xdm_type]}, not {json_type}."
    numbers = (field[keyword] for keyword in ("minimum", "maximum") if keyword in field)
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
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
        yield from _check_field(join(path, "[]"), field.get("items"), depth=depth)
    elif kind == "map":
        yield from _check_field(join(path, "*"), field.get("additionalProperties"), depth=depth)


def _keyword_fault(keyword: str, field: Field, kind: str) -> str | None:
    check = _KEYWORD_CHECKS.get(keyword)
    return check(field, kind) if check else None


def _text_fault(keyword: str) -> Callable[[Field, str], str | None]:
    return lambda field, _: None if isinstance(field[keyword], str) else f"{keyword!r} is text."


def _enum_fault(field: Field, _: str) -> str | None:
    values = field["enum"]
    listed = isinstance(values, list) and 0 < len(values) <= MAX_ENUM and all(isinstance(v, str) and v for v in values)
    return (
        None
        if listed and len(set(values)) == len(values)
        else f"'enum' is a list of 1 to {MAX_ENUM:,} different texts, none empty."
    )


def _length_fault(field: Field, _: str) -> str | None:
    low, high = field.get("minLength", 0), field.get("maxLength", 2**31 - 1)
    fine = all(type(number) is int and 0 <= number < 2**31 for number in (low, high)) and low <= high and high > 0
    return None if fine else "'minLength' and 'maxLength' are whole numbers, the first no greater than the second."


def _range_fault(field: Field, kind: str) -> str | None:
    low, high = RANGES.get(kind, (-math.inf, math.inf))
    least, most = field.get("minimum", low), field.get("maximum", high)
    whole = kind == "double" or all(type(field.get(keyword, 0)) is int for keyword in ("minimum", "maximum"))
    fine = whole and not isinstance(least, bool) and not isinstance(most, bool) and low <= least <= most <= high
    return (
        None if fine else f"'minimum' and 'maximum' lie in the range of {kind}, the first no greater than the second."
    )


def _format_fault(field: Field, kind: str) -> str | None:
    allowed = kind if kind in _FORMATTED else "email"
    return None if field["format"] == allowed else f"The 'format' of a field of type {kind} can only be {allowed}."


def _pattern_fault(field: Field, _: str) -> str | None:
    try:
        Draft7Validator({"pattern": field["pattern"]}, pattern_options=RegexOptions())
    except ValueError:
        return "'pattern' is a regular expression without look-around and back-references."
    return None


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

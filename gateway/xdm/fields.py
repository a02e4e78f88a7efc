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
merging take them whole. `complete` adds what a custom field leaves out, so that the rest of the package finds `meta:xdmType`
in every field.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

Field = dict[str, Any]

COMPUTED: Final = "meta:computed"
"""Says of an object in a union that its fields are in no document, since their values are computed."""

KEYS: Final = "propertyNames"
"""Says of a map which keys it can have, and what they are: a list as `enum`, a noun as `title`. Only where selectors and paths are checked."""

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "long": (-(2**53) + 1, 2**53 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-(2**7), 2**7 - 1),
}
FORMATTED: Final = ("uri", "date", "date-time")
JSON_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string", *FORMATTED), "string"),
    **dict.fromkeys(RANGES, "integer"),
    "double": "number",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
    "map": "object",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field: its dotted path (`[]` steps into arrays, `*` into maps) and a sentence about it."""

    path: str
    message: str


def children(field: Field) -> Iterator[tuple[str, Field]]:
    """Yield the fields one step below, with the step: a name in an object, `[]` in an array, `*` in a map."""
    match field["meta:xdmType"]:
        case "object":
            yield from field["properties"].items()
        case "array":
            yield "[]", field["items"]
        case "map":
            yield "*", field["additionalProperties"]


def below(field: Field, name: str) -> Field | None:
    """Return the field of this name one step below, in any element of an array and under any key of a map; None if there is none."""
    field = _element(field)
    if field["meta:xdmType"] == "map":
        keys = field.get(KEYS)
        return cast("Field", field["additionalProperties"]) if keys is None or name in keys["enum"] else None
    return cast("Field | None", field.get("properties", {}).get(name))


def names_below(field: Field) -> list[str]:
    """Return the names of the fields below an object, and the keys of a map if it has no others; in an array, below its elements; else none."""
    field = _element(field)
    return list(field.get("properties") or field.get(KEYS, {}).get("enum", ()))


def noun_below(field: Field) -> str:
    """Return what a name one step below stands for: `field`, or what the keys of a map are, such as `identity namespace`."""
    return cast("str", _element(field).get(KEYS, {}).get("title", "field"))


def _element(field: Field) -> Field:
    """Return what an array, and each array in it, has as elements; any other field itself."""
    while field["meta:xdmType"] == "array":
        field = field["items"]
    return field


def child_path(path: str, step: str) -> str:
    """Return the dotted path of a child: the path, a dot and the step; the step alone at the root."""
    return f"{path}.{step}" if path else step


def complete(field: Field) -> Field:
    """Return the field with `type`, `meta:xdmType` and the rest that its author may leave out. The field must have no problems."""
    kind = kind_of(field)
    done = field | {"type": JSON_TYPES[kind], "meta:xdmType": kind}
    if kind in FORMATTED:
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


def kind_of(field: Field) -> str:
    """Return the XDM type that the field states or implies. The field must have a valid type."""
    if "meta:xdmType" in field:
        return str(field["meta:xdmType"])
    match field["type"]:
        case "string":
            return str(field["format"]) if field.get("format") in FORMATTED else "string"
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

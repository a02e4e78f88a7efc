"""Types of values, made of fields of the union schema or by expressions; how they are named, and which of them go together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias, cast

from gateway.xdm.fields import RANGES, Field, complete

EVENTS: Final = "xEvent"
"""The name under which a profile has its events."""


class Scalar(Enum):
    """The types of single values; UNKNOWN is that of the items of `[]`, and goes with every other."""

    BOOLEAN = "boolean"
    STRING = "string"
    LONG = "long"
    DOUBLE = "double"
    DATE = "date"
    DATE_TIME = "date-time"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array, and what its items are."""

    item: "Type"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map from strings, and what its values are."""

    value: "Type"


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """An object: one of a schema, with a field's properties, or one that an expression makes; `more` are fields that are in no document."""

    schema: Mapping[str, Field] = field(default_factory=dict)
    more: "Mapping[str, Type]" = field(default_factory=dict)

    def property_type(self, name: str) -> "Type | None":
        """Return the type of a field; None where there is no such field."""
        if name in self.more:
            return self.more[name]
        return type_of(self.schema[name]) if name in self.schema else None

    @property
    def names(self) -> list[str]:
        """The names of the fields."""
        return [*self.more, *self.schema]


@dataclass(frozen=True, slots=True)
class Entry:
    """What `mapEntry(key, value)` gives: `map` makes maps of entries, and nothing else takes them."""

    value: "Type"


Type: TypeAlias = Scalar | ArrayOf | MapOf | ObjectOf | Entry

NUMBERS: Final = (Scalar.LONG, Scalar.DOUBLE)
TIMES: Final = (Scalar.DATE, Scalar.DATE_TIME)

_LEAVES: Final[Mapping[str, Scalar]] = {
    **dict.fromkeys(("string", "uri"), Scalar.STRING),
    **dict.fromkeys(RANGES, Scalar.LONG),
    "double": Scalar.DOUBLE,
    "boolean": Scalar.BOOLEAN,
    "date": Scalar.DATE,
    "date-time": Scalar.DATE_TIME,
}
_XDM_TYPES: Final = {kind: "string" if kind is Scalar.UNKNOWN else kind.value for kind in Scalar}
_WORDS: Final[Mapping[Scalar, str]] = {
    Scalar.BOOLEAN: "boolean",
    Scalar.STRING: "string",
    Scalar.LONG: "number",
    Scalar.DOUBLE: "number",
    Scalar.DATE: "date",
    Scalar.DATE_TIME: "date-time",
    Scalar.UNKNOWN: "value",
}


def type_of(schema: Field) -> Type:
    """Return the type of the values of a field."""
    match schema["meta:xdmType"]:
        case "array":
            return ArrayOf(type_of(schema["items"]))
        case "map":
            return MapOf(type_of(schema["additionalProperties"]))
        case "object":
            return ObjectOf(schema["properties"])
        case leaf:
            return _LEAVES[leaf]


def field_of(kind: Type) -> Field:
    """Return a field whose values have a type. Objects that stand in a schema are as they are there."""
    match kind:
        case ArrayOf(item):
            return complete({"type": "array", "items": field_of(item)})
        case MapOf(value):
            return complete({"type": "object", "additionalProperties": field_of(value)})
        case ObjectOf(schema, more):
            fields = dict(schema) or {name: field_of(each) for name, each in more.items()}
            return complete({"type": "object", "properties": fields})
        case Scalar():
            return complete({"meta:xdmType": _XDM_TYPES[kind]})
    raise TypeError(f"{name_of(kind)} is no type of a field.")


def common(types: Iterable[Type]) -> Type | None:
    """Return the one type that values of all these types have; None if they do not go together. Of no types, it is UNKNOWN."""
    found: Type | None = Scalar.UNKNOWN
    for each in types:
        found = None if found is None else _common(found, each)
    return found


def _common(one: Type, other: Type) -> Type | None:
    if Scalar.UNKNOWN in (one, other) or one == other:
        return other if one is Scalar.UNKNOWN else one
    match one, other:
        case Scalar(), Scalar():
            return Scalar.DOUBLE if one in NUMBERS and other in NUMBERS else None
        case ArrayOf(a), ArrayOf(b):
            item = _common(a, b)
            return None if item is None else ArrayOf(item)
        case MapOf(a), MapOf(b):
            value = _common(a, b)
            return None if value is None else MapOf(value)
        case ObjectOf(), ObjectOf():
            return _common_object(one, other)
    return None


def _common_object(one: ObjectOf, other: ObjectOf) -> ObjectOf | None:
    """Return the type of two objects that an expression makes: each may lack fields of the other."""
    both = (one.more, other.more)
    fields = {name: common(each[name] for each in both if name in each) for name in {**one.more, **other.more}}
    if one.schema or other.schema or None in fields.values():
        return None
    return ObjectOf({}, cast("Mapping[str, Type]", fields))


def are_comparable(one: Type, other: Type) -> bool:
    """Return whether `=` may stand between values of these types: of one type, numbers of any kind, or dates and date-times."""
    return _common(one, other) is not None or (one in TIMES and other in TIMES) or _are_objects(one, other)


def _are_objects(one: Type, other: Type) -> bool:
    return isinstance(one, ObjectOf) and isinstance(other, ObjectOf)


def name_of(kind: Type) -> str:
    """Return a type's name, such as `long` or `array<string>`."""
    match kind:
        case Scalar():
            return kind.value
        case ArrayOf(item):
            return f"array<{name_of(item)}>"
        case MapOf(value):
            return f"map<{name_of(value)}>"
        case ObjectOf():
            return "object"
        case Entry():
            return "map entry"


def described(kind: Type) -> str:
    """Return what a value of the type is, in words: `a number`, `an array of strings`."""
    match kind:
        case Scalar():
            return f"a {_WORDS[kind]}"
        case ArrayOf(item):
            return (
                f"an array of {described(item).partition(' ')[2]}s"
                if isinstance(item, Scalar)
                else "an array of objects"
                if isinstance(item, ObjectOf)
                else "an array"
            )
        case MapOf():
            return "a map"
        case ObjectOf():
            return "an object"
        case Entry():
            return "an entry of a map"

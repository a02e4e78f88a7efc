"""GraphQL types of a union schema, described without any GraphQL library.

    object    a type: `Xdm` and the name of its shape if it is a standard one (`XdmPersonName`), else `Xdm` and its path
              from the root in PascalCase (`XdmProfileAcmeLoyaltyCard`)
    map       JSON          array of T   [T!]
    string, uri, date       String       date-time   DateTime
    long                    Long         integer, short, byte   Int
    double                  Float        boolean     Boolean

Every field is nullable, since documents leave out values that their source does not know. Enums stay String, with their values in the
description, because an enum may grow and a client must not break on a value it has never seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from gateway.xdm.fields import COMPUTED, Field
from gateway.xdm.names import graphql_name, pascal_case

_LEAVES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string", "uri", "date"), "String"),
    **dict.fromkeys(("integer", "short", "byte"), "Int"),
    "date-time": "DateTime",
    "long": "Long",
    "double": "Float",
    "boolean": "Boolean",
    "map": "JSON",
}


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field of a generated type: its GraphQL name, its key in the document, its type in SDL, what it means.

    `is_computed`: it is an object whose fields are in no document, since their values are computed.
    """

    name: str
    key: str
    type: str
    description: str
    is_computed: bool = False


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A generated object type."""

    name: str
    description: str
    fields: tuple[FieldDefinition, ...]


def entity_types(unions: Mapping[str, Field]) -> list[TypeDefinition]:
    """Return the GraphQL types of the given unions, which are keyed by the names of their root types (`ProfileEntity`).

    A type comes after the types that it uses. Names are unique over all roots.
    """
    types: dict[str, TypeDefinition] = {}
    for root, schema in unions.items():
        steps = (root.removesuffix("Entity"),)
        types[root] = TypeDefinition(root, _description(schema), _fields(schema, steps, types))
    return list(types.values())


def _fields(field: Field, steps: tuple[str, ...], types: dict[str, TypeDefinition]) -> tuple[FieldDefinition, ...]:
    return tuple(
        FieldDefinition(
            name := graphql_name(key),
            key,
            _type(child, (*steps, key), types),
            _description(child, key if name != key else None),
            COMPUTED in child,
        )
        for key, child in field["properties"].items()
    )


def _type(field: Field, steps: tuple[str, ...], types: dict[str, TypeDefinition]) -> str:
    """Return the field's type in SDL. Types of objects are added to `types`."""
    match field["meta:xdmType"]:
        case "array":
            return f"[{_type(field['items'], steps, types)}!]"
        case "object":
            return _object_type(field, steps, types)
        case leaf:
            return _LEAVES[leaf]


def _object_type(field: Field, steps: tuple[str, ...], types: dict[str, TypeDefinition]) -> str:
    """Return the name of the object's type: the plain name, with a hash of its path if another type has the plain name."""
    plain = "Xdm" + (field.get("meta:typeName") or "".join(map(pascal_case, steps)))
    definition = TypeDefinition(
        plain, field.get("meta:typeDescription") or _description(field), _fields(field, steps, types)
    )
    if types.setdefault(plain, definition).fields == definition.fields:
        return plain
    tail = blake2b(".".join(steps).encode(), digest_size=4).hexdigest()
    types[f"{plain}_{tail}"] = replace(definition, name=f"{plain}_{tail}")
    return f"{plain}_{tail}"


def _description(field: Field, stored_as: str | None = None) -> str:
    parts = [field.get("description") or field.get("title") or "A custom field."]
    if "enum" in field:
        parts.append(f"One of: {', '.join(field['enum'])}.")
    if stored_as is not None:
        parts.append(f"Stored as `{stored_as}`.")
    return " ".join(parts)

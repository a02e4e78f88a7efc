"""The two classes of XDM, the field groups that ship with us, and schemas made of them.

Field groups lie in `groups/`, one file each, named `profile-<what>` and `experienceevent-<what>`; `profile.json` and
`experienceevent.json` are the classes themselves, which every schema contains. A shape that occurs in many places
(postal address, measure) is written once in `shapes.json` and referred to by `$ref`; what is handed out has no references.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from gateway.errors import Invalid
from gateway.xdm.custom import check_custom_fields
from gateway.xdm.fields import Field, complete


class XdmClass(Enum):
    """The class of a schema: its documents describe a person, or something that happened."""

    INDIVIDUAL_PROFILE = "INDIVIDUAL_PROFILE"
    EXPERIENCE_EVENT = "EXPERIENCE_EVENT"

    @property
    def model_name(self) -> str:
        """The class's name in XDM."""
        return _MODEL_NAMES[self]


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields that belong together and are added to a schema together. `properties` are shared: never change them."""

    name: str
    xdm_class: XdmClass
    title: str
    description: str
    properties: Mapping[str, Field]
    required: tuple[str, ...] = ()

    @property
    def json_schema(self) -> Field:
        """The fields as a JSON Schema of their own, without the class. It shares its parts with schemas: never change it."""
        return {
            "title": self.title,
            "description": self.description,
            "meta:class": self.xdm_class.model_name,
            "type": "object",
            "meta:xdmType": "object",
            "required": list(self.required),
            "properties": self.properties,
        }


_MODEL_NAMES: Final = {
    XdmClass.INDIVIDUAL_PROFILE: "_xdm.context.profile",
    XdmClass.EXPERIENCE_EVENT: "_xdm.context.experienceevent",
}
_CLASS_FILES: Final = {XdmClass.INDIVIDUAL_PROFILE: "profile", XdmClass.EXPERIENCE_EVENT: "experienceevent"}


def field_groups(xdm_class: XdmClass) -> tuple[FieldGroup, ...]:
    """Return the field groups of a class, sorted by name, without the class itself."""
    base = _CLASS_FILES[xdm_class]
    return tuple(group for name, group in sorted(_shipped().items()) if name.startswith(f"{base}-"))


def compose(
    xdm_class: XdmClass, groups: Sequence[str] | None, custom_fields: dict[str, Any] | None, tenant: str
) -> Field:
    """Return the JSON Schema of a class with field groups (None: all that ship) and custom fields under `_{tenant}`.

    Raises Invalid for an unknown group or a custom field outside the subset of `fields`. The result shares its parts with
    other schemas: never change it.
    """
    base = _shipped()[_CLASS_FILES[xdm_class]]
    properties = dict(base.properties)
    for group in _chosen(xdm_class, groups):
        properties |= group.properties
    if custom_fields:
        properties |= _tenant_field(f"_{tenant}", custom_fields, properties)
    return base.json_schema | {"properties": properties, "additionalProperties": False}


def _chosen(xdm_class: XdmClass, names: Sequence[str] | None) -> list[FieldGroup]:
    known = {group.name: group for group in field_groups(xdm_class)}
    if names is None:
        return list(known.values())
    for name in names:
        if name not in known:
            raise Invalid(
                f"No field group of {xdm_class.value} is called {name!r}. There are: {', '.join(known)}.",
                path=["fieldGroups"],
            )
    return [known[name] for name in dict.fromkeys(names)]


def _tenant_field(name: str, custom_fields: dict[str, Any], taken: Mapping[str, Field]) -> dict[str, Field]:
    for problem in check_custom_fields(custom_fields):
        raise Invalid(
            f"{problem.path}: {problem.message}" if problem.path else problem.message,
            path=["customFields", *filter(None, [problem.path])],
        )
    if name in taken:
        raise Invalid(
            f"Custom fields go under {name!r}, which the class has already; the organization needs another code.",
            path=["customFields"],
        )
    own = {
        "title": "Custom fields",
        "description": "Fields that this organization defined itself.",
        "type": "object",
        "properties": custom_fields,
    }
    return {name: complete(own)}


# ------------------------------------------------------------------------------------------------ the files


@cache
def _shipped() -> dict[str, FieldGroup]:
    """Every file of `groups/`, references resolved; read once."""
    texts = {
        path.name.removesuffix(".json"): orjson.loads(path.read_bytes())
        for path in files(__package__).joinpath("groups").iterdir()
    }
    shapes = texts.pop("shapes")
    return {name: _field_group(text, shapes) for name, text in texts.items()}


def _field_group(text: dict[str, Any], shapes: dict[str, Field]) -> FieldGroup:
    properties = {key: _resolved(field, shapes) for key, field in text["properties"].items()}
    named = (text["name"], XdmClass(text["class"]), text["title"], text["description"])
    return FieldGroup(*named, properties, tuple(text.get("required", ())))


def _resolved(field: Field, shapes: dict[str, Field]) -> Field:
    """The field with references replaced by the shapes they name; its own title and description stay."""
    if reference := field.get("$ref"):
        shape = shapes[reference.removeprefix("shapes.json#/")]
        field = shape | field | {"meta:typeDescription": shape["description"]}
        del field["$ref"]
    match field["meta:xdmType"]:
        case "object":
            return field | {"properties": {key: _resolved(child, shapes) for key, child in field["properties"].items()}}
        case "array":
            return field | {"items": _resolved(field["items"], shapes)}
        case "map":
            return field | {"additionalProperties": _resolved(field["additionalProperties"], shapes)}
    return field


_shipped()  # a broken file must stop the program at its start, not at the first request

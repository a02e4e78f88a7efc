"""Paths of fields: the field at a path, and the paths of values that merging takes whole."""

from collections.abc import Mapping
from typing import TypeAlias

from gateway.xdm.fields import Field, children

Composites: TypeAlias = "Mapping[str, Composites | None]"
"""A tree of field names down to the values that merging takes whole (None); `*` stands for any key of a map."""


def field_at(schema: Field, path: str) -> Field | None:
    """Return the field at a dotted path through objects; None if there is none. Fields inside arrays and maps have no path."""
    field = schema
    for step in path.split("."):
        child = field["properties"].get(step) if field["meta:xdmType"] == "object" else None
        if child is None:
            return None
        field = child
    return field


def composites(schema: Field) -> Composites:
    """Return the tree of the composite values of a schema. Arrays are left out: merging takes every array whole."""
    tree: dict[str, Composites | None] = {}
    for step, child in children(schema):
        if child.get("meta:composite"):
            tree[step] = None
        elif child["meta:xdmType"] != "array" and (below := composites(child)):
            tree[step] = below
    return tree

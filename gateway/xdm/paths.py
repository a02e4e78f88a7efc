"""Paths of fields: the field at a path, and the paths of values that merging takes whole."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.xdm.fields import Field, children

Composites: TypeAlias = "Mapping[str, Composites | None]"
"""A tree of field names down to its ends (None), such as values that merging takes whole; `*` is any key of a map."""


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
    return _tree(schema, lambda field: bool(field.get("meta:composite"))) or {}


def maps(schema: Field) -> Composites:
    """Return the tree of the maps of a schema, which are its ends (None). Arrays are left out."""
    return _tree(schema, lambda field: field["meta:xdmType"] == "map") or {}


def cut(path: tuple[str, ...], ends: Composites) -> tuple[str, ...]:
    """Return the path as far as the first of these ends that it passes; all of it if it passes none."""
    below: Composites | None = ends
    for place, step in enumerate(path):
        if below is None:
            return path[:place]
        if step not in below:
            return path
        below = below[step]
    return path


def _tree(field: Field, is_end: Callable[[Field], bool]) -> "Composites | None":
    """Return the tree down to the ends at and below a field: None if it is one itself, empty if there are none."""
    if is_end(field):
        return None
    if field["meta:xdmType"] == "array":
        return {}
    below = ((step, _tree(child, is_end)) for step, child in children(field))
    return {step: tree for step, tree in below if tree is None or tree}

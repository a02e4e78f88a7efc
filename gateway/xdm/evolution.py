"""Several schemas of one class: their union, changes that only add, and conflicts between them."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

from gateway.xdm.fields import Field, Problem, child_path, children
from gateway.xdm.names import collisions, graphql_name

_LIMITS = (("minimum", 1), ("minLength", 1), ("maximum", -1), ("maxLength", -1))
"""Limits, and which way they narrow: a greater minimum, a smaller maximum."""


def union(schemas: Sequence[Field]) -> Field:
    """Return one schema with every field of the given ones (at least one, without conflicts), which allows what any of them allows.

    Fields keep the order in which they first appear, so that a type generated from the union keeps its name when a
    schema is added.
    """
    return reduce(_wider, schemas)


def additive_problems(old: Field, new: Field) -> list[Problem]:
    """Return the changes from `old` to `new` that do more than add: data that fit `old`, and queries on them, must stay valid."""
    return [problem for path, before, after in _aligned("", old, new) for problem in _lost(path, before, after)]


def conflicts(union_schema: Field, new: Field) -> list[Problem]:
    """Return the fields for which `new` disagrees with the union of the sandbox's other schemas, in type, composite or GraphQL name."""
    problems = [
        problem
        for path, ours, theirs in _aligned("", union_schema, new)
        if theirs
        for problem in _retyped(path, ours, theirs)
    ]
    return problems or list(_shared_names("", _wider(union_schema, new)))


# ------------------------------------------------------------------------------------------------ comparing


def _aligned(path: str, old: Field, new: Field) -> Iterator[tuple[str, Field, Field | None]]:
    """Yield each field of `old` with its counterpart in `new`, None if there is none; nothing below a field of two types."""
    yield path, old, new
    if old["meta:xdmType"] != new["meta:xdmType"]:
        return
    counterparts = dict(children(new))
    for step, child in children(old):
        if step in counterparts:
            yield from _aligned(child_path(path, step), child, counterparts[step])
        else:
            yield child_path(path, step), child, None


def _lost(path: str, old: Field, new: Field | None) -> Iterator[Problem]:
    if new is None:
        yield Problem(path, "The field would be removed; fields can only be added.")
        return
    if retyped := list(_retyped(path, old, new)):
        yield from retyped
        return
    for keyword, sign in _LIMITS:
        if keyword in new and (keyword not in old or sign * new[keyword] > sign * old[keyword]):
            yield Problem(path, f"{keyword!r} {new[keyword]} would narrow the values that the field takes.")
    if "enum" in new and ("enum" not in old or not set(old["enum"]) <= set(new["enum"])):
        yield Problem(path, "'enum' would narrow the values that the field takes.")
    yield from (
        Problem(path, f"{keyword!r} would narrow the values that the field takes.")
        for keyword in ("pattern", "format")
        if keyword in new and new[keyword] != old.get(keyword)
    )
    for name in _newly_required(old, new):
        yield Problem(child_path(path, name), "The field exists as an optional one and cannot become required.")


def _newly_required(old: Field, new: Field) -> list[str]:
    return [
        name
        for name in new.get("required", ())
        if name in old.get("properties", {}) and name not in old.get("required", ())
    ]


def _retyped(path: str, ours: Field, theirs: Field) -> Iterator[Problem]:
    if ours["meta:xdmType"] != theirs["meta:xdmType"]:
        yield Problem(
            path,
            f"The field has type {ours['meta:xdmType']} already and cannot have type {theirs['meta:xdmType']} too.",
        )
    elif ours.get("meta:composite", False) != theirs.get("meta:composite", False):
        yield Problem(path, "'meta:composite' is fixed once the field exists: it decides how stored values are merged.")


def _shared_names(path: str, field: Field) -> Iterator[Problem]:
    if field["meta:xdmType"] == "object":
        for later, earlier in collisions(field["properties"]):
            yield Problem(
                child_path(path, later),
                f"{earlier!r} exists and has the GraphQL name {graphql_name(later)!r} already; choose another name.",
            )
    for step, child in children(field):
        yield from _shared_names(child_path(path, step), child)


# ------------------------------------------------------------------------------------------------ joining


def _wider(one: Field, other: Field) -> Field:
    """Return a field that allows the values of either, with the title and description of the first."""
    if one is other or one["meta:xdmType"] != other["meta:xdmType"]:
        return one
    joined = {keyword: value for keyword, value in one.items() if keyword not in _JOINED} | _joined_limits(one, other)
    for keyword in ("pattern", "format", "meta:typeName"):
        if keyword in one and one[keyword] == other.get(keyword):
            joined[keyword] = one[keyword]
    match one["meta:xdmType"]:
        case "object":
            properties = one["properties"] | {
                key: _wider(one["properties"][key], field) if key in one["properties"] else field
                for key, field in other["properties"].items()
            }
            joined |= {
                "properties": properties,
                "required": [name for name in one.get("required", ()) if name in other.get("required", ())],
            }
        case "array":
            joined["items"] = _wider(one["items"], other["items"])
        case "map":
            joined["additionalProperties"] = _wider(one["additionalProperties"], other["additionalProperties"])
    return joined


_JOINED = frozenset(
    {"pattern", "format", "meta:typeName", "enum", "minimum", "maximum", "minLength", "maxLength", "required"}
)


def _joined_limits(one: Field, other: Field) -> dict[str, Any]:
    limits = {
        keyword: sign * min(sign * one[keyword], sign * other[keyword])
        for keyword, sign in _LIMITS
        if keyword in one and keyword in other
    }
    if "enum" in one and "enum" in other:
        limits["enum"] = list(dict.fromkeys([*one["enum"], *other["enum"]]))
    return limits

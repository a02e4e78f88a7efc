"""What is kept of a refused document: a value that can be stored, and the places of its identities, by which it is found again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.scope import Sandbox
from gateway.xdm.violations import Violation, ViolationCode, is_readable, keys_in, unreadable

Places: TypeAlias = "Mapping[str, Places | None]"
"""A tree of field names down to the places of identities (None)."""


def places_of(paths: Iterable[Sequence[str]]) -> Places:
    """Return the tree of the places where a document may name identities: identityMap, and the fields at these paths."""
    tree: dict[str, Any] = {"identityMap": None}
    for *steps, last in paths:
        below = tree
        for step in steps:
            below = below.setdefault(step, {})
        below[last] = None
    return tree


def at_places(document: Any, places: Places) -> dict[str, Any]:
    """Return the part of a document that stands at these places, or in their way. Objects without such a part are left out."""
    part = dict[str, Any]()
    for step, below in places.items() if isinstance(document, dict) else ():
        if step in document:
            child = document[step]
            found = at_places(child, below) if below is not None and isinstance(child, dict) else child
            if found or not isinstance(child, dict):
                part[step] = found
    return part


def unknown_keys(violations: Iterable[Violation], names: AbstractSet[str]) -> set[str]:
    """Return the keys by which these violations lead and that are no names of fields: what a document says, not its schema."""
    return {key for violation in violations for key in keys_in(violation.path) if is_readable(key)} - names


def keyed_xids(config: Configuration, sandbox: Sandbox, keys: AbstractSet[str]) -> tuple[UUID, ...]:
    """Return the xid of each of these keys as a value in each namespace, each once."""
    found = (namespace.xids(sandbox, keys) for namespace in config.namespaces.values()) if keys else ()
    return tuple({xid: None for xids in found for xid in xids})


def storable(value: Any) -> Any:
    """Return the value of a refused document, or its text if it nests too deeply for responses; None if it has neither."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        return _text(value)
    is_deep = not is_readable(value) and any(fault.code is ViolationCode.DEPTH for fault in unreadable(value))
    return text.decode() if is_deep else value


def _text(value: Any) -> str | None:
    """Serialize a document with numbers or characters that cannot be stored, as ASCII."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None

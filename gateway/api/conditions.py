"""Conditions in PQL among arguments and fields of inputs, which declare where they stand what they are about."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from gateway.domain.reading.conditions import Condition, ConditionKey
from gateway.xdm.classes import XdmClass

METADATA: Final = "pql"

Conditions: TypeAlias = Mapping[ConditionKey, Condition]
"""The checked conditions of an operation, by what they are over and their text."""

NO_CONDITIONS: Final[Conditions] = MappingProxyType({})


def condition_over(xdm_class: XdmClass) -> dict[str, Any]:
    """Return the metadata of an argument or an input's field whose text is a condition over people or over events."""
    return {METADATA: xdm_class}


def class_of(declared: Any) -> XdmClass | None:
    """Return what an argument or an input's field of a schema is a condition over, None for one that is no condition."""
    definition = declared.extensions.get("strawberry-definition")
    return definition.metadata.get(METADATA) if definition else None

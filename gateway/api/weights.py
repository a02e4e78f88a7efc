"""What fields cost, declared where they stand. `execution/costs.py` works out by it what an operation may cost.

A type whose objects come with the object around them or with the configuration, or whose cost is counted at the field that returns them,
has the class attribute `is_loaded = False`.
"""

from dataclasses import dataclass
from typing import Any, Final

LEAF: Final = 1
OBJECT: Final = 100 * LEAF
"""A row and its document take about as long as a hundred values of it."""

ASSUMED_LIST_SIZE: Final = 5
"""Items of a list of unknown length. Most people have two to five identities and as many records; counting the limit of 50 would refuse
pages of people that are read every day. The extra cost of people with 50 identities is bounded by this, too."""

METADATA: Final = "weight"


@dataclass(frozen=True, slots=True)
class Weight:
    """The cost of a field: of itself, beside that of its selection; of each key of a look-up of many. `size` is the usual length of its list."""

    itself: int = 0
    key: int = OBJECT
    size: int = ASSUMED_LIST_SIZE


USUAL: Final = Weight()


def weight_of(field: Any) -> Weight:
    """Return the weight that a field of the schema declares; one of an entity has it among its own extensions."""
    definition = field.extensions.get("strawberry-definition")
    weight: Weight = (definition.metadata if definition else field.extensions).get(METADATA, USUAL)
    return weight


def is_loaded(named: Any) -> bool:
    """Return whether an object of this type is loaded on its own account; a part of a document is not."""
    definition = named.extensions.get("strawberry-definition")
    return definition is not None and getattr(definition.origin, "is_loaded", True)

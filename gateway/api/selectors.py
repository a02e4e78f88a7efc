"""The argument `select`, which names the wanted fields of a document."""

from typing import Annotated, Final

import strawberry

from gateway.api.context import Context
from gateway.api.projections import NotProjected
from gateway.domain.reading.subsets import subset
from gateway.domain.rules.selectors import Selector
from gateway.projection.tree import Leaf, Node, computed_in
from gateway.xdm.classes import XdmClass

ARGUMENT = "select"
"""The name of every argument that takes a selector, and of no other."""

SelectArgument = Annotated[
    str | None,
    strawberry.argument(
        name=ARGUMENT,
        description="Paths of the wanted fields, as in `person.name(firstName,lastName),workEmail`; left out, the whole document. A field that no document can have is BAD_SELECTOR.",
    ),
]


MAX_CHARACTERS_PROJECTED: Final = 4_000
"""The most characters of a selector that a statement reads by: with more, the whole document is the lesser evil."""


def selector_of(context: Context, select: str | None) -> Selector | None:
    """Return the parsed selector of an argument; None, which selects everything, where there is none."""
    return None if select is None else context.selectors[select]


def subset_of(xdm_class: XdmClass, context: Context, select: str | None = None) -> Node:
    """Return what the argument selects of a document of a class, as a projection. Raises NotProjected for very much, and for values
    that are computed for events."""
    selector = selector_of(context, select)
    if selector is None:
        return Leaf("JSON")
    if len(select or "") > MAX_CHARACTERS_PROJECTED:
        raise NotProjected
    taken = subset(selector, context.config.full_union(xdm_class))
    if xdm_class is XdmClass.EXPERIENCE_EVENT and computed_in(taken) is not None:
        raise NotProjected
    return taken

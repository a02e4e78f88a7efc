"""The argument `select`, which names the wanted fields of a document."""

from typing import Annotated

import strawberry

from gateway.api.context import Context
from gateway.domain.rules.selectors import Selector

ARGUMENT = "select"
"""The name of every argument that takes a selector, and of no other."""

SelectArgument = Annotated[
    str | None,
    strawberry.argument(
        name=ARGUMENT,
        description="Paths of the wanted fields, as in `person.name(firstName,lastName),workEmail`; left out, the whole document. A field that no document can have is BAD_SELECTOR.",
    ),
]


def selector_of(context: Context, select: str | None) -> Selector | None:
    """Return the parsed selector of an argument; None, which selects everything, where there is none."""
    return None if select is None else context.selectors[select]

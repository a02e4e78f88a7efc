"""Selectors as an argument: the part of a document that a client wants."""

from typing import Annotated

import strawberry

from gateway.domain import selectors
from gateway.domain.merge import Document

SelectArgument = Annotated[
    str | None,
    strawberry.argument(
        name="select",
        description="Paths of the wanted fields, as in `person.name(firstName,lastName),workEmail`; left out, the whole document.",
    ),
]


def selected(document: Document, select: str | None) -> Document:
    """The document, or what the selector wants of it. Raises BadSelector."""
    return document if select is None else selectors.apply(selectors.parse(select), document)

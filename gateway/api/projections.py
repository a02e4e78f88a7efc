"""How fields are read: each declares where it stands what it is of a record, so that one statement reads all that an operation selects.

A field that declares nothing is resolved by its function, over the columns that it names in `raw`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from gateway.domain.reading.people_statements import DOCUMENT, PERSON
from gateway.projection.predicates import Predicate
from gateway.projection.tree import (
    ComputedValues,
    Count,
    Document,
    Each,
    Format,
    Leaf,
    Node,
    Page,
    Place,
    Related,
    Rows,
)


class Selected(Protocol):
    """A field that an operation selects. Its methods raise NotProjected where something in its selection cannot be projected."""

    has_arguments: bool

    def object(self) -> Node:
        """Return what is selected of the field's object, or of each of its objects."""

    def document(self) -> Node:
        """Return what is selected of a document's part, whose fields take their values by key."""

    def given(self, read: Callable[..., Any]) -> Any:
        """Return what stands for what `read` gives of the context of a request and the field's arguments. It raises NotProjected."""

    def page(self, read: Callable[..., Rows]) -> Page:
        """Return the page that the field's connection is; `read` returns which one, for the context of a request and the field's arguments,
        and for no context where they depend on nothing."""

    def require_page(self) -> Rows:
        """Return the page around the field."""


class NotProjected(Exception):
    """Something is selected that only a resolver gives."""


Reads: TypeAlias = Node | Format | Callable[[Selected], Node]
"""What a field is of a record: a node, the format of the column of its own name, or a function of what is selected."""

EVERYTHING: Final = frozenset({PERSON, DOCUMENT})
METADATA: Final = "reading"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a field is read. `raw` are the columns that its resolver looks at; `is_record`: its objects are the record itself; `computes`: values
    that are computed are read with it."""

    reads: Reads | None = None
    raw: frozenset[str] = EVERYTHING
    is_record: bool = False
    computes: bool = False


UNDECLARED: Final = Reading()


def reading(
    reads: Reads | None = None, *, raw: frozenset[str] | None = None, is_record: bool = False, computes: bool = False
) -> dict[str, Any]:
    """Return the metadata of a field. What is projected needs no raw columns, unless they are named."""
    if raw is None:
        raw = EVERYTHING if reads is None else frozenset()
    return {METADATA: Reading(reads, raw, is_record, computes)}


def object_of(field: Selected) -> Node:
    """Declare that a field is an object, whose fields its type declares."""
    return field.object()


def related(
    name: str, *, is_list: bool = False, passing: Callable[..., tuple[Predicate, ...]] | None = None
) -> Callable[[Selected], Node]:
    """Declare that a field is another record, or a list of some, which the source of the record calls `name`; `passing` returns their filter
    for the context of a request and the field's arguments."""

    def node(field: Selected) -> Node:
        if not field.has_arguments:
            return Related(name, field.object(), is_list)
        if passing is None:
            raise NotProjected
        return Related(name, field.object(), is_list, field.given(passing))

    return node


def computed_values(read: Callable[..., tuple[tuple[str, Node], ...]]) -> Callable[[Selected], Node]:
    """Declare that a field is a list about values that are computed for a record; `read` returns what each has, for what is selected of them, the
    context of a request and the field's arguments."""
    return lambda field: ComputedValues(field.given(partial(read, field.object())))


def each_of(field: Selected) -> Node:
    """Declare that a field has an object for each record of a page."""
    field.require_page()
    return Each(field.object())


def count_of(field: Selected) -> Node:
    """Declare that a field counts the list that a page is of."""
    return Count(field.require_page())


def place_of(field: Selected) -> Node:
    """Declare that a field is the place of a record in the list that a page is of."""
    field.require_page()
    return Place()


def document_of(field: Selected) -> Node:
    """Declare that a field is the document of a record, typed by the sandbox's schemas."""
    return Document(field.document())


def document_json(read: Callable[..., Node]) -> Callable[[Selected], Node]:
    """Declare that a field is the document of a record as JSON; `read` returns what of it, for the context of a request and the field's
    arguments."""
    return lambda field: Document(field.given(read) if field.has_arguments else Leaf("JSON"))

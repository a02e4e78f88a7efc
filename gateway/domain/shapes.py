"""What of a document is wanted: a tree of leaves, objects and lists, each under the name that the answer gives it."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of a GraphQL scalar."""

    scalar: str


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text in each object: the name of its type."""

    text: str


@dataclass(frozen=True, slots=True)
class Fields:
    """An object's fields: the answer's key, the document's key, and what is wanted below."""

    fields: tuple[tuple[str, str, "Shape"], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """Each item of an array."""

    item: "Shape"


Shape: TypeAlias = Leaf | Constant | Fields | Items

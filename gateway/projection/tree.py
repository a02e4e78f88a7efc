"""Projections: what is wanted of a record, as a tree of JSON values.

A record has columns, a document, values that are computed for it, lists of other records, and related ones. `sql` writes a projection as an
expression that gives JSON text; `evaluate` gives the equal value for a record in memory, but for what only the store has: derived columns and
related records. Trees are frozen and can be keys.

A document has what validation lets in: values of the types that the union of all schemas states, Ints of 32 bits, nothing null.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property, partial
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from gateway.projection.predicates import Predicate, Slot, slots_up_to


class Format(Enum):
    """How a column is written as JSON."""

    TEXT = auto()
    TIME = auto()  # RFC 3339 in UTC with milliseconds, cut and not rounded
    UUID = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    JSON = auto()  # as it is: it is JSON already


class Packing(Enum):
    """How a column is written in the bytes of a `Packed` text."""

    UUID = auto()  # its 16 bytes
    TEXT = auto()  # UTF-8
    JSON = auto()  # the JSON string of a text, in UTF-8
    HEX = auto()  # the 32 digits of a UUID
    LONG = auto()  # the 8 bytes of a whole number, the highest first
    MICROSECONDS = auto()  # of a time since 1970, in decimal digits


@dataclass(frozen=True, slots=True)
class Constant:
    """A text, a number, a truth value or None that is equal for all records."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Object:
    """A JSON object: its keys and what they hold. `present` names the column that is true where it exists; else it is null. Hashed once."""

    fields: tuple[tuple[str, "Node"], ...]
    present: str | None = None

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.fields, self.present))

    @cached_property
    def is_fixed(self) -> bool:
        """Whether `replaced` leaves it as it is."""
        below = (each for _, field in self.fields for each in nodes_of(field))
        return not any(isinstance(each, Page | Count | Related | Document | ComputedValues) for each in below)


# ------------------------------------------------------------------------------------------------ parts of a document


@dataclass(frozen=True, slots=True)
class Leaf:
    """The value itself: of a GraphQL scalar, or anything for `JSON`."""

    scalar: str


@dataclass(frozen=True, slots=True)
class Under:
    """A value under a key of the object around it."""

    key: str
    of: "Node"


@dataclass(frozen=True, slots=True)
class Items:
    """Each item of an array."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Subset:
    """Some fields of an object under their own keys, as far as they are there: null where there is no object."""

    fields: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """An object that no stored document has, as its values are computed: `evaluate` finds them in a document to which they were added."""

    of: Object | Subset


# ------------------------------------------------------------------------------------------------ parts of a record


@dataclass(frozen=True, slots=True)
class ComputedValues:
    """A list about values that are computed for the record: the key of each, and what is wanted of what is known of it."""

    each: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A part of the record's document: `Leaf("JSON")` is all of it."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the record. `is_derived`: its source works it out, and only where it is wanted."""

    name: str
    format: Format
    is_derived: bool = False


@dataclass(frozen=True)
class Packed:
    """A text of several columns: a prefix, then bytes in base64url without padding. A piece is bytes, or a column's name and how it is packed.

    Hashed once.
    """

    prefix: str
    pieces: tuple[bytes | tuple[str, Packing], ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.prefix, self.pieces))


class Order(NamedTuple):
    """The order of a list: by columns that together no two records share. An index has the first `indexed` of them in this order."""

    columns: tuple[str, ...]
    indexed: int
    descending: bool


class Rows(NamedTuple):
    """A page of the record's list called `list`: of the records behind `after` and in front of `before` the first `size`, the last if `backward`.

    `key` is a record's place in the list as text.
    """

    list: str
    filter: tuple[Predicate, ...]
    after: Predicate | None
    before: Predicate | None
    order: Order
    size: int
    backward: bool
    key: Packed

    @property
    def direction(self) -> str:
        """`asc` or `desc`: the direction in SQL in which the page's records are read."""
        return "desc" if self.order.descending is not self.backward else "asc"

    @property
    def conditions(self) -> tuple[Predicate, ...]:
        """The filter and the bounds."""
        return (*self.filter, *(bound for bound in (self.after, self.before) if bound))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list. What is wanted of it, `of`, is made of the parts of a page below."""

    rows: Rows
    of: "Node"


@dataclass(frozen=True, slots=True)
class Count:
    """How many records a whole list has that pass its filter."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Related:
    """What the source of the record calls `name`: another record, or if so a list of some that pass a filter. Null where there is no such
    record."""

    name: str
    of: "Node"
    is_list: bool = False
    filter: tuple[Predicate, ...] = ()


# ------------------------------------------------------------------------------------------------ parts of a page


@dataclass(frozen=True, slots=True)
class Each:
    """An array with this of each record of the page."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class HasMore:
    """Whether the list goes on behind the page, or in front of it."""

    behind: bool


@dataclass(frozen=True, slots=True)
class End:
    """The place of the page's first or last record as text, null on an empty page."""

    is_first: bool


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a record of the page as text."""


Node: TypeAlias = (
    Constant
    | Object
    | Leaf
    | Under
    | Items
    | Subset
    | Computed
    | ComputedValues
    | Document
    | Column
    | Packed
    | Page
    | Count
    | Related
    | Each
    | HasMore
    | End
    | Place
)


def nodes_of(node: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it, but those of related records and of computed values."""
    yield node
    match node:
        case Object(fields) | Subset(fields):
            for _, below in fields:
                yield from nodes_of(below)
        case Under(_, of) | Items(of) | Computed(of) | Document(of) | Page(_, of) | Each(of):
            yield from nodes_of(of)


def is_in_store(node: Node) -> bool:
    """Return whether only SQL can tell something of it."""
    return any(
        isinstance(each, Related | Computed | ComputedValues) or (isinstance(each, Column) and each.is_derived)
        for each in nodes_of(node)
    )


def is_computed(node: Node) -> bool:
    """Return whether something of it is computed for each record."""
    return any(isinstance(each, Computed | ComputedValues) for each in nodes_of(node))


def computed_in(node: Node) -> list[str] | None:
    """Return the keys of values that are wanted of those computed; None where nothing is wanted that has such values."""
    found = [each for each in nodes_of(node) if isinstance(each, Computed | ComputedValues)]
    return list(dict.fromkeys(chain.from_iterable(map(keys_of, found)))) if found else None


def keys_of(node: Computed | ComputedValues) -> Iterator[str]:
    """Return the keys of values that are wanted of those computed."""
    if isinstance(node, ComputedValues):
        return (key for key, _ in node.each)
    fields = ((name, below) for name, below in node.of.fields if not isinstance(below, Constant))
    return (below.key if isinstance(below, Under) else name for name, below in fields)


def replaced(node: Node, changed: Callable[[Any], Any]) -> Node:  # noqa: PLR0911 (a kind of node each)
    """Return a node with others of what may depend on a request: rows, filters of related records, and what is wanted of documents and of
    computed values."""
    match node:
        case Object(fields) if not node.is_fixed:
            return replace(node, fields=tuple((name, replaced(below, changed)) for name, below in fields))
        case Page(rows, of):
            return Page(changed(rows), replaced(of, changed))
        case Count(rows):
            return Count(changed(rows))
        case Each(of):
            return Each(replaced(of, changed))
        case Document(of):
            return Document(changed(of))
        case ComputedValues(each):
            return ComputedValues(changed(each))
        case Related(of=of, filter=filter_):
            return replace(node, of=replaced(of, changed), filter=changed(filter_))
    return node


def with_slots(given: Any, values: list[Any]) -> Any:
    """Return what may depend on a request with slots in place of the values of conditions, which are added to `values`."""

    def slots(own: tuple[Any, ...]) -> tuple[Slot, ...]:
        values.extend(own)
        return slots_up_to(len(values), len(own))

    return _revalued(given, slots)


def _revalued(given: Any, made: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Any:
    if isinstance(given, Predicate):
        return Predicate(given.sql, made(given.values), given.computes)
    if isinstance(given, Rows):
        name, filter_, after, before, order, size, backward, key = given
        filter_ = filter_ and _revalued(filter_, made)
        after, before = after and _revalued(after, made), before and _revalued(before, made)
        return Rows(name, filter_, after, before, order, size, backward, key)
    if isinstance(given, tuple) and given and isinstance(given[0], Predicate):
        return tuple([_revalued(each, made) for each in given])
    return given


@dataclass(frozen=True)
class Projection:
    """What is read of each record of a source: `parts` as JSON texts, and columns in `raw` as they are. Hashed once.

    `is_text`: the one part is all that is read.
    """

    parts: tuple[Node, ...]
    raw: frozenset[str]
    is_text: bool = False

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        structure, values = self.structure
        return hash((structure, values)) if values else hash((self.parts, self.raw, self.is_text))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes of all parts."""
        return tuple(node for part in self.parts for node in nodes_of(part))

    @cached_property
    def structure(self) -> tuple["Projection", tuple[Any, ...]]:
        """The projection with slots for the values of conditions, which has the same SQL, and these values by the places of the slots."""
        values = list[Any]()
        parts = tuple(replaced(part, lambda given: with_slots(given, values)) for part in self.parts)
        return (replace(self, parts=parts).as_structure(), tuple(values)) if values else (self, ())

    def as_structure(self) -> "Projection":
        """Return the projection as its own structure: slots have no slots."""
        vars(self)["structure"] = self, ()
        return self

    @cached_property
    def is_in_store(self) -> bool:
        """Whether a part can only be read by SQL."""
        return any(map(is_in_store, self.parts))

    @cached_property
    def computed(self) -> tuple[str, ...] | None:
        """The keys of all values that are computed; None where no object of such is wanted."""
        found = [names for names in map(computed_in, self.parts) if names is not None]
        return tuple(dict.fromkeys(chain.from_iterable(found))) if found else None

    @cached_property
    def page_size(self) -> int:
        """The number of records on all pages of one record together."""
        return sum(node.rows.size for node in self.nodes if isinstance(node, Page))

    @cached_property
    def known(self) -> Mapping[str, Any]:
        """What is equal for all projections of this structure."""
        return {name: getattr(self, name) for name in ("raw", "is_text", "is_in_store", "computed", "page_size")}


class ProjectionWithValues(Projection):
    """A projection of a structure and the values for its slots. Statements look at no more of it; its parts are made where they are evaluated."""

    def __init__(self, structure: Projection, values: tuple[Any, ...]) -> None:
        vars(self).update(structure.known, structure=(structure, values), _hash=hash((structure, values)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProjectionWithValues) and self.structure == other.structure

    __hash__ = Projection.__hash__

    @cached_property
    def parts(self) -> tuple[Node, ...]:
        """What is read, with the values."""
        structure, values = self.structure

        def filled(own: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[each.place] if isinstance(each, Slot) else each for each in own)

        return tuple(replaced(part, partial(_revalued, made=filled)) for part in structure.parts)

"""Look-ahead: from what is selected below a field to the projection that is read for it.

Where all of an object's fields can be projected, the object is one part of the projection, which comes as JSON text. Else its fields are
parts, as far as they can be, and resolvers give the others from the columns that they declare.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Final, cast

from graphql import GraphQLField, GraphQLList, GraphQLNonNull, GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet
from graphql.execution.values import VariableValues

from gateway.api.context import Context
from gateway.api.entities import ByKey
from gateway.api.execution.argument_texts import conditions_of
from gateway.api.execution.inputs import Arguments
from gateway.api.projections import METADATA, UNDECLARED, NotProjected, Reading
from gateway.errors import GatewayError
from gateway.projection.tree import (
    Column,
    Computed,
    Constant,
    Count,
    Document,
    Format,
    Items,
    Leaf,
    Node,
    Object,
    Page,
    Projection,
    ProjectionWithValues,
    Rows,
    Under,
    is_computed,
    is_in_store,
    nodes_of,
    replaced,
    with_slots,
)

TYPENAME: Final = "__typename"

Path = tuple[str, ...]

Below = Callable[[GraphQLObjectType, list[FieldDetails]], GroupedFieldSet]
"""Returns the fields that are selected of an object, as the compiler collects them."""


@dataclass(frozen=True, slots=True, eq=False)
class Unbound:
    """Stands for what `read` gives of a request's context and the values of a field's arguments."""

    arguments: Arguments
    read: Callable[..., Any]


AROUND: Final[Any] = object()
"""Stands for the page that a field's own resolver reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookahead:
    """What is selected below a field that reads records.

    `parts` has the places of the projection's parts, by the keys below the field that lead to an object or a value. `page` is the whole
    connection that the field gives, if that can be projected.
    """

    projection: Projection
    parts: Mapping[Path, int]
    page: Page | None
    unbound: tuple[Unbound, ...]

    def bound(self, context: Context, variables: Any) -> Projection | None:
        """Return the projection for a request and the values of its variables.

        None where arguments of fields in it are wrong, or what they ask for is not projected: then all is read, and the fields tell.
        """
        if not self.unbound:
            return self.projection
        values: list[Any] = []
        try:
            found = tuple(with_slots(_bind(context, variables, each), values) for each in self.unbound)
        except Exception:  # noqa: BLE001 (the field with the arguments raises it again)
            return None
        structure = _structure(self, found)
        return ProjectionWithValues(structure, tuple(values)) if values else structure

    def page_of(self, context: Context, variables: Any, rows: Rows) -> Page | None:
        """Return the whole connection, for the page that is asked for; None where it is not projected."""
        if self.page is None:
            return None
        try:
            return cast("Page", replaced(self.page, lambda of: rows if of is AROUND else _bind(context, variables, of)))
        except Exception:  # noqa: BLE001 (the field with the arguments raises it again)
            return None


@lru_cache(maxsize=1_000)
def _structure(of: Lookahead, found: tuple[Any, ...]) -> Projection:
    """Return the projection with this in place of what stands for what depends on a request, as its own structure."""
    rest = iter(found)

    def filled(each: Any) -> Any:
        return next(rest) if isinstance(each, Unbound) else each

    return replace(of.projection, parts=tuple(replaced(part, filled) for part in of.projection.parts)).as_structure()


def _bind(context: Context, variables: VariableValues, of: Any) -> Any:
    return of.read(context, **of.arguments.read(variables)) if isinstance(of, Unbound) else of


def reading_of(field: GraphQLField) -> Reading:
    """Return how a field is read, as it declares."""
    definition = field.extensions.get("strawberry-definition")
    return definition.metadata.get(METADATA, UNDECLARED) if definition else UNDECLARED


def reads_records(field: GraphQLField) -> bool:
    """Return whether a field declares how it is read."""
    return reading_of(field) is not UNDECLARED


class Walk:
    """Walks selections of one operation."""

    def __init__(self, below: Below) -> None:
        self.below = below

    def look_ahead(self, field: GraphQLField, details: list[FieldDetails]) -> Lookahead | None:
        """Return what is selected below a field that reads records, None for any other field."""
        named = get_named_type(field.type)
        if not isinstance(named, GraphQLObjectType) or not any(map(reads_records, named.fields.values())):
            return None
        parts: dict[Path, Node] = {}
        raw: set[str] = set()
        self._collect(named, details, (), parts, raw)
        page = self._page(named, details)
        projection = Projection(tuple(parts.values()), frozenset(raw), is_text=() in parts)
        return Lookahead(
            projection,
            {path: place for place, path in enumerate(parts)},
            page,
            tuple(chain.from_iterable(map(unbound_in, parts.values()))),
        )

    def projected(self, field: GraphQLField, details: list[FieldDetails], rows: Any = None) -> Node:
        """Return what a field is of a record in the store; `rows` is the page around it. Raises NotProjected."""
        node = self.node(field, details, rows)
        if is_computed(node) and not reading_of(field).computes:
            raise NotProjected
        return node

    def node(self, field: GraphQLField, details: list[FieldDetails], rows: Any = None) -> Node:
        """Return what a field is of a record, values that are computed included. Raises NotProjected."""
        match reading_of(field).reads:
            case None:
                raise NotProjected
            case Format() as form:
                return Column(field.extensions["strawberry-definition"].python_name, form)
            case reads if callable(reads):
                return reads(_Field(self, field, details, rows))
            case node:
                return node

    def object(self, named: Any, details: list[FieldDetails], rows: Any) -> Object:
        """Return what is selected of an object. Raises NotProjected."""
        if not isinstance(named, GraphQLObjectType) or "strawberry-definition" not in named.extensions:
            raise NotProjected
        fields = tuple(
            (key, Constant(named.name) if name == TYPENAME else self.projected(named.fields[name], inner, rows))
            for key, name, inner in self._fields(named, details)
        )
        return Object(fields, getattr(named.extensions["strawberry-definition"].origin, "present", None))

    def _page(self, named: GraphQLObjectType, details: list[FieldDetails]) -> Page | None:
        if "pageInfo" not in named.fields:
            return None
        try:
            return Page(AROUND, self.object(named, details, AROUND))
        except NotProjected:
            return None

    def _collect(
        self, named: GraphQLObjectType, details: list[FieldDetails], path: Path, parts: dict[Path, Node], raw: set[str]
    ) -> None:
        """Add the parts of an object, and the raw columns that resolvers of its other fields need."""
        try:
            whole = self.object(named, details, None)
        except NotProjected:
            pass
        else:
            if _is_worth_reading(whole):
                parts[path] = whole
                return
        for key, name, inner in self._fields(named, details):
            if name != TYPENAME:
                self._collect_field(named.fields[name], inner, (*path, key), parts, raw)

    def _collect_field(
        self, field: GraphQLField, details: list[FieldDetails], path: Path, parts: dict[Path, Node], raw: set[str]
    ) -> None:
        declared, named = reading_of(field), get_named_type(field.type)
        if declared.is_record and isinstance(named, GraphQLObjectType):
            self._collect(named, details, path, parts, raw)
            return
        try:
            node = self.projected(field, details)
        except NotProjected:
            raw |= declared.raw
        else:
            if _is_worth_reading(node):
                parts[path] = node
            else:
                raw |= declared.raw

    def _fields(
        self, parent: GraphQLObjectType, details: list[FieldDetails]
    ) -> Iterator[tuple[str, str, list[FieldDetails]]]:
        for key, inner in self.below(parent, details).items():
            yield key, inner[0].node.name.value, inner


def unbound_in(node: Node) -> list[Unbound]:
    """Return what of a node depends on a request."""
    found = list[Any]()

    def note(of: Any) -> Any:
        found.append(of)
        return of

    replaced(node, note)
    return [of for of in found if isinstance(of, Unbound)]


def _is_worth_reading(node: Node) -> bool:
    """Whether the store has to do something for it: columns alone come with each record."""
    return is_in_store(node) or any(isinstance(below, Document | Page | Count) for below in nodes_of(node))


class _Field:
    """A field that is selected, for the functions that fields declare."""

    def __init__(self, walk: Walk, field: GraphQLField, details: list[FieldDetails], rows: Any) -> None:
        self._walk = walk
        self._field = field
        self._details = details
        self._rows = rows
        self.has_arguments = any(each.node.arguments for each in details)

    def require_page(self) -> Any:
        if self._rows is None:
            raise NotProjected
        return self._rows

    def object(self) -> Node:
        return self._walk.object(get_named_type(self._field.type), self._details, self._rows)

    def document(self) -> Node:
        return _part_of_document(self._field.type, self._details, self._walk.below)

    def given(self, read: Callable[..., Any]) -> Any:
        return Unbound(Arguments(self._field, self._details[0].node), read)

    def page(self, read: Callable[..., Rows]) -> Page:
        rows: Any = self.given(read)
        if rows.arguments.fixed is not None and not any(conditions_of(self._field, self._details[0].node)):
            try:
                rows = read(None, **rows.arguments.fixed)
            except GatewayError as error:
                raise NotProjected from error
        return Page(rows, self._walk.object(get_named_type(self._field.type), self._details, rows))


def _part_of_document(output_type: Any, details: list[FieldDetails], below: Below) -> Node:
    match output_type:
        case GraphQLNonNull():
            return _part_of_document(output_type.of_type, details, below)
        case GraphQLList():
            return Items(_part_of_document(output_type.of_type, details, below))
        case GraphQLObjectType():
            fields = below(output_type, details).items()
            return Object(tuple((key, _field_of_document(output_type, inner, below)) for key, inner in fields))
    return Leaf(output_type.name)


def _field_of_document(parent: GraphQLObjectType, details: list[FieldDetails], below: Below) -> Node:
    name = details[0].node.name.value
    if name == TYPENAME:
        return Constant(parent.name)
    field = parent.fields[name]
    resolve = cast("ByKey", field.resolve)
    part = _part_of_document(field.type, details, below)
    return Under(resolve.key, Computed(part) if resolve.is_computed and isinstance(part, Object) else part)

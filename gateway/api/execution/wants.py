"""What an operation wants of the documents of profiles and events, so that the store gives that and no more.

A field that gives profiles or events, be it through a connection or a result, is told by its selection which leaves of their entities are
wanted: a `Shape`, which the store fills in as finished JSON. Where the whole document is needed, or different parts in different places,
the document is read, and the entity picked from it here.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, cast

from graphql import FieldNode, GraphQLField, GraphQLList, GraphQLNonNull, GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import FieldDetails

from gateway.api.entities import ByKey
from gateway.api.execution.inputs import Arguments
from gateway.api.execution.texts import TYPENAME, Below, result_of, text_of
from gateway.api.ids import prefix
from gateway.api.loaders import Wanted, WantedPage
from gateway.domain.reading.shapes import Constant, Fields, Items, Leaf, Shape
from gateway.domain.reading.timelines import EventColumn, NodePart, PackedKey

NOTHING: Final = Fields(())
"""No field of the document."""

NEED_DOCUMENT: Final = {"Profile.entityJson", "Profile.limits", "ExperienceEvent.entityJson"}
"""Fields that look into the document; every other one but `entity` does without it."""

GLIMPSED: Final = {"id", "profileId", "mergePolicy", "entity"}
"""Fields of a profile that do not look at the person."""

IDENTITY_MAP: Final = "identityMap"

WIDE: Final = 250
"""Leaves of one shape, at most."""

PROFILE: Final = "Profile"
HOLDERS: Final = {PROFILE, "ExperienceEvent"}
"""Types that have a document, and an entity that is picked from it."""

ENTITY: Final = "entity"

EVENT_CONNECTION: Final = "EventConnection"
EVENT_PARTS: Final[Mapping[str, NodePart]] = {
    "id": PackedKey(prefix("ExperienceEvent")),
    "eventId": EventColumn.EVENT_ID,
    "timestamp": EventColumn.TIMESTAMP,
    "eventType": EventColumn.EVENT_TYPE,
    "ingestedAt": EventColumn.INGESTED_AT,
    "entityJson": EventColumn.DOCUMENT,
}
"""Fields of an event that the store can print, beside its entity."""
CURSORS: Final = {"startCursor", "endCursor"}

Holder = tuple[GraphQLObjectType, list[FieldDetails]]
"""A type that has a document, and what asks for its objects."""


def wanted(
    output_type: Any,
    details: list[FieldDetails],
    below: Below,
    arguments: Callable[[GraphQLField, FieldNode], Arguments],
) -> Wanted:
    """What is wanted of all profiles or events that a field with this selection gives. `arguments` are those of a field further in."""
    holders = list(_holders(output_type, details, below))
    shapes = {shape for holder in holders for shape in _shapes(holder, below)} - {NOTHING}
    shape = None if len(shapes) > 1 else _narrow(next(iter(shapes), NOTHING))
    has_map = isinstance(shape, Fields) and any(key == IDENTITY_MAP for _, key, _ in shape.fields)
    is_glimpse = not has_map and all(_is_glimpsed(holder, below) for holder in holders)
    named = get_named_type(output_type)
    pages = partial(_page, below=below)
    text = None if has_map or shape is None else text_of(named, details, below, pages, arguments)
    result = None if text is None or shape is None else result_of(text, shape)
    return Wanted(shape, is_glimpse, pages(named, details), text, result)


def _holders(output_type: Any, details: list[FieldDetails], below: Below) -> Iterator[Holder | None]:
    """Where a field gives profiles or events. None is an interface: which of its types have a document is known when the objects are there."""
    named = get_named_type(output_type)
    if not isinstance(named, GraphQLObjectType):
        yield None
    elif named.name in HOLDERS:
        yield named, details
    elif not named.interfaces:  # what has an id of its own reads its own
        for name, inner in _fields(named, details, below):
            if isinstance(get_named_type(named.fields[name].type), GraphQLObjectType):
                yield from _holders(named.fields[name].type, inner, below)


def _shapes(holder: Holder | None, below: Below) -> Iterator[Shape | None]:
    """What is wanted of the documents there; None is all of it."""
    if holder is None:
        yield None
        return
    named, details = holder
    for name, inner in _fields(named, details, below):
        if name == ENTITY:
            yield shape_of(named.fields[ENTITY].type, inner, below)
        elif f"{named.name}.{name}" in NEED_DOCUMENT:
            yield None


def _is_glimpsed(holder: Holder | None, below: Below) -> bool:
    """Whether of the profiles there nothing but their entity is wanted, and who they are."""
    if holder is None:
        return False
    named, details = holder
    return named.name != PROFILE or all(name in GLIMPSED for name, _ in _fields(named, details, below))


def _page(connection: Any, details: list[FieldDetails], below: Below) -> WantedPage | None:
    """The pages of a connection of events, if the store can finish all of their nodes."""
    if not isinstance(connection, GraphQLObjectType) or connection.name != EVENT_CONNECTION:
        return None
    fields = dict(_fields(connection, details, below))
    selected = list(below(connection, details).values())
    if "nodes" not in fields or "edges" in fields or len(fields) < len(selected):
        return None
    event = get_named_type(connection.fields["nodes"].type)
    parts = [(key, _event_part(event, inner, below)) for key, inner in below(event, fields["nodes"]).items()]
    node = tuple((key, part) for key, part in parts if part is not None)
    info = fields.get("pageInfo")
    shown = (
        {name for name, _ in _fields(get_named_type(connection.fields["pageInfo"].type), info, below)}
        if info
        else set()
    )
    return WantedPage(node, has_info=bool(info), has_cursors=bool(shown & CURSORS)) if len(node) == len(parts) else None


def _event_part(event: GraphQLObjectType, details: list[FieldDetails], below: Below) -> NodePart | None:
    node = details[0].node
    match node.name.value:
        case "entity":
            return _narrow(shape_of(event.fields[ENTITY].type, details, below))
        case "entityJson" if node.arguments:
            return None
        case "__typename":
            return Constant(event.name)
    return EVENT_PARTS.get(node.name.value)


def _fields(
    parent: GraphQLObjectType, details: list[FieldDetails], below: Below
) -> Iterator[tuple[str, list[FieldDetails]]]:
    for inner in below(parent, details).values():
        name = inner[0].node.name.value
        if name in parent.fields:
            yield name, inner


def _narrow(shape: Shape | None) -> Shape | None:
    """The shape, unless it has so many leaves that the whole document is the lesser evil: a statement names each of them."""
    return None if shape is None or _leaves(shape) > WIDE else shape


def _leaves(shape: Shape) -> int:
    match shape:
        case Fields(fields):
            return sum(_leaves(part) for _, _, part in fields)
        case Items(item):
            return _leaves(item)
    return 1


def shape_of(output_type: Any, details: list[FieldDetails], below: Below) -> Shape:
    """The shape of what is selected of an entity, or of a part of it."""
    match output_type:
        case GraphQLNonNull():
            return shape_of(output_type.of_type, details, below)
        case GraphQLList():
            return Items(shape_of(output_type.of_type, details, below))
        case GraphQLObjectType():
            return Fields(tuple(_part(output_type, *part, below) for part in below(output_type, details).items()))
    return Leaf(output_type.name)


def _part(parent: GraphQLObjectType, key: str, details: list[FieldDetails], below: Below) -> tuple[str, str, Shape]:
    name = details[0].node.name.value
    if name == TYPENAME:
        return key, "", Constant(parent.name)
    field = parent.fields[name]
    return key, cast("ByKey", field.resolve).key, shape_of(field.type, details, below)

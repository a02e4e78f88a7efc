"""Events: what people did, listed by filter and order."""

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

import strawberry

from gateway.api.attribute_documents import entity_json_of
from gateway.api.batches import BatchType, batch_of
from gateway.api.conditions import NO_CONDITIONS, Conditions, condition_over
from gateway.api.context import (
    PRECONDITION,
    Context,
    Info,
    Precondition,
    attribute,
    for_all,
    page_of,
    plain,
    projection_of,
    resolved_by,
)
from gateway.api.datasets import DatasetType, dataset_of
from gateway.api.entities import ExperienceEventEntity
from gateway.api.finished import Finished
from gateway.api.identities import (
    IdentitiesArgument,
    IdentityNode,
    PolicyArgument,
    ProfileField,
    ShownProfile,
    identity_of,
    input_xids,
    policy_in,
    profile_at,
    profiles_at,
)
from gateway.api.ids import parse_id
from gateway.api.loaders import Loaders, Xids
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, EdgeType, First, Last, Listing, OrderDirection, Slice
from gateway.api.projections import EVERYTHING, document_json, document_of, each_of, related
from gateway.api.scalars import JSON, described
from gateway.api.selectors import subset_of
from gateway.domain.config.configuration import Configuration
from gateway.domain.reading import events, people
from gateway.domain.reading.events import (
    NO_FILTER,
    WHOLE,
    ComparisonOperator,
    Event,
    EventFilter,
    EventKey,
    EventOrder,
    EventOrderField,
    EventRequest,
    PropertyCondition,
    check_path,
    condition,
)
from gateway.errors import BadInput, Unavailable
from gateway.projection.tree import Format, Packed, Rows, is_in_store
from gateway.xdm.classes import XdmClass

KEY: Final = frozenset[str]()
"""What resolvers look at that need the key of an event, which comes with each."""

described(
    EventOrderField,
    "EventOrderField",
    "The time that events are ordered by; where it is equal, by `eventId`.",
    TIMESTAMP="When the event happened, as its sender says.",
    INGESTED_AT="When the event came in.",
)
described(
    ComparisonOperator,
    "ComparisonOperator",
    "How a property is compared with a value of its own JSON type. What is not there satisfies none of them, not even NE.",
    EQ="It is equal.",
    NE="It is there, and not equal.",
    LT="It is less, or earlier in the order of code points.",
    LTE="It is less or equal.",
    GT="It is greater, or later in the order of code points.",
    GTE="It is greater or equal.",
)


# ------------------------------------------------------------------------------------------------ inputs


@strawberry.input(name="PropertyCondition", description="A comparison of what an event says at a path with a value.")
class PropertyConditionInput:
    path: str = plain(
        "Dotted path from the event's root, as in `commerce.order.priceTotal`. A path through an array holds if it does for any element. One that leads to a field that no event can have is BAD_INPUT."
    )
    operator: ComparisonOperator = plain("How the two are compared.")
    value: JSON = plain(
        "A text, a number or a boolean; only values of this type compare with it. A text that is a date-time compares with date-times as an instant, in whatever zone it is written."
    )


@strawberry.input(
    name="EventFilter", description="Which events are wanted. All that is given must hold; null is as good as left out."
)
class EventFilterInput:
    since: datetime | None = plain("Earliest `timestamp`, inclusive.", default=None)
    until: datetime | None = plain("Latest `timestamp`, exclusive.", default=None)
    event_types: list[str] | None = plain(
        "Any of these types; events without a type, and an empty list, match nothing.", default=None
    )
    dataset_ids: list[strawberry.ID] | None = plain(
        "From any of these datasets, by their `id`; an empty list matches nothing.", default=None
    )
    properties: list[PropertyConditionInput] | None = plain("At most three comparisons; all must hold.", default=None)
    where: str | None = plain(
        "A condition in PQL over the event: `productListItems.sum(priceTotal) > 100`. A mistake in it is BAD_PQL with its line and column.",
        default=None,
        metadata=condition_over(XdmClass.EXPERIENCE_EVENT),
    )


@strawberry.input(
    name="EventOrder", description="In which order events come; the one direction is the exact reverse of the other."
)
class EventOrderInput:
    field: EventOrderField = plain(
        "The time that comes first; where it is equal, `eventId` decides.", default=EventOrderField.TIMESTAMP
    )
    direction: OrderDirection = plain("Which end comes first: ASC is the earliest.", default=OrderDirection.ASC)


OrderArgument = Annotated[
    EventOrderInput | None,
    strawberry.argument(name="orderBy", description="In which order they come; left out, the earliest comes first."),
]


def request_of(
    given: EventFilterInput | None = None,
    order_by: EventOrderInput | None = None,
    *,
    conditions: Conditions = NO_CONDITIONS,
    **page: Any,
) -> EventRequest:
    """Return the page that a field's arguments describe; `conditions` are those of the operation. Raises BadInput, BadCursor, LimitExceeded."""
    order_by = order_by or EventOrderInput()
    order = EventOrder(order_by.field, descending=order_by.direction is OrderDirection.DESC)
    passing = NO_FILTER if given is None else _filter(given, conditions)
    return EventRequest(passing, order, _listing(order).window(**page))


def rows_of(context: Context | None, **given: Any) -> Rows:
    """Return the page that a field's arguments describe, for a projection, as `request_of` does; no context has no conditions."""
    return _rows(request_of(conditions=context.conditions if context else NO_CONDITIONS, **given))


def _filter(given: EventFilterInput, conditions: Conditions) -> EventFilter:
    found = _filter_without_condition(given)
    if given.where is None:
        return found
    return replace(found, where=conditions[XdmClass.EXPERIENCE_EVENT, given.where].predicate)


def _filter_without_condition(given: EventFilterInput) -> EventFilter:
    return EventFilter(
        since=given.since,
        until=given.until,
        event_types=None if given.event_types is None else tuple(given.event_types),
        dataset_ids=None
        if given.dataset_ids is None
        else tuple(parse_id(each, "Dataset", "datasetIds") for each in given.dataset_ids),
        properties=tuple(_conditions(given.properties or ())),
    )


def _conditions(given: Sequence[PropertyConditionInput]) -> Iterator[PropertyCondition]:
    for place, each in enumerate(given):
        with _placed(place):
            yield condition(each.path, each.operator, each.value)


@contextmanager
def _placed(place: int) -> Iterator[None]:
    """Have an error inside the block name the condition with this index. Raises BadInput."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"`properties[{place}]`: {error.message}") from error


def check_filter(config: Configuration, given: EventFilterInput | None) -> None:
    """Raise BadInput unless the filter is valid in this sandbox: each value can be compared, each path leads to a field of events.

    Its condition in PQL is checked before, with all others of the operation.
    """
    if given is None:
        return
    _filter_without_condition(given)
    for place, each in enumerate(given.properties or ()):
        with _placed(place):
            check_path(each.path, config.with_codes(config.union(XdmClass.EXPERIENCE_EVENT)))


FilterArgument = Annotated[
    EventFilterInput | None,
    strawberry.argument(
        name="filter",
        description="Which events are wanted; left out, all of them.",
        metadata={PRECONDITION: Precondition(check_filter)},
    ),
]

Events: TypeAlias = Slice[Event] | Finished | Unavailable


async def events_of_each(people: Iterable[Xids], info: Info, asked: EventRequest) -> list[Events]:
    """Read one page of events for each person, a person being its xids; an error in place of those that cannot be read now. Raises Forbidden, BadCursor."""
    loaders, members = info.context.loaders, tuple(people)
    page = page_of(info, _rows(asked))
    if page is not None and not (info.context.db.is_distributed and is_in_store(page)):
        texts = await loaders.event_lists_by_people.load((page, members))
        return [each if isinstance(each, Unavailable) else Finished(each) for each in texts]
    pages = await loaders.events_by_people.load(((asked, projection_of(info, WHOLE)), members))
    counts = [partial(_count, loaders, asked.filter, xids) for xids in members]
    paged = _listing(asked.order).paged
    return [
        each if isinstance(each, Unavailable) else paged(each, count) for each, count in zip(pages, counts, strict=True)
    ]


def _rows(asked: EventRequest) -> Rows:
    return asked.rows(_cursor(asked.order))


@cache
def _cursor(order: EventOrder) -> Packed:
    time, *_ = order.columns.columns
    return _listing(order).packed_cursor((time, datetime), ("event_id", str), ("xid", UUID), ("dataset_id", UUID))


@cache
def _listing(order: EventOrder) -> Listing[Event]:
    direction = OrderDirection.DESC if order.descending else OrderDirection.ASC
    return Listing(f"events by {order.field}, {direction}", order.key)


def _count(loaders: Loaders, passing: EventFilter, xids: Xids) -> Awaitable[int]:
    return loaders.event_count_by_members.load((passing, xids))


# ------------------------------------------------------------------------------------------------ types


async def _profiles(
    events: Sequence[Event], info: Info, *, merge_policy_id: PolicyArgument = None
) -> list[ShownProfile | None]:
    return await profiles_at((event.xid for event in events), info, merge_policy_id)


@for_all(_profiles)
async def _profile(
    event: strawberry.Parent[Event], info: Info, *, merge_policy_id: PolicyArgument = None
) -> ShownProfile | None:
    return await profile_at(info, merge_policy_id, event.xid)


@strawberry.type(
    name="ExperienceEvent", description="Something that a person did, or that happened to them, at one moment."
)
class EventType(Node):
    domain = Event
    documents = XdmClass.EXPERIENCE_EVENT

    id: strawberry.ID = id_field("Global id of the event.", "ExperienceEvent", "xid", "dataset_id", "event_id")
    event_id: str = plain("The sender's `_id`: what comes with it again is the same event.", Format.TEXT)
    timestamp: datetime = plain(
        "When it happened, as its sender says; the time of its ingestion, where that lies in the future.", Format.TIME
    )
    event_type: str | None = plain(
        "What kind of event it is, as in `commerce.purchases`; null where its sender did not say.", Format.TEXT
    )
    identity: IdentityNode = resolved_by(
        identity_of,
        "The primary identity, under which the event is stored.",
        reads=related("identity"),
        raw=KEY,
    )
    profile: Any = resolved_by(
        _profile,
        "The person who did it, as the policy sees people; null where their data was erased.",
        ProfileField,
        raw=KEY,
    )
    dataset: DatasetType = resolved_by(
        dataset_of, "The dataset that it was sent to.", reads=related("dataset"), raw=KEY
    )
    batch: BatchType | None = resolved_by(batch_of, "The batch that brought it first.", reads=related("batch"), raw=KEY)
    ingested_at: datetime = plain("When it came in first.", Format.TIME)
    entity: ExperienceEventEntity = attribute(
        "document",
        "The event as it was sent, typed by the sandbox's union of all event schemas and of computed attributes of events, whose values are computed where they are selected.",
        reads=document_of,
        raw=EVERYTHING,
    )
    entity_json: JSON = resolved_by(
        entity_json_of,
        "The event as it was sent, as JSON, cut down by a selector. It has values of computed attributes where the selector names these, or `ComputedAttributes`.",
        reads=document_json(partial(subset_of, XdmClass.EXPERIENCE_EVENT)),
        raw=EVERYTHING,
    )


@strawberry.type(name="EventEdge", description="An event together with its place in the list.")
class EventEdge(EdgeType[EventType]):
    pass


@strawberry.type(name="EventConnection", description="A page of events, and what is needed to ask for the next one.")
class EventConnection(Connection[EventType]):
    edges: Any = plain(
        "The page's events, each with its cursor, in the list's order.",
        each_of,
        is_record=True,
        graphql_type=list[EventEdge],
    )


# ------------------------------------------------------------------------------------------------ queries


async def _events(
    info: Info,
    *,
    identities: IdentitiesArgument,
    merge_policy_id: PolicyArgument = None,
    given: FilterArgument = None,
    order_by: OrderArgument = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Events:
    context = info.context
    page = {"first": first, "after": after, "last": last, "before": before}
    asked = request_of(given, order_by, conditions=context.conditions, **page)
    graph = policy_in(context.config, merge_policy_id).settings.identity_graph
    asked_for = input_xids(context, identities)
    xids = await people.read_members(context.db, context.scope, context.config, asked_for, graph)
    return (await events_of_each([xids], info, asked))[0]


async def read_events(context: Context, keys: Sequence[EventKey]) -> list[Event | None]:
    """Read the events with these keys, None for unknown ones. Raises Forbidden."""
    return await events.read_events(context.db, context.scope, keys)


@strawberry.type(description="Queries of events.")
class EventQuery:
    events: EventConnection = resolved_by(
        _events,
        "Events of all people the identities belong to, as one list: of the whole persons, under whatever identity they were stored. Needs the scope `profile:read`.",
    )

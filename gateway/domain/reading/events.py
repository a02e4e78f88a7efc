"""Events of people, filtered, in order, page by page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property, partial
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.reading.identities import OF_FACT
from gateway.domain.reading.statements import Made, Statements
from gateway.domain.rules.keyset import Key, Page, Window, page_of_rows
from gateway.domain.rules.merge import Document
from gateway.domain.rules.names import MAX_NAME, did_you_mean
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadCursor, BadInput
from gateway.projection.evaluate import Found, Lists, evaluate
from gateway.projection.predicates import Predicate, Values, at_least, beyond, has_path, less, one_of
from gateway.projection.sql import Listed, Relation, Source, columns, page_parts
from gateway.projection.tree import Count, Order, Packed, Projection, Rows, nodes_of
from gateway.projection.tree import Page as PageNode
from gateway.storage.database import Database, Reader
from gateway.storage.queries import fill, part, template
from gateway.xdm.fields import Field, below, names_below, noun_below
from gateway.xdm.leaves import FORMED_TIME, formed_time

READ = template("events.read_events")
LIST = template("events.list_events")
LIST_OF_CLUSTER = template("events.list_events_of_cluster")
READ_LISTS = template("events.read_lists")
LIST_BY_KEY = template("events.list_by_key")
COUNT = template("events.count_events")

MAX_PROPERTY_CONDITIONS = 3
"""The most conditions on properties in one filter, as in Adobe's Real-Time Customer Profile."""

MAX_NUMBER = 2**63
"""Numbers in conditions are smaller than this in magnitude."""


class EventOrderField(StrEnum):
    """The time that comes first in the order of events."""

    TIMESTAMP = "TIMESTAMP"
    INGESTED_AT = "INGESTED_AT"


class ComparisonOperator(StrEnum):
    """How a property is compared with a value."""

    EQ = "EQ"
    NE = "NE"
    LT = "LT"
    LTE = "LTE"
    GT = "GT"
    GTE = "GTE"


_SIGNS = {"EQ": "==", "NE": "!=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


@dataclass(frozen=True)
class Event:
    """An event. `text`: its document as JSON, parsed at first use. `parts`: what was to be read of it, as JSON; None where all of it was."""

    xid: UUID
    dataset_id: UUID
    event_id: str
    batch_id: UUID
    timestamp: datetime
    event_type: str | None
    ingested_at: datetime
    text: str
    parts: tuple[str, ...] | None = None

    @cached_property
    def document(self) -> Document:
        """The parsed document."""
        document: Document = orjson.loads(self.text)
        return document


COLUMNS: Final = tuple(field.name for field in fields(Event) if field.name not in ("text", "parts"))
"""The columns of an event beside its document."""

DOCUMENT: Final = "document"
WHOLE: Final = Projection((), frozenset({DOCUMENT}))
"""Everything of an event."""


EventKey = tuple[UUID, UUID, str]
"""The xid, the dataset and the sender's _id."""


@dataclass(frozen=True, slots=True)
class PropertyCondition:
    """A comparison, made by `condition`: the jsonpath in `path` matches the documents for which it holds.

    `value` holds the variables of the path, as the text of a JSON object.
    """

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Conditions on events; all of them must hold. None is no condition.

    An event's timestamp must be at or after `since`, and before `until`; it was ingested at or after `ingested_since`, and before `ingested_until`. Empty `event_types` or `dataset_ids` let no event pass. `where` is
    a condition on events `e`, as `conditions.py` makes it.

    Raises BadInput for more than three conditions on properties, and for an event type with a NUL character.
    """

    since: datetime | None = None
    until: datetime | None = None
    event_types: tuple[str, ...] | None = None
    dataset_ids: tuple[UUID, ...] | None = None
    properties: tuple[PropertyCondition, ...] = ()
    where: Predicate | None = None
    ingested_since: datetime | None = None
    ingested_until: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.properties) > MAX_PROPERTY_CONDITIONS:
            raise BadInput(f"A filter has at most {MAX_PROPERTY_CONDITIONS} conditions on properties.")
        if any("\0" in event_type for event_type in self.event_types or ()):
            raise BadInput("No event type has a NUL character.")

    @property
    def predicates(self) -> tuple[Predicate, ...]:
        """The conditions on events `e`."""
        return (
            *([at_least("e.timestamp", self.since)] if self.since is not None else ()),
            *([less("e.timestamp", self.until)] if self.until is not None else ()),
            *([one_of("e.event_type", "text", self.event_types)] if self.event_types is not None else ()),
            *([one_of("e.dataset_id", "uuid", self.dataset_ids)] if self.dataset_ids is not None else ()),
            *(has_path("e.document", each.path, each.value) for each in self.properties),
            *([at_least("e.ingested_at", self.ingested_since)] if self.ingested_since is not None else ()),
            *([less("e.ingested_at", self.ingested_until)] if self.ingested_until is not None else ()),
            *([self.where] if self.where is not None else ()),
        )


NO_FILTER: Final = EventFilter()
"""All events pass."""

_TIMELINES: Final = {
    field: [Order((column, "event_id", "xid", "dataset_id"), indexed, descending) for descending in (False, True)]
    for field, column, indexed in (
        (EventOrderField.TIMESTAMP, "timestamp", 2),
        (EventOrderField.INGESTED_AT, "ingested_at", 0),
    )
}
"""By the field and whether it is descending."""
_OF_EVENTS: Final = {
    order.columns: tuple(f"e.{name}" for name in order.columns) for orders in _TIMELINES.values() for order in orders
}
"""The columns of an order as those of events `e`."""


class EventOrder(NamedTuple):
    """An order of events: by the field's time, then event id, xid, dataset; descending is the exact reverse."""

    field: EventOrderField = EventOrderField.TIMESTAMP
    descending: bool = False

    @property
    def columns(self) -> Order:
        """The order by columns; the index of timelines has the first two."""
        return _TIMELINES[self.field][self.descending]

    @property
    def key(self) -> Callable[[Event], Key]:
        """A function that returns an event's sort key for ascending order; sort in reverse if `descending`."""
        return attrgetter(*self.columns.columns)


class EventRequest(NamedTuple):
    """One page of events: filter, order and window."""

    filter: EventFilter
    order: EventOrder
    window: Window

    def rows(self, key: Packed) -> Rows:
        """Return the page for a projection; `key` is an event's place in it as text. Raises BadCursor."""
        window, order = self.window, self.order.columns
        bounds = window.bounds(datetime, str, UUID, UUID)
        if "\0" in f"{bounds[1]}{bounds[5]}":  # no event has such an id
            raise BadCursor
        names, descending = _OF_EVENTS[order.columns], order.descending
        after = None if bounds[0] is None else beyond(names, bounds[:4], descending=descending)
        before = None if bounds[4] is None else beyond(names, bounds[4:], descending=not descending)
        return Rows("events", self.filter.predicates, after, before, order, window.size, window.backward, key)


def condition(path: str, operator: ComparisonOperator, value: Any) -> PropertyCondition:
    """Return a condition on the value at a dotted path of documents, such as `a.b` GTE 3. `value`: a text, a number or a boolean.

    No operator, not even NE, holds for a missing value or one of another JSON type. A path through an array holds if it does for any element.
    If `value` is the text of a date-time, date-times in documents are compared with it as instants, and other texts as texts.
    Raises BadInput for an empty name in the path, a NUL character, another type, or a number of MAX_NUMBER or more.
    """
    steps = path.split(".")
    if not all(steps) or "\0" in path:
        raise BadInput("The path of a property is names with dots between them, as in `commerce.order.priceTotal`.")
    if not isinstance(value, str | int | float) or (isinstance(value, str) and "\0" in value):
        raise BadInput(f"`{path}` is compared with a text, a number or a boolean.")
    if not isinstance(value, str) and not abs(value) < MAX_NUMBER:  # said this way round, NaN is refused, too
        raise BadInput(f"The number that `{path}` is compared with is too large.")
    keys = ".".join(orjson.dumps(step).decode() for step in steps)
    sign, values, holds = _SIGNS[operator], {"value": value}, f"@ {_SIGNS[operator]} $value"
    if isinstance(value, str) and (time := formed_time(value)) not in (None, value):
        values["time"] = time
        is_time = f"@ like_regex {orjson.dumps(FORMED_TIME).decode()}"
        holds = f"({is_time} && @ {sign} $time) || (!({is_time}) && {holds})"
    return PropertyCondition(f"$.{keys} ? ({holds})", orjson.dumps(values).decode())


def check_path(path: str, schema: Field) -> None:
    """Check that documents of a schema can have a field at this dotted path. Raises BadInput, which suggests similar names.

    The path has no step for the elements of an array; in a map, any key that it can have is a step.
    """
    field = schema
    for place, name in enumerate(path.split(".")):
        found = below(field, name)
        if found is None:
            above = ".".join(path.split(".")[:place])
            where = f"below `{above[:MAX_NAME]}`" if above else "in an event"
            noun = noun_below(field)
            raise BadInput(f"There is no {noun} {name[:40]!r} {where}.{did_you_mean(name, names_below(field))}")
        field = found


async def read_events(db: Database, scope: Scope, keys: Sequence[EventKey]) -> list[Event | None]:
    """Read the event of each key, None for unknown ones. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    asked = [key for key in set(keys) if "\0" not in key[2]]
    statement = READ.filled(columns=_columns(WHOLE, Values(), "e.document"))
    rows = (
        await db.rows(statement, scope.sandbox_id, *(list(each) for each in zip(*asked, strict=True))) if asked else []
    )
    known = {(row["xid"], row["dataset_id"], row["event_id"]): Event(*row) for row in rows}
    return [known.get(key) for key in keys]


async def list_events(
    db: Database,
    scope: Scope,
    people: Sequence[tuple[UUID, ...]],
    asked: EventRequest,
    projection: Projection = WHOLE,
) -> list[Page[Event]]:
    """List one page of events for each person, a person being its xids, in the order of the people. One statement. On a cluster they come
    whole, without parts, where a part can only be read by SQL.

    Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    rows = asked.rows(NO_KEY)
    if not any(people):
        return [_page((), rows) for _ in people]
    if db.is_distributed:
        pages = await _list_on_cluster(db, scope, people, rows)
        return (
            pages if projection is WHOLE or projection.is_in_store else [_projected(page, projection) for page in pages]
        )
    made = list_statement(asked, projection, Values(scope.sandbox_id, *slices(people)))
    found: list[list[Event]] = [[] for _ in people]
    for place, *row in await made.rows(db):
        found[place - 1].append(_event(row, projection))
    return [_page(each, rows) for each in found]


async def list_by_key(
    db: Reader,
    scope: Scope,
    xids: Sequence[UUID],
    after: EventKey,
    size: int,
    *,
    filter_: EventFilter,
    projection: Projection = WHOLE,
) -> list[Event]:
    """List the next events of identities behind a key that pass a filter, in the order of keys. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    values = Values(scope.sandbox_id, list(xids), *after, size)
    chosen = _columns(projection, values, SOURCE.document)
    carried = ", ".join(f"e.{name}" for name in (*COLUMNS, DOCUMENT))
    statement = LIST_BY_KEY.filled(
        columns=chosen, carried=carried, where=values.conditions(filter_.predicates), unpacked=UNPACKED
    )
    rows = await Made.of(statement, values, len(LIST_BY_KEY.parameters)).rows(
        db, scope.sandbox_id, list(xids), *after, size
    )
    return sorted((_event(row, projection) for row in rows), key=attrgetter("xid", "dataset_id", "event_id"))


async def read_lists(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], nodes: Sequence[PageNode | Count]
) -> list[Lists]:
    """Read pages and counts of each person's events, for `evaluate`. One statement, on a cluster one for each page and count.

    On a cluster they must be such that `evaluate` can tell all of them. Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    if not people:
        return []
    if db.is_distributed:
        inner = (each for node in nodes for each in nodes_of(node))
        every = list(dict.fromkeys(each for each in inner if isinstance(each, PageNode | Count)))
        found = [await _read_list_on_cluster(db, scope, people, node) for node in every]
        return [dict(zip(every, each, strict=True)) for each in zip(*found, strict=True)]
    rows = await _LISTS.of(Projection(tuple(nodes), frozenset())).rows(db, scope.sandbox_id, *slices(people))
    return [dict(zip(nodes, map(orjson.Fragment, row), strict=True)) for row in rows]


async def count_events(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], filter_: EventFilter
) -> list[int]:
    """Count the events of each person that pass the filter. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    return await _count(db, scope, people, filter_.predicates)


# ------------------------------------------------------------------------------------------------

NO_KEY: Final = Packed("", ())
"""The place of an event where no text of it is wanted."""

PAGE, UNPACKED, COUNT_ALL = (part(f"events.{name}") for name in ("page", "unpacked", "count"))
DOCUMENT_COLUMN: Final = f"e.{DOCUMENT}"
OF_DATASET: Final = Relation(partial(fill, part("events.dataset")), Source("d"), ("dataset_id",))
OF_BATCH: Final = Relation(
    partial(fill, part("batches.batch")), Source("b", related={"dataset": OF_DATASET}), ("batch_id",)
)
SOURCE: Final = Source(
    "e", "unpacked.document", related={"identity": OF_FACT, "dataset": OF_DATASET, "batch": OF_BATCH}
)


def _page_sql(*, carried: str, **gaps: str) -> str:
    unpacked = UNPACKED if DOCUMENT_COLUMN in carried else ""
    return fill(PAGE, carried=carried, unpacked=unpacked, **gaps)


LISTS: Final = {"events": Listed(_page_sql, lambda **gaps: fill(COUNT_ALL, **gaps), SOURCE)}
"""The lists of a person."""

MEMBERS: Final = "person.xids"
PEOPLE: Final = Source("person", members=MEMBERS, lists=LISTS)
"""People of whom nothing but the members is known."""


def slices(people: Sequence[tuple[UUID, ...]]) -> tuple[list[UUID], list[int], list[int]]:
    """Return the xids of all people, and where each person's begin and end, from 1."""
    members = [tuple(set(xids)) for xids in people]
    stops = list(accumulate(map(len, members)))
    return list(chain(*members)), [1, *(stop + 1 for stop in stops[:-1])], stops


def list_statement(asked: EventRequest, projection: Projection, values: Values) -> Made:
    """Return the statement that lists a page of each person's events, with `values` of its own parameters, to which it adds. Raises BadCursor."""
    rows = asked.rows(NO_KEY)
    chosen = _columns(projection, values, SOURCE.document)
    parts = page_parts(rows, (*COLUMNS, DOCUMENT), values.bind(asked.window.fetch), values)
    return Made.of(LIST.filled(columns=chosen, page=_page_sql(members=MEMBERS, **parts)), values, 0)


def lists_statement(projection: Projection) -> Made:
    """Return the statement that reads pages and counts of each person's events, the parts of the projection."""
    values = Values(*([None] * len(READ_LISTS.parameters)))
    found = ", ".join(columns(projection.parts, PEOPLE, values))
    return Made.of(READ_LISTS.filled(columns=found), values, len(READ_LISTS.parameters))


_LISTS: Final = Statements(lists_statement)


def _columns(projection: Projection, values: Values, document: str) -> str:
    """Return the SQL of an event's columns, of its document if that is wanted, and of its parts."""
    texts = columns(projection.parts, SOURCE, values)
    named = [f"{text} as part_{place}" for place, text in enumerate(texts)]
    whole = f"{document} as text" if DOCUMENT in projection.raw else "'' as text"
    return ", ".join([*(f"e.{name}" for name in COLUMNS), whole, *named])


def _event(row: Sequence[Any], projection: Projection) -> Event:
    count = len(COLUMNS) + 1
    own = [*row[:count], None if projection is WHOLE else tuple(row[count:])]
    return Event(*own)


async def _list_on_cluster(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], rows: Rows
) -> list[Page[Event]]:
    values = Values(scope.sandbox_id, list({xid for xids in people for xid in xids}), rows.size + 1)
    parts = page_parts(rows, COLUMNS, "$3", values)
    chosen = _columns(WHOLE, values, "e.document")
    found: dict[UUID, list[Event]] = {}
    statement = LIST_OF_CLUSTER.filled(columns=chosen, where=parts["where"], nearest=parts["nearest"])
    for row in await Made.of(statement, values, 0).rows(db):
        found.setdefault(row["xid"], []).append(Event(*row))
    return [_page(chain.from_iterable(found.get(xid, ()) for xid in set(xids)), rows) for xids in people]


async def _read_list_on_cluster(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], node: PageNode | Count
) -> Sequence[Any]:
    if isinstance(node, Count):
        return await _count(db, scope, people, node.rows.filter)
    return [
        Found(page.items, page.has_next, page.has_previous)
        for page in await _list_on_cluster(db, scope, people, node.rows)
    ]


async def _count(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], predicates: tuple[Predicate, ...]
) -> list[int]:
    xids = list({xid for members in people for xid in members})
    values = Values(scope.sandbox_id, xids)
    statement = Made.of(COUNT.filled(where=values.conditions(predicates)), values, 0)
    rows = await statement.rows(db) if xids else []
    counts: dict[UUID, int] = dict(map(tuple, rows))
    return [sum(counts.get(xid, 0) for xid in set(members)) for members in people]


def _page(events: Iterable[Event], rows: Rows) -> Page[Event]:
    key = attrgetter(*rows.order.columns)
    nearest = sorted(events, key=key, reverse=rows.direction == "desc")
    after, before = (None if bound is None else bound.values for bound in (rows.after, rows.before))
    return page_of_rows(nearest[: rows.size + 1], Window(rows.size, rows.backward, after, before))


def _projected(page: Page[Event], projection: Projection) -> Page[Event]:
    def projected(event: Event) -> Event:
        texts = (orjson.dumps(evaluate(node, event)).decode() for node in projection.parts)
        return replace(event, parts=tuple(texts))

    return page._replace(items=list(map(projected, page.items)))

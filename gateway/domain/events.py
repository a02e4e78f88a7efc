"""Events: what people did, filtered, in order, page by page.

A filter has any number of conditions: they are put together here as SQL text, and every value goes as a parameter.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from gateway.domain.merge import Document
from gateway.domain.pages import Key, Page, Window, trimmed
from gateway.domain.shapes import KEPT, Shape, expression, literal, object_of, pick, printed
from gateway.domain.tenants import Permission, Scope
from gateway.errors import BadCursor, BadInput
from gateway.storage.database import Database
from gateway.storage.queries import query

READ = query("events.read_events")
LIST = query("events.list_events")
LIST_OF_CLUSTER = query("events.list_events_of_cluster")
LIST_FINISHED = query("events.list_finished")
COUNT = query("events.count_events")

PROPERTIES = 3
"""The most conditions on properties in one filter, as in the model."""

LARGEST = 2**63
"""No number of a property is compared with one as large as this."""


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
    """One thing that happened. `text` is the document as JSON, parsed when it is first looked into.

    Where only a part of it was wanted, `entity` is that, as finished JSON, and `text` is empty.
    """

    xid: UUID
    dataset_id: UUID
    event_id: str
    batch_id: UUID
    timestamp: datetime
    event_type: str | None
    text: str
    ingested_at: datetime
    entity: str | None = None

    @cached_property
    def document(self) -> Document:
        document: Document = orjson.loads(self.text)
        return document


EventKey = tuple[UUID, UUID, str]
"""The xid, the dataset and the sender's _id."""


@dataclass(frozen=True, slots=True)
class PropertyCondition:
    """A comparison as a JSON path that finds something where it holds, and the value as JSON text. Made by `condition`."""

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All that is given must hold; `since` is inclusive, `until` exclusive. An empty list lets nothing pass."""

    since: datetime | None = None
    until: datetime | None = None
    event_types: tuple[str, ...] | None = None
    dataset_ids: tuple[UUID, ...] | None = None
    properties: tuple[PropertyCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class EventOrder:
    """By the field's time, then event id, xid, dataset; descending is the exact reverse."""

    field: EventOrderField = EventOrderField.TIMESTAMP
    descending: bool = False

    @property
    def key(self) -> Callable[[Event], Key]:
        """An event's place in this order."""
        if self.field is EventOrderField.TIMESTAMP:
            return lambda event: (event.timestamp, event.event_id, event.xid, event.dataset_id)
        return lambda event: (event.ingested_at, event.event_id, event.xid, event.dataset_id)


@dataclass(frozen=True, slots=True)
class EventRequest:
    """Which events, in which order, which page of them, and what is wanted of their documents: all of it, unless told."""

    filter: EventFilter
    order: EventOrder
    window: Window
    wanted: Shape | None = None


def condition(path: str, operator: ComparisonOperator, value: Any) -> PropertyCondition:
    """A comparison of what stands at a dotted path with a text, a number or a boolean. Raises BadInput.

    Only values of the same JSON type compare, and what is not there satisfies no comparison. A path through an array holds
    if it does for any element.
    """
    steps = path.split(".")
    if not all(steps) or "\0" in path:
        raise BadInput("The path of a property is names with dots between them, as in `commerce.order.priceTotal`.")
    if not isinstance(value, str | int | float) or (isinstance(value, str) and "\0" in value):
        raise BadInput(f"`{path}` is compared with a text, a number or a boolean.")
    if not isinstance(value, str) and not abs(value) < LARGEST:  # said this way round, NaN is refused, too
        raise BadInput(f"The number that `{path}` is compared with is too large.")
    keys = ".".join(orjson.dumps(step).decode() for step in steps)
    return PropertyCondition(f"$.{keys} ? (@ {_SIGNS[operator]} $value)", orjson.dumps({"value": value}).decode())


async def read_events(db: Database, scope: Scope, keys: Sequence[EventKey]) -> list[Event | None]:
    """The event of each key, None for unknown ones. Needs `profile:read`."""
    scope.require(Permission.PROFILE_READ)
    asked = [key for key in set(keys) if "\0" not in key[2]]
    rows = await db.rows(READ, scope.sandbox_id, *(list(part) for part in zip(*asked, strict=True))) if asked else []
    known = {(row["xid"], row["dataset_id"], row["event_id"]): Event(*row) for row in rows}
    return [known.get(key) for key in keys]


async def list_events(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], asked: EventRequest
) -> list[Page[Event]]:
    """The page of each person's events, a person being given by its xids; the key of a page is the order's.

    One statement for all of them. Needs `profile:read`. Raises Forbidden, BadInput, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    xids = list({xid for members in people for xid in members})
    bound = _Bound([scope.sandbox_id, xids, asked.window.fetch])
    together = f"order by {_in_order(asked)} limit $3" if len(people) == 1 else ""
    statement, document = (LIST_OF_CLUSTER, "e.document") if db.is_distributed else (LIST, "unpacked.document")
    filled = statement.filled(together=together, **_given(asked.wanted, document), **_ordered(asked, bound))
    by_xid: dict[UUID, list[Event]] = {}
    for row in await db.rows(filled, *bound.values) if xids else []:
        by_xid.setdefault(row["xid"], []).append(Event(*row))
    return [_page((e for xid in set(members) for e in by_xid.get(xid, ())), asked) for members in people]


async def count_events(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], filter_: EventFilter
) -> list[int]:
    """How many events of each person pass the filter. Needs `profile:read`. Raises Forbidden, BadInput."""
    scope.require(Permission.PROFILE_READ)
    xids = list({xid for members in people for xid in members})
    bound = _Bound([scope.sandbox_id, xids])
    statement = COUNT.filled(where=_where(filter_, bound))
    rows = await db.rows(statement, *bound.values) if xids else []
    counts: dict[UUID, int] = dict(map(tuple, rows))
    return [sum(counts.get(xid, 0) for xid in set(members)) for members in people]


def _page(events: Iterable[Event], asked: EventRequest) -> Page[Event]:
    nearest = sorted(events, key=asked.order.key, reverse=asked.order.descending is not asked.window.backward)
    return trimmed(nearest[: asked.window.fetch], asked.window)


# ------------------------------------------------------------------------------------------------ finished pages


class EventColumn(Enum):
    """What a node can show of an event beside parts of its document."""

    EVENT_ID = auto()
    TIMESTAMP = auto()
    EVENT_TYPE = auto()
    INGESTED_AT = auto()
    DOCUMENT = auto()


@dataclass(frozen=True, slots=True)
class PackedKey:
    """An event's key as one text: the bytes of its xid, its dataset and the sender's _id in base64url without padding, behind a prefix."""

    prefix: str

    def of(self, event: Event) -> str:
        """The text."""
        payload = event.xid.bytes + event.dataset_id.bytes + event.event_id.encode()
        return self.prefix + urlsafe_b64encode(payload).rstrip(b"=").decode()


NodePart: TypeAlias = EventColumn | PackedKey | Shape
Node: TypeAlias = tuple[tuple[str, NodePart], ...]
"""An event as an answer shows it: each of the answer's keys, and what stands there. A shape is of the document."""


class FinishedPage(NamedTuple):
    """A page of which only the answer's text is there, a JSON array. `first` and `last` are the keys of its ends, None where it is empty.

    What of its ends was not wanted is None or False.
    """

    nodes: str
    has_next: bool
    has_previous: bool
    first: Key | None
    last: Key | None


@dataclass(frozen=True)
class Timeline:
    """What is wanted of a person's events: which page of them, what is shown of each, and of the page's ends, whether the list goes on
    there, and their keys, too. Each costs a tenth more.

    What the request wants of documents does not matter. Cheap as a key: it is hashed once.
    """

    asked: EventRequest
    node: Node
    has_ends: bool = True
    has_keys: bool = True

    @property
    def fetch(self) -> int:
        """How many events SQL looks for."""
        return self.asked.window.fetch if self.has_ends or self.has_keys else self.asked.window.size

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.asked, self.node, self.has_ends, self.has_keys))


async def list_finished(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], wanted: Timeline
) -> list[FinishedPage]:
    """The pages that `list_events` gives, as they are wanted.

    One statement for all of them. Needs `profile:read`. Raises Forbidden, BadInput, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    if db.is_distributed:
        pages = await list_events(db, scope, people, replace(wanted.asked, wanted=None))
        return [_finished(page, wanted) for page in pages]
    members = [tuple(set(xids)) for xids in people]
    stops = list(accumulate(map(len, members)))
    starts = [1, *(stop + 1 for stop in stops[:-1])]
    parts, values = timeline_sql(wanted)
    statement = LIST_FINISHED.filled(**parts)
    rows = await db.rows(statement, scope.sandbox_id, list(chain(*members)), starts, stops, *values) if people else []
    return [page_of_row(row, wanted.asked.window) for row in rows]


def page_of_row(columns: Sequence[Any], window: Window) -> FinishedPage:
    """The page out of `nodes`, the nearest first, and the keys of the `first` and the `last` of them."""
    nodes, first, last = columns
    items, has_next, has_previous = trimmed(nodes or (), window)
    if not items or first is None or last is None:
        return FinishedPage(f"[{','.join(items)}]", has_next, has_previous, None, None)
    ends = (tuple(last), tuple(first)) if window.backward else (tuple(first), tuple(last))
    return FinishedPage(f"[{','.join(items)}]", has_next, has_previous, *ends)


def _finished(page: Page[Event], wanted: Timeline) -> FinishedPage:
    """The page out of whole events: where their nodes cannot be made in the store."""
    nodes = [{name: _shown(event, part) for name, part in wanted.node} for event in page.items]
    first, last = [wanted.asked.order.key(page.items[end]) if page.items else None for end in (0, -1)]
    return FinishedPage(orjson.dumps(nodes).decode(), page.has_next, page.has_previous, first, last)


def _shown(event: Event, part: NodePart) -> Any:
    match part:
        case EventColumn():
            return _column_of(event, part)
        case PackedKey():
            return part.of(event)
    return pick(part, event.document)


def _column_of(event: Event, column: EventColumn) -> Any:
    match column:
        case EventColumn.EVENT_ID:
            return event.event_id
        case EventColumn.EVENT_TYPE:
            return event.event_type
        case EventColumn.TIMESTAMP:
            return printed(event.timestamp)
        case EventColumn.INGESTED_AT:
            return printed(event.ingested_at)
        case EventColumn.DOCUMENT:
            return event.document


# ------------------------------------------------------------------------------------------------ SQL

# Milliseconds are cut, not rounded.
_TIME = r"""to_char(e.{} at time zone 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""')"""
_COLUMNS: Final[Mapping[EventColumn, str]] = {
    EventColumn.EVENT_ID: "to_json(e.event_id)::text",
    EventColumn.TIMESTAMP: _TIME.format("timestamp"),
    EventColumn.EVENT_TYPE: "coalesce(to_json(e.event_type)::text, 'null')",
    EventColumn.INGESTED_AT: _TIME.format("ingested_at"),
    EventColumn.DOCUMENT: "unpacked.document::text",
}
_PACKED_KEY = r"""translate(rtrim(encode(uuid_send(e.xid) || uuid_send(e.dataset_id) || convert_to(e.event_id, 'UTF8'), 'base64'), '='), E'+/\n', '-_') || '"'"""


@dataclass(frozen=True, slots=True)
class _Bound:
    """The values of a statement's parameters so far."""

    values: list[Any]

    def bind(self, value: Any) -> str:
        """The parameter that stands for one value more."""
        self.values.append(value)
        return f"${len(self.values)}"


@lru_cache(KEPT)
def timeline_sql(wanted: Timeline) -> tuple[Mapping[str, str], Sequence[Any]]:
    """For a statement that gives such a page as the columns `nodes`, `first` and `last`: SQL for its words in braces, and the values of its
    parameters from the fifth on, which is how many events are looked for. Raises BadInput, BadCursor."""
    asked = wanted.asked
    bound = _Bound([None] * 4 + [wanted.fetch])
    parts = {"node": _node(wanted.node), "nearest": _nearest(asked), **_ends(wanted), **_ordered(asked, bound)}
    return parts, bound.values[4:]


def _node(node: Node) -> str:
    return object_of(((name, _part(part)) for name, part in node), "unpacked.document")


def _part(part: NodePart) -> str | Shape:
    match part:
        case EventColumn():
            return _COLUMNS[part]
        case PackedKey(prefix):
            return f"""{literal('"' + prefix)} || {_PACKED_KEY}"""
    return part


def _given(wanted: Shape | None, document: str) -> dict[str, str]:
    """How much of the document comes back."""
    if wanted is None:
        return {"text": "e.document", "entity": "null::text"}
    return {"text": "''", "entity": expression(wanted, document)}


def _ends(wanted: Timeline) -> dict[str, str]:
    """The keys of the nearest and the farthest event of a page. An array of rows costs less than one of each column."""
    keys = f"array_agg(row(e.{_column(wanted.asked.order)}, e.event_id, e.xid, e.dataset_id))"
    if not wanted.has_keys:
        return {"first": "null", "last": "null"}
    return {"first": f"({keys})[1]", "last": f"({keys})[least($5 - 1, count(*))]"}


def _ordered(asked: EventRequest, bound: _Bound) -> dict[str, str]:
    """Which events, and in which order the nearest come first."""
    where = _where(asked.filter, bound) + _between(asked, bound)
    return {"where": where, "time": _column(asked.order), "direction": _direction(asked)}


def _nearest(asked: EventRequest) -> str:
    """The order and the end of an identity's page. The index has all of the order by timestamp but the dataset: sorting for that one would
    cost more than to read ties at the end, too, which are cut with the person's page. By another time all is sorted anyway."""
    direction = _direction(asked)
    order = f"e.{_column(asked.order)} {direction}, e.event_id {direction}"
    if asked.order.field is EventOrderField.TIMESTAMP:
        return f"{order} fetch first ($5) rows with ties"
    return f"{order}, e.dataset_id {direction} limit $5"


def _in_order(asked: EventRequest) -> str:
    parts = (_column(asked.order), "event_id", "xid", "dataset_id")
    return ", ".join(f"e.{part} {_direction(asked)}" for part in parts)


def _direction(asked: EventRequest) -> str:
    return "desc" if asked.order.descending is not asked.window.backward else "asc"


def _where(filter_: EventFilter, bound: _Bound) -> str:
    if len(filter_.properties) > PROPERTIES:
        raise BadInput(f"A filter has at most {PROPERTIES} conditions on properties.")
    if any("\0" in event_type for event_type in filter_.event_types or ()):
        raise BadInput("No event type has a NUL character.")
    text = ""
    if filter_.since is not None:
        text += f" and e.timestamp >= {bound.bind(filter_.since)}"
    if filter_.until is not None:
        text += f" and e.timestamp < {bound.bind(filter_.until)}"
    if filter_.event_types is not None:
        text += f" and e.event_type = any({bound.bind(filter_.event_types)}::text[])"
    if filter_.dataset_ids is not None:
        text += f" and e.dataset_id = any({bound.bind(filter_.dataset_ids)}::uuid[])"
    for each in filter_.properties:
        path, value = bound.bind(each.path), bound.bind(each.value)
        text += f" and jsonb_path_exists(e.document, {path}::text::jsonpath, {value}::jsonb)"
    return text


def _between(asked: EventRequest, bound: _Bound) -> str:
    """The bounds of the window; the index takes their first two columns."""
    keys = asked.window.bounds(datetime, str, UUID, UUID)
    if any(isinstance(value, str) and "\0" in value for value in keys):
        raise BadCursor
    behind, before = ("<", ">") if asked.order.descending else (">", "<")
    text = ""
    for key, sign in ((keys[:4], behind), (keys[4:], before)):
        if key[0] is not None:
            places = ", ".join(map(bound.bind, key))
            text += f" and (e.{_column(asked.order)}, e.event_id, e.xid, e.dataset_id) {sign} ({places})"
    return text


def _column(order: EventOrder) -> str:
    return "timestamp" if order.field is EventOrderField.TIMESTAMP else "ingested_at"

"""Timelines: a page of a person's events just as an answer shows it, put together in the store."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from gateway.domain.reading.events import Bound, Event, EventOrderField, EventRequest, in_order, list_events, ordered
from gateway.domain.reading.shapes import KEPT_SQL, Shape, literal, object_of, pick, printed
from gateway.domain.rules.keyset import Key, Page, Window, has_next_and_previous
from gateway.domain.rules.scope import Permission, Scope
from gateway.runtime.cache import WeightedCache
from gateway.storage.database import Database
from gateway.storage.queries import query

LIST = query("timelines.list_timelines")


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
    def looks_ahead(self) -> bool:
        """Whether one event more is looked for than the page has."""
        return self.has_ends or self.has_keys

    @property
    def fetch(self) -> int:
        """How many events SQL looks for."""
        return self.asked.window.fetch if self.looks_ahead else self.asked.window.size

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.asked, self.node, self.has_ends, self.has_keys))


async def list_timelines(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], wanted: Timeline
) -> list[FinishedPage]:
    """The pages that `list_events` gives, as they are wanted.

    One statement for all of them. Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    if db.is_distributed:
        pages = await list_events(db, scope, people, replace(wanted.asked, shape=None))
        return [_finished(page, wanted) for page in pages]
    members = [tuple(set(xids)) for xids in people]
    stops = list(accumulate(map(len, members)))
    starts = [1, *(stop + 1 for stop in stops[:-1])]
    parts, values = timeline_sql(wanted)
    statement = LIST.filled(**parts)
    rows = await db.rows(statement, scope.sandbox_id, list(chain(*members)), starts, stops, *values) if people else []
    return [page_of_row(row, wanted.asked.window) for row in rows]


def page_of_row(columns: Sequence[Any], window: Window) -> FinishedPage:
    """The page out of the text of its `nodes`, how many events were `found`, and the keys of the page's `first` and `last`."""
    nodes, found, first, last = columns
    if first is None or last is None:
        return FinishedPage(nodes, *has_next_and_previous(found, window), None, None)
    return FinishedPage(nodes, *has_next_and_previous(found, window), tuple(first), tuple(last))


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


Sql: TypeAlias = tuple[Mapping[str, str], Sequence[Any]]

_statements: WeightedCache[Timeline, Sql] = WeightedCache(KEPT_SQL)


def timeline_sql(wanted: Timeline) -> Sql:
    """For a statement that gives the columns of `page_of_row`: SQL for its words in braces, and the values of its parameters from the fifth
    on, which is how many events are looked for. Raises BadCursor."""
    made = _statements.get(wanted)
    if made is None:
        made = _timeline_sql(wanted)
        _statements.put(wanted, made, sum(map(len, made[0].values())))
    return made


def _timeline_sql(wanted: Timeline) -> Sql:
    asked = wanted.asked
    bound = Bound([None] * 4 + [wanted.fetch])
    parts = {**_page_sql(wanted), "limited": _limited(asked), **ordered(asked, bound)}
    return parts, bound.values[4:]


def _page_sql(wanted: Timeline) -> dict[str, str]:
    """The text of a page's nodes, and the keys of its ends, of events that come the nearest first, and maybe one too many. An array of rows
    costs less than one of each column."""
    node = object_of(((name, _part(part)) for name, part in wanted.node), "unpacked.document")
    key = f"row(e.{wanted.asked.order.column}, e.event_id, e.xid, e.dataset_id)"
    first, last = "1", "least($5 - 1, count(*))" if wanted.looks_ahead else "count(*)"
    order = ""
    if wanted.asked.window.backward:
        order = f" order by {in_order(wanted.asked.order, 'desc' if wanted.asked.order.descending else 'asc')}"
        first, last = "greatest(count(*) - $5 + 2, 1)" if wanted.looks_ahead else "1", "count(*)"
    keys = f"(array_agg({key}{order}))"
    return {
        "nodes": f"'[' || coalesce(array_to_string((array_agg(({node})::text{order}))[{first}:{last}], ','), '') || ']'",
        "first": f"{keys}[{first}]" if wanted.has_keys else "null",
        "last": f"{keys}[{last}]" if wanted.has_keys else "null",
    }


def _part(part: NodePart) -> str | Shape:
    match part:
        case EventColumn():
            return _COLUMNS[part]
        case PackedKey(prefix):
            return f"""{literal('"' + prefix)} || {_PACKED_KEY}"""
    return part


def _limited(asked: EventRequest) -> str:
    """The order and the end of an identity's page. The index has all of the order by timestamp but the dataset: sorting for that one would
    cost more than to read ties at the end, too, which are cut with the person's page. By another time all is sorted anyway."""
    direction = asked.direction
    order = f"e.{asked.order.column} {direction}, e.event_id {direction}"
    if asked.order.field is EventOrderField.TIMESTAMP:
        return f"{order} fetch first ($5) rows with ties"
    return f"{order}, e.dataset_id {direction} limit $5"

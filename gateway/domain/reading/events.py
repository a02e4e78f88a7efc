"""Events of people, filtered, in order, page by page.

The conditions of a filter become SQL text here; every value in them is a parameter of the statement.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.reading.shapes import Shape, expression
from gateway.domain.rules.keyset import Key, Page, Window, page_of_rows
from gateway.domain.rules.merge import Document
from gateway.domain.rules.names import MAX_NAME, did_you_mean
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadCursor, BadInput
from gateway.storage.database import Database
from gateway.storage.queries import query
from gateway.xdm.fields import Field, below, names_below
from gateway.xdm.leaves import FORMED_TIME, formed_time

READ = query("events.read_events")
LIST = query("events.list_events")
LIST_OF_CLUSTER = query("events.list_events_of_cluster")
COUNT = query("events.count_events")

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
    """An event. `text`: its document as JSON, parsed at first use; empty where a part was selected, whose JSON text is in `entity`."""

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
        """The parsed document."""
        document: Document = orjson.loads(self.text)
        return document


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

    An event's timestamp must be at or after `since`, and before `until`. Empty `event_types` or `dataset_ids` let no event pass.

    Raises BadInput for more than three conditions on properties, and for an event type with a NUL character.
    """

    since: datetime | None = None
    until: datetime | None = None
    event_types: tuple[str, ...] | None = None
    dataset_ids: tuple[UUID, ...] | None = None
    properties: tuple[PropertyCondition, ...] = ()

    def __post_init__(self) -> None:
        if len(self.properties) > MAX_PROPERTY_CONDITIONS:
            raise BadInput(f"A filter has at most {MAX_PROPERTY_CONDITIONS} conditions on properties.")
        if any("\0" in event_type for event_type in self.event_types or ()):
            raise BadInput("No event type has a NUL character.")


@dataclass(frozen=True, slots=True)
class EventOrder:
    """An order of events: by the field's time, then event id, xid, dataset; descending is the exact reverse."""

    field: EventOrderField = EventOrderField.TIMESTAMP
    descending: bool = False

    @property
    def column(self) -> str:
        """The column of the time that it orders by."""
        return "timestamp" if self.field is EventOrderField.TIMESTAMP else "ingested_at"

    @property
    def key(self) -> Callable[[Event], Key]:
        """A function that returns an event's sort key for ascending order; sort in reverse if `descending`."""
        if self.field is EventOrderField.TIMESTAMP:
            return lambda event: (event.timestamp, event.event_id, event.xid, event.dataset_id)
        return lambda event: (event.ingested_at, event.event_id, event.xid, event.dataset_id)


@dataclass(frozen=True, slots=True)
class EventRequest:
    """One page of events: filter, order and window; `shape` are the selected parts of their documents, None for whole ones."""

    filter: EventFilter
    order: EventOrder
    window: Window
    shape: Shape | None = None

    @property
    def direction(self) -> str:
        """`asc` or `desc`: the direction in SQL that reads the events nearest to the window's cursor first."""
        return "desc" if self.order.descending is not self.window.backward else "asc"


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

    The path has no step for the elements of an array; in a map, any key is a step.
    """
    field = schema
    for place, name in enumerate(path.split(".")):
        found = below(field, name)
        if found is None:
            above = ".".join(path.split(".")[:place])
            where = f"below `{above[:MAX_NAME]}`" if above else "in an event"
            raise BadInput(f"There is no field {name[:40]!r} {where}.{did_you_mean(name, names_below(field))}")
        field = found


async def read_events(db: Database, scope: Scope, keys: Sequence[EventKey]) -> list[Event | None]:
    """Read the event of each key, None for unknown ones. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    asked = [key for key in set(keys) if "\0" not in key[2]]
    rows = await db.rows(READ, scope.sandbox_id, *(list(part) for part in zip(*asked, strict=True))) if asked else []
    known = {(row["xid"], row["dataset_id"], row["event_id"]): Event(*row) for row in rows}
    return [known.get(key) for key in keys]


async def list_events(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], asked: EventRequest
) -> list[Page[Event]]:
    """List one page of events for each person, a person being its xids, in the order of the people. One statement.

    Needs `profile:read`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.PROFILE_READ)
    xids = list({xid for members in people for xid in members})
    bound = Bound([scope.sandbox_id, xids, asked.window.fetch])
    together = f"order by {in_order(asked.order, asked.direction)} limit $3" if len(people) == 1 else ""
    statement, document = (LIST_OF_CLUSTER, "e.document") if db.is_distributed else (LIST, "unpacked.document")
    filled = statement.filled(together=together, **_columns(asked.shape, document), **ordered(asked, bound))
    by_xid: dict[UUID, list[Event]] = {}
    for row in await db.rows(filled, *bound.values) if xids else []:
        by_xid.setdefault(row["xid"], []).append(Event(*row))
    return [_page((e for xid in set(members) for e in by_xid.get(xid, ())), asked) for members in people]


async def count_events(
    db: Database, scope: Scope, people: Sequence[tuple[UUID, ...]], filter_: EventFilter
) -> list[int]:
    """Count the events of each person that pass the filter. Needs `profile:read`; raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    xids = list({xid for members in people for xid in members})
    bound = Bound([scope.sandbox_id, xids])
    statement = COUNT.filled(where=_where(filter_, bound))
    rows = await db.rows(statement, *bound.values) if xids else []
    counts: dict[UUID, int] = dict(map(tuple, rows))
    return [sum(counts.get(xid, 0) for xid in set(members)) for members in people]


def _page(events: Iterable[Event], asked: EventRequest) -> Page[Event]:
    nearest = sorted(events, key=asked.order.key, reverse=asked.order.descending is not asked.window.backward)
    return page_of_rows(nearest[: asked.window.fetch], asked.window)


# ------------------------------------------------------------------------------------------------ SQL


@dataclass(frozen=True, slots=True)
class Bound:
    """The values of a statement's parameters, to which conditions add theirs."""

    values: list[Any]

    def bind(self, value: Any) -> str:
        """Add a value, and return its parameter in SQL, such as `$4`."""
        self.values.append(value)
        return f"${len(self.values)}"


def _columns(shape: Shape | None, document: str) -> dict[str, str]:
    """Return the SQL of the columns for the whole document, or for its selected parts."""
    if shape is None:
        return {"text": "e.document", "entity": "null::text"}
    return {"text": "''", "entity": expression(shape, document)}


def ordered(asked: EventRequest, bound: Bound) -> dict[str, str]:
    """Return the SQL for the gaps `where`, `time` and `direction` of a statement, and add the values in it to `bound`. Raises BadCursor."""
    where = _where(asked.filter, bound) + _between(asked, bound)
    return {"where": where, "time": asked.order.column, "direction": asked.direction}


def in_order(order: EventOrder, direction: str) -> str:
    """Return the SQL after `order by` for events called `e`; `direction` is `asc` or `desc`."""
    return ", ".join(f"e.{part} {direction}" for part in (order.column, "event_id", "xid", "dataset_id"))


def _where(filter_: EventFilter, bound: Bound) -> str:
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


def _between(asked: EventRequest, bound: Bound) -> str:
    """Return the SQL of the window's bounds, whose first two columns the index serves. Raises BadCursor."""
    keys = asked.window.bounds(datetime, str, UUID, UUID)
    if any(isinstance(value, str) and "\0" in value for value in keys):
        raise BadCursor
    behind, before = ("<", ">") if asked.order.descending else (">", "<")
    text = ""
    for key, sign in ((keys[:4], behind), (keys[4:], before)):
        if key[0] is not None:
            places = ", ".join(map(bound.bind, key))
            text += f" and (e.{asked.order.column}, e.event_id, e.xid, e.dataset_id) {sign} ({places})"
    return text

"""The rows of an export, some at a time, as lines of JSON: people, or a person's rows, as they were read at its instant, and events where they are stored.

Postgres puts the lines together, so that a row costs nothing here; but for events with values that are computed for them.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.operations.export_jobs import Asked, ExportState
from gateway.domain.operations.export_locations import Folder
from gateway.domain.operations.export_reading import events_of
from gateway.domain.reading.attribute_documents import with_values_of_events
from gateway.domain.reading.event_lines import list_lines
from gateway.domain.reading.events import WHOLE, Event, EventFilter, EventKey, list_by_key
from gateway.domain.reading.identities import read_identities
from gateway.domain.reading.people import LAST
from gateway.domain.reading.subsets import subset
from gateway.domain.rules import selectors
from gateway.domain.rules.merge import Document
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.selectors import Selector
from gateway.domain.work.leases import LeasedJob
from gateway.projection.tree import Leaf, Node, computed_in, is_computed
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

READ_PEOPLE = query("export_jobs.read_people")
READ_SUBJECT = query("export_jobs.read_subject")
LIST_IDENTITIES = query("export_jobs.list_identities")

ROWS_PER_READ: Final = 10_000
IDENTITIES_PER_READ: Final = 2_000
BYTES_PER_READ: Final = 8_000_000
"""Of rows that are read at once, about."""
FEW_ROWS: Final = 1_000
"""Events that are read before it is known how long they are."""

FIRST: Final[EventKey] = (NIL, NIL, "")
"""In front of all events."""

PROFILE_ID: Final = "profileId"
IDENTITY: Final = "identity"
"""Columns beside those of the documents: whose row it is; under which identity an event is stored."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file, one at least: the key of the last one, those of the first and the last person or identity, how many
    there are, and their lines, the last one without a line break."""

    after: tuple[Any, ...]
    first: UUID
    last: UUID
    count: int
    lines: bytes


@dataclass(frozen=True, slots=True)
class Export:
    """An export at work: where it runs, what was asked for, and the folder of its files, as it is and as it is kept."""

    db: Database
    scope: Scope
    config: Configuration
    job: LeasedJob
    asked: Asked
    folder: Folder
    kept_folder: str

    @property
    def key(self) -> tuple[int, UUID]:
        """The sandbox and the job."""
        return self.scope.sandbox_id, self.job.job_id

    @property
    def event_selector(self) -> Selector | None:
        """What is taken of events: what was asked for, and what they are known by; None for everything."""
        selector = self.asked.event_selector
        return None if selector is None else {"_id": None, "timestamp": None, **selector}

    @property
    def event_node(self) -> Node:
        """What is taken of the documents of events."""
        selector = self.event_selector
        if selector is None:
            return Leaf("JSON")
        return subset(selector, self.config.full_union(XdmClass.EXPERIENCE_EVENT))


async def people_behind(export: Export, state: ExportState) -> AsyncGenerator[Rows]:
    """Yield people who were read at the instant, behind a state. Raises Unavailable."""
    after = UUID(state.after[0]) if state.after else NIL
    while True:
        row = await export.db.row(READ_PEOPLE, *export.key, after, ROWS_PER_READ, BYTES_PER_READ)
        if row is None or not row["rows"]:
            return
        after = row["last"]
        yield Rows((after,), row["first"], after, row["rows"], row["lines"])


async def subject_behind(subject: UUID, export: Export, state: ExportState) -> AsyncGenerator[Rows]:
    """Yield what was read about one person at the instant, behind a state. Raises Unavailable."""
    after = int(state.after[0]) if state.after else -1
    while True:
        row = await export.db.row(READ_SUBJECT, *export.key, subject, after, ROWS_PER_READ, BYTES_PER_READ)
        if row is None or not row["rows"]:
            return
        after = row["last"]
        yield Rows((after,), subject, subject, row["rows"], row["lines"])


async def events_behind(export: Export, state: ExportState) -> AsyncGenerator[Rows]:
    """Yield events of these people that came in by the instant, pass the filter and are still there, behind a state. Raises Unavailable."""
    passing, size = events_of(export.asked, state.snapshot_at), min(FEW_ROWS, ROWS_PER_READ)
    after: EventKey = (UUID(state.after[0]), UUID(state.after[1]), state.after[2]) if state.after else FIRST
    before = UUID(int=max(after[0].int - 1, 0))  # the identity itself may have more
    while found := await export.db.rows(LIST_IDENTITIES, *export.key, before, IDENTITIES_PER_READ, size):
        before = found[-1]["xid"]
        owners = dict(map(tuple, found))
        is_cut = True
        while is_cut:
            rows, is_cut = await _read(export, owners, after, passing, size)
            if rows is not None:
                yield rows
                after = rows.after
                size = max(1, min(ROWS_PER_READ, rows.count * BYTES_PER_READ // len(rows.lines)))


async def _read(
    export: Export, owners: Mapping[UUID, UUID], after: EventKey, passing: EventFilter, size: int
) -> tuple[Rows | None, bool]:
    """Read the next events behind a key of identities, whose owners are people, and return whether the last one may have more; the others have less
    than `size`."""
    node = export.event_node
    if is_computed(node):
        return await _read_computed(export, owners, after, passing, size)
    found = await list_lines(export.db, export.scope, list(owners), after, size, filter_=passing, of=node)
    if not found:
        return None, False
    begins = [_begin_of(export.config, owners[each.xid], each.namespace_id, each.value) for each in found]
    lines = b"\n".join(
        begin + each.lines.replace(b"\n", b"\n" + begin) for begin, each in zip(begins, found, strict=True)
    )
    end = found[-1].end
    last = end or (found[-1].xid, LAST, "")
    return Rows(last, found[0].xid, found[-1].xid, sum(each.rows for each in found), lines), end is not None


async def _read_computed(
    export: Export, owners: Mapping[UUID, UUID], after: EventKey, passing: EventFilter, size: int
) -> tuple[Rows | None, bool]:
    """Read as `_read` does, of whole documents to which values are added that are computed for them."""
    place, selector = (export.db, export.scope), export.event_selector or {}
    found = await list_by_key(*place, list(owners), after, size, filter_=passing, projection=WHOLE)
    if not found:
        return None, False
    documents = await with_values_of_events(*place, export.config, computed_in(export.event_node) or (), found)
    begins = {
        each.xid: _begin_of(export.config, owners[each.xid], each.namespace_id, each.value)
        for each in await read_identities(*place, sorted({event.xid for event in found}))
        if each
    }

    def line(one: tuple[Event, Document]) -> bytes:
        event, document = one
        return begins[event.xid] + orjson.dumps(selectors.apply(selector, document))[1:]

    lines = await in_time_slices(line, zip(found, documents, strict=True))
    last = found[-1]
    key = last.xid, last.dataset_id, last.event_id
    return Rows(key, found[0].xid, last.xid, len(found), b"\n".join(lines)), len(found) == size


def _begin_of(config: Configuration, owner: UUID, namespace_id: int, value: str | None) -> bytes:
    """Return how the lines of an identity's events begin: with the columns beside those of documents."""
    namespace = config.namespaces.get(namespace_id)
    identity = {"namespace": namespace and namespace.code, "value": value}
    return orjson.dumps({PROFILE_ID: str(owner), IDENTITY: identity})[:-1] + b","

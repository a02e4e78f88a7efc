"""The files of an export: people, then their events, and at last the manifest, each noted, begun under another name, and told once it is whole.

A piece of the job is a file. Killed in the middle of one, the export writes that one again, with the same content.
"""

import asyncio
import gzip
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import import_module
from io import RawIOBase
from typing import Any, BinaryIO, Final, NamedTuple, Protocol
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.operations.export_jobs import Asked, ExportFormat, ExportStage, ExportState
from gateway.domain.operations.export_locations import Folder
from gateway.domain.operations.export_spool import events_of
from gateway.domain.reading.attribute_documents import with_values_of_events
from gateway.domain.reading.events import WHOLE, Event, EventKey, list_by_key
from gateway.domain.rules import selectors
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.selectors import Selector
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob, LeaseLost
from gateway.projection.tree import Document, Leaf, Node, Projection, computed_in
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass
from gateway.xdm.fields import Field

LIST_PEOPLE = query("export_jobs.list_people")
LIST_IDENTITIES = query("export_jobs.list_identities")
BEGIN_FILE = query("export_jobs.begin_file")
FINISH_FILE = query("export_jobs.finish_file")
FIND_FILE = query("export_jobs.find_file")

ROWS_PER_READ: Final = 5_000
IDENTITIES_PER_READ: Final = 2_000
ROWS_PER_FILE: Final = 250_000
CHARACTERS_PER_GROUP: Final = 8_000_000
"""Of rows that are written at once; so much of them is in memory."""

PROFILE_ID: Final = "profileId"
IDENTITY: Final = "identity"
"""Columns beside those of the documents: whose row it is; under which identity an event is stored."""
MANIFEST: Final = "manifest.json"

ENDINGS: Final[Mapping[ExportFormat, str]] = {ExportFormat.PARQUET: "parquet", ExportFormat.JSONL: "jsonl.gz"}


class Rows(NamedTuple):
    """Some rows of a file: the key of the last one, as the state holds it, those of the first and the last person or identity, and their texts."""

    after: Sequence[str]
    first: UUID
    last: UUID
    texts: Sequence[str]


class RowWriter(Protocol):
    """Writes rows into a file. Both block."""

    def write(self, lines: bytes) -> None:
        """Add rows, each a line of JSON. The last one ends without a line break."""

    def close(self) -> None:
        """Write what is left to write."""


class Kind(NamedTuple):
    """What rows are: the beginning of their files' names, which is the count of the state that they add to, what reads them behind a state, and
    what writes them into a file."""

    name: str
    rows: Callable[[ExportState], AsyncGenerator[Rows]]
    writer: Callable[[BinaryIO], RowWriter]


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


async def write_people(export: Export, state: ExportState) -> ExportState:
    """Write the people who were read, from where the state is. Raises LeaseLost, Unavailable."""
    schema = export.config.full_union(XdmClass.INDIVIDUAL_PROFILE)

    async def rows(state: ExportState) -> AsyncGenerator[Rows]:
        after = UUID(state.after[0]) if state.after else NIL
        while found := await export.db.rows(LIST_PEOPLE, *export.key, after, ROWS_PER_READ, CHARACTERS_PER_GROUP):
            texts = [_with({PROFILE_ID: str(profile_id)}, document) for profile_id, document in found]
            after = found[-1]["profile_id"]
            yield Rows((str(after),), found[0]["profile_id"], after, texts)

    def writer(sink: BinaryIO) -> RowWriter:
        return _writer(export, sink, export.asked.selector, schema, of_events=False)

    written = await _files(export, state, Kind("profiles", rows, writer))
    following = ExportStage.MANIFEST if export.asked.request.events is None else ExportStage.EVENTS
    return replace(written, stage=following, after=(), files=0)


async def write_events(export: Export, state: ExportState) -> ExportState:
    """Write the events of these people that came in by the instant and are still there, from where the state is. Raises LeaseLost, Unavailable."""
    schema, selector = export.config.full_union(XdmClass.EXPERIENCE_EVENT), export.asked.event_selector
    if selector is not None:
        selector = {"_id": None, "timestamp": None, **selector}

    async def rows(state: ExportState) -> AsyncGenerator[Rows]:
        async for events, columns in _events(export, state, selector):
            texts = [_with(columns[event.xid], text) for event, text in events]
            first, last = events[0][0], events[-1][0]
            yield Rows((str(last.xid), str(last.dataset_id), last.event_id), first.xid, last.xid, texts)

    def writer(sink: BinaryIO) -> RowWriter:
        return _writer(export, sink, selector, schema, of_events=True)

    written = await _files(export, state, Kind("events", rows, writer))
    return replace(written, stage=ExportStage.MANIFEST, after=(), files=0)


async def write_manifest(export: Export, state: ExportState, files: Sequence[Mapping[str, Any]]) -> None:
    """Write what the export is, and its other files with their rows, bytes and hashes. Raises Unavailable."""
    told = {
        "snapshotAt": state.snapshot_at,
        "mergePolicyId": export.asked.request.policy_id,
        "mergePolicyVersion": export.asked.request.policy_version,
        "profiles": state.profiles,
        "events": state.events,
        "eventsRemovedMeanwhile": max(state.found_events - state.events, 0),
        "byNamespace": state.by_namespace,
        "files": files,
    }
    content = orjson.dumps(told, default=str, option=orjson.OPT_INDENT_2)

    def write() -> None:
        with export.folder.begin(MANIFEST) as sink:
            sink.write(content)
        export.folder.finish(MANIFEST)

    await _begin(export, MANIFEST)
    await asyncio.to_thread(write)
    hashed = sha256(content).hexdigest()
    await _finish(export, MANIFEST, replace(state, stage=ExportStage.NOTHING), (None, None, 0, len(content), hashed))


# ------------------------------------------------------------------------------------------------ one file after the other


async def _files(export: Export, state: ExportState, kind: Kind) -> ExportState:
    """Write files of about ROWS_PER_FILE rows, each committed once it is whole, and one at least. Return the state behind the last one."""
    while True:
        async with aclosing(kind.rows(state)) as pages:
            page = await _next(pages)
            if page is None and state.files:
                return state
            state = await _file(export, state, kind, page, pages)


async def _file(
    export: Export, state: ExportState, kind: Kind, page: Rows | None, pages: AsyncGenerator[Rows]
) -> ExportState:
    """Write one file, while the next rows are read, and return the state behind it."""
    name = f"{kind.name}-{state.files + 1:05}.{ENDINGS[export.asked.request.format]}"
    await _begin(export, name, is_of_events=kind.name == "events")
    file = await asyncio.to_thread(_File.begin, export.folder, name, kind.writer)
    try:
        while page is not None and file.rows < ROWS_PER_FILE:
            following = asyncio.create_task(_next(pages))
            try:
                await asyncio.to_thread(file.add, page)
            finally:
                page = await following
        await asyncio.to_thread(file.finish, export.folder)
    finally:
        await asyncio.to_thread(file.abandon)
    return await _commit(export, state, kind, file)


async def _next(pages: AsyncGenerator[Rows]) -> Rows | None:
    return await anext(pages, None)


async def _commit(export: Export, state: ExportState, kind: Kind, file: "_File") -> ExportState:
    """Note a file that is whole, and return the state behind it. Raises LeaseLost."""
    counted = {kind.name: getattr(state, kind.name) + file.rows}
    state = replace(state, after=file.after or state.after, files=state.files + 1, **counted)
    columns = (file.first, file.last, file.rows, file.sink.size, file.sink.hash.hexdigest())
    await _finish(export, file.name, state, columns)
    return state


async def _begin(export: Export, name: str, *, is_of_events: bool = False) -> None:
    """Note a file that is about to be written, so that it is found after a kill, too. Raises LeaseLost."""
    noted = export.job.lease, name, export.kept_folder, is_of_events
    async with export.db.transaction(export.scope.sandbox_id) as tx:
        if await tx.value(BEGIN_FILE, *export.key, *noted) is None:
            raise LeaseLost


async def _finish(export: Export, name: str, state: ExportState, columns: Sequence[Any]) -> None:
    """Note that a file is whole: its columns, and the state behind it. Raises LeaseLost.

    Files of an export that was cancelled may have been removed before this one had its name: then nobody knows of it, and it goes here.
    """
    try:
        async with export.db.transaction(export.scope.sandbox_id) as tx:
            await tx.execute(FINISH_FILE, *export.key, name, *columns)
            await leases.advance(tx, export.job, state, done=state.done, total=state.total)
    except LeaseLost:
        if await export.db.row(FIND_FILE, *export.key, name) is None:
            await asyncio.to_thread(export.folder.remove, [name])
        raise


class _Counted(RawIOBase):
    """What is written goes on to a file, counted and hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.hash = file, 0, sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._file.write(view)
        self.hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.size


class _File:
    """A file that is being written. Everything but its attributes blocks."""

    def __init__(self, name: str, file: BinaryIO, writer: Callable[[Any], RowWriter]) -> None:
        self.name, self._file, self.sink = name, file, _Counted(file)
        self._writer = writer(self.sink)
        self.rows = 0
        self.after: Sequence[str] = ()
        self.first: UUID | None = None
        self.last: UUID | None = None

    @classmethod
    def begin(cls, folder: Folder, name: str, writer: Callable[[Any], RowWriter]) -> "_File":
        return cls(name, folder.begin(name), writer)

    def add(self, rows: Rows) -> None:
        for some in _groups(rows.texts):
            self._writer.write("\n".join(some).encode())
        self.rows += len(rows.texts)
        self.after, self.first, self.last = rows.after, self.first or rows.first, rows.last

    def finish(self, folder: Folder) -> None:
        self._writer.close()
        self._file.close()
        folder.finish(self.name)

    def abandon(self) -> None:
        self._file.close()


def _groups(texts: Sequence[str]) -> list[Sequence[str]]:
    """Return rows in groups of CHARACTERS_PER_GROUP, about."""
    groups, size, begin = [], 0, 0
    for place, text in enumerate(texts):
        size += len(text)
        if size >= CHARACTERS_PER_GROUP:
            groups.append(texts[begin : place + 1])
            size, begin = 0, place + 1
    return [*groups, texts[begin:]] if begin < len(texts) else groups


# ------------------------------------------------------------------------------------------------ rows


async def _events(
    export: Export, state: ExportState, selector: Selector | None
) -> AsyncIterator[tuple[list[tuple[Event, str]], dict[UUID, Mapping[str, Any]]]]:
    """Yield events behind the state, some at a time, with their texts; and the columns of the events of each identity."""
    passing = events_of(export.asked, state.snapshot_at)
    key: EventKey = (UUID(state.after[0]), UUID(state.after[1]), state.after[2]) if state.after else (NIL, NIL, "")
    before = NIL if not state.after else UUID(int=key[0].int - 1)  # the identity itself may have more
    while found := await export.db.rows(LIST_IDENTITIES, *export.key, before, IDENTITIES_PER_READ):
        before = found[-1]["xid"]
        columns = {row["xid"]: _columns_of(export.config, row) for row in found}
        while events := await _read(export, list(columns), key, passing, selector):
            yield events, columns
            last = events[-1][0]
            key = (last.xid, last.dataset_id, last.event_id)
            if len(events) < ROWS_PER_READ:
                break


def _columns_of(config: Configuration, row: Any) -> Mapping[str, Any]:
    """Return the columns of an identity's events beside those of documents."""
    namespace = config.namespaces.get(row["namespace_id"])
    identity = {"namespace": namespace and namespace.code, "value": row["value"]}
    return {PROFILE_ID: str(row["profile_id"]), IDENTITY: identity}


async def _read(
    export: Export, xids: Sequence[UUID], key: EventKey, passing: Any, selector: Selector | None
) -> list[tuple[Event, str]]:
    """Read the next events with what is taken of them: by the projection of the selector, or of whole documents where values are computed for them."""
    place, node = (export.db, export.scope), _event_node(export.config, selector)
    if selector is None or node is not None:
        projection = Projection((Document(node or Leaf("JSON")),), frozenset())
        found = await list_by_key(*place, xids, key, ROWS_PER_READ, filter_=passing, projection=projection)
        return [(event, event.parts[0] if event.parts else "{}") for event in found]
    found = await list_by_key(*place, xids, key, ROWS_PER_READ, filter_=passing, projection=WHOLE)
    names = computed_in(selectors.subset(selector, export.config.full_union(XdmClass.EXPERIENCE_EVENT))) or ()
    documents = await with_values_of_events(*place, export.config, names, found)
    return [
        (event, orjson.dumps(selectors.apply(selector, each)).decode())
        for event, each in zip(found, documents, strict=True)
    ]


def _event_node(config: Configuration, selector: Selector | None) -> Node | None:
    """Return what a selector takes of events as a projection; None for everything, and where values are computed for them."""
    if selector is None:
        return None
    subset = selectors.subset(selector, config.full_union(XdmClass.EXPERIENCE_EVENT))
    return None if computed_in(subset) is not None else subset


def _with(columns: Mapping[str, Any], document: str) -> str:
    """Return a document with columns in front of its fields, as JSON text."""
    text = orjson.dumps(columns).decode()
    return text if document == "{}" else f"{text[:-1]},{document[1:]}"


def _writer(export: Export, sink: BinaryIO, selector: Selector | None, schema: Field, *, of_events: bool) -> RowWriter:
    if export.asked.request.format is ExportFormat.JSONL:
        return _Lines(sink)
    written = import_module(
        "gateway.domain.operations.export_parquet"
    )  # to import it takes a tenth of a second, and 40 MB
    writer: RowWriter = written.ParquetRows(sink, schema, selector, of_events=of_events)
    return writer


class _Lines:
    """Writes JSON lines, packed by gzip: equal rows as equal bytes."""

    def __init__(self, sink: BinaryIO) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=sink, mtime=0)

    def write(self, lines: bytes) -> None:
        self._packed.write(lines)
        self._packed.write(b"\n")

    def close(self) -> None:
        self._packed.close()

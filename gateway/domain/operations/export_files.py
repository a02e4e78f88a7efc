"""The files of an export: people, then their events, and at last the manifest, each noted, begun under another name, and told once it is whole.

A piece of the job is a file. Killed in the middle of one, the export writes that one again, with the same content.
"""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib import import_module
from io import RawIOBase
from typing import Any, BinaryIO, Final, NamedTuple, Protocol
from uuid import UUID

import orjson

from gateway.domain.operations.export_downloads import FIND_FILE
from gateway.domain.operations.export_jobs import ExportFormat, ExportStage, ExportState
from gateway.domain.operations.export_locations import Folder
from gateway.domain.operations.export_rows import Export, Rows, events_behind, people_behind, subject_behind
from gateway.domain.operations.export_throttle import Throttle
from gateway.domain.rules.selectors import Selector
from gateway.domain.work import leases
from gateway.domain.work.leases import LeaseLost
from gateway.runtime.ahead import read_ahead
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass
from gateway.xdm.fields import Field

BEGIN_FILE = query("export_jobs.begin_file")
FINISH_FILE = query("export_jobs.finish_file")

ROWS_PER_FILE: Final = 250_000
PARQUET: Final = "gateway.domain.operations.export_parquet"
"""The module of files of Parquet: to import it takes a tenth of a second, and 40 MB."""

MANIFEST: Final = "manifest.json"

ENDINGS: Final[Mapping[ExportFormat, str]] = {ExportFormat.PARQUET: "parquet", ExportFormat.JSONL: "jsonl.gz"}


class RowWriter(Protocol):
    """Writes rows into a file. Everything blocks; some rows may be parsed while others are written."""

    def parse(self, lines: bytes) -> Any:
        """Return rows as `write` takes them, each a line of JSON. The last one ends without a line break."""

    def write(self, parsed: Any) -> None:
        """Add rows that were parsed, in their order."""

    def close(self) -> None:
        """Write what is left to write."""


class Kind(NamedTuple):
    """What rows are: the beginning of their files' names, the count of the state that they add to, what reads them behind a state, and what writes them
    into a file."""

    name: str
    counted: str
    rows: Callable[[Export, ExportState], AsyncGenerator[Rows]]
    writer: Callable[[BinaryIO], RowWriter]


async def write_people(export: Export, state: ExportState) -> ExportState:
    """Write the people who were read, from where the state is. Raises LeaseLost, Unavailable."""
    schema, selector = export.config.full_union(XdmClass.INDIVIDUAL_PROFILE), export.asked.selector
    writer = partial(_writer, export.asked.request.format, selector=selector, schema=schema, of_events=False)
    kind, subject = Kind("profiles", "profiles", people_behind, writer), export.asked.request.subject
    if subject is not None:
        kind = kind._replace(name="subject", rows=partial(subject_behind, subject))
    written = await _files(export, state, kind)
    following = ExportStage.MANIFEST if export.asked.request.events is None else ExportStage.EVENTS
    return replace(written, stage=following, after=(), files=0)


async def write_events(export: Export, state: ExportState) -> ExportState:
    """Write the events of these people that came in by the instant and are still there, from where the state is. Raises LeaseLost, Unavailable."""
    schema, selector = export.config.full_union(XdmClass.EXPERIENCE_EVENT), export.event_selector
    writer = partial(_writer, export.asked.request.format, selector=selector, schema=schema, of_events=True)
    written = await _files(export, state, Kind("events", "events", events_behind, writer))
    return replace(written, stage=ExportStage.MANIFEST, after=(), files=0)


async def write_manifest(export: Export, state: ExportState, files: Sequence[Mapping[str, Any]]) -> None:
    """Write what the export is, and its other files with their rows, bytes and hashes. Raises Unavailable."""
    told = {
        "snapshotAt": state.snapshot_at,
        "mergePolicyId": export.asked.request.policy_id,
        "mergePolicyVersion": export.asked.request.policy_version,
        "profiles": state.profiles_exported,
        "events": state.events_exported,
        "eventsRemovedMeanwhile": max(state.found_events - state.events, 0),
        "byNamespace": state.by_namespace,
        **({"subject": export.asked.request.subject, "rows": state.by_store} if state.by_store else {}),
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
        async with aclosing(read_ahead(_rows_of_one_file(kind.rows(export, state)))) as pages:
            page = await anext(pages, None)
            if page is None and state.files:
                return state
            state = await _file(export, state, kind, page, pages)


async def _rows_of_one_file(pages: AsyncGenerator[Rows]) -> AsyncGenerator[Rows]:
    """Yield rows until there are enough for a file. The next file is read anew from the state on, as after a kill: its content is the same."""
    rows = 0
    async with aclosing(pages):
        async for page in pages:
            yield page
            rows += page.count
            if rows >= ROWS_PER_FILE:
                return


async def _file(
    export: Export, state: ExportState, kind: Kind, page: Rows | None, pages: AsyncGenerator[Rows]
) -> ExportState:
    """Write one file, while the next rows are parsed, and those behind them are read. Return the state behind the file."""
    name = f"{kind.name}-{state.files + 1:05}.{ENDINGS[export.asked.request.format]}"
    await _begin(export, name, is_of_events=kind.name == "events")
    file, throttle = await asyncio.to_thread(_File.begin, export.folder, name, kind.writer), Throttle(export.db)
    try:
        async with aclosing(read_ahead(_parsed(file, page, pages))) as parsed_pages:
            async for rows, parsed in parsed_pages:
                await asyncio.to_thread(file.add, rows, parsed)
                await throttle.pause()
        await asyncio.to_thread(file.finish, export.folder)
    finally:
        await asyncio.to_thread(file.abandon)
    return await _commit(export, state, kind, file)


async def _parsed(file: "_File", page: Rows | None, pages: AsyncGenerator[Rows]) -> AsyncGenerator[tuple[Rows, Any]]:
    """Yield a page and those behind it, each with what is written of it."""
    while page is not None:
        yield page, await asyncio.to_thread(file.parse, page)
        page = await anext(pages, None)


async def _commit(export: Export, state: ExportState, kind: Kind, file: "_File") -> ExportState:
    """Note a file that is whole, and return the state behind it. Raises LeaseLost."""
    counted = {kind.counted: getattr(state, kind.counted) + file.rows}
    state = replace(state, after=tuple(map(str, file.after)) or state.after, files=state.files + 1, **counted)
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
        self.after: Sequence[Any] = ()
        self.first: UUID | None = None
        self.last: UUID | None = None

    @classmethod
    def begin(cls, folder: Folder, name: str, writer: Callable[[Any], RowWriter]) -> "_File":
        return cls(name, folder.begin(name), writer)

    def parse(self, rows: Rows) -> Any:
        return self._writer.parse(rows.lines)

    def add(self, rows: Rows, parsed: Any) -> None:
        self._writer.write(parsed)
        self.rows += rows.count
        self.after, self.first, self.last = rows.after, self.first or rows.first, rows.last

    def finish(self, folder: Folder) -> None:
        self._writer.close()
        self._file.close()
        folder.finish(self.name)

    def abandon(self) -> None:
        self._file.close()


def load_writer(form: ExportFormat) -> None:
    """Import what writes files of this format. Blocks."""
    if form is ExportFormat.PARQUET:
        import_module(PARQUET)


def _writer(
    form: ExportFormat, sink: BinaryIO, *, selector: Selector | None, schema: Field, of_events: bool
) -> RowWriter:
    if form is ExportFormat.JSONL:
        return _Lines(sink)
    writer: RowWriter = import_module(PARQUET).ParquetRows(sink, schema, selector, of_events=of_events)
    return writer


class _Lines:
    """Writes JSON lines, packed by gzip: equal rows as equal bytes."""

    def __init__(self, sink: BinaryIO) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=sink, mtime=0)

    def parse(self, lines: bytes) -> bytes:
        return lines

    def write(self, parsed: bytes) -> None:
        self._packed.write(parsed)
        self._packed.write(b"\n")

    def close(self) -> None:
        self._packed.close()

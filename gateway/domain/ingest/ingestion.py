"""Ingestion: up to 1,000 documents a call, each accepted or refused on its own, in one transaction that updates every view.

Documents are checked before the transaction (`validation`), then written in it (`transaction`). A call that conflicts with a concurrent one
is retried. From the third time on, and when graphs may have to be split, it takes the sandbox's exclusive lock, in one transaction with all
calls that wait for it (`group_commit`). If Postgres cannot store a document for a reason that no rule foresees, the call is halved until
each such document is found and refused; the others are stored.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.datasets import read_oldest_time
from gateway.domain.facts import batches
from gateway.domain.facts.appending import store_failures, store_warnings
from gateway.domain.facts.documents import DocumentProblem, ValidDocument
from gateway.domain.ingest.erased import ErasedAt, ErasedNamed, sort_out
from gateway.domain.ingest.group_commit import GroupCommit
from gateway.domain.ingest.redaction import by_itself
from gateway.domain.ingest.transaction import CallWrites, StaleConfiguration, refresh_calls
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.versions import Mode, RecordStates
from gateway.domain.views.graph_union import RetryTransaction
from gateway.domain.work.locks import lock_exclusive, lock_shared
from gateway.errors import (
    Conflict,
    ConstraintViolated,
    Contended,
    GatewayError,
    Invalid,
    LimitExceeded,
    NotFound,
    Unavailable,
    Unstorable,
)
from gateway.runtime.garbage_collection import GARBAGE
from gateway.runtime.slices import SLICES
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.telemetry import TransactionRestarted, observe
from gateway.xdm.classes import XdmClass
from gateway.xdm.violations import Violation, ViolationCode

COUNT_BATCH = query("appending.count_batch")
COUNT_BATCH_WITH_REFUSED = query("appending.count_batch_with_refused")
COUNT_REFUSED = query("erasure.count_refused")

MAX_DOCUMENTS = 1000
"""The limit of documents of one call."""

MAX_ATTEMPTS = 20
RETRIES_BEFORE_EXCLUSIVE = 2  # then a call takes the exclusive lock
MAX_CONCURRENT_CHUNKS = 2
"""Chunks of a stream that are committed at the same time, beside the one that is read: a third makes none faster, but opens a connection."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The outcome of a call. `accepted` + `duplicates` + len(`failed`) is the number of its documents.

    A duplicate is an event that is stored already, or a record that changes nothing; it changes no view.
    """

    batch_id: UUID
    accepted: int
    duplicates: int
    failed: list[DocumentProblem]
    warnings: list[DocumentProblem]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive documents of a stream. `first_index` is the index of the first one in the stream, from 0.

    `lines`: the line of each document in the text of the stream, from 1; empty if the stream is no text.
    """

    first_index: int
    documents: Sequence[Any]
    lines: Sequence[int] = ()


async def ingest_records(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    dataset_id: UUID,
    documents: Sequence[Any],
    *,
    mode: Mode = Mode.REPLACE,
    batch_id: UUID | None = None,
    first_index: int = 0,
) -> IngestResult:
    """Ingest records, each a JSON value or the bytes of a JSON text. Needs `profile:write`.

    `batch_id`: None for the rolling batch. `first_index`: the index of the first document in the client's whole input. Raises Forbidden;
    LimitExceeded; NotFound, Invalid, Conflict for a dataset or batch that does not take these documents; Unavailable.
    """
    target = _Target(db, scope, configurations, dataset_id, mode, batch_id, XdmClass.INDIVIDUAL_PROFILE)
    return await target.ingest(Chunk(first_index, documents))


async def ingest_events(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    dataset_id: UUID,
    documents: Sequence[Any],
    *,
    batch_id: UUID | None = None,
    first_index: int = 0,
) -> IngestResult:
    """Ingest events. Arguments and errors are those of `ingest_records`."""
    target = _Target(db, scope, configurations, dataset_id, Mode.REPLACE, batch_id, XdmClass.EXPERIENCE_EVENT)
    return await target.ingest(Chunk(first_index, documents))


async def _admit_all() -> Callable[[], None]:
    return lambda: None


def _leave(place: ExitStack, _: object) -> None:
    place.close()


async def ingest_stream(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    dataset_id: UUID,
    chunks: AsyncIterable[Chunk],
    *,
    mode: Mode = Mode.REPLACE,
    batch_id: UUID | None = None,
    admit: Callable[[], Awaitable[Callable[[], None]]] = _admit_all,
) -> AsyncIterator[IngestResult]:
    """Ingest a stream of records or events, as the dataset holds, and yield the outcome of each chunk, in order.

    While chunks are committed, the next one is read. Up to two are committed at a time, except for chunks with versions of a common
    record, which must be stored in order. If the stream fails, committed chunks stay. `admit` is awaited before a chunk is read, and the
    function that it returns is called once the chunk is committed. Raises the errors of `ingest_records` and of `admit`.
    """
    target = _Target(db, scope, configurations, dataset_id, mode, batch_id)
    committing: deque[tuple[asyncio.Task[IngestResult], AbstractSet[UUID]]] = deque()
    failure: Exception | None = None
    try:
        try:
            async for chunk in chunks:
                with ExitStack() as place:
                    place.callback(await admit())
                    place.enter_context(GARBAGE.in_use(len(chunk.documents)))
                    prepared = await target.read(chunk)
                    while len(committing) == MAX_CONCURRENT_CHUNKS or any(
                        prepared.records & others for _, others in committing
                    ):
                        yield await committing.popleft()[0]
                    task = asyncio.create_task(prepared.commit())
                    task.add_done_callback(partial(_leave, place.pop_all()))
                committing.append((task, prepared.records))
        except Exception as error:  # noqa: BLE001 (raised below, after the chunks that are being committed)
            failure = error
        while committing:
            yield await committing.popleft()[0]
        if failure is not None:
            raise failure
    finally:
        for task, _ in committing:
            task.cancel()
        await asyncio.gather(*(task for task, _ in committing), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Target:
    """The destination and mode of documents. `expected`: the class of documents that the dataset must hold, None for any."""

    db: Database
    scope: Scope
    configurations: Configurations
    dataset_id: UUID
    mode: Mode
    batch_id: UUID | None
    expected: XdmClass | None = None

    async def ingest(self, chunk: Chunk) -> IngestResult:
        """Check and store the documents of a chunk. Raises the errors of `ingest_records`."""
        with GARBAGE.in_use(len(chunk.documents)):
            return await (await self.read(chunk)).commit()

    async def read(self, chunk: Chunk) -> "_Prepared":
        """Check the documents of a chunk; nothing is stored yet. Raises Forbidden, LimitExceeded, NotFound, Invalid."""
        self.scope.require(Permission.PROFILE_WRITE)
        if len(chunk.documents) > MAX_DOCUMENTS:
            raise LimitExceeded(f"A call takes up to {MAX_DOCUMENTS:,} documents, not {len(chunk.documents):,}.")
        prepared = _Prepared(self, chunk)
        await prepared.read(await self.configurations.read(self.db, self.scope))
        return prepared

    def reader(self, config: Configuration, oldest: datetime | None) -> Reader:
        """Return a reader of this dataset's documents, which refuses events from before `oldest`. Raises NotFound, Invalid, Conflict, Misconfigured."""
        dataset = config.open_dataset(self.dataset_id)
        schema = config.schemas[dataset.schema_id]
        xdm_class = schema.xdm_class
        if not (dataset.is_profile_enabled and schema.is_profile_enabled):
            raise Invalid(
                "The dataset is not enabled for profile; enable it, or its schema, first.", path=["datasetId"]
            )
        if self.expected not in (None, xdm_class):
            raise Invalid(f"The dataset holds documents of class {xdm_class.value}.", path=["datasetId"])
        if xdm_class is XdmClass.EXPERIENCE_EVENT and self.mode is not Mode.REPLACE:
            raise Invalid("Events are appended; only records have a mode.", path=["mode"])
        return Reader(config, self.scope.sandbox, dataset, self.mode, oldest)

    async def refuse_batch(self) -> NoReturn:
        """Raise why the batch takes no documents: NotFound, Conflict, or RetryTransaction to choose another rolling batch."""
        if self.batch_id is None:
            raise RetryTransaction("the rolling batch was closed")
        (batch,) = await batches.read_batches(self.db, self.scope, [self.batch_id])
        if batch is None or batch.dataset_id != self.dataset_id:
            raise NotFound("There is no such batch of this dataset.", path=["batchId"])
        raise Conflict(f"The batch is {batch.status.value} and takes no more documents.", path=["batchId"])


class _Prepared:
    """A checked chunk, which is committed by as many transactions as it takes."""

    _config: Configuration
    _reader: Reader
    _documents: list[ValidDocument]
    _batch_id: UUID
    _refused: Counter[UUID]

    def __init__(self, target: _Target, chunk: Chunk) -> None:
        self._target, self._chunk = target, chunk

    def __len__(self) -> int:
        return len(self._chunk.documents)

    @property
    def records(self) -> AbstractSet[UUID]:
        """The xids of the records that the chunk has versions of; none for events."""
        are_events = self._reader.xdm_class is XdmClass.EXPERIENCE_EVENT
        return frozenset() if are_events else {document.xid for document in self._documents}

    async def read(self, config: Configuration) -> None:
        """Check the documents, in time slices of the event loop."""
        documents = enumerate(self._chunk.documents, self._chunk.first_index)
        target, dataset = self._target, config.dataset(self._target.dataset_id)
        await config.compile(dataset.schema_id, partial=target.mode is not Mode.REPLACE)
        oldest = await read_oldest_time(target.db, target.scope, dataset)
        self._config, self._reader, self._documents = config, target.reader(config, oldest), []
        self._refused = Counter()
        is_more = True
        while is_more:
            async with SLICES:
                is_more = self._read_some(documents)

    def _read_some(self, documents: Iterator[tuple[int, Any]]) -> bool:
        """Check as many documents as fit into a time slice. Return whether there may be more."""
        read, valid = self._reader.read, self._documents
        for index, document in documents:
            if (found := read(index, document)) is not None:
                valid.append(found if self._target.mode is not Mode.DELETE else by_itself(self._reader, found))
            if SLICES.is_over:
                return True
        return False

    async def commit(self) -> IngestResult:
        """Store the valid documents. Raises Unavailable after too many conflicts, and the errors of `ingest_records`."""
        target, exclusive = self._target, self._target.mode is Mode.DELETE
        for attempt in range(MAX_ATTEMPTS):
            try:
                return await self._attempt(exclusive=exclusive)
            except StaleConfiguration as outdated:
                await self.read(await target.configurations.read(target.db, target.scope, outdated.version))
            except ErasedNamed as named:
                self._take_out_erased(named.erased_at)
            except RetryTransaction as restart:
                observe(TransactionRestarted(restart.reason, attempt))
                exclusive = exclusive or restart.exclusive or attempt >= RETRIES_BEFORE_EXCLUSIVE
            except (ConstraintViolated, Contended) as error:
                observe(TransactionRestarted(type(error).__name__, attempt))
                exclusive = exclusive or attempt >= RETRIES_BEFORE_EXCLUSIVE
        raise Unavailable("Too many writers change the same people; try again.")

    async def _attempt(self, *, exclusive: bool) -> IngestResult:
        """Try to store the documents once. Raises RetryTransaction after taking out documents that cannot be stored."""
        try:
            return await self._store(exclusive=exclusive)
        except Unstorable as error:
            await self._take_out_unstorable(error)
            raise RetryTransaction("documents that cannot be stored were taken out") from error

    async def _store(self, *, exclusive: bool) -> IngestResult:
        """Store the documents, in a group if `exclusive`, or if the call would only wait for a group."""
        target = self._target
        self._batch_id = target.batch_id or await batches.rolling_batch(target.db, target.scope, target.dataset_id)
        if exclusive or GROUP_COMMITS.has_exclusive(target.db, target.scope):
            return await GROUP_COMMITS.submit(target.db, target.scope, self, needs_exclusive=exclusive)
        async with lock_shared(target.db, target.scope.sandbox_id) as tx:
            writes = self.writes(tx)
            await writes.append_and_join()
            await self.count(tx, writes)
            return await self.end(tx, writes)

    async def _take_out_unstorable(self, error: Unstorable) -> None:
        """Turn documents that cannot be stored into failures. Raises the error if they are not its cause."""
        found = await self._unstorable(self._documents)
        failures, warnings = self._reader.failures, self._reader.warnings
        if found:
            gone = {document.position for document, _ in found}
            self._documents = [document for document in self._documents if document.position not in gone]
            warnings[:] = [warning for warning in warnings if warning.index not in gone]
            failures += [_not_stored(document, cause) for document, cause in found]
            failures.sort(key=lambda failure: failure.index)
        elif any(failure.document is not None for failure in failures):
            failures[:] = [replace(failure, document=None) for failure in failures]
        else:
            raise error

    def _take_out_erased(self, erased_at: ErasedAt) -> None:
        """Turn documents under erased identities into failures, and take erased identities out of the others."""
        found, failures = sort_out(self._reader, self._documents, erased_at), self._reader.failures
        named = {document.position: document.named_xids for document in found.documents}
        self._documents = found.documents
        self._refused += found.refused
        failures += found.failures
        failures.sort(key=lambda failure: failure.index)
        warnings = self._reader.warnings
        warnings[:] = [replace(each, xids=named[each.index]) for each in warnings if each.index in named]
        warnings += found.warnings

    async def _unstorable(self, documents: Sequence[ValidDocument]) -> list[tuple[ValidDocument, Unstorable]]:
        """Find the documents that cannot be stored, by halves, in transactions that are rolled back. Return each with its error."""
        error = await self._trial(documents)
        if error is None:
            return []
        if len(documents) == 1:
            return [(documents[0], error)]
        half = len(documents) // 2
        return await self._unstorable(documents[:half]) + await self._unstorable(documents[half:])

    async def _trial(self, documents: Sequence[ValidDocument]) -> Unstorable | None:
        """Store these documents and roll back. Return the error, None if they can be stored."""
        target = self._target
        try:
            async with lock_exclusive(target.db, target.scope.sandbox_id, is_trial=True) as tx:
                writes = self.writes(tx, documents)
                await refresh_calls(tx, [writes], await writes.append(RecordStates()))
        except Unstorable as error:
            return error
        return None

    def writes(self, tx: Session, documents: Sequence[ValidDocument] | None = None) -> CallWrites:
        """Return the writes of all documents, or of some."""
        target = self._target
        return CallWrites(
            *(tx, target.scope, self._config, self._documents if documents is None else documents),
            dataset_id=target.dataset_id,
            batch_id=self._batch_id,
            mode=target.mode,
            first_index=self._chunk.first_index,
        )

    async def count(self, tx: Session, writes: CallWrites) -> None:
        """Add to the counts of the batch, and store the failures. Raises as `refuse_batch` if the batch is not LOADING."""
        target, failures = self._target, self._reader.failures
        named = list({xid for failure in failures for xid in failure.found_by})
        counted = (
            target.scope.sandbox_id,
            self._batch_id,
            target.dataset_id,
            writes.stored,
            len(failures),
            writes.stamp.at,
        )
        batch = await tx.row(*((COUNT_BATCH_WITH_REFUSED, *counted, named) if named else (COUNT_BATCH, *counted)))
        if batch is None:
            await target.refuse_batch()
        await store_failures(tx, writes.stamp, failures, frozenset(batch["erased"]))
        if self._refused:
            await tx.update_rows(COUNT_REFUSED, target.scope.sandbox_id, rows=sorted(self._refused.items()))

    async def end(self, tx: Session, writes: CallWrites) -> IngestResult:
        """Store the warnings, which are complete now, and return the outcome."""
        duplicates, warnings = writes.duplicates, [*self._reader.warnings, *writes.warnings]
        await store_warnings(tx, writes.stamp, warnings)
        return IngestResult(
            self._batch_id, len(self._documents) - duplicates, duplicates, self._reader.failures, warnings
        )


def _not_stored(document: ValidDocument, cause: Unstorable) -> DocumentProblem:
    reason = f"{cause.condition} ({cause.sqlstate or 'when it was sent'})"
    message = (
        f"The database cannot store this document: {reason}. Look for an extreme number, or an unusual text in it."
    )
    violation = Violation("$", ViolationCode.UNSTORABLE, message)
    return DocumentProblem(document.position, (violation,), xids=document.named_xids)


async def _store_group(tx: Session, calls: Iterable[_Prepared]) -> list[IngestResult | Exception]:
    """Store calls under the exclusive lock: the facts of each call, unless it is refused, then every view. Return outcomes, in order."""
    group, outcomes = list[_Prepared](), dict[_Prepared, IngestResult | Exception]()
    appended, states = dict[_Prepared, CallWrites](), RecordStates()
    for call in calls:
        group.append(call)
        writes = call.writes(tx)
        try:
            async with tx.savepoint():
                after = await writes.append(states)
                await call.count(tx, writes)
        except (GatewayError, StaleConfiguration, RetryTransaction, ErasedNamed) as error:
            outcomes[call] = error
        else:
            appended[call], states = writes, after
    if appended:
        await refresh_calls(tx, list(appended.values()), states)
    for call, writes in appended.items():
        outcomes[call] = await call.end(tx, writes)
    return [outcomes[call] for call in group]


GROUP_COMMITS = GroupCommit(_store_group, weight=len, limit=MAX_DOCUMENTS)

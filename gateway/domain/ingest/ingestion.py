"""Ingestion: up to 1,000 documents a call, each answered for, in one transaction that leaves every view right.

Documents are read and checked before any transaction (`documents`), then written in one (`writing`). A call that meets a concurrent one
begins again; from the third time on, or where people may part, it has the sandbox to itself, together with all that wait (`turns`).
Where Postgres cannot store some document for a reason that no rule foresees, the call is halved until each such document is found; it
fails, and the others land.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.facts import batches
from gateway.domain.facts.appending import keep_failures, keep_warnings
from gateway.domain.facts.documents import DocumentProblem, ValidDocument
from gateway.domain.ingest.group_commit import GroupCommit
from gateway.domain.ingest.transaction import IngestTransaction, StaleConfiguration, commit_calls
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.rules.versions import Mode
from gateway.domain.views.graph_union import RetryTransaction
from gateway.domain.views.materialized import RecordStates
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
from gateway.runtime.slices import SLICES
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.telemetry import TransactionRestarted, observe
from gateway.xdm.classes import XdmClass

COUNT_BATCH = query("appending.count_batch")

DOCUMENTS = 1000
"""The most documents of one call."""

ATTEMPTS = 20
PATIENCE = 2  # restarts before a call asks for the sandbox alone
SIDE_BY_SIDE = 3  # chunks that a stream commits at the same time


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a call's documents: accepted + duplicates + len(failed) are as many as were sent.

    A duplicate is an event that is there already, or a record that says nothing new; it changes no view.
    """

    batch_id: UUID
    accepted: int
    duplicates: int
    failed: list[DocumentProblem]
    warnings: list[DocumentProblem]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some documents of a stream; `first_index` is the place of the first one in it.

    `lines`: where each of them stands in the text of the stream, as editors count lines; none for documents that come otherwise.
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
    """Take in records: JSON values, or bytes of one JSON text each. Needs `profile:write`.

    `first_index` is the place of the first document in what the client sends as a whole. Raises Forbidden, LimitExceeded;
    NotFound, Invalid, Conflict for a dataset or batch that does not take these documents; Unavailable.
    """
    target = _Target(db, scope, configurations, dataset_id, mode, batch_id, XdmClass.INDIVIDUAL_PROFILE)
    return await (await target.read(Chunk(first_index, documents))).commit()


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
    """Take in events, as `ingest_records` takes in records."""
    target = _Target(db, scope, configurations, dataset_id, Mode.REPLACE, batch_id, XdmClass.EXPERIENCE_EVENT)
    return await (await target.read(Chunk(first_index, documents))).commit()


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
    """Take in a stream of records or events, whatever the dataset holds; what became of each chunk, in their order.

    While chunks are committed, the next one is read. Three are committed at a time, unless two of them have a version of the same record,
    of which the later must come later. When the stream breaks off, what was committed stays. `admit` is awaited before a chunk is read; what
    it gives is called when the chunk is committed. Raises as `ingest_records`, and what `admit` raises.
    """
    target = _Target(db, scope, configurations, dataset_id, mode, batch_id)
    committing: deque[tuple[asyncio.Task[IngestResult], AbstractSet[UUID]]] = deque()
    broken: Exception | None = None
    try:
        try:
            async for chunk in chunks:
                with ExitStack() as place:
                    place.callback(await admit())
                    prepared = await target.read(chunk)
                    while len(committing) == SIDE_BY_SIDE or any(prepared.records & others for _, others in committing):
                        yield await committing.popleft()[0]
                    task = asyncio.create_task(prepared.commit())
                    task.add_done_callback(partial(_leave, place.pop_all()))
                committing.append((task, prepared.records))
        except Exception as error:  # noqa: BLE001 (raised below, once what is on its way has arrived)
            broken = error
        while committing:
            yield await committing.popleft()[0]
        if broken is not None:
            raise broken
    finally:
        for task, _ in committing:
            task.cancel()
        await asyncio.gather(*(task for task, _ in committing), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where documents go, and how they are meant. `expected`: the class of documents that the dataset must hold."""

    db: Database
    scope: Scope
    configurations: Configurations
    dataset_id: UUID
    mode: Mode
    batch_id: UUID | None
    expected: XdmClass | None = None

    async def read(self, chunk: Chunk) -> "_Prepared":
        """The documents, checked against their schema; nothing is stored yet."""
        self.scope.require(Permission.PROFILE_WRITE)
        if len(chunk.documents) > DOCUMENTS:
            raise LimitExceeded(f"A call takes up to {DOCUMENTS:,} documents, not {len(chunk.documents):,}.")
        prepared = _Prepared(self, chunk)
        await prepared.read(await self.configurations.read(self.db, self.scope))
        return prepared

    def reader(self, config: Configuration) -> Reader:
        """What reads this dataset's documents under this configuration."""
        dataset = config.dataset(self.dataset_id)
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
        return Reader(config, self.scope.sandbox, dataset, self.mode)

    async def refuse_batch(self) -> None:
        """Say why the batch takes no documents; one that the caller did not choose is simply chosen again."""
        if self.batch_id is None:
            raise RetryTransaction("the rolling batch was closed")
        (batch,) = await batches.read_batches(self.db, self.scope, [self.batch_id])
        if batch is None or batch.dataset_id != self.dataset_id:
            raise NotFound("There is no such batch of this dataset.", path=["batchId"])
        raise Conflict(f"The batch is {batch.status.value} and takes no more documents.", path=["batchId"])


class _Prepared:
    """A chunk that was read, on its way into the store, however often its transaction begins again."""

    _config: Configuration
    _reader: Reader
    _sent: list[ValidDocument]
    _batch_id: UUID

    def __init__(self, target: _Target, chunk: Chunk) -> None:
        self._target, self._chunk = target, chunk

    def __len__(self) -> int:
        return len(self._chunk.documents)

    @property
    def records(self) -> AbstractSet[UUID]:
        """The xids of the records that the chunk has versions of; events have none."""
        are_events = self._reader.xdm_class is XdmClass.EXPERIENCE_EVENT
        return frozenset() if are_events else {document.xid for document in self._sent}

    async def read(self, config: Configuration) -> None:
        """Read the documents, and let others work meanwhile."""
        documents = enumerate(self._chunk.documents, self._chunk.first_index)
        schema_id = config.dataset(self._target.dataset_id).schema_id
        await config.compile(schema_id, partial=self._target.mode is not Mode.REPLACE)
        self._config, self._reader, self._sent = config, self._target.reader(config), []
        is_more = True
        while is_more:
            async with SLICES:
                is_more = self._read_some(documents)

    def _read_some(self, documents: Iterator[tuple[int, Any]]) -> bool:
        """Read as many documents as fit into a slice; whether there may be more."""
        read, sent = self._reader.read, self._sent
        for index, document in documents:
            if (found := read(index, document)) is not None:
                sent.append(found)
            if SLICES.is_over:
                return True
        return False

    async def commit(self) -> IngestResult:
        """Store what may be stored. Raises Unavailable when too many others write."""
        target, alone = self._target, self._target.mode is Mode.DELETE
        for attempt in range(ATTEMPTS):
            try:
                return await self._attempt(alone=alone)
            except StaleConfiguration as outdated:
                await self.read(await target.configurations.read(target.db, target.scope, outdated.version))
            except RetryTransaction as restart:
                observe(TransactionRestarted(restart.reason, attempt))
                alone = alone or restart.exclusive or attempt >= PATIENCE
            except (ConstraintViolated, Contended) as error:
                observe(TransactionRestarted(type(error).__name__, attempt))
                alone = alone or attempt >= PATIENCE
        raise Unavailable("Too many writers change the same people; try again.")

    async def _attempt(self, *, alone: bool) -> IngestResult:
        """Once. Raises Restart when documents were taken out that cannot be stored."""
        try:
            return await self._store(alone=alone)
        except Unstorable as error:
            await self._take_out_unstorable(error)
            raise RetryTransaction("documents that cannot be stored were taken out") from error

    async def _store(self, *, alone: bool) -> IngestResult:
        """Whoever would only wait for those who must be alone goes with them."""
        target = self._target
        self._batch_id = target.batch_id or await batches.rolling_batch(target.db, target.scope, target.dataset_id)
        if alone or GROUP_COMMITS.are_needed(target.db, target.scope):
            return await GROUP_COMMITS.take(target.db, target.scope, self, is_needed=alone)
        async with lock_shared(target.db, target.scope.sandbox_id) as tx:
            writing = self.writing(tx)
            await writing.append_and_union()
            await self.count(tx, writing)
            return await self.end(tx, writing)

    async def _take_out_unstorable(self, error: Unstorable) -> None:
        """Let the documents fail that cannot be stored. Raises the error where it is not theirs."""
        found = await self._unstorable(self._sent)
        failures, warnings = self._reader.failures, self._reader.warnings
        if found:
            self._sent = [document for document in self._sent if document.position not in found]
            warnings[:] = [warning for warning in warnings if warning.index not in found]
            failures += [_not_stored(position, cause) for position, cause in found.items()]
            failures.sort(key=lambda failure: failure.index)
        elif any(failure.document is not None for failure in failures):
            failures[:] = [replace(failure, document=None) for failure in failures]
        else:
            raise error

    async def _unstorable(self, sent: Sequence[ValidDocument]) -> dict[int, Unstorable]:
        """The places of the documents that cannot be stored, and why: by halves, in transactions that are undone."""
        error = await self._trial(sent)
        if error is None:
            return {}
        if len(sent) == 1:
            return {sent[0].position: error}
        half = len(sent) // 2
        return await self._unstorable(sent[:half]) | await self._unstorable(sent[half:])

    async def _trial(self, sent: Sequence[ValidDocument]) -> Unstorable | None:
        """Why these documents cannot be stored together; None if they can. Nothing of them stays."""
        target = self._target
        try:
            async with lock_exclusive(target.db, target.scope.sandbox_id, is_trial=True) as tx:
                writing = self.writing(tx, sent)
                await commit_calls(tx, [writing], await writing.append(RecordStates()))
        except Unstorable as error:
            return error
        return None

    def writing(self, tx: Session, sent: Sequence[ValidDocument] | None = None) -> IngestTransaction:
        """The writes of the documents, or of these of them."""
        target = self._target
        return IngestTransaction(
            *(tx, target.scope, self._config, self._sent if sent is None else sent),
            dataset_id=target.dataset_id,
            batch_id=self._batch_id,
            mode=target.mode,
            first_index=self._chunk.first_index,
        )

    async def count(self, tx: Session, writing: IngestTransaction) -> None:
        """Count what the batch takes in, if it still does, and keep what was refused."""
        target, failures = self._target, self._reader.failures
        accepted = len(self._sent) - writing.duplicates
        counted = (target.scope.sandbox_id, self._batch_id, target.dataset_id, accepted, len(failures))
        if await tx.value(COUNT_BATCH, *counted) is None:
            await target.refuse_batch()
        await keep_failures(tx, writing.call, failures)

    async def end(self, tx: Session, writing: IngestTransaction) -> IngestResult:
        """Keep the warnings, which are all there now, and say what became of the documents."""
        duplicates, warnings = writing.duplicates, [*self._reader.warnings, *writing.warnings]
        await keep_warnings(tx, writing.call, warnings)
        return IngestResult(self._batch_id, len(self._sent) - duplicates, duplicates, self._reader.failures, warnings)


def _not_stored(position: int, cause: Unstorable) -> DocumentProblem:
    """The failure of a document that Postgres refuses."""
    reason = f"{cause.condition} ({cause.sqlstate or 'when it was sent'})"
    message = (
        f"The database cannot store this document: {reason}. Look for an extreme number, or an unusual text in it."
    )
    return DocumentProblem(position, "$", "UNSTORABLE", message)


async def _store_alone(tx: Session, calls: Iterable[_Prepared]) -> list[IngestResult | Exception]:
    """Store these calls, with the sandbox to themselves: the facts of each, or none of those that are refused, then every view."""
    taken, outcomes = list[_Prepared](), dict[_Prepared, IngestResult | Exception]()
    written, said = dict[_Prepared, IngestTransaction](), RecordStates()
    for call in calls:
        taken.append(call)
        writing = call.writing(tx)
        try:
            async with tx.savepoint():
                after = await writing.append(said)
                await call.count(tx, writing)
        except (GatewayError, StaleConfiguration, RetryTransaction) as error:
            outcomes[call] = error
        else:
            written[call], said = writing, after
    if written:
        await commit_calls(tx, list(written.values()), said)
    for call, writing in written.items():
        outcomes[call] = await call.end(tx, writing)
    return [outcomes[call] for call in taken]


GROUP_COMMITS = GroupCommit(_store_alone, weight=len, limit=DOCUMENTS)

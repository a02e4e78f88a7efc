"""Ingestion: up to 1,000 documents a call, each answered for, in one transaction that leaves every view right.

    read      each document against its schema, before any transaction          documents
    join      lock the people, join them as the documents say                    stitching
    append    record versions, events, ties, refusals                            facts
    view      what the records say now, merged                                   views
    settle    instead of join and view where people may part                     regrouping

A call that meets a concurrent one begins again; from the third time on, or where people may part, it has the sandbox to itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from gateway.domain import batches
from gateway.domain.batches import BatchStatus
from gateway.domain.configuration import Configuration, Configurations
from gateway.domain.documents import Failure, Reader, Sent
from gateway.domain.facts import STAMP, Call, append_events, append_records, append_ties, keep_failures, keep_warnings
from gateway.domain.records import Mode, Place, Version, advance
from gateway.domain.regrouping import settle
from gateway.domain.stitching import INSERT_IDENTITIES, READ_POINTERS, Person, Restart, join
from gateway.domain.tenants import Permission, Scope
from gateway.domain.views import RecordKey, States, materialize, read_states, write_states
from gateway.errors import Conflict, Invalid, LimitExceeded, NotFound, Unavailable
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.telemetry import TransactionRestarted, observe
from gateway.xdm.classes import XdmClass

LOCK_SHARED = query("stitching.lock_shared")
LOCK_ALONE = query("stitching.lock_alone")
COUNT_BATCH = query("facts.count_batch")

DOCUMENTS = 1000
"""The most documents of one call."""

ATTEMPTS = 20
PATIENCE = 2  # restarts before a call asks for the sandbox alone


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a call's documents: accepted + duplicates + len(failed) are as many as were sent.

    A duplicate is an event that is there already, or a record that says nothing new; it changes no view.
    """

    batch_id: UUID
    accepted: int
    duplicates: int
    failed: list[Failure]
    warnings: list[Failure]


class _Outdated(Exception):
    """The configuration changed since the documents were read."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the configuration is at version {version}")
        self.version = version


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
    call = _Request(db, scope, configurations, XdmClass.INDIVIDUAL_PROFILE, dataset_id, mode, batch_id, first_index)
    return await call.run(documents)


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
    mode = Mode.REPLACE
    call = _Request(db, scope, configurations, XdmClass.EXPERIENCE_EVENT, dataset_id, mode, batch_id, first_index)
    return await call.run(documents)


@dataclass(slots=True)
class _Request:
    """One call, from its documents to its answer, however often its transaction begins again."""

    db: Database
    scope: Scope
    configurations: Configurations
    xdm_class: XdmClass
    dataset_id: UUID
    mode: Mode
    batch_id: UUID | None
    first_index: int

    async def run(self, documents: Sequence[Any]) -> IngestResult:
        self.scope.require(Permission.PROFILE_WRITE)
        if len(documents) > DOCUMENTS:
            raise LimitExceeded(f"A call takes up to {DOCUMENTS:,} documents, not {len(documents):,}.")
        config = await self.configurations.read(self.db, self.scope)
        alone = self.mode is Mode.DELETE
        for attempt in range(ATTEMPTS):
            try:
                return await self._attempt(config, documents, alone=alone)
            except _Outdated as outdated:
                config = await self.configurations.read(self.db, self.scope, outdated.version)
            except Restart as restart:
                observe(TransactionRestarted(restart.reason, attempt))
                alone = alone or restart.alone or attempt >= PATIENCE
            except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError) as error:
                observe(TransactionRestarted(type(error).__name__, attempt))
                alone = alone or attempt >= PATIENCE
        raise Unavailable("Too many writers change the same people; try again.")

    async def _attempt(self, config: Configuration, documents: Sequence[Any], *, alone: bool) -> IngestResult:
        reader = self._reader(config)
        sent = reader.read_all(documents, self.first_index)
        batch_id = self.batch_id or await batches.rolling_batch(self.db, self.scope, self.dataset_id)
        async with self.db.transaction() as tx:
            await tx.execute(LOCK_ALONE if alone else LOCK_SHARED, self.scope.sandbox_id)
            writing = _Writing(tx, self, config, batch_id, sent)
            duplicates = await (writing.thoroughly() if alone else writing.quickly())
            await keep_failures(tx, writing.call, reader.failures)
            warnings = [*reader.warnings, *writing.warnings]
            await keep_warnings(tx, writing.call, warnings)
            accepted = len(sent) - duplicates
            if not await tx.value(
                COUNT_BATCH, self.scope.sandbox_id, batch_id, self.dataset_id, accepted, len(reader.failures)
            ):
                await self._refuse_batch(batch_id)
        return IngestResult(batch_id, accepted, duplicates, reader.failures, warnings)

    def _reader(self, config: Configuration) -> Reader:
        dataset = config.datasets.get(self.dataset_id)
        if dataset is None:
            raise NotFound("There is no such dataset in this sandbox.", path=["datasetId"])
        xdm_class = config.schemas[dataset.schema_id].xdm_class
        if xdm_class is not self.xdm_class:
            raise Invalid(f"The dataset holds documents of class {xdm_class.value}.", path=["datasetId"])
        return Reader(config, self.scope.sandbox, dataset, self.mode)

    async def _refuse_batch(self, batch_id: UUID) -> None:
        """Say why the batch takes no documents; one that the caller did not choose is simply chosen again."""
        if self.batch_id is None:
            raise Restart("the rolling batch was closed")
        (batch,) = await batches.read_batches(self.db, self.scope, [batch_id])
        if batch is None or batch.dataset_id != self.dataset_id:
            raise NotFound("There is no such batch of this dataset.", path=["batchId"])
        if batch.status is not BatchStatus.LOADING:
            raise Conflict(f"The batch is {batch.status.value} and takes no more documents.", path=["batchId"])


class _Writing:
    """The writes of one attempt, inside its transaction."""

    call: Call

    def __init__(
        self, tx: Session, request: _Request, config: Configuration, batch_id: UUID, sent: Sequence[Sent]
    ) -> None:
        self.tx, self.scope, self.config = tx, request.scope, config
        self.request, self.batch_id, self.sent = request, batch_id, sent
        self.warnings: list[Failure] = []

    async def quickly(self) -> int:
        """Join and append beside other writers; how many documents were duplicates."""
        rewriting = self.request.xdm_class is XdmClass.INDIVIDUAL_PROFILE
        people, newcomers = await join(self.tx, self.scope, self.config, self.sent, rewriting=rewriting)
        await self._stamp()
        await append_ties(self.tx, self.call, self.sent, newcomers)
        known = [xid for person in people for xid in person.xids if xid not in newcomers]
        states = await read_states(self.tx, self.scope, known)
        if rewriting:
            changed, duplicates = await self._append_records(states, newcomers)
        else:
            changed, duplicates = set[RecordKey](), await self._append_events(newcomers)
        concerned = _concerned(people, states, {xid for xid, _ in changed})
        await materialize(self.tx, self.scope, self.config, concerned, states, fresh=newcomers)
        return duplicates

    async def thoroughly(self) -> int:
        """Append, then regroup from the facts, with the sandbox to itself; how many documents were duplicates."""
        newcomers = await self._introduce()
        await self._stamp()
        if self.request.mode is not Mode.DELETE:  # whoever takes a record back says nothing about who belongs together
            await append_ties(self.tx, self.call, self.sent, newcomers)
        xids = {document.xid for document in self.sent}
        keys = set[RecordKey]()
        if self.request.xdm_class is XdmClass.INDIVIDUAL_PROFILE:
            states = await read_states(self.tx, self.scope, xids - newcomers)
            keys = {(xid, self.request.dataset_id) for xid in xids}
            await append_records(self.tx, self.call, self.request.mode, self.sent)
            duplicates = self._advance(states, late=set())[1]
        else:
            duplicates = await self._append_events(newcomers)
        seeds = {named.xid for document in self.sent for named in document.identities}
        await settle(self.tx, self.scope, self.config, keys, seeds, recount=self.request.mode is Mode.DELETE)
        return duplicates

    async def _stamp(self) -> None:
        """The time and the numbers of this call, read once every lock is held."""
        row = await self.tx.row(STAMP, self.scope.sandbox_id)
        if row is None:
            raise NotFound("The sandbox is gone.")
        if row["config_version"] != self.config.version:
            raise _Outdated(row["config_version"])
        request = self.request
        self.call = Call(
            self.scope, request.dataset_id, self.batch_id, request.first_index, row["at"], first_ordinal=row["ordinal"]
        )

    async def _introduce(self) -> set[UUID]:
        """Make known the identities that nobody knows, as nobody's for now."""
        named = {n.xid: n for document in self.sent for n in document.identities}
        known = {row["xid"] for row in await self.tx.rows(READ_POINTERS, self.scope.sandbox_id, list(named))}
        newcomers = named.keys() - known
        rows = [
            (xid, named[xid].namespace.namespace_id, named[xid].value, None)
            for xid in sorted(newcomers, key=lambda xid: xid.int)
        ]
        await self.tx.update_rows(INSERT_IDENTITIES, self.scope.sandbox_id, rows=rows)
        return newcomers

    async def _append_records(self, states: States, newcomers: set[UUID]) -> tuple[set[RecordKey], int]:
        """Append versions and write what the records say now; the keys of those that changed, and how many did not."""
        late = set[RecordKey]()
        changed, duplicates = self._advance(states, late)
        if late:
            raise Restart("a version older than the newest one", alone=True)
        await append_records(self.tx, self.call, self.request.mode, self.sent)
        sent = {(document.xid, self.request.dataset_id) for document in self.sent}
        await write_states(self.tx, self.scope, {key: states[key] for key in sent}, fresh=newcomers)
        return changed, duplicates

    def _advance(self, states: States, late: set[RecordKey]) -> tuple[set[RecordKey], int]:
        """Advance the states by the sent versions; what is older than a head is `late`."""
        changed, duplicates = set[RecordKey](), 0
        for document in self.sent:
            key = (document.xid, self.request.dataset_id)
            place = Place(self.call.at, self.batch_id, self.call.ordinal(document.index))
            before = states.get(key)
            if before is not None and before.head > place:
                late.add(key)
                continue
            states[key] = after = advance(before, Version(self.request.mode, document.body, place))
            if before is not None and after.decided_at == before.decided_at:
                duplicates += 1
            else:
                changed.add(key)
        return changed, duplicates

    async def _append_events(self, newcomers: set[UUID]) -> int:
        appended = await append_events(self.tx, self.call, self.sent, newcomers)
        self.warnings += appended.differing
        return appended.repeated


def _concerned(people: Sequence[Person], states: States, changed: set[UUID]) -> list[Person]:
    """Whose merged document may differ: those whose records changed, and those with records whose graph did."""
    with_records = {xid for xid, _ in states}
    return [
        person
        for person in people
        if not changed.isdisjoint(person.xids) or (person.is_regrouped and not with_records.isdisjoint(person.xids))
    ]

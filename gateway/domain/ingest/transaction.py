"""The writes of a call inside its transaction, which leaves every view consistent with the facts.

A call that shares the sandbox with other writers locks its people and unites their graphs (`views.graph_union`), appends facts (`facts`,
`resends`), and updates what records and profiles say (`views.materialized`). A call with the exclusive lock appends facts only; then
`views.graph_rebuild` rebuilds graphs and views once for all calls of the transaction.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.appending import STAMP, IngestStamp, append_records, append_ties
from gateway.domain.facts.documents import DocumentProblem, ValidDocument
from gateway.domain.ingest.resends import append_events
from gateway.domain.ingest.validation import future_times
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode, Version, VersionOrder, next_state
from gateway.domain.views.graph_rebuild import rebuild_views
from gateway.domain.views.graph_union import READ_POINTERS, GraphChange, RetryTransaction, insert_identities, join
from gateway.domain.views.materialized import RecordKey, RecordStates, materialize, read_states, write_states
from gateway.errors import NotFound
from gateway.storage.database import Session
from gateway.xdm.classes import XdmClass


class StaleConfiguration(Exception):
    """The configuration has changed since the documents were read. `version` is the new one."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the configuration is at version {version}")
        self.version = version


class CallWrites:
    """The writes of one call's documents: append them by `append_and_union`, or by `append` and then `commit_calls`, once.

    `first_index`: the index of the call's first document in the client's whole input. Appending sets `stamp` and `duplicates` (a
    count), and adds to `warnings`.

    Appending with the exclusive lock also sets: `newcomers`, the xids that the call made known; `keys`, the records that it has versions of;
    `changed`, the keys whose document changed; `late`, the keys with a version that is older than the newest one.
    """

    stamp: IngestStamp
    duplicates: int

    def __init__(
        self,
        tx: Session,
        scope: Scope,
        config: Configuration,
        documents: Sequence[ValidDocument],
        *,
        dataset_id: UUID,
        batch_id: UUID,
        mode: Mode,
        first_index: int,
    ) -> None:
        self._tx, self.scope, self.config, self.documents = tx, scope, config, documents
        self._dataset_id, self.batch_id, self.mode, self._first_index = dataset_id, batch_id, mode, first_index
        self._are_records = (
            config.schemas[config.datasets[dataset_id].schema_id].xdm_class is XdmClass.INDIVIDUAL_PROFILE
        )
        self.newcomers = set[UUID]()
        self.keys, self.changed, self.late = set[RecordKey](), set[RecordKey](), set[RecordKey]()
        self.warnings: list[DocumentProblem] = []

    async def append_and_union(self) -> None:
        """Append facts and update the views under shared locks.

        Raises RetryTransaction; ConstraintViolated if a concurrent writer stored one of the events; StaleConfiguration; NotFound.
        """
        records = self._are_records
        people, newcomers = await join(self._tx, self.scope, self.config, self.documents, rewriting=records)
        await self._read_stamp(newcomers)
        await append_ties(self._tx, self.stamp, self.documents, newcomers, are_records=records)
        known = [xid for person in people for xid in person.xids if xid not in newcomers]
        states = await read_states(self._tx, self.scope, known)
        changed = set[RecordKey]()
        if records:
            changed, self.duplicates = await self._append_records(states, newcomers)
        else:
            self.duplicates = await self._append_events(newcomers, is_shared=True)
        concerned = _concerned(people, states, {xid for xid, _ in changed})
        await materialize(self._tx, self.scope, self.config, concerned, states, fresh=newcomers)

    async def append(self, states: RecordStates) -> RecordStates:
        """Append facts under the exclusive lock, and leave the views to `commit_calls`. Return the states of records after this call.

        `states`: of records that earlier calls of the transaction appended to. Raises RetryTransaction, StaleConfiguration, NotFound.
        """
        self.newcomers = await self._insert_newcomers()
        await self._read_stamp(())
        if self.mode is not Mode.DELETE:  # a deletion makes no tie
            await append_ties(self._tx, self.stamp, self.documents, self.newcomers, are_records=self._are_records)
        if not self._are_records:
            self.duplicates = await self._append_events(self.newcomers, is_shared=False)
            return states
        await append_records(self._tx, self.stamp, self.mode, self.documents)
        xids = {document.xid for document in self.documents}
        stored = await read_states(self._tx, self.scope, xids)
        self.newcomers -= {xid for xid, _ in stored}  # known by an earlier deletion alone
        states = stored | states
        self.changed, self.duplicates = self._advance(states, self.late)
        self.keys = {(xid, self._dataset_id) for xid in xids}
        return states

    async def _read_stamp(self, newcomers: Collection[UUID]) -> None:
        """Read the time and the numbers of this call, with every lock held. Raises RetryTransaction if a newcomer was unlinked before."""
        row = await self._tx.row(STAMP, self.scope.sandbox_id, list(newcomers))
        if row is None:
            raise NotFound("The sandbox is gone.")
        if row["config_version"] != self.config.version:
            raise StaleConfiguration(row["config_version"])
        if row["is_apart"]:
            raise RetryTransaction("an identity comes back that was unlinked by hand", exclusive=True)
        self.stamp = IngestStamp(
            self.scope, self._dataset_id, self.batch_id, self._first_index, row["at"], first_ordinal=row["ordinal"]
        )
        self.warnings += future_times(self.documents, row["at"])

    async def _insert_newcomers(self) -> set[UUID]:
        """Insert the unknown identities of the documents, without a person for now, and return their xids. Deletions insert none."""
        if self.mode is Mode.DELETE:
            return set()
        named = {n.xid: n for document in self.documents for n in document.identities}
        known = {row["xid"] for row in await self._tx.rows(READ_POINTERS, self.scope.sandbox_id, list(named))}
        newcomers = named.keys() - known
        await insert_identities(self._tx, self.scope, [named[xid] for xid in newcomers], {})
        return newcomers

    async def _append_records(self, states: RecordStates, newcomers: set[UUID]) -> tuple[set[RecordKey], int]:
        """Append versions and write the records' states. Return the keys of records that changed, and the number of duplicates."""
        late = set[RecordKey]()
        changed, duplicates = self._advance(states, late)
        if late:
            raise RetryTransaction("a version older than the newest one", exclusive=True)
        await append_records(self._tx, self.stamp, self.mode, self.documents)
        keys = {(document.xid, self._dataset_id) for document in self.documents}
        await write_states(self._tx, self.scope, {key: states[key] for key in keys}, fresh=newcomers)
        return changed, duplicates

    def _advance(self, states: RecordStates, late: set[RecordKey]) -> tuple[set[RecordKey], int]:
        """Apply the documents to the states. Add keys whose version is older than the newest one to `late`. Return the keys of records that changed, and the number of duplicates."""
        changed, duplicates = set[RecordKey](), 0
        for document in self.documents:
            key = (document.xid, self._dataset_id)
            position = VersionOrder(self.stamp.at, self.batch_id, self.stamp.ordinal(document.position))
            before = states.get(key)
            if before is not None and before.head > position:
                late.add(key)
                continue
            states[key] = after = next_state(before, Version(self.mode, document.body, position))
            was_nothing = before is None and after.document is None
            if was_nothing or (before is not None and after.decided_at == before.decided_at):
                duplicates += 1
            else:
                changed.add(key)
        return changed, duplicates

    async def _append_events(self, newcomers: Collection[UUID], *, is_shared: bool) -> int:
        appended = await append_events(self._tx, self.stamp, self.documents, newcomers, is_shared=is_shared)
        self.warnings += appended.differing
        return appended.resent


async def commit_calls(tx: Session, appended: Sequence[CallWrites], states: RecordStates) -> None:
    """Update every view after these calls were appended in one transaction, under the exclusive lock.

    `states`: of the records that they appended to. States of records with deletions or late versions are not used, but rebuilt from facts.
    """
    scope, config = appended[0].scope, appended[0].config  # equal for all: else StaleConfiguration
    keys, changed, unsure = set[RecordKey](), set[RecordKey](), set[RecordKey]()
    newcomers, seeds = set[UUID](), set[UUID]()
    for call in appended:
        keys |= call.keys
        changed |= call.changed
        unsure |= call.keys if call.mode is Mode.DELETE else call.late
        newcomers |= call.newcomers
        seeds |= {named.xid for document in call.documents for named in document.identities}
    await write_states(tx, scope, {key: states[key] for key in keys - unsure}, fresh=newcomers)
    recount = any(call.mode is Mode.DELETE for call in appended)
    changed_xids = {xid for xid, _ in changed}
    if excluded := await rebuild_views(tx, scope, config, unsure, seeds, recount=recount, changed=changed_xids):
        _warn_of_too_many_links(appended, excluded)


def _warn_of_too_many_links(appended: Sequence[CallWrites], excluded: Collection[UUID]) -> None:
    """Warn of each document that names one of these identities, which have just been excluded; if none does, of the first document."""
    message = f"{len(excluded):,} identities join nobody from now on: too many others are linked to them, or hang together with them."
    documents = [(call, document) for call in appended for document in call.documents]
    naming = [(c, document) for c, document in documents if any(named.xid in excluded for named in document.identities)]
    for call, document in naming or documents[:1]:
        call.warnings.append(
            DocumentProblem(document.position, "$.identityMap", "IDENTITY_CAP", message, document.body)
        )


def _concerned(people: Sequence[GraphChange], states: RecordStates, changed: set[UUID]) -> list[GraphChange]:
    """Select the people whose merged document may differ: their records changed, or they have records and their graph changed."""
    with_records = {xid for xid, _ in states}
    return [
        person
        for person in people
        if not changed.isdisjoint(person.xids) or (person.is_rebuilt and not with_records.isdisjoint(person.xids))
    ]

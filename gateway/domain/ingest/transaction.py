"""The writes of a call inside its transaction, which leaves every view consistent with the facts.

A call that shares the sandbox with other writers locks its people and joins their graphs (`views.graph_union`), appends facts (`facts`,
`resends`), and takes them through the views (`views.pipeline`). A call with the exclusive lock appends facts only; then all calls of the
transaction go through the views at once, and graphs are rebuilt.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.appending import IngestStamp, append_records, append_ties, read_stamp
from gateway.domain.facts.documents import DocumentProblem, ValidDocument, warning
from gateway.domain.ingest.erased import check_erased
from gateway.domain.ingest.resends import append_events, lock_events
from gateway.domain.ingest.validation import future_times
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode, RecordKey, RecordState, RecordStates, Version, VersionOrder, next_state
from gateway.domain.views.effects import Effects
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import read_states
from gateway.domain.views.graph_union import READ_POINTERS, Known, RetryTransaction, insert_identities, join
from gateway.domain.views.pipeline import refresh
from gateway.storage.database import Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass
from gateway.xdm.violations import Violation, ViolationCode

IS_ANY_UNLINKED = query("appending.is_any_unlinked")


class StaleConfiguration(Exception):
    """The configuration has changed since the documents were read. `version` is the new one."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the configuration is at version {version}")
        self.version = version


class CallWrites:
    """The writes of one call's documents: append them by `append_and_join`, or by `append` and then `refresh_calls`, once.

    `first_index`: the index of the call's first document in the client's whole input. Appending sets `stamp` and `duplicates` (a
    count), and adds to `warnings`. It also sets: `newcomers`, the xids that the call made known; `before`, the records that it appended
    versions to, with their former states, None for a new one; `late`, those with a version that is older than the newest one; and
    `event_xids`, under which it stored the events `added`.
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
        self.newcomers, self.event_xids = set[UUID](), set[UUID]()
        self.added: list[tuple[UUID, Sequence[ValidDocument]]] = []
        self.before, self.late = dict[RecordKey, RecordState | None](), set[RecordKey]()
        self.warnings: list[DocumentProblem] = []

    @property
    def stored(self) -> int:
        """How many of the documents are facts of the batch now: of records each, which is a version; of events those that were not there."""
        return len(self.documents) - (0 if self._are_records else self.duplicates)

    async def append_and_join(self) -> Effects:
        """Append facts and update the views under shared locks. Return what that did to people.

        Raises RetryTransaction; ErasedNamed; ConstraintViolated if a concurrent writer stored one of the identities or events; StaleConfiguration; NotFound.
        """
        records = self._are_records
        stored = await self._read_known()
        first_events = set() if records else {d.xid for d in self.documents} - stored.with_events
        locked, newcomers = await join(
            *(self._tx, self.scope, self.config, self.documents, stored), rewriting=records, first_events=first_events
        )
        self.newcomers = newcomers
        if not records:
            await lock_events(self._tx, self.scope, self._dataset_id, self.documents, newcomers)
        await self._read_stamp(newcomers)
        await append_ties(self._tx, self.stamp, self.documents, newcomers, are_records=records)
        known = {xid for person in locked.people for xid in person.xids if xid not in newcomers}
        states = await read_states(self._tx, self.scope, known)
        if records:
            self.duplicates = self._advance(states)
            if self.late:
                raise RetryTransaction("a version older than the newest one", exclusive=True)
            await append_records(self._tx, self.stamp, self.mode, self.documents)
        else:
            await self._append_events()
        change = FactChange(
            *(self._tx, self.scope, self.config, self.stamp.first_ordinal, self.stamp.at),
            locked=locked,
            states=states,
            known=known,
            newcomers=newcomers,
            before=self.before,
            event_xids=self.event_xids,
            added=self.added,
        )
        return await refresh(change)

    async def append(self, states: RecordStates) -> RecordStates:
        """Append facts under the exclusive lock, and leave the views to `refresh_calls`. Return the states of records after this call.

        `states`: of records that earlier calls of the transaction appended to. Raises RetryTransaction, ErasedNamed, StaleConfiguration, NotFound.
        """
        self.newcomers = await self._insert_newcomers()
        await self._read_stamp(())
        if self.mode is not Mode.DELETE:  # a deletion makes no tie
            await append_ties(self._tx, self.stamp, self.documents, self.newcomers, are_records=self._are_records)
        if not self._are_records:
            await self._append_events()
            return states
        await append_records(self._tx, self.stamp, self.mode, self.documents)
        stored = await read_states(self._tx, self.scope, {document.xid for document in self.documents})
        self.newcomers -= {xid for xid, _ in stored}  # known by an earlier deletion alone
        states = stored | states
        self.duplicates = self._advance(states)
        return states

    async def _read_stamp(self, newcomers: Collection[UUID]) -> None:
        """Read the time and the numbers of this call, with every lock held. Raises RetryTransaction if a newcomer was unlinked before."""
        row = await read_stamp(self._tx, self.scope)
        if row["config_version"] != self.config.version:
            raise StaleConfiguration(row["config_version"])
        may_be_apart = newcomers and row["has_unlinked_pairs"]
        if may_be_apart and await self._tx.value(IS_ANY_UNLINKED, self.scope.sandbox_id, list(newcomers)):
            raise RetryTransaction("an identity comes back that was unlinked by hand", exclusive=True)
        self.stamp = IngestStamp(
            self.scope, self._dataset_id, self.batch_id, self._first_index, row["at"], first_ordinal=row["ordinal"]
        )
        self.warnings += future_times(self.documents, row["at"])

    async def _read_known(self) -> Known:
        """Read what is stored of the documents' identities. Raises ErasedNamed."""
        named = {n.xid: n for document in self.documents for n in document.identities}
        # Without a key, a cluster would ask all of its nodes.
        rows = await self._tx.rows(READ_POINTERS, self.scope.sandbox_id, list(named)) if named else []
        pointers = {row["xid"]: row["profile_id"] for row in rows}
        erased = [row for row in rows if row["erased_at"] is not None]
        if erased:
            check_erased(self.documents, {row["xid"]: row["erased_at"] for row in erased})
        emptied = {row["xid"] for row in erased if row["is_unnamed"]}
        for xid in emptied:
            del pointers[xid]
        with_events = {row["xid"] for row in rows if row["has_events"]}
        return Known(named, pointers, with_events, emptied)

    async def _insert_newcomers(self) -> set[UUID]:
        """Insert the unknown identities of the documents, without a person for now, and return their xids. Deletions insert none."""
        known = await self._read_known()
        if self.mode is Mode.DELETE:
            return set()
        newcomers = known.named.keys() - known.pointers.keys()
        named = [known.named[xid] for xid in newcomers]
        with_events = set() if self._are_records else {document.xid for document in self.documents}
        await insert_identities(self._tx, self.scope, named, {}, emptied=known.emptied, with_events=with_events)
        return newcomers

    def _advance(self, states: RecordStates) -> int:
        """Apply the documents to the states. Set `before`, and `late` to keys with a version older than the newest. Return the number of duplicates."""
        duplicates = 0
        for document in self.documents:
            key = (document.xid, self._dataset_id)
            position = VersionOrder(self.stamp.at, self.batch_id, self.stamp.ordinal(document.position))
            before = states.get(key)
            self.before.setdefault(key, before)
            if before is not None and before.head > position:
                self.late.add(key)
                continue
            states[key] = after = next_state(before, Version(self.mode, document.body, position))
            was_nothing = before is None and after.document is None
            duplicates += was_nothing or (before is not None and after.decided_at == before.decided_at)
        return duplicates

    async def _append_events(self) -> None:
        appended = await append_events(self._tx, self.stamp, self.documents, self.newcomers)
        self.warnings += appended.differing
        self.duplicates, self.event_xids = appended.resent, appended.xids
        self.added = [(self._dataset_id, appended.new)]


async def refresh_calls(tx: Session, appended: Sequence[CallWrites], states: RecordStates) -> Effects:
    """Update every view after these calls were appended in one transaction, under the exclusive lock. Return what they did to people.

    `states`: of the records that they appended to. States of records with deletions or late versions are not used, but rebuilt from facts.
    """
    last = appended[-1]  # of all scope and configuration are equal: else StaleConfiguration
    change = FactChange(tx, last.scope, last.config, last.stamp.first_ordinal, last.stamp.at, states=states)
    for call in reversed(appended):
        change.before |= call.before  # the first call says how a record was
        change.refolded |= call.before.keys() if call.mode is Mode.DELETE else call.late
        change.newcomers |= call.newcomers
        change.seeds |= {named.xid for document in call.documents for named in document.identities}
        change.event_xids |= call.event_xids
        change.added += call.added
    change.known = {xid for xid, _ in change.before}
    change.recount = any(call.mode is Mode.DELETE for call in appended)
    effects = await refresh(change)
    if change.excluded:
        _warn_of_too_many_links(appended, change.excluded)
    return effects


def _warn_of_too_many_links(appended: Sequence[CallWrites], excluded: Collection[UUID]) -> None:
    """Warn of each document that names one of these identities, which have just been excluded; if none does, of the first document."""
    message = f"{len(excluded):,} identities join nobody from now on: too many others are linked to them, or hang together with them."
    documents = [(call, document) for call in appended for document in call.documents]
    naming = [(c, document) for c, document in documents if any(named.xid in excluded for named in document.identities)]
    for call, document in naming or documents[:1]:
        call.warnings.append(warning(document, Violation("$.identityMap", ViolationCode.IDENTITY_CAP, message)))

"""The writes of one call, inside its transaction, each view right when it is done.

join      lock the people, join them as the documents say       stitching
append    record versions, ties, events                         facts, resends
view      what the records say now, merged                      views
rebuild_views    instead of join and view where people may part        regrouping; once for all calls of a transaction
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
    """The configuration changed since the documents were read; `version` is the new one."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the configuration is at version {version}")
        self.version = version


class IngestTransaction:
    """The documents of one call and where they go. `call` and `duplicates` are there, and `warnings` grow, once they are written.

    `keys` are the records that it appended to without saying yet what they say now.
    """

    call: IngestStamp
    duplicates: int

    def __init__(
        self,
        tx: Session,
        scope: Scope,
        config: Configuration,
        sent: Sequence[ValidDocument],
        *,
        dataset_id: UUID,
        batch_id: UUID,
        mode: Mode,
        first_index: int,
    ) -> None:
        self._tx, self.scope, self.config, self.sent = tx, scope, config, sent
        self._dataset_id, self.batch_id, self.mode, self._first_index = dataset_id, batch_id, mode, first_index
        self._are_records = (
            config.schemas[config.datasets[dataset_id].schema_id].xdm_class is XdmClass.INDIVIDUAL_PROFILE
        )
        self.newcomers = set[UUID]()
        self.keys, self.changed, self.late = set[RecordKey](), set[RecordKey](), set[RecordKey]()
        self.warnings: list[DocumentProblem] = []

    async def append_and_union(self) -> None:
        """Join and append beside other writers, each view right when it is done."""
        records = self._are_records
        people, newcomers = await join(self._tx, self.scope, self.config, self.sent, rewriting=records)
        await self._stamp(newcomers)
        await append_ties(self._tx, self.call, self.sent, newcomers, are_records=records)
        known = [xid for person in people for xid in person.xids if xid not in newcomers]
        states = await read_states(self._tx, self.scope, known)
        changed = set[RecordKey]()
        if records:
            changed, self.duplicates = await self._append_records(states, newcomers)
        else:
            self.duplicates = await self._append_events(newcomers, beside=True)
        concerned = _concerned(people, states, {xid for xid, _ in changed})
        await materialize(self._tx, self.scope, self.config, concerned, states, fresh=newcomers)

    async def append(self, said: RecordStates) -> RecordStates:
        """Append, with the sandbox to itself, and leave the views to `commit_calls`.

        `said`: what records say by the calls before this one in the transaction. Given back with what they say by this one.
        """
        self.newcomers = await self._introduce()
        await self._stamp(())
        if self.mode is not Mode.DELETE:  # whoever takes a record back says nothing about who belongs together
            await append_ties(self._tx, self.call, self.sent, self.newcomers, are_records=self._are_records)
        if not self._are_records:
            self.duplicates = await self._append_events(self.newcomers, beside=False)
            return said
        await append_records(self._tx, self.call, self.mode, self.sent)
        xids = {document.xid for document in self.sent}
        stored = await read_states(self._tx, self.scope, xids)
        self.newcomers -= {xid for xid, _ in stored}  # of records that were deleted before they ever were
        states = stored | said
        self.changed, self.duplicates = self._advance(states, self.late)
        self.keys = {(xid, self._dataset_id) for xid in xids}
        return states

    async def _stamp(self, newcomers: Collection[UUID]) -> None:
        """The time and the numbers of this call, read once every lock is held. None of the newcomers may have been unlinked before."""
        row = await self._tx.row(STAMP, self.scope.sandbox_id, list(newcomers))
        if row is None:
            raise NotFound("The sandbox is gone.")
        if row["config_version"] != self.config.version:
            raise StaleConfiguration(row["config_version"])
        if row["is_apart"]:
            raise RetryTransaction("an identity comes back that was unlinked by hand", exclusive=True)
        self.call = IngestStamp(
            self.scope, self._dataset_id, self.batch_id, self._first_index, row["at"], first_ordinal=row["ordinal"]
        )
        self.warnings += future_times(self.sent, row["at"])

    async def _introduce(self) -> set[UUID]:
        """Make known the identities that nobody knows, as nobody's for now. Nobody is known by being deleted."""
        if self.mode is Mode.DELETE:
            return set()
        named = {n.xid: n for document in self.sent for n in document.identities}
        known = {row["xid"] for row in await self._tx.rows(READ_POINTERS, self.scope.sandbox_id, list(named))}
        newcomers = named.keys() - known
        await insert_identities(self._tx, self.scope, [named[xid] for xid in newcomers], {})
        return newcomers

    async def _append_records(self, states: RecordStates, newcomers: set[UUID]) -> tuple[set[RecordKey], int]:
        """Append versions and write what the records say now; the keys of those that changed, and how many did not."""
        late = set[RecordKey]()
        changed, duplicates = self._advance(states, late)
        if late:
            raise RetryTransaction("a version older than the newest one", exclusive=True)
        await append_records(self._tx, self.call, self.mode, self.sent)
        sent = {(document.xid, self._dataset_id) for document in self.sent}
        await write_states(self._tx, self.scope, {key: states[key] for key in sent}, fresh=newcomers)
        return changed, duplicates

    def _advance(self, states: RecordStates, late: set[RecordKey]) -> tuple[set[RecordKey], int]:
        """Advance the states by the sent versions; what is older than a head is `late`."""
        changed, duplicates = set[RecordKey](), 0
        for document in self.sent:
            key = (document.xid, self._dataset_id)
            place = VersionOrder(self.call.at, self.batch_id, self.call.ordinal(document.position))
            before = states.get(key)
            if before is not None and before.head > place:
                late.add(key)
                continue
            states[key] = after = next_state(before, Version(self.mode, document.body, place))
            was_nothing = before is None and after.document is None
            if was_nothing or (before is not None and after.decided_at == before.decided_at):
                duplicates += 1
            else:
                changed.add(key)
        return changed, duplicates

    async def _append_events(self, newcomers: Collection[UUID], *, beside: bool) -> int:
        appended = await append_events(self._tx, self.call, self.sent, newcomers, beside=beside)
        self.warnings += appended.differing
        return appended.repeated


async def commit_calls(tx: Session, appended: Sequence[IngestTransaction], said: RecordStates) -> None:
    """Make every view right after these calls were appended in one transaction, with their sandbox to itself.

    `said`: what the records say by now to which they appended, as far as no late version makes it another story.
    """
    scope, config = appended[0].scope, appended[0].config  # that all of them know: else they would be outdated
    sent, changed, unsure = set[RecordKey](), set[RecordKey](), set[RecordKey]()
    newcomers, seeds = set[UUID](), set[UUID]()
    for writing in appended:
        sent |= writing.keys
        changed |= writing.changed
        unsure |= writing.keys if writing.mode is Mode.DELETE else writing.late
        newcomers |= writing.newcomers
        seeds |= {named.xid for document in writing.sent for named in document.identities}
    await write_states(tx, scope, {key: said[key] for key in sent - unsure}, fresh=newcomers)
    recount = any(writing.mode is Mode.DELETE for writing in appended)
    changed_xids = {xid for xid, _ in changed}
    if fallen := await rebuild_views(tx, scope, config, unsure, seeds, recount=recount, changed=changed_xids):
        _warn_of_too_many_links(appended, fallen)


def _warn_of_too_many_links(appended: Sequence[IngestTransaction], fallen: Collection[UUID]) -> None:
    """One warning for each document that names an identity which joins nobody from now on; if none does, for the first one."""
    message = f"{len(fallen):,} identities join nobody from now on: too many others are linked to them, or hang together with them."
    sent = [(writing, document) for writing in appended for document in writing.sent]
    naming = [(w, document) for w, document in sent if any(named.xid in fallen for named in document.identities)]
    for writing, document in naming or sent[:1]:
        writing.warnings.append(
            DocumentProblem(document.position, "$.identityMap", "IDENTITY_CAP", message, document.body)
        )


def _concerned(people: Sequence[GraphChange], states: RecordStates, changed: set[UUID]) -> list[GraphChange]:
    """Whose merged document may differ: those whose records changed, and those with records whose graph did."""
    with_records = {xid for xid, _ in states}
    return [
        person
        for person in people
        if not changed.isdisjoint(person.xids) or (person.is_rebuilt and not with_records.isdisjoint(person.xids))
    ]

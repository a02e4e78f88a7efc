"""The writes of one call, inside its transaction, each view right when it is done.

join      lock the people, join them as the documents say       stitching
append    record versions, events, ties                         facts
view      what the records say now, merged                      views
settle    instead of join and view where people may part        regrouping
"""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from gateway.domain.configuration import Configuration
from gateway.domain.documents import Failure, Sent
from gateway.domain.facts import STAMP, Call, append_events, append_records, append_ties
from gateway.domain.records import Mode, Place, Version, advance
from gateway.domain.regrouping import settle
from gateway.domain.stitching import READ_POINTERS, Person, Restart, insert_identities, join
from gateway.domain.tenants import Scope
from gateway.domain.views import RecordKey, States, materialize, read_states, write_states
from gateway.errors import NotFound
from gateway.storage.database import Session
from gateway.xdm.classes import XdmClass


class Outdated(Exception):
    """The configuration changed since the documents were read; `version` is the new one."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the configuration is at version {version}")
        self.version = version


class Writing:
    """The documents of one call and where they go. `call` is there, and `warnings` grow, once they are written."""

    call: Call

    def __init__(
        self,
        tx: Session,
        scope: Scope,
        config: Configuration,
        sent: Sequence[Sent],
        *,
        dataset_id: UUID,
        batch_id: UUID,
        mode: Mode,
        first_index: int,
    ) -> None:
        self._tx, self._scope, self._config, self._sent = tx, scope, config, sent
        self._dataset_id, self._batch_id, self._mode, self._first_index = dataset_id, batch_id, mode, first_index
        self._are_records = (
            config.schemas[config.datasets[dataset_id].schema_id].xdm_class is XdmClass.INDIVIDUAL_PROFILE
        )
        self.warnings: list[Failure] = []

    async def quickly(self) -> int:
        """Join and append beside other writers; how many documents were duplicates."""
        records = self._are_records
        people, newcomers = await join(self._tx, self._scope, self._config, self._sent, rewriting=records)
        await self._stamp(newcomers)
        await append_ties(self._tx, self.call, self._sent, newcomers)
        known = [xid for person in people for xid in person.xids if xid not in newcomers]
        states = await read_states(self._tx, self._scope, known)
        if records:
            changed, duplicates = await self._append_records(states, newcomers)
        else:
            changed, duplicates = set[RecordKey](), await self._append_events()
        concerned = _concerned(people, states, {xid for xid, _ in changed})
        await materialize(self._tx, self._scope, self._config, concerned, states, fresh=newcomers)
        return duplicates

    async def thoroughly(self) -> int:
        """Append, then regroup from the facts, with the sandbox to itself; how many documents were duplicates."""
        newcomers = await self._introduce()
        await self._stamp(())
        if self._mode is not Mode.DELETE:  # whoever takes a record back says nothing about who belongs together
            await append_ties(self._tx, self.call, self._sent, newcomers)
        xids = {document.xid for document in self._sent}
        keys = set[RecordKey]()
        if self._are_records:
            states = await read_states(self._tx, self._scope, xids - newcomers)
            keys = {(xid, self._dataset_id) for xid in xids}
            await append_records(self._tx, self.call, self._mode, self._sent)
            duplicates = self._advance(states, late=set())[1]
        else:
            duplicates = await self._append_events()
        seeds = {named.xid for document in self._sent for named in document.identities}
        recount = self._mode is Mode.DELETE
        if fallen := await settle(self._tx, self._scope, self._config, keys, seeds, recount=recount):
            self.warnings += _too_many_links(self._sent, fallen)
        return duplicates

    async def _stamp(self, newcomers: Collection[UUID]) -> None:
        """The time and the numbers of this call, read once every lock is held. None of the newcomers may have been unlinked before."""
        row = await self._tx.row(STAMP, self._scope.sandbox_id, list(newcomers))
        if row is None:
            raise NotFound("The sandbox is gone.")
        if row["config_version"] != self._config.version:
            raise Outdated(row["config_version"])
        if row["is_apart"]:
            raise Restart("an identity comes back that was unlinked by hand", alone=True)
        self.call = Call(
            self._scope, self._dataset_id, self._batch_id, self._first_index, row["at"], first_ordinal=row["ordinal"]
        )

    async def _introduce(self) -> set[UUID]:
        """Make known the identities that nobody knows, as nobody's for now."""
        named = {n.xid: n for document in self._sent for n in document.identities}
        known = {row["xid"] for row in await self._tx.rows(READ_POINTERS, self._scope.sandbox_id, list(named))}
        newcomers = named.keys() - known
        await insert_identities(self._tx, self._scope, [named[xid] for xid in newcomers], {})
        return newcomers

    async def _append_records(self, states: States, newcomers: set[UUID]) -> tuple[set[RecordKey], int]:
        """Append versions and write what the records say now; the keys of those that changed, and how many did not."""
        late = set[RecordKey]()
        changed, duplicates = self._advance(states, late)
        if late:
            raise Restart("a version older than the newest one", alone=True)
        await append_records(self._tx, self.call, self._mode, self._sent)
        sent = {(document.xid, self._dataset_id) for document in self._sent}
        await write_states(self._tx, self._scope, {key: states[key] for key in sent}, fresh=newcomers)
        return changed, duplicates

    def _advance(self, states: States, late: set[RecordKey]) -> tuple[set[RecordKey], int]:
        """Advance the states by the sent versions; what is older than a head is `late`."""
        changed, duplicates = set[RecordKey](), 0
        for document in self._sent:
            key = (document.xid, self._dataset_id)
            place = Place(self.call.at, self._batch_id, self.call.ordinal(document.position))
            before = states.get(key)
            if before is not None and before.head > place:
                late.add(key)
                continue
            states[key] = after = advance(before, Version(self._mode, document.body, place))
            if before is not None and after.decided_at == before.decided_at:
                duplicates += 1
            else:
                changed.add(key)
        return changed, duplicates

    async def _append_events(self) -> int:
        appended = await append_events(self._tx, self.call, self._sent)
        self.warnings += appended.differing
        return appended.repeated


def _too_many_links(sent: Sequence[Sent], fallen: Collection[UUID]) -> Iterator[Failure]:
    """One warning for each document that names an identity which joins nobody from now on; if none does, for the first one."""
    message = f"{len(fallen):,} identities join nobody from now on: too many others are linked to them, or hang together with them."
    naming = [document for document in sent if any(named.xid in fallen for named in document.identities)]
    for document in naming or sent[:1]:
        yield Failure(document.position, "$.identityMap", "IDENTITY_CAP", message, document.body)


def _concerned(people: Sequence[Person], states: States, changed: set[UUID]) -> list[Person]:
    """Whose merged document may differ: those whose records changed, and those with records whose graph did."""
    with_records = {xid for xid, _ in states}
    return [
        person
        for person in people
        if not changed.isdisjoint(person.xids) or (person.is_regrouped and not with_records.isdisjoint(person.xids))
    ]

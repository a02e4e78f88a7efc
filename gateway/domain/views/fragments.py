"""Fragments: what a record says now, the fold of its versions; and which ties of the record hold, as a deletion retracts earlier ones."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.facts.documents import last_updated
from gateway.domain.rules.merge import Fragment
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import (
    RecordKey,
    RecordState,
    RecordStates,
    VersionOrder,
    says_other,
)
from gateway.domain.views.check import Check, Piece
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.folding import fold_all, fold_stored
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import NIL
from gateway.storage.database import Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

READ_STATES = query("fragments.read_states")
READ_STATES_OF_CLUSTER = query("fragments.read_states_of_cluster")
WRITE_FRAGMENTS = query("fragments.write_fragments")
DELETE_FRAGMENTS = query("fragments.delete_fragments")
READ_RECORD_TIES = query("fragments.read_record_ties")
RETRACT_TIES = query("fragments.retract_ties")
COMPARE_TIES = query("verification.compare_ties")
LIST_FRAGMENTS = query("verification.list_fragments")

FRAGMENT_COLUMNS = ("sandbox_id", *(column.split(" ")[0] for column in WRITE_FRAGMENTS.columns))
RECORDS_PER_READ: Final = 1_000


class Fragments:
    """The view of what records say."""

    name = "fragments"
    tables = ("fragment",)

    async def refresh(self, change: FactChange) -> None:
        """Write the states that the writer knows, fold the other records anew, and note which of all changed."""
        known = {key: change.states[key] for key in change.before if key not in change.refolded}
        if change.refolded:
            await _refold(change)
        await _write(change.tx, change.scope, known, fresh=change.newcomers)
        states = change.states
        change.changed = {key for key, before in change.before.items() if says_other(before, states.get(key))}

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare fragments with the fold of their versions, and ties with what versions said and retracted."""
        piece.states = await fold_all(check.tx, check.scope, piece.xids)
        stored = await read_states(check.tx, check.scope, piece.xids)
        _compare(check, stored.keys() | piece.states.keys(), stored, piece.states)
        await _compare_ties(check, piece)

    async def verify_rest(self, check: Check) -> None:
        """Report fragments without an identity, unless their records were deleted before they existed."""
        others = await check.strays("fragment", LIST_FRAGMENTS, NIL, NIL)
        for start in range(0, len(others), RECORDS_PER_READ):
            keys = others[start : start + RECORDS_PER_READ]
            folded = await fold_all(check.tx, check.scope, {xid for xid, _ in keys})
            deleted = {key: folded[key] for key in keys if key in folded and folded[key].document is None}
            _compare(check, keys, await read_states(check.tx, check.scope, {xid for xid, _ in deleted}), deleted)


FRAGMENTS = Fragments()


# ------------------------------------------------------------------------------------------------ reading


async def read_states(tx: Session, scope: Scope, xids: Collection[UUID]) -> RecordStates:
    """Read the state of every record of these identities, deleted ones included."""
    if not xids:
        return {}
    read = READ_STATES_OF_CLUSTER if tx.is_distributed else READ_STATES
    return dict(await in_time_slices(_state, await tx.rows(read, scope.sandbox_id, list(xids))))


async def read_known(change: FactChange, xids: Iterable[UUID]) -> None:
    """Add the states of all records of these identities to the change. To be called before versions of them are removed."""
    missing = [xid for xid in xids if xid not in change.known and xid not in change.newcomers]
    change.states = await read_states(change.tx, change.scope, missing) | change.states
    change.known.update(missing)


def fragments_by_xid(states: Mapping[RecordKey, RecordState]) -> dict[UUID, list[Fragment]]:
    """Make the fragments of the records that are not deleted, as the merge takes them, by xid."""
    fragments: dict[UUID, list[Fragment]] = {}
    for (xid, dataset_id), state in states.items():
        if state.document is not None:
            decided = state.decided_at
            observed_at = last_updated(state.document)
            fragment = Fragment(
                xid, dataset_id, decided.batch_id, state.document, decided.ingested_at, observed_at, decided.ordinal
            )
            fragments.setdefault(xid, []).append(fragment)
    return fragments


def _state(row: Any) -> tuple[RecordKey, RecordState]:
    state = RecordState(
        document=None if row["is_deleted"] else orjson.loads(row["document"]),
        decided_at=VersionOrder(row["ingested_at"], row["batch_id"], row["ordinal"]),
        is_input=row["is_input"],
        head=VersionOrder(row["head_at"], row["head_batch_id"], row["head_ordinal"]),
    )
    return (row["xid"], row["dataset_id"]), state


# ------------------------------------------------------------------------------------------------ writing


async def _refold(change: FactChange) -> None:
    """Fold the change's `refolded` records anew from their versions, and write what differs. Note in the change how they were and are."""
    tx, scope, keys = change.tx, change.scope, sorted(change.refolded)
    await read_known(change, {xid for xid, _ in keys})
    now = await fold_stored(tx, scope, keys)
    folded = {key: folded.state for key, folded in now.items()}
    stored = {key: change.before.setdefault(key, change.states.get(key)) for key in keys}
    present = {key: state for key, state in folded.items() if state is not None}
    change.states = {key: state for key, state in change.states.items() if key not in folded} | present
    await tx.update_rows(DELETE_FRAGMENTS, scope.sandbox_id, rows=[k for k in keys if stored[k] and k not in present])
    differing = {k: s for k, s in present.items() if s != stored[k] or says_other(stored[k], s)}
    await _write(tx, scope, differing, fresh=set())
    change.seeds |= await _retract(tx, scope, {key: folded.deletion for key, folded in now.items()})


async def _write(tx: Session, scope: Scope, states: RecordStates, *, fresh: set[UUID]) -> None:
    """Write the fragments of these records. COPY appends the fragments of `fresh` xids, which are new in this transaction."""
    rows = await in_time_slices(lambda item: _fragment_row(*item), states.items())
    rows.sort(key=lambda row: row[:2])
    await tx.copy("fragment", FRAGMENT_COLUMNS, [(scope.sandbox_id, *row) for row in rows if row[0] in fresh])
    await tx.update_rows(WRITE_FRAGMENTS, scope.sandbox_id, rows=[row for row in rows if row[0] not in fresh])


def _fragment_row(key: RecordKey, state: RecordState) -> tuple[Any, ...]:
    """Return the row of a record's fragment, without the sandbox."""
    document, decided, head = state.document, state.decided_at, state.head
    return (
        *(*key, decided.ordinal, decided.batch_id, decided.ingested_at),
        last_updated(document) if document else None,
        None if state.is_input or document is None else orjson.dumps(document).decode(),
        document is None,
        *(head.ingested_at, head.batch_id, head.ordinal),
    )


async def _retract(tx: Session, scope: Scope, deleted_at: Mapping[RecordKey, VersionOrder | None]) -> set[UUID]:
    """Retract ties of records that were deleted then, and revive those that no deletion covers. Return all members of ties that changed."""
    origins = list({xid for xid, _ in deleted_at})
    changed, members = [], set[UUID]()
    for row in await tx.rows(READ_RECORD_TIES, scope.sandbox_id, origins):
        key = (row["origin"], row["dataset_id"])
        if key not in deleted_at:
            continue
        place = VersionOrder(row["ingested_at"], row["batch_id"], row["ordinal"])
        is_retracted = _is_retracted(place, deleted_at[key])
        if is_retracted != row["is_retracted"]:
            changed.append((row["tie_id"], row["batch_id"], is_retracted))
            members |= set(row["xids"])
    if changed:
        await tx.update_rows(RETRACT_TIES, scope.sandbox_id, list(members), rows=sorted(changed))
    return members


# ------------------------------------------------------------------------------------------------ verifying


def _compare(check: Check, keys: Collection[RecordKey], stored: RecordStates, folded: RecordStates) -> None:
    check.make("fragment", folded)
    check.compared[FRAGMENTS.name] += len(keys)
    for key in keys:
        if key not in folded:
            check.differs("fragment", key, "has no version, or no identity")
        elif key not in stored:
            check.differs("fragment", key, "is missing")
        elif stored[key] != folded[key] or says_other(stored[key], folded[key]):
            check.differs("fragment", key, "is not the fold of its versions")


async def _compare_ties(check: Check, piece: Piece) -> None:
    """Compare the times of ties that records made, and whether a later deletion retracted them, with what versions say."""
    config = check.config
    of_records = [
        dataset.dataset_id
        for dataset in config.datasets.values()
        if config.schemas[dataset.schema_id].xdm_class is XdmClass.INDIVIDUAL_PROFILE
    ]
    for tie in await check.tx.rows(COMPARE_TIES, check.scope.sandbox_id, piece.xids, of_records):
        if tie["is_retracted"] != tie["should_be_retracted"]:
            check.differs("tie", tie["tie_id"], f"is_retracted is {tie['is_retracted']}")
        if not tie["is_said"]:
            check.differs("tie", tie["tie_id"], "no version of its batch says so at its time")


def _is_retracted(place: VersionOrder, deletion: VersionOrder | None) -> bool:
    return deletion is not None and place < deletion

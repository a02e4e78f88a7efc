"""Folds of stored records, however many versions these have: their places are read first, then what they say, some at a time.

What a record said before its newest deletion is not read: nothing of it is left.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import (
    Mode,
    RecordKey,
    RecordState,
    RecordStates,
    UnreadVersion,
    Version,
    VersionOrder,
    last_deletion,
    next_state,
    since_deletion,
)
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Session
from gateway.storage.queries import query

LIST_VERSIONS = query("fragments.list_versions")
LIST_ALL_VERSIONS = query("fragments.list_all_versions")
READ_INPUTS = query("record_versions.read_inputs")

VERSIONS_AT_ONCE: Final = 2_000
BYTES_AT_ONCE: Final = 4_000_000
"""Of how many versions, and of how many bytes as they are stored, the inputs are read together; one at least."""


class Folded(NamedTuple):
    """What the versions of a record add up to: its state, None where it has no version; and the position of its newest deletion."""

    state: RecordState | None
    deletion: VersionOrder | None


async def fold_stored(tx: Session, scope: Scope, keys: Sequence[RecordKey]) -> dict[RecordKey, Folded]:
    """Fold these records from their versions."""
    versions: dict[RecordKey, list[UnreadVersion]] = {key: [] for key in keys}
    if not versions:
        return {}
    columns = map(list, zip(*versions, strict=True))
    for row in await tx.rows(LIST_VERSIONS, scope.sandbox_id, *columns):
        versions[row["xid"], row["dataset_id"]].append(unread_of_row(row))
    states = dict[RecordKey, RecordState]()
    await follow(tx, scope, versions, states.__setitem__)
    return {key: Folded(states.get(key), last_deletion(sent)) for key, sent in versions.items()}


async def follow(
    tx: Session,
    scope: Scope,
    records: Mapping[RecordKey, Sequence[UnreadVersion]],
    note: Callable[[RecordKey, RecordState], None],
) -> None:
    """Call `note` with the state of each record after its newest deletion, and after each later one of these versions, in order."""
    states, unread = RecordStates(), list[tuple[RecordKey, UnreadVersion]]()
    for key, sent in records.items():
        deleted, rest = since_deletion(sent)
        if deleted is not None:
            states[key] = deleted
            note(key, deleted)
        unread += ((key, version) for version in rest)
    await _advance(tx, scope, states, unread, note)


async def fold_all(tx: Session, scope: Scope, xids: Collection[UUID]) -> RecordStates:
    """Fold all records of these identities from all of their versions. No more of them are in memory than one statement reads.

    Unlike `fold_stored` it reads what a record said before its newest deletion, too.
    """
    states = RecordStates()
    async for rows in tx.pages(LIST_ALL_VERSIONS, scope.sandbox_id, list(xids), size=VERSIONS_AT_ONCE):
        versions = [((row["xid"], row["dataset_id"]), unread_of_row(row)) for row in rows]
        await _advance(tx, scope, states, versions)
    return states


async def _advance(
    tx: Session,
    scope: Scope,
    states: RecordStates,
    unread: Sequence[tuple[RecordKey, UnreadVersion]],
    note: Callable[[RecordKey, RecordState], None] = lambda *_: None,
) -> None:
    """Apply these versions to the states of their records, in order, and call `note` with each."""
    for piece in _pieces(unread):
        keys = [(*key, version.place.ordinal) for key, version in piece]
        rows = await tx.rows(READ_INPUTS, scope.sandbox_id, *map(list, zip(*keys, strict=True)))
        inputs = {tuple(row)[:3]: row["input"] for row in rows}

        def apply(item: tuple[RecordKey, UnreadVersion], inputs: Mapping[Any, str] = inputs) -> None:
            key, (mode, place, _) = item
            version = Version(mode, orjson.loads(inputs[*key, place.ordinal]), place)
            states[key] = state = next_state(states.get(key), version)
            note(key, state)

        await in_time_slices(apply, piece)


def unread_of_row(row: Any) -> UnreadVersion:
    """Return the version of a record that a row of a statement describes, without its input."""
    place = VersionOrder(row["ingested_at"], row["batch_id"], row["ordinal"])
    return UnreadVersion(Mode(row["mode"]), place, row["size"])


def _pieces(
    unread: Sequence[tuple[RecordKey, UnreadVersion]],
) -> Iterator[Sequence[tuple[RecordKey, UnreadVersion]]]:
    start = size = 0
    for end, (_, version) in enumerate(unread):
        if end > start and (end - start == VERSIONS_AT_ONCE or size + version.size > BYTES_AT_ONCE):
            yield unread[start:end]
            start, size = end, 0
        size += version.size
    if start < len(unread):
        yield unread[start:]

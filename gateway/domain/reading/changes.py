"""Changes of people, read from the journal, page by page or as they happen.

A change means: read this person again. Each comes at least once, those of one person in order. The journal is read on the primary alone,
which is the only database that a gateway knows: what a snapshot holds means nothing on a standby.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.reading.identities import read_known_identities
from gateway.domain.rules.changes import (
    MAX_NUMBER,
    START,
    Position,
    Row,
    Snapshot,
    beginning,
    numbers_before,
    position_of,
    store_number,
)
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.effects import ChangeKind
from gateway.domain.views.journal import XIDS_PER_ROW
from gateway.errors import BadInput
from gateway.storage.database import Database, Reader
from gateway.storage.notifications import Channel
from gateway.storage.queries import query

READ_PRESENT = query("changes.read_present")
LIST_UNRELEASED = query("changes.list_unreleased")
READ_JOURNAL_SINCE = query("changes.read_journal_since")
READ = query("changes.read_changes")
READ_BACKWARD = query("changes.read_changes_backward")

POLL_SECONDS: Final = 0.1
"""How often a follower looks for changes where no notification comes."""

END: Final = Row(MAX_NUMBER, 0, 0)
"""Behind every row."""

MAX_READS: Final = 20
"""Statements that read rows for one page: it may be shorter where many rows are of identities that belong to nobody now."""

KINDS: Final = {kind.value: kind for kind in ChangeKind}

KINDS_BY_IDENTITY: Final = frozenset({ChangeKind.CREATED, ChangeKind.EVENTS, ChangeKind.DELETED})
"""Changes of a person that are the same for each identity; what else becomes of it under a policy without a graph is UPDATED."""


class ProfileChange(NamedTuple):
    """A change of one person, as a merge policy sees people.

    `version` grows with each change of the person but EVENTS. `paths` are the changed ones of the policy's document as JSON text, None
    where they are not known. `former_profile_ids`: people that were merged into this one, or that it was split from. `xids`: of the person
    after the change, before it if that is DELETED; none for EVENTS. `place`, `read` and `start` give the position.
    """

    policy: MergePolicy
    kind: ChangeKind
    profile_id: UUID
    version: int
    at: datetime
    paths: str | None
    former_profile_ids: Sequence[UUID]
    xids: Sequence[UUID]
    place: int
    read: int
    start: Position

    @property
    def changed_paths(self) -> list[list[str]] | None:
        """The changed paths of the policy's document, which end at maps; None where they are not known."""
        return None if self.paths is None else orjson.loads(self.paths)

    @property
    def row(self) -> Row:
        """The row of the journal, up to this change."""
        return Row(self.version, self.place, self.read)

    @property
    def position(self) -> Position:
        """The position right behind the change."""
        return self.start.behind(self.row, self.at)


class ChangePage(NamedTuple):
    """Some changes in their order; whether there are more behind and in front of them; and the position behind the last one."""

    items: list[ProfileChange]
    has_next: bool
    has_previous: bool
    end: Position


async def read_version(db: Reader, scope: Scope) -> int:
    """Return the version of the newest change that was committed, 0 before the first. Needs `profile:read`. Raises Forbidden."""
    scope.require(Permission.PROFILE_READ)
    row: Any = await db.row(READ_PRESENT, scope.sandbox_id)
    return 0 if row is None else row["seq"]


async def list_changes(db: Reader, scope: Scope, policy: MergePolicy, asked: Window) -> ChangePage:
    """List changes of people as a policy sees them, from the oldest one kept on. Keys of the window are those of positions.

    Under a policy without a graph each identity of a changed person may have changed. Needs `profile:read`. Raises Forbidden; BadCursor;
    CursorExpired if changes behind the key may be gone; BadInput for a page that has both an end and a beginning.
    """
    scope.require(Permission.PROFILE_READ)
    backward = asked.backward or asked.before is not None
    if backward and (asked.after is not None or not asked.backward):
        raise BadInput("Read changes forwards by `first` and `after`, or backwards by `last` and `before`.")
    key = asked.before if backward else asked.after
    position = None if key is None else position_of(key)
    reading = await _Reading.begin(db, scope, policy)
    if position is not None:
        reading.check(position)
    return await (reading.backward if backward else reading.forward)(position, asked.size)


async def iterate_changes(
    db: Database, scope: Scope, policy: MergePolicy, asked: Window, *, follow: bool
) -> AsyncIterator[ChangePage]:
    """Yield pages, none of them empty, from a window's beginning to the present; then, to `follow`, go on as changes come.

    Needs `profile:read`. Raises as `list_changes` does.
    """
    with db.waiter(Channel.CHANGES) as waiter:
        while True:
            page = await list_changes(db, scope, policy, asked)
            asked = asked._replace(after=page.end.key)
            if page.items:
                yield page
            if not page.has_next:
                if not follow:
                    return
                await waiter.wait(POLL_SECONDS)


async def read_position(db: Reader, scope: Scope) -> tuple[Position, datetime]:
    """Return the position behind all changes that have ended, and the time. Needs `profile:read`. Raises Forbidden, BadInput, Unavailable."""
    scope.require(Permission.PROFILE_READ)
    row = await _present(db, scope)
    return Position.at_snapshot(_store(row), await _snapshot(db, row)), row["at"]


async def _present(db: Reader, scope: Scope) -> Any:
    row: Any = await db.row(READ_PRESENT, scope.sandbox_id)
    if row is None:
        raise BadInput("The sandbox is gone.")
    return row


async def _snapshot(db: Reader, row: Any) -> Snapshot:
    """Return the snapshot of the present.

    On a cluster it is the coordinator's, where a transaction ends before its other nodes have committed; until they have, it holds the lock
    of its id, and counts as running. The locks are looked up after the snapshot was taken, so that one that is let go of has ended everywhere.
    """
    _, end, running = row["snapshot"]
    if db.is_distributed:
        unreleased = await db.rows(LIST_UNRELEASED)
        running = tuple(sorted(numbers_before(end, (each["id"] for each in unreleased)).union(running)))
    return Snapshot.of(row["at"], end, running, row["begun"], row["seq"])


def _store(row: Any) -> int:
    return store_number(row["system"], row["timeline"], row["database"])


@dataclass(frozen=True, slots=True)
class _Reading:
    """A read of the journal as a policy sees people, up to what has ended at present."""

    db: Reader
    scope: Scope
    policy: MergePolicy
    is_by_identity: bool
    store: int
    present: Snapshot
    journal_since: datetime

    @classmethod
    async def begin(cls, db: Reader, scope: Scope, policy: MergePolicy) -> "_Reading":
        row = await _present(db, scope)
        is_by_identity = policy.settings.identity_graph is IdentityGraphType.NONE
        return cls(db, scope, policy, is_by_identity, _store(row), await _snapshot(db, row), row["journal_since"])

    @property
    def _beginning(self) -> Position:
        return Position.at_snapshot(self.store, beginning(self.journal_since))

    def check(self, position: Position) -> None:
        position.check(self.store, self.present, self.journal_since)

    # -------------------------------------------------------------------------------------------- pages

    async def forward(self, after: Position | None, size: int) -> ChangePage:
        """Read on from a position: first up to the snapshot that ends its page, then up to the present one."""
        if after is None and not size:
            return ChangePage([], False, False, Position.at_snapshot(self.store, self.present))
        position = start = after or self._beginning
        found, is_done = list[ProfileChange](), False
        for _ in range(MAX_READS):
            position = position.up_to(self.present)
            changes, behind = await self._read(position, size + 1 - len(found))
            found += changes
            is_done = behind is None and position.until is self.present
            position = behind or Position.at_snapshot(self.store, position.until or self.present)
            if is_done or len(found) > size:
                break
        await self._check_kept(start)
        end = position if len(found) <= size else found[size - 1].position if size else start
        return ChangePage(found[:size], len(found) > size or not is_done, after is not None, end)

    async def backward(self, before: Position | None, size: int) -> ChangePage:
        """Read the last changes in front of a position, or of all: those that had ended then, by their versions."""
        position = before or Position.at_snapshot(self.store, self.present)
        until, row = position.until or position.since, position.row if position.until else END
        found, is_done = list[ProfileChange](), False
        start = self._beginning.up_to(until)
        for _ in range(MAX_READS):
            wanted = size + 1 - len(found) + XIDS_PER_ROW
            where = (self.scope.sandbox_id, until.as_stored, row.seq, row.place)
            rows = await self.db.rows(READ_BACKWARD, *where, self.is_by_identity, wanted)
            changes = await self._changes(rows[::-1], start)
            found = [change for change in changes if change.row < row] + found
            is_done = sum(row["weight"] for row in rows) < wanted
            if is_done or len(found) > size:
                break
            row = Row(rows[-1]["seq"], rows[-1]["place"], 0)
        shown = found[-size:] if size else []
        end = shown[-1].position if shown else position
        return ChangePage(shown, before is not None, len(found) > size or not is_done, end)

    async def _read(self, position: Position, wanted: int) -> tuple[list[ProfileChange], Position | None]:
        """Read about so many changes up to the snapshot that ends the position's page, and the position behind them: None if these are all."""
        since, until, row = position.since, position.until or position.since, position.row
        if row == START and since.shows_as_much_as(until):
            return [], None
        size = wanted + row.read
        where = (since.as_stored, until.as_stored, since.running, since.seq, row.seq, row.place)
        walk = (*max(row[:2], (since.seq + 1, 0)), until.seq)
        rows = await self.db.rows(READ, self.scope.sandbox_id, *where, *walk, self.is_by_identity, size)
        changes = await self._changes(rows, position)
        if sum(row["weight"] for row in rows) < size:
            return changes, None
        last = rows[-1]
        return changes, position.behind(Row(last["seq"], last["place"], last["weight"]), last["at"])

    async def _check_kept(self, start: Position) -> None:
        """Check that no row went while we read. Raises CursorExpired."""
        since: datetime | None = await self.db.value(READ_JOURNAL_SINCE, self.scope.sandbox_id)
        start.check(self.store, self.present, since or self.journal_since)

    # -------------------------------------------------------------------------------------------- rows

    async def _changes(self, rows: Sequence[Any], start: Position) -> list[ProfileChange]:
        """Make the changes of these rows that are behind a position. Events are of the people that have their identities now."""
        people = dict[UUID, UUID | None]()
        if not self.is_by_identity:
            xids = {xid for row in rows if row["kind"] == ChangeKind.EVENTS for xid in row["xids"]}
            known = await read_known_identities(self.db, self.scope, xids) if xids else {}
            people = {xid: identity.profile_id for xid, identity in known.items()}
        policy, shows_paths, found = self.policy, self.policy.settings.is_default, list[ProfileChange]()
        for seq, place, kind, profile_id, xids, former_ids, paths, at, _ in rows:
            skipped = start.row.read if (seq, place) == start.row[:2] else 0
            if self.is_by_identity or profile_id is None:
                for read, subject in self._subjects(xids, people, skipped):
                    told = KINDS[kind] if kind in KINDS_BY_IDENTITY else ChangeKind.UPDATED
                    found.append(ProfileChange(policy, told, subject, seq, at, None, (), (), place, read, start))
            elif not skipped:
                shown = paths if shows_paths else None
                found.append(
                    ProfileChange(policy, KINDS[kind], profile_id, seq, at, shown, former_ids, xids, place, 1, start)
                )
        return found

    def _subjects(
        self, xids: Sequence[UUID], people: Mapping[UUID, UUID | None], skipped: int
    ) -> Iterator[tuple[int, UUID]]:
        """Yield identities of a row, or the people that have them, once each, with their places from 1; not those of the first places, which were read."""
        seen = set[UUID]()
        for read, xid in enumerate(xids, 1):
            subject = xid if self.is_by_identity else people.get(xid)
            if read > skipped and subject is not None and subject not in seen:
                seen.add(subject)
                yield read, subject

"""Kept values: what attributes give for everybody, stored because searches read them, and brought up to date by the next search that does.

Nobody who changes facts writes here: events would have to lock their people. The journal says who changed, and each kept
attribute knows the position in it up to which its values are right; a window that slides says itself when it does so next. A search takes,
in the snapshot that it reads, the people that changed since or whose window has slid by now, computes their values there, and reads those
of the others. Many of them are brought up to date first, in pieces; very many by a job, and the search is UNAVAILABLE until then.

Values are of events alone, so that policies with the same identity graph share them. An expression over the profile is worked out in the
search. Only a transaction that takes facts away, or parts people, removes values of those people at once (`views/kept_values.py`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.computed_attributes import ComputedAttribute
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.facts.appending import read_stamp
from gateway.domain.reading.attribute_results import as_fields, comparable
from gateway.domain.reading.changes import ChangePage, list_changes
from gateway.domain.reading.computed_attributes import values_of_events
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.identities import is_primary
from gateway.domain.reading.people import COUNT
from gateway.domain.reading.sliding_windows import read_next_changes
from gateway.domain.rules.changes import position_of
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import ChangeKind, Effects, PersonChange
from gateway.domain.views.journal import write_changes
from gateway.domain.views.pipeline import prepare_nodes
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import enqueue, hasten
from gateway.domain.work.locks import lock_shared, lock_stripes, locking
from gateway.errors import CursorExpired, Unavailable
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import fill, part, query, template

LIST = query("kept_values.list_kept")
LOCK = query("kept_values.lock_kept")
KEEP_ANEW = query("kept_values.keep_anew")
NOTE = query("kept_values.note_kept")
NOTE_USE = query("kept_values.note_use")
PEOPLE_AFTER = template("kept_values.list_people_after")
PEOPLE = template("kept_values.read_people")
READ_POINTERS, LOCK_GRAPHS = query("graph_union.read_pointers"), template("graph_union.lock_graphs")
DUE = query("kept_values.find_due")
READ = query("kept_values.read_values")
WRITE = query("kept_values.write_values")
REMOVE = template("kept_values.remove_values")
HAS_PEOPLE = query("search_candidates.has_people")

MAX_GIVEN: Final = 100
"""People whose values a search computes for itself; of more, values are brought up to date first."""
MAX_FOLDED: Final = 10_000
"""People whose values are brought up to date within a search; more are left to a job."""
PEOPLE_PER_PIECE: Final = 200

_ROUNDS: Final = 5
"""How often a search tries to find values up to date while others change them."""
_STILL: Final = timedelta(minutes=1)
"""A clock that is put back by less stands still until it is there again; by more, all values are computed anew."""
_DAY: Final = timedelta(days=1)


class Kept(NamedTuple):
    """A kept attribute as it is stored: the position of the journal, the last person of a first run, None where that is over, and how many it did."""

    identity_graph: str
    attribute_id: UUID
    position: Any
    built_to: UUID | None
    built: int
    as_of: datetime
    used_at: datetime

    @property
    def window(self) -> Window:
        """The changes that came since."""
        return Window(PEOPLE_PER_PIECE, after=tuple(orjson.loads(self.position)))

    @property
    def followed_at(self) -> datetime:
        """The time of its position."""
        return datetime.fromtimestamp(position_of(self.window.after or ()).at / 1_000, UTC)

    def is_before(self, at: datetime) -> bool:
        """Return whether its values can be right at a time: the clock was not put back since."""
        return self.as_of - at < _STILL


@dataclass(frozen=True, slots=True)
class KnownValues:
    """What a search reads with: a snapshot, and the values of people in it that are others than those kept, by name, by the text of their ids."""

    reader: Reader
    graph: IdentityGraphType = IdentityGraphType.PDG
    attributes: Sequence[ComputedAttribute] = ()
    given: dict[str, dict[str, Any]] = field(default_factory=dict)


@asynccontextmanager
async def at_one_moment(
    db: Database, scope: Scope, config: Configuration, policy: MergePolicy, names: Collection[str]
) -> AsyncIterator[KnownValues]:
    """Open a snapshot in which the values of attributes of these names, which are of events, are known for everybody; without names, read from the database as it is.

    Needs `profile:read`. Raises Forbidden; Unavailable while a job computes them, which tells how far that is.
    """
    if not names:
        yield KnownValues(db)
        return
    attributes = [each for each in config.attributes.values() if each.is_published and each.name in names]
    for _ in range(_ROUNDS):
        async with db.snapshot() as tx:
            given = await _given(tx, scope, config, policy, attributes)
            if given is not None:
                yield KnownValues(tx, policy.settings.identity_graph, attributes, given)
                return
        for attribute in attributes:
            await _bring_up(db, scope, config, policy, attribute)
    raise Unavailable("Too many people change at this moment; try again.")


def document_part(key: str) -> str:
    """Return SQL of the kept values of a person by their names, as `computed.document`, with gaps for what `values_of` gives, in its order."""
    gaps = {name: f"{{{place}}}" for place, name in enumerate(("given", "ids", "names", "graph"))}
    return fill(part("kept_values.document"), key=key, **gaps)


def values_of(known: KnownValues) -> tuple[Any, ...]:
    """Return the values in the gaps of `document_part`; none without attributes."""
    if not known.attributes:
        return ()
    ids, names = [each.attribute_id for each in known.attributes], [each.name for each in known.attributes]
    return orjson.dumps(known.given).decode(), ids, names, known.graph.value


async def note_use(db: Database, scope: Scope, known: KnownValues, at: datetime) -> None:
    """Note that a search read attributes at a time, once a day. Needs no permission."""
    if not known.attributes:
        return
    graph, ids = known.graph, [each.attribute_id for each in known.attributes]
    kept = await list_kept(db, scope)
    old = [
        each for each in kept if each.identity_graph == graph and each.attribute_id in ids and each.used_at < at - _DAY
    ]
    if old:
        async with db.transaction(scope.sandbox_id) as tx:
            await tx.execute(NOTE_USE, scope.sandbox_id, graph, [each.attribute_id for each in old], at)


async def list_kept(db: Reader, scope: Scope) -> list[Kept]:
    """List what is kept in the sandbox. Needs no permission."""
    return [Kept(*row) for row in await db.rows(LIST, scope.sandbox_id)]


# ------------------------------------------------------------------------------------------------ who is to be computed anew


async def _given(
    tx: Session, scope: Scope, config: Configuration, policy: MergePolicy, attributes: Sequence[ComputedAttribute]
) -> dict[str, dict[str, Any]] | None:
    """Return the values of those people whose kept ones are old; None where they are too many, or not all are kept."""
    graph = policy.settings.identity_graph
    kept = {each.attribute_id: each for each in await list_kept(tx, scope) if each.identity_graph == graph}
    at, stale = await read_instant(tx), set[UUID]()
    for attribute in attributes:
        found = kept.get(attribute.attribute_id)
        changed = None if found is None else await stale_people(tx, scope, policy, found, at)
        if changed is None:
            return None
        stale |= changed
    if len(stale) > MAX_GIVEN:
        return None
    people = await read_people(tx, scope, graph, stale) if stale else []
    at = max(at, *(kept[each.attribute_id].as_of for each in attributes))
    members = [tuple(row["xids"]) for row in people]
    values = await values_of_events(tx, scope, config, attributes, people=members, at=at)
    return {str(row["profile_id"]): as_fields(found) for row, found in zip(people, values, strict=True)}


async def stale_people(
    tx: Session, scope: Scope, policy: MergePolicy, kept: Kept, at: datetime, *, most: int = MAX_GIVEN
) -> set[UUID] | None:
    """Return the people whose kept values are old at a time; None if there may be more than `most`, or not everybody's are kept."""
    if kept.built_to is not None or not kept.is_before(at):
        return None
    found = {
        row["profile_id"] for row in await tx.rows(DUE, scope.sandbox_id, *kept[:2], max(at, kept.as_of), most + 1)
    }
    window = kept.window
    while len(found) <= most:
        try:
            page = await list_changes(tx, scope, policy, window)
        except CursorExpired:
            return None
        found.update(xid for change in page.items for xid in (change.profile_id, *change.former_profile_ids))
        if not page.has_next:
            return found
        window = Window(PEOPLE_PER_PIECE, after=page.end.key)
    return None


async def _bring_up(
    db: Database, scope: Scope, config: Configuration, policy: MergePolicy, attribute: ComputedAttribute
) -> None:
    """Bring the values of an attribute up to date, up to MAX_FOLDED people; raise Unavailable, and let a job go on, where there are more."""
    folded, begun = 0, 0
    while begun < _ROUNDS:
        done = await fold(db, scope, config, policy, attribute)
        if done is None:
            return
        folded, begun = folded + done.people, begun + (done is _BEGUN)
        is_large = done.is_first and await db.value(HAS_PEOPLE, scope.sandbox_id, MAX_FOLDED)
        if is_large or folded > MAX_FOLDED:
            async with db.transaction(scope.sandbox_id) as tx:
                await enqueue(tx, scope, JobKind.REFRESH_KEPT_VALUES)
                await hasten(tx, scope, JobKind.REFRESH_KEPT_VALUES)
            total = await db.value(COUNT, scope.sandbox_id)
            far = f"{done.built:,} of {total:,} people are done" if done.is_first else "many people have changed"
            raise Unavailable(
                f"The values of {attribute.name!r} are being computed for searches: {far}. Try again later."
            )


# ------------------------------------------------------------------------------------------------ pieces


class Folded(NamedTuple):
    """What a piece did: for how many people; whether that was part of the first run, which has `built` by now."""

    people: int
    is_first: bool
    built: int


_BEGUN: Final = Folded(0, is_first=True, built=0)


async def fold(
    db: Database,
    scope: Scope,
    config: Configuration,
    policy: MergePolicy,
    attribute: ComputedAttribute,
    *,
    note: Callable[[Session, Folded], Awaitable[None]] | None = None,
) -> Folded | None:
    """Bring some values of an attribute up to date, in a transaction that `note` may be part of; return None where all are.

    First everybody's, then those of people that changed since that began, then those whose window has slid, which the journal says of them.
    """
    key = (policy.settings.identity_graph, attribute.attribute_id)
    kept = next((each for each in await list_kept(db, scope) if each[:2] == key), None)
    # read before the transaction, which computes values of no earlier facts: one that writes has no snapshot that the journal could use
    page = await _page(db, scope, policy, kept)
    async with lock_shared(db, scope.sandbox_id) as tx:
        row: Any = await tx.row(LOCK, scope.sandbox_id, *key)
        if (None if row is None else Kept(*row)) != kept:
            return Folded(0, is_first=False, built=0)  # another one has done a piece
        at = await read_instant(tx)
        if kept is None or page is None or not kept.is_before(at):
            present = page or await list_changes(db, scope, policy, Window(0))
            await tx.execute(KEEP_ANEW, scope.sandbox_id, *key, _position(present.end.key), NIL, at)
            folded: Folded | None = _BEGUN
        else:
            piece = _Piece(tx, scope, config, key[0], attribute, kept, max(at, kept.as_of))
            folded = await piece.do(page)
        if note is not None and folded is not None:
            await note(tx, folded)
        return folded


async def _page(db: Database, scope: Scope, policy: MergePolicy, kept: Kept | None) -> ChangePage | None:
    """Return the next changes behind what is kept, none where it is to be kept from now on; None where they may be gone."""
    try:
        return await list_changes(db, scope, policy, Window(0) if kept is None else kept.window)
    except CursorExpired:
        return None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of work on a kept attribute, whose values are computed `at` a time."""

    tx: Session
    scope: Scope
    config: Configuration
    graph: IdentityGraphType
    attribute: ComputedAttribute
    kept: Kept
    at: datetime

    @property
    def _key(self) -> tuple[int, str, UUID]:
        return self.scope.sandbox_id, self.graph, self.attribute.attribute_id

    async def do(self, page: ChangePage) -> Folded | None:
        """Do the piece, where these are the next changes."""
        if self.kept.built_to is not None:
            return await self.build(self.kept.built_to)
        changed = _changed(page)
        if changed:
            await self.renew(await read_people(self.tx, self.scope, self.graph, changed), changed)
        elif not page.has_next and (due := await self.due()):
            await self.slide(due)
            changed = dict.fromkeys(due, self.at)
        await self.note(page.end.key, None, self.kept.built)
        is_over = not changed and not page.has_next
        return None if is_over else Folded(len(changed), is_first=False, built=self.kept.built)

    async def build(self, after: UUID) -> Folded:
        """Compute the values of the next people for the first time."""
        people = await list_people_after(self.tx, self.scope, self.graph, after, PEOPLE_PER_PIECE)
        await self.renew(people, {row["profile_id"]: self.kept.followed_at for row in people})
        last = people[-1]["profile_id"] if len(people) == PEOPLE_PER_PIECE else None
        built = self.kept.built + len(people)
        await self.note(orjson.loads(self.kept.position), last, built)
        return Folded(len(people), is_first=True, built=built)

    async def due(self) -> set[UUID]:
        return {row["profile_id"] for row in await self.tx.rows(DUE, *self._key, self.at, PEOPLE_PER_PIECE)}

    async def write(self, people: Sequence[Any], asked: Iterable[UUID]) -> dict[UUID, str | None]:
        """Compute and store the values of people, and remove those of people asked for who are there no more. Return the values in JSON."""
        members = [tuple(row["xids"]) for row in people]
        found = await values_of_events(self.tx, self.scope, self.config, [self.attribute], people=members, at=self.at)
        texts = [told.get(self.attribute.name) for told in found]
        values = dict(zip((row["profile_id"] for row in people), texts, strict=True))
        if gone := set(asked) - values.keys():
            await self.tx.execute(locking(REMOVE, self.tx), *self._key, list(gone))
        if values:
            times = [self.at] * len(members)
            next_changes = await read_next_changes(self.tx, self.scope, self.attribute, members, times)
            await self.tx.execute(WRITE, *self._key, list(values), texts, next_changes)
        await prepare_nodes(self.tx, self.scope, gone | values.keys())
        return values

    async def renew(self, people: Sequence[Any], since: Mapping[UUID, datetime]) -> None:
        """Compute the values of people that followers may have read since a time, and tell of them where a window has slid since."""
        slid = await self.slid(people, since)
        locked = await self.lock(slid)
        await self.write(people, since)
        await self.tell(locked, slid)

    async def slide(self, due: set[UUID]) -> None:
        """Compute the values of people whose window has slid, and tell of them where the value is another one, or may have been meanwhile."""
        locked = await self.lock(due)
        before = {row["profile_id"]: row for row in await self.tx.rows(READ, *self._key, list(due))}
        people = await read_people(self.tx, self.scope, self.graph, due)
        values = await self.write(people, due)
        others = {
            key
            for key, text in values.items()
            if key not in before or comparable(text) != comparable(before[key]["value"])
        }
        alike = [row for row in people if row["profile_id"] not in others]
        slid = await self.slid(alike, {key: row["next_change_at"] for key, row in before.items()})
        await self.tell(locked, others | slid)

    async def slid(self, people: Sequence[Any], since: Mapping[UUID, datetime]) -> set[UUID]:
        """Return those of these people whose window has slid since a time."""
        members, times = [tuple(row["xids"]) for row in people], [since[row["profile_id"]] for row in people]
        found = await read_next_changes(self.tx, self.scope, self.attribute, members, times, only_slides=True)
        return {row["profile_id"] for row, at in zip(people, found, strict=True) if at is not None and at <= self.at}

    async def lock(self, people: Collection[UUID]) -> Sequence[Any]:
        """Lock the people that these are, or whose these identities are, in the order of writers, and return them."""
        sandbox_id = self.scope.sandbox_id
        if people and self.graph != IdentityGraphType.PDG:
            pointers = await self.tx.rows(READ_POINTERS, sandbox_id, list(people))
            people = {row["profile_id"] for row in pointers if row["profile_id"]}
        if not people:
            return ()
        await lock_stripes(self.tx, sandbox_id, people)
        return await self.tx.rows(locking(LOCK_GRAPHS, self.tx, "for no key update"), sandbox_id, list(people))

    async def tell(self, locked: Sequence[Any], others: set[UUID]) -> None:
        """Write into the journal that these people, who are among the locked ones, may have another value."""
        if not others:
            return
        stamp, path = await read_stamp(self.tx, self.scope), tuple(self.attribute.path.split("."))
        changes = {
            row["profile_id"]: PersonChange(ChangeKind.UPDATED, row["profile_id"], tuple(row["xids"]), paths=(path,))
            for row in locked
            if not others.isdisjoint((row["profile_id"], *row["xids"]))
        }
        await write_changes(self.tx, self.scope, stamp["ordinal"], stamp["at"], Effects(changes))

    async def note(self, position: Any, built_to: UUID | None, built: int) -> None:
        await self.tx.execute(NOTE, *self._key, _position(position), built_to, built, self.at)


def _changed(page: ChangePage) -> dict[UUID, datetime]:
    """Return the people in these changes, each with the time of their first one: from then on followers may have read them."""
    found = dict[UUID, datetime]()
    for change in page.items:
        for one in (change.profile_id, *change.former_profile_ids):
            found[one] = min(found.get(one, change.at), change.at)
    return found


async def read_people(tx: Session, scope: Scope, graph: str, profile_ids: Iterable[UUID]) -> Sequence[Any]:
    """Read those of these people that exist in a kind of graph, with their xids. Needs no permission."""
    return await tx.rows(PEOPLE.filled(kept=_people(graph)), scope.sandbox_id, list(profile_ids))


async def list_people_after(tx: Reader, scope: Scope, graph: str, after: UUID, size: int) -> Sequence[Any]:
    """List the next people in a kind of graph, with their xids. Needs no permission."""
    return await tx.rows(PEOPLE_AFTER.filled(kept=_people(graph)), scope.sandbox_id, after, size)


def _people(graph: str) -> str:
    if graph == IdentityGraphType.PDG:
        return part("kept_values.graphs")
    return fill(part("kept_values.primaries"), is_primary=is_primary("i"))


def _position(key: Any) -> str:
    return orjson.dumps(key).decode()

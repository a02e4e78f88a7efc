"""Delivery of a sandbox's projections to one edge, turn by turn, by the one who holds the lease of its data centre.

A turn brings the edge what is wanted of it: what it knows of the sandbox, then a page of the journal, people whose projections are due, and
some of the people that a new edition lacks. The place in the journal is stored at the edge, in the transaction that
delivers what changed until then; so an edge that was away, or was set up anew, goes on from what it has.

An edition of a configuration is filled beside the one that is served, and is served once it is full. Meanwhile people who are
no more go from the earlier one, and nothing else of it changes.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import PolicyStatus
from gateway.domain.edges import configurations, fills, projections, sandboxes, wanted
from gateway.domain.edges.keys import edge_key
from gateway.domain.edges.projections import DeliveredProjection
from gateway.domain.edges.sandboxes import DeliveredIssuer
from gateway.domain.edges.wanted import Want
from gateway.domain.operations import projection_editions
from gateway.domain.operations.projection_centers import (
    ConfigurationDelivery,
    forget_delivery,
    note_configuration,
    note_delivery,
)
from gateway.domain.operations.projection_editions import Asked, EdgeSandbox, Edition, asked_of
from gateway.domain.operations.projection_people import People, identity_keys
from gateway.domain.operations.projection_sandboxes import delivered_sandbox
from gateway.domain.operations.projection_store import EdgeStore
from gateway.domain.operations.projection_withdrawals import count_withdrawn, find_erased
from gateway.domain.reading.changes import ChangePage, list_changes
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.edge_projections import EdgeProjection, TooLarge, edge_policy, project
from gateway.domain.reading.kept_values import list_people_after
from gateway.domain.reading.people import Person, read_people
from gateway.domain.reading.profiles import count_profiles
from gateway.domain.rules.changes import Position
from gateway.domain.rules.graphs import xid_of
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Scope
from gateway.domain.views.effects import ChangeKind
from gateway.errors import BadInput, CursorExpired, Misconfigured
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session

PEOPLE_PER_PIECE: Final = 200
"""People who are projected together, for one configuration after the other: so many projections are in memory."""

NOTE_SECONDS: Final = 1.0
"""How often an edge is told that everything is there, and the hub how far it is."""

COUNT_SECONDS: Final = 60.0
"""How often the projections at an edge are counted, at most."""

FAULT_SECONDS: Final = 10.0
"""How long a configuration waits that could not be projected."""

DROPPED_PER_PIECE: Final = 5_000
"""Projections of earlier editions that go together."""


class SandboxDelivery:
    """The delivery of one sandbox to one edge. What it knows of the edge is read anew after an error."""

    def __init__(
        self,
        db: Database,
        configurations_: Configurations,
        store: EdgeStore,
        scope: Scope,
        *,
        issuers: Callable[[], Sequence[DeliveredIssuer]],
    ) -> None:
        """`issuers` returns the other issuers of tokens, with the keys that they have now."""
        self._issuers = issuers
        self._db, self._configurations, self._store, self._scope = db, configurations_, store, scope
        self._people = People(scope.sandbox.secret, store.data_center)
        self._key = edge_key(scope.sandbox.secret, store.data_center)
        self._edge: EdgeSandbox | None = None
        self._config: Configuration
        self._asked: Asked = {}
        self._faults: dict[UUID, tuple[float, str]] = {}
        self._totals: dict[UUID, int] = {}
        self._told_at = self._settled_at = self._counted_at = self._refreshed_at = float("-inf")
        self._current_since: float | None = None
        self._has_delivered = False

    async def turn(self, scope: Scope) -> bool:
        """Bring the edge some of what it lacks, by the sandbox as it is in this scope. Return whether more is to be brought at once."""
        self._scope = scope
        try:
            edge = await self._begin()
            if not self._asked:
                return await self.leave()
            await self._settle(edge)
            more = await self._follow(edge)
            for step in (self._refresh, self._fill, self._drop):
                more |= await step(edge)
            await self._tell(edge)
        except BaseException:
            self._edge = self._current_since = None
            raise
        return more

    async def leave(self) -> bool:
        """Take a piece of the sandbox from the edge. Return whether more is left."""
        sandbox_id, self._edge = self._scope.sandbox_id, None
        async with self._store.delivering() as tx:
            if await sandboxes.drop_sandbox(tx, sandbox_id):
                return True
        async with self._db.transaction(sandbox_id) as tx:
            await forget_delivery(tx, sandbox_id, self._store.data_center)
        return False

    async def answer(self, scope: Scope, wants: Sequence[Want]) -> None:
        """Bring the edge what it was asked for and lacks. What it wants of a configuration that is just filled anew waits until that is served."""
        self._scope = scope
        edge, by_configuration = await self._begin(), dict[UUID, list[Want]]()
        for want in wants:
            by_configuration.setdefault(want.configuration_id, []).append(want)
        for key, some in by_configuration.items():
            edition = edge.edition(*self._asked[key]) if key in self._asked else None
            if key in self._asked and (edition is None or edge.is_filled(edition)):
                continue
            try:
                async with self._store.delivering() as tx:
                    if edition is not None:
                        await self._fetch(tx, edition, some)
                    await wanted.answer(tx, scope.sandbox_id, some)
            except (BadInput, Misconfigured) as error:
                self._faults[key] = monotonic(), error.message

    async def _begin(self) -> EdgeSandbox:
        self._config = await self._configurations.read(self._db, self._scope)
        self._asked = asked_of(self._config, self._store.data_center)
        if self._edge is None:
            self._edge = await EdgeSandbox.read(self._store.db, self._scope.sandbox_id)
            self._counted_at = monotonic()
        return self._edge

    def _kept_up(self, edge: EdgeSandbox) -> list[Edition]:
        """Return the editions that follow what changes."""
        found = (edge.edition(*each) for each in self._asked.values())
        return [edition for edition in found if edition is not None]

    # -------------------------------------------------------------------------------------------- what the edge is to have

    async def _settle(self, edge: EdgeSandbox) -> None:
        """Deliver what is known of the sandbox where that has changed, serve nothing else, and begin to fill new editions."""
        sandbox_id = self._scope.sandbox_id
        if edge.digest is None or monotonic() - self._settled_at >= NOTE_SECONDS:
            self._settled_at = monotonic()
            of = self._db, self._scope, self._config, self._store.data_center
            delivered = await delivered_sandbox(*of, self._issuers())
            if delivered.digest != edge.digest:
                async with self._store.delivering() as tx:
                    await sandboxes.deliver_sandbox(tx, delivered)
                edge.digest = delivered.digest
        if edge.position is None:
            await self._begin_anew(edge)
        for key in edge.served.keys() - self._asked.keys():
            async with self._store.delivering() as tx:
                await configurations.stop_serving(tx, sandbox_id, key)
            del edge.served[key]
            edge.fills.pop(key, None)
            edge.counts = await projection_editions.count(self._store.db, sandbox_id)
        if edge_policy(self._config).status is PolicyStatus.BUILDING:
            return
        for pair in self._asked.values():
            if edge.edition(*pair) is None:
                async with self._store.delivering() as tx:
                    await edge.begin(tx, sandbox_id, edge.next_edition(*pair, is_behind=False))

    async def _begin_anew(self, edge: EdgeSandbox) -> None:
        """Go on from the present in the journal, and fill everything anew: which changes were missed is not known."""
        page = await list_changes(self._db, self._scope, edge_policy(self._config), Window(0))
        async with self._store.delivering() as tx:
            await sandboxes.note_cursor(tx, self._scope.sandbox_id, _text(page.end))
            for pair in self._asked.values():
                await edge.begin(tx, self._scope.sandbox_id, edge.next_edition(*pair, is_behind=True))
        edge.position = page.end

    async def _put_off(self, tx: Session, edge: EdgeSandbox, edition: Edition, why: str) -> None:
        """Fill a configuration anew, later, as it misses changes that could not be projected."""
        self._faults[edition.configuration_id] = monotonic(), why
        fill = edge.fills.get(edition.configuration_id)
        if fill is None or fill.filled_to is not None:
            anew = edge.next_edition(edition.configuration, edition.destination, is_behind=True)
            await edge.begin(tx, self._scope.sandbox_id, anew)

    # -------------------------------------------------------------------------------------------- changes

    async def _follow(self, edge: EdgeSandbox) -> bool:
        """Bring the edge a page of the journal."""
        began = monotonic()
        if edge.position is None:
            return True
        try:
            window = Window(PEOPLE_PER_PIECE, after=edge.position.key)
            page = await list_changes(self._db, self._scope, edge_policy(self._config), window)
        except CursorExpired:
            edge.position = None
            return True
        self._current_since = None if page.has_next else began
        if page.items:
            await self._bring(edge, page)
            self._has_delivered = True
        elif began - self._told_at >= NOTE_SECONDS:
            async with self._store.delivering() as tx:
                await self._note_position(tx, edge, page.end)
        edge.position = page.end
        return page.has_next

    async def _bring(self, edge: EdgeSandbox, page: ChangePage) -> None:
        """Deliver the people of a page as they are now, and take away people who are no more."""
        asked = dict.fromkeys(xid for change in page.items for xid in (change.profile_id, *change.former_profile_ids))
        asked |= dict.fromkeys(xid for change in page.items if change.kind is ChangeKind.DELETED for xid in change.xids)
        graph = edge_policy(self._config).settings.identity_graph
        found = await read_people(self._db, self._scope, self._config, list(asked), graph=graph)
        people = {each.person.profile_id: each.person for each in found if each.person}
        async with self._store.delivering() as tx:
            await self._remove(tx, page, [xid for xid in asked if xid not in people])
            for edition in self._kept_up(edge):
                chosen = await self._held(tx, edition, list(people.values())) if edition.is_reactive else list(people)
                for start in range(0, len(chosen), PEOPLE_PER_PIECE):
                    await self._put(tx, edge, edition, chosen[start : start + PEOPLE_PER_PIECE])
            await self._note_position(tx, edge, page.end)

    async def _remove(self, tx: Session, page: ChangePage, gone: Sequence[UUID]) -> None:
        """Take away people who are no more; count what goes of erased ones."""
        sandbox_id, left = self._scope.sandbox_id, set(gone)
        for withdrawal, erased in (await find_erased(self._db, self._scope, page.items, gone)).items():
            removed = await projections.remove(tx, sandbox_id, self._people.hidden(list(erased)), erased=True)
            if removed:
                await count_withdrawn(self._db, self._scope, self._store.data_center, withdrawal, removed)
            left -= erased
        if left:
            await projections.remove(tx, sandbox_id, self._people.hidden(list(left)), erased=False)

    async def _held(self, tx: Session, edition: Edition, people: Sequence[Person]) -> list[UUID]:
        """Return the people that the edge knows of, by themselves or by one of their identities."""
        hidden = self._people.hidden([person.profile_id for person in people])
        keys = [self._keys(_identities(person.identity_map)) for person in people]
        held = await projections.find_held(
            tx,
            self._scope.sandbox_id,
            edition.configuration_id,
            edition.number,
            people=hidden,
            identities=[key for each in keys for key in each],
        )
        return [
            person.profile_id
            for person, own, each in zip(people, hidden, keys, strict=True)
            if own in held.people or held.identities.intersection(each)
        ]

    async def _note_position(self, tx: Session, edge: EdgeSandbox, position: Position) -> None:
        """Let the edge know up to where it has the journal; and if that is the present, that all it serves is of then."""
        sandbox_id, cursor = self._scope.sandbox_id, _text(position)
        if self._current_since is None:
            await sandboxes.note_cursor(tx, sandbox_id, cursor)
            return
        whole = [
            edition.configuration_id
            for edition in self._kept_up(edge)
            if edge.served.get(edition.configuration_id) == edition.number
        ]
        await sandboxes.confirm(tx, sandbox_id, cursor, monotonic() - self._current_since, whole)

    # -------------------------------------------------------------------------------------------- people

    async def _put(self, tx: Session, edge: EdgeSandbox, edition: Edition, profile_ids: Sequence[UUID]) -> bool:
        """Deliver the projections of people. Return False where they cannot be made: then the edition is to be filled anew."""
        try:
            made = await project(self._db, self._scope, self._config, edition.configuration, profile_ids)
        except (BadInput, Misconfigured) as error:
            await self._put_off(tx, edge, edition, error.message)
            return False
        await self._store_projections(tx, edition, made)
        return True

    async def _store_projections(
        self, tx: Session, edition: Edition, made: Sequence[EdgeProjection | TooLarge | None]
    ) -> None:
        sandbox_id = self._scope.sandbox_id
        found = {each.profile_id: each for each in made if each is not None}
        hidden = dict(zip(found, self._people.hidden(list(found)), strict=True))
        large = [each for each in found.values() if isinstance(each, TooLarge)]
        if large:
            self._faults[edition.configuration_id] = float("-inf"), _too_large(large)
            people = [hidden[each.profile_id] for each in large]
            await projections.withdraw(tx, sandbox_id, edition.configuration_id, edition.number, people)
        rows = [
            self._row(edition, hidden[key], each) for key, each in found.items() if isinstance(each, EdgeProjection)
        ]
        await projections.deliver(tx, sandbox_id, rows)

    def _row(self, edition: Edition, person: UUID, made: EdgeProjection) -> DeliveredProjection:
        read = made.profile, made.events, made.times, made.etag, made.projected_at, made.due
        return DeliveredProjection(edition.configuration_id, edition.number, person, self._keys(made.identities), *read)

    def _keys(self, identities: Mapping[str, Sequence[str]]) -> list[UUID]:
        return identity_keys(self._config, self._key, identities)

    async def _fetch(self, tx: Session, edition: Edition, wants: Sequence[Want]) -> None:
        """Deliver the people that the edge was asked for, and note the identities that are nobody's."""
        secret, sandbox_id = self._scope.sandbox.secret, self._scope.sandbox_id
        xids = [xid_of(secret, want.namespace_id, want.value) for want in wants]
        made = await project(self._db, self._scope, self._config, edition.configuration, xids)
        await self._store_projections(tx, edition, made)
        absent = [want.identity for want, each in zip(wants, made, strict=True) if each is None]
        if absent:
            await projections.set_absent(tx, sandbox_id, edition.configuration_id, edition.number, absent)

    # -------------------------------------------------------------------------------------------- what time and configuration bring

    async def _refresh(self, edge: EdgeSandbox) -> bool:
        """Deliver some of those again whose values or events are others by now."""
        if monotonic() - self._refreshed_at < NOTE_SECONDS:
            return False
        at, editions = (
            await read_instant(self._db),
            {edition.configuration_id: edition for edition in self._kept_up(edge)},
        )
        due = await projections.list_due(self._store.db, self._scope.sandbox_id, at, PEOPLE_PER_PIECE)
        people: dict[UUID, list[UUID]] = {}
        for each in due:
            if each.configuration_id in editions and each.edition == editions[each.configuration_id].number:
                people.setdefault(each.configuration_id, []).append(each.person)
        for key, hidden in people.items():
            async with self._store.delivering() as tx:
                await self._put(tx, edge, editions[key], self._people.shown(hidden))
        is_over = len(due) < PEOPLE_PER_PIECE or not people
        self._refreshed_at = monotonic() if is_over else float("-inf")
        return not is_over

    async def _fill(self, edge: EdgeSandbox) -> bool:
        """Deliver some more people to an edition that is not served yet; serve it once it has all."""
        ready = monotonic() - FAULT_SECONDS
        editions = [edition for edition in self._kept_up(edge) if edge.is_filled(edition)]
        edition = next(
            (each for each in editions if self._faults.get(each.configuration_id, (ready,))[0] <= ready), None
        )
        if edition is None:
            return False
        key, sandbox_id = edition.configuration_id, self._scope.sandbox_id
        fill = edge.fills[key]
        if fill.filled_to is None:
            self._faults.pop(key, None)
        some, last = await self._next_people(edge, edition, UUID(fill.filled_to) if fill.filled_to else NIL)
        async with self._store.delivering() as tx:
            if not await self._put(tx, edge, edition, some):
                return False
            if last is not None:
                filled = fills.Fill(key, edition.number, str(last), fill.done + len(some))
                await fills.note_fill(tx, sandbox_id, key, edition.number, filled_to=filled.filled_to, done=filled.done)
            else:
                await edge.end(tx, sandbox_id, edition)
                if edge.position is not None:
                    await self._note_position(tx, edge, edge.position)
        if last is not None:
            edge.fills[key] = filled
        else:
            edge.counts = await projection_editions.count(self._store.db, sandbox_id)
            self._told_at = float("-inf")
        self._has_delivered = True
        return True

    async def _next_people(self, edge: EdgeSandbox, edition: Edition, after: UUID) -> tuple[list[UUID], UUID | None]:
        """Return the people that an edition is to be filled with next, and the key behind which others come; None if these are the last."""
        if edition.is_reactive:
            of = self._scope.sandbox_id, edition.configuration_id, edge.served[edition.configuration_id]
            hidden = await projections.list_people(self._store.db, *of, after=after, limit=PEOPLE_PER_PIECE)
            return self._people.shown(hidden), hidden[-1] if len(hidden) == PEOPLE_PER_PIECE else None
        graph = edge_policy(self._config).settings.identity_graph
        rows = await list_people_after(self._db, self._scope, graph, after, PEOPLE_PER_PIECE)
        profile_ids = [row["profile_id"] for row in rows]
        return profile_ids, profile_ids[-1] if len(rows) == PEOPLE_PER_PIECE else None

    async def _drop(self, edge: EdgeSandbox) -> bool:
        """Take away some of what is not served any more."""
        for key, staying in edge.leftover(self._asked).items():
            async with self._store.delivering() as tx:
                of = self._scope.sandbox_id, key, staying, DROPPED_PER_PIECE
                if await projections.drop_projections(tx, *of):
                    return True
            edge.counts[key] = {number: edge.counts[key].get(number, 0) for number in staying}
        return False

    # -------------------------------------------------------------------------------------------- what is told

    async def _tell(self, edge: EdgeSandbox) -> None:
        """Note at the hub what the edge has, once a second."""
        if monotonic() - self._told_at < NOTE_SECONDS or edge.position is None:
            return
        if self._has_delivered and monotonic() - self._counted_at >= COUNT_SECONDS:
            edge.counts = await projection_editions.count(self._store.db, self._scope.sandbox_id)
            self._counted_at = monotonic()
        is_whole = self._current_since is not None and not edge.is_behind
        confirmed_at = datetime.fromtimestamp(edge.position.since.at / 1_000, UTC) if is_whole else None
        states = [await self._state(edge, key) for key in self._asked]
        sandbox_id, data_center = self._scope.sandbox_id, self._store.data_center
        async with self._db.transaction(sandbox_id) as tx:
            counted = {"projections": edge.projections, "delivered": self._has_delivered}
            await note_delivery(tx, sandbox_id, data_center, edge.position, confirmed_at, **counted)
            for state in states:
                await note_configuration(tx, sandbox_id, state)
        self._told_at, self._has_delivered = monotonic(), False

    async def _state(self, edge: EdgeSandbox, key: UUID) -> ConfigurationDelivery:
        fill, (_, fault) = edge.fills.get(key), self._faults.get(key, (0.0, None))
        if fill is None:
            self._totals.pop(key, None)
        elif key not in self._totals:
            self._totals[key] = await self._total(edge, key)
        done = fill.done if fill else sum(edge.counts.get(key, {}).values())
        total = self._totals.get(key, done)
        filling = fill.edition if fill else None
        return ConfigurationDelivery(self._store.data_center, key, edge.served.get(key), filling, done, total, fault)

    async def _total(self, edge: EdgeSandbox, key: UUID) -> int:
        """Count the people that a configuration is to be filled with."""
        edition = edge.edition(*self._asked[key])
        if edition is not None and edition.is_reactive:
            return edge.counts.get(key, {}).get(edge.served[key], 0)
        return await count_profiles(self._db, self._scope, edge_policy(self._config))


def _text(position: Position) -> str:
    return orjson.dumps(position.key).decode()


def _identities(identity_map: str) -> dict[str, list[str]]:
    return {code: [each["id"] for each in listed] for code, listed in orjson.loads(identity_map).items()}


def _too_large(large: Sequence[TooLarge]) -> str:
    return f"{len(large)} people have projections of more than 256 kB, up to {max(each.size for each in large):,} bytes: they are not delivered. Select less."

"""Verification of an edge: every projection that it serves is compared with a fresh one, and nobody is missing. Nothing is written."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.edges import configurations, projections
from gateway.domain.edges.keys import edge_key
from gateway.domain.edges.projections import DeliveredProjection
from gateway.domain.operations.projection_centers import GENERATION_BITS
from gateway.domain.operations.projection_editions import Edition, asked_of
from gateway.domain.operations.projection_people import People, identity_keys
from gateway.domain.reading.edge_projections import EdgeProjection, edge_policy, project
from gateway.domain.reading.kept_values import list_people_after
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.check import Difference
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database

PEOPLE_PER_READ: Final = 200


async def verify_edge(
    db: Database, edge: Database, scope: Scope, config: Configuration, data_center: str
) -> tuple[int, list[Difference]]:
    """Compare what the edge of a data centre serves of the sandbox with fresh projections. Return how many were compared, and the differences.

    Writers may go on; what they change and the edge has yet to get counts as different. Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    checking = _Checking(db, edge, scope, config, data_center)
    served = {each.configuration_id: each.edition for each in await configurations.list_served(edge, scope.sandbox_id)}
    asked = asked_of(config, data_center)
    for key, (configuration, destination) in asked.items():
        number = served.get(key)
        if number is None or number >> GENERATION_BITS != configuration.content_version:
            checking.differs(key, "the newest edition is not served")
            continue
        await checking.check(Edition(configuration, destination, number))
    for key in served.keys() - asked.keys():
        checking.differs(key, "is served, and should not be")
    return checking.compared, checking.differences


class _Checking:
    def __init__(self, db: Database, edge: Database, scope: Scope, config: Configuration, data_center: str) -> None:
        self._db, self._edge, self._scope, self._config = db, edge, scope, config
        self._data_center = data_center
        self._people = People(scope.sandbox.secret, data_center)
        self._key = edge_key(scope.sandbox.secret, data_center)
        self.compared = 0
        self.differences: list[Difference] = []

    def differs(self, key: UUID, message: str) -> None:
        self.differences.append(Difference(f"edge {self._data_center}", str(key), message))

    async def check(self, edition: Edition) -> None:
        """Compare every row of an edition, and look for people who have none where everybody is to have one."""
        async for rows in self._rows(edition):
            people = self._people.shown([row.person for row in rows])
            fresh = await project(self._db, self._scope, self._config, edition.configuration, people)
            for row, profile_id, made in zip(rows, people, fresh, strict=True):
                self.compared += 1
                if why := self._difference(row, profile_id, made):
                    self.differs(profile_id, f"{edition.configuration.name}: {why}")
        if not edition.is_reactive:
            await self._find_missing(edition)

    async def _rows(self, edition: Edition) -> AsyncIterator[Sequence[DeliveredProjection]]:
        after, of = None, (self._scope.sandbox_id, edition.configuration_id, edition.number)
        while rows := await projections.read_projections(self._edge, *of, after=after, limit=PEOPLE_PER_READ):
            yield rows
            after = rows[-1].person

    def _difference(self, row: DeliveredProjection, profile_id: UUID, made: Any) -> str | None:
        """Return how a row differs from a fresh projection of its person."""
        if not isinstance(made, EdgeProjection) or made.profile_id != profile_id:
            return "there is no such person"
        if orjson.loads(row.profile) != orjson.loads(made.profile):
            return "another profile"
        if list(map(orjson.loads, row.events)) != list(map(orjson.loads, made.events)):
            return "other events"
        if set(row.identities) != set(identity_keys(self._config, self._key, made.identities)):
            return "other identities"
        return None

    async def _find_missing(self, edition: Edition) -> None:
        graph, after = edge_policy(self._config).settings.identity_graph, NIL
        while rows := await list_people_after(self._db, self._scope, graph, after, PEOPLE_PER_READ):
            people = [row["profile_id"] for row in rows]
            hidden = self._people.hidden(people)
            of = self._scope.sandbox_id, edition.configuration_id, edition.number
            held = await projections.find_held(self._edge, *of, people=hidden, identities=[])
            lacking = [each for each, own in zip(people, hidden, strict=True) if own not in held.people]
            made = await project(self._db, self._scope, self._config, edition.configuration, lacking)
            for profile_id, each in zip(lacking, made, strict=True):
                if isinstance(each, EdgeProjection):
                    self.differs(profile_id, f"{edition.configuration.name}: is missing")
            after = people[-1]

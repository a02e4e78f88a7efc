"""What an edge has of a sandbox, and what it is to have.

An edge has a configuration in editions. The number of one is the configuration's content version, and how often that was filled anew, as it has
to be once the edge has missed changes. Each edition is filled beside the one that is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.projection_configurations import ProjectionConfiguration
from gateway.domain.config.projection_destinations import ProjectionDestination, ReplicationPolicy
from gateway.domain.edges import configurations, fills, projections, sandboxes
from gateway.domain.edges.configurations import ServedConfiguration
from gateway.domain.edges.fills import Fill
from gateway.domain.operations.projection_centers import GENERATION_BITS
from gateway.domain.rules.changes import Position, position_of
from gateway.storage.database import Database, Session


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of a configuration at an edge."""

    configuration: ProjectionConfiguration
    destination: ProjectionDestination
    number: int

    @property
    def configuration_id(self) -> UUID:
        return self.configuration.configuration_id

    @property
    def is_reactive(self) -> bool:
        """Whether the edge has only what it was asked for."""
        return self.destination.settings.replication_policy is ReplicationPolicy.REACTIVE

    @property
    def served(self) -> ServedConfiguration:
        """The configuration as the edge serves it."""
        window, of = self.configuration.settings.events, self.destination.settings
        within = str(window.within) if window and window.within else None
        name, policy = self.configuration.name, of.replication_policy
        return ServedConfiguration(self.configuration_id, self.number, name, policy, of.ttl, within)


@dataclass(slots=True)
class EdgeSandbox:
    """What an edge has of a sandbox: as it said, and as it was changed since.

    `position` is in the journal, None before the first delivery; `digest` is of what the edge knows of the sandbox itself. `served` and
    `fills` have the numbers by configurations, `counts` the projections by both.
    """

    position: Position | None
    digest: str | None
    served: dict[UUID, int]
    fills: dict[UUID, Fill]
    counts: dict[UUID, dict[int, int]]

    @classmethod
    async def read(cls, edge: Database, sandbox_id: int) -> "EdgeSandbox":
        """Ask the edge."""
        received = {each.sandbox_id: each for each in await sandboxes.list_sandboxes(edge)}.get(sandbox_id)
        return cls(
            position_of(tuple(orjson.loads(received.cursor))) if received and received.cursor else None,
            received.digest if received else None,
            {each.configuration_id: each.edition for each in await configurations.list_served(edge, sandbox_id)},
            {each.configuration_id: each for each in await fills.list_fills(edge, sandbox_id)},
            await count(edge, sandbox_id),
        )

    @property
    def projections(self) -> int:
        """How many projections there were when they were last counted."""
        return sum(number for numbers in self.counts.values() for number in numbers.values())

    def edition(self, configuration: ProjectionConfiguration, destination: ProjectionDestination) -> Edition | None:
        """Return the newest edition with the configuration's present content; None where the edge has none yet."""
        key = configuration.configuration_id
        fill, served = self.fills.get(key), self.served.get(key)
        numbers = [number for number in (fill.edition if fill else None, served) if number is not None]
        own = [number for number in numbers if number >> GENERATION_BITS == configuration.content_version]
        return Edition(configuration, destination, max(own)) if own else None

    def next_edition(
        self, configuration: ProjectionConfiguration, destination: ProjectionDestination, *, is_behind: bool
    ) -> Edition:
        """Return the edition that is to be filled next. `is_behind`: what is served has missed changes."""
        newest = self.edition(configuration, destination)
        first = (configuration.content_version << GENERATION_BITS) + (
            is_behind and configuration.configuration_id in self.served
        )
        return Edition(configuration, destination, first if newest is None else newest.number + 1)

    def is_filled(self, edition: Edition) -> bool:
        """Return whether an edition is yet to be served."""
        fill = self.fills.get(edition.configuration_id)
        return fill is not None and fill.edition == edition.number

    @property
    def is_behind(self) -> bool:
        """Whether something is served that has missed changes, people who are no more among them."""
        mask = (1 << GENERATION_BITS) - 1
        return any(fill.edition & mask for key, fill in self.fills.items() if key in self.served)

    async def begin(self, tx: Session, sandbox_id: int, edition: Edition) -> None:
        """Begin to fill an edition. One that the edge asks for, and has nothing of, is served at once."""
        key = edition.configuration_id
        if edition.is_reactive and key not in self.served:
            await configurations.switch(tx, sandbox_id, edition.served)
            self.served[key] = edition.number
            self.fills.pop(key, None)
        else:
            await fills.begin_fill(tx, sandbox_id, key, edition.number)
            self.fills[key] = Fill(key, edition.number, None, 0)

    async def end(self, tx: Session, sandbox_id: int, edition: Edition) -> None:
        """Serve an edition that is filled."""
        await configurations.switch(tx, sandbox_id, edition.served)
        self.served[edition.configuration_id] = edition.number
        del self.fills[edition.configuration_id]

    def leftover(self, asked: Mapping[UUID, Any]) -> dict[UUID, list[int]]:
        """Return configurations that the edge has more numbers of than it serves and fills, with the numbers that stay."""
        found = {}
        for key, numbers in self.counts.items():
            kept = [self.served.get(key), self.fills[key].edition if key in self.fills else None]
            staying = [number for number in kept if number is not None] if key in asked else []
            if numbers.keys() - set(staying):
                found[key] = staying
        return found


async def count(edge: Database, sandbox_id: int) -> dict[UUID, dict[int, int]]:
    """Count the projections at an edge by configurations and numbers."""
    counts: dict[UUID, dict[int, int]] = {}
    for each in await projections.count_projections(edge, sandbox_id):
        counts.setdefault(each.configuration_id, {})[each.edition] = each.projections
    return counts


Asked = Mapping[UUID, tuple[ProjectionConfiguration, ProjectionDestination]]
"""The configurations that an edge is to have, with their destinations."""


def asked_of(config: Configuration, data_center: str) -> Asked:
    """Return what the edge of a data centre is to have of the sandbox; nothing without a policy that is active on the edge."""
    if config.edge_policy is None:
        return {}
    found = {key: (each, config.destinations[each.settings.destination_id]) for key, each in config.projections.items()}
    return {key: pair for key, pair in found.items() if data_center in pair[1].settings.data_centers}

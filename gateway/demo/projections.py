"""The demo's projection: of every household what a web shop would greet it by, at the edges of the demo."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.domain.config import policies, projection_configurations, projection_destinations
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.projection_configurations import EventWindow, ProjectionSettings
from gateway.domain.config.projection_destinations import DestinationSettings, ReplicationPolicy
from gateway.domain.config.tenants import read_sandbox
from gateway.domain.rules.scope import Scope
from gateway.storage.database import Database

NAME: Final = "shop"
SELECTOR: Final = (
    "person.name(firstName,lastName),homeAddress.city,_{code}.ComputedAttributes(lifetimeValue,favouriteCategory)"
)
EVENTS: Final = EventWindow(
    "eventType,timestamp,commerce.order.priceTotal", last=3, where='eventType = "commerce.purchases"'
)
TTL: Final = 3_600


async def project(db: Database, scope: Scope, configurations: Configurations, data_centers: Sequence[str]) -> UUID:
    """Project every household to edges in these data centres, and return the id of the configuration. What there is of it is brought in line.

    Raises Conflict where another policy than the default one is active on the edge, Invalid, Forbidden.
    """
    config = await _config(db, scope, configurations)
    if config.edge_policy is None:
        active = {"is_active_on_edge": True}
        await policies.update_policy(db, scope, config.default_policy.policy_id, active)
    settings = DestinationSettings(tuple(data_centers), TTL, ReplicationPolicy.PROACTIVE)
    found = config.projections.named(NAME, lambda each: each.name)
    if found is not None:
        target = config.destinations[found.settings.destination_id]
        await projection_destinations.update_destination(db, scope, target.destination_id, settings, target.version)
        return found.configuration_id
    target = await projection_destinations.create_destination(db, scope, settings)
    selector = SELECTOR.format(code=scope.organization.code)
    made = ProjectionSettings(NAME, target.destination_id, selector, EVENTS)
    configuration = await projection_configurations.create_projection(db, scope, config.selectable, made)
    return configuration.configuration_id


async def _config(db: Database, scope: Scope, configurations: Configurations) -> Configuration:
    """Return the configuration as it is now."""
    sandbox = await read_sandbox(db, scope.organization.organization_id, scope.sandbox.name)
    return await configurations.read(db, scope, sandbox.config_version if sandbox else None)

"""Data centres as callers see them: whether their edges answer, and how far these are behind."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.config.configuration import Configuration
from gateway.domain.operations.projection_centers import count_pending, list_deliveries, list_held, read_reached
from gateway.domain.rules.scope import READ_CONFIGURATION, Scope
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class DataCenter:
    """A data centre and what its edge has of the sandbox.

    `error`: why nothing is delivered. `lag_seconds`: how long ago everything was there; None if it never was. `pending_changes`: changes of
    people that are yet to come, at most MAX_PENDING.
    """

    code: str
    is_reachable: bool
    error: str | None
    lag_seconds: float | None
    pending_changes: int
    projections: int
    last_delivered_at: datetime | None


async def list_data_centers(db: Database, scope: Scope, config: Configuration) -> list[DataCenter]:
    """List the data centres that destinations of the sandbox name, and those that the deployment delivers to, by code.

    Needs `profile:read` or `config:write`. Raises Forbidden.
    """
    scope.require(*READ_CONFIGURATION)
    named = {code for each in config.destinations.values() for code in each.settings.data_centers}
    return await read_data_centers(db, scope, named.union(await list_held(db)))


async def read_data_centers(db: Database, scope: Scope, codes: Collection[str]) -> list[DataCenter]:
    """Read what is known of these data centres, by code. Needs `profile:read` or `config:write`. Raises Forbidden."""
    scope.require(*READ_CONFIGURATION)
    ordered = sorted(codes)
    reached = await read_reached(db, ordered)
    deliveries = [each for each in await list_deliveries(db, scope) if each.data_center in reached]
    pending = dict(zip(deliveries, await count_pending(db, scope, deliveries), strict=True))
    known = {each.data_center: each for each in deliveries}
    return [
        DataCenter(
            code,
            reached[code].is_reachable,
            reached[code].error,
            known[code].lag_seconds if code in known else None,
            pending[known[code]] if code in known else 0,
            known[code].projections if code in known else 0,
            known[code].delivered_at if code in known else None,
        )
        for code in ordered
    ]

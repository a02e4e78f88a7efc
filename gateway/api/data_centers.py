"""Data centres: whether their edges answer, and how far these are behind the hub."""

from datetime import datetime

import strawberry

from gateway.api.context import Info, attribute, plain, resolved_by
from gateway.api.scalars import Long
from gateway.domain.operations import data_centers
from gateway.domain.operations.data_centers import DataCenter


@strawberry.type(name="DataCenter", description="A data centre, and what the edge in it has of the sandbox.")
class DataCenterType:
    code: str = plain("Its code, such as `VA6`.")
    is_reachable: bool = plain("Whether its edge answers, and is delivered to.")
    error: str | None = plain(
        "Why nothing is delivered to it: no edge of this deployment stands there, it does not answer, or it is of another version; null where it is."
    )
    lag_seconds: float | None = plain(
        "Seconds since everything that was committed at the hub was there; null where it never was."
    )
    pending_changes: Long = plain(
        "Changes of people that are yet to reach it, as far as they are counted: at most 100,000."
    )
    projections: Long = plain("Projections that it holds, counted once a minute.")
    last_delivered_at: datetime | None = plain("When something was delivered to it last; null where nothing was.")


@strawberry.type(name="EdgeStatus", description="How the edge in one data centre of a destination is.")
class EdgeStatusType:
    data_center: str = attribute("code", "The code of the data centre.")
    reachable: bool = attribute("is_reachable", "Whether the edge answers, and is delivered to.")
    error: str | None = plain("Why nothing is delivered to it; null where it is.")
    lag_seconds: float | None = plain(
        "Seconds since everything that was committed at the hub was there; null where it never was."
    )
    pending_changes: Long = plain(
        "Changes of people that are yet to reach it, as far as they are counted: at most 100,000."
    )
    last_delivered_at: datetime | None = plain("When something was delivered to it last; null where nothing was.")


async def _data_centers(info: Info) -> list[DataCenter]:
    context = info.context
    return await data_centers.list_data_centers(context.db, context.scope, context.config)


@strawberry.type(description="Queries of data centres.")
class DataCenterQuery:
    data_centers: list[DataCenterType] = resolved_by(
        _data_centers,
        "The data centres that destinations of the sandbox name, and those that this deployment delivers to, by code. Needs the scope `profile:read` or `config:write`.",
    )

"""Destinations of projections: the data centres in which edges serve them."""

from enum import StrEnum
from typing import Annotated, Any

import strawberry

from gateway.api.catalog import Catalog, configured
from gateway.api.context import Context, Info, attribute, later, plain, resolved_by
from gateway.api.data_centers import EdgeStatusType
from gateway.api.ids import input_id
from gateway.api.mutations import DeleteInput, DeletePayload, UserError, changed, mutation, user_errors
from gateway.api.nodes import Edited, Node, id_field, look_up
from gateway.api.pagination import After, Before, Connection, First, Last, Slice
from gateway.api.scalars import described
from gateway.api.weights import OBJECT, Weight
from gateway.domain.config import projection_destinations
from gateway.domain.config.projection_configurations import ProjectionConfiguration
from gateway.domain.config.projection_destinations import (
    EDGE,
    DestinationSettings,
    ProjectionDestination,
    ReplicationPolicy,
)
from gateway.domain.operations.data_centers import DataCenter, read_data_centers
from gateway.domain.rules.scope import Permission

DEFAULT_TTL = 3_600  # seconds

described(
    ReplicationPolicy,
    "ReplicationPolicy",
    "How edges get the projections that they serve.",
    PROACTIVE="Everybody's projection is there before it is asked for, and each change is pushed.",
    REACTIVE="An edge fetches a projection when it is first asked for it, and keeps it for `ttl` seconds; what it holds is refreshed.",
)


class DestinationOrder(StrEnum):
    """What destinations are ordered by."""

    CREATED_AT = "CREATED_AT"


DESTINATIONS: Catalog[ProjectionDestination] = Catalog(
    "ProjectionDestination",
    "projectionDestinations",
    configured(lambda context: context.config.destinations),
    None,
    {DestinationOrder.CREATED_AT: lambda each: (each.created_at, each.destination_id)},
)


# ------------------------------------------------------------------------------------------------ types


def _type(_: strawberry.Parent[ProjectionDestination]) -> str:
    return EDGE


def _configurations(destination: strawberry.Parent[ProjectionDestination], info: Info) -> list[ProjectionConfiguration]:
    found = info.context.config.projections.values()
    return [each for each in found if each.settings.destination_id == destination.destination_id]


async def _status(destination: strawberry.Parent[ProjectionDestination], info: Info) -> list[DataCenter]:
    codes, context = destination.settings.data_centers, info.context
    known = {each.code: each for each in await read_data_centers(context.db, context.scope, codes)}
    return [known[code] for code in codes]


@strawberry.type(
    name="ProjectionDestination",
    description="Where projections go: data centres in which edges serve them, and how what they hold is kept up.",
)
class ProjectionDestinationType(Edited, Node):
    domain = ProjectionDestination
    is_loaded = False

    id: strawberry.ID = id_field("Global id of the destination.", "ProjectionDestination", "destination_id")
    type: str = resolved_by(_type, "The kind of destination: always `EDGE`.")
    data_centers: list[str] = attribute(
        "settings.data_centers",
        "Codes of the data centres, such as `VA6`. One in which no edge of this deployment stands is told as unreachable.",
    )
    ttl: int = attribute(
        "settings.ttl", "Seconds that an edge keeps what it has fetched; of no account where changes are pushed."
    )
    replication_policy: ReplicationPolicy = attribute(
        "settings.replication_policy", "Whether changes are pushed, or edges fetch what they are asked for."
    )
    status: list[EdgeStatusType] = resolved_by(
        _status, "How the edge in each of the data centres is, in their order.", weight=Weight(10 * OBJECT)
    )
    configurations: Any = resolved_by(
        _configurations,
        "The configurations whose projections go there, by name.",
        list[later("gateway.api.projection_configurations", "ProjectionConfigurationType")],  # type: ignore[misc]
    )


# ------------------------------------------------------------------------------------------------ queries


async def _destinations(
    info: Info, *, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[ProjectionDestination]:
    return await DESTINATIONS.page(info.context, (first, after, last, before))


DestinationId = Annotated[strawberry.ID, strawberry.argument(name="id", description="Its global id.")]


async def _destination(info: Info, destination_id: DestinationId) -> ProjectionDestination | None:
    return await look_up(info.context, DESTINATIONS.read, destination_id, DESTINATIONS.type_name)


@strawberry.type(description="Queries of destinations of projections.")
class ProjectionDestinationQuery:
    projection_destinations: Connection[ProjectionDestinationType] = resolved_by(
        _destinations, "The destinations of projections of the sandbox, the oldest first; at most twenty."
    )
    projection_destination: ProjectionDestinationType | None = resolved_by(
        _destination, "The destination with this id; null where the sandbox has none."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A destination of projections to be made.")
class ProjectionDestinationInput:
    type: str | None = plain("The kind of destination: `EDGE` is the only one.", default=EDGE)
    data_centers: list[str] = plain(
        "Codes of data centres, each once: two or three capital letters and one or two digits, such as `VA6`."
    )
    ttl: int | None = plain("Seconds that an edge keeps what it has fetched, from 600 to 604,800.", default=DEFAULT_TTL)
    replication_policy: ReplicationPolicy | None = plain(
        "Whether changes are pushed, or edges fetch what they are asked for.", default=ReplicationPolicy.REACTIVE
    )


@strawberry.input(description="What a destination is to be from now on: all of it is given.")
class UpdateProjectionDestinationInput:
    id: strawberry.ID = plain("The destination to change.")
    data_centers: list[str] = plain("Codes of data centres, each once. Edges elsewhere forget what they hold for it.")
    ttl: int = plain("Seconds that an edge keeps what it has fetched, from 600 to 604,800.")
    replication_policy: ReplicationPolicy = plain("Whether changes are pushed, or edges fetch what they are asked for.")
    current_version: int = plain(
        "The `version` that the caller has read: where there is another by now, the answer is STALE and nothing is done."
    )


@strawberry.type(description="The destination of projections that was made or changed, or what was wrong.")
class ProjectionDestinationPayload:
    projection_destination: ProjectionDestinationType | None = changed(
        "The destination as it is now; null where nothing was done."
    )
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: ProjectionDestinationInput) -> ProjectionDestination:
    settings = DestinationSettings(
        tuple(given.data_centers),
        DEFAULT_TTL if given.ttl is None else given.ttl,
        given.replication_policy or ReplicationPolicy.REACTIVE,
    )
    kind = EDGE if given.type is None else given.type
    return await projection_destinations.create_destination(context.db, context.scope, settings, kind=kind)


async def _update(context: Context, given: UpdateProjectionDestinationInput) -> ProjectionDestination:
    destination_id = input_id(given.id, "ProjectionDestination", "id")
    settings = DestinationSettings(tuple(given.data_centers), given.ttl, given.replication_policy)
    return await projection_destinations.update_destination(
        context.db, context.scope, destination_id, settings, given.current_version
    )


async def _delete(context: Context, given: DeleteInput) -> strawberry.ID:
    destination_id = input_id(given.id, "ProjectionDestination", "id")
    await projection_destinations.delete_destination(context.db, context.scope, destination_id, given.current_version)
    return given.id


@strawberry.type(description="Mutations of destinations of projections.")
class ProjectionDestinationMutation:
    create_projection_destination: ProjectionDestinationPayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Makes a destination of projections; a sandbox has at most twenty. Needs the scope `config:write`.",
        configures=True,
    )
    update_projection_destination: ProjectionDestinationPayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Replaces what is chosen of a destination; what is projected to it is delivered again. Needs the scope `config:write`.",
        configures=True,
    )
    delete_projection_destination: DeletePayload = mutation(
        _delete,
        Permission.CONFIG_WRITE,
        "Deletes a destination to which nothing is projected; else CONFLICT. Needs the scope `config:write`.",
        configures=True,
    )

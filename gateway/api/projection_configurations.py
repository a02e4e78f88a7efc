"""Configurations of projections: which part of every person edges serve, and under which name."""

from enum import StrEnum
from typing import Annotated, Any

import strawberry

from gateway.api.catalog import ById, ByName, Catalog, configured, equals
from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.mutations import DeleteInput, DeletePayload, UserError, changed, changes_of, mutation, user_errors
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Slice
from gateway.api.projection_destinations import ProjectionDestinationType
from gateway.domain.config import projection_configurations
from gateway.domain.config.projection_configurations import EventWindow, ProjectionConfiguration, ProjectionSettings
from gateway.domain.config.projection_destinations import ProjectionDestination
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.scope import Permission
from gateway.xdm.classes import XdmClass

DEFAULT_EVENTS = 10


class ProjectionOrder(StrEnum):
    """What configurations are ordered by."""

    NAME = "NAME"


PROJECTIONS: Catalog[ProjectionConfiguration] = Catalog(
    "ProjectionConfiguration",
    "projectionConfigurations",
    configured(lambda context: context.config.projections),
    "settings.name",
    {ProjectionOrder.NAME: lambda each: (each.settings.name, each.configuration_id)},
)


# ------------------------------------------------------------------------------------------------ types


@strawberry.type(
    name="EventWindow",
    description="Beside the profile's own fields: the newest events of the person, at most `last` of them and none older than `within`, each cut down by `selector`.",
)
class EventWindowType:
    is_loaded = False

    selector: str = plain("The fields of each event that are taken.")
    last: int = plain("How many of the newest events are taken at most.")
    within: Duration | None = plain("How old they are at most when they are served; null for any age.")
    where: str | None = plain("The condition in PQL that they fulfil; null for all events.")


def _class(_: strawberry.Parent[ProjectionConfiguration]) -> XdmClass:
    return XdmClass.INDIVIDUAL_PROFILE


def _destination(configuration: strawberry.Parent[ProjectionConfiguration], info: Info) -> ProjectionDestination:
    return info.context.config.destinations[configuration.settings.destination_id]


async def _problems(configuration: strawberry.Parent[ProjectionConfiguration], info: Info) -> list[str]:
    errors = await info.context.loaders.delivery_errors_by_projection.load(configuration.configuration_id)
    codes = _destination(configuration, info).settings.data_centers
    of_edges = [f"{code}: {errors[code]}" for code in codes if code in errors]
    return of_edges if configuration.fault is None else [configuration.fault, *of_edges]


@strawberry.type(
    name="ProjectionConfiguration",
    description="A part of every person that edges hold ready and serve under a name: fields of the profile, as the merge policy sees it that is active on the edge, and a window of the newest events.",
)
class ProjectionConfigurationType(Edited, Node):
    domain = ProjectionConfiguration
    is_loaded = False

    id: strawberry.ID = id_field("Global id of the configuration.", "ProjectionConfiguration", "configuration_id")
    name: str = attribute(
        "settings.name", "The name by which edges serve it; no two configurations of a sandbox share one."
    )
    xdm_class: XdmClass = resolved_by(_class, "What is projected: always INDIVIDUAL_PROFILE.", name="class")
    selector: str = attribute("settings.selector", "The fields of the profile that are taken.")
    events: EventWindowType | None = attribute("settings.events", "The window of events; null without events.")
    destination: ProjectionDestinationType = resolved_by(_destination, "Where it goes.")
    problems: list[str] = resolved_by(
        _problems,
        "What keeps some of it from edges, a sentence each: fields that it names and the union has no more, and by data centre what could not be delivered, such as projections that are too large. Empty as a rule.",
    )


# ------------------------------------------------------------------------------------------------ queries

OfClass = Annotated[
    XdmClass | None,
    strawberry.argument(name="class", description="Only configurations of this class; all are of INDIVIDUAL_PROFILE."),
]
OfName = Annotated[
    str | None, strawberry.argument(name="name", description="Only the configuration of this name, case included.")
]


async def _configurations(
    info: Info,
    *,
    xdm_class: OfClass = None,
    name: OfName = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[ProjectionConfiguration]:
    tests = [] if name is None else [equals("name")(name)]
    if xdm_class is XdmClass.EXPERIENCE_EVENT:
        tests.append(lambda _: False)
    return await PROJECTIONS.page(info.context, (first, after, last, before), None, None, *tests)


async def _configuration(
    info: Info, configuration_id: ById = None, name: ByName = None
) -> ProjectionConfiguration | None:
    return await PROJECTIONS.one(info.context, configuration_id, name)


@strawberry.type(description="Queries of configurations of projections.")
class ProjectionConfigurationQuery:
    projection_configurations: Connection[ProjectionConfigurationType] = resolved_by(
        _configurations, "The configurations of projections of the sandbox, by name; at most twenty."
    )
    projection_configuration: ProjectionConfigurationType | None = resolved_by(
        _configuration, "The configuration with this id or this name; null where the sandbox has none."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="Which events of a person are projected, and what of each.")
class EventWindowInput:
    selector: str = plain("The fields of each event, such as `eventType,commerce.order.priceTotal`.")
    last: int = plain("How many of the newest events, from 1 to 100.", default=DEFAULT_EVENTS)
    within: Duration | None = plain(
        "How old they are at most when they are served, from a minute to three years. Left out, events of any age are taken.",
        default=None,
    )
    where: str | None = plain(
        'A condition in PQL over each event, such as `eventType = "commerce.purchases"`, without `now`. Left out, all events are taken.',
        default=None,
    )


@strawberry.input(description="A configuration of projections to be made.")
class ProjectionConfigurationInput:
    name: str = plain("The name by which edges will serve it; not that of another configuration.")
    xdm_class: XdmClass | None = plain(
        "What is projected: INDIVIDUAL_PROFILE. Events come by `events`.",
        name="class",
        default=XdmClass.INDIVIDUAL_PROFILE,
    )
    selector: str = plain(
        "The fields of the profile, such as `person.name(firstName,lastName),identityMap`; published computed attributes stand among them."
    )
    events: EventWindowInput | None = plain("The window of events; left out, it has no events.", default=None)
    destination_id: strawberry.ID = plain("Where it is to go.")


@strawberry.input(
    description="Changes of a configuration of projections. A field that is left out stays as it is. Edges serve the old view until all of the new one is there."
)
class UpdateProjectionConfigurationInput:
    id: strawberry.ID = plain("The configuration to change.")
    name: str | None = plain("Its new name; null, too, leaves it as it is.", default=None)
    selector: str | None = plain("The fields of the profile; null, too, leaves them as they are.", default=None)
    events: EventWindowInput | None = plain(
        "The window of events, all of it; null takes the events away.", default=strawberry.UNSET
    )
    destination_id: strawberry.ID | None = plain("Where it is to go; null, too, leaves that as it is.", default=None)
    current_version: int = plain(
        "The `version` that the caller has read: where there is another by now, the answer is STALE and nothing is done."
    )


@strawberry.type(description="The configuration of projections that was made or changed, or what was wrong.")
class ProjectionConfigurationPayload:
    projection_configuration: ProjectionConfigurationType | None = changed(
        "The configuration as it is now; null where nothing was done."
    )
    user_errors: list[UserError] = user_errors()


def _window(given: EventWindowInput | None) -> EventWindow | None:
    return None if given is None else EventWindow(given.selector, given.last, given.within, given.where)


async def _create(context: Context, given: ProjectionConfigurationInput) -> ProjectionConfiguration:
    destination_id = input_id(given.destination_id, "ProjectionDestination", "destinationId")
    settings = ProjectionSettings(given.name, destination_id, given.selector, _window(given.events))
    return await projection_configurations.create_projection(
        *(context.db, context.scope, context.config.selectable, settings),
        xdm_class=given.xdm_class or XdmClass.INDIVIDUAL_PROFILE,
    )


async def _update(context: Context, given: UpdateProjectionConfigurationInput) -> ProjectionConfiguration:
    destination_id = given.destination_id and input_id(given.destination_id, "ProjectionDestination", "destinationId")
    required: dict[str, Any] = {
        "name": given.name,
        "selector": given.selector,
        "destination_id": destination_id,
    }
    events = given.events if given.events is strawberry.UNSET else _window(given.events)
    return await projection_configurations.update_projection(
        *(context.db, context.scope, context.config.selectable),
        *(input_id(given.id, "ProjectionConfiguration", "id"), changes_of(required, {"events": events})),
        current_version=given.current_version,
    )


async def _delete(context: Context, given: DeleteInput) -> strawberry.ID:
    configuration_id = input_id(given.id, "ProjectionConfiguration", "id")
    await projection_configurations.delete_projection(
        context.db, context.scope, configuration_id, given.current_version
    )
    return given.id


@strawberry.type(description="Mutations of configurations of projections.")
class ProjectionConfigurationMutation:
    create_projection_configuration: ProjectionConfigurationPayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Makes a configuration of projections; a sandbox has at most twenty. CONFLICT without a merge policy that is active on the edge. What is wrong with a selector or a condition comes with line and column. Needs the scope `config:write`.",
        configures=True,
    )
    update_projection_configuration: ProjectionConfigurationPayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Changes what is given of a configuration of projections. Needs the scope `config:write`.",
        configures=True,
    )
    delete_projection_configuration: DeletePayload = mutation(
        _delete,
        Permission.CONFIG_WRITE,
        "Deletes a configuration of projections: edges serve it no more. Needs the scope `config:write`.",
        configures=True,
    )

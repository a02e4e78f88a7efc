"""Simulation: the identity graphs that some events would make, before they come or before settings change."""

from datetime import datetime
from typing import Annotated

import strawberry

from gateway.api.context import Info, attribute, plain, resolved_by
from gateway.api.identities import IdentityKeyInput
from gateway.api.identity_settings import IdentitySettingsInput, namespace_rules
from gateway.api.mutations import query_errors
from gateway.api.weights import OBJECT, Weight
from gateway.domain.ingest.validation import MAX_IDENTITIES
from gateway.domain.operations import simulation
from gateway.domain.operations.simulation import MAX_EVENTS, MAX_NAMED, GraphPreview, SimulatedEvent
from gateway.domain.rules.graphs import LinkRefusal
from gateway.runtime.threads import COMPUTATIONS


@strawberry.input(description="Identities that would come in one event.")
class SimulatedEventInput:
    identities: list[IdentityKeyInput] = plain(
        f"The identities that it would name, the primary one first: 1 to {MAX_IDENTITIES}. Values that name nobody, such as `guest`, are passed over."
    )
    timestamp: datetime | None = plain(
        "When it would happen. Events without a time happen after all that have one, in their order.", default=None
    )


EventsArgument = Annotated[
    list[SimulatedEventInput],
    strawberry.argument(
        name="events",
        description=f"The events that are imagined: at most {MAX_EVENTS:,}, with {MAX_NAMED:,} identities in all.",
    ),
]
SettingsArgument = Annotated[
    IdentitySettingsInput | None,
    strawberry.argument(
        name="settings",
        description="The identity settings to try, held to the rules of `updateIdentitySettings`; left out, those of the sandbox.",
    ),
]


@strawberry.type(description="An identity that the imagined events name.")
class SimulatedIdentity:
    is_loaded = False

    namespace: str = attribute("namespace.code", "Code of its namespace.")
    value: str = plain("The value, in the one spelling that its namespace compares.")


@strawberry.type(description="Two identities that an imagined event names together.")
class SimulatedLink:
    is_loaded = False

    a: SimulatedIdentity = plain("The one end; of the two, the one that would have the smaller xid.")
    b: SimulatedIdentity = plain("The other end.")
    refusal: LinkRefusal | None = plain("Why the two would not be one person because of it; null where they would.")


@strawberry.type(
    name="IdentityGraphPreview",
    description="A graph that the imagined events would make, as `identityGraph` would show it.",
)
class GraphPreviewType:
    identities: list[SimulatedIdentity] = plain(
        "The identities of one person, at most 50: people's own first, then those of devices and browsers."
    )
    links: list[SimulatedLink] = plain("The links between them, each pair once.")
    refused_links: list[SimulatedLink] = plain(
        "Links of theirs that would join nobody, most of them to identities of other graphs, which show them too."
    )


async def _simulate(info: Info, events: EventsArgument, *, settings: SettingsArgument = None) -> list[GraphPreview]:
    given = [
        SimulatedEvent([(each.namespace, each.value) for each in event.identities], event.timestamp) for event in events
    ]
    rules = None if settings is None else namespace_rules(settings)
    context = info.context
    with query_errors():
        return await COMPUTATIONS.run(simulation.simulate, context.scope, context.config, given, rules)


@strawberry.type(description="Queries of simulation.")
class SimulationQuery:
    simulate_identity_graph: list[GraphPreviewType] = resolved_by(
        _simulate,
        "The identity graphs that these events would make in an empty sandbox, in the order in which the events name them. Nothing is stored, and nothing that is stored takes part but namespaces and settings.",
        weight=Weight(itself=800 * OBJECT, key=15 * OBJECT),
    )

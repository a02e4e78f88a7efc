"""Explanations of computed values: their window, and the events that they are of."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from gateway.api.computed_attributes import ComputedAttributeType
from gateway.api.context import Info, attribute, for_all, plain, resolved_by
from gateway.api.events import EventType
from gateway.api.identities import IdentityNode, identity_of
from gateway.api.scalars import Long
from gateway.api.weights import OBJECT, Weight
from gateway.domain.reading import events
from gateway.domain.reading.attribute_explanations import EVENTS_TOLD, Bucket, ComputedProvenance, read_buckets
from gateway.domain.reading.events import Event


async def _events_of_all(explained: Sequence[ComputedProvenance], info: Info) -> list[list[Event]]:
    context = info.context
    keys = list(dict.fromkeys(key for each in explained for key in each.events))
    found = dict(zip(keys, await events.read_events(context.db, context.scope, keys), strict=True))
    context.loaders.budget.spend(sum(len(event.text) for event in found.values() if event))
    return [[event for key in each.events if (event := found[key])] for each in explained]


@for_all(_events_of_all)
async def _events(explained: strawberry.Parent[ComputedProvenance], info: Info) -> list[Event]:
    return (await _events_of_all([explained], info))[0]


async def _buckets_of_all(explained: Sequence[ComputedProvenance], info: Info) -> list[list[Bucket]]:
    context = info.context
    return await read_buckets(context.db, context.scope, context.config, explained)


@for_all(_buckets_of_all)
async def _buckets(explained: strawberry.Parent[ComputedProvenance], info: Info) -> list[Bucket]:
    return (await _buckets_of_all([explained], info))[0]


@strawberry.type(
    name="AttributeBucket",
    description="What is kept of the events of one identity in a span of time, so that they need not be read for each value.",
)
class AttributeBucketType:
    is_loaded = False

    identity: IdentityNode = resolved_by(identity_of, "The identity under which the events are stored.")
    start: datetime | None = plain("When the span begins, itself included; null of events of all times.")
    end: datetime | None = plain("When the span ends, itself excluded; null of events of all times.")
    events_counted: Long = plain("How many of its events the attribute counts, whether they lie in the window or not.")
    is_whole: bool = plain(
        "Whether all of its events lie in the window; else those that do are read one by one, so that the value is exact."
    )


@strawberry.type(name="ComputedProvenance", description="What a computed value is of.")
class ComputedProvenanceType:
    is_loaded = False

    as_of: datetime = attribute("computed.as_of", "The moment of the value.")
    window_start: datetime | None = attribute(
        "computed.window_start",
        "The time from which on events count, itself included; null where events of any age do, and for an expression over the profile.",
    )
    window_end: datetime = attribute("computed.window_end", "The time up to which events count, itself included.")
    events_counted: Long = attribute(
        "computed.events_counted", "Of how many events the value is; 0 for an expression over the profile."
    )
    is_complete: bool = attribute(
        "computed.is_complete",
        "False where something is left out of the value, as `ComputedAttributeValue.isComplete` says.",
    )
    events: list[EventType] = resolved_by(
        _events, f"The newest of the events that the value is of, the newest first, at most {EVENTS_TOLD}."
    )
    buckets: list[AttributeBucketType] = resolved_by(
        _buckets,
        "What the value is folded of, the newest spans first, at most 100; none where it is computed from events.",
        weight=Weight(OBJECT),
    )
    attribute: ComputedAttributeType = attribute(
        "computed.attribute", "The attribute; `dependencies` are the fields and attributes that it reads."
    )

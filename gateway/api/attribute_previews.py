"""Previews of computed attributes, before there is one."""

from datetime import datetime
from typing import Annotated, Any, Final

import strawberry

from gateway.api.context import Info, attribute, later, plain, resolved_by
from gateway.api.expressions import ExpressionArgument, LookbackArgument
from gateway.api.identities import PolicyArgument, policy_in
from gateway.api.scalars import JSON, Long
from gateway.api.weights import OBJECT, Weight
from gateway.domain.reading.attribute_previews import (
    DEFAULT_SAMPLE,
    MAX_EXAMPLES,
    MAX_SAMPLE,
    Preview,
    preview_attribute,
)
from gateway.pql.types import name_of

SHARE_OF_TIME: Final = 0.6
"""The part of a request's time that a preview may take."""

SampleArgument = Annotated[
    int | None,
    strawberry.argument(
        name="sample",
        description=f"How many people to look at: at most {MAX_SAMPLE:,}, {DEFAULT_SAMPLE:,} where it is left out; the same ones every time.",
    ),
]


@strawberry.type(name="PreviewedValue", description="The value that a person would have.")
class PreviewedValueType:
    is_loaded = False

    profile: Any = plain(
        "The person who would have the value.", graphql_type=later("gateway.api.profiles", "ProfileType")
    )
    value: JSON | None = plain("The value, as `ComputedAttributeValue.value` would be.")
    value_at: datetime | None = plain("For MOST_RECENT the time of the event that the value is from.")
    events_counted: Long = plain("Of how many events it is; 0 for an expression over the profile.")
    is_complete: bool = plain(
        "False where something would be left out of the value, as `ComputedAttributeValue.isComplete` says."
    )


def _merge_function(preview: strawberry.Parent[Preview]) -> str | None:
    aggregate = preview.computation.aggregate
    return None if aggregate is None else aggregate.function.value


def _return_type(preview: strawberry.Parent[Preview]) -> str:
    return name_of(preview.computation.return_type)


def _dependencies(preview: strawberry.Parent[Preview]) -> list[str]:
    return list(preview.computation.expression.paths)


@strawberry.type(
    name="ComputedAttributePreview",
    description="What a computed attribute would be, and give for a sample of people, were there one of an expression.",
)
class ComputedAttributePreview:
    is_loaded = False

    merge_function: str | None = resolved_by(_merge_function, "As `ComputedAttribute.mergeFunction` would be.")
    return_type: str = resolved_by(_return_type, "As `ComputedAttribute.returnType` would be.")
    dependencies: list[str] = resolved_by(_dependencies, "As `ComputedAttribute.dependencies` would be.")
    cost: int = attribute(
        "computation.expression.cost",
        "About how many single values are computed for one person: as `ExpressionCheck.cost`.",
    )
    seconds: float = plain("How long computing the values of the people who were looked at took.")
    as_of: datetime = plain("The moment of the values.")
    window_start: datetime | None = plain("The time from which on events count; null where events of any age do.")
    people_sampled: int = plain("How many people were looked at.")
    people_with_events: int = plain("How many of them have events that count.")
    people_with_value: int = plain("How many of them have a value. A count and a sum of nothing are 0, and values.")
    people_beyond: int = plain(
        "How many of them lack a value because a number in it, or in a value that it reads, is beyond any double: a hint at wrong data."
    )
    is_complete: bool = plain("Whether time sufficed for the sample.")
    is_everybody: bool = plain("Whether there are no other people than those who were looked at.")
    examples: list[PreviewedValueType] = plain(
        f"The first people with a value, at most {MAX_EXAMPLES}.", weight=Weight(size=MAX_EXAMPLES)
    )


async def _preview(
    info: Info,
    expression: ExpressionArgument,
    *,
    merge_policy_id: PolicyArgument = None,
    lookback: LookbackArgument = None,
    sample: SampleArgument = None,
) -> Preview:
    context = info.context
    return await preview_attribute(
        *(context.db, context.scope, context.config, policy_in(context.config, merge_policy_id)),
        text=expression,
        lookback=lookback,
        sample=DEFAULT_SAMPLE if sample is None else sample,
        seconds=context.seconds_left * SHARE_OF_TIME,
    )


@strawberry.type(description="Queries of previews.")
class AttributePreviewQuery:
    preview_computed_attribute: ComputedAttributePreview = resolved_by(
        _preview,
        "What a computed attribute of people with this expression would give for a sample of them, and stores nothing. A mistake in the expression is BAD_PQL with its line and column. Needs the scope `profile:read`.",
        weight=Weight(1_000 * OBJECT),
    )

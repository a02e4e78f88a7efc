"""Computed attributes: what is computed for every person, or for every event, and the values of a person."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

import strawberry

from gateway.api.catalog import ById, ByName, Catalog, Filter, among, condition, configured, contains, equals
from gateway.api.context import Context, Info, attribute, for_all, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.jobs import SystemJobNode
from gateway.api.mutations import (
    DeleteInput,
    DeletePayload,
    UserError,
    changed,
    changes_of,
    current_version,
    mutation,
    user_errors,
    warnings_by,
)
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, OrderDirection, Slice
from gateway.api.projections import related
from gateway.api.scalars import JSON, Long, described
from gateway.domain.config import computed_attributes
from gateway.domain.config.computed_attributes import AttributeSettings, AttributeStatus, ComputedAttribute, dependents
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.retention_warnings import warnings_of_attribute
from gateway.domain.reading.computed_attributes import ComputedValue, compute_values, published_attributes, size_of
from gateway.domain.reading.profiles import Profile
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Job
from gateway.projection.evaluate import constants_of
from gateway.projection.tree import Column, Format, Object, Related
from gateway.xdm.classes import XdmClass

described(
    AttributeStatus,
    "ComputedAttributeStatus",
    "Where a computed attribute stands.",
    DRAFT="Not published: it may change in everything, and nobody has a value.",
    NEW="Published: every person has a value, right at the moment of reading. What `updateComputedAttribute` sets to publish a DRAFT, or a DISABLED or FAILED one again.",
    INITIALIZING="Published, with values; a job waits until all who write events know of it.",
    PROCESSING="Published, with values that are computed from events as long as a job reads the history of people for it.",
    PROCESSED="Published: every person has a value, or every event, which is right at the moment of reading. Nothing is left to do.",
    FAILED="Published, with values that are still computed from events: the job that was to read their history failed, or was cancelled while others read this one. It can be published anew.",
    DISABLED="Switched off: nobody has a value until it is published again.",
)


class ComputedAttributeOrderField(StrEnum):
    """What computed attributes can be ordered by."""

    NAME = "NAME"
    STATUS = "STATUS"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


described(
    ComputedAttributeOrderField,
    "ComputedAttributeOrderField",
    "What computed attributes are ordered by; where that is equal, by id.",
    NAME="The name, by code points.",
    STATUS="The status, by its name.",
    CREATED_AT="When the attribute was made.",
    UPDATED_AT="When the attribute was last changed.",
)

ATTRIBUTES: Catalog[ComputedAttribute] = Catalog(
    "ComputedAttribute",
    "computedAttributes",
    configured(lambda context: context.config.attributes),
    "settings.name",
    {
        ComputedAttributeOrderField.NAME: lambda each: (each.settings.name, each.attribute_id),
        ComputedAttributeOrderField.STATUS: lambda each: (each.status.value, each.attribute_id),
        ComputedAttributeOrderField.CREATED_AT: lambda each: (each.created_at, each.attribute_id),
        ComputedAttributeOrderField.UPDATED_AT: lambda each: (each.updated_at, each.attribute_id),
    },
)


# ------------------------------------------------------------------------------------------------ types


def _language(_: strawberry.Parent[AttributeSettings]) -> str:
    return "PQL"


def _format(_: strawberry.Parent[AttributeSettings]) -> str:
    return "pql/text"


@strawberry.type(description="An expression, and the language that it is in.")
class PqlExpression:
    is_loaded = False

    type: str = resolved_by(_language, "The language: always `PQL`.")
    format: str = resolved_by(_format, "How it is written: always `pql/text`.")
    value: str = attribute("expression", "The expression itself.")


def _dependents(parent: strawberry.Parent[ComputedAttribute], info: Info) -> list[ComputedAttribute]:
    info.context.require_configuration()
    return dependents(parent, info.context.config.attributes.values())


async def _job(parent: strawberry.Parent[ComputedAttribute], info: Info) -> Job | None:
    return None if parent.job_id is None else await info.context.loaders.job_by_id.load(parent.job_id)


async def _progress(parent: strawberry.Parent[ComputedAttribute], info: Info) -> float | None:
    if not parent.is_published or parent.status is AttributeStatus.PROCESSED:
        return 1.0 if parent.is_published else None
    job = await _job(parent, info)
    return None if job is None else job.progress


async def _error(parent: strawberry.Parent[ComputedAttribute], info: Info) -> str | None:
    if parent.fault is not None:
        return parent.fault
    job = await _job(parent, info)
    return None if job is None else job.error


@strawberry.type(
    name="ComputedAttribute",
    description="A value that is computed for each person: one aggregation of their events, or an expression over the profile and other computed attributes. Or, of class EXPERIENCE_EVENT, one that is computed for each event, from that event alone.",
)
class ComputedAttributeType(Edited, Node):
    domain = ComputedAttribute
    is_loaded = False

    id: strawberry.ID = id_field("Global id of the attribute.", "ComputedAttribute", "attribute_id")
    name: str = attribute(
        "settings.name",
        "What programs call it: a letter, then letters and digits; no two of a sandbox share a name.",
        reads=Column("settings.name", Format.TEXT),
    )
    display_name: str = attribute(
        "settings.display_name", "What people call it.", reads=Column("settings.display_name", Format.TEXT)
    )
    description: str | None = attribute("settings.description", "What it is for; null where nobody said.")
    expression: PqlExpression = attribute("settings", "What is computed.")
    lookback: Duration | None = attribute(
        "settings.lookback",
        "How old the events may be that it is of, at the moment of reading; null for events of any age, and where it is no aggregation of events.",
    )
    keep_current: bool = attribute(
        "settings.keep_current", "As it was given; without effect, since values always are current."
    )
    status: AttributeStatus = plain("Whether it has values, and what is still to be done for it.", Format.TEXT)
    job: SystemJobNode | None = resolved_by(
        _job,
        "What reads the history of people for it, or did so last; null where nothing is to be read, or the job is forgotten.",
    )
    progress: float | None = resolved_by(
        _progress,
        "How much of that history is read, from 0 to 1; null for an attribute that is not published, and until the job has begun.",
    )
    error: str | None = resolved_by(
        _error,
        "Why the job failed, or its last attempt was put off; or what is wrong by now with the expression of one that is published, which then has no values. Null where all is well.",
    )
    last_evaluated_at: datetime | None = attribute(
        "backfilled_at",
        "When the history of people was read for it to its end; null until then, and where nothing is to be read. What comes in later is in the values at once.",
    )
    merge_function: str | None = attribute(
        "derived.merge_function",
        "What it makes of events: SUM, COUNT, MIN, MAX, AVERAGE, MOST_RECENT, LIST, DISTINCT, MOST_FREQUENT or GROUPBY; null for an expression over the profile or over one event.",
    )
    return_type: str = attribute(
        "derived.return_type",
        "The type of its values, as `ExpressionCheck.returnType` has it.",
        reads=Column("derived.return_type", Format.TEXT),
    )
    path: str = plain(
        "Where it stands in profiles, or in events: `_{organization code}.ComputedAttributes.{name}`. Expressions find it there. No custom field may take that place.",
        Format.TEXT,
    )
    xdm_class: XdmClass = attribute("settings.xdm_class", "What has a value: people, or single events.", "class")
    dependencies: list[str] = attribute(
        "derived.dependencies",
        "Dotted paths of the fields that it reads, those of a person's events under `xEvent`, those of other attributes at their `path`.",
    )
    dependents: list[Annotated["ComputedAttributeType", strawberry.lazy("gateway.api.computed_attributes")]] = (
        resolved_by(
            _dependents, "The attributes that read it, but not DISABLED ones: while there are some, it is not disabled."
        )
    )


def _attribute(value: strawberry.Parent[ComputedValue]) -> ComputedAttribute:
    return value.attribute


@strawberry.type(
    name="ComputedAttributeValue",
    description="The value that a computed attribute has for a person, at the moment of reading.",
)
class ComputedAttributeValueType:
    is_loaded = False

    attribute: ComputedAttributeType = resolved_by(
        _attribute, "The attribute that it is of.", reads=related("attribute")
    )
    value: JSON | None = plain(
        "The value; null where what it is made of is missing, and where a number in it is beyond any double. Numbers are not rounded, times are text in UTC.",
        Format.JSON,
    )
    value_at: datetime | None = plain(
        "For MOST_RECENT the time of the event that the value is from; null for others, and without an event.",
        Format.JSON,
    )
    as_of: datetime = plain("The moment of reading; all values of a person have the same.", Format.TIME)
    window_start: datetime | None = plain(
        "The time from which on events count, itself included: `lookback` before `asOf`; null where events of any age do.",
        Format.TIME,
    )
    window_end: datetime = plain("The time up to which events count, itself included: `asOf`.", Format.TIME)
    events_counted: Long = plain("Of how many events it is; 0 for an expression over the profile.", Format.NUMBER)
    is_complete: bool = plain(
        "False where the value is a map of more than 1,000 keys, of which the first are told; and where a number in it, or in a value that it reads, is beyond any double (1.8e308 either way), so that this one is null; on a cluster also where it is of more events than are gone through there, and null.",
        Format.BOOLEAN,
    )


# ------------------------------------------------------------------------------------------------ values of profiles

NamesArgument = Annotated[
    list[str] | None,
    strawberry.argument(
        name="names",
        description="Names of published attributes, whose values come in this order, each once. Another name is BAD_INPUT. Left out, all are told, by name.",
    ),
]


async def _values_of_all(
    profiles: Sequence[Profile], info: Info, *, names: list[str] | None = None
) -> list[list[ComputedValue]]:
    context = info.context
    attributes = published_attributes(context.config, names)
    found = await compute_values(context.db, context.scope, context.config, attributes, profiles)
    context.loaders.budget.spend(sum(map(size_of, found)))
    return found


def values_wanted(of: Object, context: Context, *, names: list[str] | None = None) -> tuple[tuple[str, Object], ...]:
    """Return what is wanted of the value of each attribute, by its name, where this is selected of all. Raises BadInput."""
    return _wanted(of, context.config, None if names is None else tuple(names))


@lru_cache(maxsize=256)
def _wanted(of: Object, config: Configuration, names: tuple[str, ...] | None) -> tuple[tuple[str, Object], ...]:
    return tuple((each.name, _settled(of, each)) for each in published_attributes(config, names))


def _settled(of: Object, attribute: ComputedAttribute) -> Object:
    return Object(
        tuple((key, constants_of(each.of, attribute) if isinstance(each, Related) else each) for key, each in of.fields)
    )


@for_all(_values_of_all)
async def values_of(
    profile: strawberry.Parent[Profile], info: Info, *, names: NamesArgument = None
) -> list[ComputedValue]:
    """Compute the values of attributes for a profile. Raises BadInput for a name that no published attribute has."""
    return (await _values_of_all([profile], info, names=names))[0]


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which computed attributes are wanted: those that fit all that is given.")
class ComputedAttributeFilter(Filter):
    status: list[AttributeStatus] | None = condition("Only attributes of these statuses.", among("status"))
    name: str | None = condition("Only attributes whose name contains this, in any case.", contains("settings.name"))
    merge_function: str | None = condition(
        "Only attributes with this function of events, such as `SUM`.", equals("derived.merge_function")
    )


@strawberry.input(description="How computed attributes are ordered.")
class ComputedAttributeOrder:
    field: ComputedAttributeOrderField = plain("What to order by.", default=ComputedAttributeOrderField.UPDATED_AT)
    direction: OrderDirection = plain("Which end comes first.", default=OrderDirection.DESC)


Wanted = Annotated[
    ComputedAttributeFilter | None,
    strawberry.argument(name="filter", description="Which attributes are wanted; all without it."),
]
OrderBy = Annotated[
    ComputedAttributeOrder | None,
    strawberry.argument(description="How the attributes are ordered; the last changed first without it."),
]


async def _computed_attributes(
    info: Info,
    *,
    wanted: Wanted = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[ComputedAttribute]:
    order = order_by or ComputedAttributeOrder()
    return await ATTRIBUTES.page(info.context, (first, after, last, before), wanted, order)


async def _computed_attribute(info: Info, attribute_id: ById = None, name: ByName = None) -> ComputedAttribute | None:
    return await ATTRIBUTES.one(info.context, attribute_id, name)


@strawberry.type(description="Queries of computed attributes.")
class ComputedAttributeQuery:
    computed_attributes: Connection[ComputedAttributeType] = resolved_by(
        _computed_attributes, "The computed attributes of the sandbox, drafts included."
    )
    computed_attribute: ComputedAttributeType | None = resolved_by(
        _computed_attribute, "The computed attribute with this id or this name; null where the sandbox has none."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A computed attribute to be made.")
class ComputedAttributeInput:
    xdm_class: XdmClass | None = plain(
        "What has a value: people, or single events.", name="class", default=XdmClass.INDIVIDUAL_PROFILE
    )
    name: str = plain("What programs will call it: a letter, then letters and digits; not the name of another.")
    display_name: str | None = plain("What people will call it; its name where this is left out.", default=None)
    description: str | None = plain("What it is for.", default=None)
    expression: str = plain(
        'What is computed, in PQL: one aggregation of events, such as `xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal)`, which looks at each event alone; or an expression over the profile and other published attributes. Of class EXPERIENCE_EVENT, an expression over one event, such as `productListItems.sum(quantity)`, without `now`.'
    )
    lookback: Duration | None = plain(
        "How old the events may be, at the moment of reading: from an hour to three years, as in `PT24H`, `P7D` or `P6M`. Left out, events of any age count.",
        default=None,
    )
    keep_current: bool | None = plain("Without effect: values always are current.", default=True)
    publish: bool | None = plain("True publishes it at once; else it is a DRAFT.", default=False)


@strawberry.input(
    description="Changes of a computed attribute. A field that is left out stays as it is. What it computes changes while it is a DRAFT alone."
)
class UpdateComputedAttributeInput:
    id: strawberry.ID = plain("The attribute to change.")
    name: str | None = plain("Its new name; null, too, leaves it as it is.", default=None)
    display_name: str | None = plain("What people are to call it; null, too, leaves it as it is.", default=None)
    description: str | None = plain("What it is for; null removes the old text.", default=strawberry.UNSET)
    expression: str | None = plain("What is to be computed; null, too, leaves it as it is.", default=None)
    lookback: Duration | None = plain(
        "How old the events may be; null lets events of any age count.", default=strawberry.UNSET
    )
    keep_current: bool | None = plain("Without effect: values always are current.", default=None)
    status: AttributeStatus | None = plain(
        "NEW publishes a DRAFT, or a DISABLED or FAILED one again; DISABLED switches a published one off.", default=None
    )
    current_version: int | None = current_version()


@strawberry.type(description="The computed attribute that was made or changed, or what was wrong.")
class ComputedAttributePayload:
    computed_attribute: ComputedAttributeType | None = changed(
        "The attribute as it is now; null where nothing was done."
    )
    warnings: list[str] = warnings_by(
        warnings_of_attribute,
        "For each dataset that keeps events for less time than the attribute looks back, a sentence that says so.",
    )
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: ComputedAttributeInput) -> ComputedAttribute:
    settings = AttributeSettings(
        name=given.name,
        display_name=given.name if given.display_name is None else given.display_name,
        expression=given.expression,
        description=given.description,
        lookback=given.lookback,
        keep_current=given.keep_current is not False,
        xdm_class=given.xdm_class or XdmClass.INDIVIDUAL_PROFILE,
    )
    return await computed_attributes.create_attribute(
        *(context.db, context.scope, context.config.unions, settings),
        most=context.most_attributes,
        publish=bool(given.publish),
    )


async def _update(context: Context, given: UpdateComputedAttributeInput) -> ComputedAttribute:
    required: dict[str, Any] = {
        "name": given.name,
        "display_name": given.display_name,
        "expression": given.expression,
        "keep_current": given.keep_current,
    }
    changes = changes_of(required, {"description": given.description, "lookback": given.lookback})
    return await computed_attributes.update_attribute(
        *(context.db, context.scope, context.config.unions, input_id(given.id, "ComputedAttribute", "id"), changes),
        most=context.most_attributes,
        status=given.status,
        current_version=given.current_version,
    )


async def _delete(context: Context, given: DeleteInput) -> strawberry.ID:
    attribute_id = input_id(given.id, "ComputedAttribute", "id")
    await computed_attributes.delete_attribute(context.db, context.scope, attribute_id, given.current_version)
    return given.id


@strawberry.type(description="Mutations of computed attributes.")
class ComputedAttributeMutation:
    create_computed_attribute: ComputedAttributePayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Makes a computed attribute, as a DRAFT or published. What is wrong with its expression comes with line and column. Needs the scope `config:write`.",
        configures=True,
    )
    update_computed_attribute: ComputedAttributePayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Changes a DRAFT, publishes it, switches a published attribute off, or names one anew. Needs the scope `config:write`.",
        configures=True,
    )
    delete_computed_attribute: DeletePayload = mutation(
        _delete,
        Permission.CONFIG_WRITE,
        "Deletes a computed attribute that is a DRAFT or DISABLED. Needs the scope `config:write`.",
        configures=True,
    )

"""Merge policies: which fragments make a person, and which value wins."""

from enum import StrEnum
from typing import Annotated

import strawberry

from gateway.api.catalog import ById, ByName, Catalog, Filter, condition, configured, equals
from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.ids import input_id
from gateway.api.jobs import SystemJobNode, started_job
from gateway.api.mutations import (
    DeleteInput,
    DeletePayload,
    UserError,
    changed,
    changes_of,
    current_version,
    mutation,
    user_errors,
)
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, OrderDirection, Slice
from gateway.api.scalars import described
from gateway.domain.config import policies
from gateway.domain.config.datasets import Dataset
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicySettings, PolicyStatus
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Job, Started
from gateway.xdm.classes import XdmClass

described(
    IdentityGraphType,
    "IdentityGraphType",
    "What makes a person of identities.",
    NONE="Nothing: every identity with data is a profile of its own.",
    PDG="The private graph: identities that were seen together are one person.",
)
described(
    AttributeMergeType,
    "AttributeMergeType",
    "What decides where several sources know the same field.",
    TIMESTAMP_ORDERED="The newest one wins.",
    DATASET_PRECEDENCE="The dataset that stands first in `order` wins; datasets that are not listed take no part.",
)
described(
    PolicyStatus,
    "MergePolicyStatus",
    "Whether profiles are kept merged by a policy. Reads are right either way.",
    BUILDING="Profiles are being merged to be kept; until that is done they are merged when read.",
    ACTIVE="What the policy keeps is there.",
)


class MergePolicyOrderField(StrEnum):
    """What merge policies can be ordered by."""

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


described(
    MergePolicyOrderField,
    "MergePolicyOrderField",
    "What merge policies are ordered by; where that is equal, by id.",
    NAME="The name, by code points.",
    CREATED_AT="When the policy was made.",
    UPDATED_AT="When the policy was last changed.",
)

POLICIES: Catalog[MergePolicy] = Catalog(
    "MergePolicy",
    "mergePolicies",
    configured(lambda context: context.config.policies),
    "settings.name",
    {
        MergePolicyOrderField.NAME: lambda policy: (policy.settings.name, policy.policy_id),
        MergePolicyOrderField.CREATED_AT: lambda policy: (policy.created_at, policy.policy_id),
        MergePolicyOrderField.UPDATED_AT: lambda policy: (policy.updated_at, policy.policy_id),
    },
)


# ------------------------------------------------------------------------------------------------ types


def _order(rule: strawberry.Parent[AttributeMerge], info: Info) -> list[Dataset] | None:
    datasets = info.context.config.datasets
    return [datasets[key] for key in rule.order if key in datasets] or None


@strawberry.type(name="AttributeMerge", description="What decides where several sources know the same field.")
class AttributeMergeNode:
    is_loaded = False

    type: AttributeMergeType = plain("The kind of rule.")
    order: list[DatasetType] | None = resolved_by(
        _order, "The datasets that take part, the one that wins first; null but for DATASET_PRECEDENCE."
    )


async def _job(policy: strawberry.Parent[MergePolicy], info: Info) -> Job | None:
    if policy.status is PolicyStatus.ACTIVE or policy.job_id is None:
        return None
    return await info.context.loaders.job_by_id.load(policy.job_id)


@strawberry.type(
    name="MergePolicy",
    description="A way to see people: which identities make one, and which source wins where several know the same field.",
)
class MergePolicyType(Edited, Node):
    domain = MergePolicy
    is_loaded = False

    id: strawberry.ID = id_field("Global id of the policy.", "MergePolicy", "policy_id")
    name: str = attribute("settings.name", "What people call the policy; no two of a sandbox share a name.")
    xdm_class: XdmClass = attribute(
        "settings.xdm_class", "What is merged: always INDIVIDUAL_PROFILE, as events are collected only.", "class"
    )
    identity_graph: IdentityGraphType = attribute("settings.identity_graph", "What makes a person of identities.")
    attribute_merge: AttributeMergeNode = attribute(
        "settings.attribute_merge", "What decides where several sources know the same field."
    )
    is_default: bool = attribute(
        "settings.is_default", "Whether reads that name no policy use this one; exactly one of a class does."
    )
    is_active_on_edge: bool = attribute(
        "settings.is_active_on_edge", "Whether edges serve people as this policy sees them; at most one does."
    )
    status: PolicyStatus = plain("Whether what the policy keeps is there.")
    job: SystemJobNode | None = resolved_by(
        _job, "What merges profiles to be kept while the policy is BUILDING; else null."
    )


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which merge policies are wanted: those that fit all that is given.")
class MergePolicyFilter(Filter):
    is_default: bool | None = condition("Only the defaults, or only the others.", equals("settings.is_default"))
    is_active_on_edge: bool | None = condition(
        "Only the one that edges use, or only the others.", equals("settings.is_active_on_edge")
    )
    xdm_class: XdmClass | None = condition("Only policies of this class.", equals("settings.xdm_class"), name="class")
    identity_graph: IdentityGraphType | None = condition(
        "Only policies with this kind of graph.", equals("settings.identity_graph")
    )
    attribute_merge: AttributeMergeType | None = condition(
        "Only policies with this kind of rule.", equals("settings.attribute_merge.type")
    )


@strawberry.input(description="How merge policies are ordered.")
class MergePolicyOrder:
    field: MergePolicyOrderField = plain("What to order by.", default=MergePolicyOrderField.NAME)
    direction: OrderDirection = plain("Which end comes first.", default=OrderDirection.ASC)


Wanted = Annotated[
    MergePolicyFilter | None,
    strawberry.argument(name="filter", description="Which policies are wanted; all without it."),
]
OrderBy = Annotated[
    MergePolicyOrder | None, strawberry.argument(description="How the policies are ordered; by name without it.")
]


async def _merge_policies(
    info: Info,
    *,
    wanted: Wanted = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[MergePolicy]:
    return await POLICIES.page(info.context, (first, after, last, before), wanted, order_by)


async def _merge_policy(info: Info, policy_id: ById = None, name: ByName = None) -> MergePolicy | None:
    return await POLICIES.one(info.context, policy_id, name)


@strawberry.type(description="Queries of merge policies.")
class PolicyQuery:
    merge_policies: Connection[MergePolicyType] = resolved_by(
        _merge_policies, "The merge policies of the sandbox; there are one to five."
    )
    merge_policy: MergePolicyType | None = resolved_by(
        _merge_policy, "The merge policy with this id or this name; null where the sandbox has none."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="What decides where several sources know the same field.")
class AttributeMergeInput:
    type: AttributeMergeType = plain("The kind of rule.")
    order: list[strawberry.ID] | None = plain(
        "With DATASET_PRECEDENCE the datasets that take part, the one that wins first; else left out.", default=None
    )


@strawberry.input(description="A merge policy to be made.")
class MergePolicyInput:
    name: str = plain("What people will call it; not the name of another policy.")
    xdm_class: XdmClass | None = plain(
        "What is merged: only INDIVIDUAL_PROFILE can be.", name="class", default=XdmClass.INDIVIDUAL_PROFILE
    )
    identity_graph: IdentityGraphType = plain("What makes a person of identities.")
    attribute_merge: AttributeMergeInput = plain("What decides where several sources know the same field.")
    is_default: bool | None = plain("True makes it the default in place of the one that is.", default=False)
    is_active_on_edge: bool | None = plain("True lets edges use it; no other may be in use there.", default=False)


@strawberry.input(description="Changes of a merge policy. A field that is left out, or null, stays as it is.")
class UpdateMergePolicyInput:
    id: strawberry.ID = plain("The policy to change.")
    name: str | None = plain("Its new name.", default=None)
    identity_graph: IdentityGraphType | None = plain("What is to make a person of identities.", default=None)
    attribute_merge: AttributeMergeInput | None = plain("What is to decide, given whole.", default=None)
    is_default: bool | None = plain("True makes it the default; false cannot be said of the default.", default=None)
    is_active_on_edge: bool | None = plain("Whether edges are to use it.", default=None)
    current_version: int | None = current_version()


@strawberry.type(description="The merge policy that was made or changed, or what was wrong.")
class MergePolicyPayload:
    merge_policy: MergePolicyType | None = changed("The policy as it is now; null where nothing was done.")
    system_job: SystemJobNode | None = started_job(
        "The job that merges the profiles which the policy keeps, or drops those that it keeps no more; null where nothing is to do."
    )
    user_errors: list[UserError] = user_errors()


def policy_settings(given: MergePolicyInput) -> PolicySettings:
    """Return the settings that an input describes. Raises NotFound for a text that is no id of a dataset."""
    return PolicySettings(
        given.name,
        given.identity_graph,
        _rule(given.attribute_merge),
        is_default=bool(given.is_default),
        is_active_on_edge=bool(given.is_active_on_edge),
        xdm_class=given.xdm_class or XdmClass.INDIVIDUAL_PROFILE,
    )


async def _create(context: Context, given: MergePolicyInput) -> Started[MergePolicy]:
    policy = await policies.create_policy(context.db, context.scope, policy_settings(given))
    return Started(policy, policy.job_id)


async def _update(context: Context, given: UpdateMergePolicyInput) -> Started[MergePolicy]:
    changes = {
        "name": given.name,
        "identity_graph": given.identity_graph,
        "attribute_merge": given.attribute_merge and _rule(given.attribute_merge),
        "is_default": given.is_default,
        "is_active_on_edge": given.is_active_on_edge,
    }
    policy_id = input_id(given.id, "MergePolicy", "id")
    policy = await policies.update_policy(
        context.db, context.scope, policy_id, changes_of(changes, {}), given.current_version
    )
    return Started(policy, policy.job_id)


async def _delete(context: Context, given: DeleteInput) -> strawberry.ID:
    policy_id = input_id(given.id, "MergePolicy", "id")
    await policies.delete_policy(context.db, context.scope, policy_id, given.current_version)
    return given.id


def _rule(given: AttributeMergeInput) -> AttributeMerge:
    order = given.order or []
    return AttributeMerge(given.type, tuple(input_id(each, "Dataset", "attributeMerge", "order") for each in order))


@strawberry.type(description="Mutations of merge policies.")
class PolicyMutation:
    create_merge_policy: MergePolicyPayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Makes a merge policy; a sandbox has at most five. Needs the scope `config:write`.",
        configures=True,
    )
    update_merge_policy: MergePolicyPayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Changes what is given of a merge policy. Needs the scope `config:write`.",
        configures=True,
    )
    delete_merge_policy: DeletePayload = mutation(
        _delete,
        Permission.CONFIG_WRITE,
        "Deletes a merge policy that is neither the default nor in use on edges. Needs the scope `config:write`.",
        configures=True,
    )

"""Comparison of a merge policy that does not exist yet with one that does."""

from typing import Annotated

import strawberry

from gateway.api.context import Info, plain, resolved_by
from gateway.api.identities import IdentityNode, identity_of
from gateway.api.ids import parse_id
from gateway.api.mutations import query_errors
from gateway.api.policies import MergePolicyInput, policy_settings
from gateway.api.scalars import JSON, Long
from gateway.api.weights import OBJECT, Weight
from gateway.domain.operations import diffs
from gateway.domain.operations.diffs import MAX_EXAMPLES, MAX_FIELDS, MAX_SAMPLE, MergePolicyDiff, ProfileDiff
from gateway.errors import BadInput, LimitExceeded

SHARE_OF_TIME = 0.8
"""The share of a request's remaining time that a comparison may take: the answer needs some, too."""

DEFAULT_EXAMPLES = 10

BaseArgument = Annotated[
    strawberry.ID, strawberry.argument(name="base", description="The `id` of the merge policy to compare with.")
]
CandidateArgument = Annotated[
    MergePolicyInput,
    strawberry.argument(
        name="candidate",
        description="The policy to try, as it would be given to `createMergePolicy`, and held to the same rules, but for the number of policies. It is not stored.",
    ),
]
SampleArgument = Annotated[
    int | None,
    strawberry.argument(
        name="sample",
        description=f"How many profiles to compare: at most {MAX_SAMPLE:,}, the same ones every time. Left out, all of them, as far as the request's time limit goes.",
    ),
]
ExamplesArgument = Annotated[
    int | None,
    strawberry.argument(
        name="first",
        description=f"How many examples: at most {MAX_EXAMPLES}, and {DEFAULT_EXAMPLES} where nothing is given.",
    ),
]


def _examples(diff: strawberry.Parent[MergePolicyDiff], *, first: ExamplesArgument = None) -> tuple[ProfileDiff, ...]:
    size = DEFAULT_EXAMPLES if first is None else first
    if size < 0:
        raise BadInput(f"There cannot be {size} examples.")
    if size > MAX_EXAMPLES:
        raise LimitExceeded(f"At most {MAX_EXAMPLES} examples are kept.")
    return diff.examples[:size]


@strawberry.type(description="A field that a profile would have otherwise.")
class FieldChange:
    is_loaded = False

    path: list[str] = plain("Names from the document's root down to the field.")
    base: JSON | None = plain("The value under the existing policy; null where the profile has none there.")
    candidate: JSON | None = plain(
        "The value under the policy that is tried; null where the profile would have none there."
    )


@strawberry.type(name="ProfileDiff", description="What would change of the profile that an identity leads to.")
class ProfileDiffType:
    identity: IdentityNode = resolved_by(identity_of, "The identity, which has data of its own.")
    changes: list[FieldChange] = plain("Every field that would change, by path.")


@strawberry.type(description="How many profiles would have a field otherwise.")
class FieldDiff:
    is_loaded = False

    path: list[str] = plain(
        "Names from the document's root down to the field; what is taken whole, such as a postal address, is one field."
    )
    profiles_changed: Long = plain("For how many of the profiles that were compared it would change, come or go.")


@strawberry.type(
    name="MergePolicyDiff",
    description="What would change if people were seen by another policy. Profiles are counted by the identities that lead to them: of a person with data under three identities there are three. So policies that do not make the same people can be compared.",
)
class MergePolicyDiffType:
    is_loaded = False

    profiles_compared: Long = plain(
        "How many profiles were compared: one for each identity with data. A part of them is a fair sample of all."
    )
    is_complete: bool = plain(
        "Whether all that was asked for was compared; false where the request's time limit came first."
    )
    profiles_changed: Long = plain("How many of those that were compared would change.")
    fields: list[FieldDiff] = plain(
        f"The fields that would change, those of most profiles first; at most {MAX_FIELDS:,}.", weight=Weight(size=20)
    )
    examples: list[ProfileDiffType] = resolved_by(_examples, "Some of the profiles that would change.")


async def _diff(
    info: Info, base: BaseArgument, candidate: CandidateArgument, *, sample: SampleArgument = None
) -> MergePolicyDiff:
    context, base_id = info.context, parse_id(base, "MergePolicy", "base")
    with query_errors("candidate"):
        return await diffs.diff_policies(
            *(context.db, context.scope, context.configurations, base_id, policy_settings(candidate)),
            seconds=context.seconds_left * SHARE_OF_TIME,
            sample=sample,
        )


@strawberry.type(description="Queries of comparisons of merge policies.")
class DiffQuery:
    diff_merge_policies: MergePolicyDiffType = resolved_by(
        _diff,
        "Compares a policy that does not exist with one that does, over everybody or a sample, and changes nothing. Needs the scope `profile:read`.",
        weight=Weight(1_000 * OBJECT),
    )

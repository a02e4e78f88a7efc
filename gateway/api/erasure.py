"""Deletion of people: what a job is asked to erase."""

from uuid import UUID

import strawberry

from gateway.api.context import Context, plain
from gateway.api.identities import IdentityInput, input_keys, mutated_xid
from gateway.api.ids import input_id
from gateway.api.scalars import described
from gateway.domain.config.policies import MergePolicy
from gateway.domain.operations.erasure import MAX_IDENTITIES, DeleteScope, delete_profiles
from gateway.domain.reading.profiles import InvalidKey
from gateway.domain.work.jobs import Job
from gateway.errors import NotFound, TooMany

described(
    DeleteScope,
    "DeleteScope",
    "How far a deletion of people goes.",
    IDENTITY="What is stored under the named identities.",
    GRAPH="What is stored under every identity of these people, those beyond the 50 that a graph shows included.",
)

ARGUMENT = "deleteProfile"


@strawberry.input(description="People to be erased.")
class DeleteProfileInput:
    identities: list[IdentityInput] = plain(
        "One or more identities of each of them, 1 to 1,000 in all. One that no data names is NOT_FOUND, and nothing is done; one that was erased before is passed over."
    )
    scope: DeleteScope = plain(
        "Whether all identities of these people are erased, or the named ones alone.", default=DeleteScope.GRAPH
    )
    merge_policy_id: strawberry.ID | None = plain(
        "The merge policy by which people are told apart; left out, the sandbox's default policy. Under one whose `identityGraph` is NONE each identity is somebody of its own.",
        default=None,
    )
    dry_run: bool = plain("Whether the job only counts what it would delete.", default=False)


async def start_erasure(context: Context, given: DeleteProfileInput) -> Job:
    """Start the job that erases people. Raises Forbidden, Invalid, TooMany, NotFound, JobOpen."""
    policy = _policy(context, given.merge_policy_id)
    return await delete_profiles(
        *(context.db, context.scope, _xids(context, given)),
        reach=given.scope,
        graph=policy.settings.identity_graph,
        is_dry_run=given.dry_run,
    )


def _policy(context: Context, policy_id: str | None) -> MergePolicy:
    if policy_id is None:
        return context.config.default_policy
    path = (ARGUMENT, "mergePolicyId")
    policy = context.config.policies.find(input_id(policy_id, "MergePolicy", *path))
    if policy is None:
        raise NotFound("There is no merge policy with this id.", path=path)
    return policy


def _xids(context: Context, given: DeleteProfileInput) -> list[UUID]:
    path = (ARGUMENT, "identities")
    if len(given.identities) > MAX_IDENTITIES:
        raise TooMany(
            f"At most {MAX_IDENTITIES:,} identities at once; {len(given.identities):,} were given.", path=path
        )
    xids, keys = input_keys(context, given.identities)
    for place, key in enumerate(keys):
        if isinstance(key, InvalidKey):
            mutated_xid(context, given.identities[place], *path, str(place))
    return xids

"""Indexes for searches: what makes a search over many people fast."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import strawberry

from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.ids import global_id, input_id
from gateway.api.jobs import SystemJobNode, started_job
from gateway.api.mutations import DeletePayload, UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field
from gateway.api.policies import MergePolicyType
from gateway.domain.config import search_indexes
from gateway.domain.config.policies import MergePolicy
from gateway.domain.config.search_indexes import SearchIndex
from gateway.domain.rules.scope import Permission
from gateway.domain.work.jobs import Job, Started
from gateway.errors import NotFound


def _policy(index: strawberry.Parent[SearchIndex], info: Info) -> MergePolicy | None:
    return None if index.policy_id is None else info.context.config.policies.find(index.policy_id)


async def _job(index: strawberry.Parent[SearchIndex], info: Info) -> Job | None:
    return None if index.job_id is None else await info.context.loaders.job_by_id.load(index.job_id)


@strawberry.type(
    name="SearchIndex",
    description="An index over one field, which finds the people or the events with a value, or with values in a range, without looking at all. A search that could use one asks for it where a sandbox has many people; searches use it by themselves, and it is always up to date.",
)
class SearchIndexNode(Node):
    domain = SearchIndex

    id: strawberry.ID = id_field("Global id of the index.", "SearchIndex", "index_id")
    path: str = plain("The dotted path of the field, that of events under `xEvent`.")
    type: str = plain("The type of its values, by its name in XDM: `string`, `long`, `double`, `date` or `date-time`.")
    merge_policy: MergePolicyType | None = resolved_by(
        _policy, "The policy whose profiles it is over; null for one over events, which serves all policies."
    )
    is_ready: bool = plain("Whether it is made: searches use it from then on.")
    job: SystemJobNode | None = resolved_by(_job, "The job that makes it; null once it is made, or given up.")
    created_at: datetime = plain("When it was asked for.")
    created_by: str | None = plain(
        "Who asked for it: the subject of a token, or the user of a command; null where that is not known."
    )
    used_at: datetime = plain("When a search used it last, to the day; when it was asked for, where none did.")


async def _search_indexes(info: Info) -> list[SearchIndex]:
    return await search_indexes.list_search_indexes(info.context.db, info.context.scope)


async def read_search_indexes(context: Context, keys: Sequence[UUID]) -> list[SearchIndex | None]:
    """Read the indexes with these ids, None for those that the sandbox lacks. Raises Forbidden."""
    return await context.loaders.search_index_by_id.load_many(keys)


@strawberry.type(description="Queries of indexes for searches.")
class SearchIndexQuery:
    search_indexes: list[SearchIndexNode] = resolved_by(
        _search_indexes,
        "The indexes of the sandbox by path, at most twenty. One that no search uses for some weeks is dropped.",
    )


@strawberry.input(description="An index to be made.")
class CreateSearchIndexInput:
    path: str = plain(
        "The dotted path of a string, a number, a date or a date-time that stands in objects, not in arrays or maps: `person.name.lastName`, `xEvent.eventType`."
    )
    merge_policy_id: strawberry.ID | None = plain(
        "The policy whose profiles it is to be over, one that is the default or active on edges; the default one without it. Of no account for events.",
        default=None,
    )


@strawberry.type(description="The index that is being made, or what was wrong.")
class SearchIndexPayload:
    search_index: SearchIndexNode | None = changed("The index; null where nothing was done.")
    system_job: SystemJobNode | None = started_job("The job that makes it; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: CreateSearchIndexInput) -> Started[SearchIndex]:
    policy = context.config.default_policy
    if given.merge_policy_id is not None:
        found = context.config.policies.find(input_id(given.merge_policy_id, "MergePolicy", "mergePolicyId"))
        if found is None:
            raise NotFound("There is no merge policy with this id.", path=["mergePolicyId"])
        policy = found
    return await search_indexes.create_search_index(context.db, context.scope, context.config, policy, given.path)


@strawberry.input(description="An index to be deleted.")
class DeleteSearchIndexInput:
    id: strawberry.ID = plain("The index to delete.")


async def _delete(context: Context, given: DeleteSearchIndexInput) -> str:
    index_id = input_id(given.id, "SearchIndex", "id")
    await search_indexes.delete_search_index(context.db, context.scope, index_id)
    return global_id("SearchIndex", index_id)


@strawberry.type(description="Mutations of indexes for searches.")
class SearchIndexMutation:
    create_search_index: SearchIndexPayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Has a job make an index; a sandbox has at most twenty. LIMIT_EXCEEDED beyond. Needs the scope `config:write`.",
    )
    delete_search_index: DeletePayload = mutation(
        _delete,
        Permission.CONFIG_WRITE,
        "Deletes an index: no search uses it from now on, and it takes no room and no time within the hour. Needs the scope `config:write`.",
    )

"""Indexes that make searches fast: which ones a sandbox has, by hand or because a search asked for one.

An index is over one leaf: of the profiles that a policy keeps, or of events together with their time. It is a partial index of Postgres, so
that each transaction keeps it right and other sandboxes pay nothing for it; a job makes it, and another drops what nothing used for long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.limits import SEARCH_INDEXES, check_room
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.domain.work import audit, jobs
from gateway.domain.work.audit import Subject
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import Started
from gateway.errors import Conflict, Invalid, NotFound, Taken
from gateway.pql.indexes import Leaf, leaf_of
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

LIST = query("search_indexes.list_indexes")
ADD = query("search_indexes.add_index")
DELETE = query("search_indexes.delete_index")


class IndexedType(StrEnum):
    """The type of the values that an index has, by its name in XDM."""

    STRING = "string"
    LONG = "long"
    DOUBLE = "double"
    DATE = "date"
    DATE_TIME = "date-time"


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """An index. `path` is dotted, that of events under `xEvent`; `type` that of its values.

    `policy_id` is that of the policy whose profiles it is over, None for events. `is_ready`: it is made, so that searches use it. `used_at` is
    the day when one did last, or when it was wanted first. `job_id`: the open job that makes it.
    """

    index_id: UUID
    policy_id: UUID | None
    path: str
    type: IndexedType
    is_ready: bool
    created_at: datetime
    created_by: str | None
    used_at: datetime
    job_id: UUID | None = None

    def is_over(self, policy_id: UUID, leaf: Leaf) -> bool:
        """Return whether it is over this leaf of events or of this policy's profiles."""
        of = None if leaf.is_of_events else policy_id
        return (self.policy_id, self.path, self.type) == (of, leaf.name, leaf.type.value)


async def list_search_indexes(db: Reader, scope: Scope) -> list[SearchIndex]:
    """List the indexes of the sandbox by path. Needs `profile:read` or `config:write`; raises Forbidden."""
    scope.require(*READ_CONFIGURATION)
    return [SearchIndex(**{**row, "type": IndexedType(row["type"])}) for row in await db.rows(LIST, scope.sandbox_id)]


async def read_search_indexes(db: Reader, scope: Scope, index_ids: Sequence[UUID]) -> list[SearchIndex | None]:
    """Read indexes by id, in order; None for an unknown one. Needs `profile:read` or `config:write`; raises Forbidden."""
    found = {index.index_id: index for index in await list_search_indexes(db, scope)}
    return [found.get(index_id) for index_id in index_ids]


async def create_search_index(
    db: Database, scope: Scope, config: Configuration, policy: MergePolicy, path: str
) -> Started[SearchIndex]:
    """Have a job make an index over a leaf of events, or of the profiles that a policy keeps. Needs `config:write`.

    Raises Forbidden, TooMany; Invalid for a path that leads to no leaf with an index; Taken; Conflict for a policy that keeps no profiles.
    """
    scope.require(Permission.CONFIG_WRITE)
    leaf = indexable(config, path)
    if leaf is None:
        raise Invalid(
            "An index is over a string, a number, a date or a date-time that stands in objects, not in arrays or maps: `person.name.lastName`, `xEvent.eventType`.",
            path=["path"],
        )
    if not (leaf.is_of_events or policy.is_materialized):
        raise Conflict("This policy keeps no profiles that an index could be over.", path=["mergePolicyId"])
    async with db.transaction(scope.sandbox_id) as tx:
        await lock_configuration(tx, scope)
        present = await list_search_indexes(tx, scope)
        check_room(len(present), SEARCH_INDEXES, "indexes for searches; delete one first", "A sandbox")
        index_id = await _add(tx, scope, policy, leaf)
        if index_id is None:
            raise Taken("There is an index over this path.", path=["path"])
        index = next(each for each in await list_search_indexes(tx, scope) if each.index_id == index_id)
        await audit.record(tx, scope, "createSearchIndex", Subject("SearchIndex", (index_id,)), after=index)
        return Started(index, index.job_id)


async def request_search_index(db: Database, scope: Scope, policy: MergePolicy, leaf: Leaf) -> None:
    """Have a job make an index for a search that lacked it, unless there is one by now, or as many as a sandbox may have. Needs no permission."""
    async with db.transaction(scope.sandbox_id) as tx:
        await lock_configuration(tx, scope)
        if len(await tx.rows(LIST, scope.sandbox_id)) < SEARCH_INDEXES:
            await _add(tx, scope, policy, leaf)


async def _add(tx: Session, scope: Scope, policy: MergePolicy, leaf: Leaf) -> UUID | None:
    """Add an index to the list, with the job that makes it, and return its id; None if there is one over the leaf."""
    of = None if leaf.is_of_events else policy.policy_id
    row = (scope.sandbox_id, uuid4(), of, leaf.name, leaf.type.value, scope.actor)
    index_id: UUID | None = await tx.value(ADD, *row)
    if index_id is not None:
        await jobs.enqueue(tx, scope, JobKind.BUILD_SEARCH_INDEX, index_id, input={"path": leaf.name})
    return index_id


async def delete_search_index(db: Database, scope: Scope, index_id: UUID) -> None:
    """Take an index from the list: no search uses it from now on, and a job drops it within the hour. Needs `config:write`.

    Raises Forbidden, NotFound.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        (before,) = await read_search_indexes(tx, scope, [index_id])
        if before is None or await tx.value(DELETE, scope.sandbox_id, index_id) is None:
            raise NotFound("There is no index with this id.", path=["id"])
        await jobs.end(tx, scope, JobKind.BUILD_SEARCH_INDEX, index_id, jobs.JobStatus.CANCELLED)
        await audit.record(tx, scope, "deleteSearchIndex", Subject("SearchIndex", (index_id,)), before=before)


def indexable(config: Configuration, path: str) -> Leaf | None:
    """Return the leaf with this dotted path, None if the unions of the sandbox have none that an index could be over."""
    return leaf_of(config.input_type(XdmClass.INDIVIDUAL_PROFILE), path)


def leaf_of_index(config: Configuration, index: SearchIndex) -> Leaf | None:
    """Return the leaf that an index is over; None if the sandbox has no such field any more, or one of another type."""
    leaf = indexable(config, index.path)
    return leaf if leaf is not None and leaf.type.value == index.type else None

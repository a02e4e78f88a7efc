"""Merge policies: which fragments make a person, and which value wins.

Rules: at most five a sandbox; one default per class, which cannot be deleted or un-flagged, only replaced by another; one active on the
edge, which must be cleared before another takes its place or it is deleted. Policies exist for INDIVIDUAL_PROFILE: events are collected,
never merged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from gateway.domain.config.broken_rows import Broken, parsed
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.limits import POLICIES, check_room
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.domain.work import jobs
from gateway.domain.work.jobs import JobKind, JobStatus
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import Conflict, Invalid, NotFound, Stale, Taken
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

LIST = query("policies.list_policies")
CREATE = query("policies.create_policy")
UPDATE = query("policies.update_policy")
CLEAR_DEFAULT = query("policies.clear_default")
DELETE = query("policies.delete_policy")
LIST_CLASSES = query("policies.list_classes")
HAS_RECORDS = query("policies.has_records")


class IdentityGraphType(StrEnum):
    """NONE: each identity with data is a profile of its own. PDG: the private graph makes the person."""

    NONE = "NONE"
    PDG = "PDG"


class PolicyStatus(StrEnum):
    """BUILDING: profiles are being materialized; reads merge on the fly and are right all the same."""

    BUILDING = "BUILDING"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a caller decides about a policy."""

    name: str
    identity_graph: IdentityGraphType
    attribute_merge: AttributeMerge
    is_default: bool = False
    is_active_on_edge: bool = False
    xdm_class: XdmClass = XdmClass.INDIVIDUAL_PROFILE

    @property
    def is_materialized(self) -> bool:
        """Only what reads ask for most is kept merged: the default policy and the edge's."""
        return self.is_default or self.is_active_on_edge

    def merges_as(self, other: "PolicySettings") -> bool:
        """Whether both make the same profiles."""
        return (self.identity_graph, self.attribute_merge) == (other.identity_graph, other.attribute_merge)


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """A policy as it stands; `version` grows by one with every change."""

    policy_id: UUID
    settings: PolicySettings
    version: int
    status: PolicyStatus
    created_at: datetime
    updated_at: datetime

    @property
    def is_materialized(self) -> bool:
        """Whether its profiles are kept merged, or soon will be."""
        return self.settings.is_materialized


DEFAULT = PolicySettings(
    "Default", IdentityGraphType.PDG, AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED), is_default=True
)


async def create_default(tx: Session, sandbox_id: int) -> None:
    """The policy that every new sandbox starts with. Nothing is there to be built yet."""
    await tx.execute(CREATE, sandbox_id, uuid4(), *_columns(DEFAULT, with_class=True), PolicyStatus.ACTIVE)


async def load_policies(tx: Session, scope: Scope, broken: Broken[UUID] | None = None) -> list[MergePolicy]:
    """All policies of the sandbox, by name; for who builds on them, whatever the caller may do. Rows that cannot be read go into `broken`."""
    return _policies(await tx.rows(LIST, scope.sandbox_id), broken)


async def list_policies(db: Database, scope: Scope) -> list[MergePolicy]:
    """All policies of the sandbox, by name. Raises Forbidden."""
    scope.require(*READ_CONFIGURATION)
    return _policies(await db.rows(LIST, scope.sandbox_id))


async def create_policy(db: Database, scope: Scope, settings: PolicySettings) -> MergePolicy:
    """A new policy. Needs `config:write`. Raises Forbidden, Invalid, NotFound for a dataset, Taken, Conflict."""
    scope.require(Permission.CONFIG_WRITE)
    policy_id = uuid4()
    async with lock_exclusive(db, scope.sandbox_id) as tx:
        others = await _locked(tx, scope)
        check_room(len(others), POLICIES, "merge policies; delete one first", "A sandbox")
        await _check(tx, scope, settings, others)
        if settings.is_default:
            await _retire_default(tx, scope, others)
        columns = _columns(settings, with_class=True)
        await tx.execute(CREATE, scope.sandbox_id, policy_id, *columns, await _status(tx, scope, policy_id, settings))
        return _find(await load_policies(tx, scope), policy_id)


async def update_policy(
    db: Database, scope: Scope, policy_id: UUID, changes: dict[str, Any], current_version: int | None = None
) -> MergePolicy:
    """The policy with the given fields of `PolicySettings` changed and a version more. Needs `config:write`.

    Raises Forbidden, NotFound for the policy or a dataset, Invalid, Taken, Conflict, and Stale when `current_version` is given
    and is not the policy's.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:
        policies = await _locked(tx, scope)
        policy = _find(policies, policy_id)
        if current_version not in (None, policy.version):
            raise Stale(f"The policy is at version {policy.version} now.", path=["currentVersion"])
        settings = replace(policy.settings, **changes)
        others = [other for other in policies if other.policy_id != policy_id]
        await _check(tx, scope, settings, others)
        if policy.settings.is_default and not settings.is_default:
            raise Conflict("A default is replaced by making another policy the default.", path=["isDefault"])
        if settings.is_default and not policy.settings.is_default:
            await _retire_default(tx, scope, others)
        status = await _status(tx, scope, policy_id, settings, policy)
        await tx.execute(UPDATE, scope.sandbox_id, policy_id, *_columns(settings), status)
        return _find(await load_policies(tx, scope), policy_id)


async def delete_policy(db: Database, scope: Scope, policy_id: UUID) -> None:
    """The policy is gone. Needs `config:write`. Raises Forbidden, NotFound; Conflict for the default and the edge's policy."""
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:
        policy = _find(await _locked(tx, scope), policy_id)
        if policy.settings.is_default:
            raise Conflict("The default cannot be deleted; make another policy the default first.", path=["id"])
        if policy.settings.is_active_on_edge:
            raise Conflict("The policy is active on the edge; clear isActiveOnEdge first.", path=["id"])
        await tx.execute(DELETE, scope.sandbox_id, policy_id)


async def check_policy(tx: Session, scope: Scope, settings: PolicySettings, replaced_id: UUID) -> None:
    """Raise what would be wrong with these settings in the place of a policy, whose name and flags they may have."""
    others = [policy for policy in await load_policies(tx, scope) if policy.policy_id != replaced_id]
    await _check(tx, scope, settings, others)


async def _locked(tx: Session, scope: Scope) -> list[MergePolicy]:
    """The policies, with every other change of this sandbox's configuration kept waiting, by whoever has its facts alone. Raises Conflict where one is broken.

    Writers wait too: what they merge, and by which policies, must not change under them.
    """
    await lock_configuration(tx, scope)
    broken: Broken[UUID] = {}
    policies = await load_policies(tx, scope, broken)
    for row in broken.values():  # what holds of all policies together cannot be checked without it
        raise Conflict(row.message)
    return policies


def _find(policies: Sequence[MergePolicy], policy_id: UUID) -> MergePolicy:
    found = next((policy for policy in policies if policy.policy_id == policy_id), None)
    if found is None:
        raise NotFound("There is no merge policy with this id.", path=["id"])
    return found


# ------------------------------------------------------------------------------------------------ rules


async def _check(tx: Session, scope: Scope, settings: PolicySettings, others: Sequence[MergePolicy]) -> None:
    if settings.xdm_class is not XdmClass.INDIVIDUAL_PROFILE:
        raise Invalid("Only profiles are merged; events are collected.", path=["class"])
    check_name(settings.name)
    if any(other.settings.name == settings.name for other in others):
        raise Taken(f"There is a policy {settings.name!r} already.", path=["name"])
    await _check_order(tx, scope, settings.attribute_merge)
    if settings.is_active_on_edge and any(other.settings.is_active_on_edge for other in others):
        raise Conflict("Another policy is active on the edge; clear that one first.", path=["isActiveOnEdge"])


async def _check_order(tx: Session, scope: Scope, rule: AttributeMerge) -> None:
    path = ["attributeMerge", "order"]
    if (rule.type is AttributeMergeType.DATASET_PRECEDENCE) != bool(rule.order):
        raise Invalid("DATASET_PRECEDENCE needs `order`, and nothing else has it.", path=path)
    if len(set(rule.order)) != len(rule.order):
        raise Invalid("A dataset stands in `order` once.", path=path)
    rows = await tx.rows(LIST_CLASSES, scope.sandbox_id, rule.order) if rule.order else []
    classes = {row["dataset_id"]: row["class"] for row in rows}
    for place, dataset_id in enumerate(rule.order):
        if dataset_id not in classes:
            raise NotFound("There is no dataset with this id.", path=[*path, str(place)])
        if XdmClass(classes[dataset_id]) is not XdmClass.INDIVIDUAL_PROFILE:
            raise Invalid("Only datasets of records are merged; this one holds events.", path=[*path, str(place)])


async def _retire_default(tx: Session, scope: Scope, policies: Sequence[MergePolicy]) -> None:
    """Take the flag from the default; unless the edge needs it, a job forgets what is kept merged by it."""
    former = next(policy for policy in policies if policy.settings.is_default)
    await tx.execute(CLEAR_DEFAULT, scope.sandbox_id, former.settings.xdm_class.value)
    if not former.settings.is_active_on_edge:
        await jobs.enqueue(tx, scope, JobKind.MATERIALIZE_POLICY, former.policy_id)


async def _status(
    tx: Session, scope: Scope, policy_id: UUID, settings: PolicySettings, former: MergePolicy | None = None
) -> PolicyStatus:
    """What the policy is once it has these settings, with the job enqueued that makes it so.

    A policy that is to be materialized is BUILDING until the job is done, unless there is nothing to merge.
    """
    was_kept = former is not None and former.is_materialized
    if former and was_kept and settings.is_materialized and settings.merges_as(former.settings):
        return former.status
    to_build = settings.is_materialized and await tx.value(HAS_RECORDS, scope.sandbox_id)
    if to_build or (was_kept and not settings.is_materialized):
        await jobs.enqueue(tx, scope, JobKind.MATERIALIZE_POLICY, policy_id)
    else:  # an older job that has something to forget must not meet what is kept from now on
        await jobs.end(tx, scope, JobKind.MATERIALIZE_POLICY, policy_id, JobStatus.CANCELLED)
    return PolicyStatus.BUILDING if to_build else PolicyStatus.ACTIVE


# ------------------------------------------------------------------------------------------------ rows


def _columns(settings: PolicySettings, *, with_class: bool = False) -> tuple[Any, ...]:
    rule = settings.attribute_merge
    return (
        settings.name,
        *((settings.xdm_class.value,) if with_class else ()),
        *(settings.identity_graph, rule.type, list(rule.order), settings.is_default, settings.is_active_on_edge),
    )


def _policies(rows: Iterable[Any], broken: Broken[UUID] | None = None) -> list[MergePolicy]:
    return parsed(rows, _policy, broken, table="merge_policy", key="policy_id", name="name")


def _policy(row: Any) -> MergePolicy:
    rule = AttributeMerge(AttributeMergeType(row["merge_type"]), tuple(row["dataset_order"]))
    graph = IdentityGraphType(row["identity_graph"])
    flags = (row["is_default"], row["is_active_on_edge"])
    return MergePolicy(
        policy_id=row["policy_id"],
        settings=PolicySettings(row["name"], graph, rule, *flags, XdmClass(row["class"])),
        version=row["version"],
        status=PolicyStatus(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )

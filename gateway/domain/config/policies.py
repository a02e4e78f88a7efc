"""Merge policies: which fragments make a person, and which value wins.

Rules: at most five policies a sandbox. One default per class, which is never deleted or unflagged, only replaced by another default. One
policy active on the edge, which must be cleared before another is active there and before it is deleted, and stays while there are projections. All policies are of the class
INDIVIDUAL_PROFILE: events are collected, never merged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from gateway.domain.config.broken_rows import Broken, parse_rows
from gateway.domain.config.projection_contents import list_projected, names_of, renew
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.edited import Edited, check_version
from gateway.domain.rules.limits import POLICIES, check_room
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import READ_CONFIGURATION, Permission, Scope
from gateway.domain.work import audit, jobs
from gateway.domain.work.audit import Subject
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import BadInput, Conflict, Invalid, NotFound, Taken
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

LIST = query("policies.list_policies")
CREATE = query("policies.create_policy")
UPDATE = query("policies.update_policy")
CLEAR_DEFAULT = query("policies.clear_default")
DELETE = query("policies.delete_policy")
IS_EXPORTED = query("policies.is_exported")
LIST_CLASSES = query("policies.list_classes")
HAS_RECORDS = query("policies.has_records")


class IdentityGraphType(StrEnum):
    """How identities become people. NONE: each identity with data is a person. PDG: each graph of the sandbox's own (private) identity graph is one."""

    NONE = "NONE"
    PDG = "PDG"


class PolicyStatus(StrEnum):
    """BUILDING: a job materializes the profiles, and reads merge them on the fly. ACTIVE: there is nothing to materialize, or it is done."""

    BUILDING = "BUILDING"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The part of a merge policy that callers choose."""

    name: str
    identity_graph: IdentityGraphType
    attribute_merge: AttributeMerge
    is_default: bool = False
    is_active_on_edge: bool = False
    xdm_class: XdmClass = XdmClass.INDIVIDUAL_PROFILE

    @property
    def is_materialized(self) -> bool:
        """Whether profiles are stored merged, as for the policies that are read most: the default one and the one active on the edge."""
        return self.is_default or self.is_active_on_edge

    def merges_as(self, other: "PolicySettings") -> bool:
        """Return whether both settings make equal profiles."""
        return (self.identity_graph, self.attribute_merge) == (other.identity_graph, other.attribute_merge)


@dataclass(frozen=True, slots=True)
class MergePolicy(Edited):
    """A merge policy. `job_id`: the open job that materializes its profiles, or deletes those that it keeps no more; None where there is none."""

    policy_id: UUID
    settings: PolicySettings
    status: PolicyStatus
    job_id: UUID | None = field(default=None, repr=False)

    @property
    def is_materialized(self) -> bool:
        """Whether its profiles are stored merged, or a job is storing them."""
        return self.settings.is_materialized

    def require_kept(self, what: str) -> None:
        """Raise BadInput unless its profiles are stored, or being stored; `what` needs that."""
        if not self.is_materialized:
            raise BadInput(
                f"{what} needs a merge policy that keeps its profiles: the default one, or the one that is active on the edge. Make this policy one of them, or leave `mergePolicyId` out."
            )


DEFAULT = PolicySettings(
    "Default", IdentityGraphType.PDG, AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED), is_default=True
)


async def create_default(tx: Session, sandbox_id: int) -> None:
    """Create the default policy of a new sandbox. It is ACTIVE, since there are no profiles to materialize."""
    await tx.execute(CREATE, sandbox_id, uuid4(), *_columns(DEFAULT, with_class=True), PolicyStatus.ACTIVE, None)


async def load_policies(tx: Session, scope: Scope, broken: Broken[UUID] | None = None) -> list[MergePolicy]:
    """Load all policies of the sandbox, by name. Needs no permission. Rows that cannot be parsed go into `broken`."""
    return _policies(await tx.rows(LIST, scope.sandbox_id), broken)


async def list_policies(db: Database, scope: Scope) -> list[MergePolicy]:
    """List all policies of the sandbox, by name. Needs `profile:read` or `config:write`. Raises Forbidden."""
    scope.require(*READ_CONFIGURATION)
    return _policies(await db.rows(LIST, scope.sandbox_id))


async def create_policy(db: Database, scope: Scope, settings: PolicySettings) -> MergePolicy:
    """Create a policy; if it is the default one, the former default loses the flag. Needs `config:write`.

    Raises Forbidden, Invalid, TooMany, NotFound for a dataset, Taken, and Conflict if another policy is active on the edge, too, or a
    policy is broken.
    """
    scope.require(Permission.CONFIG_WRITE)
    policy_id = uuid4()
    async with lock_exclusive(db, scope.sandbox_id) as tx:
        others = await _locked(tx, scope)
        check_room(len(others), POLICIES, "merge policies; delete one first", "A sandbox")
        await _check(tx, scope, settings, others)
        if settings.is_default:
            await _retire_default(tx, scope, others, "createMergePolicy")
        columns = (*_columns(settings, with_class=True), await _status(tx, scope, policy_id, settings))
        await tx.execute(CREATE, scope.sandbox_id, policy_id, *columns, scope.actor)
        policy = _find(await load_policies(tx, scope), policy_id)
        await audit.record(tx, scope, "createMergePolicy", _subject(policy), after=policy)
        return policy


async def update_policy(
    db: Database, scope: Scope, policy_id: UUID, changes: dict[str, Any], current_version: int | None = None
) -> MergePolicy:
    """Change fields of a policy's settings, by their names in PolicySettings, and return the new policy. Needs `config:write`.

    A policy that is made the default takes the flag from the former one. Raises Forbidden, NotFound for the policy or a dataset, Invalid,
    Taken, Stale unless `current_version` is None or the policy's version, and Conflict if the default would lose its flag, another policy
    is active on the edge, too, or a policy is broken.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:
        policies = await _locked(tx, scope)
        policy = _find(policies, policy_id)
        check_version(policy.version, current_version)
        settings = replace(policy.settings, **changes)
        others = [other for other in policies if other.policy_id != policy_id]
        await _check(tx, scope, settings, others)
        if policy.settings.is_default and not settings.is_default:
            raise Conflict("A default is replaced by making another policy the default.", path=["isDefault"])
        if settings == policy.settings:
            return policy
        if policy.settings.is_active_on_edge:
            await _renew_projections(tx, scope, policy.settings, settings)
        if settings.is_default and not policy.settings.is_default:
            await _retire_default(tx, scope, others, "updateMergePolicy")
        status = await _status(tx, scope, policy_id, settings, policy)
        await tx.execute(UPDATE, scope.sandbox_id, policy_id, *_columns(settings), status)
        changed = _find(await load_policies(tx, scope), policy_id)
        await audit.record(tx, scope, "updateMergePolicy", _subject(policy), before=policy, after=changed)
        return changed


async def delete_policy(db: Database, scope: Scope, policy_id: UUID, current_version: int | None = None) -> None:
    """Delete a policy. Needs `config:write`.

    Raises Forbidden, NotFound, Stale unless `current_version` is None or the policy's version, and Conflict for the default policy and the
    one active on the edge, for one that an export names, or if any policy is broken.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:
        policy = _find(await _locked(tx, scope), policy_id)
        check_version(policy.version, current_version)
        if policy.settings.is_default:
            raise Conflict("The default cannot be deleted; make another policy the default first.", path=["id"])
        if policy.settings.is_active_on_edge:
            raise Conflict("The policy is active on the edge; clear isActiveOnEdge first.", path=["id"])
        if await tx.value(IS_EXPORTED, scope.sandbox_id, policy_id):
            raise Conflict("An export names the policy; delete its exports first.", path=["id"])
        await tx.execute(DELETE, scope.sandbox_id, policy_id)
        await audit.record(tx, scope, "deleteMergePolicy", _subject(policy), before=policy)


async def check_policy(tx: Session, scope: Scope, settings: PolicySettings, replaced_id: UUID) -> None:
    """Check settings that would replace those of a policy. Raises Invalid, NotFound for a dataset, Taken, Conflict."""
    others = [policy for policy in await load_policies(tx, scope) if policy.policy_id != replaced_id]
    await _check(tx, scope, settings, others)


async def _locked(tx: Session, scope: Scope) -> list[MergePolicy]:
    """Load the policies under the lock of the configuration. Raises Conflict if one is broken.

    The caller holds the exclusive lock of the sandbox's facts, since writers merge by these policies.
    """
    await lock_configuration(tx, scope)
    broken: Broken[UUID] = {}
    policies = await load_policies(tx, scope, broken)
    for row in broken.values():  # the rules about all policies cannot be checked without it
        raise Conflict(row.message)
    return policies


def _subject(policy: MergePolicy) -> Subject:
    return Subject("MergePolicy", (policy.policy_id,))


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


async def _retire_default(tx: Session, scope: Scope, policies: Sequence[MergePolicy], action: str) -> None:
    """Unflag the default policy; unless it is active on the edge, enqueue the job that deletes its materialized profiles.

    `action` is the mutation that makes another the default, for the audit log.
    """
    former = next(policy for policy in policies if policy.settings.is_default)
    await tx.execute(CLEAR_DEFAULT, scope.sandbox_id, former.settings.xdm_class.value)
    unflagged = replace(former, settings=replace(former.settings, is_default=False), version=former.version + 1)
    await audit.record(tx, scope, action, _subject(former), before=former, after=unflagged)
    if not former.settings.is_active_on_edge:
        await jobs.enqueue(tx, scope, JobKind.MATERIALIZE_POLICY, former.policy_id)


async def _renew_projections(tx: Session, scope: Scope, before: PolicySettings, after: PolicySettings) -> None:
    """Give projections a new content version where the policy that edges use merges otherwise. Raises Conflict if it loses the flag under them."""
    projected = await list_projected(tx, scope)
    if projected and not after.is_active_on_edge:
        message = f"Projections are of people as this policy sees them: {names_of(projected)}. Delete them first."
        raise Conflict(message, path=["isActiveOnEdge"])
    if projected and not after.merges_as(before):
        await renew(tx, scope, (each.configuration_id for each in projected))


async def _status(
    tx: Session, scope: Scope, policy_id: UUID, settings: PolicySettings, former: MergePolicy | None = None
) -> PolicyStatus:
    """Return the policy's status under these settings, and enqueue the job that materializes its profiles or deletes them.

    A policy to be materialized is BUILDING until the job is done, unless there are no records. One that becomes the default is
    materialized again even if it was, so that followers of changes read everybody's default document again.
    """
    was_kept = former is not None and former.is_materialized
    is_new_default = settings.is_default and not (former and former.settings.is_default)
    if former and was_kept and settings.is_materialized and settings.merges_as(former.settings) and not is_new_default:
        return former.status
    to_build = settings.is_materialized and await tx.value(HAS_RECORDS, scope.sandbox_id)
    if to_build or (was_kept and not settings.is_materialized):
        await jobs.enqueue(tx, scope, JobKind.MATERIALIZE_POLICY, policy_id)
    else:  # an older job must not delete profiles that are stored from now on
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
    return parse_rows(rows, _policy, broken, table="merge_policy", key="policy_id", name="name")


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
        created_by=row["created_by"],
        job_id=row["job_id"],
    )

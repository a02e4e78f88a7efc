"""Identity settings: the ranking of namespaces, and which namespaces are unique (a person has at most one identity of each).

Rules: a namespace is listed once; at most three are unique; namespaces of devices, browsers and partners are neither unique nor ranked
above namespaces of people. New facts follow new settings at once; a job regroups existing identities. Events stay where they are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from gateway.domain.config.namespaces import Namespace, load_namespaces, parse_namespaces, unknown_namespace
from gateway.domain.config.tenants import lock_configuration, readable_sandboxes
from gateway.domain.rules.edited import check_version
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit, jobs
from gateway.domain.work.audit import Subject
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import Invalid, NotFound, TooMany
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

CREATE = query("identity_settings.create_settings")
READ = query("identity_settings.read_settings")
UPDATE = query("identity_settings.update_settings")
CLEAR_RULES = query("identity_settings.clear_rules")
SET_RULES = query("identity_settings.set_rules")

MAX_UNIQUE_NAMESPACES = 3
"""The limit of namespaces that are unique in a graph."""

PERSON_TYPES = frozenset({IdentityType.CROSS_DEVICE, IdentityType.EMAIL, IdentityType.PHONE})
"""The types of namespaces that name people."""


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """A namespace in the identity settings, ranked by its place in their list. `is_unique`: a graph holds at most one identity of it."""

    code: str
    is_unique: bool = False


class IdentitySettingsStatus(StrEnum):
    """BUILDING: a job regroups the people who were there. ACTIVE: everybody is as the settings say."""

    BUILDING = "BUILDING"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """The identity settings of a sandbox: the namespaces with a priority, the highest first. `version` is 1 until they are first changed.

    `updated_at` and `updated_by` are None until then, and for what is older than this note. `job_id` is that of the job that regroups the people
    who were there when the settings changed, None once it is done.
    """

    namespaces: tuple[Namespace, ...]
    version: int
    updated_at: datetime | None
    updated_by: str | None
    job_id: UUID | None

    @property
    def status(self) -> IdentitySettingsStatus:
        """Whether everybody is as the settings say."""
        return IdentitySettingsStatus.ACTIVE if self.job_id is None else IdentitySettingsStatus.BUILDING


async def create_identity_settings(tx: Session, sandbox_id: int) -> None:
    """Create the settings of a new sandbox, which rank nothing."""
    await tx.execute(CREATE, sandbox_id)


async def read_identity_settings(
    db: Database | Session, scope: Scope, sandbox_ids: Sequence[int]
) -> list[IdentitySettings | None]:
    """Read the identity settings of sandboxes, in order; None for one that the organization lacks or the caller's token does not cover.

    Needs `admin`; for the scope's own sandbox alone, `profile:read` or `config:write`. Raises Forbidden.
    """
    names = readable_sandboxes(scope, sandbox_ids)
    rows = await db.rows(READ, sandbox_ids, scope.organization.organization_id, names, JobKind.REGROUP_IDENTITIES)
    found = {sandbox: _settings(list(own)) for sandbox, own in groupby(rows, lambda row: row["settings_of"])}
    return [found.get(sandbox_id) for sandbox_id in sandbox_ids]


def _settings(rows: list[Any]) -> IdentitySettings:
    return IdentitySettings(
        tuple(parse_namespaces(row for row in rows if row["namespace_id"] is not None)),
        *(
            rows[0]["settings_version"],
            rows[0]["settings_updated_at"],
            rows[0]["settings_updated_by"],
            rows[0]["job_id"],
        ),
    )


async def update_identity_settings(
    db: Database, scope: Scope, rules: Sequence[NamespaceRule], current_version: int | None = None
) -> IdentitySettings:
    """Replace the identity settings and return them; an empty list turns them off. Needs `config:write`.

    Raises Forbidden, NotFound for an unknown code, Invalid, TooMany, Stale unless `current_version` is None or the version of the settings.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:  # running transactions join identities by the old settings
        await lock_configuration(tx, scope)
        before = await _read(tx, scope)
        check_version(before.version, current_version)
        known = {namespace.code: namespace for namespace in await load_namespaces(tx, scope)}
        ranked = check_rules(known, rules)
        if tuple(ranked) == before.namespaces:
            return before
        rows = [(each.namespace_id, each.priority, each.is_unique_per_graph) for each in ranked]
        await tx.execute(CLEAR_RULES, scope.sandbox_id)
        await tx.update_rows(SET_RULES, scope.sandbox_id, rows=rows)
        await tx.execute(UPDATE, scope.sandbox_id, scope.actor)
        await jobs.enqueue(tx, scope, JobKind.REGROUP_IDENTITIES)
        settings = await _read(tx, scope)
        states = {"before": _told(before), "after": _told(settings)}
        await audit.record(tx, scope, "updateIdentitySettings", Subject("Sandbox", (scope.sandbox_id,)), **states)
    return settings


async def _read(tx: Session, scope: Scope) -> IdentitySettings:
    (settings,) = await read_identity_settings(tx, scope, [scope.sandbox_id])
    if settings is None:
        raise NotFound("The sandbox is gone.")
    return settings


def check_rules(
    known: Mapping[str, Namespace], rules: Sequence[NamespaceRule], at: Sequence[str] = ()
) -> list[Namespace]:
    """Check identity settings and return the namespaces with their new priorities, the highest first.

    `known`: the sandbox's namespaces by code. `at`: the path of the rules in the caller's input, for errors. Raises NotFound for an unknown
    code, Invalid, TooMany.
    """
    ranked: list[Namespace] = []
    for place, rule in enumerate(rules):
        path = [*at, "namespaces", str(place)]
        namespace = known.get(rule.code)
        if namespace is None:
            raise NotFound(unknown_namespace(rule.code, known), path=[*path, "namespace"])
        if any(other.code == rule.code for other in ranked):
            raise Invalid(f"{rule.code} stands in the list twice.", path=[*path, "namespace"])
        _check_rule(namespace, rule, ranked, path)
        ranked.append(replace(namespace, priority=place + 1, is_unique_per_graph=rule.is_unique))
    if sum(rule.is_unique for rule in rules) > MAX_UNIQUE_NAMESPACES:
        raise TooMany(f"At most {MAX_UNIQUE_NAMESPACES} namespaces are unique in a graph.", path=[*at, "namespaces"])
    return ranked


def _check_rule(namespace: Namespace, rule: NamespaceRule, above: Sequence[Namespace], path: list[str]) -> None:
    if namespace.type is IdentityType.NON_PEOPLE:
        raise Invalid(f"{rule.code} names no people, so it joins nobody.", path=[*path, "namespace"])
    if rule.is_unique and namespace.type not in PERSON_TYPES:
        message = f"{rule.code} is of type {namespace.type}: a person may have several, so it cannot be unique."
        raise Invalid(message, path=[*path, "isUniquePerGraph"])
    weak = next((other for other in above if other.type not in PERSON_TYPES), None)
    if weak is not None and namespace.type in PERSON_TYPES:
        message = f"{rule.code} names people; {weak.code} is of type {weak.type} and cannot stand above it."
        raise Invalid(message, path=[*path, "namespace"])


def _told(settings: IdentitySettings) -> dict[str, Any]:
    """Return the settings as the audit log tells them: the codes of namespaces say all."""
    rules = [{"namespace": each.code, "isUniquePerGraph": each.is_unique_per_graph} for each in settings.namespaces]
    return {"namespaces": rules, "version": settings.version}

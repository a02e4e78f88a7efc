"""Identity settings: the ranking of namespaces, and which namespaces are unique (a person has at most one identity of each).

Rules: a namespace is listed once; at most three are unique; namespaces of devices, browsers and partners are neither unique nor ranked
above namespaces of people. New facts follow new settings at once; a job regroups existing identities. Events stay where they are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain.config.namespaces import Namespace, load_namespaces, unknown_namespace
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import jobs
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import Invalid, NotFound, TooMany
from gateway.storage.database import Database
from gateway.storage.queries import query

CLEAR_RULES = query("namespaces.clear_rules")
SET_RULES = query("namespaces.set_rules")

MAX_UNIQUE_NAMESPACES = 3
"""The limit of namespaces that are unique in a graph."""

PERSON_TYPES = frozenset({IdentityType.CROSS_DEVICE, IdentityType.EMAIL, IdentityType.PHONE})
"""The types of namespaces that name people."""


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """A namespace in the identity settings, ranked by its place in their list. `is_unique`: a graph holds at most one identity of it."""

    code: str
    is_unique: bool = False


async def update_identity_settings(db: Database, scope: Scope, rules: Sequence[NamespaceRule]) -> list[Namespace]:
    """Replace the identity settings and return the listed namespaces, the highest first; an empty list turns them off. Needs `config:write`.

    Raises Forbidden, NotFound for an unknown code, Invalid, TooMany.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:  # running transactions join identities by the old settings
        await lock_configuration(tx, scope)
        known = {namespace.code: namespace for namespace in await load_namespaces(tx, scope)}
        ranked = check_rules(known, rules)
        if ranked != sorted((each for each in known.values() if each.priority), key=lambda each: each.priority or 0):
            rows = [(each.namespace_id, each.priority, each.is_unique_per_graph) for each in ranked]
            await tx.execute(CLEAR_RULES, scope.sandbox_id)
            await tx.update_rows(SET_RULES, scope.sandbox_id, rows=rows)
            await jobs.enqueue(tx, scope, JobKind.REGROUP_IDENTITIES)
    return ranked


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

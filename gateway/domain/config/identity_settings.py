"""Identity settings: which namespaces say more about who somebody is, and of which a person has at most one identity.

Rules: a namespace stands in the list once; at most three are unique; those of devices, browsers and partners are neither unique nor
above those of people. New facts follow new settings at once; the people who are there follow in a job. Events stay where they are
stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain.config.namespaces import Namespace, load_namespaces, unknown_namespace
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import jobs
from gateway.domain.work.jobs import JobKind
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import Invalid, NotFound, TooMany
from gateway.storage.database import Database
from gateway.storage.queries import query

CLEAR_RULES = query("namespaces.clear_rules")
SET_RULES = query("namespaces.set_rules")

UNIQUE = 3
"""The most namespaces that are unique in a graph."""

PEOPLES = frozenset({IdentityType.CROSS_DEVICE, IdentityType.EMAIL, IdentityType.PHONE})
"""The kinds of namespaces that name people."""


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """A namespace's place in the settings is its place in their list; `is_unique`: a graph holds at most one identity of it."""

    code: str
    is_unique: bool = False


async def update_identity_settings(db: Database, scope: Scope, rules: Sequence[NamespaceRule]) -> list[Namespace]:
    """The namespaces listed, the highest first, as they are now; none turns the settings off. Needs `config:write`.

    Raises Forbidden, NotFound for an unknown code, Invalid, TooMany.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with lock_exclusive(db, scope.sandbox_id) as tx:  # whoever stitches now does it by the rules that it knows
        await lock_configuration(tx, scope)
        known = {namespace.code: namespace for namespace in await load_namespaces(tx, scope)}
        ruled = check_rules(known, rules)
        if ruled != sorted((each for each in known.values() if each.priority), key=lambda each: each.priority or 0):
            rows = [(each.namespace_id, each.priority, each.is_unique_per_graph) for each in ruled]
            await tx.execute(CLEAR_RULES, scope.sandbox_id)
            await tx.update_rows(SET_RULES, scope.sandbox_id, rows=rows)
            await jobs.enqueue(tx, scope, JobKind.REGROUP_IDENTITIES)
    return ruled


def check_rules(
    known: Mapping[str, Namespace], rules: Sequence[NamespaceRule], at: Sequence[str] = ()
) -> list[Namespace]:
    """The namespaces as these rules make them, the highest first. Raises NotFound for an unknown code, Invalid, TooMany.

    `at`: where the rules stand in what the caller gave.
    """
    ruled: list[Namespace] = []
    for place, rule in enumerate(rules):
        path = [*at, "namespaces", str(place)]
        namespace = known.get(rule.code)
        if namespace is None:
            raise NotFound(unknown_namespace(rule.code, known), path=[*path, "namespace"])
        if any(other.code == rule.code for other in ruled):
            raise Invalid(f"{rule.code} stands in the list twice.", path=[*path, "namespace"])
        _check_rule(namespace, rule, ruled, path)
        ruled.append(replace(namespace, priority=place + 1, is_unique_per_graph=rule.is_unique))
    if sum(rule.is_unique for rule in rules) > UNIQUE:
        raise TooMany(f"At most {UNIQUE} namespaces are unique in a graph.", path=[*at, "namespaces"])
    return ruled


def _check_rule(namespace: Namespace, rule: NamespaceRule, above: Sequence[Namespace], path: list[str]) -> None:
    if namespace.type is IdentityType.NON_PEOPLE:
        raise Invalid(f"{rule.code} names no people, so it joins nobody.", path=[*path, "namespace"])
    if rule.is_unique and namespace.type not in PEOPLES:
        message = f"{rule.code} is of type {namespace.type}: a person may have several, so it cannot be unique."
        raise Invalid(message, path=[*path, "isUniquePerGraph"])
    weak = next((other for other in above if other.type not in PEOPLES), None)
    if weak is not None and namespace.type in PEOPLES:
        message = f"{rule.code} names people; {weak.code} is of type {weak.type} and cannot stand above it."
        raise Invalid(message, path=[*path, "namespace"])

"""Identity settings: which namespaces say more about who somebody is, and of which a person has at most one identity.

Rules: a namespace stands in the list once; at most three are unique; those of devices, browsers and partners are neither unique nor
above those of people. New facts follow new settings at once; the people who are there follow in a job. Events stay where they are
stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from gateway.domain import jobs
from gateway.domain.configuration import Configurations
from gateway.domain.graphs import IdentityType, Rules
from gateway.domain.jobs import Claim, JobKind
from gateway.domain.locking import lock_alone
from gateway.domain.namespaces import Namespace, load_namespaces, unknown_namespace
from gateway.domain.people import COUNT
from gateway.domain.regrouping import alone, beside, settle
from gateway.domain.tenants import Permission, Scope, lock_configuration
from gateway.errors import Invalid, NotFound, TooMany
from gateway.storage.database import Database
from gateway.storage.queries import query

CLEAR_RULES = query("namespaces.clear_rules")
SET_RULES = query("namespaces.set_rules")
LIST_GRAPHS = query("regrouping.list_graphs")

UNIQUE = 3
"""The most namespaces that are unique in a graph."""

PEOPLES = frozenset({IdentityType.CROSS_DEVICE, IdentityType.EMAIL, IdentityType.PHONE})
"""The kinds of namespaces that name people."""

PEOPLE = 500
"""How many people one piece of the job looks at."""


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
    async with lock_alone(db, scope.sandbox_id) as tx:  # whoever stitches now does it by the rules that it knows
        await lock_configuration(tx, scope)
        known = {namespace.code: namespace for namespace in await load_namespaces(tx, scope)}
        ruled = check_rules(known, rules)
        if ruled != sorted((each for each in known.values() if each.priority), key=lambda each: each.priority or 0):
            rows = [(each.namespace_id, each.priority, each.is_unique_per_graph) for each in ruled]
            await tx.execute(CLEAR_RULES, scope.sandbox_id)
            await tx.update_rows(SET_RULES, scope.sandbox_id, rows=rows)
            await jobs.enqueue(tx, scope, JobKind.REGROUP_SANDBOX)
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


# ------------------------------------------------------------------------------------------------ the job


async def regroup_sandbox(db: Database, scope: Scope, configurations: Configurations, claim: Claim) -> None:
    """The job that groups the people who are there by the present settings, some at a time."""
    last: UUID | None = UUID(claim.cursor or str(jobs.SANDBOX))
    while last is not None:
        last = await _regroup(db, scope, configurations, claim, last)


async def _regroup(
    db: Database, scope: Scope, configurations: Configurations, claim: Claim, after: UUID
) -> UUID | None:
    """Group the next people; the last of them, or None when there are no more. Most need not be touched, so writers go on."""
    config = await configurations.read(db, scope)
    rows = await db.rows(LIST_GRAPHS, scope.sandbox_id, after, PEOPLE)
    if not rows:
        return None
    seeds = {xid for row in rows if _may_change(row, config.namespaces, config.rules) for xid in row["xids"]}
    async with (alone if seeds else beside)(db, scope, configurations) as (tx, current):
        if seeds:
            await settle(tx, scope, current, (), seeds, recount=False)
        last: UUID = rows[-1]["profile_id"]
        done = claim.done + len(rows)
        total = claim.total or await tx.value(COUNT, scope.sandbox_id)
        await jobs.advance(tx, claim, str(last), done=done, total=max(done, total))  # people who part are counted twice
        return last


def _may_change(row: Any, namespaces: Mapping[int, Namespace], rules: Rules) -> bool:
    """Whether other rules may make something else of the graph. One that nothing is refused to and that breaks no rule stays."""
    if row["is_contested"]:
        return True
    identity_map = orjson.loads(row["identity_map"]) if rules.unique else {}
    return any(len(identity_map.get(namespaces[number].code, ())) > 1 for number in rules.unique)

"""Materialization: everybody merged by a policy that is to be kept merged from now on, while writers go on writing.

    forget   what the policy kept under former settings, and all of it if nothing is to be kept any more
    merge    people by their ids, each locked as a writer would lock it; who comes later is merged by whoever brings them
    activate the policy, if nothing about it has changed since

Until the end the policy is BUILDING: reads merge by themselves and look at none of this.
"""

from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.reading.people import COUNT
from gateway.domain.rules.scope import Scope
from gateway.domain.views.graph_rebuild import exclusive_transaction, shared_transaction
from gateway.domain.views.graph_union import GraphChange
from gateway.domain.views.materialized import materialize, read_states
from gateway.domain.work import jobs
from gateway.domain.work.jobs import LeasedJob
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

LOCK_PEOPLE = query("policy_materialization.lock_people")
LIST_KEPT = query("policy_materialization.list_kept")
FORGET_SOME = query("policy_materialization.forget_some")
ACTIVATE = query("policy_materialization.activate_policy")

PEOPLE = 500
"""How many people one piece merges: few enough that requests served by this process hardly notice."""

FORGOTTEN = 5_000
"""How many profiles one piece forgets."""

START = UUID(int=0)


async def materialize_policy(db: Database, scope: Scope, configurations: Configurations, claim: LeasedJob) -> None:
    """The job that brings what a policy keeps to what its settings say. Its subject may have been deleted by now."""
    stage, after = claim.cursor or ("forget", str(START))
    last: UUID | None = UUID(after)
    while stage == "forget" and last is not None:
        last = await _forget(db, scope, configurations, claim, last)
    last = START if stage == "forget" else last
    while last is not None:
        last = await _merge(db, scope, configurations, claim, last)
    await _activate(db, scope, configurations, claim)


async def _forget(
    db: Database, scope: Scope, configurations: Configurations, claim: LeasedJob, after: UUID
) -> UUID | None:
    """Forget some; the last of them, or None when nothing is left. The first time, it waits until writers know the new settings."""
    async with exclusive_transaction(db, scope, configurations) as (tx, _):
        rows = await tx.rows(FORGET_SOME, scope.sandbox_id, claim.subject, after, FORGOTTEN)
        last = max((row["profile_id"] for row in rows), default=None)
        if last is None:
            total = await tx.value(COUNT, scope.sandbox_id)
            await jobs.advance(tx, claim, ("merge", str(START)), done=0, total=total)
        else:
            await jobs.advance(tx, claim, ("forget", str(last)), done=0)
        return last


async def _merge(
    db: Database, scope: Scope, configurations: Configurations, claim: LeasedJob, after: UUID
) -> UUID | None:
    """Merge the next people; the last of them, or None when there are no more, or nothing is to be kept."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        policy = config.policies.find(claim.subject)
        if policy is None or not policy.is_materialized:
            return None
        rows = await tx.rows(LOCK_PEOPLE, scope.sandbox_id, after, PEOPLE)
        if not rows:
            return None
        people = [GraphChange(row["profile_id"], tuple(row["xids"]), (), is_rebuilt=False) for row in rows]
        await _keep(tx, scope, config, policy, people)
        last: UUID = rows[-1]["profile_id"]
        await jobs.advance(tx, claim, ("merge", str(last)), done=claim.done + len(rows))
        return last


async def _keep(
    tx: Session, scope: Scope, config: Configuration, policy: MergePolicy, people: list[GraphChange]
) -> None:
    states = await read_states(tx, scope, [xid for person in people for xid in person.xids])
    subjects = {person.profile_id for person in people}
    if policy.settings.identity_graph is IdentityGraphType.NONE:
        subjects = {xid for xid, _ in states}
    kept = {row[0] for row in await tx.rows(LIST_KEPT, scope.sandbox_id, policy.policy_id, list(subjects))}
    await materialize(tx, scope, config, people, states, fresh=subjects - kept, policies=[policy])


async def _activate(db: Database, scope: Scope, configurations: Configurations, claim: LeasedJob) -> None:
    async with exclusive_transaction(db, scope, configurations) as (tx, config):
        policy = config.policies.find(claim.subject)
        if policy is not None and policy.is_materialized:
            await lock_configuration(tx, scope)
            await tx.execute(ACTIVATE, scope.sandbox_id, policy.policy_id)
        await jobs.advance(tx, claim, claim.cursor, done=claim.done)  # raises LeaseLost: a newer job knows better

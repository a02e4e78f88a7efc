"""Materialization: the job that merges everybody by a policy whose profiles are kept from now on, while writers go on writing.

1. forget: delete the profiles that the policy kept under former settings; all of them if it shall keep none any more.
2. merge: write profiles person by person, in the order of profile ids, each locked as a writer locks it. A person added meanwhile
   is merged by the call that adds it.
3. Activate the policy, if it has not been changed since.

Until then the policy is BUILDING: a read merges for itself and uses none of these profiles.
"""

from uuid import UUID

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.reading.people import COUNT
from gateway.domain.rules.scope import Scope
from gateway.domain.views.graph_union import unchanged_people
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import change_of, exclusive_transaction, shared_transaction
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.domain.work.locks import locking
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import query, template

LOCK_PEOPLE = template("policy_materialization.lock_people")
DELETE_PROFILES = query("policy_materialization.delete_profiles_after")
ACTIVATE = query("policy_materialization.activate_policy")

PEOPLE_PER_PIECE = 500
"""How many people one piece merges: few enough that requests to this process are hardly slowed down."""

DELETED_PER_PIECE = 5_000
"""How many profiles one piece deletes."""


async def materialize_policy(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    """Bring the materialized profiles of a policy to what its settings say: a job, in pieces. The policy may be deleted by now."""
    stage, after = job.cursor or ("forget", str(NIL))
    last: UUID | None = UUID(after)
    while stage == "forget" and last is not None:
        last = await _delete(db, scope, configurations, job, last)
    last = NIL if stage == "forget" else last
    while last is not None:
        last = await _merge(db, scope, configurations, job, last)
    await _activate(db, scope, configurations, job)


async def _delete(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, after: UUID
) -> UUID | None:
    """Delete some profiles. Return the id of the last one, or None when none is left.

    The first piece waits for the exclusive lock, and so until every writer knows the new settings.
    """
    async with exclusive_transaction(db, scope, configurations) as change:
        tx = change.tx
        rows = await tx.rows(DELETE_PROFILES, scope.sandbox_id, job.subject, after, DELETED_PER_PIECE)
        last = max((row["profile_id"] for row in rows), default=None)
        if last is None:
            total = await tx.value(COUNT, scope.sandbox_id)
            await leases.advance(tx, job, ("merge", str(NIL)), done=0, total=total)
        else:
            await leases.advance(tx, job, ("forget", str(last)), done=0, records=len(rows))
        return last


async def _merge(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, after: UUID
) -> UUID | None:
    """Merge the next people. Return the id of the last one, or None when no more are left or the policy shall keep no profiles."""
    async with shared_transaction(db, scope, configurations) as (tx, config):
        policy = config.policies.find(job.subject)
        if policy is None or not policy.is_materialized:
            return None
        rows = await tx.rows(locking(LOCK_PEOPLE, tx), scope.sandbox_id, after, PEOPLE_PER_PIECE)
        if not rows:
            return None
        people = unchanged_people({row["profile_id"]: tuple(row["xids"]) for row in rows})
        change = await change_of(tx, scope, config, people)
        change.policies = [policy]
        await refresh(change)
        last: UUID = rows[-1]["profile_id"]
        done = job.done + len(rows)
        await leases.advance(tx, job, ("merge", str(last)), done=done, records=len(change.states), profiles=len(rows))
        return last


async def _activate(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob) -> None:
    async with exclusive_transaction(db, scope, configurations) as change:
        policy = change.config.policies.find(job.subject)
        if policy is not None and policy.is_materialized:
            await lock_configuration(change.tx, scope)
            await change.tx.execute(ACTIVATE, scope.sandbox_id, policy.policy_id)
        await leases.advance(change.tx, job, job.cursor, done=job.done)  # raises LeaseLost if a newer job took over

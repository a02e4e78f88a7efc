"""Reports of previews: a recurring job keeps one for each day and each policy that keeps profiles, and removes old ones."""

from datetime import timedelta

import orjson

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.policies import MergePolicy
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.previews import Counts, count_all
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database
from gateway.storage.queries import query

LIST_REPORTED = query("previews.list_reported")
ADD_REPORT = query("previews.add_report")
EXPIRE = query("previews.expire_reports")


async def report_previews(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, *, days: float
) -> None:
    """Keep the report of today (UTC) of each policy that has none, and remove those older than `days`: a job, a policy at a time."""
    while (taken := await _take_one(db, scope, configurations)) is not None:
        policy, counts = taken
        day, texts = counts.at.date(), [orjson.dumps(each).decode() for each in (counts.data, counts.people)]
        async with db.transaction(scope.sandbox_id) as tx:
            moments = (counts.at, counts.last_document_at)
            await tx.execute(ADD_REPORT, scope.sandbox_id, policy.policy_id, day, *moments, *texts)
            await tx.execute(EXPIRE, scope.sandbox_id, day - timedelta(days=days))
            await leases.advance(tx, job, None, done=job.done + 1)


async def _take_one(db: Database, scope: Scope, configurations: Configurations) -> tuple[MergePolicy, Counts] | None:
    """Count the people under the first policy that has no report of today, however long it takes; None where all have one."""
    async with configurations.snapshot(db, scope) as (tx, config):
        today = (await read_instant(tx)).date()
        reported = {row["policy_id"] for row in await tx.rows(LIST_REPORTED, scope.sandbox_id, today)}
        lacking = [policy for policy in config.materialized if policy.policy_id not in reported]
        if not lacking:
            return None
        await tx.lift_time_limit()
        return lacking[0], await count_all(tx, scope, lacking[0])

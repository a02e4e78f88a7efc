"""The worker: does what has to be done later, one job at a time, beside the server or alone. Every kind of work is on this page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations import deletions, policy_materialization, sandbox_regrouping
from gateway.domain.rules.scope import Scope
from gateway.domain.work import jobs
from gateway.domain.work.jobs import JobKind, LeasedJob
from gateway.storage.database import Database
from gateway.telemetry import FaultMasked, correlation_id, observe

Handler = Callable[[Database, Scope, Configurations, LeasedJob], Awaitable[None]]
"""Does the job from its cursor to the end. It may be cut off anywhere: what counts are the pieces that it committed."""

HANDLERS: Mapping[JobKind, Handler] = {
    JobKind.MATERIALIZE_POLICY: policy_materialization.materialize_policy,
    JobKind.REGROUP_IDENTITIES: sandbox_regrouping.regroup_identities,
    JobKind.ABORT_BATCH: deletions.empty_batch,
}

POLL = 1.0  # seconds between two looks for work; a look is one probe of an index


@asynccontextmanager
async def working(db: Database, configurations: Configurations) -> AsyncIterator[None]:
    """Work as long as the block lasts; the job in hand is then free for another worker."""
    task = asyncio.create_task(_work(db, configurations))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _work(db: Database, configurations: Configurations) -> None:
    """Do jobs as they come due, until cancelled. Of a fault that comes again with each look, the first is told."""
    told = None
    while True:
        try:
            await work_off(db, configurations)
        except Exception as error:  # noqa: BLE001 # the database is away, most likely: it will be back
            if str(error) != told:
                told = str(error)
                observe(FaultMasked(error))
        else:
            told = None
        await asyncio.sleep(POLL)


async def work_off(db: Database, configurations: Configurations) -> int:
    """Do everything that is due, and say how many jobs that were."""
    count = 0
    while claim := await jobs.claim(db, HANDLERS.keys()):
        await _do(db, configurations, claim)
        count += 1
    return count


async def _do(db: Database, configurations: Configurations, claim: LeasedJob) -> None:
    scope = await read_own_scope(db, claim.sandbox_id)
    if scope is None:
        return  # the sandbox went, and the job with it
    correlation_id.set(str(claim.job_id))
    try:
        await jobs.carry_out(db, claim, HANDLERS[claim.kind](db, scope, configurations, claim))
    except Exception as error:  # noqa: BLE001 # the job keeps what happened; the worker goes on with the next
        observe(FaultMasked(error))

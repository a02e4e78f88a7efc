"""The worker: does jobs, one at a time, in a server process or in a process of its own. HANDLERS lists every kind of job."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations import batch_removal, policy_materialization, sandbox_regrouping
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database
from gateway.telemetry import FaultMasked, correlation_id, observe

Handler = Callable[[Database, Scope, Configurations, LeasedJob], Awaitable[None]]
"""Does a job from its cursor to the end. It may be cancelled anywhere: the pieces that it committed count."""

HANDLERS: Mapping[JobKind, Handler] = {
    JobKind.MATERIALIZE_POLICY: policy_materialization.materialize_policy,
    JobKind.REGROUP_IDENTITIES: sandbox_regrouping.regroup_identities,
    JobKind.ABORT_BATCH: batch_removal.empty_batch,
}

POLL_SECONDS = 1.0  # between two looks for due jobs; a look is one probe of an index


@asynccontextmanager
async def working(db: Database, configurations: Configurations) -> AsyncIterator[None]:
    """Do jobs as long as the block lasts; a job that is interrupted is free for another worker."""
    task = asyncio.create_task(_work(db, configurations))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _work(db: Database, configurations: Configurations) -> None:
    """Do jobs as they come due, until cancelled. An error that repeats with each look is observed once."""
    last_error = None
    while True:
        try:
            await work_off(db, configurations)
        except Exception as error:  # noqa: BLE001 # most likely the database cannot be reached now
            if str(error) != last_error:
                last_error = str(error)
                observe(FaultMasked(error))
        else:
            last_error = None
        await asyncio.sleep(POLL_SECONDS)


async def work_off(db: Database, configurations: Configurations) -> int:
    """Do every job that is due, and return how many they were."""
    count = 0
    while claim := await leases.claim(db, HANDLERS.keys()):
        await _do(db, configurations, claim)
        count += 1
    return count


async def _do(db: Database, configurations: Configurations, claim: LeasedJob) -> None:
    scope = await read_own_scope(db, claim.sandbox_id)
    if scope is None:
        return  # the sandbox was deleted, and the job with it
    correlation_id.set(str(claim.job_id))
    try:
        await leases.carry_out(db, claim, HANDLERS[claim.kind](db, scope, configurations, claim))
    except Exception as error:  # noqa: BLE001 # the job records its error; the worker goes on
        observe(FaultMasked(error))

"""The worker: does jobs, in a server process or in a process of its own. `handlers` lists every kind of job.

Long and short work have slots of their own, so that a policy which is materialized for an hour holds up no batch that is aborted. Where
sandboxes wait for a slot, a job has it for a turn, and goes on where it was at its next turn. The worker is woken when a job is committed;
it also looks by itself, as a notification may be lost and jobs become due by time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations import (
    attribute_backfill,
    batch_completion,
    batch_removal,
    change_retention,
    dataset_removal,
    erasure,
    event_retention,
    export_profiles,
    export_retention,
    ingest_error_retention,
    job_retention,
    kept_values,
    partial_retention,
    policy_materialization,
    preview_reports,
    profile_retention,
    projection_backfill,
    sandbox_regrouping,
    search_indexing,
    version_retention,
)
from gateway.domain.operations.export_locations import Locations
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import RULES, JobKind
from gateway.domain.work.jobs import schedule
from gateway.domain.work.leases import LeasedJob
from gateway.server.projector import projecting
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.listener import Waiter
from gateway.storage.notifications import Channel
from gateway.telemetry import FaultMasked, correlation_id, observe

Handler = Callable[[Database, Scope, Configurations, LeasedJob], Awaitable[None]]
"""Does a job from its cursor to the end. It may be cancelled anywhere: the pieces that it committed count."""

POLL_SECONDS = 1.0
"""Between two looks for due jobs that nobody told of; a look is one statement for each pool."""

TURN_SECONDS = 10.0
"""How long a job has a slot when another sandbox waits for one."""

SCHEDULE_SECONDS = 600.0
"""How long a new sandbox may wait for its recurring jobs."""


def locations_of(settings: Settings) -> Locations:
    """Return where exports may be, by these settings."""
    return Locations(settings.data_dir / "exports", settings.export_locations)


def spool_of(settings: Settings) -> int:
    """Return how many bytes of people an export may read before they are in files, by these settings."""
    return int(settings.export_spool_gb * 1_000_000_000)


def handlers(settings: Settings) -> Mapping[JobKind, Handler]:
    """Return what does each kind of job, under these settings."""
    locations = locations_of(settings)
    return {
        JobKind.MATERIALIZE_POLICY: policy_materialization.materialize_policy,
        JobKind.REGROUP_IDENTITIES: sandbox_regrouping.regroup_identities,
        JobKind.ABORT_BATCH: batch_removal.empty_batch,
        JobKind.REVERT_BATCH: batch_removal.empty_batch,
        JobKind.DELETE_BATCH: batch_removal.empty_batch,
        JobKind.DELETE_DATASET: dataset_removal.empty_dataset,
        JobKind.DELETE_PROFILE: partial(erasure.erase_people, data_centers=tuple(settings.edges)),
        JobKind.EXPIRE_EVENTS: event_retention.expire_events,
        JobKind.EXPIRE_PROFILES: profile_retention.expire_profiles,
        JobKind.EXPIRE_VERSIONS: partial(version_retention.expire_versions, days=settings.revert_days),
        JobKind.EXPIRE_ERRORS: partial(ingest_error_retention.expire_errors, days=settings.error_days),
        JobKind.EXPIRE_CHANGES: partial(change_retention.expire_changes, days=settings.change_days),
        JobKind.COMPLETE_BATCHES: batch_completion.complete_batches,
        JobKind.EXPIRE_JOBS: partial(job_retention.expire_jobs, days=settings.job_days),
        JobKind.BUILD_SEARCH_INDEX: search_indexing.build_search_index,
        JobKind.BACKFILL_COMPUTED_ATTRIBUTE: attribute_backfill.backfill_computed_attribute,
        JobKind.EXPIRE_COMPUTED_PARTIALS: partial_retention.expire_computed_partials,
        JobKind.EXPIRE_SEARCH_INDEXES: partial(search_indexing.expire_search_indexes, days=settings.search_index_days),
        JobKind.REFRESH_KEPT_VALUES: partial(kept_values.refresh_kept_values, days=settings.search_index_days),
        JobKind.REPORT_PREVIEWS: partial(preview_reports.report_previews, days=settings.preview_days),
        JobKind.EXPORT_PROFILES: partial(
            export_profiles.export_profiles,
            locations=locations,
            days=settings.export_days,
            most=spool_of(settings),
        ),
        JobKind.EXPIRE_EXPORTS: partial(export_retention.expire_exports, locations=locations),
        JobKind.BACKFILL_PROJECTION: partial(
            projection_backfill.backfill_projection, data_centers=tuple(settings.edges)
        ),
    }


@asynccontextmanager
async def working(db: Database, configurations: Configurations, settings: Settings) -> AsyncIterator[None]:
    """Do jobs, and deliver to edges, as long as the block lasts; a job that is interrupted is free for another worker."""
    task = asyncio.create_task(_Worker(db, configurations, settings).work())
    try:
        async with projecting(db, configurations, settings):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def do_job(db: Database, configurations: Configurations, handler: Handler, claim: LeasedJob) -> None:
    """Do a leased job to its end, unless it is put off or lost. An error is kept with the job, and observed."""
    scope = await read_own_scope(db, claim.sandbox_id)
    if scope is None:
        return  # the sandbox was deleted, and the job with it
    correlation_id.set(str(claim.job_id))
    try:
        await leases.carry_out(db, claim, handler(db, scope, configurations, claim))
    except Exception as error:  # noqa: BLE001 # the job keeps its error; the worker goes on
        observe(FaultMasked(error))


@dataclass(slots=True)
class _Pool:
    """The kinds of jobs that share some slots, and the jobs in these, each with the time when it was begun."""

    kinds: list[JobKind]
    slots: int
    running: list[tuple[float, LeasedJob]] = field(default_factory=list)

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return len(self.running) < self.slots


class _Worker:
    def __init__(self, db: Database, configurations: Configurations, settings: Settings) -> None:
        self._db, self._configurations, self._handlers = db, configurations, handlers(settings)
        long = [kind for kind in self._handlers if RULES[kind].is_long]
        short = [kind for kind in self._handlers if not RULES[kind].is_long]
        self._pools = [_Pool(short, settings.short_jobs), _Pool(long, settings.long_jobs)]
        self._scheduled_at = float("-inf")

    async def work(self) -> None:
        """Do jobs as they come due, until cancelled. An error that repeats with each look is observed once."""
        last_error = None
        with self._db.waiter(Channel.JOBS) as waiter:
            async with asyncio.TaskGroup() as running:
                while True:
                    try:
                        await self._look(running, waiter)
                    except Exception as error:  # noqa: BLE001 # most likely the database cannot be reached now
                        if str(error) != last_error:
                            last_error = str(error)
                            observe(FaultMasked(error))
                    else:
                        last_error = None
                    await waiter.wait(POLL_SECONDS)

    async def _look(self, running: asyncio.TaskGroup, waiter: Waiter) -> None:
        """Begin due jobs, as many as there are free slots."""
        if monotonic() - self._scheduled_at > SCHEDULE_SECONDS:
            await schedule(self._db)
            self._scheduled_at = monotonic()
        for pool in self._pools:
            while pool.has_room and (claim := await leases.claim(self._db, pool.kinds)):
                pool.running.append(entry := (monotonic(), claim))
                running.create_task(self._do(pool, entry, waiter))
            await self._recall(pool)

    async def _recall(self, pool: _Pool) -> None:
        """Take the slot of the job that has had it for longest, if that is a turn, and another sandbox waits."""
        if pool.has_room or any(claim.is_recalled for _, claim in pool.running):
            return
        began, longest = min(pool.running, key=lambda entry: entry[0])
        served = {claim.sandbox_id for _, claim in pool.running}
        if monotonic() - began >= TURN_SECONDS and await leases.is_waited_for(self._db, pool.kinds, served):
            longest.is_recalled = True

    async def _do(self, pool: _Pool, entry: tuple[float, LeasedJob], waiter: Waiter) -> None:
        _, claim = entry
        try:
            await do_job(self._db, self._configurations, self._handlers[claim.kind], claim)
        except Exception as error:  # noqa: BLE001 # the database is away: the lease runs out, and another worker goes on
            observe(FaultMasked(error))
        finally:
            pool.running.remove(entry)
            waiter.wake()

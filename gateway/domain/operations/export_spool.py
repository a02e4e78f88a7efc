"""The instant of an export, and what it reads at that instant, kept until it is in files.

While nobody writes to the sandbox, for a moment, a snapshot is taken; then all people are read in it, page by page
(`export_reading`). That, finished text, goes into a table (`export_keeping`), all at once, so that a worker which is killed later loses no more
than a file. Killed before, the export begins anew, at another instant. Events stay where they are: each tells when it came in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import MergePolicy
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations.export_files import load_writer
from gateway.domain.operations.export_jobs import Asked, ExportRequest, ExportState, check_request, understand
from gateway.domain.operations.export_keeping import Between, Keeping, KeepingStatement, NoSuchStatement, parts
from gateway.domain.operations.export_reading import PAGE_SECONDS, Reading
from gateway.domain.operations.export_subjects import ExportSubject, find_person, keep_subject
from gateway.domain.operations.export_throttle import Throttle
from gateway.domain.reading.changes import read_position
from gateway.domain.reading.conditions import on_nodes, read_instant
from gateway.domain.reading.people import count_people
from gateway.domain.reading.people_statements import Way
from gateway.domain.reading.search import Search, find_profiles
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import leases
from gateway.domain.work.instants import see_all_nodes
from gateway.domain.work.leases import JobFails, LeasedJob
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import TooMany, UserFault
from gateway.runtime.ahead import read_ahead
from gateway.runtime.together import together
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import Query, query

EMPTY_PEOPLE = query("export_jobs.empty_people")
EMPTY_IDENTITIES = query("export_jobs.empty_identities")

T = TypeVar("T")

PARTS: Final = 2
"""Of everybody that are read side by side: Postgres reads and keeps each with a processor of its own."""
PEOPLE_PER_PAGE: Final = 2_500
PROFILES_PER_PAGE: Final = 1_000
"""Of people who are read one by one, and are in memory."""
PEOPLE_PER_ESTIMATE: Final = 200
"""The first by their ids, which are hashes: any people."""
ROWS_PER_PIECE: Final = 20_000
"""Rows of what was read that one statement removes."""


async def take_instant(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, request: ExportRequest, *, most: int
) -> ExportState:
    """Take an instant, read everybody who is wanted at it, and return how far the export is. What was read at another instant goes.

    `most`: bytes that the texts may have together. Raises JobFails where what was asked for cannot be had; Unavailable, LeaseLost.
    """
    config = await configurations.read(db, scope)
    policy = await _policy(db, scope, config, request)
    await empty_spool(db, scope, job)
    await _bring_up(db, scope, config, policy, request)
    try:
        return await _keep_all(db, scope, configurations, job, request, most=most)
    except NoSuchStatement:
        return await _keep_all(db, scope, configurations, job, request, most=most, is_one_by_one=True)


async def _keep_all(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    job: LeasedJob,
    request: ExportRequest,
    *,
    most: int,
    is_one_by_one: bool = False,
) -> ExportState:
    """Take an instant, and keep everybody who is wanted at it. Raises NoSuchStatement, and what `take_instant` does.

    The job's row is locked from when its lease was checked until all is committed: an erasure waits for it there, and finds what is kept.
    """
    async with AsyncExitStack() as last, db.writing_at_one_moment() as still, AsyncExitStack() as parallel:
        async with lock_exclusive(db, scope.sandbox_id) as tx:
            position, at = await read_position(still, scope)
            await see_all_nodes(tx, still)
        scope = await read_own_scope(still, scope.sandbox_id) or scope
        config = await configurations.read(still, scope)
        policy, asked = await _policy(still, scope, config, request), await understood(still, config, request, at)
        state = ExportState(at, position.key, 0, 0, {})
        if request.subject is not None:
            subject = ExportSubject(scope, config, policy, await find_person(still, scope, config, request.subject))
            state = await keep_subject(db, still, job, subject, state, most=most)
        else:
            total = 2 * await count_people(still, scope, policy.settings.identity_graph)
            keeping, reading = Keeping(db, job, total, most), Reading(still, scope, config, policy, asked)
            await _keep_people(keeping, reading, None if is_one_by_one else reading.way, parallel)
            by_namespace = dict(keeping.by_namespace)
            state = replace(state, people=keeping.people, found_events=keeping.events, by_namespace=by_namespace)
        tx = await last.enter_async_context(db.transaction(scope.sandbox_id))
        await leases.advance(tx, job, state, done=state.done, total=state.total, may_rest=False)
    return state


async def _keep_people(keeping: Keeping, reading: Reading, way: Way | None, parallel: AsyncExitStack) -> None:
    """Keep everybody who is wanted: by a statement, in several transactions, those that end with `parallel` included; without a way, one by one."""
    if way is None:
        throttle = Throttle(keeping.db)
        async with aclosing(read_ahead(reading.people(PROFILES_PER_PAGE))) as pages:
            async for page in pages:
                await _keep(keeping.keep(reading, page), throttle)
        return
    others = [await parallel.enter_async_context(reading.db.writing_in_parallel()) for _ in range(1, PARTS)]
    readings = [reading, *(replace(reading, db=other) for other in others if other)]
    statements = [KeepingStatement(keeping, each, way) for each in readings]
    keeping_parts = zip(statements, parts(len(statements)), strict=True)
    loading = asyncio.to_thread(load_writer, reading.asked.request.format)  # while Postgres works
    await together([loading, *(_keep_part(*each, Throttle(keeping.db)) for each in keeping_parts)])


async def _keep_part(statement: KeepingStatement, part: Between, throttle: Throttle) -> None:
    left: Between | None = part
    while left is not None:
        left = await _keep(statement.keep_next(left, PEOPLE_PER_PAGE), throttle)


async def _keep(page: Awaitable[T], throttle: Throttle) -> T:
    """Keep a page, and rest where others need the machine."""
    kept = await page
    await throttle.pause()
    return kept


async def estimated(
    db: Database, scope: Scope, config: Configuration, request: ExportRequest, *, most: int
) -> ExportRequest:
    """Return a request with about how many bytes of people it is to read before it writes. Needs `jobs:write` and `profile:read`.

    It is estimated from PEOPLE_PER_ESTIMATE people, as if everybody satisfied a condition; not for a subject. Raises Forbidden; Invalid
    and NotFound with the path of the field at fault; TooMany for more than `most` bytes without a condition; Unavailable while profiles are built.
    """
    scope.require(Permission.JOBS_WRITE)
    scope.require(Permission.PROFILE_READ)
    asked, policy = await understand(config, request), await check_request(db, scope, config, request)
    if request.subject is not None:
        return request
    alone = replace(asked, where=None, request=replace(request, events=None))
    async with aclosing(Reading(db, scope, config, policy, alone).people(PEOPLE_PER_ESTIMATE)) as pages:
        sample = await anext(pages, None)
    people = await count_people(db, scope, policy.settings.identity_graph)
    read = 0 if sample is None else len(sample.lines.replace("\n", "").encode())
    about = round(people * read / max(min(people, PEOPLE_PER_ESTIMATE), 1))
    if about > most and request.where is None:
        raise TooMany(
            f"About {about:,} bytes of people would be read, more than the {most:,} that `GATEWAY_EXPORT_SPOOL_GB` allows: select fewer fields, or fewer people.",
            path=["fields"],
        )
    return replace(request, estimated_bytes=about)


async def _policy(db: Database, scope: Scope, config: Configuration, request: ExportRequest) -> MergePolicy:
    """Return the policy, in the version that was asked for. Raises JobFails, Unavailable."""
    try:
        policy = await check_request(db, scope, config, request)
    except UserFault as error:
        raise JobFails(f"What was asked for cannot be exported any more: {error.message}") from error
    if policy.version != request.policy_version:
        raise JobFails("The merge policy was changed after the export was asked for: ask for it again.")
    return policy


async def _bring_up(
    db: Database, scope: Scope, config: Configuration, policy: MergePolicy, request: ExportRequest
) -> None:
    """Bring the values of attributes up to date that the condition reads: in a snapshot nobody can. Raises JobFails, Unavailable."""
    asked = await understood(db, config, request, await read_instant(db))
    if asked.where is not None and asked.where.attributes:
        await find_profiles(db, scope, config, Search(policy, asked.where, PAGE_SECONDS), Window(1))


async def understood(db: Reader, config: Configuration, request: ExportRequest, at: datetime) -> Asked:
    """Return a request as the configuration understands it, with the conditions of an instant: of the next whole millisecond. Raises JobFails."""
    try:
        asked = await understand(config, request)
    except UserFault as error:
        raise JobFails(f"What was asked for cannot be exported any more: {error.message}") from error
    instant = at + timedelta(microseconds=-at.microsecond % 1_000)
    where, event_where = (None if each is None else each.at(instant) for each in (asked.where, asked.event_where))
    return replace(asked, where=where, event_where=event_where and on_nodes(db, event_where))


async def empty_spool(db: Database, scope: Scope, job: LeasedJob) -> None:
    """Remove what an export has read. Raises LeaseLost."""

    async def advance(tx: Session, _: int) -> None:
        await leases.advance(tx, job, None, done=0, may_rest=False)

    for statement in (EMPTY_PEOPLE, EMPTY_IDENTITIES):
        await empty(db, scope, statement, job.job_id, advance)


async def empty(
    db: Database, scope: Scope, statement: Query, job_id: UUID, advance: Callable[[Session, int], Awaitable[None]]
) -> None:
    """Remove the rows that an export has in a table, some in each piece; `advance` adds the progress of a job to each, by how many rows went in it."""
    removed = ROWS_PER_PIECE
    while removed == ROWS_PER_PIECE:
        async with db.transaction(scope.sandbox_id) as tx:
            removed = len(await tx.rows(statement, scope.sandbox_id, job_id, ROWS_PER_PIECE))
            await advance(tx, removed)

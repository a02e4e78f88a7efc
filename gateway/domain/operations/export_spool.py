"""The instant of an export, and what it reads at that instant, kept until it is in files.

While nobody writes to the sandbox, for a moment, a snapshot is taken; then all people are read in it, page by page
(`export_reading`). That, finished text, goes into a table, so that a worker which is killed later loses no more than a file.
Killed before all of it is there, the export begins anew, at another instant. Events stay where they are: each tells when it came in.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import MergePolicy
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations.export_jobs import Asked, ExportRequest, ExportState, check_request, understand
from gateway.domain.operations.export_pace import Rests
from gateway.domain.operations.export_reading import PAGE_SECONDS, People, Reading
from gateway.domain.operations.export_subjects import ExportSubject, find_person, keep_subject
from gateway.domain.reading.changes import read_position
from gateway.domain.reading.conditions import read_instant
from gateway.domain.reading.people import count_people
from gateway.domain.reading.search import Search, find_profiles
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import leases
from gateway.domain.work.instants import see_all_nodes
from gateway.domain.work.leases import JobFails, LeasedJob
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import TooMany, UserFault
from gateway.runtime.ahead import read_ahead
from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, query

KEEP_PEOPLE = query("export_jobs.keep_people")
EMPTY_PEOPLE = query("export_jobs.empty_people")
EMPTY_IDENTITIES = query("export_jobs.empty_identities")

PEOPLE_PER_PAGE: Final = 1_000
PEOPLE_PER_ESTIMATE: Final = 200
"""The first by their ids, which are hashes: any people."""
ROWS_PER_PIECE: Final = 20_000
"""Rows of what was read that one statement removes."""


@dataclass(slots=True)
class _Read:
    """What was read so far at an instant, of a total of steps: people and their events, people by the namespaces of their identities, and the characters of their texts."""

    at: datetime
    total: int
    people: int = 0
    events: int = 0
    characters: int = 0
    by_namespace: Counter[str] = field(default_factory=Counter)

    def add(self, page: People) -> None:
        self.people += len(page.texts.profile_ids)
        self.events += sum(page.events.values())
        self.characters += len(page.texts.lines)
        for identity_map in page.texts.identity_maps:
            self.by_namespace.update(identity_map.keys())

    def check(self, most: int) -> None:
        """Raise JobFails for more than so many characters."""
        if self.characters > most:
            raise JobFails(
                f"What is exported is more than the {most:,} characters that `GATEWAY_EXPORT_SPOOL_GB` allows: "
                "select fewer fields, or fewer people."
            )


async def take_instant(
    db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, request: ExportRequest, *, most: int
) -> ExportState:
    """Take an instant, read everybody who is wanted at it, and return how far the export is. What was read at another instant goes.

    `most`: characters that the texts may have together. Raises JobFails where what was asked for cannot be had; Unavailable, LeaseLost.
    """
    config = await configurations.read(db, scope)
    policy = await _policy(db, scope, config, request)
    await empty_spool(db, scope, job)
    await _bring_up(db, scope, config, policy, request)
    async with db.at_one_moment() as still:
        async with lock_exclusive(db, scope.sandbox_id) as tx:
            position, at = await read_position(still, scope)
            await see_all_nodes(tx, still)
        scope = await read_own_scope(still, scope.sandbox_id) or scope
        config = await configurations.read(still, scope)
        policy, asked = await _policy(still, scope, config, request), await understood(config, request, at)
        if request.subject is not None:
            subject = ExportSubject(scope, config, policy, await find_person(still, scope, config, request.subject))
            return await keep_subject(db, still, job, subject, ExportState(at, position.key, 0, 0, {}), most=most)
        read = _Read(at, 2 * await count_people(still, scope, policy.settings.identity_graph))
        reading, rests = Reading(still, scope, config, policy, asked), Rests(db)
        async with aclosing(read_ahead(reading.people(PEOPLE_PER_PAGE))) as pages:
            async for page in pages:
                read.add(page)
                await _keep(db, scope, job, page, read=read)
                read.check(most)
                await rests.rest()
    state = ExportState(at, position.key, read.people, read.events, dict(read.by_namespace))
    async with db.transaction(scope.sandbox_id) as tx:
        await leases.advance(tx, job, state, done=state.done, total=state.total)
    return state


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
    read = 0 if sample is None else len(sample.texts.lines.replace("\n", "").encode())
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
    asked = await understood(config, request, await read_instant(db))
    if asked.where is not None and asked.where.attributes:
        await find_profiles(db, scope, config, Search(policy, asked.where, PAGE_SECONDS), Window(1))


async def understood(config: Configuration, request: ExportRequest, at: datetime) -> Asked:
    """Return a request as the configuration understands it, with the conditions of an instant: of the next whole millisecond. Raises JobFails."""
    try:
        asked = await understand(config, request)
    except UserFault as error:
        raise JobFails(f"What was asked for cannot be exported any more: {error.message}") from error
    instant = at + timedelta(microseconds=-at.microsecond % 1_000)
    where, event_where = (None if each is None else each.at(instant) for each in (asked.where, asked.event_where))
    return replace(asked, where=where, event_where=event_where)


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


# ------------------------------------------------------------------------------------------------ keeping


async def _keep(db: Database, scope: Scope, job: LeasedJob, page: People, *, read: _Read) -> None:
    """Keep what was read of some people, the last of those that `read` counts. Raises LeaseLost."""
    texts, counts = page.texts, [page.events.get(xid, 0) for xid in page.texts.xids]
    async with db.transaction(scope.sandbox_id) as tx:
        if texts.profile_ids:
            people = texts.profile_ids, texts.lines, texts.xids, texts.owners, counts
            await tx.execute(KEEP_PEOPLE, scope.sandbox_id, job.job_id, *people)
        await leases.advance(tx, job, None, done=read.people, total=read.total, may_rest=False)

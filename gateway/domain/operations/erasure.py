"""People who are erased: a job removes the facts under their identities, and what documents of others say of them, so that nothing comes back.

1. Mark: each identity says when it was erased, and refuses documents from then on (`ingest.erased`).
2. Remove the facts under the marked identities, as `removal` does, as far as they came in before.
3. Take the identities out of other people's documents and out of the ties that these made, and purge refused documents that name them.
4. Withdraw files of exports that hold these people.
5. Take them out of the journal, but for what says that their people are gone.
6. Wait until every edge says that it has what the journal says.

An identity that no fact names any more keeps its row without the value, for good, unless `lift_erasure` lets it be stored again.

One such job works in a sandbox at a time, since two may share a person; the others wait, as new ones. A job that is cancelled leaves what it
has marked marked, whole people, and what is left of the facts; the next job that names one of these identities takes them all over, each as of
when it was marked: what came in since under one that nobody names again may be of somebody else.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.facts.ingest_errors import purge_errors
from gateway.domain.facts.warnings import purge_samples
from gateway.domain.operations import export_withdrawal
from gateway.domain.operations.erasure_changes import FORGET_CHANGES, telling_of_former_people
from gateway.domain.operations.erasure_edges import DONE_AT, confirmed_at_edges
from gateway.domain.operations.erasure_people import (
    count_related,
    count_with_people,
    find_to_erase,
    read_members,
    read_stored,
)
from gateway.domain.operations.erasure_redaction import Redaction
from gateway.domain.operations.pieces import ExclusivePieces
from gateway.domain.operations.removal import LIST_REMAINING, REMOVAL_PARTS, Selection, preview, remove
from gateway.domain.reading.conditions import read_instant
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.views.effects import ChangeKind
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import exclusive_transaction
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import Job
from gateway.domain.work.leases import LeasedJob, LeaseRecalled
from gateway.domain.work.locks import lock_exclusive
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import Invalid, JobOpen, NotFound, TooMany
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database, Session
from gateway.storage.queries import part, query, template

FIND_OPEN = query("erasure.find_open_job")
FORGET = query("erasure.forget_identities")
MARK = query("erasure.mark_erased")
LIST_MARKED = query("erasure.list_marked")
REMOVE_UNLINKED_PAIRS = query("erasure.remove_unlinked_pairs")
TIED = part("erasure.tied")

MAX_IDENTITIES: Final = 1_000
"""How many identities a job erases, or whose people."""

MARKED_AT_ONCE: Final = 100
"""How many of the given identities one piece marks, or whose people."""

IDENTITIES_AT_ONCE: Final = 1_000
"""Under how many identities facts are removed together: those of the people whom a piece has marked, unless they have more."""

PATH: Final = ("deleteProfile", "identities")
"""Where the identities stand in the input of the mutation."""

CHANGES_PER_PIECE: Final = 5_000
"""How many rows of the journal one piece looks at."""

EVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""A time after all that has come in."""


class DeleteScope(StrEnum):
    """How far a deletion of people goes: facts under the given identities, or under every identity of their people."""

    IDENTITY = "IDENTITY"
    GRAPH = "GRAPH"


class Asked(NamedTuple):
    """What a job is to erase: identities, each with the number of its namespace, or all of their people where `is_whole`."""

    identities: Mapping[UUID, int]
    is_whole: bool
    is_dry_run: bool


async def delete_profiles(
    db: Database,
    scope: Scope,
    xids: Sequence[UUID],
    *,
    reach: DeleteScope = DeleteScope.GRAPH,
    graph: IdentityGraphType = IdentityGraphType.PDG,
    is_dry_run: bool = False,
) -> Job:
    """Have a job erase these identities, or with GRAPH all identities of their people as this kind of graph sees them. Return the job.

    A dry run counts what would go, and changes nothing. Needs `jobs:write`. Raises Forbidden, Invalid without an identity, TooMany, NotFound
    for an identity that no data names and that was not erased, and JobOpen while a job erases one of them, or their people; then nothing is done.
    """
    scope.require(Permission.JOBS_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        known = await _known(tx, scope, xids)
        if not is_dry_run:
            named, members = ([str(xid) for xid in each] for each in (known, await read_members(tx, scope, known)))
            open_id = await tx.value(FIND_OPEN, scope.sandbox_id, named, members, reach is DeleteScope.GRAPH)
            if open_id is not None:
                raise JobOpen(open_id, "erases one of these people", path=PATH)
        what = {"scope": reach, "is_dry_run": is_dry_run}
        given = {"identities": {str(xid): namespace_id for xid, namespace_id in known.items()}, "identity_graph": graph}
        logged = {"identities": list(known), "scope": reach, "isDryRun": is_dry_run}
        return await jobs.create_job(tx, scope, JobKind.DELETE_PROFILE, uuid4(), input=what | given, logged=logged)


async def preview_profiles(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    xids: Sequence[UUID],
    *,
    reach: DeleteScope = DeleteScope.GRAPH,
    graph: IdentityGraphType = IdentityGraphType.PDG,
) -> DeletionReceipt:
    """Count what `delete_profiles` would have erased, without a job. Needs `jobs:write`. Raises the errors of it but JobOpen."""
    scope.require(Permission.JOBS_WRITE)
    async with configurations.snapshot(db, scope) as (tx, config):
        known = await _known(tx, scope, xids)
        return await _preview(tx, scope, config, Asked(known, _is_whole(reach, graph), is_dry_run=True))


async def _known(tx: Session, scope: Scope, xids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the given identities, each with the number of its namespace. Raises Invalid, TooMany, NotFound."""
    if not xids:
        raise Invalid("Name at least one identity.", path=PATH)
    if len(xids) > MAX_IDENTITIES:
        raise TooMany(f"At most {MAX_IDENTITIES:,} identities at once; {len(xids):,} were given.", path=PATH)
    known = await read_stored(tx, scope, set(xids))
    for place, xid in enumerate(xids):
        if xid not in known:
            raise NotFound("No data names this identity.", path=[*PATH, str(place)])
    return {xid: known[xid] for xid in xids}


def _is_whole(reach: str, graph: str) -> bool:
    return (reach, graph) == (DeleteScope.GRAPH, IdentityGraphType.PDG)


async def erase_people(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    job: LeasedJob,
    *,
    data_centers: Collection[str] = (),
) -> None:
    """Erase people, or count what would go: the job that `delete_profiles` enqueues.

    It ends once the edges in these data centres have confirmed it, if they have anything of the sandbox; those in others are named in the
    receipt. Raises JobWaits until then, which names edges that do not answer.
    """
    asked, left = _asked(job), DeletionReceipt()
    if asked.is_dry_run:
        await _run_dry(db, scope, configurations, job, asked)
    else:
        if DONE_AT not in (job.cursor or {}):
            await _Erasing(db, scope, configurations, job, asked).work()
        left = await confirmed_at_edges(db, scope, job, data_centers)
    async with db.transaction(scope.sandbox_id) as tx:
        await leases.advance(tx, job, None, done=job.done, receipt=left + (_people_vanished(job) or DeletionReceipt()))
        await tx.execute(FORGET, scope.sandbox_id, job.job_id)


def facts_of(xids: Sequence[UUID], at: datetime) -> Selection:
    """Select the facts under these identities that came in up to a time."""
    return Selection(
        arguments=(xids, at),
        count=template("erasure.count_facts").filled(tied=TIED),
        remove_resends=template("erasure.remove_resends").filled(tied=TIED),
        find_identities=query("erasure.find_identities_with_events"),
        remove_concurrently=template("erasure.remove_events_concurrently").filled(**REMOVAL_PARTS),
        list_remaining=LIST_REMAINING.filled(staying_tie=part("erasure.staying_tie")),
        find_events=query("erasure.find_events"),
        find_records=query("erasure.find_records"),
        find_ties=query("erasure.find_ties"),
        remove_records=template("erasure.remove_records").filled(**REMOVAL_PARTS),
        remove_ties=template("erasure.remove_ties").filled(**REMOVAL_PARTS),
    )


def _asked(job: LeasedJob) -> Asked:
    given = job.input
    identities = {UUID(xid): namespace_id for xid, namespace_id in given.get("identities", {}).items()}
    return Asked(identities, _is_whole(given["scope"], given["identity_graph"]), given["is_dry_run"])


async def _run_dry(db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, asked: Asked) -> None:
    """Count what a job would erase, and store it as the receipt of this one."""
    async with configurations.snapshot(db, scope) as (tx, config):
        receipt = await _preview(tx, scope, config, asked)
    count = receipt.record_versions + receipt.events
    async with db.transaction(scope.sandbox_id) as tx:
        await leases.advance(tx, job, None, done=count, total=count, receipt=receipt)


async def _preview(tx: Session, scope: Scope, config: Configuration, asked: Asked) -> DeletionReceipt:
    erased, _ = await find_to_erase(tx, scope, config, asked.identities, is_whole=asked.is_whole)
    receipt = await count_related(tx, scope, erased)
    for at in {member.marked_at for member in erased.values()}:
        xids = [xid for xid, member in erased.items() if member.marked_at == at]
        receipt += await preview(tx, scope, facts_of(xids, at or EVER))
    mentions = await Redaction(scope, list(erased), EVER).count(tx, config)
    files = await export_withdrawal.count_files(tx, scope, list(erased))
    return receipt + files + DeletionReceipt(redacted_mentions=mentions)


def _people_vanished(job: LeasedJob) -> DeletionReceipt | None:
    """Return what the receipt lacks to count the people who vanished, and the values of theirs, as they were before.

    Pieces may part people, or join what others kept apart, and take away values of others, which are made anew.
    """
    counted = job.cursor or {}
    if job.receipt is None or "people" not in counted:
        return None
    values = counted.get("values", job.receipt.computed_values)
    return DeletionReceipt(
        profiles=counted["people"] - job.receipt.profiles, computed_values=values - job.receipt.computed_values
    )


class _Erasing:
    """The work of one worker.

    The cursor holds how many of the given identities are marked, `since` when and `before` which call; how many `people` will have vanished, with how many `values`; and
    how far each step is.
    """

    def __init__(
        self, db: Database, scope: Scope, configurations: Configurations, job: LeasedJob, asked: Asked
    ) -> None:
        self._db, self._scope, self._configurations, self._job, self._asked = db, scope, configurations, job, asked
        self._cursor: dict[str, Any] = job.cursor or {"marked": 0, "since": None}
        self._pieces = ExclusivePieces(db, scope, configurations)

    async def work(self) -> None:
        """Erase, from where the cursor is; then note when that was done."""
        await self.begin()
        while await self.mark():
            pass
        await self.remove_facts()
        await self.remove_mentions()
        await self.withdraw_files()
        while await self.forget_changes():
            pass
        self._cursor = {**self._cursor, DONE_AT: (await read_instant(self._db)).isoformat()}
        async with self._db.transaction(self._scope.sandbox_id) as tx:
            await leases.advance(tx, self._job, self._cursor, done=self._job.done)

    async def begin(self) -> None:
        """Begin, unless that was done before. Raises LeaseRecalled while another job erases people of the sandbox: two might share a person."""
        if self._job.cursor is None:
            async with lock_exclusive(self._db, self._scope.sandbox_id) as tx:
                is_first = await leases.begin(tx, self._job, self._cursor)
            if not is_first:
                raise LeaseRecalled

    async def mark(self) -> bool:
        """Mark some of the given identities, or their people, as erased. Return whether some were left."""
        marked = self._cursor["marked"]
        given = dict(list(self._asked.identities.items())[marked : marked + MARKED_AT_ONCE])
        if not given:
            return False
        async with exclusive_transaction(self._db, self._scope, self._configurations) as change:
            tx, scope = change.tx, change.scope
            found = await find_to_erase(tx, scope, change.config, given, is_whole=self._asked.is_whole)
            rows = [(xid, *member) for xid, member in sorted(found.members.items())]
            await tx.update_rows(MARK, scope.sandbox_id, self._job.job_id, change.at, found.unfinished, rows=rows)
            before = [member.marked_at for member in found.members.values()]
            since = min(filter(None, [change.at, self._since, *before]))
            self._cursor = {"marked": marked + len(given), "since": since.isoformat(), "before": change.seq}
            await leases.advance(tx, self._job, self._cursor, done=0)
        return True

    @property
    def _since(self) -> datetime | None:
        """The earliest time from which on an identity that this job has marked refuses documents; None before it has marked one."""
        since = self._cursor["since"]
        return None if since is None else datetime.fromisoformat(since)

    async def remove_facts(self) -> None:
        """Remove what came in under the marked identities until they were marked."""
        if self._job.total is None:
            await self._count_marked()
        while (found := await self._marked("facts")) is not None:
            await remove(self._db, self._scope, self._configurations, self._job, facts_of(*found))
            await self._went_on("facts", *found)

    async def remove_mentions(self) -> None:
        """Take the marked identities out of the documents of others and out of the ties that these made, and purge refused documents."""
        while (found := await self._marked("mentions")) is not None:
            redaction = Redaction(self._scope, *found)
            while not redaction.is_over:
                await self._redact(redaction)
            while await self._purge(found[0]):
                pass
            await self._went_on("mentions", *found)

    async def _purge(self, xids: Sequence[UUID]) -> bool:
        """Remove some of the refused documents that name these identities, and samples of warnings. Return whether there were some."""
        async with self._db.transaction(self._scope.sandbox_id) as tx:
            errors = await purge_errors(tx, self._scope, xids)
            samples = await purge_samples(tx, self._scope, xids)
            receipt = DeletionReceipt(errors=errors)
            await leases.advance(tx, self._job, self._job.cursor, done=self._job.done, receipt=receipt)
        return bool(errors or samples)

    async def _redact(self, redaction: Redaction) -> None:
        """Redact some documents."""
        async with self._pieces.next() as change:
            tx, sandbox_id = change.tx, change.scope.sandbox_id
            went = await redaction.redact_some(change)
            parted = await tx.rows(REMOVE_UNLINKED_PAIRS, sandbox_id, redaction.xids, redaction.at)
            change.seeds |= {row["xid"] for row in parted}
            change.recount = True
            effects = await refresh(change)
            receipt = DeletionReceipt(
                ties=went.ties,
                redacted_mentions=went.mentions,
                identities=change.dropped,
                profiles=sum(person.kind is ChangeKind.DELETED for person in effects.people.values()),
            )
            people = len(effects.people)
            await leases.advance(tx, self._job, self._job.cursor, done=self._job.done, profiles=people, receipt=receipt)

    async def withdraw_files(self) -> None:
        """Withdraw files of exports that hold people of the marked identities, and cancel exports under way that do."""
        while (found := await self._marked("exports")) is not None:
            async with self._db.transaction(self._scope.sandbox_id) as tx:
                receipt = await export_withdrawal.withdraw(tx, self._scope, found[0])
                self._cursor = {**self._cursor, "exports": _place(*found)}
                await leases.advance(tx, self._job, self._cursor, done=self._job.done, receipt=receipt)

    async def forget_changes(self) -> bool:
        """Take the marked identities out of some rows of the journal from before they were marked. Return whether there were some."""
        if self._since is None:
            return False
        of_job = self._scope.sandbox_id, self._job.job_id, self._since, self._cursor["before"]
        rows = *of_job, *self._cursor.get("changes", (-1, 0)), CHANGES_PER_PIECE
        async with telling_of_former_people(self._db, self._scope, self._configurations, rows) as tx:
            row: Any = await tx.row(FORGET_CHANGES, *rows)
            if row["seq"] is None:
                return False
            self._cursor = {**self._cursor, "changes": tuple(row)}
            await leases.advance(tx, self._job, self._cursor, done=self._job.done)
        return True

    async def _count_marked(self) -> None:
        """Count the facts under the marked identities, as the total of the job, and the people who will vanish with them."""
        total, place, marked = 0, dict[str, str](), set[UUID]()
        while (found := await self._marked_after(place)) is not None:
            counted = await preview(self._db, self._scope, facts_of(*found))
            total, place = total + counted.record_versions + counted.events, _place(*found)
            marked.update(found[0])
        async with self._db.transaction(self._scope.sandbox_id) as tx:
            with_people = await count_with_people(tx, self._scope, marked)
            self._cursor = {**self._cursor, "people": with_people.profiles, "values": with_people.computed_values}
            await leases.advance(tx, self._job, self._cursor, done=self._job.done, total=total)

    async def _marked(self, step: str) -> tuple[list[UUID], datetime] | None:
        """List the next marked identities of this step, and when they were marked; None where there are none."""
        return await self._marked_after(self._cursor.get(step) or {})

    async def _marked_after(self, place: Mapping[str, str]) -> tuple[list[UUID], datetime] | None:
        if self._since is None:
            return None  # the job had done all, and was killed before it could say so
        after = (datetime.fromisoformat(place["at"]), UUID(place["xid"])) if place else (self._since, NIL)
        rows = await self._db.rows(LIST_MARKED, self._scope.sandbox_id, self._job.job_id, *after, IDENTITIES_AT_ONCE)
        if not rows:
            return None
        erased_at = rows[0]["erased_at"]
        return [row["xid"] for row in rows if row["erased_at"] == erased_at], erased_at

    async def _went_on(self, step: str, xids: Sequence[UUID], at: datetime) -> None:
        self._cursor = {**self._cursor, step: _place(xids, at)}
        async with self._db.transaction(self._scope.sandbox_id) as tx:
            await leases.advance(tx, self._job, self._cursor, done=self._job.done)


def _place(xids: Sequence[UUID], at: datetime) -> dict[str, str]:
    return {"at": at.isoformat(), "xid": str(xids[-1])}

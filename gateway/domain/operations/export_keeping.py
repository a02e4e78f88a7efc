"""Keeping what an export reads of people at its instant, until it is in files.

Everybody is kept by the transaction that sees the instant, or by two that see it, each a half of them: nobody else sees any of it before it is whole.
The job's progress is stored apart from it, page by page, which raises LeaseLost once the job was taken away.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from gateway.domain.operations.export_reading import People, Reading, events_of
from gateway.domain.reading.people import FIRST, LAST, observed
from gateway.domain.reading.people_statements import Way, statement_of
from gateway.domain.rules.scope import Permission
from gateway.domain.work import leases
from gateway.domain.work.jobs import loads
from gateway.domain.work.leases import JobFails, LeasedJob
from gateway.storage.database import Database
from gateway.storage.queries import query, template

KEEP_NEXT_PEOPLE = template("export_jobs.keep_next_people")
KEEP_PEOPLE = query("export_jobs.keep_people")


class NoSuchStatement(Exception):
    """No statement reads what is wanted of everybody: what was kept is undone, and people have to be read one by one."""


class Between(NamedTuple):
    """The people whose ids are between two."""

    after: UUID
    before: UUID


def parts(count: int) -> Sequence[Between]:
    """Return so many parts of everybody: ids are hashes, so that one is as large as another."""
    cuts = [FIRST, *(UUID(int=LAST.int // count * part) for part in range(1, count)), LAST]
    return [Between(after, before if before == LAST else UUID(int=before.int + 1)) for after, before in pairwise(cuts)]


@dataclass
class Keeping:
    """Counts what an export keeps: people, their events, bytes of their texts, people by the namespaces of their identities.

    `db`: where the job's progress is stored. `total`: the steps of the job. `most`: bytes that the texts may have together.
    """

    db: Database
    job: LeasedJob
    total: int
    most: int
    people: int = 0
    events: int = 0
    bytes: int = 0
    by_namespace: Counter[str] = field(default_factory=Counter)

    async def keep(self, reading: Reading, page: People) -> None:
        """Keep people who were read. Raises JobFails for more than may be kept; LeaseLost, Unavailable."""
        counts = [page.events.get(xid, 0) for xid in page.xids]
        by_namespace = Counter(namespace for each in page.identity_maps for namespace in each)
        size = len(page.lines.encode()) - max(len(page.profile_ids) - 1, 0)
        if page.profile_ids:
            people = page.profile_ids, page.lines, page.xids, page.owners, counts
            await reading.db.write(KEEP_PEOPLE, self.job.sandbox_id, self.job.job_id, *people)
        await self.count(len(page.profile_ids), sum(counts), size, by_namespace)

    async def count(self, people: int, events: int, size: int, by_namespace: Mapping[str, int]) -> None:
        """Count what was kept, and store how far the job is. Raises JobFails for more than may be kept; LeaseLost, Unavailable."""
        self.people, self.events, self.bytes = self.people + people, self.events + events, self.bytes + size
        self.by_namespace.update(by_namespace)
        if self.bytes > self.most:
            raise JobFails(
                f"What is exported is more than the {self.most:,} bytes that `GATEWAY_EXPORT_SPOOL_GB` allows: "
                "select fewer fields, or fewer people."
            )
        async with self.db.transaction(self.job.sandbox_id) as tx:
            await leases.advance(tx, self.job, None, done=self.people, total=self.total, may_rest=False)


class KeepingStatement:
    """Keeps people by a statement that reads them, so that no text leaves Postgres."""

    def __init__(self, keeping: Keeping, reading: Reading, way: Way) -> None:
        self._keeping, self._reading, self._way = keeping, reading, way
        passing = events_of(reading.asked).predicates
        self._made = statement_of(way.projection, KEEP_NEXT_PEOPLE, computed=way.computed, events=passing)

    async def keep_next(self, between: Between, size: int) -> Between | None:
        """Keep the next `size` people, and return where others are, None if nobody is left.

        Raises NoSuchStatement; JobFails for more than may be kept; LeaseLost, Unavailable.
        """
        reading, request, job = self._reading, self._reading.asked.request, self._keeping.job
        reading.scope.require(Permission.PROFILE_READ)
        wanted = (not request.empty_profiles, request.from_ingested_at, request.to_ingested_at)
        own = (*self._way.policy, *between, size, *wanted, job.job_id, request.events is not None)
        writing = self._made.write(reading.db, job.sandbox_id, *own)
        row: Any = await observed(writing, reading.scope, self._way, size)
        if row is None or not row["is_told"]:
            raise NoSuchStatement
        await self._keeping.count(row["people"], row["events"], row["bytes"], loads(row["by_namespace"]) or {})
        return between._replace(after=row["last"]) if row["last"] else None

"""Jobs that erase one person: they work one after another, however each of them is killed or cancelled; COMPLETED means that all it named is gone."""

from collections.abc import Sequence

import pytest
from crashes import killed_after
from every_kind import copies, small_pieces
from hypothesis import example, given, settings
from hypothesis import strategies as st
from properties.histories import by_examples
from world import World, event, record

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.operations.erasure import DeleteScope, delete_profiles, erase_people
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.verification import verify
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import read_jobs
from gateway.domain.work.jobs import Job, JobStatus, cancel_job
from gateway.domain.work.leases import LeasedJob
from gateway.storage.database import Database

ANA, BOB = [("Email", f"{name}@example.com") for name in ("ana", "bob")]
PHONE, DEVICE = ("Phone", "+15550001"), ("ECID", "1" * 38)
PERSON = (ANA, PHONE, DEVICE)
NOON = "2026-01-01T12:00:00Z"


@pytest.fixture(scope="module")
async def people(module_dsn):
    """Three people who turn out to be one, and Bob; a sandbox that is copied for each example."""
    db = await Database.connect(module_dsn, size=4)
    world = await World.create(db)
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"), record(PHONE))
    await world.events(event("e1", NOON, ANA), event("e2", NOON, DEVICE), event("e3", NOON, PHONE))
    await world.events(event("e4", NOON, BOB))
    with small_pieces():
        yield world
    await db.close()


class Office:
    """A copy of the sandbox in which some jobs are wanted, and the workers that have leased them."""

    def __init__(self, world: World, db: Database) -> None:
        self.world, self._db = world, db
        self.jobs: list[Job] = []
        self.named: list[Sequence[tuple[str, str]]] = []
        self._leased: dict[int, LeasedJob] = {}

    async def ask(self, one: tuple[str, str], reach: DeleteScope) -> None:
        self.jobs.append(await delete_profiles(self._db, self.world.scope, [await self.world.xid(*one)], reach=reach))
        self.named.append([one])

    async def claim_all(self) -> None:
        while claim := await leases.claim(self._db, [JobKind.DELETE_PROFILE]):
            self._leased |= {n: claim for n, job in enumerate(self.jobs) if job.job_id == claim.job_id}

    async def work(self, number: int, commits: int = 0) -> None:
        """Work on a job as far as so many commits, or to its end with 0; not if it is not to be had."""
        if number not in self._leased:
            await self.claim_all()
        if (claim := self._leased.get(number)) is None:
            return
        work = erase_people(self._db, self.world.scope, self.world.configurations, claim)
        if not await killed_after(commits, leases.carry_out(self._db, claim, work), []):
            del self._leased[number]

    async def cancel(self, number: int) -> None:
        if (await self.read())[number].is_open:
            await cancel_job(self._db, self.world.scope, self.jobs[number].job_id)

    async def read(self) -> list[Job]:
        return [each for each in await read_jobs(self._db, self.world.scope, [job.job_id for job in self.jobs]) if each]

    async def check(self) -> None:
        """Check that of what completed jobs have named nothing is left, and that no more than one job is at work."""
        found = await self.read()
        assert sum(job.is_open and job.receipt is not None for job in found) <= 1
        for job, named in zip(found, self.named, strict=True):
            if job.status is JobStatus.COMPLETED:
                checks = [await verify_erasure(self._db, self.world.scope, await self.world.xid(*one)) for one in named]
                assert all(check.is_erased for check in checks), checks


asked = st.tuples(st.sampled_from(PERSON), st.sampled_from(DeleteScope))
WHOLE = [(ANA, DeleteScope.GRAPH), (PHONE, DeleteScope.GRAPH)]
doings = st.sampled_from(["kill", "carry out", "cancel"])
steps = st.tuples(doings, st.integers(0, 2), st.integers(1, 15))
begun = st.tuples(st.just("kill"), st.just(0), st.integers(2, 15))
beside = st.tuples(st.just("kill"), st.just(1), st.integers(2, 15))


@settings(by_examples, max_examples=15)
@example(WHOLE, ("kill", 0, 9), ("kill", 1, 2), [("cancel", 0, 1)])
@example(WHOLE, ("kill", 0, 12), ("kill", 1, 2), [("cancel", 0, 1), ("kill", 1, 9), ("cancel", 1, 1)])
@given(
    wanted=st.lists(asked, min_size=2, max_size=3, unique_by=lambda one: one[0]),
    first=begun,
    second=beside,
    rest=st.lists(steps, max_size=4),
)
async def test_a_job_that_is_completed_has_erased_all_that_it_named(people, wanted, first, second, rest):
    db = people.db
    (sandbox_id,) = await copies(db, people.scope.sandbox_id, 1)
    scope = await read_own_scope(db, sandbox_id)
    assert scope is not None
    office = Office(World(db, scope, people.crm, people.loyalty, people.shop, Configurations()), db)
    for one in wanted:
        await office.ask(*one)
    await office.world.records(record(ANA, PHONE), record(ANA, DEVICE), dataset=people.loyalty)
    await office.world.events(event("e5", NOON, DEVICE, PHONE))
    is_whole = all(reach is DeleteScope.GRAPH for _, reach in wanted)
    if is_whole:
        office.named = [PERSON] * len(wanted)
    await office.claim_all()
    for what, drawn, commits in [first, second, *rest]:
        number = drawn % len(wanted)
        if what == "cancel":
            await office.cancel(number)
        else:
            await office.work(number, commits if what == "kill" else 0)
        await office.check()
    for number in 2 * list(range(len(wanted))):
        await office.work(number)
    await office.check()
    ended = await office.read()
    assert not any(job.is_open for job in ended)
    await office.ask(ANA, DeleteScope.GRAPH)
    if is_whole:
        office.named[-1] = PERSON
    await office.work(len(wanted))
    await office.check()
    assert await verify(db, scope, office.world.configurations) == []
    assert not is_whole or await office.world.people() == {(await office.world.xid(*BOB),)}

"""A follower of changes who reads each person again ends with the facts, whatever writers do at the same time: nothing is lost.

Sixteen writers of the same people, one of them a process that is killed, add, link, unlink, delete and abort, and change settings, beside
a transaction that stays open from the beginning to the end.
"""

import asyncio
import pickle
import random
import sys
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from working import work_off
from world import World, event, record

from gateway.domain.config import policies
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.facts import batches
from gateway.domain.operations.batch_removal import abort_batch
from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.reading.changes import list_changes
from gateway.domain.rules.keyset import Key, Window
from gateway.domain.rules.versions import Mode
from gateway.domain.views.effects import ChangeKind
from gateway.errors import UserFault
from gateway.storage.database import Database
from gateway.storage.notifications import Channel
from gateway.storage.queries import Query

WRITERS, CALLS, PEOPLE = 15, 12, 12

BY_PERSON = Query(
    "test.people",
    """select g.profile_id, g.xids, p.document::text
         from gateway.graph g
         left join gateway.profile p
           on p.sandbox_id = $1 and p.policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.is_default)
          and p.profile_id = g.profile_id
        where g.sandbox_id = $1 and ($2::uuid[] is null or g.profile_id = any($2))""",
    ("sandbox_id", "profile_ids"), (), "rows", "What is kept of people: of these, or of all.",
)  # fmt: skip
EVENTS = Query(
    "test.events",
    "select e.xid, e.event_id from gateway.event e where e.sandbox_id = $1 and e.xid = any($2::uuid[]) order by e.event_id",
    ("sandbox_id", "xids"), (), "rows", "The events of these identities, which are on other nodes of a cluster than the people.",
)  # fmt: skip
BY_IDENTITY = Query(
    "test.identities",
    """select i.xid,
              array(select coalesce(f.folded, r.input)::text from gateway.fragment f
                      left join gateway.record r on r.sandbox_id = $1 and r.xid = i.xid and r.dataset_id = f.dataset_id and r.ordinal = f.ordinal
                     where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted order by f.dataset_id) as records,
              array(select e.event_id from gateway.event e where e.sandbox_id = $1 and e.xid = i.xid order by e.event_id) as events
         from gateway.identity i
        where i.sandbox_id = $1 and ($2::uuid[] is null or i.xid = any($2))""",
    ("sandbox_id", "xids"), (), "rows", "What is stored under identities: under these, or under all.",
)  # fmt: skip

PROCESS = "from properties.test_changes import write_for_ever; write_for_ever()"


@dataclass
class Copy:
    """Somebody's copy of people, kept up by following changes as a policy sees people, in pages of this size."""

    world: World
    policy: MergePolicy
    size: int
    kept: dict[UUID, tuple] = field(default_factory=dict)
    versions: dict[UUID, int] = field(default_factory=dict)
    after: Key | None = None

    async def read(self, ids: Iterable[UUID] | None) -> dict[UUID, tuple]:
        """What the facts are now."""
        alone = self.policy.settings.identity_graph is IdentityGraphType.NONE
        given = None if ids is None else list(ids)
        db, sandbox_id = self.world.db, self.world.scope.sandbox_id
        if alone:
            found = {row[0]: tuple(map(repr, row[1:])) for row in await db.rows(BY_IDENTITY, sandbox_id, given)}
            return {key: value for key, value in found.items() if value != ("[]", "[]")}
        people = await db.rows(BY_PERSON, sandbox_id, given)
        events = defaultdict(list)
        for xid, event_id in await db.rows(EVENTS, sandbox_id, [xid for row in people for xid in row["xids"]]):
            events[xid].append(event_id)
        return {
            row[0]: (*map(repr, row[1:]), repr(sorted(name for xid in row["xids"] for name in events[xid])))
            for row in people
        }

    async def advance(self) -> bool:
        """Take a page of changes over, and return whether there are more."""
        page = await list_changes(self.world.db, self.world.scope, self.policy, Window(self.size, after=self.after))
        for change in page.items:
            named = {change.profile_id, *change.former_profile_ids}
            if change.kind is not ChangeKind.EVENTS and self.policy.settings.identity_graph is IdentityGraphType.PDG:
                assert change.version > self.versions.get(change.profile_id, 0)
                self.versions[change.profile_id] = change.version
            now = await self.read(named)
            self.kept = {key: value for key, value in self.kept.items() if key not in named} | now
        self.after = page.end.key
        return page.has_next

    async def follow(self, done: asyncio.Event) -> None:
        """Keep up until all is done."""
        with self.world.db.waiter(Channel.CHANGES) as waiter:
            while True:
                was_done = done.is_set()
                if not await self.advance():
                    if was_done:
                        return
                    await waiter.wait(0.05)


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    db = await Database.connect(dsn, size=WRITERS + 8)
    yield await World.create(db)
    await db.close()


async def test_followers_end_with_the_facts_beside_sixteen_writers(world, dsn):
    policy = (await world.config()).default_policy
    alone = replace(policy.settings, name="Alone", identity_graph=IdentityGraphType.NONE, is_default=False)
    by_identity = await policies.create_policy(world.db, world.scope, alone)
    followers = [Copy(world, policy, 3), Copy(world, policy, 50), Copy(world, by_identity, 7)]
    done = asyncio.Event()
    async with asyncio.timeout(240), transaction_open(dsn), asyncio.TaskGroup() as tasks:
        for follower in followers:
            tasks.create_task(follower.follow(done))
        writers = [tasks.create_task(write(world, random.Random(number), number)) for number in range(WRITERS)]
        await killed(world, dsn)
        await asyncio.gather(*writers)
        await work_off(world.db, world.configurations)
        done.set()
    late = [Copy(world, policy, 1), Copy(world, by_identity, 1000)]
    for follower in late:
        while await follower.advance():
            pass
    for follower in (*followers, *late):
        assert follower.kept == await follower.read(None)
    assert followers[0].versions == followers[1].versions == late[0].versions
    assert {kind for (kind,) in await kinds(dsn)} == {kind.value for kind in ChangeKind}


@asynccontextmanager
async def transaction_open(dsn: str) -> AsyncIterator[None]:
    """A transaction that began before everything else, and has an id."""
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute("select pg_current_xact_id()")
        yield
    await connection.close()


async def kinds(dsn: str) -> list:
    connection = await asyncpg.connect(dsn)
    found = await connection.fetch("select distinct kind from gateway.change")
    await connection.close()
    return found


async def write(world: World, dice: random.Random, number: int) -> None:
    for call in range(CALLS):
        with suppress(UserFault):  # a pair that is not linked, a batch that another call has ended
            await write_once(world, dice, f"{number}-{call}")


async def write_once(world: World, dice: random.Random, name: str) -> None:
    """Do something to some of the people that all writers share."""

    def identities(most: int) -> list[tuple[str, str]]:
        named = [("Email", f"p{dice.randrange(PEOPLE)}@x.io"), ("Phone", f"+{dice.randrange(PEOPLE)}")]
        return dice.sample([*named, ("ECID", f"{dice.randrange(PEOPLE):038d}")], dice.randint(1, most))

    def records() -> list:
        return [
            record(*identities(dice.choice([1, 1, 2])), first_name=f"N{name}{n}") for n in range(dice.randint(1, 4))
        ]

    match dice.choices(
        ("records", "events", "delete", "abort", "unlink", "link", "settings"), (30, 30, 8, 8, 12, 6, 2)
    )[0]:
        case "records":
            await world.records(*records(), dataset=dice.choice([world.crm, world.loyalty]))
        case "events":
            made = (event(f"{name}{n}", "2026-01-01T00:00:00Z", *identities(dice.choice([1, 1, 2]))) for n in range(4))
            await world.events(*made)
        case "delete":
            loner = ("Email", f"{name}@x.io")
            await world.records(record(loner), *records())
            await world.records(record(loner), *(record(*identities(1)) for _ in range(3)), mode=Mode.DELETE)
        case "abort":
            batch = await batches.create_batch(
                world.db, world.scope, await world.config(), world.crm.dataset_id, f"batch {name}"
            )
            await world.records(*records(), batch_id=batch.batch_id)
            await abort_batch(world.db, world.scope, batch.batch_id)
            await work_off(world.db, world.configurations)
        case "unlink" | "link" as verb:
            pair = [await world.xid(*one) for one in identities(3)[:2]]
            change = unlink_identities if verb == "unlink" else link_identities
            if len(pair) == 2:
                await change(world.db, world.scope, world.configurations, *pair)
        case "settings":
            rules = dice.choice([[], [NamespaceRule("Email", is_unique=True)]])
            await update_identity_settings(world.db, world.scope, rules)
            await work_off(world.db, world.configurations)


# ------------------------------------------------------------------------------------------------ a process that is killed


async def killed(world: World, dsn: str) -> None:
    """Run a writer in a process of its own, and kill it in the middle of its work, twice."""
    given = b64encode(pickle.dumps((world.scope, world.crm, world.loyalty, world.shop))).decode()
    for seed in ("1", "2"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROCESS, dsn, given, seed),
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert process.stdout is not None
        for _ in range(8):
            assert await process.stdout.readline()
        process.kill()
        await process.wait()


def write_for_ever() -> None:
    """Write as this process, which says so on a line after each call."""

    async def run() -> None:
        dsn, given, seed = sys.argv[1:]
        scope, *datasets = pickle.loads(b64decode(given))  # noqa: S301 # our own
        world, dice = World(await Database.connect(dsn, size=4), scope, *datasets), random.Random(seed)
        for call in range(10_000):
            with suppress(UserFault):
                await write_once(world, dice, f"process {seed}-{call}")
            print("written", flush=True)  # noqa: T201

    asyncio.run(run())

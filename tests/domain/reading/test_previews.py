"""A preview counts what a slow recount in Python of the same people counts, under both kinds of graphs, and its reports stay as they were taken."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from urllib.parse import quote
from uuid import UUID

import pytest
from world import World, event, record

from gateway.domain.config import datasets, policies
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicySettings
from gateway.domain.operations.preview_reports import report_previews
from gateway.domain.operations.verification import verify
from gateway.domain.reading import previews
from gateway.domain.reading.people import list_people
from gateway.domain.reading.previews import (
    DATA,
    PROFILES,
    RETENTION_DAYS,
    UNKNOWN_DAYS,
    NamespaceShare,
    ProfilePreview,
    preview_profiles,
    read_report,
)
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.versions import Mode
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.errors import BadInput, Timeout
from gateway.storage.database import Database
from gateway.storage.queries import Query

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MANY_SECONDS = 60.0


def statement(sql: str) -> Query:
    return Query("test.statement", sql, (), (), "rows", "For tests.")


FRAGMENTS = statement("select xid, dataset_id from gateway.fragment where sandbox_id = $1 and not is_deleted")
EVENTS = statement("select xid, dataset_id, timestamp from gateway.event where sandbox_id = $1")
IDENTITIES = statement("select xid, namespace_id from gateway.identity where sandbox_id = $1")
NEWEST = statement("select max(last_document_at) as at from gateway.batch where sandbox_id = $1 and record_count > 0")
LOCK_EVENTS = statement("lock table gateway.event in access exclusive mode")
MAKE_DUE = statement("update gateway.job set due_at = '-infinity' where sandbox_id = $1 and kind = 'REPORT_PREVIEWS'")


async def at(dsn: str, moment: datetime) -> Database:
    """Open connections on which it is always that time."""
    return await Database.connect(f"{dsn}&gateway.now={quote(moment.isoformat())}", size=4)


@pytest.fixture
async def world(template_world, dsn):
    """A sandbox with a second dataset of events, where it is NOW."""
    db = await at(dsn, NOW)
    yield replace(template_world, db=db, configurations=Configurations())
    await db.close()


# ---------------------------------------------------------------------------------------------- people by chance

EMAILS, PHONES, DEVICES = (
    [(namespace, form.format(n)) for n in range(count)]
    for namespace, form, count in (("Email", "p{}@example.com", 60), ("Phone", "+49{}", 30), ("ECID", "{:038d}", 90))
)
EDGES = [timedelta(days=days) + timedelta(milliseconds=more) for days in RETENTION_DAYS for more in (-1, 0, 1)]
"""Ages at which an event is just within a window, or just behind it."""


def some(chance: Random, *kinds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return an identity of the first kind, and of some of the others."""
    return [chance.choice(kind) for kind in kinds[:1] + tuple(each for each in kinds[1:] if chance.random() < 0.3)]


async def fill(world: World, chance: Random, round_: int) -> None:
    """Send records, some of which delete others, and events of all ages into four datasets."""
    for dataset, mode in ((world.crm, Mode.REPLACE), (world.loyalty, Mode.REPLACE), (world.crm, Mode.DELETE)):
        count = 4 if mode is Mode.DELETE else 20
        sent = [
            record(*some(chance, EMAILS, *(() if mode is Mode.DELETE else (PHONES, DEVICES)))) for _ in range(count)
        ]
        await world.records(*sent, dataset=dataset, mode=mode, batch_id=await world.batch(f"{round_}{mode}", dataset))
    again = (await datasets_of(world))["Again"]
    for name, into in (("shop", world), ("again", replace(world, shop=again))):
        sent = []
        for n in range(40):
            age = chance.choice(EDGES) if chance.random() < 0.5 else timedelta(days=chance.randrange(500))
            named = some(chance, DEVICES, EMAILS, PHONES)
            sent.append(event(f"{round_}-{n}", (NOW - age).isoformat(), *named))
        await into.events(*sent, batch_id=await into.batch(f"{round_}{name}", into.shop))


async def datasets_of(world: World) -> dict[str, datasets.Dataset]:
    return {each.name: each for each in (await world.config()).datasets.values()}


async def two_policies(world: World) -> list[MergePolicy]:
    """Return the default policy, and one by which each identity is a person and the records of one dataset alone take part."""
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    alone = PolicySettings("Alone", IdentityGraphType.NONE, rule, is_active_on_edge=True)
    made = await policies.create_policy(world.db, world.scope, alone)
    return [(await world.config()).default_policy, made]


# ---------------------------------------------------------------------------------------------- the recount


@dataclass
class Person:
    """What is known of a person, one by one."""

    namespaces: set[int]
    datasets: set[UUID]
    fragments: set[tuple[UUID, UUID]]
    events: list[datetime]

    def is_unknown(self, days: int) -> bool:
        return len(self.fragments) == 1 and all(each < NOW - timedelta(days=days) for each in self.events)


@dataclass
class Facts:
    """All that is stored, and the namespace of each identity."""

    records: list[tuple[UUID, UUID]]
    events: list[tuple[UUID, UUID, datetime]]
    namespaces: dict[UUID, int]

    @classmethod
    async def of(cls, world: World) -> "Facts":
        read = [await world.db.rows(each, world.scope.sandbox_id) for each in (FRAGMENTS, EVENTS, IDENTITIES)]
        records, events, namespaces = ([tuple(row) for row in rows] for rows in read)
        return cls(records, events, dict(namespaces))


async def people_of(world: World, policy: MergePolicy, facts: Facts) -> list[Person]:
    """Read everybody under a policy, and look each of their facts up in all facts."""
    config, rule, found = await world.config(), policy.settings.attribute_merge, []
    graph = policy.settings.identity_graph
    for one in (await list_people(world.db, world.scope, config, Window(1_000), graph=graph)).items:
        records = [each for each in facts.records if each[0] in one.xids]
        own = [each for each in facts.events if each[0] in one.xids]
        taking_part = {key for _, key in records if not rule.order or key in rule.order}
        found.append(
            Person(
                {facts.namespaces[xid] for xid in one.xids},
                taking_part | {key for _, key, _ in own},
                {*records, *((xid, key) for xid, key, _ in own)},
                [time for *_, time in own],
            )
        )
    return found


def shares(counted: Iterable[NamespaceShare]) -> dict[int, tuple[int, int, float]]:
    return {each.namespace.namespace_id: (each.profiles, each.fragments, each.percentage) for each in counted}


async def recounted(world: World, preview: ProfilePreview) -> None:
    """Compare all that a preview tells with a count of the people one by one."""
    facts = await Facts.of(world)
    people, records, events = await people_of(world, preview.policy, facts), facts.records, facts.events
    pieces = {fragment for each in people for fragment in each.fragments}
    assert preview.taken_at == NOW
    assert preview.total_profiles == len(people)
    assert preview.total_fragments == len(pieces) == len({each[:2] for each in (*records, *events)})
    assert preview.total_events == len(events) == sum(len(each.events) for each in people)
    ((newest,),) = await world.db.rows(NEWEST, world.scope.sandbox_id)
    assert preview.last_updated_at == newest

    held = Counter(each[1] for each in (*records, *events))
    with_dataset = Counter(key for each in people for key in each.datasets)
    assert {each.dataset.dataset_id: (each.profiles, each.records, each.percentage) for each in preview.by_dataset} == {
        key: (with_dataset[key], count, with_dataset[key] / len(people)) for key, count in held.items()
    }
    assert {(each.dataset.dataset_id, each.days): (each.events, each.records) for each in preview.retention} == {
        (key, days): (
            sum(key == of and time >= NOW - timedelta(days=days) for _, of, time in events),
            sum(key == of for _, of in records),
        )
        for key in held
        for days in RETENTION_DAYS
    }

    with_namespace = Counter(key for each in people for key in each.namespaces)
    under = Counter(facts.namespaces[xid] for xid, _ in pieces)
    assert shares(preview.by_namespace) == {
        key: (count, under[key], count / len(people)) for key, count in with_namespace.items()
    }
    for unknown, days in zip(preview.unknown_profiles, UNKNOWN_DAYS, strict=True):
        those = [each for each in people if each.is_unknown(days)]
        assert (unknown.days, unknown.profiles) == (days, len(those))
        assert unknown.events == sum(len(each.events) for each in those)
        with_namespace = Counter(key for each in those for key in each.namespaces)
        under = Counter(facts.namespaces[xid] for each in those for xid, _ in each.fragments)
        assert shares(unknown.by_namespace) == {
            key: (count, under[key], count / len(those)) for key, count in with_namespace.items()
        }
    overlaps_recounted(preview, people, {each.namespace_id: each.code for each in preview.config.namespaces.values()})


def overlaps_recounted(preview: ProfilePreview, people: list[Person], codes: dict[int, str]) -> None:
    """Each set that is told is counted right and told once, the largest come first, and what is left makes up the total."""
    sets = (
        (preview.dataset_overlap, Counter(frozenset(map(str, each.datasets)) for each in people)),
        (preview.namespace_overlap, Counter(frozenset(codes[key] for key in each.namespaces) for each in people)),
    )
    for told, counted in sets:
        listed = {frozenset(each.keys): each.profiles for each in told if each.keys}
        assert listed == {key: counted[key] for key in listed}
        assert len(listed) == min(previews.MAX_OVERLAPS, len(counted.keys() - {frozenset()}))
        assert sum(each.profiles for each in told) == len(people)
        assert sorted(listed.values(), reverse=True) == list(listed.values())
        left = [count for key, count in counted.items() if key and key not in listed]
        assert max(left, default=0) <= min(listed.values(), default=0)


async def counted(world: World, policy: MergePolicy, **how) -> ProfilePreview:
    return await preview_profiles(
        world.db, world.scope, world.configurations, policy.policy_id, seconds=MANY_SECONDS, **how
    )


async def test_it_counts_what_a_recount_of_the_people_counts(world, monkeypatch):
    both = await two_policies(world)
    for policy in both:
        await recounted(world, await counted(world, policy))  # of nobody
    await datasets.create_dataset(world.db, world.scope, name="Again", schema_id=world.shop.schema_id)
    chance = Random(18)
    for round_ in range(2):
        await fill(world, chance, round_)
        for policy in both:
            await recounted(world, await counted(world, policy))
    seen = await counted(world, both[0])
    assert {len(each.keys) for each in seen.dataset_overlap} >= {1, 2, 3}  # else there is little to count
    assert 0 < seen.unknown_profiles[-1].profiles < seen.unknown_profiles[0].profiles < seen.total_profiles
    monkeypatch.setattr(previews, "MAX_OVERLAPS", 2)
    await world.abort(await world.batch(f"1{Mode.REPLACE}", world.crm))
    await world.erase(await world.xid(*EMAILS[0]), await world.xid(*DEVICES[1]))
    for policy in both:
        await recounted(world, await counted(world, policy))
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_what_is_not_wanted_is_not_counted(world, statements):
    await world.records(record(EMAILS[0]), record(EMAILS[1]))
    policy = (await world.config()).default_policy
    with statements() as ran:
        preview = await counted(world, policy, wanted={PROFILES})
    assert preview.total_profiles == 2
    assert not any(name.startswith("previews.count") for name in ran)
    with statements() as ran:
        preview = await counted(world, policy, wanted={DATA})
    assert preview.total_fragments == 2
    assert not any(name in {"previews.count_people", "people.count_people"} for name in ran)


# ---------------------------------------------------------------------------------------------- reports


async def reported(world: World, dsn: str, moment: datetime, days: float = 365) -> int:
    """Do the job at a time, and return how many reports it took."""
    db = await at(dsn, moment)
    await jobs.schedule(db)
    await db.rows(MAKE_DUE, world.scope.sandbox_id)
    job = await leases.claim(db, [JobKind.REPORT_PREVIEWS])
    assert job is not None
    await leases.carry_out(db, job, report_previews(db, world.scope, Configurations(), job, days=days))
    await db.close()
    return job.done


async def report(world: World, policy: MergePolicy, day: date) -> ProfilePreview | None:
    return await read_report(world.db, world.scope, await world.config(), policy.policy_id, day)


async def test_a_report_of_each_day_and_policy_stays_as_it_was_taken(world, dsn):
    default, alone = await two_policies(world)
    await datasets.create_dataset(world.db, world.scope, name="Again", schema_id=world.shop.schema_id)
    await fill(world, Random(1), 0)
    expected = {policy.policy_id: await counted(world, policy) for policy in (default, alone)}
    assert await reported(world, dsn, NOW) == 2
    assert await reported(world, dsn, NOW + timedelta(hours=11)) == 0
    await world.clear(world.loyalty)
    assert await reported(world, dsn, NOW + timedelta(days=1)) == 2
    for policy in (default, alone):
        found = await report(world, policy, NOW.date())
        assert found == replace(expected[policy.policy_id], config=found.config, policy=found.policy)
        later = await report(world, policy, NOW.date() + timedelta(days=1))
        assert later.total_fragments < found.total_fragments
        assert sum(each.profiles for each in found.dataset_overlap) == found.total_profiles
        assert await report(world, policy, NOW.date() - timedelta(days=1)) is None
        assert await report(world, policy, date.max) is None
    assert await reported(world, dsn, NOW + timedelta(days=3), days=2) == 2
    kept = [await report(world, default, NOW.date() + timedelta(days=n)) is not None for n in range(4)]
    assert kept == [False, True, False, True]


async def test_the_newest_report_answers_where_counting_takes_too_long(world, dsn):
    await world.records(record(EMAILS[0]))
    policy = (await world.config()).default_policy
    asked = (world.db, world.scope, world.configurations, policy.policy_id)

    async def under_a_lock() -> ProfilePreview | None:
        async with world.db.transaction() as tx:
            await tx.rows(LOCK_EVENTS)  # so that no count comes to an end
            return await preview_profiles(*asked, seconds=0.05)

    with pytest.raises(Timeout):
        await under_a_lock()
    for passed in (0, 1):
        await reported(world, dsn, NOW + timedelta(days=passed))
        await world.records(record(EMAILS[1 + passed]))
    told = await under_a_lock()
    assert (told.is_exact, told.taken_at, told.total_profiles) == (False, NOW + timedelta(days=1), 2)
    fresh = await preview_profiles(*asked, seconds=MANY_SECONDS)
    assert (fresh.is_exact, fresh.taken_at, fresh.total_profiles) == (True, NOW, 3)


async def test_a_policy_that_keeps_no_profiles_is_refused_as_searches_refuse_it(world):
    rule = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
    other = PolicySettings("Other", IdentityGraphType.PDG, rule)
    policy = await policies.create_policy(world.db, world.scope, other)
    for asked in (counted(world, policy), report(world, policy, NOW.date())):
        with pytest.raises(BadInput, match="A preview needs a merge policy that keeps its profiles"):
            await asked

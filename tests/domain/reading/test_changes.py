"""Changes of people, read from the journal: what they say, in which order, and that none is missed whatever transactions do meanwhile."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from world import World, event, record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.facts.appending import STAMP
from gateway.domain.operations import manual_links
from gateway.domain.operations.erasure import DeleteScope
from gateway.domain.reading import changes
from gateway.domain.reading.changes import ChangePage, iterate_changes
from gateway.domain.rules.changes import Position
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.domain.views.effects import ChangeKind, Effects, PersonChange
from gateway.domain.views.journal import XIDS_PER_ROW, write_changes
from gateway.errors import BadInput, CursorExpired, Forbidden
from gateway.storage.database import Database
from gateway.storage.queries import Query

ANA, PHONE, BEN, EVE = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io"), ("Email", "eve@x.io")
EXPIRE = Query(
    "test.expire", "update gateway.sandbox set journal_since = $2 where sandbox_id = $1", (), (), "none", "x."
)
TRANSACTION_ID = Query("test.transaction_id", "select pg_current_xact_id()", (), (), "value", "x.")


def created(profile_id: UUID) -> Effects:
    return Effects({profile_id: PersonChange(ChangeKind.CREATED, profile_id, (profile_id,))})


async def read(world: World, after: Position | None = None, first: int = 1000, **view) -> ChangePage:
    policy = view.pop("policy", None) or (await world.config()).default_policy
    window = Window(first, after=None if after is None else after.key, **view)
    return await changes.list_changes(world.db, world.scope, policy, window)


async def told(world: World, after: Position | None = None, **view) -> list[tuple[ChangeKind, str]]:
    """What a page says: the kind of each change, and the person's first e-mail address or number."""
    names = {await world.xid(*identity): identity[1] for identity in (ANA, PHONE, BEN, EVE)}
    return [(each.kind.value, names[each.profile_id]) for each in (await read(world, after, **view)).items]


async def alone(world: World) -> MergePolicy:
    """A policy without a graph."""
    default = (await world.config()).default_policy.settings
    settings = replace(default, name="Alone", identity_graph=IdentityGraphType.NONE, is_default=False)
    return await policies.create_policy(world.db, world.scope, settings)


async def test_the_changes_of_two_people_come_in_order(world):
    start = (await read(world, first=0)).end
    await world.records(record(ANA, PHONE, first_name="Ana"), record(BEN))
    await world.events(event("e", "2026-01-01T00:00:00Z", PHONE))
    await world.records(record(ANA, BEN, first_name="Anna"), dataset=world.loyalty)
    ana, ben = await world.xid(*ANA), await world.xid(*BEN)
    await manual_links.unlink_identities(world.db, world.scope, world.configurations, ana, ben)
    await world.records(record(BEN), mode=Mode.DELETE)
    person = min(ana, ben)  # of one type, the smaller one speaks for both
    page = await read(world, start)
    assert not page.has_next
    assert [each.kind.value for each in page.items[:4]] == ["CREATED", "CREATED", "EVENTS", "MERGED"]
    assert page.items[2].profile_id == ana
    merged = page.items[3]
    assert (merged.profile_id, merged.former_profile_ids) == (person, [max(ana, ben)])
    assert merged.changed_paths is None or ["person", "name", "firstName"] in merged.changed_paths
    assert {each.profile_id for each in page.items[4:6]} == {ana, ben}
    assert (page.items[-1].kind, page.items[-1].profile_id) == (ChangeKind.DELETED, ben)
    for one in (ana, ben):
        versions = [each.version for each in page.items if each.profile_id == one]
        assert versions == sorted(set(versions))


async def test_pages_of_any_size_give_what_one_page_gives(world):
    await world.records(*(record(one) for one in (ANA, BEN)), record(EVE, PHONE))
    await world.events(*(event(f"{n}", "2026-01-01T00:00:00Z", one) for n, one in enumerate((ANA, BEN, PHONE))))
    policy = await alone(world)
    for view in ({}, {"policy": policy}):
        everything = (await read(world, **view)).items
        assert len(everything) == (6 if not view else 4 + 3)
        for size in (1, 2, 3):
            pages, after, has_next = list[ChangePage](), None, True
            while has_next:
                pages.append(await read(world, after, size, **view))
                after, has_next = pages[-1].end, pages[-1].has_next
            found = [each for page in pages for each in page.items]
            assert [each[:-1] for each in found] == [each[:-1] for each in everything]
            assert [page.has_previous for page in pages] == [False, *[True] * (len(pages) - 1)]


async def test_the_last_changes_are_those_in_front_of_a_cursor_of_theirs(world):
    await world.records(record(ANA), record(BEN))
    await world.events(event("1", "2026-01-01T00:00:00Z", ANA), event("2", "2026-01-01T00:00:00Z", BEN))
    everything = (await read(world)).items
    before, found = None, []
    for expected in reversed(everything):
        page = await read(world, first=1, backward=True, before=before)
        assert [each[:-1] for each in page.items] == [expected[:-1]]
        assert (page.has_previous, page.has_next) == (expected is not everything[0], before is not None)
        found = page.items + found
        before = page.items[0].position.key
    assert [each[:-1] for each in (await read(world, found[1].position)).items] == [
        each[:-1] for each in everything[2:]
    ]
    assert (await read(world, first=2, backward=True)).items[0][:-1] == everything[-2][:-1]
    with pytest.raises(BadInput):
        await read(world, found[0].position, before=before)


async def test_events_are_of_the_people_of_this_moment(world):
    await world.records(record(ANA), record(BEN), record(EVE))
    start = (await read(world, first=0)).end
    await world.events(*(event(f"{n}", "2026-01-01T00:00:00Z", one) for n, one in enumerate((ANA, BEN, EVE))))
    assert len(await told(world, start)) == 3
    await world.records(record(ANA, BEN))
    assert [kind for kind, _ in await told(world, start)] == ["EVENTS", "EVENTS", "MERGED"]


async def test_without_a_graph_each_identity_of_a_changed_person_changed(world):
    policy = await alone(world)
    await world.records(record(ANA, PHONE), record(BEN))
    start = (await read(world, first=0)).end
    assert sorted(await told(world, policy=policy)) == [("CREATED", one) for one in ("+49", "ana@x.io", "ben@x.io")]
    await world.records(record(ANA, BEN))
    found = await read(world, start, policy=policy)
    assert {each.kind for each in found.items} == {ChangeKind.UPDATED}
    assert {each.profile_id for each in found.items} == {await world.xid(*one) for one in (ANA, PHONE, BEN)}
    assert {(each.changed_paths, len(each.former_profile_ids)) for each in found.items} == {(None, 0)}


async def revert(world: World, batch_id: UUID) -> None:
    await world.abort(batch_id)
    await world.empty_batches()


async def erase(world: World, _: UUID) -> None:
    await world.erase(await world.xid(*PHONE), reach=DeleteScope.IDENTITY)


@pytest.mark.parametrize("drop", [revert, erase])
async def test_without_a_graph_an_identity_that_its_person_has_lost_is_deleted(world, drop):
    policy = await alone(world)
    await world.records(record(ANA))
    batch_id = await world.batch("numbers", world.loyalty)
    await world.records(record(PHONE, ANA), dataset=world.loyalty, batch_id=batch_id)
    start = (await read(world, first=0)).end
    await drop(world, batch_id)
    assert ("DELETED", PHONE[1]) in await told(world, start, policy=policy)
    assert {kind for kind, _ in await told(world, start)} == {"UPDATED"}


async def test_a_call_of_many_identities_with_events_is_paged_within_its_rows(world):
    people = [("Email", f"{n}@x.io") for n in range(2 * XIDS_PER_ROW + 1)]
    await world.records(*(record(one) for one in people))
    after = (await read(world, first=0)).end
    await world.events(*(event(one[1], "2026-01-01T00:00:00Z", one) for one in people))
    found = []
    for size in (7, 150, 1000):
        page = await read(world, after, size)
        assert {each.kind for each in page.items} == {ChangeKind.EVENTS}
        found += [each.profile_id for each in page.items]
        after = page.end
    assert len(found) == len(people)
    assert set(found) == {await world.xid(*one) for one in people}


async def test_rows_of_identities_that_belong_to_nobody_are_passed_over_in_bounded_steps(world, monkeypatch):
    monkeypatch.setattr(changes, "MAX_READS", 2)
    async with world.db.transaction() as tx:
        for seq in range(10):
            nobody = Effects(event_xids={await world.xid("Email", f"{seq}@x.io")})
            await write_changes(tx, world.scope, seq, datetime.now(UTC), nobody)
    after, pages = None, 0
    while (page := await read(world, after, 1)).has_next:
        assert page.items == []
        after, pages = page.end, pages + 1
    assert pages == 3  # each of two reads of two rows


async def test_a_transaction_that_ends_late_is_missed_by_nobody(world, dsn):
    """Its number is smaller than those that were read, and its id, or it has none yet when others end."""
    ana, ben = await world.xid(*ANA), await world.xid(*BEN)
    other = await Database.connect(dsn, size=3)
    await world.records(record(EVE))  # the first number of a sequence is logged, which gives a transaction its id
    position = (await read(world, first=0)).end
    async with other.transaction() as late:
        stamp = await late.row(STAMP, world.scope.sandbox_id)
        await world.records(record(BEN))
        first = await read(world, position)
        assert [each.profile_id for each in first.items] == [ben]
        assert first.items[0].version > stamp["ordinal"]
        await write_changes(late, world.scope, stamp["ordinal"], stamp["at"], created(ana))
        assert (await read(world, first.end)).items == []
    for after in (first.end, first.items[0].position):
        assert [each.profile_id for each in (await read(world, after)).items] == [ana]
    await other.close()


async def test_a_transaction_that_began_last_and_drew_its_number_first_is_missed_by_nobody(world, dsn):
    """A snapshot of Postgres ends behind the newest transaction that has ended, and later ones may be running then."""
    ana, ben = await world.xid(*ANA), await world.xid(*BEN)
    other = await Database.connect(dsn, size=3)
    position = (await read(world, first=0)).end
    async with other.transaction() as late:
        async with other.transaction() as early:
            await early.value(TRANSACTION_ID)
            first = await late.row(STAMP, world.scope.sandbox_id)
            second = await early.row(STAMP, world.scope.sandbox_id)
            await write_changes(early, world.scope, second["ordinal"], second["at"], created(ben))
        page = await read(world, position)
        assert [each.profile_id for each in page.items] == [ben]
        await write_changes(late, world.scope, first["ordinal"], first["at"], created(ana))
    for after in (page.end, page.items[0].position):
        assert [each.profile_id for each in (await read(world, after)).items] == [ana]
    await other.close()


async def test_an_open_transaction_holds_nobody_up(world, dsn):
    other = await Database.connect(dsn, size=1)
    async with other.transaction() as tx:
        await tx.row(STAMP, world.scope.sandbox_id)
        position = (await read(world, first=0)).end
        await world.records(record(ANA))
        assert await told(world, position) == [("CREATED", "ana@x.io")]
    await other.close()


async def test_a_follower_gets_changes_as_they_come(world):
    policy = (await world.config()).default_policy
    position = (await read(world, first=0)).end
    async with (
        asyncio.timeout(60),
        aclosing(iterate_changes(world.db, world.scope, policy, Window(1, after=position.key), follow=True)) as pages,
    ):
        for name in ("Ana", "Anna", "Anne"):
            await world.records(record(ANA, first_name=name), record(BEN, first_name=name))
            both = [(await anext(pages)).items for _ in range(2)]
            assert {change.profile_id for items in both for change in items} == {
                await world.xid(*ANA),
                await world.xid(*BEN),
            }


async def test_a_cursor_is_good_for_as_long_as_what_is_behind_it_is_kept(world):
    await world.records(record(ANA), record(BEN))
    page = await read(world, first=1)
    position = page.items[0].position
    now = datetime.now(UTC)
    async with world.db.transaction() as tx:
        await tx.execute(EXPIRE, world.scope.sandbox_id, now - timedelta(minutes=1))
    assert len((await read(world, position)).items) == 1
    async with world.db.transaction() as tx:
        await tx.execute(EXPIRE, world.scope.sandbox_id, now + timedelta(minutes=1))
    with pytest.raises(CursorExpired):
        await read(world, position)


async def test_changes_are_for_readers_of_profiles(world):
    world.scope = replace(world.scope, permissions=frozenset({Permission.CONFIG_WRITE}))
    with pytest.raises(Forbidden):
        await read(world)

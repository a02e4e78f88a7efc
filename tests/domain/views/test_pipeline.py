"""Every writer of facts ends in the journal: what one sandbox's writers say that they did to people."""

from collections import Counter
from dataclasses import replace

import orjson
import pytest
from working import work_off
from world import day, event, record

from gateway.domain.config import policies
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.operations.manual_links import link_identities, unlink_identities
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.versions import Mode
from gateway.storage.queries import Query

ANA, PHONE, DEVICE = ("Email", "ana@example.com"), ("Phone", "+1"), ("ECID", "1" * 38)
BOB = ("Email", "bob@example.com")
NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
ROWS = Query(
    "test.changes",
    "select seq, kind, profile_id, xids, former_ids, paths from gateway.change where sandbox_id = $1 and seq > $2 order by seq, place",
    ("sandbox_id", "after"), (), "rows", "For tests.",
)  # fmt: skip


class Follower:
    """Reads the journal on from where it was."""

    def __init__(self, world):
        self.world, self.after = world, 0

    async def rows(self):
        rows = await self.world.db.rows(ROWS, self.world.scope.sandbox_id, self.after)
        self.after = max((row["seq"] for row in rows), default=self.after)
        return rows

    async def kinds(self):
        return Counter(row["kind"] for row in await self.rows())

    async def one(self):
        (row,) = await self.rows()
        paths = None if row["paths"] is None else orjson.loads(row["paths"])
        return row["kind"], row["profile_id"], row["former_ids"], paths


@pytest.fixture
def follower(world):
    return Follower(world)


async def test_records_and_events_say_which_people_they_created_updated_and_merged(world, follower):
    phone, ana = await world.xid(*PHONE), await world.xid(*ANA)
    await world.records(record(PHONE, first_name="Ana"))
    assert await follower.one() == ("CREATED", phone, [], None)
    await world.records(record(PHONE, first_name="Ana"))
    assert await follower.rows() == []
    segments = {"ups": {"vip": {"status": "realized"}}}
    await world.records(record(PHONE, first_name="Anna", segmentMembership=segments))
    assert await follower.one() == ("UPDATED", phone, [], [["person", "name", "firstName"], ["segmentMembership"]])
    await world.records(record(PHONE, DEVICE, first_name="Anna", segmentMembership=segments))
    assert await follower.one() == ("UPDATED", phone, [], [["identityMap"]])
    await world.events(event("e1", day(1), PHONE), event("e2", day(2), DEVICE))
    (row,) = await follower.rows()
    assert (row["kind"], set(row["xids"])) == ("EVENTS", {phone, await world.xid(*DEVICE)})
    await world.events(event("e1", day(1), PHONE))
    assert await follower.rows() == []
    await world.events(event("e3", day(3), PHONE, ANA))
    assert await follower.one() == ("MERGED", ana, [phone], None)


async def test_a_record_that_changes_nothing_of_the_document_says_so(world, follower):
    await world.records(record(ANA, first_name="Ana"), dataset=world.loyalty)
    old = record(ANA, first_name="Anna", extSourceSystemAudit={"lastUpdatedDate": day(1)})
    await follower.rows()
    await world.records(old)
    kind, _, _, paths = await follower.one()
    assert (kind, paths) == ("UPDATED", [["extSourceSystemAudit", "lastUpdatedDate"]])
    await world.records({**old, "person": {"name": {"firstName": "Anne"}}})
    kind, _, _, paths = await follower.one()
    assert (kind, paths) == ("UPDATED", [])
    await world.records(record(ANA, first_name="Ann"), record(ANA, first_name="Ana"), dataset=world.loyalty)
    assert (await follower.one())[3] == []  # there and back, and newer than it was


async def test_an_event_that_moves_with_the_removal_of_its_batch_is_said_of_both_identities(world, follower):
    for key, named in (("first", (PHONE, DEVICE)), ("second", (DEVICE, PHONE))):
        batch_id = await world.batch(key, world.shop)
        await world.events(event("e1", day(1), *named), batch_id=batch_id)
    await follower.rows()
    await world.abort(await world.batch("first", world.shop))
    (row,) = await follower.rows()
    assert (row["kind"], set(row["xids"])) == ("EVENTS", {await world.xid(*PHONE), await world.xid(*DEVICE)})


async def test_links_by_hand_and_removals_say_how_people_part(world, follower):
    ana, bob = await world.xid(*ANA), await world.xid(*BOB)
    await world.records(record(ANA), record(BOB))
    await follower.rows()
    await link_identities(world.db, world.scope, world.configurations, ana, bob)
    assert (await follower.one())[:3] == ("MERGED", min(ana, bob), [max(ana, bob)])
    await unlink_identities(world.db, world.scope, world.configurations, ana, bob)
    assert {(row["kind"], row["profile_id"], *row["former_ids"]) for row in await follower.rows()} == {
        ("SPLIT", min(ana, bob)),
        ("SPLIT", max(ana, bob), min(ana, bob)),
    }
    batch_id = await world.batch("b")
    await world.records(record(PHONE), batch_id=batch_id)
    await follower.rows()
    await world.abort(batch_id)
    assert (await follower.one())[:2] == ("DELETED", await world.xid(*PHONE))
    await world.records(record(BOB), mode=Mode.DELETE)
    assert (await follower.one())[:2] == ("DELETED", bob)


async def test_settings_say_which_people_they_split(world, follower):
    shared = [record(name, PHONE) for name in (ANA, BOB)]
    await world.records(*shared)
    await follower.rows()
    await update_identity_settings(world.db, world.scope, [NamespaceRule("Email", is_unique=True)])
    await work_off(world.db, world.configurations)
    assert await follower.kinds() == {"SPLIT": 2}


async def test_a_policy_that_becomes_the_default_says_that_everybody_is_to_be_read_again(world, follower):
    """Even one whose profiles were kept before, as it was active on the edge."""
    await world.records(*(record(("Email", f"p{n}@example.com"), first_name="P") for n in range(5)))
    settings = PolicySettings("Edge", IdentityGraphType.PDG, NEWEST, is_active_on_edge=True)
    made = await policies.create_policy(world.db, world.scope, settings)
    await work_off(world.db, world.configurations)
    await follower.rows()
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    await policies.update_policy(world.db, world.scope, made.policy_id, {"is_default": True})
    await work_off(world.db, world.configurations)
    rows = await follower.rows()
    assert Counter((row["kind"], row["paths"]) for row in rows) == {("UPDATED", None): 5}
    assert len({row["profile_id"] for row in rows}) == 5

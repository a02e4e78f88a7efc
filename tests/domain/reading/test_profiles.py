"""Profiles: the same document whether it is kept merged or merged when it is read, one by one, many at once, or listed."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from citus import WAYS
from world import event, record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings, PolicyStatus
from gateway.domain.reading import profiles
from gateway.domain.reading.events import EventFilter, EventOrder, EventRequest
from gateway.domain.reading.profile_limits import limits_of
from gateway.domain.reading.profiles import ProfileStatus
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType, canonical
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import Forbidden
from gateway.projection.tree import (
    Column,
    Constant,
    Count,
    Document,
    Each,
    End,
    Format,
    HasMore,
    Leaf,
    Object,
    Packed,
    Packing,
    Page,
    Projection,
    Under,
)
from gateway.storage.queries import Query

ANA, PHONE, BEN, NOBODY = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io"), ("Email", "nobody@x.io")
NEWEST = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
NONE, PDG = IdentityGraphType.NONE, IdentityGraphType.PDG


@pytest.fixture
async def two_sources(world):
    """Ana by her address in the CRM, and by her phone, which the loyalty programme knows her by, too."""
    await world.records(record(ANA, PHONE, first_name="Ana", homeAddress={"city": "Bonn"}))
    await world.records(record(PHONE, first_name="Anna", workEmail={"address": "a@work.io"}), dataset=world.loyalty)
    return world


async def policy_of(world, graph=PDG, rule=NEWEST, **flags):
    made = await policies.create_policy(world.db, world.scope, PolicySettings("Another", graph, rule, **flags))
    return (await world.config()).policies[made.policy_id]


async def default(world):
    return (await world.config()).default_policy


async def read(world, *identities, policy=None):
    xids = [await world.xid(*identity) for identity in identities]
    policy = policy or await default(world)
    return await profiles.read_profiles(world.db, world.scope, await world.config(), policy, xids)


async def search(world, policy, window=None):
    return await profiles.search_profiles(world.db, world.scope, await world.config(), policy, window or Window())


async def test_two_identities_of_one_person_give_two_entries_in_the_order_asked(two_sources):
    results = await read(two_sources, PHONE, NOBODY, ANA, PHONE)
    assert [result.status for result in results] == ["FOUND", "NOT_FOUND", "FOUND", "FOUND"]
    assert [result.xid for result in results] == [await two_sources.xid(*name) for name in (PHONE, NOBODY, ANA, PHONE)]
    assert results[0].profile is results[2].profile is results[3].profile
    assert [result.identity and result.identity.value for result in results] == ["+49", None, "ana@x.io", "+49"]


async def test_the_document_is_merged_and_its_identity_map_rendered_from_the_graph(two_sources):
    (result,) = await read(two_sources, ANA)
    assert result.profile.document == {
        "person": {"name": {"firstName": "Anna"}},
        "workEmail": {"address": "a@work.io"},
        "homeAddress": {"city": "Bonn"},
        "identityMap": {"Email": [{"id": "ana@x.io"}], "Phone": [{"id": "+49"}]},
    }
    assert result.profile.size > 50


@pytest.mark.parametrize("graph", IdentityGraphType)
async def test_one_by_one_many_at_once_and_listed_profiles_are_the_same(two_sources, graph):
    await two_sources.events(event("e", "2026-01-01T00:00:00Z", BEN))
    policy = await policy_of(two_sources, graph)
    names = (ANA, PHONE, BEN, NOBODY)
    many = [result.profile for result in await read(two_sources, *names, policy=policy)]
    single = [(await read(two_sources, name, policy=policy))[0].profile for name in names]
    listed = (await search(two_sources, policy)).items
    assert [profile and profile.document for profile in single] == [profile and profile.document for profile in many]
    assert {profile.profile_id: profile.document for profile in listed} == {
        profile.profile_id: profile.document for profile in many if profile
    }
    assert await profiles.count_profiles(two_sources.db, two_sources.scope, policy) == len(listed)


async def test_under_a_policy_without_a_graph_an_identity_with_data_is_its_own_profile(two_sources):
    await two_sources.events(event("e", "2026-01-01T00:00:00Z", BEN, ("ECID", "1" * 38)))
    ana, phone, ben, device = await read(
        two_sources, ANA, PHONE, BEN, ("ECID", "1" * 38), policy=await policy_of(two_sources, NONE)
    )
    assert ana.profile.document["person"] == {"name": {"firstName": "Ana"}}
    assert ana.profile.document["identityMap"] == {"Email": [{"id": "ana@x.io"}]}
    assert phone.profile.document["person"] == {"name": {"firstName": "Anna"}}
    assert ben.profile.document == {"identityMap": {"Email": [{"id": "ben@x.io"}]}}
    assert (device.status, device.profile, device.identity.value) == ("NOT_FOUND", None, "1" * 38)


async def test_datasets_that_a_policy_does_not_list_take_no_part(two_sources):
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (two_sources.crm.dataset_id,))
    (ana,) = await read(two_sources, ANA, policy=await policy_of(two_sources, rule=rule))
    assert ana.profile.document.keys() == {"person", "homeAddress", "identityMap"}
    (origin,) = await profiles.read_origins(two_sources.db, two_sources.scope, [ana.profile])
    assert origin.sources == (two_sources.crm.dataset_id,)


@pytest.mark.parametrize("graph", IdentityGraphType)
@pytest.mark.parametrize("listed", [["CRM", "Loyalty"], ["Loyalty"], []])
async def test_what_is_kept_merged_is_what_would_be_merged_at_read(world, graph, listed):
    datasets = {dataset.name: dataset.dataset_id for dataset in (world.crm, world.loyalty)}
    order = tuple(datasets[name] for name in listed)
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, order) if order else NEWEST
    kept = await policy_of(world, graph, rule, is_default=True)
    await world.records(record(ANA, PHONE, first_name="Ana", homeAddress={"city": "Bonn"}))
    await world.records(record(PHONE, first_name="Anna"), record(NOBODY, first_name="X"), dataset=world.loyalty)
    await world.events(event("e", "2026-01-01T00:00:00Z", BEN))
    merging = replace(kept, status=PolicyStatus.BUILDING)
    assert (kept.status, kept.is_materialized) == ("ACTIVE", True)
    results = [await read(world, ANA, PHONE, BEN, NOBODY, policy=policy) for policy in (kept, merging)]
    assert [each.status for each in results[0]] == [each.status for each in results[1]]
    found = [[each.profile for each in result if each.profile] for result in results]
    listings = [(await search(world, policy)).items for policy in (kept, merging)]
    for one, other in (found, listings):
        assert [canonical(profile.document) for profile in one] == [canonical(profile.document) for profile in other]
        origins = await profiles.read_origins(world.db, world.scope, [*one, *other])
        stated = [(set(origin.sources), origin.modified_at) for origin in origins]
        assert stated[: len(one)] == stated[len(one) :]


async def test_without_a_document_the_origin_is_that_of_events_then_of_records_that_take_no_part(world):
    await world.records(record(ANA, first_name="Ana"))
    await world.events(event("e", "2026-01-01T00:00:00Z", BEN))
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    found = [result.profile for result in await read(world, ANA, BEN, policy=await policy_of(world, rule=rule))]
    ana, ben = await profiles.read_origins(world.db, world.scope, found)
    assert (ana.sources, ben.sources) == ((), (world.shop.dataset_id,))
    assert ana.modified_at < ben.modified_at


async def test_fragments_are_the_live_records_of_all_members_newest_first(two_sources):
    await two_sources.records(record(BEN, first_name="Ben"))
    await two_sources.records(record(BEN), mode=Mode.DELETE)
    await two_sources.records({**record(ANA), "person": {"name": {"lastName": "Alt"}}}, mode=Mode.MERGE)
    (ana,) = await read(two_sources, ANA)
    mine, none = await profiles.read_fragments(
        two_sources.db, two_sources.scope, [ana.profile.person.xids, (UUID(int=1),)]
    )
    assert [fragment.dataset_id for fragment in mine] == [two_sources.crm.dataset_id, two_sources.loyalty.dataset_id]
    assert mine[0].document["person"] == {"name": {"firstName": "Ana", "lastName": "Alt"}}
    assert none == []
    assert (await read(two_sources, BEN))[0].status is ProfileStatus.NOT_FOUND


async def erase(world, *identities):
    statement = Query(
        "test.erase", "update gateway.identity set value = null, profile_id = null, erased_at = $3 where sandbox_id = $1 and xid = any($2)",
        ("sandbox_id", "xids", "at"), (), "none", "Leaves tombstones.",
    )  # fmt: skip
    async with world.db.transaction() as tx:
        xids = [await world.xid(*identity) for identity in identities]
        await tx.execute(statement, world.scope.sandbox_id, xids, datetime.now(UTC))


async def test_of_an_erased_identity_only_the_xid_stays(world):
    await world.records(record(ANA))
    await erase(world, ANA)
    (result,) = await read(world, ANA)
    assert (result.status, result.identity, result.profile) == ("ERASED", None, None)


def pages_of(size, **order):
    """The events of a person, and how many there are, as an object."""
    rows = EventRequest(EventFilter(), EventOrder(**order), Window(size)).rows(Packed("", (("xid", Packing.UUID),)))
    nodes = Each(Object((("id", Column("event_id", Format.TEXT)), ("document", Document(Leaf("JSON"))))))
    ends = (("on", HasMore(behind=True)), ("first", End(is_first=True)), ("last", End(is_first=False)))
    return Page(rows, Object((("nodes", nodes), *ends, ("count", Count(rows)))))


PART = Object((("person", Under("person", Leaf("JSON"))), ("map", Under("identityMap", Leaf("JSON")))))
PROFILE = Object(
    (
        ("id", Packed("p_", (("policy_id", Packing.UUID), ("profile_id", Packing.UUID)))),
        ("part", Document(PART)),
        ("all", Document(Leaf("JSON"))),
        ("newest", pages_of(1, descending=True)),
        ("events", pages_of(3)),
        ("kind", Constant("It's")),
    ),
    present="is_found",
)
RESULT = Object((("status", Column("status", Format.TEXT)), ("profile", PROFILE)))


@pytest.mark.parametrize("is_distributed", WAYS)
async def test_what_a_statement_projects_is_what_is_evaluated_of_whole_profiles(two_sources, is_distributed):
    world, gone, device = two_sources, ("Email", "gone@x.io"), ("ECID", "1" * 38)
    await world.records(record(gone, first_name="Gone"))
    await world.events(*(event(f"e{n}", f"2026-01-0{n}T00:00:00Z", BEN, device) for n in range(1, 4)))
    await erase(world, gone)
    kept = await default(world)
    names = (BEN, ANA, NOBODY, PHONE, gone, ANA, device, BEN)
    xids = [await world.xid(*name) for name in names]
    asked = world.db, world.scope, await world.config()
    expected = None
    world.db.is_distributed = is_distributed
    for policy in (kept, replace(kept, status=PolicyStatus.BUILDING)):
        whole = await read(world, *names, policy=policy)
        texts = await profiles.project_texts(
            *asked, policy, xids, projection=Projection((RESULT,), frozenset(), is_text=True)
        )
        results = list(map(orjson.loads, texts))
        assert expected in (None, results)
        expected = results
        assert [each["status"] for each in results] == [each.status for each in whole]
        assert [each["profile"] and each["profile"]["all"] for each in results] == [
            each.profile and each.profile.document for each in whole
        ]
        parts = Projection((PROFILE, Document(PART)), frozenset({"person"}))
        for one, other in zip(
            await profiles.project_profiles(*asked, policy, xids, projection=parts), results, strict=True
        ):
            assert (one.parts[0] and orjson.loads(one.parts[0])) == other["profile"]
            assert one.profile is None or orjson.loads(one.profile.parts[1]) == other["profile"]["part"]
        assert await profiles.project_texts(*asked, policy, [], projection=parts) == []
    newest = results[0]["profile"]["newest"]
    assert ([node["id"] for node in newest["nodes"]], newest["on"], newest["count"]) == (["e3"], True, 3)


async def test_without_a_graph_what_is_projected_is_evaluated(two_sources):
    policy = await policy_of(two_sources, NONE)
    xids = [await two_sources.xid(*name) for name in (ANA, NOBODY)]
    asked = two_sources.db, two_sources.scope, await two_sources.config(), policy, xids
    texts = await profiles.project_texts(*asked, projection=Projection((RESULT,), frozenset(), is_text=True))
    found, unknown = map(orjson.loads, texts)
    assert found["profile"]["part"] == {
        "person": {"name": {"firstName": "Ana"}},
        "map": {"Email": [{"id": "ana@x.io"}]},
    }
    assert unknown == {"status": "NOT_FOUND", "profile": None}


async def test_the_number_of_statements_does_not_grow_with_the_requested_people(world, statements):
    names = [("Email", f"{n}@x.io") for n in range(30)]
    await world.records(*(record(name, ("Phone", f"{n}"), first_name=f"{n}") for n, name in enumerate(names)))
    for policy in (await default(world), await policy_of(world, NONE)):
        seen_for = []
        for asked in (names[:1], names):
            with statements() as seen:
                await read(world, *asked, policy=policy)
            seen_for.append([name for name in seen if not name.startswith(("tenants", "configuration"))])
        assert seen_for[0] == seen_for[1]
        assert len(seen_for[0]) <= 3


async def test_limits_show_the_true_size_and_the_guardrails_it_exceeds(world):
    await world.events(*(event(f"{n}", f"2026-01-01T00:{n:02}:00.000Z", ANA, ("ECID", f"1{n:037}")) for n in range(53)))
    profile = (await read(world, ANA))[0].profile
    size = profile.person.size
    limits = limits_of(size, 5_000, profile.size)
    assert (limits.identity_count, limits.event_count, limits.exceeded) == (54, 5_000, ("IDENTITIES",))
    assert limits_of(size, 5_001, 50_000_000).exceeded == ("IDENTITIES", "EVENTS")
    assert limits_of(50, 0, 50_000_001).exceeded == ("DOCUMENT_SIZE",)


@pytest.mark.one_postgres("a cluster reads whole profiles, of which all is derived")
async def test_limits_are_read_by_the_statement_that_reads_the_person(world):
    await world.events(*(event(f"{n}", f"2026-01-01T00:{n:02}:00.000Z", ANA, ("ECID", f"1{n:037}")) for n in range(53)))
    names = [("identity_count", Format.NUMBER), ("event_count", Format.NUMBER), ("exceeded", Format.JSON)]
    parts = Projection(tuple(Column(*each, is_derived=True) for each in names), frozenset())
    asked = world.db, world.scope, await world.config(), await default(world), [await world.xid(*ANA)]
    (read_there,) = await profiles.project_profiles(*asked, projection=parts)
    assert list(map(orjson.loads, read_there.parts)) == [54, 53, ["IDENTITIES"]]


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    config, policy = await world.config(), await default(world)
    with pytest.raises(Forbidden):
        await profiles.read_profiles(world.db, writer, config, policy, [])
    with pytest.raises(Forbidden):
        await profiles.search_profiles(world.db, writer, config, policy, Window())
    with pytest.raises(Forbidden):
        await profiles.project_texts(
            world.db, writer, config, policy, [], projection=Projection((PROFILE,), frozenset())
        )
    with pytest.raises(Forbidden):
        await profiles.count_profiles(world.db, writer, policy)
    with pytest.raises(Forbidden):
        await profiles.read_fragments(world.db, writer, [])
    with pytest.raises(Forbidden):
        await profiles.read_origins(world.db, writer, [])


async def test_a_read_that_began_before_the_policy_changed_still_shows_people(world):
    """What is kept belongs to another version by then, or is forgotten already: they are merged at read."""
    await world.records(record(ANA, first_name="Ana"))
    before = await world.config()
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    await policies.update_policy(world.db, world.scope, before.default_policy.policy_id, {"attribute_merge": rule})
    asked = world.db, world.scope, before, before.default_policy
    (result,) = await profiles.read_profiles(*asked, [await world.xid(*ANA)])
    assert result.profile.document["person"] == {"name": {"firstName": "Ana"}}
    parts = Projection((Object((("part", Document(PART)),)),), frozenset())
    (result,) = await profiles.project_profiles(*asked, [await world.xid(*ANA)], projection=parts)
    assert orjson.loads(result.parts[0])["part"]["person"] == {"name": {"firstName": "Ana"}}
    (profile,) = (await profiles.search_profiles(*asked, Window(), projection=parts)).items
    assert profile.parts == result.parts

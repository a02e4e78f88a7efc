"""Identity settings: their rules, their effect on new facts, and the job that regroups existing people."""

from dataclasses import replace
from datetime import timedelta

import pytest
from crashes import killed_at
from world import event, record

from gateway.domain.config import namespaces
from gateway.domain.config.identity_settings import NamespaceRule, read_identity_settings, update_identity_settings
from gateway.domain.operations import sandbox_regrouping
from gateway.domain.operations.sandbox_regrouping import regroup_identities
from gateway.domain.operations.verification import verify
from gateway.domain.reading import identities
from gateway.domain.rules.graphs import IdentityType, LinkRefusal
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.job_lists import list_jobs
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Forbidden, Invalid, NotFound, TooMany

ANA, BOB, PHONE, DEVICE = ("Email", "ana@x.io"), ("Email", "bob@x.io"), ("Phone", "+1"), ("ECID", "1" * 38)
ONE_EMAIL = [NamespaceRule("Email", is_unique=True), NamespaceRule("Phone"), NamespaceRule("ECID")]


async def ruled(world, rules):
    return await update_identity_settings(world.db, world.scope, rules)


async def regrouped(world, db=None):
    db = db or world.db
    while claim := await leases.claim(db, [JobKind.REGROUP_IDENTITIES]):
        scope = replace(world.scope, sandbox=await world.fresh_sandbox())
        await leases.carry_out(db, claim, regroup_identities(db, scope, world.configurations, claim))


async def together(world, *identities):
    """Return whether these identities are exactly one person."""
    return {await world.xid(*each) for each in identities} in [set(xids) for xids in await world.people()]


async def refusals(world, identity):
    (graph,) = await world.graphs([await world.xid(*identity)])
    return {link.refusal for link in graph.refused_links}


async def primaries(world, *identities_):
    """List which of these identities have facts stored under them."""
    return await identities.read_primaries(world.db, world.scope, [await world.xid(*each) for each in identities_])


# ------------------------------------------------------------------------------------------------ what may be set


async def test_namespaces_rank_in_the_order_of_the_list(world):
    version = (await world.config()).version
    settings = await ruled(world, ONE_EMAIL)
    assert [(each.code, each.priority, each.is_unique_per_graph) for each in settings.namespaces] == [
        ("Email", 1, True),
        ("Phone", 2, False),
        ("ECID", 3, False),
    ]
    assert await read_identity_settings(world.db, world.scope, [world.scope.sandbox_id]) == [settings]
    config = await world.config()
    assert config.version > version
    assert config.rules.unique == {settings.namespaces[0].namespace_id}
    assert (await ruled(world, [])).namespaces == ()
    assert (await world.config()).rules.priority == {}


@pytest.mark.parametrize(
    ("rules", "error", "path"),
    [
        ([("Email", False), ("Nowhere", False)], NotFound, ["namespaces", "1", "namespace"]),
        ([("email", False)], NotFound, ["namespaces", "0", "namespace"]),
        ([("Email", False), ("Phone", False), ("Email", True)], Invalid, ["namespaces", "2", "namespace"]),
        ([("Email", False), ("ECID", True)], Invalid, ["namespaces", "1", "isUniquePerGraph"]),
        ([("IDFA", True)], Invalid, ["namespaces", "0", "isUniquePerGraph"]),
        ([("ECID", False), ("Email", False)], Invalid, ["namespaces", "1", "namespace"]),
        ([("Email", False), ("GAID", False), ("Phone", False)], Invalid, ["namespaces", "2", "namespace"]),
        ([("Store", False)], Invalid, ["namespaces", "0", "namespace"]),
        ([("Partner", True)], Invalid, ["namespaces", "0", "isUniquePerGraph"]),
        ([("Partner", False), ("Email", False)], Invalid, ["namespaces", "1", "namespace"]),
        (
            [(code, True) for code in ("Email", "Phone", "Email_LC_SHA256", "Phone_SHA256")],
            TooMany,
            ["namespaces"],
        ),
    ],
)
async def test_settings_that_break_a_rule_are_refused_and_change_nothing(world, rules, error, path):
    for code, kind in (("Store", IdentityType.NON_PEOPLE), ("Partner", IdentityType.PARTNER)):
        await namespaces.create_namespace(world.db, world.scope, code=code, name=code, kind=kind)
    before = await ruled(world, ONE_EMAIL)
    with pytest.raises(error) as caught:
        await ruled(world, [NamespaceRule(*rule) for rule in rules])
    assert caught.value.path == path
    assert await read_identity_settings(world.db, world.scope, [world.scope.sandbox_id]) == [before]


async def test_changing_settings_needs_config_write(world):
    reader = replace(world.scope, permissions=frozenset({Permission.PROFILE_READ}))
    with pytest.raises(Forbidden):
        await update_identity_settings(world.db, reader, ONE_EMAIL)


async def test_equal_settings_enqueue_no_job(world):
    await ruled(world, ONE_EMAIL)
    await regrouped(world)
    await ruled(world, ONE_EMAIL)
    assert [job.status for job in (await list_jobs(world.db, world.scope)).items] == [JobStatus.COMPLETED]


# ------------------------------------------------------------------------------------------------ new facts


async def test_a_shared_device_follows_its_last_user(world):
    await ruled(world, ONE_EMAIL)
    await world.records(record(ANA), record(BOB))
    await world.events(event("e1", "2026-01-01T00:00:00Z", ANA, DEVICE))
    assert await together(world, ANA, DEVICE)
    await world.events(event("e2", "2026-01-02T00:00:00Z", BOB, DEVICE))
    assert await together(world, ANA)
    assert await together(world, BOB, DEVICE)
    assert await refusals(world, ANA) == await refusals(world, DEVICE) == {LinkRefusal.UNIQUE_NAMESPACE}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_refused_link_holds_once_the_link_that_it_conflicted_with_is_removed(world):
    await ruled(world, ONE_EMAIL)
    batch_id = await world.batch("bob", world.shop)
    await world.events(event("e1", "2026-01-01T00:00:00Z", ANA, DEVICE))
    await world.events(event("e2", "2026-01-02T00:00:00Z", BOB, DEVICE), batch_id=batch_id)
    assert await together(world, BOB, DEVICE)
    await world.abort(batch_id)
    assert await together(world, ANA, DEVICE)
    assert await refusals(world, ANA) == set()


async def test_an_event_is_stored_under_its_highest_identity_whatever_is_marked(world):
    await ruled(world, ONE_EMAIL)
    result = await world.events(
        event("e1", "2026-01-01T00:00:00Z", DEVICE, ANA),
        event("e2", "2026-01-01T00:00:00Z", ("ECID", "null"), ANA),
        event("e3", "2026-01-01T00:00:00Z", ("IDFA", "1"), ("GAID", "1")),
        event("e4", "2026-01-01T00:00:00Z", ("Phone", "+9"), ANA),
    )
    assert result.failed == []
    assert await primaries(world, ANA, BOB, DEVICE, ("IDFA", "1"), ("GAID", "1")) == [True, False, False, True, False]


async def test_a_record_is_stored_under_the_identity_that_is_marked(world):
    await ruled(world, ONE_EMAIL)
    await world.records(record(DEVICE, ANA))
    assert await primaries(world, DEVICE, ANA) == [True, False]


# ------------------------------------------------------------------------------------------------ those who are there


async def test_the_job_splits_and_joins_existing_people(world):
    await world.records(record(ANA, PHONE, first_name="Ana"), record(BOB, PHONE, first_name="Bob"))
    assert await together(world, ANA, BOB, PHONE)
    await ruled(world, ONE_EMAIL)
    assert await together(world, ANA, BOB, PHONE)
    await regrouped(world)
    assert len(await world.people()) == 2
    assert sorted(d["person"]["name"]["firstName"] for d in await world.documents()) == ["Ana", "Bob"]
    assert await verify(world.db, world.scope, world.configurations) == []
    await ruled(world, [])
    await regrouped(world)
    assert await together(world, ANA, BOB, PHONE)
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_progress_counts_people_and_metrics_those_that_changed(world, monkeypatch):
    monkeypatch.setattr(sandbox_regrouping, "PEOPLE_PER_PIECE", 2)
    await world.records(*(record(("Phone", f"+5{n}")) for n in range(4)))
    for n in range(5):  # by their keys, a half that splits off comes up later again, or has been passed
        phone = ("Phone", f"+6{n}")
        await world.records(record(("Email", f"a{n}@x.io"), phone), record(("Email", f"b{n}@x.io"), phone))
    await ruled(world, ONE_EMAIL)
    await regrouped(world)
    (job,) = (await list_jobs(world.db, world.scope)).items
    assert (job.status, job.progress) == (JobStatus.COMPLETED, 1)
    assert 9 <= job.done == job.total == job.metrics.records <= 14
    assert job.metrics.profiles == len(await world.people()) - 4 == 10  # five people became ten


async def test_the_job_may_be_killed_anywhere(world, later, monkeypatch):
    monkeypatch.setattr(sandbox_regrouping, "PEOPLE_PER_PIECE", 2)
    for n in range(3):
        phone = ("Phone", f"+{n}")
        await world.records(record(("Email", f"a{n}@x.io"), phone), record(("Email", f"b{n}@x.io"), phone))
    after = await later(timedelta(hours=1))
    number, killed = 0, True
    while killed:
        number += 1
        await ruled(world, [ONE_EMAIL, []][number % 2])
        killed = await killed_at(number, regrouped(world))
        await regrouped(world, after)
        assert len(await world.people()) == [6, 3][number % 2]
        assert await verify(world.db, world.scope, world.configurations) == []
    assert number > 20


async def test_a_link_after_a_deletion_has_its_own_time_only(world):
    """A device belongs to the record that named it last. A deleted record no longer counts, even if its batch names the device again."""
    await ruled(world, ONE_EMAIL)
    batch_id = await world.batch("one")

    def named(email, second):
        audit = {"lastUpdatedDate": f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"}
        return record(email, DEVICE, extSourceSystemAudit=audit)

    await world.records(named(ANA, 5000), batch_id=batch_id)
    await world.records(record(ANA), mode=Mode.DELETE, batch_id=batch_id)
    await world.records(named(ANA, 100), batch_id=batch_id)
    await world.records(named(BOB, 1000), batch_id=batch_id)
    assert await together(world, BOB, DEVICE)
    assert await verify(world.db, world.scope, world.configurations) == []

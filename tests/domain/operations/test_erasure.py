"""People who are erased leave no data; what is sent about them is refused, and others no longer name them."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from crashes import killed_after
from properties.histories import lower_limits
from world import World, event, record

from gateway.domain.config import namespaces, sandboxes
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.facts.warnings import WarningPage, list_warnings
from gateway.domain.operations import removal
from gateway.domain.operations.erased_identities import count_erased, lift_erasure, list_erased
from gateway.domain.operations.erasure import DeleteScope, delete_profiles, erase_people
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.manual_links import link_identities
from gateway.domain.operations.verification import verify
from gateway.domain.reading.profiles import read_profiles
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.versions import Mode
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.receipts import DeletionReceipt
from gateway.errors import Conflict, Invalid, JobOpen, NotFound, TooMany
from gateway.storage.queries import Query
from gateway.xdm.violations import ViolationCode

ANA, BOB, CLEO = [("Email", f"{name}@example.com") for name in ("ana", "bob", "cleo")]
PHONE, DEVICE = ("Phone", "+15550001"), ("ECID", "1" * 38)
NOON = "2026-01-01T12:00:00Z"
IDENTITIES = Query(
    "test.identities", "select xid, value, erased_at, refused_count from gateway.identity where sandbox_id = $1",
    ("sandbox_id",), (), "rows", "For tests.",
)  # fmt: skip


async def identities(world):
    return {row["xid"]: row for row in await world.db.rows(IDENTITIES, world.scope.sandbox_id)}


async def fill(world):
    """Ana with a phone and a device, and Bob, whose record and event name her phone and her device."""
    await world.records(record(ANA, PHONE, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.events(event("e1", NOON, ANA, DEVICE), event("e2", NOON, DEVICE), event("e3", NOON, BOB))


async def status(world, *named):
    xids = [await world.xid(*one) for one in named]
    config = await world.config()
    found = await read_profiles(world.db, world.scope, config, config.default_policy, xids)
    return [result.status for result in found]


async def erased(world):
    page = await list_erased(world.db, world.scope, Window(10))
    assert len(page.items) == await count_erased(world.db, world.scope)
    return {each.xid: each for each in page.items}


async def test_an_erased_person_is_gone_and_stays_away_until_that_is_lifted(world):
    await fill(world)
    job = await world.erase(await world.xid(*PHONE))
    assert (job.status, job.done, job.total) == (JobStatus.COMPLETED, 3, 3)
    assert job.receipt == DeletionReceipt(record_versions=1, events=2, ties=2, identities=3, profiles=1)
    assert "identities" not in job.input
    assert await status(world, ANA, PHONE, DEVICE, BOB) == ["ERASED", "ERASED", "ERASED", "FOUND"]
    assert [document["person"]["name"]["firstName"] for document in await world.documents()] == ["Bob"]
    for one in (ANA, PHONE, DEVICE):
        assert (await verify_erasure(world.db, world.scope, await world.xid(*one))).traces == ()
    found = await erased(world)
    assert {(each.job_id, each.refused_count) for each in found.values()} == {(job.job_id, 0)}
    assert found.keys() == {await world.xid(*one) for one in (ANA, PHONE, DEVICE)}
    sent = await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bobby"))
    (failure,) = sent.failed
    assert (sent.accepted, failure.index, failure.code, failure.path) == (
        1,
        0,
        "ERASED_IDENTITY",
        "$.identityMap.Email[0].id",
    )
    assert (await world.records(record(ANA), mode=Mode.DELETE)).failed[0].code == "ERASED_IDENTITY"
    assert (await world.events(event("e1", NOON, ANA))).accepted == 0
    assert (await erased(world))[await world.xid(*ANA)].refused_count == 3
    for one in (ANA, PHONE, DEVICE):
        await lift_erasure(world.db, world.scope, await world.xid(*one))
    assert await erased(world) == {}
    await fill(world)
    assert await status(world, ANA, PHONE, DEVICE) == ["FOUND"] * 3
    assert await world.people() == {
        tuple([await world.xid(*one) for one in (ANA, PHONE, DEVICE)]),
        (await world.xid(*BOB),),
    }
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_nothing_is_done_where_one_identity_is_unknown_or_too_many_are_named(world):
    await fill(world)
    ana, nobody = await world.xid(*ANA), await world.xid(*CLEO)
    for given, error, path in (
        ([ana, nobody], NotFound, ["identities", "1"]),
        ([], Invalid, ["identities"]),
        ([ana] * 1001, TooMany, ["identities"]),
    ):
        with pytest.raises(error) as refused:
            await delete_profiles(world.db, world.scope, given)
        assert refused.value.path == ["deleteProfile", *path]
    with pytest.raises(NotFound):
        await lift_erasure(world.db, world.scope, ana)
    assert await leases.claim(world.db, [JobKind.DELETE_PROFILE]) is None


async def test_a_dry_run_counts_what_would_go_and_changes_nothing(world):
    await fill(world)
    before = await identities(world)
    job = await world.erase(await world.xid(*ANA), is_dry_run=True)
    assert (job.status, job.receipt) == (
        JobStatus.COMPLETED,
        DeletionReceipt(record_versions=1, events=2, ties=2, identities=3, profiles=1),
    )
    assert (await identities(world), await status(world, ANA, BOB)) == (before, ["FOUND"] * 2)
    alone = await world.erase(await world.xid(*ANA), is_dry_run=True, reach=DeleteScope.IDENTITY)
    assert alone.receipt == DeletionReceipt(
        record_versions=1, events=1, ties=2, identities=2
    )  # the phone is named by her alone
    for is_dry_run in (False, True, False):
        again = await world.erase(await world.xid(*ANA), is_dry_run=is_dry_run)
    assert again.receipt == DeletionReceipt()


@pytest.mark.parametrize("how", [{"reach": DeleteScope.IDENTITY}, {"graph": IdentityGraphType.NONE}])
async def test_one_identity_alone_is_erased_and_the_rest_of_its_person_stays(world, how):
    await fill(world)
    await world.events(event("e4", NOON, DEVICE, ANA, PHONE))
    ana = await world.xid(*ANA)
    await world.erase(ana, **how)
    assert await status(world, ANA, PHONE, DEVICE) == ["ERASED", "FOUND", "FOUND"]
    assert (await verify_erasure(world.db, world.scope, ana)).is_erased
    assert await world.people() == {tuple([await world.xid(*one) for one in (PHONE, DEVICE)]), (await world.xid(*BOB),)}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_person_of_more_identities_than_a_graph_shows_is_erased_whole(world, monkeypatch):
    lower_limits(monkeypatch)
    devices = [("ECID", str(number) * 38) for number in range(1, 5)]
    await world.records(record(ANA, *devices[:2]), record(ANA, *devices[2:]))
    await world.events(*(event(f"e{n}", NOON, device) for n, device in enumerate(devices)))
    assert len(await world.people()) > 1
    await world.erase(await world.xid(*ANA))
    assert (await world.people(), len(await erased(world))) == (set(), 5)


async def test_a_document_that_merely_names_an_erased_identity_lands_without_it(db):
    fields = [IdentityDescriptor("personalEmail.address", "Email")]
    world = await World.create(db, identities=fields)
    await world.records(record(ANA, PHONE))
    await world.erase(await world.xid(*ANA))
    sent = await world.records(
        record(BOB, ANA, personalEmail={"address": "ana@example.com"}),
        record(CLEO, PHONE, personalEmail={"address": "ana@example.com", "label": "home"}),
    )
    assert (sent.accepted, sent.failed) == (2, [])
    paths = [[each.path for each in warning.violations] for warning in sent.warnings]
    assert paths == [
        ["$.personalEmail.address", "$.identityMap.Email[1].id"],
        ["$.personalEmail.address", "$.identityMap.Phone[0].id"],
    ]
    stored = "select input::text from gateway.record where sandbox_id = $1 order by ordinal"
    rows = await db.rows(Query("test.stored", stored, (), (), "rows", "x."), world.scope.sandbox_id)
    assert [row["input"] for row in rows] == [
        '{"identityMap":{"Email":[{"id":"bob@example.com","primary":true}]}}',
        '{"identityMap":{"Email":[{"id":"cleo@example.com","primary":true}]},"personalEmail":{"label":"home"}}',
    ]
    (told,) = (await list_warnings(world.db, world.scope, WarningPage(Window(10)))).items
    assert (told.code, told.count) == (ViolationCode.ERASED_IDENTITY, 2)
    assert "ana@" not in str(told)
    (failed,) = (await world.records(record(ANA))).failed
    assert "ana@" not in str(failed)
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_device_is_used_again_by_what_happened_since_and_refuses_what_happened_before(world):
    await fill(world)
    await world.erase(await world.xid(*DEVICE))
    now = datetime.now(UTC)
    before, after = ((now + timedelta(minutes=minutes)).isoformat() for minutes in (-1, 1))
    assert (await world.events(event("e5", before, DEVICE))).accepted == 0
    named = await world.events(event("e6", before, BOB, DEVICE), event("e7", after, BOB))
    assert (named.accepted, {each.code for each in named.warnings}) == (2, {"FUTURE_TIME", "ERASED_IDENTITY"})
    used = await world.events(event("e8", after, DEVICE), batch_id=await world.batch("again", world.shop))
    assert (used.accepted, used.failed) == (1, [])
    assert await status(world, DEVICE, ANA) == ["FOUND", "ERASED"]
    device = await world.xid(*DEVICE)
    with pytest.raises(Conflict):
        await link_identities(world.db, world.scope, world.configurations, await world.xid(*BOB), device)
    assert (await erased(world))[device].refused_count == 1
    assert (await identities(world))[device]["value"] == DEVICE[1]
    assert await verify(world.db, world.scope, world.configurations) == []
    await world.revert(used.batch_id)
    assert (await status(world, DEVICE), (await identities(world))[device]["value"]) == (["ERASED"], None)
    await world.events(event("e8", after, DEVICE))
    assert await status(world, DEVICE) == ["FOUND"]
    await lift_erasure(world.db, world.scope, device)
    assert (await status(world, DEVICE), device in await erased(world)) == (["FOUND"], False)


async def test_documents_that_come_while_the_job_runs_never_survive_it(world, monkeypatch):
    monkeypatch.setattr(removal, "FIRST_SIZE", 2)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 0)
    await fill(world)
    await world.events(*(event(f"more {n}", NOON, DEVICE) for n in range(20)))
    sent = 0

    async def send():
        nonlocal sent
        while True:
            await world.records(record(ANA, PHONE, first_name="Again"))
            await world.events(event(f"new {sent}", NOON, DEVICE, ANA))
            if await erased(world):
                await world.events(event(f"of bob {sent}", NOON, BOB, ANA, DEVICE))
            sent += 1

    job = await delete_profiles(world.db, world.scope, [await world.xid(*ANA)])
    sending = asyncio.create_task(send())
    while not sent:  # noqa: ASYNC110 (there is no event to wait for)
        await asyncio.sleep(0)
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert claim.job_id == job.job_id
    await leases.carry_out(world.db, claim, erase_people(world.db, world.scope, world.configurations, claim))
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    assert await world.people() == {(await world.xid(*BOB),)}
    assert {row["value"] for row in (await identities(world)).values()} == {None, BOB[1]}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_what_a_device_does_after_it_was_marked_stays(world):
    await fill(world)
    await world.records(record(DEVICE, first_name="Before"))
    device = await world.xid(*DEVICE)
    await delete_profiles(world.db, world.scope, [device], reach=DeleteScope.IDENTITY)
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert await killed_after(2, erase_people(world.db, world.scope, world.configurations, claim), [])
    await world.records(record(DEVICE, ("Phone", "+15550002"), first_name="After"))
    await world.events(event("after", datetime.now(UTC).isoformat(), DEVICE))
    await leases.carry_out(world.db, claim, erase_people(world.db, world.scope, world.configurations, claim))
    assert claim.receipt == DeletionReceipt(record_versions=1, events=1, ties=1, redacted_mentions=1)
    assert (await world.xid("Phone", "+15550002"), device) in await world.people()
    assert (await verify_erasure(world.db, world.scope, device)).is_erased
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_cancelled_job_leaves_what_is_marked_and_a_second_one_ends_it(world, monkeypatch):
    monkeypatch.setattr(removal, "FIRST_SIZE", 1)
    await fill(world)
    ana = await world.xid(*ANA)
    job = await delete_profiles(world.db, world.scope, [ana])
    for others, reach in (
        ([BOB, ANA], DeleteScope.IDENTITY),
        ([PHONE], DeleteScope.GRAPH),
        ([BOB, DEVICE], DeleteScope.IDENTITY),
    ):
        with pytest.raises(JobOpen):
            await delete_profiles(world.db, world.scope, [await world.xid(*one) for one in others], reach=reach)
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert await killed_after(6, erase_people(world.db, world.scope, world.configurations, claim), [])
    with pytest.raises(JobOpen):
        await lift_erasure(world.db, world.scope, ana)
    cancelled = await jobs.cancel_job(world.db, world.scope, job.job_id)
    assert cancelled.receipt.events > 0
    assert "identities" not in cancelled.input
    assert (await world.records(record(ANA))).failed[0].code == "ERASED_IDENTITY"
    assert len(await erased(world)) == 3
    await world.erase(await world.xid(*PHONE))
    assert await status(world, ANA, PHONE, DEVICE, BOB) == ["ERASED", "ERASED", "ERASED", "FOUND"]
    assert (await world.erase(ana)).receipt == DeletionReceipt()


async def test_what_somebody_else_does_with_a_device_that_a_cancelled_job_marked_stays_when_another_job_ends_it(world):
    await fill(world)
    job = await delete_profiles(world.db, world.scope, [await world.xid(*ANA)])
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert await killed_after(8, erase_people(world.db, world.scope, world.configurations, claim), [])
    assert await world.people() == {(await world.xid(*BOB),)}  # the facts went, and the job was not through
    await jobs.cancel_job(world.db, world.scope, job.job_id)
    marked = await erased(world)
    await world.events(event("of bob", datetime.now(UTC).isoformat(), DEVICE, BOB))
    ended = await world.erase(await world.xid(*PHONE))
    assert ended.receipt == DeletionReceipt()
    found = await erased(world)
    for one, is_asked in ((ANA, False), (PHONE, True), (DEVICE, False)):
        assert found[await world.xid(*one)].job_id == ended.job_id
        assert (found[await world.xid(*one)].erased_at > marked[await world.xid(*one)].erased_at) is is_asked
        assert (await verify_erasure(world.db, world.scope, await world.xid(*one))).is_erased
    assert await world.people() == {(await world.xid(*BOB), await world.xid(*DEVICE))}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_person_is_erased_as_it_is_when_the_job_begins(world):
    await fill(world)
    await delete_profiles(world.db, world.scope, [await world.xid(*ANA)])
    await world.records(record(CLEO, PHONE))  # asked for, not begun: of one person with her by now
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert await killed_after(2, erase_people(world.db, world.scope, world.configurations, claim), [])
    later = datetime.now(UTC).isoformat()
    await world.events(event("later", later, DEVICE, ("ECID", "8" * 38)))
    await leases.carry_out(world.db, claim, erase_people(world.db, world.scope, world.configurations, claim))
    assert await status(world, ANA, PHONE, CLEO, DEVICE, ("ECID", "8" * 38)) == ["ERASED"] * 3 + ["FOUND"] * 2


async def test_identities_of_one_person_may_be_erased_by_jobs_of_their_own(world):
    await fill(world)
    for one in (ANA, PHONE):
        await delete_profiles(world.db, world.scope, [await world.xid(*one)], reach=DeleteScope.IDENTITY)
    with pytest.raises(JobOpen):
        await delete_profiles(world.db, world.scope, [await world.xid(*DEVICE)])
    await world.erase(await world.xid(*BOB))
    assert await world.people() == {(await world.xid(*DEVICE),)}


async def test_a_reset_sandbox_still_refuses_erased_identities(world):
    await fill(world)
    await world.erase(await world.xid(*DEVICE), reach=DeleteScope.IDENTITY)
    await sandboxes.reset_sandbox(world.db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
    assert [(row["value"], row["erased_at"] is None) for row in (await identities(world)).values()] == [(None, False)]


async def test_a_reset_sandbox_keeps_the_namespaces_of_erased_identities(world):
    for code in ("Card", "Seat"):
        await namespaces.create_namespace(world.db, world.scope, code=code, name=code, kind=IdentityType.CROSS_DEVICE)
    await world.records(record(("Seat", "1")), record(("Card", "1")))
    seat = await world.xid("Seat", "1")
    await world.erase(seat)
    await sandboxes.reset_sandbox(world.db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
    scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    again = await World.inside(world.db, scope)
    await namespaces.create_namespace(world.db, scope, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    refused = await again.records(record(("Seat", "1")), record(("Card", "1")))
    assert ([each.index for each in refused.failed], await again.xid("Seat", "1")) == ([0], seat)

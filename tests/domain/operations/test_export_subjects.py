"""Exports about one person: everything that is stored about them, as an erasure would take it, and nothing of others."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest
from crashes import killed_after, killed_at
from domain.operations.test_erasure_verification import filled
from exported import exported, folder_of, rows_of, working
from world import event, record

from gateway.domain.config.policies import IdentityGraphType, create_policy
from gateway.domain.operations import export_subjects
from gateway.domain.operations.erasure import delete_profiles, erase_people, preview_profiles
from gateway.domain.operations.erasure_verification import verify_erasure
from gateway.domain.operations.export_jobs import (
    ExportEvents,
    ExportFormat,
    ExportRequest,
    create_export_job,
    read_export_jobs,
)
from gateway.domain.operations.export_locations import Locations
from gateway.domain.operations.export_subjects import ENTITY, STORED
from gateway.domain.operations.projection_centers import note_delivery
from gateway.domain.reading.changes import read_position
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.work import jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.domain.work.stores import OF_PEOPLE
from gateway.errors import Invalid, NotFound
from gateway.server.http.docs import read_document
from gateway.telemetry import StatementRan, listen

ANA, BOB, CARL = [("Email", f"{name}@example.com") for name in ("ana", "bob", "carl")]
PHONE, DEVICE = ("Phone", "+1"), ("ECID", "1" * 38)
TIME = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def locations(tmp_path):
    return Locations(tmp_path / "exports")


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch):
    monkeypatch.setattr(export_subjects, "ROWS_PER_READ", 1)


async def about(world, locations, identity, **wanted):
    """Export what is stored about somebody, and return it with the export, by store."""
    export = await exported(world, locations, format=ExportFormat.JSONL, subject=await world.xid(*identity), **wanted)
    assert export.job.status is JobStatus.COMPLETED, export.job.error
    found = {store: [] for store in (*STORED, ENTITY)}
    for row in rows_of(world, locations, export, "subject"):
        found[row.pop("store")].append(row)
    return found, export


def test_every_store_that_holds_something_of_people_is_exported():
    """A new one fails here: say in `export_subjects` how its rows are read."""
    assert STORED.keys() - {"edge"} == set(OF_PEOPLE)
    text = read_document("exports").text
    assert [store for store in (*STORED, ENTITY) if f"`{store}`" not in text] == []


async def test_all_that_is_stored_about_somebody_is_exported_and_what_an_erasure_takes(world, locations):
    await filled(world)
    await world.records(record(BOB, first_name="Bob"), record(CARL, PHONE), record(BOB, wrong="x"))
    await world.events(event("e", "2026-01-02T00:00:00Z", BOB))
    async with world.db.at_one_moment() as still:
        position, _ = await read_position(still, world.scope)
    async with world.db.transaction() as tx:
        await note_delivery(tx, world.scope.sandbox_id, "VA6", position, TIME, projections=1, delivered=True)
    xid = await world.xid(*ANA)
    await delete_profiles(world.db, world.scope, [xid])  # a job that names her, and has not begun
    found, export = await about(world, locations, ANA)
    assert {store: bool(rows) for store, rows in found.items()} == dict.fromkeys([*STORED, ENTITY], True)
    told = orjson.loads((folder_of(world, locations, export) / "manifest.json").read_bytes())
    assert told["rows"] == {store: len(rows) for store, rows in found.items()}
    assert (told["subject"], told["byNamespace"]) == (str(xid), {"Email": 1})
    assert (export.state.profiles_exported, export.state.events_exported) == (1, 1)
    assert not [text for text in map(str, found.values()) if "bob" in text.lower() or "carl" in text.lower()]
    (entity,) = found[ENTITY]
    own = entity["document"].pop(f"_{world.scope.organization.code}")
    assert own == {"ComputedAttributes": {"visits": 1}}
    assert (entity["document"]["person"], entity["mergePolicy"]) == ({"name": {"firstName": "Ana"}}, "Default")
    (version,) = found["record"]
    assert version["document"]["person"] == {"name": {"firstName": "Ana"}}
    assert (version["dataset"]["name"], version["mode"]) == ("CRM", "REPLACE")
    assert version["identity"] == {"xid": str(xid), "namespace": "Email", "value": ANA[1]}
    assert found["ingest_error"][0]["document"]["unknown"] == "x"
    receipt = await preview_profiles(world.db, world.scope, world.configurations, [xid])
    kept = Counter({store: len(rows) for store, rows in found.items()})
    assert receipt.record_versions == kept["record"]
    assert receipt.events == kept["event"] + kept["event_resend"]
    assert (receipt.errors, receipt.identities) == (kept["ingest_error"], kept["identity"])


async def test_versions_that_were_replaced_and_ties_say_when_and_by_whom(world, locations):
    await world.records(record(ANA, PHONE, first_name="Ana"), record(BOB))
    await world.records(record(ANA, first_name="Anna"))
    await world.events(event("e", "2026-01-01T00:00:00Z", DEVICE, ANA))
    found, _ = await about(world, locations, PHONE)
    assert [row["document"]["person"]["name"]["firstName"] for row in found["record"]] == ["Ana", "Anna"]
    assert {row["dataset"]["name"] for row in found["tie"]} == {"CRM", "Shop"}
    assert {row["origin"]["value"] for row in found["tie"]} == {ANA[1], DEVICE[1]}
    (met,) = found["event"]
    assert (met["identity"]["value"], met["dataset"]["name"], met["document"]["_id"]) == (DEVICE[1], "Shop", "e")
    assert {"batchId", "ingestedAt", "timestamp"} < met.keys()


async def test_the_merged_profile_is_that_of_the_policy_that_was_asked_for(world, locations):
    await world.records(record(ANA, PHONE, first_name="Ana"))
    merge = AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED)
    settings = (await world.config()).default_policy.settings
    alone = replace(
        settings, name="Alone", identity_graph=IdentityGraphType.NONE, attribute_merge=merge, is_default=False
    )
    policy = await create_policy(world.db, world.scope, alone)
    found, _ = await about(world, locations, ANA, policy=policy)
    assert [row["mergePolicy"] for row in found[ENTITY]] == ["Alone"]
    assert [len(row["document"]["identityMap"]) for row in found[ENTITY]] == [1]


async def test_the_files_go_with_others_that_the_rows_name(world, locations):
    """A document that was refused names Ana and Bob: once he is erased, it is in no file that anybody can read."""
    await world.records(record(ANA), record(BOB), record(ANA, BOB, wrong="x"))
    found, export = await about(world, locations, ANA)
    assert BOB[1] in str(found["ingest_error"])
    assert BOB[1] not in str([rows for store, rows in found.items() if store != "ingest_error"])
    await world.erase(await world.xid(*BOB))
    (left,) = await read_export_jobs(world.db, world.scope, [export.job_id])
    assert [file.path for file in left.files] == ["manifest.json"]
    assert (await verify_erasure(world.db, world.scope, await world.xid(*BOB))).is_erased


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({"fields": "person"}, "fields"),
        ({"where": "true"}, "where"),
        ({"from_ingested_at": TIME}, "fromIngestedAt"),
        ({"to_ingested_at": TIME}, "toIngestedAt"),
        ({"empty_profiles": True}, "emptyProfiles"),
        ({"events": ExportEvents()}, "events"),
        ({"format": ExportFormat.PARQUET}, "format"),
    ],
)
async def test_nothing_can_be_chosen_of_what_is_stored_about_somebody(world, locations, wanted, path):
    await world.records(record(ANA))
    policy = (await world.config()).default_policy
    given = {"format": ExportFormat.JSONL, "subject": await world.xid(*ANA), **wanted}
    request = ExportRequest(policy.policy_id, policy.version, **given)
    with pytest.raises(Invalid) as refused:
        await create_export_job(world.db, world.scope, await world.config(), request, locations)
    assert refused.value.path == [path]


async def test_a_subject_that_is_unknown_or_erased_is_not_found(world, locations):
    await world.records(record(ANA))
    policy = (await world.config()).default_policy

    async def ask(xid):
        request = ExportRequest(policy.policy_id, policy.version, ExportFormat.JSONL, subject=xid)
        return await create_export_job(world.db, world.scope, await world.config(), request, locations)

    xid = await world.xid(*ANA)
    await ask(xid)
    await world.erase(xid)
    for one, said in ((xid, "was erased"), (uuid4(), "Nothing is stored")):
        with pytest.raises(NotFound, match=said) as refused:
            await ask(one)
        assert refused.value.path == ["subject"]


async def test_identities_beyond_what_a_graph_shows_are_exported_too(world, locations):
    devices = [("ECID", f"{n:038}") for n in range(1, 61)]
    await world.records(*(record(ANA, *devices[start : start + 15]) for start in range(0, 60, 15)))
    found, _ = await about(world, locations, ANA)
    ((graph,), kept) = found["graph"], {row["identity"]["value"] for row in found["identity"]}
    assert len(graph["identities"]) < len(kept) == 61
    assert len(found["record"]) == 4


async def test_what_another_export_has_read_about_somebody_else_is_not_exported(world, locations):
    """Bob's export has read a refused document that names Ana, too, and is yet to write it: it holds her, and its rows are about him."""
    await world.records(record(ANA), record(BOB, first_name="Bob"), record(ANA, BOB, wrong="x"))
    policy = (await world.config()).default_policy
    request = ExportRequest(policy.policy_id, policy.version, ExportFormat.JSONL, subject=await world.xid(*BOB))
    await create_export_job(world.db, world.scope, await world.config(), request, locations)
    claim = await leases.claim(world.db, [JobKind.EXPORT_PROFILES])
    assert await killed_at(1, working(world, claim, locations), "export_jobs.begin_file")
    found, _ = await about(world, locations, ANA)
    assert (len(found["export_identity"]), found["export_person"]) == (1, [])


async def test_a_device_that_an_erasure_left_marked_is_no_longer_of_the_person_if_nothing_joins_it(world, locations):
    joint = await world.batch("joint")
    await world.records(record(ANA, DEVICE), batch_id=joint)
    await world.records(record(ANA, first_name="Ana"))
    await world.events(event("before", "2026-01-01T00:00:00Z", DEVICE))
    await delete_profiles(world.db, world.scope, [await world.xid(*ANA)])
    claim = await leases.claim(world.db, [JobKind.DELETE_PROFILE])
    assert await killed_after(2, erase_people(world.db, world.scope, world.configurations, claim), [])
    await jobs.cancel_job(world.db, world.scope, claim.job_id)
    found, _ = await about(world, locations, ANA)
    assert len(found["event"]) == 1
    await world.revert(joint)
    await world.events(event("after", datetime.now(UTC).isoformat(), DEVICE, BOB))
    found, _ = await about(world, locations, ANA)
    assert (len(found["record"]), found["event"]) == (1, [])


async def test_long_rows_are_read_few_at_a_time(world, locations, monkeypatch):
    for name, size in (("ROWS_PER_READ", 5), ("FEW_ROWS", 2), ("CHARACTERS_PER_READ", 1_200)):
        monkeypatch.setattr(export_subjects, name, size)
    time, long = "2026-01-01T00:00:00Z", {"web": {"webPageDetails": {"name": "y" * 1_000}}}
    await world.events(*(event(f"{n:02}", time, ANA, **(long if n >= 8 else {})) for n in range(16)))
    read = []

    def note(seen):
        if isinstance(seen, StatementRan) and seen.name == "export_subjects.list_events":
            read.append(seen.rows)

    stop = listen(note)
    found, _ = await about(world, locations, ANA)
    stop()
    assert (len(found["event"]), read) == (16, [2, 5, 5, 1, 1, 1, 1, 0])

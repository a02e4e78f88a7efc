"""`gateway delete` and `gateway revert`: what they print, ask and count, and that a dry run changes nothing."""

import json
import re

import pytest
from world import World, record

from gateway.api.ids import global_id, key_of
from gateway.domain.facts import batches
from gateway.domain.operations.batch_removal import delete_batch
from gateway.errors import BadInput, Conflict, NotFound


@pytest.fixture
def command(gateway_here):
    """Runs `gateway`; raises the error that ends it."""
    gateway_here("jobs", "list")  # creates the organization
    return gateway_here


@pytest.fixture
def batch_id(command, in_database):
    """A complete batch of two records and a mistake, in the dataset 'CRM'."""

    async def fill(db, scope):
        world = await World.inside(db, scope)
        made = await world.batch("b")
        people = [record(("Email", f"{name}@example.com"), first_name=name) for name in ("ana", "bob")]
        await world.records(*people, {"nonsense": 1}, batch_id=made)
        await batches.complete_batch(db, scope, made)
        return global_id("Batch", made)

    return in_database(fill)


def test_a_dry_run_counts_what_would_go_and_changes_nothing(command, batch_id):
    for arguments in (("delete", "batch", batch_id), ("delete", "dataset", "CRM")):
        for _ in range(2):
            told = command(*arguments, "--dry-run").stdout
            assert told.startswith("would go: 2 record versions, 1 errors;")
    assert command("revert", batch_id, "--dry-run").stdout.startswith("would go: 2 record versions;")
    assert "BATCH" not in command("jobs", "list").stdout


def test_nothing_is_deleted_for_good_unless_somebody_says_so(command, batch_id):
    for arguments in (("delete", "batch", batch_id), ("delete", "dataset", "CRM")):
        with pytest.raises(BadInput, match="--yes"):
            command(*arguments)
    assert "DELETE" not in command("jobs", "list").stdout


def test_a_batch_is_reverted_and_a_dataset_deleted_without_a_server(command, batch_id):
    done = command("revert", batch_id)
    assert (done.exit_code, done.stdout) == (0, "COMPLETED: 2 record versions, 2 identities, 2 profiles went\n")
    told = json.loads(command("delete", "dataset", "CRM", "--yes", "--json").stdout)
    assert (told["type"], told["status"], told["isDryRun"]) == ("DELETE_DATASET", "COMPLETED", False)
    assert (told["receipt"]["recordVersions"], told["receipt"]["errors"]) == (0, 1)
    assert re.search(r"deleted +1 errors", command("jobs", "show", told["id"]).stdout)


def test_people_are_erased_by_namespace_and_value_or_by_a_file(command, batch_id, tmp_path):
    told = command("delete", "profile", "Email", "ana@example.com", "--dry-run").stdout
    assert told == "would go: 1 record versions, 1 identities, 1 profiles\n"
    with pytest.raises(BadInput, match="--yes"):
        command("delete", "profile", "Email", "ana@example.com")
    with pytest.raises(NotFound, match=r"'cleo@example\.com' of Email"):
        command("delete", "profile", "Email", "ana@example.com", "cleo@example.com", "--yes")
    listed = tmp_path / "people.txt"
    listed.write_text('Email,ana@example.com\n\n{"namespace": "Email", "value": "bob@example.com"}\n')
    would = json.loads(command("delete", "profile", "--file", str(listed), "--dry-run", "--json").stdout)
    done = json.loads(command("delete", "profile", "--file", str(listed), "--yes", "--json").stdout)
    assert (would["isDryRun"], would["receipt"]) == (True, done["receipt"])
    assert (done["type"], done["status"], done["receipt"]["profiles"]) == ("DELETE_PROFILE", "COMPLETED", 2)
    assert re.search("about +people", command("jobs", "show", done["id"]).stdout)
    for wrong in ((), ("Email",), ("Email", "x", "--file", str(listed))):
        with pytest.raises(BadInput, match="--file"):
            command("delete", "profile", *wrong)
    listed.write_text("Email\n")
    with pytest.raises(BadInput, match="line 1"):
        command("delete", "profile", "--file", str(listed))


def test_what_cannot_be_removed_says_why(command, batch_id, in_database):
    for arguments in (("delete", "dataset", "Nothing"), ("delete", "batch", "nonsense"), ("revert", "nonsense")):
        with pytest.raises(NotFound, match=arguments[-1]):
            command(*arguments, *(() if arguments[0] == "revert" else ("--yes",)))

    async def begun(db, scope):
        rows = await batches.read_batches(db, scope, [key_of(batch_id, "Batch")])
        return global_id("SystemJob", (await delete_batch(db, scope, rows[0].batch_id)).job_id)

    job_id = in_database(begun)
    with pytest.raises(Conflict, match=job_id):
        command("delete", "batch", batch_id, "--yes")

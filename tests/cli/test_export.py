"""`gateway export`: what it writes and prints, and how it goes on with an export."""

import gzip
import re
from pathlib import Path

import orjson
import pytest
from world import World, event, record

from gateway.api.ids import global_id
from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.export_jobs import ExportRequest, create_export_job
from gateway.domain.operations.export_locations import NO_LOCATIONS
from gateway.errors import BadInput, Invalid, NotFound


@pytest.fixture
def command(gateway_here, in_database):
    """Runs `gateway` over two people and an event; raises the error that ends it."""
    gateway_here("jobs", "list")  # creates the organization

    async def fill(db, scope):
        world = await World.inside(db, scope)
        ana, bob = ("Email", "ana@example.com"), ("Email", "bob@example.com")
        await world.records(record(ana, first_name="Ana"), record(bob, first_name="Bob"))
        await world.events(event("e1", "2026-01-01T00:00:00Z", ana))

    in_database(fill)
    return gateway_here


def files(told):
    """The files that the command printed, by name, with their rows."""
    return {
        Path(path).name: (Path(path), rows)
        for path, rows in re.findall(r"^(\S+): (\d+) rows, [\d,]+ bytes$", told, re.MULTILINE)
    }


def test_an_export_is_written_without_a_server_and_gone_on_with_by_its_id(command, in_database):
    done = command(
        "export", "--where", 'person.name.firstName = "Ana"', "--events", "*", "--format", "jsonl", "--output", "daily"
    )
    found = files(done.stdout)
    assert {name: rows for name, (_, rows) in found.items()} == {
        "events-00001.jsonl.gz": "1", "manifest.json": "0", "profiles-00001.jsonl.gz": "1",
    }  # fmt: skip
    path, _ = found["profiles-00001.jsonl.gz"]
    assert "daily" in path.parts
    assert b'"Ana"' in gzip.decompress(path.read_bytes())

    async def ask(db, scope):
        config = await Configurations().read(db, scope)
        policy = config.default_policy
        made = await create_export_job(db, scope, config, ExportRequest(policy.policy_id, policy.version), NO_LOCATIONS)
        return global_id("ExportJob", made.job_id)

    asked = in_database(ask)
    assert {rows for _, rows in files(command("export", "--resume", asked).stdout).values()} == {"2", "0"}
    assert asked in command("jobs", "list", "--type", "EXPORT_PROFILES").stdout
    assert "COMPLETED" in command("jobs", "show", asked).stdout


def test_everything_that_is_stored_about_somebody_is_written(command):
    found = files(command("export", "--subject", "Email", "ana@example.com").stdout)
    assert found.keys() == {"subject-00001.jsonl.gz", "manifest.json"}
    path, _ = found["subject-00001.jsonl.gz"]
    stores = {orjson.loads(line)["store"] for line in gzip.decompress(path.read_bytes()).splitlines()}
    assert {"identity", "record", "event", "entity"} < stores


def test_how_much_would_be_read_is_said_without_an_export(command):
    assert re.fullmatch(r"about \d+ bytes of people would be read\n", command("export", "--dry-run").stdout)
    assert "EXPORT" not in command("jobs", "list").stdout


def test_what_cannot_be_exported_ends_the_command_with_a_sentence(command):
    for given, error in (
        (("--policy", "Nobody"), NotFound), (("--fields", "nonsense"), Invalid), (("--output", "../x"), Invalid),
        (("--events-where", "a = 1"), BadInput), (("--subject", "Email", "bob2@example.com"), NotFound),
        (("--subject", "Mail", "x"), BadInput), (("--subject", "Email", "ana@example.com", "--fields", "person"), Invalid), (("--resume", "job_x"), NotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            command("export", *given)

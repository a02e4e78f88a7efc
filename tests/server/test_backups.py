"""A backup holds everything of one moment, and a restore gives all of it back or nothing."""

import asyncio
import io
import json
import signal
import stat
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest
from places import reachable_directory
from program import GATEWAY, Server, environment, gateway, server

from gateway.errors import Conflict
from gateway.postgres.dumps import load
from gateway.server import backups
from gateway.settings import read_settings

NDJSON = {"content-type": "application/x-ndjson"}
CREATE_SCHEMA = """mutation { createSchema(input: {title: "Person", class: INDIVIDUAL_PROFILE,
  fieldGroups: ["profile-person-details", "profile-personal-contact"],
  identities: [{path: "personalEmail.address", namespace: "Email", isPrimary: true}]}) { schema { id } } }"""
CREATE_DATASET = """mutation Create($schema: ID!) {
  createDataset(input: {name: "People", schemaId: $schema}) { dataset { id } } }"""
PRESENT = "{ profileChanges(first: 0) { pageInfo { endCursor } } }"
CHANGES = "query Changes($after: String) { profileChanges(after: $after) { nodes { kind } } }"
COUNT = "{ datasets { nodes { recordCount } } }"


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as path:
        yield path


def run(client: httpx.Client, query: str, **variables: str) -> dict:
    body = client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in body, body
    return body["data"]


def records(first: int, last: int) -> str:
    return "".join(json.dumps({"personalEmail": {"address": f"p{n}@example.com"}}) + "\n" for n in range(first, last))


def filled(started: Server, client: httpx.Client, count: int) -> str:
    schema = run(client, CREATE_SCHEMA)["createSchema"]["schema"]["id"]
    dataset: str = run(client, CREATE_DATASET, schema=schema)["createDataset"]["dataset"]["id"]
    assert client.post(f"/ingest/{dataset}", content=records(0, count), headers=NDJSON).json()["accepted"] == count
    return dataset


def test_a_backup_made_during_writes_is_restored_whole_and_headers_go_on_working(place):
    file, stop = place / "backup.tar", threading.Event()
    with server(place / "data") as started, started.client() as client:
        dataset, headers = filled(started, client, 2_000), started.own_headers
        cursor = run(client, PRESENT)["profileChanges"]["pageInfo"]["endCursor"]

        def write() -> None:
            with started.client() as other:
                for first in range(2_000, 1_000_000, 100):
                    if stop.is_set():
                        return
                    other.post(f"/ingest/{dataset}", content=records(first, first + 100), headers=NDJSON)

        writing = threading.Thread(target=write)
        writing.start()
        made = gateway("backup", file, "--data-dir", started.data_dir)
        stop.set()
        writing.join()
    assert (made.returncode, made.stderr) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in place.iterdir() if "part" in path.name] == []
    restored = gateway("restore", file, "--data-dir", place / "again")
    assert (restored.returncode, restored.stderr) == (0, "")
    assert gateway("verify", "--data-dir", place / "again").returncode == 0
    with server(place / "again") as again, httpx.Client(base_url=again.url, headers=headers, timeout=60) as client:
        assert run(client, CHANGES)["profileChanges"]["nodes"] == []
        expired = client.post("/graphql", json={"query": CHANGES, "variables": {"after": cursor}}).json()
        assert expired["errors"][0]["extensions"]["code"] == "CURSOR_EXPIRED"
        (count,) = (one["recordCount"] for one in run(client, COUNT)["datasets"]["nodes"])
    assert count >= 2_000
    assert count % 100 == 0
    refused = gateway("restore", file, "--data-dir", place / "again")
    assert (refused.returncode, "has data already" in refused.stderr) == (1, True)


async def load_twice(dsn: str, part: Path) -> None:
    await load(dsn, part)
    await load(dsn, part)


def test_a_killed_restore_leaves_nothing_and_can_be_repeated(place, monkeypatch):
    file = place / "backup.tar"
    with server(place / "data") as started, started.client() as client:
        filled(started, client, 3_000)
        assert gateway("backup", file, "--data-dir", started.data_dir).returncode == 0
    again = place / "again"
    for how in (signal.SIGKILL, signal.SIGTERM):
        command = [*GATEWAY, "restore", str(file), "--data-dir", str(again)]
        with subprocess.Popen(command, env=environment()) as process:
            end = monotonic() + 60
            while not (again / "backup.part").exists() and process.poll() is None:
                assert monotonic() < end
            process.send_signal(how)
    (again / "backup.part").touch()  # as one leaves that is killed at its very end
    last = gateway("restore", file, "--data-dir", again)
    assert last.returncode == 0 or "has data already" in last.stderr  # it had come to its end before it was killed
    assert gateway("verify", "--data-dir", again).returncode == 0
    assert not (again / "backup.part").exists()
    monkeypatch.setattr(backups, "load", load_twice)  # as where the killed one's pg_restore is still at work
    with pytest.raises(Conflict, match="has data already"):
        asyncio.run(backups.restore(read_settings(data_dir=place / "overtaken"), file))


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_of_ones_own_postgres_is_refused_and_the_error_names_its_tools(command, tmp_path):
    result = gateway(command, tmp_path / "file", env=environment(GATEWAY_DATABASE_URL="postgresql://127.0.0.1:1/none"))
    assert (result.returncode, "pg_dump" in result.stderr) == (1, True)


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\0" * 10_240])
def test_a_file_that_is_no_backup_is_refused_before_anything_is_made(place, content):
    file = place / "file"
    if content is not None:
        file.write_bytes(content)
    result = gateway("restore", file, "--data-dir", place / "data")
    assert result.returncode == 1
    assert str(file) in result.stderr
    assert not (place / "data").exists()


def packed(file: Path, **content: bytes) -> Path:
    """An archive of these entries, whose names have `_` for their dot."""
    with tarfile.open(file, "w") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file


MANIFEST = b'{"form": 1, "schema": "0001_baseline"}'
CREDENTIALS = b'{"jwtSecret": "%s", "apiKeys": {}}' % (b"s" * 32)


@pytest.mark.parametrize(
    "content",
    [
        {"manifest_json": b"[]", "credentials_json": CREDENTIALS, "database_dump": b""},
        {"manifest_json": b'{"form": 1, "schema": ["a"]}', "credentials_json": CREDENTIALS, "database_dump": b""},
        {"manifest_json": MANIFEST, "credentials_json": b"{}", "database_dump": b""},
        {"manifest_json": MANIFEST, "credentials_json": b"[1]", "database_dump": b""},
        {"manifest_json": MANIFEST, "credentials_json": b'{"jwtSecret": 1, "apiKeys": {}}', "database_dump": b""},
        {"manifest_json": MANIFEST, "credentials_json": CREDENTIALS},
    ],
)
def test_an_archive_of_another_shape_is_refused_before_anything_is_made(place, content):
    file = packed(place / "file", **content)
    result = gateway("restore", file, "--data-dir", place / "data")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert str(file) in result.stderr
    assert not (place / "data").exists()


def test_a_restore_that_fails_leaves_nothing_in_the_way_of_the_next(place):
    damaged = packed(place / "file", manifest_json=MANIFEST, credentials_json=CREDENTIALS, database_dump=b"PGDMP")
    assert gateway("backup", place / "backup.tar", "--data-dir", place / "data").returncode == 0
    assert gateway("restore", damaged, "--data-dir", place / "again").returncode == 1
    assert gateway("restore", place / "backup.tar", "--data-dir", place / "again").returncode == 0
    kept = [(place / each / "credentials.json").read_bytes() for each in ("data", "again")]
    assert kept[0] == kept[1]


def test_an_error_names_a_file_that_cannot_be_written(place):
    result = gateway("backup", place / "none" / "file", "--data-dir", place / "data")
    assert (result.returncode, "Cannot write" in result.stderr) == (1, True)

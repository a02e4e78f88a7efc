"""A program that is killed: what was acknowledged is there, and what was not can be sent again."""

import signal
import threading
from collections.abc import Iterator

import httpx
import pytest
from people_dataset import NDJSON, create_dataset, people, records
from program import gateway, postgres_runs, server, started_program


def test_acknowledged_documents_survive_kill_9_and_others_are_absent_in_whole_calls(place):
    data_dir = place / "data"
    with server(data_dir) as started, started.client() as client:
        dataset = create_dataset(client)
        whole = client.post(f"/ingest/{dataset}", content=records(0, 1500), headers=NDJSON).json()
        assert whole["accepted"] == 1500

        def endless() -> Iterator[bytes]:
            for first in range(1500, 1_000_000, 250):
                yield records(first, first + 250)

        def send() -> None:
            with pytest.raises(httpx.TransportError):
                client.post(f"/ingest/{dataset}?batchKey=cut", content=endless(), headers=NDJSON)

        sending = threading.Thread(target=send)
        sending.start()
        with started.client() as other:
            while people(other)["recordCount"] == 1500:
                pass
        assert started.end(signal.SIGKILL) == -signal.SIGKILL
        sending.join()
    assert postgres_runs(data_dir)  # it goes on by itself
    with server(data_dir) as again, again.client() as client:
        counts = {batch["id"]: batch["recordCount"] for batch in people(client)["batches"]["nodes"]}
        assert counts.pop(whole["batchId"]) == 1500
        (committed,) = counts.values()
        assert committed % 1000 == 0  # whole calls or nothing
        sent = client.post(
            f"/ingest/{dataset}?batchKey=cut", content=records(1500, 1500 + committed + 1000), headers=NDJSON
        ).json()
        assert [sent[name] for name in ("accepted", "duplicates", "failedCount")] == [1000, committed, 0]
    assert gateway("verify", "--data-dir", data_dir).returncode == 0


def test_a_file_whose_ingestion_was_killed_is_ingested_again_without_duplicates(place):
    data_dir = place / "data"
    with server(data_dir) as started, started.client() as client:
        create_dataset(client)
        file = place / "people.ndjson"
        file.write_bytes(records(0, 30_000))
        command = ["ingest", str(file), "--dataset", "People", "--data-dir", str(data_dir)]
        with started_program(*command) as process:
            while people(client)["recordCount"] == 0:
                pass
            process.kill()
        before = people(client)
        assert before["batches"]["nodes"][0]["status"] == "LOADING"
        result = gateway(*command)
        after = people(client)
    assert 0 < before["recordCount"] < 30_000
    assert result.returncode == 0
    assert f"{30_000 - before['recordCount']:,} accepted, {before['recordCount']:,} duplicates" in result.stdout
    versions = 30_000 + before["recordCount"]  # each document that came again is a version that changes nothing
    assert [(batch["status"], batch["recordCount"]) for batch in after["batches"]["nodes"]] == [("ACTIVE", versions)]

"""Ingesting a file as a batch, below the command line."""

import gzip
from uuid import UUID

import orjson
import pytest
from world import World, record

from gateway.domain.facts.documents import DocumentProblem
from gateway.domain.ingest.ingestion import IngestResult
from gateway.domain.rules.versions import Mode
from gateway.errors import LimitExceeded
from gateway.server.streams.batch_files import load_file
from gateway.server.streams.ndjson import MAX_BLANK_LINES
from gateway.server.streams.outcomes import StreamOutcome
from gateway.server.streams.sources import open_source
from gateway.settings import read_settings
from gateway.xdm.violations import Violation, ViolationCode


@pytest.mark.parametrize(
    ("rest", "limits"),
    [
        (b"\n" * (MAX_BLANK_LINES + 1), {}),
        (b"{}\n" * 10_000, {"stream_failures": 5}),
        (b"x" * 300_000, {"stream_bytes": 100_000}),
    ],
    ids=["blank lines", "failures", "bytes"],
)
@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_has_the_limits_of_a_stream_and_documents_before_them_are_ingested(
    db, tmp_path, rest, limits, packed
):
    world, file = await World.create(db), tmp_path / "people.ndjson"
    whole = [record(("Email", f"{number}@example.com")) for number in range(1_500)]
    body = b"".join(orjson.dumps(document) + b"\n" for document in whole) + rest
    file.write_bytes(gzip.compress(body) if packed else body)
    settings = read_settings(**limits)
    with open_source(file) as source:
        loaded = await load_file(
            *(db, world.scope, source, "CRM"),
            mode=Mode.REPLACE,
            key=None,
            retry_failed=False,
            advance=lambda _: None,
            settings=settings,
        )
    assert isinstance(loaded.broken, LimitExceeded)
    assert loaded.outcome.accepted >= 1_000 - limits.get("stream_bytes", 0)
    assert loaded.outcome.batch_id is not None


def test_an_outcome_holds_failures_without_their_documents():
    outcome, failure = (
        StreamOutcome(),
        DocumentProblem(0, (Violation("$", ViolationCode.JSON, "This is no JSON."),), "x" * 1_000_000),
    )
    outcome.add(IngestResult(UUID(int=1), 0, 0, [failure], [failure]))
    assert [each.document for each in (*outcome.failed, *outcome.warnings)] == [None, None]

"""Streams of JSON lines over HTTP: what is taken, what is refused and said, and what stays when a stream breaks off."""

import asyncio
import gc
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from functools import partial

import pytest
from starlette.requests import Request
from working import work_off

from gateway.domain.config.configuration import Configurations
from gateway.domain.ingest.ingestion import MAX_DOCUMENTS
from gateway.domain.rules.scope import Permission
from gateway.server.http.paced_body import Pace, paced_pieces
from gateway.server.streams.ndjson import MAX_LINE_BYTES, Lines
from gateway.server.streams.outcomes import MAX_LISTED

NDJSON = {"content-type": "application/x-ndjson"}
COUNTS = ["accepted", "duplicates", "failedCount"]


def record(number, **person):
    return {
        "personalEmail": {"address": f"p{number}@example.com"},
        "person": {"name": {"firstName": f"N{number}"}} | person,
    }


def event(number, person=0):
    return {
        "_id": f"e{number}",
        "timestamp": "2026-01-02T03:04:05Z",
        "identityMap": {"Email": [{"id": f"p{person}@example.com", "primary": True}]},
    }


def lines(documents: Iterable[object]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


@pytest.fixture
async def dataset(gateway):
    return await gateway.dataset()


async def sent(gateway, dataset, body, to=None, *, permissions=(Permission.PROFILE_WRITE,), headers=None, **parameters):
    given = await gateway.headers(permissions) | NDJSON | (headers or {})
    return await gateway.http.post(f"/ingest/{to or dataset}", content=body, headers=given, params=parameters)


@pytest.fixture
def send(gateway, dataset):
    """Sends a body to the dataset of records, or to another one."""
    return partial(sent, gateway, dataset)


@pytest.fixture(scope="module")
async def refused(module_gateway):
    """Sends a body that leaves nothing behind."""
    return partial(sent, module_gateway, await module_gateway.dataset())


def counts(answer):
    assert answer.status_code == 200, answer.text
    return [answer.json()[name] for name in COUNTS]


async def count(gateway, dataset) -> int:
    read = "query Read($id: ID!) { dataset(id: $id) { recordCount } }"
    return (await gateway.run(read, {"id": dataset}))["dataset"]["recordCount"]


# ---------------------------------------------------------------------------------------------- what is taken


async def test_a_stream_of_several_chunks_gets_one_response(gateway, dataset, send):
    answer = await send(lines(map(record, range(2 * MAX_DOCUMENTS + 5))))
    assert counts(answer) == [2 * MAX_DOCUMENTS + 5, 0, 0]
    assert (answer.json()["failed"], answer.json()["warnings"]) == ([], [])
    read = "query Read($id: ID!) { dataset(id: $id) { recordCount } batch: node(id: $batch) { id } }"
    read = read.replace("$id: ID!", "$id: ID!, $batch: ID!")
    data = await gateway.run(read, {"id": dataset, "batch": answer.json()["batchId"]})
    assert data == {"dataset": {"recordCount": 2 * MAX_DOCUMENTS + 5}, "batch": {"id": answer.json()["batchId"]}}


async def test_a_compressed_stream_is_unpacked(send):
    packed = gzip.compress(lines(map(record, range(3)))) + gzip.compress(lines([record(3)]))
    assert counts(await send(packed, headers={"content-encoding": "gzip"})) == [4, 0, 0]


async def test_an_empty_stream_is_accepted(send):
    answer = await send(b"\n\n")
    assert counts(answer) == [0, 0, 0]
    assert answer.json()["batchId"] is None


async def test_events_are_stored_once(gateway, send):
    visits = await gateway.dataset("EXPERIENCE_EVENT", "visits")
    assert counts(await send(lines(map(event, range(3))), visits)) == [3, 0, 0]
    assert counts(await send(lines(map(event, range(4))), visits)) == [1, 3, 0]


async def test_a_record_is_merged_or_deleted_as_the_mode_says(gateway, send):
    read = """query Read { profile(identity: {key: {namespace: "Email", value: "p1@example.com"}}) {
      entityJson(select: "person.name(firstName,lastName)") } }"""
    await send(lines([record(1)]))
    await send(lines([record(1) | {"person": {"name": {"lastName": "Byron"}}}]), mode="MERGE")
    merged = (await gateway.run(read))["profile"]["entityJson"]
    await send(lines([record(1)]), mode="DELETE")
    assert merged == {"person": {"name": {"firstName": "N1", "lastName": "Byron"}}}
    assert (await gateway.run(read))["profile"] is None


async def test_the_later_line_about_a_record_wins(gateway, send):
    await send(lines([record(1, maritalStatus="married"), *map(record, range(2, MAX_DOCUMENTS + 50)), record(1)]))
    read = """query Read { profile(identity: {key: {namespace: "Email", value: "p1@example.com"}}) { entityJson } }"""
    assert "maritalStatus" not in (await gateway.run(read))["profile"]["entityJson"]["person"]


async def test_a_key_names_a_batch_and_sending_it_all_again_changes_nothing(send):
    first = await send(lines(map(record, range(5))), batchKey="monday")
    again = await send(lines(map(record, range(5))), batchKey="monday")
    other = await send(lines(map(record, range(5))), batchKey="tuesday")
    named = await send(lines([record(9)]), batchId=first.json()["batchId"])
    assert [counts(answer) for answer in (first, again, other)] == [[5, 0, 0], [0, 5, 0], [0, 5, 0]]
    assert first.json()["batchId"] == again.json()["batchId"] == named.json()["batchId"] != other.json()["batchId"]


# ---------------------------------------------------------------------------------------------- what is refused


async def test_each_bad_line_is_reported_and_the_others_are_ingested(gateway, send):
    broken = [b'{"a": 1,}', b"nonsense", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"personalEmail": {}}']
    body = lines([record(0)]) + b"\n".join(broken) + b"\n\n" + lines([record(1)])
    answer = await send(body)
    assert counts(answer) == [2, 0, len(broken)]
    failed = answer.json()["failed"]
    assert [failure["index"] for failure in failed] == list(range(1, len(broken) + 1))
    assert (failed[0]["code"], failed[0]["path"]) == ("JSON", "$")
    assert "column 8" in failed[0]["message"]
    assert all(failure["message"] and failure["path"].startswith("$") for failure in failed)
    read = "query Read($id: ID!) { batch(id: $id) { failedCount errors(first: 9) { nodes { index code document } } } }"
    batch = (await gateway.run(read, {"id": answer.json()["batchId"]}))["batch"]
    assert batch["failedCount"] == len(broken)
    assert [one["index"] for one in batch["errors"]["nodes"]] == [failure["index"] for failure in failed]


async def test_lines_about_erased_people_are_refused_and_leave_nothing_of_them(gateway, send):
    await send(lines([record(0), record(1)]))
    erase = """mutation Erase { createSystemJob(input: {deleteProfile: {identities: [
      {key: {namespace: "Email", value: "p0@example.com"}}]}}) { userErrors { message } } }"""
    assert (await gateway.run(erase))["createSystemJob"]["userErrors"] == []
    await work_off(gateway.store.db, Configurations())
    answer = await send(lines([record(0), record(1, maritalStatus="married")]))
    assert counts(answer) == [1, 0, 1]
    assert [(failure["index"], failure["code"]) for failure in answer.json()["failed"]] == [(0, "ERASED_IDENTITY")]
    assert "p0@" not in answer.text
    read = "query Read($id: ID!) { batch(id: $id) { errors(first: 9) { nodes { code document } } } }"
    errors = (await gateway.run(read, {"id": answer.json()["batchId"]}))["batch"]["errors"]["nodes"]
    assert errors == [{"code": "ERASED_IDENTITY", "document": None}]


async def test_many_failures_are_all_kept_and_the_first_are_reported(gateway, send):
    answer = await send(b"{}\n" * (MAX_LISTED + 7))
    assert counts(answer) == [0, 0, MAX_LISTED + 7]
    assert [failure["index"] for failure in answer.json()["failed"]] == list(range(MAX_LISTED))
    read = "query Read($id: ID!) { batch(id: $id) { errors { totalCount } } }"
    data = await gateway.run(read, {"id": answer.json()["batchId"]})
    assert data["batch"]["errors"]["totalCount"] == MAX_LISTED + 7


async def test_a_line_that_cannot_be_stored_fails_alone(send):
    """Neither its depth nor its numbers nor its characters take the chunk with it, today or when it is sent again."""
    deep = b'{"personalEmail": ' + b'{"a": [' * 150 + b"1" + b"]}" * 150 + b"}"
    broken = [deep, b'{"x": 1e400}', b'{"x": "\\ud800"}', b'{"x": "\\u0000"}', b'{"x": 1e-16384}']
    for accepted in (2, 0):
        answer = await send(lines([record(0)]) + b"\n".join(broken) + b"\n" + lines([record(1)]))
        assert counts(answer) == [accepted, 2 - accepted, len(broken)]
        codes = [failure["code"] for failure in answer.json()["failed"]]
        assert codes == ["DEPTH", "RANGE", "CHARACTER", "CHARACTER", "UNKNOWN_FIELD"]


async def test_a_line_that_never_ends_fails_alone_and_is_not_held(send):
    async def body() -> AsyncIterator[bytes]:
        yield lines([record(0)])
        for _ in range(40):
            yield b"x" * MAX_LINE_BYTES
        yield b"\n" + lines([record(1)])

    tracemalloc.start()
    answer = await send(body())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts(answer) == [2, 0, 1]
    assert (answer.json()["failed"][0]["index"], answer.json()["failed"][0]["code"]) == (1, "SIZE")
    assert peak < 20 * MAX_LINE_BYTES


async def test_a_placeholder_value_is_a_warning(gateway, send):
    visits = await gateway.dataset("EXPERIENCE_EVENT", "visits")
    guest = event(1)
    guest["identityMap"]["Phone"] = [{"id": "unknown"}]
    answer = await send(lines([guest]), visits)
    assert counts(answer) == [1, 0, 0]
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["IDENTITY_PLACEHOLDER"]


@pytest.mark.parametrize(
    ("parameters", "status", "says"),
    [
        ({"mode": "UPSERT"}, 400, "REPLACE"),
        ({"batchkey": "monday"}, 400, "batchkey"),
        ({"batchKey": "monday", "batchId": "batch_x"}, 400, "not by both"),
        ({"batchKey": ""}, 400, ""),
        ({"batchId": "nonsense"}, 404, "batchId"),
        ({"batchId": "batch_AAAAAAAAAAAAAAAAAAAAAA"}, 404, "batch"),
    ],
)
async def test_an_unknown_parameter_is_an_error_that_names_it(refused, parameters, status, says):
    answer = await refused(lines([record(1)]), **parameters)
    assert answer.status_code == status
    assert says in answer.json()["errors"][0]["message"]
    assert answer.json()["accepted"] == 0


async def test_an_unknown_dataset_is_an_error_that_says_so(gateway, dataset, send):
    visits = await gateway.dataset("EXPERIENCE_EVENT", "visits")
    statuses = [(await send(lines([record(1)]), to)).status_code for to in ["nope", "dataset_AAAAAAAAAAAAAAAAAAAAAA"]]
    assert statuses == [404, 404]
    assert (await send(lines([event(1)]), visits, mode="MERGE")).status_code == 400
    assert (await send(lines([record(1)]), gateway.store.organization.organization_id.hex)).status_code == 404


async def test_a_batch_that_is_complete_takes_no_more(gateway, send):
    batch_id = (await send(lines([record(1)]), batchKey="monday")).json()["batchId"]
    complete = "mutation C($id: ID!) { completeBatch(input: {id: $id}) { batch { status } userErrors { message } } }"
    await gateway.run(complete, {"id": batch_id})
    answer = await send(lines([record(2)]), batchKey="monday")
    assert (answer.status_code, answer.json()["accepted"]) == (409, 0)


async def test_another_kind_of_body_is_refused(refused):
    for kind in ("application/json", "text/plain", "application/x-ndjson; charset=latin-1"):
        answer = await refused(lines([record(1)]), headers={"content-type": kind})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (415, "BAD_INPUT"), kind
    assert (await refused(lines([record(1)]), headers={"content-encoding": "br"})).status_code == 415


async def test_a_caller_without_the_scope_writes_nothing(gateway, dataset, send):
    assert (await send(lines([record(1)]), permissions=[Permission.PROFILE_READ])).status_code == 403
    nobody = await gateway.http.post(f"/ingest/{dataset}", content=lines([record(1)]), headers=NDJSON)
    assert (nobody.status_code, nobody.json()["errors"][0]["extensions"]["errorCode"]) == (403, "403010")
    assert (await gateway.http.get(f"/ingest/{dataset}")).status_code == 405


# ---------------------------------------------------------------------------------------------- what stays


async def test_a_broken_stream_reports_what_was_committed(send):
    packed = gzip.compress(lines(map(record, range(MAX_DOCUMENTS + 1))))
    answer = await send(packed[:-10], headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["accepted"]) == (400, MAX_DOCUMENTS)
    assert "gzip" in answer.json()["errors"][0]["message"]


async def test_complete_lines_of_a_client_that_goes_away_are_stored(gateway, dataset):
    heard = [
        {"type": "http.request", "body": lines(map(record, range(MAX_DOCUMENTS + 10))) + b'{"pe', "more_body": True},
        {"type": "http.disconnect"},
    ]
    headers = await gateway.headers() | NDJSON | {"host": "localhost"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/ingest/{dataset}",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    answered = []

    async def receive() -> object:
        return heard.pop(0)

    async def send(message: object) -> None:
        answered.append(message)

    await gateway.app(scope, receive, send)
    assert answered == []
    assert await count(gateway, dataset) == MAX_DOCUMENTS + 10


async def test_complete_lines_of_a_silent_sender_are_stored_and_reported(start_gateway):
    silence = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield lines(map(record, range(10))) + b'{"person"'
        await silence.wait()

    async with start_gateway(request_seconds=2) as gateway:
        to, headers = await gateway.dataset(), await gateway.headers() | NDJSON
        answer = await gateway.http.post(f"/ingest/{to}", content=body(), headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (408, 10)
        assert answer.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
        assert await count(gateway, to) == 10


@pytest.mark.parametrize("drip", [b"x", b" "])
async def test_a_line_that_never_ends_times_out_however_steadily_it_arrives(start_gateway, drip):
    async def body() -> AsyncIterator[bytes]:
        yield lines([record(1)])
        while True:
            yield drip
            await asyncio.sleep(0.01)

    async with start_gateway(request_seconds=2) as gateway:
        to, headers = await gateway.dataset(), await gateway.headers() | NDJSON
        answer = await gateway.http.post(f"/ingest/{to}", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["accepted"]) == (408, 1)


async def test_lines_are_committed_while_the_stream_goes_on_and_pauses(start_gateway):
    async with start_gateway(stream_commit_seconds=0.05) as gateway:
        to, headers = await gateway.dataset(), await gateway.headers() | NDJSON

        async def body() -> AsyncIterator[bytes]:
            for number in range(3):
                yield lines([record(number)])
                for _ in range(500):  # the sender pauses until it is there
                    if await count(gateway, to) > number:
                        break
                else:
                    raise AssertionError("a whole line waits for others for ever")

        answer = await gateway.http.post(f"/ingest/{to}", content=body(), headers=headers)
    assert counts(answer) == [3, 0, 0]


async def test_a_stream_that_ends_with_the_process_reports_what_was_committed(gateway, dataset, send):
    async def body() -> AsyncIterator[bytes]:
        yield lines(map(record, range(MAX_DOCUMENTS + 10))) + b'{"pe'
        gateway.app.state.services.drained.set_result(None)
        await asyncio.Event().wait()

    answer = await send(body())
    assert (answer.status_code, answer.json()["accepted"]) == (503, MAX_DOCUMENTS + 10)
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert answer.headers["retry-after"]


# ---------------------------------------------------------------------------------------------- what ends a stream


async def test_a_stream_of_nothing_but_blank_lines_is_refused(send):
    answer = await send(gzip.compress(lines([record(1)]) + b"\n" * 16_000_000), headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["accepted"]) == (413, 1)
    assert answer.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "blank lines" in answer.json()["errors"][0]["message"]


async def test_failures_of_a_stream_are_bounded(start_gateway):
    async with start_gateway(stream_failures=10) as gateway:
        to, headers = await gateway.dataset(), await gateway.headers() | NDJSON
        enough = await gateway.http.post(f"/ingest/{to}", content=b"{}\n" * 10, headers=headers)
        body = b"{}\n" * (20 * MAX_DOCUMENTS) + lines([record(1)])
        too_many = await gateway.http.post(f"/ingest/{to}", content=body, headers=headers)
    assert counts(enough) == [0, 0, 10]
    told = too_many.json()
    assert (too_many.status_code, told["errors"][0]["extensions"]["code"]) == (413, "LIMIT_EXCEEDED")
    assert 10 < told["failedCount"] < 10 * MAX_DOCUMENTS
    assert len(told["failed"]) == MAX_LISTED


async def test_bytes_of_a_stream_are_bounded(start_gateway):
    async with start_gateway(stream_bytes=100_000) as gateway:
        to, headers = await gateway.dataset(), await gateway.headers() | NDJSON
        body = lines(map(record, range(5_000)))

        async def unannounced() -> AsyncIterator[bytes]:
            yield body

        announced = await gateway.http.post(f"/ingest/{to}", content=body, headers=headers)
        met = await gateway.http.post(f"/ingest/{to}", content=unannounced(), headers=headers)
        packed = await gateway.http.post(
            f"/ingest/{to}", content=gzip.compress(body), headers=headers | {"content-encoding": "gzip"}
        )
    assert [answer.status_code for answer in (announced, met, packed)] == [413, 413, 413]
    assert announced.json()["accepted"] == 0
    assert 500 < met.json()["accepted"] < 5_000
    assert packed.json()["duplicates"] == met.json()["accepted"]


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_read(gateway, dataset):
    async def receive() -> object:
        raise AssertionError("there is no reason to read it")

    answered = []

    async def send(message: object) -> None:
        answered.append(message)

    known = await gateway.headers() | NDJSON | {"host": "localhost", "content-length": str(10**17)}
    for path, content_type in [(f"/ingest/{dataset}", NDJSON["content-type"]), ("/graphql", "application/json")]:
        headers = [(k.lower().encode(), v.encode()) for k, v in (known | {"content-type": content_type}).items()]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await gateway.app(scope, receive, send)
    assert [message["status"] for message in answered if "status" in message] == [413, 413]


async def test_concurrent_streams_of_the_same_people_lose_no_document(gateway, send):
    await asyncio.gather(*(send(lines(map(record, range(300))), batchKey=f"b{n}") for n in range(4)))
    found = await gateway.run("query Read { searchProfiles(first: 1) { totalCount } }")
    assert found["searchProfiles"]["totalCount"] == 300


async def test_a_sender_who_leaves_after_the_answer_is_no_error_of_the_server():
    """As where a key is revoked in the middle of a stream: the answer is given while the next piece is awaited."""
    loop, is_gone, unseen, lines = asyncio.get_running_loop(), asyncio.Event(), [], Lines()
    coming = [{"type": "http.request", "body": b"{}\n", "more_body": True}]

    async def receive():
        if coming:
            return coming.pop()
        await is_gone.wait()
        return {"type": "http.disconnect"}

    pace = Pace(commit=0, silence=60, ending=loop.create_future())
    pieces = paced_pieces(Request({"type": "http", "headers": []}, receive), lines, pace)
    list(lines.feed(await anext(pieces)))
    assert await anext(pieces) == b""  # while the next piece is awaited
    is_gone.set()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()  # tasks that other tests left are told of now, not below
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    try:
        cycle = [pieces]  # as errors and frames make them, so that it is the collector that ends it
        cycle.append(cycle)
        del pieces, cycle
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert unseen == []

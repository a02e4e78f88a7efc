"""The end of a process: running requests get their responses, or after too long an error in the shape of others."""

import asyncio
import json
import signal
from urllib.parse import urlsplit

import asyncpg
import pytest
from places import reachable_directory
from program import environment, server
from starlette.requests import Request
from starlette.routing import Route

CREATE = """mutation { createSchema(input: {title: "People", class: INDIVIDUAL_PROFILE}) { schema { id } } }"""
DATASET = """mutation ($id: ID!) { createDataset(input: {name: "crm", schemaId: $id}) { dataset { id } } }"""


async def test_a_request_that_ends_with_the_process_gets_an_error_that_says_so(gateway):
    begun = asyncio.Event()

    async def runs(_: Request) -> None:
        begun.set()
        await asyncio.Event().wait()

    gateway.app.router.routes.append(Route("/runs", runs))
    asked = asyncio.create_task(gateway.http.get("/runs"))
    await begun.wait()
    gateway.app.state.services.drained.set_result(None)
    asked.cancel()
    answer = await asked
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
    assert {"retry-after", "x-request-id"} <= set(answer.headers)
    assert answer.headers["connection"] == "close"


async def test_a_request_that_is_cancelled_for_another_reason_gets_no_response(gateway):
    begun = asyncio.Event()

    async def runs(_: Request) -> None:
        begun.set()
        await asyncio.Event().wait()

    gateway.app.router.routes.append(Route("/runs", runs))
    asked = asyncio.create_task(gateway.http.get("/runs"))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def sent(url, path, headers, body):
    """A request over a connection of its own, whose body does not end."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    head = [f"POST {path} HTTP/1.1", f"host: {at.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    return reader, writer


async def heard(reader):
    """The answer, which ends the connection: its head in lower case, and its body."""
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return head.decode().lower(), json.loads(body)


@pytest.mark.parametrize("workers", [1, 2])
async def test_after_the_drain_time_streams_report_their_commits_and_operations_are_unavailable(workers):
    """SIGTERM, while a stream has sent some lines and a mutation waits for a lock."""
    env = environment(GATEWAY_DRAIN_SECONDS="0.5", GATEWAY_WORKERS=str(workers), GATEWAY_STREAM_COMMIT_SECONDS="60")
    with reachable_directory() as home, server(home / "data", env=env) as started:
        with started.client() as client:
            schema = client.post("/graphql", json={"query": CREATE}).json()["data"]["createSchema"]["schema"]
            made = client.post("/graphql", json={"query": DATASET, "variables": schema}).json()
            dataset_id = made["data"]["createDataset"]["dataset"]["id"]
        place = {"host": str(home / "data" / "socket"), "port": 5432, "user": "gateway", "database": "gateway"}
        lock = await asyncpg.connect(**place)
        await lock.execute("begin; update gateway.sandbox set name = name")
        mutation = {
            "query": 'mutation { createIdentityNamespace(input: {code: "A", name: "A", idType: COOKIE}) { userErrors { code } } }'
        }
        text, ten = (
            json.dumps(mutation).encode(),
            b'{"identityMap": {"Email": [{"id": "a@b.c", "primary": true}]}}\n' * 10,
        )
        asked = {"content-type": "application/json", "content-length": str(len(text))}
        streamed = {"content-type": "application/x-ndjson", "transfer-encoding": "chunked"}
        operation, one = await sent(started.url, "/graphql", started.own_headers | asked, text)
        stream, other = await sent(
            started.url, f"/ingest/{dataset_id}", started.own_headers | streamed, b"%x\r\n%b\r\n" % (len(ten), ten)
        )
        await _until_waiting(lock)
        started.process.send_signal(signal.SIGTERM)
        (head, told), (other_head, other_told) = await asyncio.gather(heard(stream), heard(operation))
        for status in (head, other_head):
            assert status.startswith("http/1.1 503")
            assert "retry-after: " in status
            assert "connection: close" in status
        assert told["errors"][0]["extensions"]["code"] == other_told["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        await lock.close()
        one.close()
        other.close()
        assert (told["accepted"], told["duplicates"]) == (1, 9)
        assert started.process.wait() == 0


async def _until_waiting(connection):
    """Wait until a transaction waits for a lock."""
    for _ in range(1_000):
        if await connection.fetchval("select count(*) from pg_locks where not granted"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")

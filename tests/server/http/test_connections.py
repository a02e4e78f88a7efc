"""Connections over real sockets: who is slow, silent or endless is ended; who does as HTTP says is served."""

import asyncio
import gc
import json
import pickle
import resource
import socket
import weakref
from contextlib import asynccontextmanager

import pytest
import uvicorn

from gateway.runtime import garbage_collection
from gateway.server.http import connections, parsing
from gateway.server.http.connections import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    RESERVED_FILES,
    ConnectionLimits,
    Connections,
    connections_within_files,
)
from gateway.telemetry import ConnectionCut, listen

PATIENT = {"connections": 100, "head_seconds": 60, "idle_seconds": 60, "read_seconds": 60, "drain_seconds": 60}
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 32 << 20  # more than the system holds for a client
ENOUGH = 20  # seconds: never reached


async def application(scope, receive, send):
    """Respond with the request's headers; `/body` reads the body first, `/size` tells how long it is, `/large` answers with much, `/never` not at all."""
    body = json.dumps([[name.decode(), value.decode()] for name, value in scope["headers"]]).encode()
    if scope["path"] == "/body":
        more = True
        while more:
            more = (await receive()).get("more_body", False)
    elif scope["path"] == "/size":
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        body = json.dumps(size).encode()
    elif scope["path"] == "/large":
        body = b"x" * LARGE
    elif scope["path"] == "/never":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Served:
    """A server of the application, and clients that write bytes."""

    def __init__(self, server, port):
        self.server, self.port = server, port

    async def client(self, *sent, path=None):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        if path:
            sent = (b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path, *sent)
        for piece in sent:
            writer.write(piece)
        return reader, writer

    async def until(self, count):
        """Wait until there are so many connections."""
        for _ in range(2_000):
            if len(self.server.server_state.connections) == count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"still {len(self.server.server_state.connections)} connections")


@asynccontextmanager
async def serving(**limits):
    listening = socket.create_server(("127.0.0.1", 0))
    limits = ConnectionLimits(**PATIENT | limits)
    config = uvicorn.Config(application, http=Connections(limits, print), ws="none", lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    try:
        yield Served(server, listening.getsockname()[1])
    finally:
        server.force_exit = True
        await server.shutdown(sockets=[listening])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(connections, "DISCARD_SECONDS", 0.1)


async def all_of(reader):
    """Return what the server sends until it closes the connection."""
    async with asyncio.timeout(ENOUGH):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def answer(reader):
    """One answer: its status and body."""
    async with asyncio.timeout(ENOUGH):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def drip(writer, letter=b"a"):
    """Send a byte again and again, until the connection is closed."""
    while not writer.is_closing():
        writer.write(letter)
        await asyncio.sleep(0.005)


def refusal(said):
    """Status and code of a refusal, which has GraphQL's shape and ends the connection."""
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["errors"][0]["extensions"]["code"]


# ---------------------------------------------------------------------------------------------- time


async def test_a_connection_that_sends_nothing_is_closed():
    async with serving(head_seconds=0.1) as served:
        reader, writer = await served.client()
        assert await all_of(reader) == b""
        writer.close()


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nx: ", GET[:-2]])
@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_head_that_does_not_end_in_time_is_refused_however_steadily_it_comes(begun, goes_on):
    async with serving(head_seconds=0.1) as served:
        reader, writer = await served.client(begun)
        dripping = asyncio.create_task(drip(writer)) if goes_on and begun.endswith(b" ") else None
        assert refusal(await all_of(reader)) == (408, "TIMEOUT")
        writer.close()
        if dripping:
            await dripping


async def test_the_second_head_of_a_connection_has_its_time_from_its_first_byte():
    async with serving(head_seconds=0.1) as served:
        reader, writer = await served.client(GET)
        assert (await answer(reader))[0] == 200
        writer.write(b"GET /")
        assert refusal(await all_of(reader)) == (408, "TIMEOUT")
        writer.close()


async def test_a_connection_is_kept_for_the_next_request_for_a_time():
    async with serving(idle_seconds=0.1) as served:
        reader, writer = await served.client(GET)
        assert (await answer(reader))[0] == 200
        assert await all_of(reader) == b""
        writer.close()


@pytest.mark.parametrize("length", [b"100", b"%d" % 10**17])
async def test_the_body_of_a_request_that_is_answered_may_not_go_on(length):
    async with serving() as served:
        reader, writer = await served.client(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %b\r\n\r\n" % length)
        assert (await answer(reader))[0] == 200
        dripping = asyncio.create_task(drip(writer))
        assert await all_of(reader) == b""
        writer.close()
        await dripping


async def test_the_body_of_a_request_that_is_answered_may_end():
    async with serving() as served:
        reader, writer = await served.client(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n")
        assert (await answer(reader))[0] == 200
        writer.write(b"abc" + GET)
        assert (await answer(reader))[0] == 200
        writer.close()


# ---------------------------------------------------------------------------------------------- slow readers


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_client_that_does_not_read_its_response_is_closed(requests):
    async with serving(read_seconds=0.2, idle_seconds=0.1) as served:
        _, writer = await served.client(*[b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"] * requests)
        await served.until(1)
        await served.until(0)
        writer.close()


async def test_unread_responses_are_bounded_in_all(monkeypatch):
    monkeypatch.setattr(connections, "MAX_UNREAD_BYTES", LARGE + LARGE // 2)
    async with serving() as served:
        clients = [await served.client(path=b"/large") for _ in range(3)]
        await served.until(1)
        for _, writer in clients:
            writer.close()


async def test_a_client_that_reads_gets_the_whole_response():
    async with serving(read_seconds=0.2) as served:
        reader, writer = await served.client(path=b"/large")
        async with asyncio.timeout(ENOUGH):
            await reader.readuntil(b"\r\n\r\n")
            assert len(await reader.readexactly(LARGE)) == LARGE
        writer.close()


# ---------------------------------------------------------------------------------------------- number


async def test_a_new_connection_gets_the_place_of_the_longest_idle_one():
    async with serving(connections=3) as served:
        first, second, third = [await served.client() for _ in range(3)]
        await served.until(3)
        newcomer, writer = await served.client(GET)
        assert (await answer(newcomer))[0] == 200
        assert await all_of(first[0]) == b""
        second[1].write(GET)
        assert (await answer(second[0]))[0] == 200
        for _, one in (first, second, third):
            one.close()
        writer.close()


async def test_when_no_connection_is_idle_only_the_new_one_is_refused():
    async with serving(connections=2) as served:
        served_now = [await served.client(path=b"/never") for _ in range(2)]
        await served.until(2)
        reader, writer = await served.client()
        said = await all_of(reader)
        assert refusal(said) == (503, "UNAVAILABLE")
        assert b"retry-after" in said.lower()
        await served.until(2)
        for _, one in served_now:
            one.close()
        writer.close()


async def test_no_more_connections_are_taken_than_files_may_be_opened():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (RESERVED_FILES + 100, before[1]))
        assert connections_within_files(50) == 50
        assert connections_within_files(300) == 300  # asks for as many files as that takes
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300 + RESERVED_FILES
        if before[1] != resource.RLIM_INFINITY:
            assert connections_within_files(before[1]) == before[1] - RESERVED_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# ---------------------------------------------------------------------------------------------- size


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\nx: " + b"x" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(MAX_HEAD_BYTES // 8)),
        b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(MAX_HEADERS + 1)) + b"\r\n",
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 1_000])
async def test_a_head_is_bounded_in_bytes_and_headers_whole_or_in_pieces(head, size):
    async with serving() as served:
        reader, writer = await served.client()
        for start in range(0, len(head), size):
            writer.write(head[start : start + size])
            await asyncio.sleep(0)
        assert refusal(await all_of(reader)) == (431, "LIMIT_EXCEEDED")
        (connection,) = served.server.server_state.connections
        assert len(connection.headers) <= MAX_HEADERS + 1
        writer.close()


async def test_pipelined_requests_are_bounded_and_answered_in_order():
    async with serving() as served:
        sent = [b"GET / HTTP/1.1\r\nhost: %d\r\n\r\n" % number for number in range(MAX_PIPELINED)]
        reader, writer = await served.client(b"".join(sent))
        found = [await answer(reader) for _ in sent]
        assert [body for _, body in found] == [[["host", str(number)]] for number in range(MAX_PIPELINED)]
        writer.close()
        reader, writer = await served.client(GET * 10_000)
        assert (await all_of(reader)).count(b"HTTP/1.1 200") <= MAX_PIPELINED
        writer.close()


async def test_trailers_are_no_headers_of_the_request():
    async with serving() as served:
        head = b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        reader, writer = await served.client(head, b"1\r\na\r\n0\r\nauthorization: Bearer x\r\n\r\n", GET)
        assert await answer(reader) == (200, [["host", "x"], ["transfer-encoding", "chunked"]])
        assert await answer(reader) == (200, [["host", "x"]])
        writer.close()


CHUNKED = b"POST /%b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("path", [b"body", b""])  # the answer waits for the body, or is there before its end
@pytest.mark.parametrize(
    "endless", [b"1\r\na\r\n0\r\nx: ", b"0\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES, b"1;", b"1\r\na\r\n1;x="]
)
async def test_trailers_and_chunk_extensions_are_bounded(path, endless, monkeypatch):
    monkeypatch.setattr(connections, "DISCARD_SECONDS", 0.1)
    async with serving() as served:
        reader, writer = await served.client(CHUNKED % path, endless)
        sending = asyncio.create_task(drip(writer, b"x" * MAX_HEAD_BYTES))
        told = await all_of(reader)
        assert told.count(b"HTTP/1.1") == (told.count(b"HTTP/1.1 200") if path == b"" else 0)
        writer.close()
        await sending


async def test_a_body_in_chunks_of_one_byte_arrives_whole_whatever_other_clients_send(monkeypatch):
    monkeypatch.setattr(parsing, "FIRST_SECONDS", 0)
    monkeypatch.setattr(parsing, "TURN_SECONDS", 0)
    async with serving() as served:
        body = b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
        clients = [await served.client(CHUNKED % b"size", body, GET) for _ in range(3)]
        for reader, writer in clients:
            assert await answer(reader) == (200, 20_000)
            assert (await answer(reader))[0] == 200
            writer.close()


async def test_malformed_http_is_refused_in_the_shape_of_other_errors(caplog):
    seen = []
    end = listen(seen.append)
    async with serving() as served:
        reader, writer = await served.client(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        said = await all_of(reader)
        assert refusal(said) == (400, "BAD_INPUT")
        assert said.lower().count(b"x-content-type-options: nosniff") == 1
        writer.close()
    end()
    assert (seen, caplog.records) == ([ConnectionCut("no http")], [])  # counted, and not written down


def test_connections_can_be_pickled_for_the_process_that_serves():
    given = Connections(ConnectionLimits(**PATIENT), print)
    assert pickle.loads(pickle.dumps(given))._limits == given._limits  # noqa: S301


async def test_memory_of_large_bodies_is_freed_though_few_objects_hold_it():
    class Circle:
        def __init__(self):
            self.itself = self

    body = (
        b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % garbage_collection.COLLECT_AFTER_BYTES
        + bytes(garbage_collection.COLLECT_AFTER_BYTES)
    )
    gc.disable()
    try:
        left = weakref.ref(Circle())
        async with serving() as served:
            reader, writer = await served.client(body)
            assert (await answer(reader))[1] == garbage_collection.COLLECT_AFTER_BYTES
            writer.close()
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        GET[:10],
        GET,
        GET * 40,
        b"no http\r\n\r\n",
        GET.replace(b"/", b"/large", 1),
        GET.replace(b"/", b"/never", 1) * 40,
    ],
    ids=[
        "nothing",
        "half a head",
        "a request",
        "requests ahead",
        "no http",
        "an answer that nobody reads",
        "a request under way",
    ],
)
async def test_closed_connections_are_freed_without_a_collection(sent):
    """A thousand that end together are no garbage then, which everybody would wait for."""
    async with serving() as served:
        gc.disable()
        try:
            _, writer = await served.client(sent)
            await served.until(1)
            connection = next(iter(served.server.server_state.connections))
            for _ in range(1_000):
                if connection.phase is not connections.HEAD or not sent.endswith(b"\n"):
                    break
                await asyncio.sleep(0.001)
            whole = (connection, connection.flow, connection.transport, connection.cycle)
            left = [weakref.ref(each) for each in whole if each]
            del whole
            del connection
            writer.transport.abort()
            await served.until(0)
            for _ in range(1_000):
                if not any(each() for each in left):
                    break
                await asyncio.sleep(0.01)  # the application notices that the client is gone
            assert [each() for each in left] == [None] * len(left)
        finally:
            gc.enable()

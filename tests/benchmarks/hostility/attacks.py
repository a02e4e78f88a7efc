"""Attacks of a tenant or a stranger: each goes on for a while, over a few connections, and ends by itself."""

import asyncio
import base64
import gzip
import json
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from hostility.wire import Wire

PIECE = 1 << 16
CONNECTIONS = 500  # of one tenant


@dataclass(frozen=True, slots=True)
class Target:
    """The target of an attack: its address and headers; the tenant's datasets, one of which holds `big`, a record of 95 kB; when to end."""

    url: str
    headers: dict[str, str]
    records: str
    events: str
    big: str
    issuer: str
    until: float
    numbers: count = field(default_factory=count)  # type: ignore[type-arg]

    def wire(self, *, stranger: bool = False) -> Wire:
        return Wire(self.url, {} if stranger else self.headers)

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until


Attack = Callable[[Target], Awaitable[None]]
ATTACKS: dict[str, tuple[Attack, int]] = {}
"""By name: one attacker's work, again and again until the end, and how many attackers there are."""


def attack(name: str, attackers: int = 4) -> Callable[[Attack], Attack]:
    def noted(run: Attack) -> Attack:
        ATTACKS[name] = (run, attackers)
        return run

    return noted


async def run(name: str, target: Target) -> None:
    """Attack until the end."""
    work, attackers = ATTACKS[name]

    async def again() -> None:
        while target.goes_on:
            begin = time.monotonic()
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(max(target.until - time.monotonic(), 0.1)):
                    await work(target)
            await asyncio.sleep(max(0.01 - (time.monotonic() - begin), 0))

    await asyncio.gather(*(again() for _ in range(attackers)))


# ---------------------------------------------------------------------------------------------- streams


async def _stream(target: Target, body: bytes, *, packed: bool = False, events: bool = False) -> None:
    async with target.wire() as wire:
        more = {"content_encoding": "gzip"} if packed else {}
        await wire.stream(target.events if events else target.records, body, **more)


@attack("16 million blank lines, packed")
async def blank_lines(target: Target) -> None:
    await _stream(target, _BLANK, packed=True)


@attack("lines of one byte, packed")
async def short_lines(target: Target) -> None:
    await _stream(target, _SHORT, packed=True)


@attack("gzip members of nothing")
async def members(target: Target) -> None:
    await _stream(target, gzip.compress(b"") * 50_000, packed=True)


@attack("a line without end, packed")
async def endless_line(target: Target) -> None:
    await _stream(target, _ENDLESS, packed=True)


@attack("lines of 1 MB")
async def long_lines(target: Target) -> None:
    await _stream(target, (b"[" * (1 << 20) + b"\n") * 8)


@attack("numbers and nesting that cannot be stored")
async def unstorable(target: Target) -> None:
    number = b'{"_id": "n", "timestamp": "2026-01-01T00:00:00Z", "num": 1e-16384}\n'
    await _stream(target, (number + b'{"a":' * 300 + b"1" + b"}" * 300 + b"\n") * 500, events=True)


@attack("documents with thirty thousand faults")
async def faults(target: Target) -> None:
    await _stream(target, (b'{"personalEmail": {"address": [' + b'"",' * 30_000 + b'""]}}\n') * 20)


@attack("records of 95 kB about the same people")
async def large_records(target: Target) -> None:
    lines = [_record(f"same{n % 5}@example.com", size=95_000) for n in range(30)]
    await _stream(target, b"\n".join(lines))


@attack("records of twenty identities that all hang together")
async def crowds(target: Target) -> None:
    def line() -> bytes:
        named = [{"id": f"crowd{random.randrange(500)}@example.com"} for _ in range(20)]
        named[0]["primary"] = True  # type: ignore[assignment]
        return json.dumps({"identityMap": {"Email": named}}).encode()

    await _stream(target, b"\n".join(line() for _ in range(200)))


@attack("streams that fall silent, 14 at once", 14)
async def silent_streams(target: Target) -> None:
    async with target.wire() as wire:
        path = f"/ingest/{target.records}"
        body = _record(f"silent{next(target.numbers)}@example.com") + b"\n"
        await wire.send(wire.head("POST", path, content_type="application/x-ndjson", content_length=10_000) + body)
        await wire.answer()


def _record(address: str, size: int = 0) -> bytes:
    named = {"Email": [{"id": address, "primary": True}]}
    return json.dumps({"identityMap": named, "person": {"name": {"firstName": "x" * size or "Eve"}}}).encode()


_BLANK = gzip.compress(b"\n" * 16_000_000)
_SHORT = gzip.compress(b"1\n" * 2_000_000)
_ENDLESS = gzip.compress(b"x" * 100_000_000)

# ---------------------------------------------------------------------------------------------- operations


async def _operation(target: Target, query: str, **variables: object) -> None:
    async with target.wire() as wire:
        await wire.graphql(query, **variables)


@attack("480 aliases of one field")
async def aliases(target: Target) -> None:
    fields = " ".join("viewer { organization }" for _ in range(480))
    await _operation(target, "{ " + fields + " }")


@attack("fifteen lists of all types")
async def introspection(target: Target) -> None:
    fields = " ".join(f"a{n}: types @include(if: $x) {{ ...F }}" for n in range(15))
    fragment = "fragment F on __Type { name description fields { name description type { name ofType { name } } } }"
    spoiled = f"query A{next(target.numbers)}($x: Boolean!) {{ viewer {{ organization }} __schema {{ {fields} }} }} {fragment}"
    await _operation(target, spoiled, x=True)


@attack("a chain of 240 fragments")
async def fragments(target: Target) -> None:
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(240))
    await _operation(target, f"{{ ...F0 }} {chain} fragment F240 on Query {{ __typename }}")


@attack("documents that are never the same")
async def new_documents(target: Target) -> None:
    async with target.wire() as wire:
        while target.goes_on:
            names = [f"a{random.getrandbits(60):x}" for _ in range(20)]
            fields = " ".join(f"{name}: datasets(first: 1) {{ totalCount }}" for name in names)
            await wire.graphql(f"{{ {fields} }}")


@attack("a record of 95 kB a thousand times over")
async def same_key(target: Target) -> None:
    keys = [{"key": {"namespace": "Email", "value": target.big}}] * 1_000
    lists = " ".join(f"a{n}: profiles(identities: $keys) {{ profile {{ entityJson }} }}" for n in range(5))
    await _operation(target, f"query ($keys: [IdentityInput!]!) {{ {lists} }}", keys=keys)


@attack("schemas of 200 patterns")
async def patterns(target: Target) -> None:
    fields = {f"f{n}": {"type": "string", "pattern": f"[\\p{{L}}\\p{{M}}]{{0,60}}|a{n}"} for n in range(200)}
    given = {
        "title": f"P{random.getrandbits(60):x}",
        "class": "INDIVIDUAL_PROFILE",
        "customFields": {"p": _fields(fields)},
    }
    await _operation(target, _CREATE_SCHEMA, input=given)


@attack("schemas with a description of 5 MB")
async def descriptions(target: Target) -> None:
    fields = {"f": {"type": "string", "description": "x" * 5_000_000}}
    given = {"title": f"D{random.getrandbits(60):x}", "class": "INDIVIDUAL_PROFILE", "customFields": fields}
    await _operation(target, _CREATE_SCHEMA, input=given)


@attack("twenty simulations of 5,000 identities")
async def simulations(target: Target) -> None:
    events = [
        {"identities": [{"namespace": "Email", "value": f"{n}-{m}@x.io"} for m in range(5)]} for n in range(1_000)
    ]
    fields = " ".join(f"a{n}: simulateIdentityGraph(events: $events) {{ identities {{ value }} }}" for n in range(20))
    await _operation(target, f"query ($events: [SimulatedEventInput!]!) {{ {fields} }}", events=events)


@attack("bodies of millions of values")
async def values(target: Target) -> None:
    async with target.wire() as wire:
        body = b'{"query": "{ __typename }", "variables": {"a": [' + b"[]," * 2_600_000 + b"1]}}"
        await wire.ask("POST", "/graphql", body, content_type="application/json")


@attack("500 connections that look up a person", CONNECTIONS)
async def look_ups(target: Target) -> None:
    query = 'query ($v: String!) { profile(identity: {key: {namespace: "Email", value: $v}}) { id entityJson } }'
    async with target.wire() as wire:
        while target.goes_on:
            await wire.graphql(query, v=target.big)


@attack("500 connections with mutations of 100 documents", CONNECTIONS)
async def mutations(target: Target) -> None:
    query = """mutation ($input: IngestRecordsInput!) { ingestRecords(input: $input) { accepted } }"""
    documents = [json.loads(_record(f"m{random.randrange(10_000)}@example.com")) for _ in range(100)]
    async with target.wire() as wire:
        await wire.graphql(query, input={"datasetId": target.records, "documents": documents})


@attack("thirty payloads of fifty large profiles")
async def payloads(target: Target) -> None:
    fields = " ".join(f"a{n}: linkIdentities(input: {{a: $big, b: {_email(f'p{n}')}}}) {{ ...F }}" for n in range(30))
    shown = "{ identityGraphs { identities { profile { entityJson } } } }"
    query = f"mutation ($big: IdentityInput!) {{ {fields} }} fragment F on IdentityGraphPayload {shown}"
    await _operation(target, query, big={"key": {"namespace": "Email", "value": target.big}})


def _email(name: str) -> str:
    return f'{{key: {{namespace: "Email", value: "{name}@example.com"}}}}'


def _fields(fields: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": fields}


_CREATE_SCHEMA = "mutation ($input: CreateSchemaInput!) { createSchema(input: $input) { userErrors { code } } }"

# ---------------------------------------------------------------------------------------------- strangers


@attack("1,200 connections that send nothing", 1_200)
async def silence(target: Target) -> None:
    async with target.wire(stranger=True) as wire:
        await wire.reader.read()


@attack("1,200 connections that send a letter each half second", 1_200)
async def letters(target: Target) -> None:
    async with target.wire(stranger=True) as wire:
        for letter in b"GET /healthz HTTP/1.1\r\n" + b"x" * 10_000:
            await wire.send(bytes([letter]))
            await asyncio.sleep(0.5)


@attack("heads without a body, and bodies of 10^17 bytes", 600)
async def bodiless(target: Target) -> None:
    for length, stranger in ((100, False), (10**17, False), (10**17, True)):
        async with target.wire(stranger=stranger) as wire:
            await wire.send(wire.head("POST", "/graphql", content_type="application/json", content_length=length))
            await wire.reader.read()


@attack("requests without end, sent ahead")
async def pipelined(target: Target) -> None:
    async with target.wire(stranger=True) as wire:
        await wire.send(wire.head("GET", "/healthz") * 10_000)
        await wire.reader.read()


@attack("answers that nobody reads", 50)
async def unread(target: Target) -> None:
    async with target.wire(stranger=True) as wire:
        wire.writer.transport.pause_reading()
        while target.goes_on:
            await wire.send(wire.head("GET", "/schema.graphql"))
            await asyncio.sleep(0.05)


@attack("tokens of an issuer that hangs", 12)
async def unknown_keys(target: Target) -> None:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    token = f"{part({'alg': 'RS256', 'kid': f'{random.getrandbits(60):x}'})}.{part({'iss': target.issuer})}.AAAA"
    async with Wire(target.url, target.headers | {"Authorization": f"Bearer {token}"}) as wire:
        await wire.graphql("{ __typename }")


@attack("wrong credentials and odd headers", 50)
async def strangers(target: Target) -> None:
    odd = {"x-api-key": f"{random.getrandbits(60):x}"}
    async with Wire(target.url, target.headers | odd) as wire:
        await wire.graphql("{ __typename }")
        await wire.ask("POST", "/graphql", b"{}", content_type="application/json; x*=a; x*0=b")
        await wire.ask("GET", "/metrics")


@attack("bodies in chunks of one byte", 20)
async def tiny_chunks(target: Target) -> None:
    for stranger, path in ((True, "/graphql"), (False, f"/ingest/{target.records}")):
        async with target.wire(stranger=stranger) as wire:
            await wire.send(_chunked(wire, path))
            for _ in range(20):
                await wire.send(b"1\r\nx\r\n" * 10_000)


@attack("trailers without end")
async def endless_trailers(target: Target) -> None:
    for stranger, path in ((True, "/graphql"), (False, f"/ingest/{target.records}")):
        async with target.wire(stranger=stranger) as wire:
            await wire.send(_chunked(wire, path) + b"0\r\nx: ")
            for _ in range(200):
                await wire.send(b"x" * PIECE)


def _chunked(wire: Wire, path: str) -> bytes:
    content_type = "application/json" if path == "/graphql" else "application/x-ndjson"
    return wire.head("POST", path, content_type=content_type, transfer_encoding="chunked")


@attack("what is no HTTP, and heads of 100 kB", 20)
async def garbage(target: Target) -> None:
    for sent in (random.randbytes(2_000), b"GET /" + b"x" * 100_000, b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000):
        async with target.wire(stranger=True) as wire:
            await wire.send(sent)
            await wire.reader.read()

"""HTTP/1.1 by hand: what a hostile client sends is more than a library would let it, and a good one must not cost more than what it measures."""

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

PATIENCE = 60  # seconds for an answer
SEND_BYTES = 1 << 16
"""What the kernel keeps of what a caller has sent and nobody has read. It is the attacker's memory on a network, and on one machine it is
ours: thousands of closed connections with megabytes each exhaust what the kernel has for TCP, and every new connection waits."""


class Wire:
    """One connection."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        at = urlsplit(url)
        self._at = (at.hostname, at.port)
        self._headers = {"host": at.netloc, **headers}

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self._at, limit=1 << 22)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def head(self, method: str, path: str, **more: object) -> bytes:
        """A head; `content_type="x"` is a header."""
        headers = self._headers | {name.replace("_", "-"): str(value) for name, value in more.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    async def send(self, data: bytes) -> None:
        """Send it, as fast as it is read."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """The status and body of the next answer."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            found = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            body = await self.reader.readexactly(int(found[0][15:])) if found else b""
            return int(head[9:12]), body

    async def ask(self, method: str, path: str, body: bytes = b"", **more: object) -> tuple[int, bytes]:
        """Send a request and read its answer."""
        await self.send(self.head(method, path, content_length=len(body), **more) + body)
        return await self.answer()

    async def graphql(self, query: str, **variables: Any) -> tuple[int, bytes]:
        """Run an operation."""
        text = json.dumps({"query": query, "variables": variables}).encode()
        return await self.ask("POST", "/graphql", text, content_type="application/json")

    async def data(self, query: str, **variables: Any) -> Any:
        """The data of an operation that goes well."""
        _, body = await self.graphql(query, **variables)
        told = json.loads(body)
        assert "errors" not in told, told
        return told["data"]

    async def stream(self, dataset_id: str, body: bytes, **more: object) -> tuple[int, bytes]:
        """Send documents."""
        return await self.ask("POST", f"/ingest/{dataset_id}", body, content_type="application/x-ndjson", **more)

"""A server of public keys, as issuers of tokens have one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


@dataclass
class KeyServer:
    """Serves public keys over HTTP. `answer` can be changed; `asked` counts who came; none of it is answered until it `speaks`."""

    url: str = ""
    asked: int = 0
    answer: bytes = b""
    status: str = "200 OK"
    more: str = ""
    speaks: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as long as it may speak."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody asks."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        self.came.set()
        await reader.readuntil(b"\r\n\r\n")
        await self.speaks.wait()
        head = f"HTTP/1.1 {self.status}\r\ncontent-length: {len(self.answer)}\r\n{self.more}connection: close\r\n\r\n"
        with suppress(ConnectionError):
            writer.write(head.encode() + self.answer)
            await writer.drain()
        writer.close()


def key_set(**keys: Any) -> bytes:
    """A JSON Web Key Set with these keys under these ids."""
    algorithms = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    listed = [
        json.loads(kind.to_jwk(key.public_key())) | {"kid": name, "use": "sig"}
        for name, key in keys.items()
        for private, kind in algorithms.items()
        if isinstance(key, private)
    ]
    return json.dumps({"keys": listed}).encode()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[KeyServer]:
    """Serve this on a free port as long as the block lasts."""
    serves = KeyServer(answer=answer)
    serves.speaks.set()
    server = await asyncio.start_server(serves.handle, "127.0.0.1", 0)
    serves.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    async with server:
        yield serves
        serves.speaks.set()

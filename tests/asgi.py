"""Requests to an application as it gets them from a server, past everything that a server or a client would refuse before."""

import gzip
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import orjson

QUERY = b'{"query": "{ __typename }"}'


class Answer(NamedTuple):
    """An answer as it leaves the application."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.headers if key.lower() == name.encode()]

    def json(self) -> Any:
        """Its body, parsed."""
        return orjson.loads(gzip.decompress(self.body) if self.all("content-encoding") else self.body)

    def code(self) -> str:
        """The code of its one error, which has GraphQL's shape."""
        assert self.all("content-type")[0].startswith(("application/json", "application/graphql-response+json"))
        (error,) = self.json()["errors"]
        assert error["message"]
        code: str = error["extensions"]["code"]
        return code


async def ask(
    app: Any,
    method: str,
    path: str,
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: bytes | Callable[[], Awaitable[bytes]] = QUERY,
    *,
    query_string: bytes = b"",
) -> Answer:
    """Send a request; a body that is a function is sent when it is asked for."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body if isinstance(body, bytes) else await body()}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    named = {name for name, _ in headers}
    more = [] if b"host" in named else [(b"host", b"127.0.0.1:8000")]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query_string}
    scope |= {"headers": [*more, *headers], "root_path": "", "scheme": "http", "server": ("127.0.0.1", 8000)}
    await app(scope, receive, send)
    start, *pieces = sent
    return Answer(start["status"], start["headers"], b"".join(piece.get("body", b"") for piece in pieces))


def lines(**headers: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]

"""The head of a request: what the front door has read of it, for the route behind it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.types import Scope

from gateway.server.http.auth import HEADERS
from gateway.server.http.negotiation import Codings, codings

READ: Final = {
    name.encode(): name
    for name in (*HEADERS, "accept", "accept-encoding", "content-length", "content-type", "host", "transfer-encoding")
}
"""The headers that are read, by their bytes."""


class RequestHead(NamedTuple):
    """The headers of READ that a request has, by lower-case names, and the codings in which its response may be sent.

    Of several headers with one name the first counts.
    """

    headers: Mapping[str, str]
    codings: Codings


def read_head(scope: Scope) -> RequestHead:
    """Read the head of a request."""
    headers = {READ[name]: value.decode("latin-1") for name, value in reversed(scope["headers"]) if name in READ}
    return RequestHead(headers, codings(headers.get("accept-encoding")))

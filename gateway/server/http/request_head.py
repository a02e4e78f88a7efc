"""The headers of a request that the gateway reads itself, by lower-case names; of several with one name the first counts."""

from typing import Final

from starlette.types import Scope

from gateway.server.http.auth import HEADERS

READ: Final = {
    name.encode(): name
    for name in (*HEADERS, "accept", "accept-encoding", "content-length", "content-type", "host", "transfer-encoding")
}
"""The headers that are read, by their bytes."""


def read_headers(scope: Scope) -> dict[str, str]:
    """Return the values of the headers of READ that a request has."""
    return {READ[name]: value.decode("latin-1") for name, value in reversed(scope["headers"]) if name in READ}

"""The public keys of other issuers, fetched when a token names an unknown key.

A sender of a token chooses the key id in it, and issuers may be slow or hostile. So all requests share one fetch, which has a deadline
and a size limit, runs on the event loop without a thread, and is not repeated for a while, whether it succeeds or fails.
"""

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Final

import httpx
import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from gateway.errors import Unavailable
from gateway.settings import TokenIssuer
from gateway.telemetry import IssuerKeysFetched, observe

FETCH_SECONDS: Final = 5
"""Deadline of one fetch, from the connection to the last byte."""

INTERVAL_SECONDS: Final = 10
"""Shortest time between the beginnings of two fetches from one issuer, also for unknown key ids and an unreachable issuer."""

FRESH_SECONDS: Final = 300
"""Keys older than this are fetched again before they are used, so that a withdrawn one is no longer accepted."""

STALE_SECONDS: Final = 3600
"""Keys are used so long after their fetch while the issuer cannot be reached."""

MAX_KEY_SET_BYTES: Final = 256 * 1024
"""Of a response of an issuer; a longer one is not read to its end."""

MAX_KEYS: Final = 100
"""Keys of one issuer; further ones are ignored."""


class IssuerKeys:
    """The keys of one issuer by their ids. `clock` returns monotonic seconds."""

    def __init__(self, issuer: TokenIssuer, clock: Callable[[], float] = monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._trusted = ssl.create_default_context()  # the system's authorities, as for any other program here
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = self._begun_at = float("-inf")
        self._is_unreachable = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> PyJWK:
        """Return the key of this id. Raises KeyError where the issuer has none, Unavailable where it cannot be asked."""
        if key_id not in self._keys or self._clock() - self._fetched_at > FRESH_SECONDS:
            await self._refresh()
        if key_id in self._keys and self._clock() - self._fetched_at <= STALE_SECONDS:
            return self._keys[key_id]
        if self._is_unreachable:
            raise Unavailable("The keys of the token's issuer cannot be fetched now; try again.")
        raise KeyError(key_id)

    async def _refresh(self) -> None:
        """Wait for the fetch that is under way, or for a new one if the last one began long enough ago."""
        if self._fetching is None:
            now = self._clock()
            if now - self._begun_at < INTERVAL_SECONDS:
                return
            self._begun_at = now
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)  # a caller that is cancelled leaves the fetch to the others

    async def _fetch(self) -> None:
        begin = monotonic()
        reason: str | None = "it broke off"
        try:
            self._keys = _usable(await self._download())
            self._fetched_at, reason = self._clock(), None
        except TimeoutError:
            reason = f"no answer within {FETCH_SECONDS} s"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._is_unreachable = reason is not None
            self._fetching = None
        observe(IssuerKeysFetched(self._issuer.issuer, reason, monotonic() - begin))

    async def _download(self) -> bytes:
        """Return the answer's body. No redirect is followed: the address of the keys is the one that was set."""
        body = bytearray()
        given = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            asyncio.timeout(FETCH_SECONDS),
            httpx.AsyncClient(verify=self._trusted, timeout=FETCH_SECONDS) as client,
            client.stream("GET", self._issuer.jwks_url, headers=given) as answer,
        ):
            answer.raise_for_status()
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MAX_KEY_SET_BYTES:
                    raise ValueError(f"the answer has more than {MAX_KEY_SET_BYTES:,} bytes")
        return bytes(body)


def _usable(body: bytes) -> dict[str, PyJWK]:
    """Return the keys of a JSON Web Key Set that sign and have an id. Raises ValueError where the body is no such set."""
    key_set = orjson.loads(body)
    listed = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer is no JSON Web Key Set")  # noqa: TRY004 # about the response, not about an argument
    keys: dict[str, PyJWK] = {}
    for one in listed[:MAX_KEYS]:
        try:
            key = PyJWK(one)
        except (PyJWTError, AttributeError, KeyError, TypeError, ValueError):
            continue  # of an unknown kind, or broken
        if isinstance(key.key_id, str) and key.public_key_use in {None, "sig"}:
            keys[key.key_id] = key
    return keys

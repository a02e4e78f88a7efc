"""The public keys of other issuers, fetched when a token names an unknown key.

A sender of a token chooses the key id in it, and issuers may be slow or hostile. So all requests share one fetch, which has a deadline
and a size limit, runs on the event loop without a thread, and is not repeated for a while, whether it succeeds or fails.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

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

PUBLIC_MEMBERS: Final = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
"""What is passed on of a key (RFC 7518): nothing by which one could sign."""


class IssuerKeys:
    """The keys of one issuer by their ids. `clock` returns monotonic seconds."""

    def __init__(self, issuer: TokenIssuer, clock: Callable[[], float] = monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._trusted = ssl.create_default_context()  # the system's authorities, as for any other program here
        self._made_at = clock()
        self._keys: dict[str, PyJWK] = {}
        self._published: str | None = None
        self._fetched_at = self._begun_at = float("-inf")
        self._is_unreachable = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> PyJWK:
        """Return the key of this id. Raises KeyError where the issuer has none, Unavailable where it cannot be asked."""
        if key_id not in self._keys or self._clock() - self._fetched_at > FRESH_SECONDS:
            await self.refresh()
        if key_id in self._keys and self._clock() - self._fetched_at <= STALE_SECONDS:
            return self._keys[key_id]
        if self._is_unreachable:
            raise Unavailable("The keys of the token's issuer cannot be fetched now; try again.")
        raise KeyError(key_id)

    def published(self) -> str | None:
        """Return the keys that are used now as a JSON Web Key Set, of none once they are too old; None where nothing is known of them yet."""
        if self._clock() - max(self._fetched_at, self._made_at) > STALE_SECONDS:
            return _key_set([])
        return self._published

    async def refresh(self) -> None:
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
            found = _usable(await self._download())
            self._keys = {str(key.key_id): key for key, _ in found}
            self._published = _key_set([public for _, public in found])
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


@dataclass(frozen=True, slots=True)
class HeldIssuer:
    """Another issuer whose keys are given, and never fetched. Its clock may differ from ours by `leeway` seconds."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway: float
    keys: Mapping[str, PyJWK]

    async def find(self, key_id: str) -> PyJWK:
        """Return the key of this id. Raises KeyError where there is none."""
        return self.keys[key_id]


def usable_keys(body: bytes | str) -> dict[str, PyJWK]:
    """Return the keys of a JSON Web Key Set that sign and have an id, by their ids. Raises ValueError where the body is no such set."""
    return {str(key.key_id): key for key, _ in _usable(body)}


def _usable(body: bytes | str) -> Sequence[tuple[PyJWK, Mapping[str, Any]]]:
    """Return the keys of a set that sign and have an id, each with what is public of it in the set. Raises ValueError."""
    read = orjson.loads(body)
    listed = read.get("keys") if isinstance(read, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer is no JSON Web Key Set")  # noqa: TRY004 # about the response, not about an argument
    found = []
    for one in listed[:MAX_KEYS]:
        try:
            key = PyJWK(one)
        except (PyJWTError, AttributeError, KeyError, TypeError, ValueError):
            continue  # of an unknown kind, or broken
        if isinstance(key.key_id, str) and key.public_key_use in {None, "sig"}:
            found.append((key, {name: one[name] for name in PUBLIC_MEMBERS if name in one}))
    return found


def _key_set(keys: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps({"keys": keys}).decode()

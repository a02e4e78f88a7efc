"""Tokens: what they say, how ours are made, and whose are believed.

A token carries the organization and the sandboxes it is good for, so that a header can only select among them. Ours are signed with
HS256 and a secret that stays in the data directory; other issuers sign with keys that we fetch, by the algorithms pinned for them.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from time import time
from typing import Any
from uuid import UUID

import jwt
from jwt import PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError

from gateway.domain.tenants import Permission
from gateway.errors import Unauthenticated, Unavailable
from gateway.settings import TokenIssuer

OURS = "profile-gateway"  # issuer and audience of our own tokens
LIFETIME = timedelta(hours=24)
EVERY_SANDBOX = "*"
REMEMBERED = 1_000  # tokens whose signature need not be checked again
REQUIRED = ["exp", "iss", "aud", "org", "sandboxes", "scope"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a believed token says. `sandboxes` are names, or `*` for all; `expires_at` is in seconds since 1970."""

    organization_id: UUID
    sandboxes: frozenset[str]
    permissions: frozenset[Permission]
    expires_at: float

    def cover(self, sandbox: str) -> bool:
        """Whether the token is good for the sandbox of this name."""
        return not self.sandboxes.isdisjoint({sandbox, EVERY_SANDBOX})


def issue_token(
    secret: str,
    organization_id: UUID,
    permissions: Iterable[Permission],
    sandboxes: Sequence[str] = (EVERY_SANDBOX,),
    lifetime: timedelta = LIFETIME,
) -> str:
    """A token of ours, good for a day unless said otherwise."""
    now = datetime.now(UTC)
    claims = {
        "iss": OURS,
        "aud": OURS,
        "iat": now,
        "exp": now + lifetime,
        "org": str(organization_id),
        "sandboxes": list(sandboxes),
        "scope": " ".join(permissions),
    }
    return jwt.encode(claims, secret, algorithm="HS256")


class TokenReader:
    """Believes our tokens, and those of the issuers it is given."""

    def __init__(self, secret: str, issuers: Sequence[TokenIssuer] = ()) -> None:
        self._secret = secret
        self._issuers = {issuer.issuer: (issuer, PyJWKClient(issuer.jwks_url, timeout=5)) for issuer in issuers}
        self._believed: dict[str, Claims] = {}

    async def read(self, token: str) -> Claims:
        """The claims of a token that is valid now. Raises Unauthenticated; Unavailable when its issuer's keys cannot be had."""
        claims = self._believed.get(token)
        if claims is None:
            claims = await self._verify(token)
            self._remember(token, claims)
        if claims.expires_at <= time():
            self._believed.pop(token, None)
            raise _invalid()
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            # Unverified, and used for nothing but finding the keys and algorithms that must verify it.
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            if issuer == OURS:
                return _claims(_decode(token, self._secret, ["HS256"], OURS, OURS))
            if issuer in self._issuers:
                return await asyncio.to_thread(partial(self._verify_foreign, token, issuer))
        except PyJWKClientConnectionError as error:
            raise Unavailable("The keys of the token's issuer cannot be fetched now; try again.") from error
        except (PyJWTError, KeyError, TypeError, ValueError) as error:
            raise _invalid() from error
        raise _invalid()

    def _verify_foreign(self, token: str, name: str) -> Claims:
        issuer, keys = self._issuers[name]
        key = keys.get_signing_key_from_jwt(token)
        return _claims(_decode(token, key.key, issuer.algorithms, issuer.audience, name))

    def _remember(self, token: str, claims: Claims) -> None:
        if len(self._believed) >= REMEMBERED:
            self._believed.pop(next(iter(self._believed)))
        self._believed[token] = claims


def _decode(token: str, key: Any, algorithms: Sequence[str], audience: str, issuer: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(
        token, key, algorithms=list(algorithms), audience=audience, issuer=issuer, options={"require": REQUIRED}
    )
    return claims


def _claims(said: Mapping[str, Any]) -> Claims:
    """What the claims mean here; scopes of other services are none of ours. Raises TypeError, ValueError for claims of another shape."""
    organization, sandboxes, scope = said["org"], said["sandboxes"], said["scope"]
    if not (isinstance(organization, str) and isinstance(sandboxes, list) and isinstance(scope, str)):
        raise TypeError("org and scope are texts, sandboxes is a list")
    known = frozenset(Permission)
    permissions = frozenset(Permission(word) for word in scope.split() if word in known)
    return Claims(UUID(organization), frozenset(sandboxes), permissions, float(said["exp"]))


def _invalid() -> Unauthenticated:
    return Unauthenticated("Oauth token is not valid", status=401, error_code="401013")

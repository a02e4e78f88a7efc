"""Verifies tokens: ours, and those of other issuers, by the algorithms that the settings pin for each and by keys that are fetched."""

from collections.abc import Sequence
from time import time
from typing import Any
from uuid import UUID

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from gateway.domain.rules.scope import Permission
from gateway.errors import Unauthenticated
from gateway.runtime.cache import WeightedCache
from gateway.server.issuers import IssuerKeys
from gateway.server.tokens import ALGORITHM, Claims
from gateway.settings import OWN_ISSUER, TokenIssuer

MAX_CACHED_TOKENS = 1_000
MAX_SUBJECT_CHARACTERS = 255  # as OpenID Connect limits it
REQUIRED = ["exp", "iss", "aud", "org", "sandboxes", "scope"]

# Raised by a payload of another shape, size or depth.
MALFORMED = (KeyError, OverflowError, RecursionError, TypeError, ValueError)


class TokenReader:
    """Verifies tokens of ours and of these issuers. Clocks of issuers may differ from ours by `leeway` seconds."""

    def __init__(self, secret: str, issuers: Sequence[TokenIssuer] = (), leeway: float = 0) -> None:
        self._secret = secret
        self._leeway = leeway
        self._issuers = {issuer.issuer: (issuer, IssuerKeys(issuer)) for issuer in issuers}
        self._verified: WeightedCache[str, Claims] = WeightedCache(MAX_CACHED_TOKENS)

    async def read(self, token: str) -> Claims:
        """Return the claims of a token that is valid now. Raises Unauthenticated; Unavailable when its issuer's keys cannot be fetched.

        A token of ours, or one that was verified before, needs no fetch.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = await self._verify(token)
            self._verified.put(token, claims, 1)
        if claims.expires_at <= time():
            self._verified.drop(token)
            raise _expired()
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            # Unverified, and used for nothing but finding the keys and algorithms that must verify it.
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            if issuer == OWN_ISSUER:
                return self._claims(token, self._secret, [ALGORITHM], OWN_ISSUER, OWN_ISSUER)
            if issuer in self._issuers:
                return await self._verify_foreign(token, issuer)
        except ExpiredSignatureError as error:
            raise _expired() from error
        except (PyJWTError, *MALFORMED) as error:
            raise _invalid() from error
        raise _invalid()

    async def _verify_foreign(self, token: str, name: str) -> Claims:
        issuer, keys = self._issuers[name]
        header = jwt.get_unverified_header(token)
        if header["alg"] not in issuer.algorithms:
            raise _invalid()  # before its keys are fetched
        key = await keys.find(header["kid"])
        return self._claims(token, key.key, issuer.algorithms, issuer.audience, name)

    def _claims(self, token: str, key: Any, algorithms: Sequence[str], audience: str, issuer: str) -> Claims:
        """Return the claims of a token that this key signed. Raises PyJWTError, or one of MALFORMED for claims of another shape."""
        payload = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            leeway=self._leeway,
            options={"require": REQUIRED},
        )
        organization, sandboxes, scope = payload["org"], payload["sandboxes"], payload["scope"]
        if not (isinstance(organization, str) and isinstance(sandboxes, list) and isinstance(scope, str)):
            raise TypeError("org and scope are texts, sandboxes is a list")
        known = frozenset(Permission)  # scopes of other services are ignored
        permissions = frozenset(Permission(word) for word in scope.split() if word in known)
        return Claims(
            subject=_subject(payload.get("sub", issuer)),
            organization_id=UUID(organization),
            sandboxes=frozenset(sandboxes),
            permissions=permissions,
            expires_at=float(payload["exp"]) + self._leeway,
        )


def _subject(given: Any) -> str:
    """Return the subject of a token; one that names none is named by its issuer, which vouches for it. Raises TypeError, ValueError."""
    if not isinstance(given, str):
        raise TypeError("sub is a text")
    if not 0 < len(given) <= MAX_SUBJECT_CHARACTERS or not given.isprintable():
        raise ValueError("no name of anybody")
    return given


def _invalid() -> Unauthenticated:
    return Unauthenticated("Oauth token is not valid", status=401, error_code="401013")


def _expired() -> Unauthenticated:
    message = "Oauth token is not valid: it has expired. `gateway token` prints a new one; other issuers give theirs."
    return Unauthenticated(message, status=401, error_code="401013")

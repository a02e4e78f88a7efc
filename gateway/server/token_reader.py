"""Whose tokens are believed: ours, and those of other issuers by the algorithms that are pinned for them, signed with keys that we fetch."""

from collections.abc import Sequence
from time import time
from typing import Any
from uuid import UUID

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from gateway.domain.rules.scope import Permission
from gateway.errors import Unauthenticated
from gateway.server.issuers import IssuerKeys
from gateway.server.tokens import ALGORITHM, Claims
from gateway.settings import OWN_ISSUER, TokenIssuer

REMEMBERED = 1_000  # tokens whose signature need not be checked again
REQUIRED = ["exp", "iss", "aud", "org", "sandboxes", "scope"]

# What a payload of another shape, size or depth raises.
MALFORMED = (KeyError, OverflowError, RecursionError, TypeError, ValueError)


class TokenReader:
    """Believes our tokens, and those of the issuers it is given. The clocks of who issued them may differ by `leeway` seconds."""

    def __init__(self, secret: str, issuers: Sequence[TokenIssuer] = (), leeway: float = 0) -> None:
        self._secret = secret
        self._leeway = leeway
        self._issuers = {issuer.issuer: (issuer, IssuerKeys(issuer)) for issuer in issuers}
        self._believed: dict[str, Claims] = {}

    async def read(self, token: str) -> Claims:
        """The claims of a token that is valid now. Raises Unauthenticated; Unavailable when its issuer's keys cannot be had.

        Of a token of ours, or one that was believed before, nothing is waited for.
        """
        claims = self._believed.get(token)
        if claims is None:
            claims = await self._verify(token)
            self._remember(token, claims)
        if claims.expires_at <= time():
            self._believed.pop(token, None)
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
            raise _invalid()  # before its keys are asked for
        key = await keys.find(header["kid"])
        return self._claims(token, key.key, issuer.algorithms, issuer.audience, name)

    def _claims(self, token: str, key: Any, algorithms: Sequence[str], audience: str, issuer: str) -> Claims:
        """What a token says that this key signed. Raises PyJWTError, or one of MALFORMED for claims of another shape."""
        said = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            leeway=self._leeway,
            options={"require": REQUIRED},
        )
        organization, sandboxes, scope = said["org"], said["sandboxes"], said["scope"]
        if not (isinstance(organization, str) and isinstance(sandboxes, list) and isinstance(scope, str)):
            raise TypeError("org and scope are texts, sandboxes is a list")
        known = frozenset(Permission)  # scopes of other services are none of ours
        permissions = frozenset(Permission(word) for word in scope.split() if word in known)
        return Claims(UUID(organization), frozenset(sandboxes), permissions, float(said["exp"]) + self._leeway)

    def _remember(self, token: str, claims: Claims) -> None:
        if len(self._believed) >= REMEMBERED:
            self._believed.pop(next(iter(self._believed)))
        self._believed[token] = claims


def _invalid() -> Unauthenticated:
    return Unauthenticated("Oauth token is not valid", status=401, error_code="401013")


def _expired() -> Unauthenticated:
    """Only whoever holds a token that was good learns this: its signature is right."""
    message = "Oauth token is not valid: it has expired. `gateway token` prints a new one; other issuers give theirs."
    return Unauthenticated(message, status=401, error_code="401013")

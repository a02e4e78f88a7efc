"""Verifies tokens: ours, and those of other issuers, by the algorithms that are pinned for each, and by keys that are fetched or given."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from time import time
from typing import Any
from uuid import UUID

import jwt
from jwt.exceptions import ExpiredSignatureError, InvalidSignatureError, PyJWTError

from gateway.domain.config.tokens import MAX_TOKEN_ID, Binding, signing_key_hash, token_hash
from gateway.domain.rules.scope import Permission
from gateway.errors import Unauthenticated
from gateway.runtime.cache import WeightedCache
from gateway.server.issuers import HeldIssuer, IssuerKeys
from gateway.server.signing_keys import TokenKeys
from gateway.server.tokens import BOUND, Claims
from gateway.settings import OWN_ISSUER, TokenIssuer

MAX_CACHED_TOKENS = 1_000
MAX_SUBJECT_CHARACTERS = 255  # as OpenID Connect limits it
REQUIRED = ["exp", "iss", "aud", "org", "sandboxes", "scope"]

# Raised by a payload of another shape, size or depth.
MALFORMED = (KeyError, OverflowError, RecursionError, TypeError, ValueError)


class TokenReader:
    """Verifies tokens of ours and of these issuers. Clocks of issuers may differ from ours by `leeway` seconds.

    `reread` is called when a token names a signing key that is not known: another process may have replaced the keys meanwhile.
    """

    def __init__(
        self,
        keys: TokenKeys,
        issuers: Iterable[TokenIssuer | HeldIssuer] = (),
        leeway: float = 0,
        reread: Callable[[], TokenKeys | None] = lambda: None,
    ) -> None:
        self._keys = keys
        self._reread = reread
        self._leeway = leeway
        self._issuers = {
            each.issuer: (each, each if isinstance(each, HeldIssuer) else IssuerKeys(each)) for each in issuers
        }
        self._verified: WeightedCache[str, Claims] = WeightedCache(MAX_CACHED_TOKENS)

    async def read(self, token: str) -> Claims:
        """Return the claims of a token that is valid now. Raises Unauthenticated; Unavailable when its issuer's keys cannot be fetched.

        A token of ours, or one that was verified before, needs no fetch.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = await self._verify(token)
            self._verified.put(token, claims)
        if claims.expires_at <= time():
            self._verified.drop(token)
            raise _expired()
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            # Unverified, and used for nothing but finding the keys and algorithms that must verify it.
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            if issuer == OWN_ISSUER:
                return self._verify_own(token)
            if issuer in self._issuers:
                return await self._verify_foreign(token, issuer)
        except ExpiredSignatureError as error:
            raise _expired() from error
        except (PyJWTError, *MALFORMED) as error:
            raise _invalid() from error
        raise _invalid()

    def _verify_own(self, token: str) -> Claims:
        header = jwt.get_unverified_header(token)
        key_id, algorithm = header.get("kid"), header["alg"]
        if not (named := self._keys.named(key_id)):
            self._keys = self._reread() or self._keys
            named = self._keys.named(key_id)
        fault: Exception = InvalidSignatureError()
        for key in named:
            if (material := key.material(algorithm)) is None:
                continue
            try:
                claims = self._claims(token, material, ([algorithm], OWN_ISSUER, OWN_ISSUER), self._leeway)
                return replace(claims, hashes=claims.hashes | {signing_key_hash(key.key_id)})
            except InvalidSignatureError as error:  # without a key id, perhaps the other one's
                fault = error
        raise fault

    async def _verify_foreign(self, token: str, name: str) -> Claims:
        issuer, keys = self._issuers[name]
        header = jwt.get_unverified_header(token)
        if header["alg"] not in issuer.algorithms:
            raise _invalid()  # before its keys are fetched
        key = await keys.find(header["kid"])
        leeway = issuer.leeway if isinstance(issuer, HeldIssuer) else self._leeway
        claims = self._claims(token, key.key, (issuer.algorithms, issuer.audience, name), leeway)
        if claims.bound_to is not None:
            raise _invalid()  # only the hub binds tokens
        return claims

    def _claims(self, token: str, key: Any, expected: tuple[Sequence[str], str, str], leeway: float) -> Claims:
        """Return the claims of a token that this key signed, by an algorithm, for an audience and by an issuer that are `expected`.

        Raises PyJWTError, or one of MALFORMED for claims of another shape.
        """
        algorithms, audience, issuer = expected
        payload = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            leeway=leeway,
            options={"require": REQUIRED},
        )
        organization, sandboxes, scope = payload["org"], payload["sandboxes"], payload["scope"]
        if not (isinstance(organization, str) and isinstance(sandboxes, list) and isinstance(scope, str)):
            raise TypeError("org and scope are texts, sandboxes is a list")
        organization_id, token_id = UUID(organization), payload.get("jti")
        hashes = [token_hash(organization_id, _token_id(token_id))] if token_id is not None else []
        known = frozenset(Permission)  # scopes of other services are ignored
        permissions = frozenset(Permission(word) for word in scope.split() if word in known)
        return Claims(
            subject=_subject(payload.get("sub", issuer)),
            organization_id=organization_id,
            sandboxes=frozenset(sandboxes),
            permissions=permissions,
            expires_at=float(payload["exp"]) + leeway,
            hashes=frozenset(hashes),
            bound_to=Binding.of_claim(payload[BOUND]) if BOUND in payload else None,
        )


def _subject(given: Any) -> str:
    """Return the subject of a token; one that names none is named by its issuer, which vouches for it. Raises TypeError, ValueError."""
    return _name(given, MAX_SUBJECT_CHARACTERS)


def _token_id(given: Any) -> str:
    """Return the id of a token. Raises TypeError, ValueError."""
    return _name(given, MAX_TOKEN_ID)


def _name(given: Any, characters: int) -> str:
    if not isinstance(given, str):
        raise TypeError("sub and jti are texts")
    if not 0 < len(given) <= characters or not given.isprintable():
        raise ValueError("sub and jti are short and printable")
    return given


def _invalid() -> Unauthenticated:
    return Unauthenticated("Oauth token is not valid", status=401, error_code="401013")


def _expired() -> Unauthenticated:
    message = "Oauth token is not valid: it has expired. `gateway token` prints a new one; other issuers give theirs."
    return Unauthenticated(message, status=401, error_code="401013")

"""Tokens: their claims, and how ours are made.

A token names its subject, its organization and its sandboxes, so that a header can only select among them. Ours are signed by Ed25519 with
a key that stays in the data directory; their header names that key, so that it can be replaced while tokens of the former one hold. One that
is bound to a projection opens it at edges, for one identity, and nothing else anywhere.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import jwt

from gateway.domain.config.tokens import Binding, NewToken
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission
from gateway.server.signing_keys import ALGORITHM, SigningKey
from gateway.settings import OWN_ISSUER

BOUND: Final = "projection"
"""The claim that binds a token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. `sandboxes` are names, or `*` for all; `expires_at` is in seconds since 1970.

    `subject` is the user or program that the token was issued to. `hashes` are those by which the token may be revoked. `bound_to`: the one
    thing that it opens; None for a token that opens what its permissions say.
    """

    subject: str
    organization_id: UUID
    sandboxes: frozenset[str]
    permissions: frozenset[Permission]
    expires_at: float
    hashes: frozenset[bytes] = frozenset()
    bound_to: Binding | None = None

    def sandboxes_of(self, key: frozenset[str] | None) -> frozenset[str]:
        """Return the sandboxes that the token opens with a key that is bound to these, None for all: names, or `*`."""
        if key is None:
            return self.sandboxes
        return key if EVERY_SANDBOX in self.sandboxes else key & self.sandboxes


def sign_token(key: SigningKey, organization_id: UUID, token: NewToken) -> str:
    """Return a token of ours as callers send it, signed by `key`."""
    claims: dict[str, Any] = {
        "iss": OWN_ISSUER,
        "aud": OWN_ISSUER,
        "sub": token.subject,
        "jti": token.token_id,
        "iat": datetime.now(UTC),
        "exp": token.expires_at,
        "org": str(organization_id),
        "sandboxes": sorted(token.sandboxes),
        "scope": " ".join(sorted(token.scopes)),
    }
    if token.bound_to is not None:
        claims[BOUND] = token.bound_to.claim
    return jwt.encode(claims, key.private_key, algorithm=ALGORITHM, headers={"kid": key.key_id})

"""Tokens of our own for tests, signed as a deployment signs them."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from gateway.domain.config.tokens import LIFETIME, new_token
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission
from gateway.server.signing_keys import SigningKey
from gateway.server.tokens import sign_token


def signed(
    secret: str,
    organization_id: UUID,
    permissions: Iterable[Permission] = (),
    sandboxes: Iterable[str] = (EVERY_SANDBOX,),
    lifetime: timedelta = LIFETIME,
) -> str:
    """Return a token for `ann`."""
    return sign_token(SigningKey(secret), organization_id, new_token("ann", permissions, sandboxes, lifetime))

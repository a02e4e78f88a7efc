"""Tokens: their claims, and how ours are made.

A token names its organization and its sandboxes, so that a header can only select among them. Ours are signed with
HS256 and a secret that stays in the data directory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from gateway.domain.rules.scope import EVERY_SANDBOX, Permission
from gateway.settings import OWN_ISSUER

ALGORITHM = "HS256"  # of our own tokens
LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. `sandboxes` are names, or `*` for all; `expires_at` is in seconds since 1970.

    `subject` is the user or program that the token was issued to.
    """

    subject: str
    organization_id: UUID
    sandboxes: frozenset[str]
    permissions: frozenset[Permission]
    expires_at: float

    def cover(self, sandbox: str) -> bool:
        """Return whether the token is for the sandbox of this name."""
        return not self.sandboxes.isdisjoint({sandbox, EVERY_SANDBOX})


def issue_token(
    secret: str,
    organization_id: UUID,
    permissions: Iterable[Permission],
    sandboxes: Sequence[str] = (EVERY_SANDBOX,),
    *,
    subject: str,
    lifetime: timedelta = LIFETIME,
) -> str:
    """Return a new token of ours, issued to `subject` and valid for `lifetime`."""
    now = datetime.now(UTC)
    claims = {
        "iss": OWN_ISSUER,
        "aud": OWN_ISSUER,
        "sub": subject,
        "iat": now,
        "exp": now + lifetime,
        "org": str(organization_id),
        "sandboxes": list(sandboxes),
        "scope": " ".join(permissions),
    }
    return jwt.encode(claims, secret, algorithm=ALGORITHM)

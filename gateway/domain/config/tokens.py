"""Tokens: what is known of those that the gateway made, and the revocation of any.

A token is not stored. It names itself by an id, and what is revoked is that id, in its organization; or the key that signed it, and with
that every token that the key has signed. Each request's credentials are compared with these revocations by hash.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from gateway.domain.config.tenants import lock_organization
from gateway.domain.rules.limits import REVOCATIONS, check_room
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Invalid, Unavailable
from gateway.storage.database import Database, Reader, Session
from gateway.storage.queries import query
from gateway.telemetry import ProjectionTokenIssued, observe

REVOKE = query("tokens.revoke")
DROP_EXPIRED = query("tokens.drop_expired")
COUNT = query("tokens.count_revocations")
KEEP_PUBLIC_KEYS = query("tokens.keep_public_keys")
LIST_PUBLIC_KEYS = query("tokens.list_public_keys")
FORGET_PUBLIC_KEY = query("tokens.forget_public_key")

LIFETIME: Final = timedelta(hours=24)
"""Of a token of ours, unless another is chosen."""

BOUND_LIFETIME: Final = timedelta(hours=1)
LOGGED_EVERY: Final = timedelta(hours=1)
"""Of a token that is bound to a projection, unless another is chosen; at most LIFETIME."""

MAX_TOKEN_ID: Final = 255
"""Characters of a token's id."""

LONGEST_LEEWAY: Final = timedelta(days=1)
"""How long after its expiry a token may pass for valid, as clocks differ: revocations are kept for at least so long."""

# An id of ours tells when its token expires, so that its revocation can be forgotten after that.
_OWN_ID = re.compile(r"gw\.(\d{1,11})\.[\w-]{22}")


def token_hash(organization_id: UUID, token_id: str) -> bytes:
    """Return the hash by which the token with this id in its organization is revoked."""
    return hashlib.sha256(organization_id.bytes + token_id.encode()).digest()


def signing_key_hash(key_id: str) -> bytes:
    """Return the hash by which all tokens that this key signed are revoked."""
    return hashlib.sha256(b"signing key " + key_id.encode()).digest()


@dataclass(frozen=True, slots=True)
class Binding:
    """The one thing that a bound token opens: the projection of an identity, its value normalized, under a configuration, at edges."""

    configuration_id: UUID
    namespace: str
    value: str

    @property
    def claim(self) -> dict[str, Any]:
        """The binding as a token says it."""
        named = {"namespace": self.namespace, "value": self.value}
        return {"configuration": str(self.configuration_id), "identity": named}

    @classmethod
    def of_claim(cls, claim: Any) -> "Binding":
        """Return the binding that a token says. Raises KeyError, TypeError or ValueError for a claim of another shape."""
        named = claim["identity"]
        given = claim["configuration"], named["namespace"], named["value"]
        if not all(isinstance(text, str) for text in given):
            raise TypeError("a binding is made of texts")
        return cls(UUID(given[0]), *given[1:])


@dataclass(frozen=True, slots=True)
class NewToken:
    """The claims of a token of ours that is to be signed: its subject, and what it allows where. `sandboxes` are names, or `*` for all.

    `bound_to`: the one thing that it is to open, None for all that its scopes allow.
    """

    token_id: str
    subject: str
    scopes: frozenset[Permission]
    sandboxes: frozenset[str]
    expires_at: datetime
    bound_to: Binding | None = field(default=None, repr=False)


def new_token(
    subject: str,
    scopes: Iterable[Permission],
    sandboxes: Iterable[str] = (EVERY_SANDBOX,),
    lifetime: timedelta = LIFETIME,
    *,
    bound_to: Binding | None = None,
) -> NewToken:
    """Return a token that begins now, with an id of its own, to be signed. Raises Invalid for a subject that is no name."""
    check_name(subject, "subject")
    expires_at = datetime.now(UTC) + lifetime
    token_id = f"gw.{int(expires_at.timestamp())}.{secrets.token_urlsafe(16)}"
    return NewToken(token_id, subject, frozenset(scopes), frozenset(sandboxes), expires_at, bound_to)


async def record_token(db: Database, scope: Scope, token: NewToken) -> None:
    """Record in the audit log that a token of ours is made. Needs `admin`. Raises Forbidden."""
    scope.require(Permission.ADMIN)
    async with db.transaction() as tx:
        await audit.record(tx, scope, "createToken", Subject("Token"), after=token)


Sign: TypeAlias = Callable[[UUID, NewToken], str]
"""Signs a token in the organization with an id, and returns it as callers send it."""


def sign_nothing(_organization_id: UUID, _token: NewToken) -> str:
    """Stand in for `Sign` in a process that has no key. Raises Unavailable."""
    raise Unavailable("Tokens are not signed here.")


async def issue_projection_token(
    db: Database, scope: Scope, binding: Binding, lifetime: timedelta = BOUND_LIFETIME
) -> NewToken:
    """Make a token that opens the projection of one identity at edges, and nothing else, to be signed.

    Of the tokens that a caller gets for a configuration, the audit log has the first of each hour; all are observed. Needs `profile:read`. Raises Forbidden, and Invalid for a lifetime of more than a day.
    """
    scope.require(Permission.PROFILE_READ)
    if not timedelta(0) < lifetime <= LIFETIME:
        raise Invalid("A token for a projection is valid for a day at most.", path=["expiresIn"])
    only = [Permission.PROFILE_READ], [scope.sandbox.name]
    token = new_token(scope.actor, *only, lifetime, bound_to=binding)
    subject = Subject("ProjectionConfiguration", (binding.configuration_id,))
    told = {"tokenId": token.token_id, "expiresAt": token.expires_at}
    async with db.transaction() as tx:
        await audit.record_once(tx, scope, "issueProjectionToken", subject, after=told, within=LOGGED_EVERY)
    observe(ProjectionTokenIssued())
    return token


async def keep_public_keys(db: Database, keys: Mapping[str, bytes]) -> None:
    """Store the public keys of our signing keys, by the ids of these, where hubs find what edges are to verify tokens by. Needs no permission."""
    async with db.transaction() as tx:
        await tx.execute(KEEP_PUBLIC_KEYS, list(keys), list(keys.values()))


async def list_public_keys(db: Reader) -> dict[str, bytes]:
    """Return the public keys of all signing keys that were not revoked, each as its 32 bytes, by the ids of the keys. Needs no permission."""
    return {row["key_id"]: row["public_key"] for row in await db.rows(LIST_PUBLIC_KEYS)}


async def revoke_token(db: Database, scope: Scope, token_id: str) -> None:
    """Revoke the token of the organization with this id, of any issuer: it opens nothing to requests that begin from now on.

    An id that no token has may be revoked, too. Needs `admin`, and a token for all sandboxes. Raises Forbidden, Invalid, TooMany.
    """
    scope.require(Permission.ADMIN)
    scope.require_every_sandbox()
    if not 0 < len(token_id) <= MAX_TOKEN_ID or not token_id.isprintable():
        raise Invalid(
            f"The id of a token is its claim `jti`: 1 to {MAX_TOKEN_ID} printable characters.", path=["tokenId"]
        )
    organization_id = scope.organization.organization_id
    async with db.transaction() as tx:
        if await _revoke(tx, scope, token_hash(organization_id, token_id), _expiry(token_id)):
            await audit.record(tx, scope, "revokeToken", Subject("Token"), before={"tokenId": token_id})


async def record_rotation(db: Database, scope: Scope, *, before: str, after: str) -> None:
    """Record in the audit log that another key signs tokens from now on; `before` and `after` are the ids of the keys. Needs `admin`. Raises Forbidden."""
    scope.require(Permission.ADMIN)
    async with db.transaction() as tx:
        await audit.record(
            tx, scope, "replaceSigningKey", Subject("SigningKey"), before={"keyId": before}, after={"keyId": after}
        )


async def revoke_signing_key(db: Database, scope: Scope, key_id: str) -> None:
    """Revoke every token that the signing key with this id has signed, in every organization.

    Needs `admin`, and a token for all sandboxes. Raises Forbidden, TooMany.
    """
    scope.require(Permission.ADMIN)
    scope.require_every_sandbox()
    async with db.transaction() as tx:
        await tx.execute(FORGET_PUBLIC_KEY, key_id)
        if await _revoke(tx, scope, signing_key_hash(key_id), None):
            await audit.record(tx, scope, "dropSigningKey", Subject("SigningKey"), before={"keyId": key_id})


async def _revoke(tx: Session, scope: Scope, hashed: bytes, expires_at: datetime | None) -> bool:
    """Store a revocation, and return whether it is new. Raises TooMany."""
    organization_id = scope.organization.organization_id
    await lock_organization(tx, organization_id)
    await tx.execute(DROP_EXPIRED, organization_id, datetime.now(UTC) - LONGEST_LEEWAY)
    check_room(
        await tx.value(COUNT, organization_id),
        REVOCATIONS,
        "revocations of tokens that have not expired",
        "An organization",
    )
    return await tx.value(REVOKE, hashed, organization_id, expires_at) is not None


def _expiry(token_id: str) -> datetime | None:
    """Return when the token of this id expires, None if the id is not one of ours."""
    own = _OWN_ID.fullmatch(token_id)
    return datetime.fromtimestamp(int(own[1]), UTC) if own else None

"""Organizations and their sandboxes: look-ups, authentication and locks.

Sandboxes share no data. Each has a secret that keys its xids, so that an e-mail address has unrelated xids in two sandboxes, and nobody
can compute them from outside.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from math import inf
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.rules.scope import (
    EVERY_SANDBOX,
    READ_CONFIGURATION,
    Organization,
    Permission,
    Sandbox,
    SandboxType,
    Scope,
)
from gateway.errors import Invalid, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

READ_ORGANIZATION = query("tenants.read_organization")
LIST_ORGANIZATIONS = query("tenants.list_organizations")
READ_SANDBOX = query("tenants.read_sandbox")
READ_SANDBOXES = query("tenants.read_sandboxes")
LIST_SANDBOXES = query("tenants.list_sandboxes")
AUTHENTICATE = query("tenants.authenticate")
READ_REVOKED = query("tokens.read_revoked")
READ_KEY_OWNER = query("tenants.read_key_owner")
LOCK_CONFIGURATION = query("tenants.lock_configuration")
LOCK_ORGANIZATION = query("tenants.lock_organization")

MAX_CACHED_KEY_OWNERS: Final = 1_000
"""How many ApiKeyOwner objects are cached, by the use of a key and the rows that were read for it: equal rows are not parsed again."""


class ApiKeyUse(NamedTuple):
    """What a request with an API key names: the hash of the key, the organization and the sandbox, and the hashes that revoke its token.

    `organization_id` is None if the request has no valid one; `sandbox` is None for the default one.
    """

    key_hash: bytes
    organization_id: UUID | None
    sandbox: str | None
    token_hashes: frozenset[bytes] = frozenset()


class ApiKeyOwner(NamedTuple):
    """The organization and the sandbox that a request with a valid key may use, and what else the database knows of the key and the token.

    `organization` is the named one if the key belongs to it, else None. `sandbox` is the named one, None if this organization lacks it.
    The key expires at `expires_at`, in seconds since 1970. `sandboxes` are the names of those that the key is bound to, None if it opens all.
    """

    organization: Organization | None
    sandbox: Sandbox | None
    api_key_id: UUID
    expires_at: float
    sandboxes: frozenset[str] | None
    is_token_revoked: bool


SANDBOX_FIELDS = tuple(field.name for field in fields(Sandbox))


async def read_organization(db: Database, organization_id: UUID) -> Organization | None:
    """Read an organization, None if there is none."""
    row = await db.row(READ_ORGANIZATION, organization_id)
    return Organization(**row) if row else None


async def list_organizations(db: Database) -> list[Organization]:
    """List all organizations, oldest first."""
    return [Organization(**row) for row in await db.rows(LIST_ORGANIZATIONS)]


async def read_sandbox(db: Database, organization_id: UUID, name: str | None) -> Sandbox | None:
    """Read the sandbox with this name, or the default one for None; None if there is none."""
    row = await db.row(READ_SANDBOX, organization_id, name)
    return sandbox_of(row) if row else None


async def read_sandboxes(db: Database | Session, scope: Scope, sandbox_ids: Sequence[int]) -> list[Sandbox | None]:
    """Read sandboxes by id, in order; None for one that the organization lacks or the caller's token does not cover.

    Needs `admin`, except for the scope's own sandbox. Raises Forbidden.
    """
    if any(sandbox_id != scope.sandbox_id for sandbox_id in sandbox_ids):
        scope.require(Permission.ADMIN)
    rows = await db.rows(READ_SANDBOXES, sandbox_ids, scope.organization.organization_id)
    found = {sandbox.sandbox_id: sandbox for sandbox in map(sandbox_of, rows) if scope.covers(sandbox)}
    return [found.get(sandbox_id) for sandbox_id in sandbox_ids]


def readable_sandboxes(scope: Scope, sandbox_ids: Sequence[int]) -> list[str] | None:
    """Return the names of the sandboxes that the caller's token covers, None for all, after checking that it may read settings of these.

    That needs `admin`; for the scope's own sandbox alone, `profile:read` or `config:write`. Raises Forbidden.
    """
    scope.require(*(READ_CONFIGURATION if set(sandbox_ids) <= {scope.sandbox_id} else (Permission.ADMIN,)))
    return None if EVERY_SANDBOX in scope.sandboxes else [scope.sandbox.name, *scope.sandboxes]


async def list_sandboxes(db: Database, scope: Scope) -> list[Sandbox]:
    """List the organization's sandboxes that the caller's token covers, by name. Needs `admin`. Raises Forbidden."""
    scope.require(Permission.ADMIN)
    rows = await db.rows(LIST_SANDBOXES, scope.organization.organization_id)
    return [sandbox for sandbox in map(sandbox_of, rows) if scope.covers(sandbox)]


async def lock_configuration(tx: Session, scope: Scope) -> None:
    """Lock the sandbox's configuration until the transaction ends, and increment its version. Raises NotFound once the sandbox is gone."""
    if await tx.value(LOCK_CONFIGURATION, scope.sandbox_id) is None:
        raise NotFound("The sandbox is gone.")


async def lock_organization(tx: Session, organization_id: UUID) -> None:
    """Lock the organization against other new sandboxes and keys until the transaction ends. Raises NotFound once it is gone."""
    if await tx.value(LOCK_ORGANIZATION, organization_id) is None:
        raise NotFound("The organization is gone.")


async def authenticate(db: Database, uses: Sequence[ApiKeyUse]) -> list[ApiKeyOwner | None]:
    """Find the owner that each of one or more uses names, in order; None for an unknown or revoked key.

    One statement reads all, and a second one which tokens are revoked if any is. Equal owners are mostly one cached object.
    """
    distinct = set(uses)
    keys, organizations, names = ({use[place] for use in distinct} - {None} for place in range(3))
    tokens = frozenset[bytes]().union(*(use.token_hashes for use in distinct))
    found: dict[bytes, tuple[Any, ...]] = {}
    for row in await db.rows(AUTHENTICATE, keys, organizations, names, tokens):
        found[row["key_hash"]] = (*found.get(row["key_hash"], ()), row)
    revoked = set[bytes]()
    if any(rows[0]["has_revoked"] for rows in found.values()):
        revoked = {row["token_hash"] for row in await db.rows(READ_REVOKED, tokens)}
    owners = {
        use: _owner(use, found.get(use.key_hash, ()), is_token_revoked=not revoked.isdisjoint(use.token_hashes))
        for use in distinct
    }
    return [owners[use] for use in uses]


@lru_cache(MAX_CACHED_KEY_OWNERS)
def _owner(use: ApiKeyUse, rows: tuple[Any, ...], *, is_token_revoked: bool) -> ApiKeyOwner | None:
    if not rows:
        return None
    first, bound_to = rows[0], rows[0]["bound_to"]
    known = {
        "api_key_id": first["api_key_id"],
        "expires_at": first["expires_at"].timestamp() if first["expires_at"] else inf,
        "sandboxes": None if bound_to is None else frozenset(bound_to.split()),
        "is_token_revoked": is_token_revoked,
    }
    own = [row for row in rows if row["organization_id"] and row["organization_id"] == use.organization_id]
    if not own:
        return ApiKeyOwner(None, None, **known)
    organization = Organization(own[0]["organization_id"], own[0]["code"], own[0]["organization"])
    for row in own:
        if row["is_default"] if use.sandbox is None else row["name"] == use.sandbox:
            return ApiKeyOwner(organization, sandbox_of({field: row[field] for field in SANDBOX_FIELDS}), **known)
    return ApiKeyOwner(organization, None, **known)


async def read_own_scope(db: Database, sandbox_id: int) -> Scope | None:
    """Read the scope for jobs in a sandbox: all permissions, in this sandbox only. None once the sandbox is gone."""
    row = await db.row(READ_KEY_OWNER, sandbox_id)
    if row is None:
        return None
    organization = Organization(row["organization_id"], row["code"], row["organization"])
    sandbox = sandbox_of({field: row[field] for field in SANDBOX_FIELDS})
    return Scope(organization, sandbox, frozenset(Permission))


async def list_own_scopes(db: Database) -> list[Scope]:
    """List the scopes for jobs in every sandbox of every organization."""
    return [
        Scope(organization, sandbox_of(row), frozenset(Permission))
        for organization in await list_organizations(db)
        for row in await db.rows(LIST_SANDBOXES, organization.organization_id)
    ]


def key_hash(key: str) -> bytes:
    """Return the SHA-256 of a key. No slow hash is needed: keys of 24 random bytes cannot be guessed offline."""
    return hashlib.sha256(key.encode()).digest()


def permissions(words: Iterable[str]) -> frozenset[Permission]:
    """Parse the scopes of a token into permissions. Raises Invalid for an unknown one."""
    try:
        return frozenset(Permission(word) for word in words)
    except ValueError as error:
        known = ", ".join(Permission)
        raise Invalid(f"{error}. Known scopes: {known}.") from error


def sandbox_of(row: Any) -> Sandbox:
    """Make a Sandbox of a row of its table."""
    return Sandbox(**{**row, "type": SandboxType(row["type"])})

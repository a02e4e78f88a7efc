"""Organizations, their sandboxes and keys, and `Scope`: the argument no verb can do without.

A sandbox is a full partition: nothing crosses. Each has a secret that keys its xids, so that the same e-mail address has
unrelated xids in two sandboxes and none can be guessed from outside.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.rules.limits import API_KEYS, check_room
from gateway.domain.rules.scope import Organization, Permission, Sandbox, SandboxType, Scope
from gateway.errors import Invalid, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

READ_ORGANIZATION = query("tenants.read_organization")
LIST_ORGANIZATIONS = query("tenants.list_organizations")
READ_SANDBOX = query("tenants.read_sandbox")
READ_SANDBOXES = query("tenants.read_sandboxes")
LIST_SANDBOXES = query("tenants.list_sandboxes")
CREATE_API_KEY = query("tenants.create_api_key")
AUTHENTICATE = query("tenants.authenticate")
READ_KEY_OWNER = query("tenants.read_key_owner")
LOCK_CONFIGURATION = query("tenants.lock_configuration")
LOCK_ORGANIZATION = query("tenants.lock_organization")
COUNT_API_KEYS = query("tenants.count_api_keys")


KEY_OWNERS_KEPT: Final = 1_000
"""Where keys lead, as rows said it: what says the same is not read again."""


class ApiKeyUse(NamedTuple):
    """An API key, and what its user says to have it for: an organization (None: not even a valid id) and a sandbox (None: the default one)."""

    key_hash: bytes
    organization_id: UUID | None
    sandbox: str | None


class ApiKeyOwner(NamedTuple):
    """Where the use of a key leads: the organization named if it is the key's own, and in it the sandbox named."""

    organization: Organization | None
    sandbox: Sandbox | None


SANDBOX_FIELDS = tuple(field.name for field in fields(Sandbox))


async def read_organization(db: Database, organization_id: UUID) -> Organization | None:
    """The organization, or None."""
    row = await db.row(READ_ORGANIZATION, organization_id)
    return Organization(**row) if row else None


async def list_organizations(db: Database) -> list[Organization]:
    """All organizations, the oldest first."""
    return [Organization(**row) for row in await db.rows(LIST_ORGANIZATIONS)]


async def read_sandbox(db: Database, organization_id: UUID, name: str | None) -> Sandbox | None:
    """The sandbox of that name, the default one for no name, or None."""
    row = await db.row(READ_SANDBOX, organization_id, name)
    return sandbox_of(row) if row else None


async def read_sandboxes(db: Database, scope: Scope, sandbox_ids: Sequence[int]) -> list[Sandbox | None]:
    """The sandboxes with these ids, in their order; None for one that the organization lacks or the caller's token does not cover.

    Needs `admin`, but for the scope's own sandbox.
    """
    if any(sandbox_id != scope.sandbox_id for sandbox_id in sandbox_ids):
        scope.require(Permission.ADMIN)
    rows = await db.rows(READ_SANDBOXES, sandbox_ids, scope.organization.organization_id)
    found = {sandbox.sandbox_id: sandbox for sandbox in map(sandbox_of, rows) if scope.covers(sandbox)}
    return [found.get(sandbox_id) for sandbox_id in sandbox_ids]


async def list_sandboxes(db: Database, scope: Scope) -> list[Sandbox]:
    """The sandboxes of the organization that the caller's token covers, by name. Needs `admin`."""
    scope.require(Permission.ADMIN)
    rows = await db.rows(LIST_SANDBOXES, scope.organization.organization_id)
    return [sandbox for sandbox in map(sandbox_of, rows) if scope.covers(sandbox)]


async def lock_configuration(tx: Session, scope: Scope) -> None:
    """Keep every other change of this sandbox's configuration waiting until the transaction ends; what was read of it before is old then.

    Raises NotFound once the sandbox is gone.
    """
    if await tx.value(LOCK_CONFIGURATION, scope.sandbox_id) is None:
        raise NotFound("The sandbox is gone.")


async def lock_organization(tx: Session, organization_id: UUID) -> None:
    """Keep whoever else makes a sandbox or a key of this organization waiting until the transaction ends. Raises NotFound once it is gone."""
    if await tx.value(LOCK_ORGANIZATION, organization_id) is None:
        raise NotFound("The organization is gone.")


async def issue_api_key(db: Database, organization: Organization, name: str, key: str | None = None) -> str:
    """The key, new unless given; only its hash is kept, so this is the one time it can be shown. Raises TooMany, NotFound."""
    key = key or secrets.token_urlsafe(24)
    async with db.transaction() as tx:
        await lock_organization(tx, organization.organization_id)
        await tx.execute(CREATE_API_KEY, key_hash(key), organization.organization_id, name)
        check_room(
            await tx.value(COUNT_API_KEYS, organization.organization_id) - 1, API_KEYS, "API keys", "An organization"
        )
    return key


async def authenticate(db: Database, uses: Sequence[ApiKeyUse]) -> list[ApiKeyOwner | None]:
    """Where each key leads, in the order of the uses; None for one that is unknown or revoked. One statement for any number.

    What leads to the same place again is mostly the same object.
    """
    keys, organizations, names = map(set, zip(*uses, strict=True))
    found: dict[bytes, tuple[Any, ...]] = {}
    for row in await db.rows(AUTHENTICATE, keys, organizations - {None}, names - {None}):
        found[row["key_hash"]] = (*found.get(row["key_hash"], ()), row)
    homes = {use: _home(use, found.get(use.key_hash, ())) for use in set(uses)}
    return [homes[use] for use in uses]


@lru_cache(KEY_OWNERS_KEPT)
def _home(use: ApiKeyUse, rows: tuple[Any, ...]) -> ApiKeyOwner | None:
    if not rows:
        return None
    own = [row for row in rows if row["organization_id"] and row["organization_id"] == use.organization_id]
    if not own:
        return ApiKeyOwner(None, None)
    organization = Organization(own[0]["organization_id"], own[0]["code"], own[0]["organization"])
    for row in own:
        if row["is_default"] if use.sandbox is None else row["name"] == use.sandbox:
            return ApiKeyOwner(organization, sandbox_of({field: row[field] for field in SANDBOX_FIELDS}))
    return ApiKeyOwner(organization, None)


async def read_own_scope(db: Database, sandbox_id: int) -> Scope | None:
    """The scope of the gateway's own work in a sandbox: all permissions there, and there only. None once the sandbox is gone."""
    row = await db.row(READ_KEY_OWNER, sandbox_id)
    if row is None:
        return None
    organization = Organization(row["organization_id"], row["code"], row["organization"])
    sandbox = sandbox_of({field: row[field] for field in SANDBOX_FIELDS})
    return Scope(organization, sandbox, frozenset(Permission))


def key_hash(key: str) -> bytes:
    """SHA-256: enough for keys of 24 random bytes, which cannot be guessed offline."""
    return hashlib.sha256(key.encode()).digest()


def permissions(words: Iterable[str]) -> frozenset[Permission]:
    """The permissions that a token's words name. Raises Invalid for a word nobody knows."""
    try:
        return frozenset(Permission(word) for word in words)
    except ValueError as error:
        known = ", ".join(Permission)
        raise Invalid(f"{error}. Known scopes: {known}.") from error


def sandbox_of(row: Any) -> Sandbox:
    """The sandbox that a row of the sandbox table holds."""
    return Sandbox(**{**row, "type": SandboxType(row["type"])})

"""API keys: each names a program that calls the gateway, opens sandboxes of one organization, and can be revoked.

A key opens all sandboxes of its organization, or those that it is bound to, perhaps until a time; what the caller may do there, its token
says. Keys are stored as hashes. A caller whose token covers a sandbox sees the keys that open it, and makes and revokes those that open no other.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from gateway.domain.config.tenants import key_hash, list_sandboxes, lock_organization, read_sandboxes
from gateway.domain.rules.keyset import Order, Page, Window, page_of_rows
from gateway.domain.rules.limits import API_KEYS, check_room
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Sandbox, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Conflict, Forbidden, Invalid, NotFound, Taken
from gateway.storage.database import Database, Session
from gateway.storage.queries import query, template

CREATE = query("api_keys.create_api_key")
COUNT_USABLE = query("api_keys.count_api_keys")
READ_OWNER = query("api_keys.read_owner")
READ = query("api_keys.read_api_keys")
LIST = template("api_keys.list_api_keys")
COUNT = query("api_keys.count_listed")
LOCK = query("api_keys.lock_api_key")
REVOKE = query("api_keys.revoke_api_key")
NOTE_USE = query("api_keys.note_use")

NEWEST_FIRST: Final = Order(("created_at", "api_key_id"), (datetime, UUID), descending=True)
"""The order of keys in their list."""

PREFIX_CHARACTERS: Final = 6
"""Of a key, shown to tell keys by: too few to guess the others of the 32 from."""

USE_INTERVAL: Final = timedelta(hours=1)
"""How exact `last_used_at` is: further uses within this time are not noted."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key. `sandbox_ids` are the sandboxes that it is bound to, deleted ones included; None for all of the organization.

    `sandboxes` are those of them that exist and that the reader's token covers.
    """

    api_key_id: UUID
    name: str
    prefix: str
    sandbox_ids: tuple[int, ...] | None
    expires_at: datetime | None
    created_at: datetime
    created_by: str | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    sandboxes: tuple[Sandbox, ...] | None = None


async def create_api_key(
    db: Database,
    scope: Scope,
    name: str,
    sandbox_ids: Sequence[int] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which cannot be read again. It opens these sandboxes, or all where `sandbox_ids` is None.

    Needs `admin`, and a token that covers the sandboxes that the key opens. Raises Forbidden, Invalid, NotFound for a sandbox, TooMany.
    """
    scope.require(Permission.ADMIN)
    check_name(name)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise Invalid("The key would have expired already.", path=["expiresAt"])
    bound = await _bound(db, scope, sandbox_ids)
    secret = secrets.token_urlsafe(24)
    async with db.transaction() as tx:
        return await _store(tx, scope, secret, name=name, bound=bound, expires_at=expires_at), secret


async def keep_api_key(db: Database, scope: Scope, secret: str, name: str) -> bool:
    """Store a key that the caller keeps, unless it is stored already, and return whether it is usable: False if it was revoked.

    It opens all sandboxes. Needs `admin`, and a token for all sandboxes. Raises Conflict for a key of another organization, Forbidden,
    TooMany.
    """
    scope.require(Permission.ADMIN)
    scope.require_every_sandbox()
    owner = await db.row(READ_OWNER, key_hash(secret))
    if owner is None:
        with suppress(Taken):  # another gateway was first
            async with db.transaction() as tx:
                await _store(tx, scope, secret, name=name)
        owner = await db.row(READ_OWNER, key_hash(secret))
    if owner is None or owner["organization_id"] != scope.organization.organization_id:
        raise Conflict("The API key belongs to another organization.")
    return owner["revoked_at"] is None


async def revoke_api_key(db: Database, scope: Scope, api_key_id: UUID) -> None:
    """Revoke a key for good: it opens nothing to requests that begin from now on. One that is revoked already stays as it is.

    Needs `admin`, and a token that covers every sandbox that the key opens. Raises Forbidden, NotFound.
    """
    scope.require(Permission.ADMIN)
    covered = await _covered(db, scope)
    async with db.transaction() as tx:
        row: Any = await tx.row(LOCK, scope.organization.organization_id, api_key_id)
        if row is None or not _opens_some(row["sandboxes"], covered):
            raise NotFound("There is no API key with this id.", path=["id"])
        if covered is not None and (row["sandboxes"] is None or set(row["sandboxes"]) - covered.keys()):
            raise Forbidden("The key opens sandboxes that the token is not for.")
        if row["revoked_at"] is None:
            at = await tx.value(REVOKE, scope.organization.organization_id, api_key_id)
            before = _key(row, covered or {})
            await _record(tx, scope, "revokeApiKey", before=before, after=replace(before, revoked_at=at))


async def read_api_keys(db: Database, scope: Scope, api_key_ids: Sequence[UUID]) -> list[ApiKey | None]:
    """Read keys by id, in order; None for one that the organization lacks, or that opens no sandbox of the caller's token.

    Needs `admin`. Raises Forbidden.
    """
    scope.require(Permission.ADMIN)
    covered = await _covered(db, scope)
    rows = await db.rows(READ, scope.organization.organization_id, _ids(covered), api_key_ids)
    found = {key.api_key_id: key for key in await _keys(db, scope, rows, covered)}
    return [found.get(api_key_id) for api_key_id in api_key_ids]


async def list_api_keys(db: Database, scope: Scope, window: Window) -> Page[ApiKey]:
    """List a page of the keys that open a sandbox of the caller's token, newest first, revoked ones included.

    Needs `admin`. Raises Forbidden, BadCursor.
    """
    scope.require(Permission.ADMIN)
    covered = await _covered(db, scope)
    statement, keys = LIST.page(**NEWEST_FIRST.stretch(window))
    rows = await db.rows(statement, scope.organization.organization_id, _ids(covered), window.fetch, *keys)
    return page_of_rows(await _keys(db, scope, rows, covered), window)


async def count_api_keys(db: Database, scope: Scope) -> int:
    """Count the keys that `list_api_keys` lists. Needs `admin`. Raises Forbidden."""
    scope.require(Permission.ADMIN)
    covered = await _covered(db, scope)
    count: int = await db.value(COUNT, scope.organization.organization_id, _ids(covered))
    return count


async def note_use(db: Database, api_key_id: UUID, at: datetime) -> None:
    """Note that a key was used, unless a use within USE_INTERVAL is noted already. Needs no permission."""
    async with db.transaction() as tx:
        await tx.execute(NOTE_USE, api_key_id, at, at - USE_INTERVAL)


# ------------------------------------------------------------------------------------------------ sandboxes


async def _bound(db: Database, scope: Scope, sandbox_ids: Sequence[int] | None) -> Mapping[int, Sandbox] | None:
    """Return the sandboxes that a new key is bound to, by id; None for all. Raises Forbidden, Invalid, NotFound."""
    if sandbox_ids is None:
        scope.require_every_sandbox()
        return None
    if not sandbox_ids:
        raise Invalid(
            "A key without a sandbox opens nothing; leave the list out for all sandboxes.", path=["sandboxIds"]
        )
    found = await read_sandboxes(db, scope, sandbox_ids)
    for place, sandbox in enumerate(found):
        if sandbox is None:
            raise NotFound("There is no sandbox with this id.", path=["sandboxIds", str(place)])
    return {sandbox.sandbox_id: sandbox for sandbox in found if sandbox}


async def _covered(db: Database, scope: Scope) -> Mapping[int, Sandbox] | None:
    """Return the sandboxes that the caller's token covers, by id; None for all."""
    if EVERY_SANDBOX in scope.sandboxes:
        return None
    return {sandbox.sandbox_id: sandbox for sandbox in await list_sandboxes(db, scope)}


def _ids(covered: Mapping[int, Sandbox] | None) -> list[int] | None:
    return None if covered is None else list(covered)


def _opens_some(bound_to: Sequence[int] | None, covered: Mapping[int, Sandbox] | None) -> bool:
    return covered is None or bound_to is None or not covered.keys().isdisjoint(bound_to)


# ------------------------------------------------------------------------------------------------ rows


async def _store(
    tx: Session,
    scope: Scope,
    secret: str,
    *,
    name: str,
    bound: Mapping[int, Sandbox] | None = None,
    expires_at: datetime | None = None,
) -> ApiKey:
    """Store a new key and record it. Raises Taken if it is stored already, TooMany, NotFound for the organization."""
    organization_id = scope.organization.organization_id
    await lock_organization(tx, organization_id)
    check_room(await tx.value(COUNT_USABLE, organization_id), API_KEYS, "API keys", "An organization")
    ids, prefix = (None if bound is None else sorted(bound)), secret[:PREFIX_CHARACTERS]
    row = await tx.row(CREATE, uuid4(), key_hash(secret), organization_id, name, prefix, ids, expires_at, scope.actor)
    if row is None:
        raise Taken("The key is stored already.")
    key = _key(row, bound or {})
    await _record(tx, scope, "createApiKey", after=key)
    return key


async def _record(tx: Session, scope: Scope, action: str, *, before: ApiKey | None = None, after: ApiKey) -> None:
    subject = Subject("ApiKey", (after.api_key_id,))
    await audit.record(tx, scope, action, subject, before=before and _told(before), after=_told(after))


def _told(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "sandboxIds": key.sandbox_ids,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
    }


async def _keys(db: Database, scope: Scope, rows: Sequence[Any], covered: Mapping[int, Sandbox] | None) -> list[ApiKey]:
    known = covered
    if known is None and any(row["sandboxes"] for row in rows):
        known = {sandbox.sandbox_id: sandbox for sandbox in await list_sandboxes(db, scope)}
    return [_key(row, known or {}) for row in rows]


def _key(row: Any, known: Mapping[int, Sandbox]) -> ApiKey:
    ids = row["sandboxes"]
    return ApiKey(
        **{name: value for name, value in row.items() if name != "sandboxes"},
        sandbox_ids=None if ids is None else tuple(ids),
        sandboxes=None if ids is None else tuple(known[each] for each in ids if each in known),
    )

"""Creation, reset and deletion of organizations and sandboxes.

A new sandbox has a secret, the standard namespaces, the default merge policy, and no data.
"""

import re
import secrets
from dataclasses import astuple, replace
from uuid import UUID, uuid4

from gateway.domain.config import namespaces, policies
from gateway.domain.config.tenants import lock_organization, read_sandboxes, sandbox_of
from gateway.domain.rules.limits import SANDBOXES, check_room
from gateway.domain.rules.names import check_name
from gateway.domain.rules.normalization import NEWEST
from gateway.domain.rules.scope import Organization, Permission, Sandbox, SandboxType, Scope
from gateway.domain.work.locks import lock_exclusive
from gateway.errors import Conflict, Invalid, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

CREATE_ORGANIZATION = query("tenants.create_organization")
CREATE_SANDBOX = query("tenants.create_sandbox")
TAKE_SANDBOX = query("tenants.take_sandbox")
RESTORE_SANDBOX = query("tenants.restore_sandbox")
DELETE_SANDBOX = query("tenants.delete_sandbox")
COUNT = query("tenants.count_sandboxes")

DEFAULT_SANDBOX = "prod"
SANDBOX_NAME = re.compile("[a-z][a-z0-9-]{0,63}")


async def create_organization(db: Database, code: str, name: str) -> Organization:
    """Create an organization with its default production sandbox. Raises Taken, Invalid."""
    organization = Organization(uuid4(), code, name)
    async with db.transaction() as tx:
        await tx.execute(CREATE_ORGANIZATION, organization.organization_id, code, name)
        await _provision(tx, organization.organization_id, DEFAULT_SANDBOX, None, SandboxType.PRODUCTION, default=True)
    return organization


async def create_sandbox(db: Database, scope: Scope, name: str, title: str | None, kind: SandboxType) -> Sandbox:
    """Create an empty sandbox. Needs `admin`, and a token for all sandboxes. Raises Forbidden, Invalid, Taken, TooMany."""
    scope.require(Permission.ADMIN)
    scope.require_every_sandbox()
    if not SANDBOX_NAME.fullmatch(name):
        raise Invalid("A name is a lower-case letter, then up to 63 letters, digits and hyphens.", path=["name"])
    if title is not None:
        check_name(title, "title")
    async with db.transaction() as tx:
        await lock_organization(tx, scope.organization.organization_id)
        check_room(await tx.value(COUNT, scope.organization.organization_id), SANDBOXES, "sandboxes", "An organization")
        return await _provision(tx, scope.organization.organization_id, name, title, kind)


async def reset_sandbox(db: Database, scope: Scope, sandbox_id: int, confirm_name: str) -> Sandbox:
    """Delete a sandbox's facts, views and configuration; keep its id, name, title, type and secret. Return it. Needs `admin`.

    Raises Forbidden, NotFound, and Invalid unless `confirm_name` is the sandbox's name.
    """
    scope.require(Permission.ADMIN)
    (known,) = await read_sandboxes(db, scope, [sandbox_id])
    if known is None:
        raise NotFound("There is no sandbox with this id.", path=["id"])
    if known.name != confirm_name:
        raise Invalid("This is not the name of the sandbox that would be reset.", path=["confirmName"])
    async with lock_exclusive(db, sandbox_id) as tx:  # running writes finish first; later ones find no dataset
        row = await tx.row(TAKE_SANDBOX, sandbox_id)
        if row is None:
            raise NotFound("The sandbox has just been deleted.", path=["id"])
        former = sandbox_of(row)
        # caches compare the version: it must not start again
        sandbox = replace(former, config_version=former.config_version + 1, text_rules=NEWEST)
        await _empty(tx, sandbox_id)
        await tx.execute(RESTORE_SANDBOX, *astuple(sandbox))
        await _configure(tx, sandbox_id)
    return sandbox


async def delete_sandbox(db: Database, scope: Scope, sandbox_id: int) -> None:
    """Delete a sandbox and everything in it, once running writes have finished. Needs `admin`.

    Raises Forbidden, NotFound, and Conflict for the default sandbox.
    """
    scope.require(Permission.ADMIN)
    (known,) = await read_sandboxes(db, scope, [sandbox_id])
    if known is None:
        raise NotFound("There is no sandbox with this id.", path=["id"])
    if known.is_default:
        raise Conflict("The default sandbox stays; `resetSandbox` empties it.", path=["id"])
    async with lock_exclusive(db, sandbox_id) as tx:
        if await tx.value(DELETE_SANDBOX, scope.organization.organization_id, sandbox_id) is None:
            raise NotFound("The sandbox has just been deleted.", path=["id"])
        await _empty(tx, sandbox_id)


# Facts and views have no foreign key to the sandbox, since it would be checked for every ingested row.
EMPTY_SANDBOX = [
    query(f"tenants.empty_{table}")
    for table in (
        *("identity", "graph", "tie", "unlinked_pair", "record", "fragment", "profile", "event", "event_resend"),
        "change",
    )
]


async def _provision(
    tx: Session, organization_id: UUID, name: str, title: str | None, kind: SandboxType, *, default: bool = False
) -> Sandbox:
    row = await tx.row(CREATE_SANDBOX, organization_id, name, title, kind, default, secrets.token_bytes(32), NEWEST)
    sandbox = sandbox_of(row)
    await _configure(tx, sandbox.sandbox_id)
    return sandbox


async def _configure(tx: Session, sandbox_id: int) -> None:
    await namespaces.create_standard(tx, sandbox_id)
    await policies.create_default(tx, sandbox_id)


async def _empty(tx: Session, sandbox_id: int) -> None:
    await tx.lift_time_limit()
    for statement in EMPTY_SANDBOX:
        await tx.execute(statement, sandbox_id)

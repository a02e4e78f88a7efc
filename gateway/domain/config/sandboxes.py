"""Creation, change, reset and deletion of organizations and sandboxes.

A new sandbox has a secret, the standard namespaces, the default merge policy, and no data.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from gateway.domain.config import identity_settings, namespaces, policies
from gateway.domain.config.namespaces import Namespace, load_namespaces, parse_namespaces, unknown_namespace
from gateway.domain.config.tenants import (
    lock_configuration,
    lock_organization,
    read_sandboxes,
    readable_sandboxes,
    sandbox_of,
)
from gateway.domain.rules.edited import check_version
from gateway.domain.rules.limits import SANDBOXES, check_days, check_room
from gateway.domain.rules.names import check_name
from gateway.domain.rules.normalization import NEWEST
from gateway.domain.rules.scope import (
    EVERY_SANDBOX,
    OWN_ACTOR,
    Organization,
    Permission,
    Sandbox,
    SandboxType,
    Scope,
)
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.domain.work.locks import lock_exclusive
from gateway.domain.work.stores import EMPTIED
from gateway.errors import Conflict, Contended, Invalid, NotFound
from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, query

CREATE_ORGANIZATION = query("tenants.create_organization")
CREATE_SANDBOX = query("tenants.create_sandbox")
TAKE_SANDBOX = query("tenants.take_sandbox")
RESTORE_SANDBOX = query("tenants.restore_sandbox")
UPDATE_SANDBOX = query("tenants.update_sandbox")
LIST_EXPIRIES = query("tenants.list_expiries")
DELETE_SANDBOX = query("tenants.delete_sandbox")
COUNT = query("tenants.count_sandboxes")

DEFAULT_SANDBOX = "prod"
SANDBOX_NAME = re.compile("[a-z][a-z0-9-]{0,63}")
MAX_ATTEMPTS: Final = 5  # of a removal that others are in the way of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PseudonymousExpiry:
    """People all of whose identities are of these namespaces are pseudonymous; they are to go after so many days without news."""

    namespaces: tuple[Namespace, ...]
    days: int


async def create_organization(db: Database, code: str, name: str, actor: str = OWN_ACTOR) -> Organization:
    """Create an organization with its default production sandbox, on behalf of `actor`. Raises Taken, Invalid."""
    organization = Organization(uuid4(), code, name)
    async with db.transaction() as tx:
        await tx.execute(CREATE_ORGANIZATION, organization.organization_id, code, name)
        kind = SandboxType.PRODUCTION
        organization_id = organization.organization_id
        sandbox = await _provision(tx, organization_id, DEFAULT_SANDBOX, None, kind, default=True, created_by=actor)
        scope = Scope(organization, sandbox, frozenset(Permission), frozenset({EVERY_SANDBOX}), actor)
        await audit.record(tx, scope, "createOrganization", Subject("Organization"), after=organization)
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
        organization_id = scope.organization.organization_id
        sandbox = await _provision(tx, organization_id, name, title, kind, created_by=scope.actor)
        await audit.record(tx, scope, "createSandbox", _subject(sandbox), after=sandbox)
    return sandbox


async def read_expiries(
    db: Database | Session, scope: Scope, sandbox_ids: Sequence[int]
) -> list[PseudonymousExpiry | None]:
    """Read the expiry of pseudonymous people of sandboxes, in order; None for one that has none or that the caller may not see.

    Needs `admin`; for the scope's own sandbox alone, `profile:read` or `config:write`. Raises Forbidden.
    """
    names = readable_sandboxes(scope, sandbox_ids)
    rows = await db.rows(LIST_EXPIRIES, sandbox_ids, scope.organization.organization_id, names)
    by_sandbox = {sandbox_id: list(own) for sandbox_id, own in groupby(rows, lambda row: row["sandbox_id"])}
    found = {
        sandbox_id: PseudonymousExpiry(tuple(parse_namespaces(own)), own[0]["expiry_days"])
        for sandbox_id, own in by_sandbox.items()
    }
    return [found.get(sandbox_id) for sandbox_id in sandbox_ids]


async def update_sandbox(
    db: Database, scope: Scope, sandbox_id: int, changes: Mapping[str, Any], current_version: int | None = None
) -> Sandbox:
    """Change a sandbox's `title` or `pseudonymous_expiry`, and return it. Needs `admin`.

    An expiry is a pair of codes of namespaces and days; None removes it, as None removes the title. Raises Forbidden, NotFound for the
    sandbox or a namespace, Invalid, and Stale unless `current_version` is None or the sandbox's version.
    """
    scope.require(Permission.ADMIN)
    inside = replace(scope, sandbox=await _known(db, scope, sandbox_id))
    async with db.transaction(sandbox_id) as tx:
        await lock_configuration(tx, inside)
        former = await _known(tx, scope, sandbox_id)
        check_version(former.version, current_version)
        (before,) = await read_expiries(tx, inside, [sandbox_id])
        title, expiry = changes.get("title", former.title), before
        if title is not None:
            check_name(title, "title")
        if "pseudonymous_expiry" in changes:
            expiry = await _check_expiry(tx, inside, changes["pseudonymous_expiry"])
        if (title, expiry) == (former.title, before):
            return former
        columns = (expiry.days, [each.namespace_id for each in expiry.namespaces]) if expiry else (None, None)
        sandbox = sandbox_of(await tx.row(UPDATE_SANDBOX, sandbox_id, title, *columns))
        states = {"before": _told(former, before), "after": _told(sandbox, expiry)}
        await audit.record(tx, scope, "updateSandbox", _subject(sandbox), **states)
    return sandbox


def _subject(sandbox: Sandbox) -> Subject:
    return Subject("Sandbox", (sandbox.sandbox_id,))


def _told(sandbox: Sandbox, expiry: PseudonymousExpiry | None) -> dict[str, Any]:
    """Return a sandbox and its expiry as the audit log tells them."""
    told = expiry and {"namespaces": [each.code for each in expiry.namespaces], "days": expiry.days}
    identified = {"name": sandbox.name, "title": sandbox.title, "type": sandbox.type}
    return identified | {"pseudonymousExpiry": told, "version": sandbox.version}


async def _check_expiry(
    tx: Session, scope: Scope, given: tuple[Sequence[str], int] | None
) -> PseudonymousExpiry | None:
    if given is None:
        return None
    codes, days = given
    path = ["pseudonymousExpiry", "namespaces"]
    check_days(days, "pseudonymousExpiry", "days")
    if not codes or len(set(codes)) != len(codes):
        raise Invalid("List one namespace or more, each once.", path=path)
    known = {namespace.code: namespace for namespace in await load_namespaces(tx, scope)}
    for place, code in enumerate(codes):
        if code not in known:
            raise NotFound(unknown_namespace(code, known), path=[*path, str(place)])
    listed = sorted((known[code] for code in codes), key=lambda namespace: namespace.namespace_id)
    return PseudonymousExpiry(tuple(listed), days)


async def _known(db: Database | Session, scope: Scope, sandbox_id: int) -> Sandbox:
    (known,) = await read_sandboxes(db, scope, [sandbox_id])
    if known is None:
        raise NotFound("There is no sandbox with this id.", path=["id"])
    return known


def _check_name(sandbox: Sandbox, confirm_name: str, verb: str) -> None:
    if sandbox.name != confirm_name:
        raise Invalid(f"This is not the name of the sandbox that would be {verb}.", path=["confirmName"])


async def reset_sandbox(db: Database, scope: Scope, sandbox_id: int, confirm_name: str) -> Sandbox:
    """Delete a sandbox's facts, views and configuration; keep its id, name, title, type, secret and maker. Return it. Needs `admin`.

    Identities that were erased stay so, and custom namespaces of theirs stay with them.

    Raises Forbidden, NotFound, and Invalid unless `confirm_name` is the sandbox's name.
    """
    scope.require(Permission.ADMIN)
    _check_name(await _known(db, scope, sandbox_id), confirm_name, "reset")
    return await _repeated(lambda: _reset(db, scope, sandbox_id))


async def _reset(db: Database, scope: Scope, sandbox_id: int) -> Sandbox:
    async with lock_exclusive(db, sandbox_id) as tx:  # running writes finish first; later ones find no dataset
        (expiry,) = await read_expiries(tx, scope, [sandbox_id])
        kept = await namespaces.list_of_erased(tx, sandbox_id)
        row = await tx.row(TAKE_SANDBOX, sandbox_id)
        if row is None:
            raise NotFound("The sandbox has just been deleted.", path=["id"])
        await _empty(tx, sandbox_id, RESET_SANDBOX)
        # caches and callers compare the versions: they must not start again
        grown = {"config_version": row["config_version"] + 1, "version": row["version"] + 1, "text_rules": NEWEST}
        restored = {**row, **grown}
        sandbox = sandbox_of(await tx.row(RESTORE_SANDBOX, *(restored[name] for name in RESTORE_SANDBOX.parameters)))
        await _configure(tx, sandbox_id)
        await namespaces.recreate(tx, sandbox_id, kept)
        states = {"before": _told(sandbox_of(row), expiry), "after": _told(sandbox, None)}
        await audit.record(tx, scope, "resetSandbox", _subject(sandbox), **states)
    return sandbox


async def delete_sandbox(db: Database, scope: Scope, sandbox_id: int, confirm_name: str) -> None:
    """Delete a sandbox and everything in it, once running writes have finished. Needs `admin`.

    Raises Forbidden, NotFound, Invalid unless `confirm_name` is the sandbox's name, and Conflict for the default sandbox.
    """
    scope.require(Permission.ADMIN)
    known = await _known(db, scope, sandbox_id)
    _check_name(known, confirm_name, "deleted")
    if known.is_default:
        raise Conflict("The default sandbox stays; `resetSandbox` empties it.", path=["id"])
    await _repeated(lambda: _delete(db, scope, known))


async def _delete(db: Database, scope: Scope, known: Sandbox) -> None:
    async with lock_exclusive(db, known.sandbox_id) as tx:
        (expiry,) = await read_expiries(tx, scope, [known.sandbox_id])
        if await tx.value(DELETE_SANDBOX, scope.organization.organization_id, known.sandbox_id) is None:
            raise NotFound("The sandbox has just been deleted.", path=["id"])
        await _empty(tx, known.sandbox_id, EMPTY_SANDBOX)
        await audit.record(tx, scope, "deleteSandbox", _subject(known), before=_told(known, expiry))


async def _repeated(remove: Callable[[], Awaitable[T]]) -> T:
    """Remove what is in a sandbox, again where a job of the sandbox, which locks its rows in another order, was in the way.

    Raises Contended after MAX_ATTEMPTS attempts.
    """
    for _ in range(MAX_ATTEMPTS - 1):
        with suppress(Contended):
            return await remove()
    return await remove()


EMPTY_SANDBOX = [query(f"tenants.empty_{table}") for table in EMPTIED]
RESET_SANDBOX = [
    query("tenants.empty_identity_of_erased"),
    *(query(f"tenants.empty_{table}") for table in EMPTIED if table != "identity"),
]


async def _provision(
    tx: Session,
    organization_id: UUID,
    name: str,
    title: str | None,
    kind: SandboxType,
    *,
    created_by: str | None = None,
    default: bool = False,
) -> Sandbox:
    columns = (organization_id, name, title, kind, default, secrets.token_bytes(32), NEWEST, created_by)
    sandbox = sandbox_of(await tx.row(CREATE_SANDBOX, *columns))
    await _configure(tx, sandbox.sandbox_id)
    return sandbox


async def _configure(tx: Session, sandbox_id: int) -> None:
    await namespaces.create_standard(tx, sandbox_id)
    await identity_settings.create_identity_settings(tx, sandbox_id)
    await policies.create_default(tx, sandbox_id)


async def _empty(tx: Session, sandbox_id: int, statements: Iterable[Query]) -> None:
    await tx.lift_time_limit()
    for statement in statements:
        await tx.execute(statement, sandbox_id)

"""A deployment, which every process needs: a migrated Postgres, an organization in it, and the credentials of a data directory."""

import asyncio
import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from gateway.domain.config.api_keys import keep_api_key
from gateway.domain.config.sandboxes import create_organization
from gateway.domain.config.tenants import list_organizations, read_sandbox
from gateway.domain.config.tokens import keep_public_keys, list_public_keys
from gateway.domain.rules.scope import EVERY_SANDBOX, Organization, Permission, Sandbox, Scope
from gateway.errors import NotFound, Taken
from gateway.postgres.cluster import Cluster
from gateway.server.credentials import keep_credentials
from gateway.server.database import connect
from gateway.server.logs import log_observation
from gateway.server.signing_keys import SigningKey, SigningKeys
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.migrations import migrate

KEY_NAME = "gateway token"
"""The name of the API key that a data directory keeps for its commands."""

MIN_CONNECTIONS, EXTRA_CONNECTIONS = 100, 20
"""Of the embedded Postgres: in all; and for commands, in addition to servers."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A database of the newest schema, the organization of the settings in it, an API key of that, and the keys that sign tokens."""

    dsn: str
    db: Database
    organization: Organization
    api_key: str
    signing_keys: SigningKeys

    async def scope(self, sandbox: str | None = None) -> Scope:
        """Return a scope of all permissions in a sandbox, by default the default one, for the user who runs this. Raises NotFound."""
        return _scope(self.organization, await self.sandbox(sandbox))

    async def sandbox(self, name: str | None) -> Sandbox:
        """Return the sandbox of this name, or the default one. Raises NotFound."""
        return await _sandbox(self.db, self.organization, name)


def system_user() -> str:
    """Return the name of the operating system's user who runs this process, its number where the user has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@asynccontextmanager
async def database_address(settings: Settings) -> AsyncIterator[str]:
    """Yield the address of the Postgres in the settings, or run the embedded one during the block. Raises ClusterError."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    connections = max(MIN_CONNECTIONS, (settings.workers + 1) * (settings.database_connections + 1) + EXTRA_CONNECTIONS)
    room = {"max_connections": str(connections)}
    async with Cluster(settings.data_dir, settings=room, tell=log_observation) as cluster:
        yield cluster.dsn()


@asynccontextmanager
async def open_deployment(settings: Settings) -> AsyncIterator[Deployment]:
    """Open the deployment of these settings; create it at the first start. Raises ClusterError, SchemaError, SettingsError, Unavailable."""
    async with database_address(settings) as dsn:
        await migrate(dsn)
        db = await connect(settings, dsn)
        try:
            yield await _provide(settings, dsn, db)
        finally:
            await db.close()


async def _provide(settings: Settings, dsn: str, db: Database) -> Deployment:
    """Create the organization and the credentials that are missing. Two gateways may do so at once."""
    keep = partial(keep_credentials, settings.data_dir, settings.organization)
    kept, organization = await asyncio.to_thread(keep), await _organization(db, settings.organization)
    scope = _scope(organization, await _sandbox(db, organization, None))
    while not await keep_api_key(db, scope, kept.api_key, KEY_NAME):
        kept = await asyncio.to_thread(keep, revoked_key=kept.api_key)
    keys = _set_keys(settings) or kept.signing_keys
    known = await list_public_keys(db)
    if new := {key.key_id: key.public_bytes for key in keys.all if key.key_id not in known}:
        await keep_public_keys(db, new)
    return Deployment(dsn, db, organization, kept.api_key, keys)


def _set_keys(settings: Settings) -> SigningKeys | None:
    """Return the keys of the settings that sign tokens, None where those of the data directory do."""
    given = (settings.jwt_secret, settings.jwt_former_secret)
    current, former = (SigningKey(one.get_secret_value()) if one else None for one in given)
    return SigningKeys(current, former) if current else None


def _scope(organization: Organization, sandbox: Sandbox) -> Scope:
    return Scope(organization, sandbox, frozenset(Permission), frozenset({EVERY_SANDBOX}), system_user())


async def _sandbox(db: Database, organization: Organization, name: str | None) -> Sandbox:
    found = await read_sandbox(db, organization.organization_id, name)
    if found is None:
        raise NotFound(f"The organization {organization.code!r} has no sandbox {name!r}.")
    return found


async def _organization(db: Database, code: str) -> Organization:
    for _ in range(2):
        found = next((one for one in await list_organizations(db) if one.code == code), None)
        if found is not None:
            return found
        try:
            return await create_organization(db, code, code.capitalize(), system_user())
        except Taken:
            continue  # another gateway was first
    raise NotFound(f"The organization {code!r} came and went.")

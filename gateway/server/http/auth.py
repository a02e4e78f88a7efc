"""Authentication: the four headers of a request → `Scope`, or an error with the code of Adobe's Real-Time Customer Profile.

Authorization      Bearer <token>: the organization, the sandboxes and the permissions
x-api-key          the calling program: a key of the same organization
x-gw-ims-org-id    the organization, again
x-sandbox-name     one of the token's sandboxes; the default one where it is absent

Every request is checked against the database, so that a revoked key, a deleted sandbox or a changed configuration counts for all later
requests. The scope of an earlier request is cached as a guess: a read may begin with it, but is not answered until it is confirmed.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Final, TypeAlias
from uuid import UUID

from gateway.domain.config.tenants import ApiKeyOwner, ApiKeyUse, authenticate, key_hash
from gateway.domain.rules.scope import Scope
from gateway.errors import Forbidden, Timeout, Unauthenticated
from gateway.runtime.batching import Coalescer
from gateway.runtime.cache import WeightedCache
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import Claims
from gateway.storage.database import Database

MAX_CACHED_CALLERS: Final = 1_000

HEADERS = ("authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")

HeaderValues: TypeAlias = tuple[str | None, ...]
"""The values of HEADERS in a request."""


@dataclass(frozen=True, slots=True)
class RequestCredentials:
    """The credentials in the headers of a request, not yet checked against the database: `use` of a key, `claims` of a token."""

    headers: HeaderValues
    use: ApiKeyUse
    claims: Claims

    def scope(self, owner: ApiKeyOwner | None) -> Scope:
        """Return the scope that they allow. `owner` owns the key in the database, None for an unknown key. Raises Unauthenticated, Forbidden."""
        if owner is None:
            raise Unauthenticated("Api Key is invalid", status=403, error_code="403003")
        organization, sandbox = owner
        if organization is None or organization.organization_id != self.claims.organization_id:
            raise Unauthenticated("Profile is not valid", status=403, error_code="403025")
        if sandbox is None or not self.claims.cover(sandbox.name):
            named = f"a sandbox {self.use.sandbox!r}" if self.use.sandbox else "the default sandbox"
            raise Forbidden(f"The token is not for {named}.")
        return Scope(organization, sandbox, self.claims.permissions, self.claims.sandboxes, self.claims.subject)


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of an earlier request: its credentials, the owner of its key and its scope."""

    credentials: RequestCredentials
    owner: ApiKeyOwner | None
    scope: Scope


class Callers:
    """Authenticates callers. Requests that arrive at the same time are checked in one statement."""

    def __init__(self, db: Database, tokens: TokenReader, *, seconds: float = 30) -> None:
        """`seconds` is the longest wait for that statement."""
        self._tokens = tokens
        self._known: WeightedCache[HeaderValues, Caller] = WeightedCache(MAX_CACHED_CALLERS)
        self._owners: Coalescer[ApiKeyUse, ApiKeyOwner | None] = Coalescer(
            partial(authenticate, db), at_once=1, seconds=seconds
        )

    async def scope_of(self, headers: Mapping[str, str]) -> Scope:
        """Return the scope of a caller. `headers` are looked up by lower-case names.

        It is the same object until something about the caller changes. Raises Unauthenticated; Unavailable; Timeout; Forbidden, with one
        message for a sandbox that the token is not for and one that does not exist.
        """
        caller = self.known(headers)
        if caller is not None:
            return await self.confirm(caller)
        credentials = await self._read(headers)
        return self._admit(credentials, await _in_time(self._owners.load(credentials.use)))

    def known(self, headers: Mapping[str, str]) -> Caller | None:
        """Return the caller who sent these headers before, if the token is still valid; else None."""
        caller = self._known.get(_values(headers))
        return caller if caller is not None and caller.credentials.claims.expires_at > time() else None

    def confirm(self, caller: Caller) -> Awaitable[Scope]:
        """Begin to check a known caller against the database; await the scope that is returned before the request is answered.

        It is the caller's scope itself unless something has changed. Raises as `scope_of` does.
        """
        return self._confirmed(caller, self._owners.load(caller.credentials.use))

    async def _read(self, headers: Mapping[str, str]) -> RequestCredentials:
        token, key, organization = _bearer(headers), headers.get("x-api-key"), headers.get("x-gw-ims-org-id")
        if token is None:
            raise Unauthenticated("Oauth token is missing.", status=403, error_code="403010")
        if not key:
            raise Unauthenticated("Api Key is required", status=403, error_code="403000")
        if not organization:
            raise Unauthenticated("Missing header: x-gw-ims-org-id", status=400, error_code="400003")
        use = ApiKeyUse(key_hash(key), _uuid(organization), headers.get("x-sandbox-name") or None)
        return RequestCredentials(_values(headers), use, await self._tokens.read(token))

    async def _confirmed(self, caller: Caller, loading: Awaitable[ApiKeyOwner | None]) -> Scope:
        owner = await _in_time(loading)
        return caller.scope if owner == caller.owner else self._admit(caller.credentials, owner)

    def _admit(self, credentials: RequestCredentials, owner: ApiKeyOwner | None) -> Scope:
        try:
            scope = credentials.scope(owner)
        except (Unauthenticated, Forbidden):
            self._known.drop(credentials.headers)
            raise
        before = self._known.get(credentials.headers)
        if before is not None and before.scope == scope:
            return before.scope
        self._known.put(credentials.headers, Caller(credentials, owner, scope), 1)
        return scope


async def _in_time(loading: Awaitable[ApiKeyOwner | None]) -> ApiKeyOwner | None:
    try:
        return await loading
    except TimeoutError:
        raise Timeout from None


def _values(headers: Mapping[str, str]) -> HeaderValues:
    return tuple(map(headers.get, HEADERS))


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

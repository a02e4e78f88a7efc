"""Authentication: the four headers of a request → `Scope`, or an error with the code of Adobe's Real-Time Customer Profile.

Authorization      Bearer <token>: the organization, the sandboxes and the permissions
x-api-key          the calling program: a key of the same organization, perhaps bound to some of its sandboxes
x-gw-ims-org-id    the organization, again
x-sandbox-name     one of the sandboxes that token and key have in common; the default one where it is absent

Every request is checked against the database, so that a revoked key or token, a deleted sandbox or a changed configuration counts for all
later requests. The scope of an earlier request is cached as a guess: a read may begin with it, but is not answered until it is confirmed.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from uuid import UUID

from gateway.domain.config.api_keys import USE_INTERVAL, note_use
from gateway.domain.config.tenants import ApiKeyOwner, ApiKeyUse, authenticate, key_hash
from gateway.domain.rules.scope import EVERY_SANDBOX, Organization, Scope
from gateway.errors import Forbidden, GatewayError, Unauthenticated
from gateway.runtime.batching import Coalescer
from gateway.runtime.cache import WeightedCache
from gateway.runtime.uuids import uuid_of
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import Claims
from gateway.storage.database import Database
from gateway.telemetry import FaultMasked, observe

MAX_CACHED_CALLERS: Final = 1_000

_BOUND: Final = "Oauth token is not valid: it opens one projection at edges, and nothing here"

HEADERS = ("authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")

HeaderValues: TypeAlias = tuple[str | None, ...]
"""The values of HEADERS in a request."""


class HasName(Protocol):
    """A sandbox, whatever else is known of it."""

    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=HasName)
Named_co = TypeVar("Named_co", bound=HasName, covariant=True)


class KeyOwner(Protocol[Named_co]):
    """What is known of an API key, and of the token beside it: an `ApiKeyOwner` has this, too."""

    @property
    def organization(self) -> Organization | None: ...
    @property
    def sandbox(self) -> Named_co | None: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def sandboxes(self) -> frozenset[str] | None: ...
    @property
    def is_token_revoked(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class RequestCredentials:
    """The credentials in the headers of a request, not yet checked against the database: `use` of a key, `claims` of a token."""

    headers: HeaderValues
    use: ApiKeyUse
    claims: Claims

    def scope(self, owner: ApiKeyOwner | None) -> Scope:
        """Return the scope that they allow. `owner` owns the key in the database, None for an unknown key. Raises Unauthenticated, Forbidden."""
        api_key_id = owner.api_key_id if owner else None
        organization, sandbox, names = self.opened(owner)
        return Scope(organization, sandbox, self.claims.permissions, names, self.claims.subject, api_key_id)

    def opened(self, owner: "KeyOwner[Named] | None") -> tuple[Organization, "Named", frozenset[str]]:
        """Return the organization and the sandbox that they open, and the names of all such sandboxes. Raises Unauthenticated, Forbidden."""
        if self.claims.bound_to is not None:
            raise Unauthenticated(_BOUND, status=401, error_code="401013")
        if owner is None:
            raise Unauthenticated("Api Key is invalid", status=403, error_code="403003")
        if owner.expires_at <= time():
            raise Unauthenticated("Api Key is invalid: it has expired", status=403, error_code="403003")
        organization, sandbox = owner.organization, owner.sandbox
        if organization is None or organization.organization_id != self.claims.organization_id:
            raise Unauthenticated("Profile is not valid", status=403, error_code="403025")
        if owner.is_token_revoked:
            raise token_revoked()
        names = self.claims.sandboxes_of(owner.sandboxes)
        if sandbox is None or names.isdisjoint({sandbox.name, EVERY_SANDBOX}):
            named = f"a sandbox {self.use.sandbox!r}" if self.use.sandbox else "the default sandbox"
            raise Forbidden(f"The token and the API key are not for {named}.")
        return organization, sandbox, names


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of an earlier request: its credentials, the owner of its key and its scope.

    `expires_at` is when the token or the key expires, in seconds since 1970.
    """

    credentials: RequestCredentials
    owner: ApiKeyOwner | None
    scope: Scope
    expires_at: float

    def is_owned_by(self, owner: ApiKeyOwner | None) -> bool:
        """Return whether the owner is still this one: mostly the same object, which need not be compared field by field."""
        return owner is self.owner or owner == self.owner


class Confirmation:
    """The check of a known caller against the database; awaiting it gives the scope, and raises as `Callers.meet` does.

    The scope is the caller's itself unless something has changed.
    """

    _give_up: Callable[[], None]

    def __init__(self, callers: "Callers", caller: Caller, owner: "asyncio.Future[ApiKeyOwner | None]") -> None:
        self._callers = callers
        self._caller = caller
        self._owner = owner

    def __await__(self) -> Generator[Any, None, Scope]:
        owner = yield from self._owner.__await__()
        return self._callers.scope_by(self._caller, owner)

    def otherwise(self, give_up: Callable[[], None]) -> None:
        """Call this once the caller turns out to be refused."""
        self._give_up = give_up
        self._owner.add_done_callback(self._look)

    def _look(self, found: "asyncio.Future[ApiKeyOwner | None]") -> None:
        if found.cancelled() or found.exception():
            self._give_up()
        elif not self._caller.is_owned_by(found.result()):
            try:
                self._caller.credentials.scope(found.result())
            except (Unauthenticated, Forbidden):
                self._give_up()


class Callers:
    """Authenticates callers. Requests that arrive at the same time are checked in one statement."""

    def __init__(self, db: Database, tokens: TokenReader, *, seconds: float = 30) -> None:
        """`seconds` is the longest wait for that statement."""
        self._tokens = tokens
        self._known: WeightedCache[HeaderValues, Caller] = WeightedCache(MAX_CACHED_CALLERS)
        self._owners: Coalescer[ApiKeyUse, ApiKeyOwner | None] = Coalescer(
            partial(authenticate, db), at_once=1, seconds=seconds
        )
        self._db = db
        self._noted_until: dict[UUID, float] = {}
        self._noting = set[asyncio.Task[None]]()

    async def meet(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller who sends these headers for the first time, who is known from then on.

        `headers` are looked up by lower-case names. The scope is the same object until something about the caller changes. Raises
        Unauthenticated; Unavailable; Timeout; Forbidden, with one message for a sandbox that the token is not for and one that does not exist.
        """
        credentials = await credentials_of(headers, self._tokens)
        return self._admit(credentials, await self._owners.load(credentials.use))

    def known(self, headers: Mapping[str, str]) -> Caller | None:
        """Return the caller who sent these headers before, if the token is still valid; else None."""
        caller = self._known.get(header_values(headers))
        return caller if caller is not None and caller.expires_at > time() else None

    def confirm(self, caller: Caller) -> Confirmation:
        """Begin to check a known caller against the database; await what is returned before the request is answered."""
        return Confirmation(self, caller, self._owners.load(caller.credentials.use))

    def scope_by(self, caller: Caller, owner: ApiKeyOwner | None) -> Scope:
        """Return the scope of a known caller whose key has this owner now. Raises Unauthenticated, Forbidden."""
        if caller.is_owned_by(owner):
            self._note_use(caller.scope)
            return caller.scope
        return self._admit(caller.credentials, owner).scope

    def _admit(self, credentials: RequestCredentials, owner: ApiKeyOwner | None) -> Caller:
        try:
            scope = credentials.scope(owner)
        except (Unauthenticated, Forbidden):
            self._known.drop(credentials.headers)
            raise
        self._note_use(scope)
        before = self._known.get(credentials.headers)
        if before is not None and before.scope == scope:
            return before
        expiry = credentials.claims.expires_at
        caller = Caller(credentials, owner, scope, min(expiry, owner.expires_at) if owner else expiry)
        self._known.put(credentials.headers, caller)
        return caller

    def _note_use(self, scope: Scope) -> None:
        """Begin to store that the key was used, unless this process did so less than an hour ago."""
        key, now = scope.api_key_id, time()
        if key is None or self._noted_until.get(key, 0) > now:
            return
        self._noted_until[key] = now + USE_INTERVAL.total_seconds()
        task = asyncio.create_task(self._store_use(key, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _store_use(self, api_key_id: UUID, at: float) -> None:
        try:
            await note_use(self._db, api_key_id, datetime.fromtimestamp(at, UTC))
        except GatewayError as error:  # a request is answered all the same
            observe(FaultMasked(error))


async def credentials_of(headers: Mapping[str, str], tokens: TokenReader) -> RequestCredentials:
    """Return the credentials in the headers of a request, which are looked up by lower-case names. Raises Unauthenticated, Unavailable."""
    token, key, organization = bearer_of(headers), headers.get("x-api-key"), headers.get("x-gw-ims-org-id")
    if token is None:
        raise Unauthenticated("Oauth token is missing.", status=403, error_code="403010")
    if not key:
        raise Unauthenticated("Api Key is required", status=403, error_code="403000")
    if not organization:
        raise Unauthenticated("Missing header: x-gw-ims-org-id", status=400, error_code="400003")
    claims = await tokens.read(token)
    use = ApiKeyUse(key_hash(key), _uuid(organization), headers.get("x-sandbox-name") or None, claims.hashes)
    return RequestCredentials(header_values(headers), use, claims)


def token_revoked() -> Unauthenticated:
    """Return the error of a token that was revoked."""
    return Unauthenticated("Oauth token is not valid: it was revoked", status=401, error_code="401013")


def header_values(headers: Mapping[str, str]) -> HeaderValues:
    """Return the values of HEADERS in a request."""
    return tuple(map(headers.get, HEADERS))


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """Return the token of a request, None if it has none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _uuid(text: str) -> UUID | None:
    try:
        return uuid_of(UUID(text).bytes)  # it is hashed with each request
    except ValueError:
        return None

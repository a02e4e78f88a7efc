"""The four headers of a request → `Scope`, or a refusal with the model's own error code.

Authorization      Bearer <token>: the organization, the sandboxes and the permissions
x-api-key          who calls: the key belongs to the same organization
x-gw-ims-org-id    the organization, again
x-sandbox-name     one of the token's sandboxes; the default one where it is absent

Every request asks the store anew, so that a revoked key, a deleted sandbox or a changed configuration is seen by all that start after it.
What was found before is remembered as a guess: a read may begin with it, but nothing is told until it is confirmed.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Final, TypeAlias
from uuid import UUID

from gateway.domain.config.tenants import ApiKeyOwner, ApiKeyUse, authenticate, key_hash
from gateway.domain.rules.scope import Scope
from gateway.errors import Forbidden, Timeout, Unauthenticated
from gateway.runtime.batching import Coalescer
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import Claims
from gateway.storage.database import Database

REMEMBERED: Final = 1_000
"""Callers that are known again; of more of them the one that was away for longest is forgotten."""

HEADERS = ("authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")

HeaderValues: TypeAlias = tuple[str | None, ...]
"""The four headers just as they came."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the headers say, as far as that can be known without the store. `use` is of the key, `claims` are of the token."""

    given: HeaderValues
    use: ApiKeyUse
    claims: Claims

    def scope(self, home: ApiKeyOwner | None) -> Scope:
        """What they allow, by where the key leads. Raises Unauthenticated, Forbidden."""
        if home is None:
            raise Unauthenticated("Api Key is invalid", status=403, error_code="403003")
        organization, sandbox = home
        if organization is None or organization.organization_id != self.claims.organization_id:
            raise Unauthenticated("Profile is not valid", status=403, error_code="403025")
        if sandbox is None or not self.claims.cover(sandbox.name):
            named = f"a sandbox {self.use.sandbox!r}" if self.use.sandbox else "the default sandbox"
            raise Forbidden(f"The token is not for {named}.")
        return Scope(organization, sandbox, self.claims.permissions, self.claims.sandboxes)


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who was let in before. `home` and `scope` are what was found then."""

    credentials: Credentials
    home: ApiKeyOwner | None
    scope: Scope


class Callers:
    """Lets callers in. Requests that are in hand at the same moment ask the store in one statement."""

    def __init__(self, db: Database, tokens: TokenReader, *, seconds: float = 30) -> None:
        """`seconds` is how long the store may take to say who somebody is."""
        self._db = db
        self._tokens = tokens
        self._known: OrderedDict[HeaderValues, Caller] = OrderedDict()
        self._homes: Coalescer[ApiKeyUse, ApiKeyOwner | None] = Coalescer(
            self._authenticate, at_once=1, seconds=seconds
        )  # they are short

    async def scope_of(self, headers: Mapping[str, str]) -> Scope:
        """What the caller may do and where. `headers` are looked up by lower-case names.

        As long as the store says the same of a caller, this is the same object. Raises Unauthenticated; Unavailable; Timeout; Forbidden
        for a sandbox that is not the token's, or not there: the answer does not tell which.
        """
        caller = self.known(headers)
        if caller is not None:
            return await self.confirm(caller)
        credentials = await self._read(headers)
        return self._let_in(credentials, await _found(self._homes.load(credentials.use)))

    def known(self, headers: Mapping[str, str]) -> Caller | None:
        """Who sent just these headers before, and whose token is still good."""
        given = _given(headers)
        caller = self._known.get(given)
        if caller is None:
            return None
        if caller.credentials.claims.expires_at <= time():
            del self._known[given]
            return None
        self._known.move_to_end(given)
        return caller

    def confirm(self, caller: Caller) -> Awaitable[Scope]:
        """Ask the store about a caller, from this moment on; await what comes back before anything is told.

        It is the caller's scope itself if nothing has changed since. Raises as `scope_of` does.
        """
        return self._confirmed(caller, self._homes.load(caller.credentials.use))

    async def _read(self, headers: Mapping[str, str]) -> Credentials:
        token, key, organization = _bearer(headers), headers.get("x-api-key"), headers.get("x-gw-ims-org-id")
        if token is None:
            raise Unauthenticated("Oauth token is missing.", status=403, error_code="403010")
        if not key:
            raise Unauthenticated("Api Key is required", status=403, error_code="403000")
        if not organization:
            raise Unauthenticated("Missing header: x-gw-ims-org-id", status=400, error_code="400003")
        use = ApiKeyUse(key_hash(key), _uuid(organization), headers.get("x-sandbox-name") or None)
        return Credentials(_given(headers), use, await self._tokens.read(token))

    async def _authenticate(self, uses: Sequence[ApiKeyUse]) -> Sequence[ApiKeyOwner | None]:
        return await authenticate(self._db, uses)

    async def _confirmed(self, caller: Caller, home: Awaitable[ApiKeyOwner | None]) -> Scope:
        found = await _found(home)
        return caller.scope if found == caller.home else self._let_in(caller.credentials, found)

    def _let_in(self, credentials: Credentials, home: ApiKeyOwner | None) -> Scope:
        try:
            scope = credentials.scope(home)
        except (Unauthenticated, Forbidden):
            self._known.pop(credentials.given, None)
            raise
        before = self._known.get(credentials.given)
        if before is not None and before.scope == scope:
            return before.scope
        self._known[credentials.given] = Caller(credentials, home, scope)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return scope


async def _found(home: Awaitable[ApiKeyOwner | None]) -> ApiKeyOwner | None:
    try:
        return await home
    except TimeoutError:
        raise Timeout from None


def _given(headers: Mapping[str, str]) -> HeaderValues:
    return tuple(map(headers.get, HEADERS))


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

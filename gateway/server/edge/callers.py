"""Who calls an edge: the same headers as at the hub, checked against what was delivered; or a token for one projection of one person.

Nothing is read from the store for a caller who is known: the look-up itself says whether the settings are still the newest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Final

from gateway.domain.config.tokens import Binding
from gateway.domain.rules.scope import Permission
from gateway.errors import Forbidden, Unauthenticated
from gateway.runtime.cache import WeightedCache
from gateway.server.edge.received import Received, SandboxSettings
from gateway.server.http.auth import (
    HeaderValues,
    bearer_of,
    credentials_of,
    header_values,
    token_revoked,
)
from gateway.server.signing_keys import PublicKeys
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import Claims

MAX_CACHED_CALLERS: Final = 10_000
"""Pages in browsers have a token each."""


@dataclass(frozen=True, slots=True)
class EdgeCaller:
    """A caller, and the settings of its sandbox that it was checked against. `bound_to` is all that it may see, None: everybody.

    `expires_at` is when the token or the key expires, in seconds since 1970.
    """

    settings: SandboxSettings
    bound_to: Binding | None
    expires_at: float


class EdgeCallers:
    """Authenticates callers against what was delivered."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._known: WeightedCache[HeaderValues, EdgeCaller] = WeightedCache(MAX_CACHED_CALLERS)
        self._keys: dict[str, bytes] | None = None
        self._tokens = TokenReader(PublicKeys({}))

    def known(self, headers: Mapping[str, str]) -> EdgeCaller | None:
        """Return the caller who sent these headers before, unless something about it may have changed."""
        caller = self._known.get(header_values(headers))
        if caller is None or caller.expires_at <= time() or not self._received.is_newest(caller.settings):
            return None
        return caller

    async def meet(self, headers: Mapping[str, str]) -> EdgeCaller:
        """Return the caller who sends these headers, who is known from then on. `headers` are looked up by lower-case names.

        A caller who seems to be refused is checked against the newest settings. Raises Unauthenticated, Forbidden, Unavailable, Timeout.
        """
        try:
            caller = await self._check(headers)
        except (Unauthenticated, Forbidden):
            if not await self._received.refresh():
                raise
            caller = await self._check(headers)
        self._known.put(header_values(headers), caller)
        return caller

    async def _check(self, headers: Mapping[str, str]) -> EdgeCaller:
        if self._keys is not self._received.signing_keys:
            self._keys = self._received.signing_keys
            self._tokens = TokenReader(PublicKeys(self._keys), self._received.issuers.values())
        token = bearer_of(headers)
        claims = await self._tokens.read(token) if token else None
        if claims is not None and claims.bound_to is not None:
            return self._bound(headers, claims)
        credentials = await credentials_of(headers, self._tokens)
        owner = self._received.owner(credentials.use)
        if owner is None:
            raise Unauthenticated("Api Key is invalid: it is unknown here, or was revoked")
        _, settings, _ = credentials.opened(owner)
        if not credentials.claims.permissions & {Permission.PROFILE_READ, Permission.ADMIN}:
            raise Forbidden("This needs the scope profile:read.")
        return EdgeCaller(settings, None, min(credentials.claims.expires_at, owner.expires_at))

    def _bound(self, headers: Mapping[str, str], claims: Claims) -> EdgeCaller:
        """Return the caller with a token for one projection, which names its organization and sandbox; headers may do so, too."""
        name = min(claims.sandboxes, default="")
        organization = headers.get("x-gw-ims-org-id") or str(claims.organization_id)
        settings = self._received.sandbox(claims.organization_id, name)
        if organization != str(claims.organization_id) or headers.get("x-sandbox-name", name) != name:
            raise Unauthenticated("Profile is not valid", status=403, error_code="403025")
        if settings is None:
            raise Forbidden("The token is for a sandbox that this edge does not have.")
        if settings.is_revoked(claims.hashes):
            raise token_revoked()
        return EdgeCaller(settings, claims.bound_to, claims.expires_at)

"""What was delivered of sandboxes and their configurations, kept in memory as long as the store says that it is the newest.

Each look-up tells the version of the settings that it ran under, so that a process finds out in the same statement that its own are old.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from uuid import UUID

from gateway.domain.config.tenants import ApiKeyUse
from gateway.domain.edges.configurations import ServedConfiguration
from gateway.domain.edges.sandboxes import (
    DeliveredIssuer,
    DeliveredSigningKey,
    ReceivedSettings,
    list_sandboxes,
    read_settings,
)
from gateway.domain.rules.durations import parse_duration
from gateway.domain.rules.graphs import xids_in
from gateway.domain.rules.normalization import RULES, IdentityNormalization
from gateway.domain.rules.scope import Organization
from gateway.server.edge.reads import ProjectionReads
from gateway.server.issuers import HeldIssuer, usable_keys
from gateway.storage.database import Database

REACTIVE = "REACTIVE"


@dataclass(frozen=True, slots=True)
class EdgeNamespace:
    """How values of a namespace become keys of this edge."""

    namespace_id: int
    normalized: Callable[[str], str]
    key: Callable[[str], UUID] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EdgeConfiguration:
    """A configuration as it is served, and how its projections are read. `ttl` is in seconds."""

    configuration_id: UUID
    name: str
    is_reactive: bool
    ttl: int
    reads: ProjectionReads


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the edge knows of the API key and the token of a request, which name a sandbox: see `http.auth.KeyOwner`."""

    organization: Organization | None
    sandbox: "SandboxSettings | None"
    expires_at: float
    is_token_revoked: bool
    sandboxes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What was delivered of a sandbox, as requests need it."""

    sandbox_id: int
    version: int
    organization: Organization
    name: str
    is_default: bool
    namespaces: Mapping[str, EdgeNamespace]
    configurations: Mapping[str, EdgeConfiguration]
    api_keys: Mapping[bytes, float]
    signing_keys: tuple[DeliveredSigningKey, ...]
    issuers: tuple[HeldIssuer, ...]
    revocations: frozenset[bytes]

    def is_revoked(self, hashes: frozenset[bytes]) -> bool:
        """Return whether a token with these hashes was revoked."""
        return not self.revocations.isdisjoint(hashes)


class Received:
    """The settings of all sandboxes of an edge. They are immutable; a newer version is another object."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._settings: dict[int, SandboxSettings] = {}
        self._refreshing = asyncio.Lock()
        self.signing_keys: dict[str, bytes] = {}
        self.issuers: Mapping[str, HeldIssuer] = {}

    def is_newest(self, settings: SandboxSettings) -> bool:
        """Return whether no newer settings of this sandbox have been read."""
        return self._settings.get(settings.sandbox_id) is settings

    def sandbox(self, organization_id: UUID | None, name: str | None) -> SandboxSettings | None:
        """Return the sandbox of this name in an organization, the default one for None; None if there is none."""
        for each in self._settings.values():
            if each.organization.organization_id == organization_id and (
                each.is_default if name is None else each.name == name
            ):
                return each
        return None

    def owner(self, use: ApiKeyUse) -> KeyFacts | None:
        """Return what is known of a key in the sandbox that a request names, None for a key that opens no sandbox of the edge."""
        sandbox = self.sandbox(use.organization_id, use.sandbox)
        if sandbox is not None and use.key_hash in sandbox.api_keys:
            is_revoked = sandbox.is_revoked(use.token_hashes)
            return KeyFacts(sandbox.organization, sandbox, sandbox.api_keys[use.key_hash], is_revoked)
        others = (each for each in self._settings.values() if use.key_hash in each.api_keys)
        known = next(others, None)
        if known is None:
            return None
        is_own = known.organization.organization_id == use.organization_id
        expires_at, is_revoked = known.api_keys[use.key_hash], known.is_revoked(use.token_hashes)
        return KeyFacts(known.organization if is_own else None, None, expires_at, is_revoked)

    async def refresh(self) -> bool:
        """Read what was delivered since, and return whether that is anything. Raises Unavailable, Timeout."""
        async with self._refreshing:
            listed = await list_sandboxes(self._db)
            known = {key: each.version for key, each in self._settings.items()}
            fresh = {each.sandbox_id: each.settings_version for each in listed}
            if fresh == known:
                return False
            settings = {key: self._settings[key] for key, version in fresh.items() if known.get(key) == version}
            for key in fresh.keys() - settings.keys():
                if (received := await read_settings(self._db, key)) is not None:
                    settings[key] = self._settings_of(received)
            self._settings = settings
            self.signing_keys = {one.key_id: one.public_key for each in settings.values() for one in each.signing_keys}
            newest_last = sorted(settings.values(), key=lambda each: each.version)
            self.issuers = {one.issuer: one for each in newest_last for one in each.issuers}
            return True

    def _settings_of(self, received: ReceivedSettings) -> SandboxSettings:
        sandbox = received.sandbox
        forms = RULES[sandbox.text_rules].forms
        return SandboxSettings(
            sandbox.sandbox_id,
            received.version,
            Organization(sandbox.organization_id, "", ""),
            sandbox.name,
            sandbox.is_default,
            {
                each.code: EdgeNamespace(
                    each.namespace_id,
                    forms[IdentityNormalization(each.normalization)],
                    xids_in(sandbox.key, each.namespace_id),
                )
                for each in sandbox.namespaces
            },
            {each.name: self._configuration(sandbox.sandbox_id, each) for each in received.configurations},
            {each.key_hash: each.expires_at.timestamp() if each.expires_at else inf for each in sandbox.api_keys},
            tuple(sandbox.signing_keys),
            tuple(map(_issuer, sandbox.issuers)),
            frozenset(each.token_hash for each in sandbox.revocations),
        )

    def _configuration(self, sandbox_id: int, served: ServedConfiguration) -> EdgeConfiguration:
        within = parse_duration(served.events_within) if served.events_within else None
        reads = ProjectionReads(self._db, sandbox_id, served.configuration_id, within)
        return EdgeConfiguration(
            served.configuration_id, served.name, served.replication_policy == REACTIVE, served.ttl, reads
        )


def _issuer(delivered: DeliveredIssuer) -> HeldIssuer:
    keys = usable_keys(delivered.keys) if delivered.keys else {}
    return HeldIssuer(delivered.issuer, delivered.audience, tuple(delivered.algorithms), delivered.leeway, keys)

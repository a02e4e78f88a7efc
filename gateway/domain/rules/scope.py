"""Scope: the caller's organization, sandbox and permissions. It is the first argument of every verb."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from gateway.domain.rules.edited import Edited
from gateway.errors import Forbidden

EVERY_SANDBOX: Final = "*"
"""Means, in a token, all sandboxes of its organization, future ones included."""

OWN_ACTOR: Final = "gateway"
"""The actor of what the gateway does by itself."""


class Permission(StrEnum):
    """What a token allows; `admin` includes the others."""

    PROFILE_READ = "profile:read"
    PROFILE_WRITE = "profile:write"
    CONFIG_WRITE = "config:write"
    JOBS_WRITE = "jobs:write"
    ADMIN = "admin"


READ_CONFIGURATION = (Permission.PROFILE_READ, Permission.CONFIG_WRITE)
"""Either permission allows a caller to read the configuration: to understand profiles, or to change it."""


class SandboxType(StrEnum):
    """The purpose of a sandbox; it never changes."""

    PRODUCTION = "PRODUCTION"
    DEVELOPMENT = "DEVELOPMENT"


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer of the gateway. Its custom fields live under `_{code}`."""

    organization_id: UUID
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Sandbox(Edited):
    """A partition of an organization. `config_version` grows with each change of its configuration; `secret` never leaves the server.

    `text_rules` is the number of the rules that normalize its identities (`normalization.RULES`).
    """

    sandbox_id: int
    organization_id: UUID
    name: str
    title: str | None
    type: SandboxType
    is_default: bool
    secret: bytes = field(repr=False)
    config_version: int
    text_rules: int


@dataclass(frozen=True, slots=True)
class Scope:
    """The organization and the sandbox in which the caller works, and what it may do there.

    `sandboxes` are the names of the sandboxes for which the caller's token is valid, or `*`; permissions hold within them only.
    `actor` is who is named as the author of a change: the token's subject, or the user who runs a command; the gateway itself for jobs.
    `api_key_id` is the id of the request's API key, None for commands and jobs.
    """

    organization: Organization
    sandbox: Sandbox
    permissions: frozenset[Permission]
    sandboxes: frozenset[str] = frozenset()
    actor: str = OWN_ACTOR
    api_key_id: UUID | None = None

    @property
    def sandbox_id(self) -> int:
        return self.sandbox.sandbox_id

    def require(self, *any_of: Permission) -> None:
        """Raise Forbidden unless the caller has one of the permissions, or `admin`."""
        if not self.permissions & {*any_of, Permission.ADMIN}:
            raise Forbidden(f"This needs the scope {' or '.join(any_of)}.")

    def covers(self, sandbox: Sandbox) -> bool:
        """Return whether the caller's token is valid for this sandbox of the organization: the scope's own, or one in `sandboxes`."""
        return sandbox.sandbox_id == self.sandbox_id or not self.sandboxes.isdisjoint({sandbox.name, EVERY_SANDBOX})

    def require_every_sandbox(self) -> None:
        """Raise Forbidden unless the caller's token is valid for all sandboxes of the organization."""
        if EVERY_SANDBOX not in self.sandboxes:
            raise Forbidden("This concerns the whole organization: it needs a token for all of its sandboxes (`*`).")

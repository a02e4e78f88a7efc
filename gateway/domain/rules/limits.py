"""Limits on the number of things of a kind: checked in the transaction that makes one more, under a lock that makes others wait.

Texts have their limits in `names`, custom fields in `xdm/bounds`, documents in `ingest/validation`; `api/limits` shows all of them to callers.
"""

from dataclasses import dataclass
from typing import Final

from gateway.errors import Invalid, TooMany

SANDBOXES: Final = 75
"""Sandboxes of an organization, as many as in Adobe's Real-Time Customer Profile."""
API_KEYS: Final = 1_000
"""API keys of an organization that are not revoked."""
REVOCATIONS: Final = 100_000
"""Revocations of an organization's tokens; those of expired ones of the gateway's own are forgotten."""
POLICIES: Final = 5
"""Merge policies of a sandbox, as many as in Adobe's Real-Time Customer Profile."""
ATTRIBUTES: Final = 500
"""Computed attributes of a sandbox, drafts included."""
SCHEMAS: Final = 500
"""Schemas of a sandbox."""
CUSTOM_FIELDS: Final = 20_000
"""Custom fields of all schemas of a sandbox together: they make its GraphQL types."""
CUSTOM_FIELD_BYTES: Final = 8_000_000
"""Bytes of JSON of all custom fields of a sandbox together: they are kept in memory."""
IDENTITY_FIELDS: Final = 20
"""Fields of a schema that hold identities, as many as a document may name."""
DATASETS: Final = 1_000
"""Datasets of a sandbox."""
NAMESPACES: Final = 500
"""Custom namespaces of a sandbox."""
SEARCH_INDEXES: Final = 20
"""Indexes for searches of a sandbox: each costs whatever is written to it."""
DESTINATIONS: Final = 20
"""Destinations of projections of a sandbox."""
PROJECTIONS: Final = 20
"""Configurations of projections of a sandbox: each costs whatever is delivered to edges."""
DAYS: Final = 36_500
"""Days, a hundred years, that anything may be kept for; what is to be kept for good has no such number."""


@dataclass(frozen=True, slots=True)
class ServiceLimit:
    """A limit as callers see it: its name, the most that is allowed, what is counted, and where it holds."""

    name: str
    value: int
    unit: str
    description: str


def check_room(present: int, most: int, things: str, owner: str) -> None:
    """Raise TooMany if the owner has `most` of these things already; `things` and `owner` are words of the message."""
    if present >= most:
        raise TooMany(f"{owner} has at most {most:,} {things}.")


def check_days(days: int | None, *path: str) -> None:
    """Raise Invalid, with the path in the caller's input, unless something can be kept for so many days; None means for good."""
    if days is not None and not 1 <= days <= DAYS:
        raise Invalid(f"It is 1 to {DAYS:,} days.", path=path)

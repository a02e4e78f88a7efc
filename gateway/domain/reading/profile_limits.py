"""How large profiles are, and which guardrails of the model they have passed. Nothing is dropped because of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.domain.rules.graphs import MAX_GRAPH_SIZE

EVENTS: Final = 5_000
DOCUMENT_SIZE: Final = 50_000_000  # bytes


class ProfileLimit(StrEnum):
    """A guardrail of the model that a profile has passed."""

    IDENTITIES = "IDENTITIES"
    EVENTS = "EVENTS"
    DOCUMENT_SIZE = "DOCUMENT_SIZE"


@dataclass(frozen=True, slots=True)
class ProfileLimits:
    """How large a profile is, and what that exceeds. Identities beyond the cap count, too."""

    identity_count: int
    event_count: int
    exceeded: tuple[ProfileLimit, ...]


def limits_of(identity_count: int, event_count: int, document_size: int) -> ProfileLimits:
    """Return the measures of a profile against the guardrails; the size is that of the document without the identity map, in bytes."""
    passed = {
        ProfileLimit.IDENTITIES: identity_count > MAX_GRAPH_SIZE,
        ProfileLimit.EVENTS: event_count > EVENTS,
        ProfileLimit.DOCUMENT_SIZE: document_size > DOCUMENT_SIZE,
    }
    return ProfileLimits(identity_count, event_count, tuple(limit for limit, is_passed in passed.items() if is_passed))

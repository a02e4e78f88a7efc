"""How large a profile is, and which guardrails it has passed."""

import strawberry

from gateway.api.context import plain
from gateway.api.scalars import Long, described
from gateway.domain.reading.profile_limits import ProfileLimit
from gateway.projection.tree import Column, Format

described(
    ProfileLimit,
    "ProfileLimit",
    "A guardrail that a profile can pass. Nothing is dropped silently because of it.",
    IDENTITIES="More than 50 identities belong together; the graph keeps the best 50.",
    EVENTS="More than 5,000 events.",
    DOCUMENT_SIZE="A merged document of more than 50 MB.",
)


@strawberry.type(name="ProfileLimits", description="How large a profile is, and which guardrails it has passed.")
class ProfileLimitsType:
    is_loaded = False

    identity_count: int = plain(
        "How many identities belong together, those beyond the 50 of the graph included.",
        Column("identity_count", Format.NUMBER, is_derived=True),
    )
    event_count: Long = plain("How many events the person has.", Column("event_count", Format.NUMBER, is_derived=True))
    exceeded: list[ProfileLimit] = plain(
        "The guardrails that are passed; empty for most.", Column("exceeded", Format.JSON, is_derived=True)
    )

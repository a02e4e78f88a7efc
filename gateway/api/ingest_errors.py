"""Documents that were refused or not used as sent, and the rules that they break."""

from typing import Annotated

import strawberry

from gateway.api.context import plain
from gateway.api.scalars import JSON, Long, described
from gateway.xdm.validation import MAX_VIOLATIONS
from gateway.xdm.violations import ViolationCode

described(
    ViolationCode,
    "ViolationCode",
    "What can be wrong with a document, for programs. A document that breaks one of these rules is refused, unless the rule says that it is stored.",
    JSON="It is no JSON.",
    SIZE="It is larger than a record or an event may be.",
    DEPTH="It nests deeper than 32 levels.",
    CHARACTER="A text or a field's name holds a character that cannot be stored: NUL, or half of a surrogate pair.",
    TYPE="The value is of another JSON type.",
    FORMAT="The text is not the date, time, e-mail address or URI that it should be.",
    PATTERN="The text does not match the pattern of its field.",
    ENUM="The value is none of those that the field takes.",
    RANGE="The number is smaller or larger than it may be.",
    LENGTH="The text is shorter or longer than it may be.",
    REQUIRED="A required field is missing.",
    UNKNOWN_FIELD="The schema has no such field here.",
    EMPTY_VALUE="The value is null or empty: leave the field out instead.",
    IDENTITY_MISSING="The document does not say whom it is about: it names no identity, or does not mark one of several as primary.",
    IDENTITY_COUNT="It names more identities than a document may.",
    IDENTITY_NAMESPACE="The sandbox has no namespace with this code.",
    IDENTITY_VALUE="No identity of this namespace can have this value.",
    IDENTITY_PRIMARY="It marks several identities as primary, or one of a namespace that is not of people.",
    IDENTITY_PLACEHOLDER="The value names nobody, such as `null` or `guest`. A document with another identity is stored without this one.",
    IDENTITY_E164="The document is stored, but the number has no form of E.164 and is compared as it was sent.",
    IDENTITY_CAP="The document is stored, but an identity in it is linked with too many others, so that it joins nobody from now on.",
    EXPIRED="The event is older than the `eventRetentionDays` of its dataset.",
    FUTURE_TIME="The document is stored, but its time lies in the future and counts as the time of ingestion.",
    EVENT_DIFFERS="An event with this `_id` says something else already; it stays as it is.",
    ERASED_IDENTITY="The identity was erased. A document under it is refused; one that merely names it is stored without it. A device, a cookie or a partner's identity refuses only what happened before.",
    UNSTORABLE="The database refuses the document for a reason that no other rule foresees.",
)

CodesArgument = Annotated[
    list[ViolationCode] | None,
    strawberry.argument(
        description="Only documents that break a rule with any of these codes; an empty list matches nothing."
    ),
]


@strawberry.type(name="Violation", description="A rule that a document breaks: where, which, and what to do about it.")
class ViolationType:
    path: str | None = plain("JSON path to the value at fault; `$` is the document as a whole.")
    code: ViolationCode = plain("Which rule it is, for programs.")
    message: str = plain("What is wrong and how to mend it, as a sentence for people.")


@strawberry.type(
    name="IngestError", description="A document that was not used as sent: where, which rules, and what to do about it."
)
class IngestErrorType:
    index: Long = plain("The document's place in what the client sent, from 0.")
    path: str | None = plain("JSON path to the first value at fault; `$` is the document as a whole.")
    code: ViolationCode = plain("Which rule the document breaks first, for programs.")
    message: str = plain("What is wrong first and how to mend it, as a sentence for people.")
    violations: list[ViolationType] = plain(
        f"All rules that the document breaks, one for each value, the first of them first. Of many they are the first {MAX_VIOLATIONS}, or fewer where they are long. Identities are looked at once the rest of the document fits its schema."
    )
    document: JSON | None = plain(
        "The document as it was sent; null where it is too large to keep, or an identity that it names cannot be read or is erased."
    )

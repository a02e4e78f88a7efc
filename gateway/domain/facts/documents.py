"""Valid documents, the identities that they name, and the problems of documents that are refused or warned of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.config.namespaces import Namespace
from gateway.domain.rules.merge import Document
from gateway.xdm.leaves import instant
from gateway.xdm.violations import Violation, ViolationCode

MAX_EVENT_TYPE_CHARACTERS: Final = 128
"""Characters of an event's `eventType`, which stands in the index of a person's events."""


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """Why a document is refused or warned of: the rules that it breaks, one or more, and of many the first ones.

    `index` is the document's index in the client's whole input, from 0. `document` is what to store with a refusal, None if nothing. `xids`
    are the identities that it names: what is stored of it is found by these when one of them is erased. `keyed_xids`: those whose values may stand in
    paths and messages of the violations, as keys that the schema does not have.
    """

    index: int
    violations: tuple[Violation, ...]
    document: Any = None
    xids: tuple[UUID, ...] = ()
    keyed_xids: tuple[UUID, ...] = ()

    @property
    def found_by(self) -> tuple[UUID, ...]:
        """The identities by which what is stored of it is found."""
        return *self.xids, *self.keyed_xids

    @property
    def path(self) -> str:
        """The JSON path of the first violation."""
        return self.violations[0].path

    @property
    def code(self) -> ViolationCode:
        """The code of the first violation."""
        return self.violations[0].code

    @property
    def message(self) -> str:
        """The sentence of the first violation."""
        return self.violations[0].message


class NamedIdentity(NamedTuple):
    """An identity with its namespace and normalized value. A tuple, because there are many and tuples are made in half the time."""

    xid: UUID
    namespace: Namespace
    value: str


class ValidDocument(NamedTuple):
    """A document that may be stored. `xid` is its primary identity; `identities` are all that it names, each once, the primary one first.

    `tied` are the xids that it ties together, sorted; fewer than two make no tie.
    """

    position: int  # index in the client's whole input, from 0
    xid: UUID
    text: str
    body: Document  # with normalized leaves; `text` is its JSON
    identities: tuple[NamedIdentity, ...]
    tied: tuple[UUID, ...]
    observed_at: datetime | None  # of an event its timestamp, of a record extSourceSystemAudit.lastUpdatedDate
    as_sent: str | None = None  # of a record: JSON of the leaves that normalization changed, as sent, by JSON pointer

    @property
    def named_xids(self) -> tuple[UUID, ...]:
        """The xids of all identities that it names."""
        return tuple([named.xid for named in self.identities])


def event_type_of(body: Document) -> str | None:
    """Return the type of an event as it stands beside the document: cut, in one from before the limit that has more characters."""
    event_type: str | None = body.get("eventType")
    return event_type and event_type[:MAX_EVENT_TYPE_CHARACTERS]


def warning(document: ValidDocument, doubt: Violation) -> DocumentProblem:
    """Return a warning of one rule that a document breaks, which is stored all the same."""
    return DocumentProblem(document.position, (doubt,), document.body, document.named_xids)


def last_updated(body: Document) -> datetime | None:
    """Read when the source last changed a record, extSourceSystemAudit.lastUpdatedDate; None if it does not say."""
    audit = body.get("extSourceSystemAudit")
    stated = audit.get("lastUpdatedDate") if isinstance(audit, dict) else None
    return instant(stated) if isinstance(stated, str) else None

"""Documents that may be stored, the identities that they name, and what is told of those that may not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from gateway.domain.config.namespaces import Namespace
from gateway.domain.rules.merge import Document
from gateway.xdm.leaves import instant


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """Something that was not used as sent: where, which rule, and what to do. `path` is a JSON path, `index` the document's place."""

    index: int
    path: str | None
    code: str
    message: str
    document: Any = None


class NamedIdentity(NamedTuple):
    """An identity as documents name it and graphs show it. A tuple, as there are many: they are made in half the time."""

    xid: UUID
    namespace: Namespace
    value: str


class ValidDocument(NamedTuple):
    """A document that may be stored, under `xid`. `identities` are all that it names, that one first, each once.

    `tied` are the xids that it ties together, in order; fewer than two tie nobody.
    """

    position: int  # among all that the client sends, from 0
    xid: UUID
    text: str
    body: Document  # in the one form of its leaves; `text` says the same
    identities: tuple[NamedIdentity, ...]
    tied: tuple[UUID, ...]
    observed_at: datetime | None  # of an event its timestamp, of a record extSourceSystemAudit.lastUpdatedDate
    as_sent: str | None = None  # of a record: JSON of the leaves that were sent in another form, by JSON pointer


def last_updated(body: Document) -> datetime | None:
    """When the record's source last changed it, if it says so."""
    audit = body.get("extSourceSystemAudit")
    stated = audit.get("lastUpdatedDate") if isinstance(audit, dict) else None
    return instant(stated) if isinstance(stated, str) else None

"""Erased identities at ingestion: a document under one is refused, and one that merely names it is stored without it.

A person's own identity, such as an e-mail address, refuses everything. A device, a cookie or a partner's identity may belong to somebody else by
now: it refuses what happened before it was erased, and is used again by what happened since.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from gateway.domain.facts.documents import DocumentProblem, NamedIdentity, ValidDocument
from gateway.domain.ingest.redaction import redact, without
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.graphs import IdentityType
from gateway.xdm.violations import Violation, ViolationCode

REUSABLE: Final = frozenset({IdentityType.DEVICE, IdentityType.COOKIE, IdentityType.PARTNER})
"""The types of namespaces whose identities may be used again after they were erased."""

ErasedAt = Mapping[UUID, datetime]
"""When each identity was erased."""


class ErasedNamed(Exception):
    """Documents name these erased identities, which refuse them: sort the documents out, and store the rest."""

    def __init__(self, erased_at: ErasedAt) -> None:
        super().__init__(f"{len(erased_at)} erased identities are named")
        self.erased_at = erased_at


class SortedOut(NamedTuple):
    """What is left of documents that name erased identities. `refused` counts the documents that each of these has refused."""

    documents: list[ValidDocument]
    failures: list[DocumentProblem]
    warnings: list[DocumentProblem]
    refused: Counter[UUID]


def check_erased(documents: Iterable[ValidDocument], erased_at: ErasedAt) -> None:
    """Check that no document names an identity that was erased and refuses it. Raises ErasedNamed."""
    if any(_refused_in(document, erased_at) for document in documents):
        raise ErasedNamed(erased_at)


def sort_out(reader: Reader, documents: Sequence[ValidDocument], erased_at: ErasedAt) -> SortedOut:
    """Refuse the documents whose primary identity was erased, and take erased identities out of the others."""
    sorted_out = SortedOut([], [], [], Counter())
    for document in documents:
        refused = _refused_in(document, erased_at)
        rest = without(reader, document, refused) if document.xid not in refused else None
        if not refused:
            sorted_out.documents.append(document)
        elif rest is not None:
            sorted_out.documents.append(rest[0])
            sorted_out.warnings.append(_left_out(*rest))
        else:
            sorted_out.failures.append(_refusal(reader, document))
            sorted_out.refused.update(refused & {document.xid})
    return sorted_out


def _refused_in(document: ValidDocument, erased_at: ErasedAt) -> set[UUID]:
    """Return the identities that the document names and that refuse it."""
    return {
        named.xid
        for named in document.identities
        if named.xid in erased_at and _refuses(named, erased_at[named.xid], document.observed_at)
    }


def _refuses(named: NamedIdentity, erased_at: datetime, observed_at: datetime | None) -> bool:
    """Return whether an erased identity refuses what happened then; a document that states no time is of now."""
    return named.namespace.type not in REUSABLE or (observed_at is not None and observed_at <= erased_at)


def _left_out(document: ValidDocument, paths: Sequence[str]) -> DocumentProblem:
    message = "This identity was erased, so the document is stored without it."
    violations = tuple(Violation(path, ViolationCode.ERASED_IDENTITY, message) for path in paths)
    return DocumentProblem(document.position, violations, xids=document.named_xids)


def _refusal(reader: Reader, document: ValidDocument) -> DocumentProblem:
    """Return the failure of a document under an erased identity. It keeps neither the document nor a value."""
    _, places = redact(reader, document.body, {document.xid})
    code = document.identities[0].namespace.code
    message = f"The document's primary identity, of {code}, was erased; `liftErasure` lets it be stored again."
    violation = Violation(places[0][1] if places else "$", ViolationCode.ERASED_IDENTITY, message)
    return DocumentProblem(document.position, (violation,), xids=document.named_xids)

"""What became of a stream of documents, counted while it comes in."""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from gateway.api.ids import global_id
from gateway.domain.facts.documents import DocumentProblem
from gateway.domain.ingest.ingestion import IngestResult
from gateway.errors import LimitExceeded

TOLD = 1_000  # failures, and warnings, in an answer; all failures are kept with their batch


@dataclass(slots=True)
class StreamOutcome:
    """What became of a stream so far."""

    batch_id: UUID | None = None
    accepted: int = 0
    duplicates: int = 0
    failed_count: int = 0
    failed: list[DocumentProblem] = field(default_factory=list)
    warnings: list[DocumentProblem] = field(default_factory=list)

    def add(self, result: IngestResult) -> None:
        self.batch_id = result.batch_id
        self.accepted += result.accepted
        self.duplicates += result.duplicates
        self.failed_count += len(result.failed)
        self.failed += map(_without_document, result.failed[: TOLD - len(self.failed)])
        self.warnings += map(_without_document, result.warnings[: TOLD - len(self.warnings)])

    def check(self, limit: int) -> None:
        """Raise LimitExceeded if more than so many documents failed."""
        if self.failed_count > limit:
            raise LimitExceeded(f"More than {limit:,} documents failed; mend them, and send what is not counted here.")

    def told(self) -> dict[str, Any]:
        """As JSON; of the documents themselves nothing."""
        return {
            "batchId": global_id("Batch", self.batch_id) if self.batch_id else None,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "failedCount": self.failed_count,
            "failed": [_told(failure) for failure in self.failed],
            "warnings": [_told(warning) for warning in self.warnings],
        }


def _without_document(failure: DocumentProblem) -> DocumentProblem:
    """It is kept with the batch; a thousand of them would take more memory than a stream may."""
    return replace(failure, document=None)


def _told(failure: DocumentProblem) -> dict[str, Any]:
    return {"index": failure.index, "path": failure.path, "code": failure.code, "message": failure.message}

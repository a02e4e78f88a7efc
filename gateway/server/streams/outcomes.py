"""The outcome of a stream of documents, counted while it comes in."""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from gateway.api.ids import global_id
from gateway.domain.facts.documents import DocumentProblem
from gateway.domain.ingest.ingestion import IngestResult
from gateway.errors import LimitExceeded

MAX_LISTED = 1_000  # failures, and warnings, in a response; all failures are kept with their batch


@dataclass(slots=True)
class StreamOutcome:
    """Counts of a stream's documents so far, its first failures and its first warnings."""

    batch_id: UUID | None = None
    accepted: int = 0
    duplicates: int = 0
    failed_count: int = 0
    failed: list[DocumentProblem] = field(default_factory=list)
    warnings: list[DocumentProblem] = field(default_factory=list)

    def add(self, result: IngestResult) -> None:
        """Add the result of a chunk."""
        self.batch_id = result.batch_id
        self.accepted += result.accepted
        self.duplicates += result.duplicates
        self.failed_count += len(result.failed)
        self.failed += map(_without_document, result.failed[: MAX_LISTED - len(self.failed)])
        self.warnings += map(_without_document, result.warnings[: MAX_LISTED - len(self.warnings)])

    def check(self, limit: int) -> None:
        """Raise LimitExceeded if more than so many documents failed."""
        if self.failed_count > limit:
            raise LimitExceeded(f"More than {limit:,} documents failed; mend them, and send what is not counted here.")

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON, without the documents themselves."""
        return {
            "batchId": global_id("Batch", self.batch_id) if self.batch_id else None,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "failedCount": self.failed_count,
            "failed": [{**_problem(failure), "violations": failure.violations} for failure in self.failed],
            "warnings": [_problem(warning) for warning in self.warnings],
        }


def _without_document(failure: DocumentProblem) -> DocumentProblem:
    """Return the failure without its document, which is kept with the batch: a thousand of them would take too much memory."""
    return replace(failure, document=None)


def _problem(failure: DocumentProblem) -> dict[str, Any]:
    return {"index": failure.index, "path": failure.path, "code": failure.code, "message": failure.message}

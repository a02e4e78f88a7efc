"""Verification of batches: each counts the facts of it that are stored."""

from typing import Final

from gateway.domain.views.check import Check
from gateway.runtime.uuids import NIL
from gateway.storage.queries import query

COUNT_FACTS = query("verification.count_facts_of_batches")

BATCHES_PER_READ: Final = 100
"""Batches whose facts one statement counts; each may have brought millions."""


async def verify_batches(check: Check) -> None:
    """Compare the counts of batches with the versions of records and the events that each brought and that are stored."""
    after = NIL
    while rows := await check.tx.rows(COUNT_FACTS, check.scope.sandbox_id, after, BATCHES_PER_READ):
        after = rows[-1]["batch_id"]
        check.compared["batches"] += len(rows)
        for row in rows:
            if row["record_count"] != row["stored"]:
                check.differs(
                    "batch", row["batch_id"], f"counts {row['record_count']:,} facts, and {row['stored']:,} are stored"
                )

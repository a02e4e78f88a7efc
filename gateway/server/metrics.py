"""What Prometheus can ask for: counts and durations of requests and statements. Names of routes and statements, nothing else.

Several server processes count in files of a common directory, so that whichever is asked speaks for all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway.telemetry import FaultMasked, JobLeft, Observation, RequestServed, StatementRan, TransactionRestarted

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # looked at when the library is imported: in good time only for a new process


@contextmanager
def count_together() -> Iterator[Path]:
    """A directory for the counts of all processes that are started inside the block."""
    with TemporaryDirectory(prefix="gateway-metrics-") as directory:
        os.putenv(DIRECTORY, directory)
        try:
            yield Path(directory)
        finally:
            os.unsetenv(DIRECTORY)


def forget_process(directory: Path, process_id: int | None) -> None:
    """What a process that ended had at hand counts no more; what it did still does."""
    mark_process_dead(process_id, str(directory))


class Metrics:
    """Listens to the telemetry of one process, which may count together with others in a directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._registry = registry = CollectorRegistry()
        if directory is None:
            ProcessCollector(registry=registry)  # of several processes, memory and the like are not ours to add up
        self._requests = Histogram(
            "gateway_request_seconds",
            "Time to answer HTTP requests.",
            ["route", "method", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self._statements = Histogram(
            "gateway_statement_seconds", "Time of SQL statements.", ["name"], buckets=SECONDS, registry=registry
        )
        self._rows = Counter(
            "gateway_statement_rows", "Rows that SQL statements gave back.", ["name"], registry=registry
        )
        self._restarts = Counter(
            "gateway_transaction_restarts", "Writes that met another and began anew.", ["reason"], registry=registry
        )
        self._jobs = Counter(
            "gateway_jobs",
            "Jobs that this process had in hand, by how it left them.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._faults = Counter("gateway_faults", "Unexpected errors, masked for the caller.", registry=registry)

    def __call__(self, observation: Observation) -> None:
        match observation:
            case StatementRan(name, seconds, rows):
                self._statements.labels(name).observe(seconds)
                self._rows.labels(name).inc(rows)
            case RequestServed(route, method, status, seconds):
                self._requests.labels(route, method, status).observe(seconds)
            case TransactionRestarted(reason, _):
                self._restarts.labels(reason).inc()
            case JobLeft(kind, outcome, _):
                self._jobs.labels(kind, outcome).inc()
            case FaultMasked():
                self._faults.inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format."""
        if self._directory is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._directory))
        return generate_latest(together)

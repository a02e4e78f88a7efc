"""What Prometheus can ask for: counts and durations of requests and statements. Names of routes and statements, nothing else."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

from gateway.telemetry import FaultMasked, JobLeft, Observation, RequestServed, StatementRan, TransactionRestarted

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Listens to the telemetry of one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
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
        return generate_latest(self._registry)

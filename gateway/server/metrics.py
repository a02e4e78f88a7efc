"""What Prometheus can ask for: counts and durations of requests and statements. Names of routes and statements, nothing else.

Several server processes count in files of a common directory, so that whichever is asked speaks for all.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from gateway.telemetry import (
    AdmissionRefused,
    ConfigurationBroken,
    ConnectionCut,
    ConnectionRefused,
    EmbeddedPostgres,
    FaultMasked,
    IssuerKeysFetched,
    JobLeft,
    Observation,
    OperationRan,
    QueueChanged,
    RequestServed,
    StatementRan,
    TransactionRestarted,
)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BUCKETS = (*map(str, map(float, SECONDS)), "+Inf")
SCRAPE_REST = 19  # times as long as the exposition took to make is it told again
EXECUTORS = {"compiled": "compiled", "stock": "graphql_core"}
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


def drop_process_gauges(directory: Path, process_id: int | None) -> None:
    """What a process that ended had at hand counts no more; what it did still does."""
    mark_process_dead(process_id, str(directory))


class _Tally:
    """Durations in plain numbers, until somebody asks: the library's own histogram takes several locks for each."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """How many took at most so long."""
        return list(zip(BUCKETS, accumulate(self._counts), strict=True))


class _Tallies(Collector):
    """A histogram, by the values of its labels, of a process that counts alone."""

    def __init__(self, name: str, what: str, labels: Sequence[str]) -> None:
        self._family = partial(HistogramMetricFamily, name, what, labels=labels)
        self._tallies: dict[tuple[str, ...], _Tally] = {}

    def labels(self, *values: object) -> _Tally:
        """That of these values."""
        return self._tallies.setdefault(tuple(map(str, values)), _Tally())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What they have come to."""
        family = self._family()
        for values, tally in self._tallies.items():
            family.add_metric(values, tally.buckets, tally.seconds)
        yield family


def _count(counter: Counter, _: Any) -> None:
    counter.inc()


class Metrics:
    """Listens to the telemetry of one process, which may count together with others in a directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._scraped, self._fresh_until = b"", 0.0
        self._kept = 0
        self._registry = registry = CollectorRegistry()
        if directory is None:
            ProcessCollector(registry=registry)  # of several processes, memory and the like are not ours to add up
        self._requests = self._times(
            "gateway_request_seconds", "Time to answer HTTP requests.", "route", "method", "status"
        )
        self._statements = self._times("gateway_statement_seconds", "Time of SQL statements.", "name")
        self._rows = self._counts("gateway_statement_rows", "Rows that SQL statements gave back.", "name")
        self._operations = self._counts(
            "gateway_operations",
            "GraphQL operations that ran, by why one was not compiled, and whether its plan was cached.",
            *("kind", "executor", "reason", "plan_cached"),
        )
        self._stages = self._times(
            "gateway_operation_stage_seconds", "Time of the stages of GraphQL operations.", "stage"
        )
        self._plans = Gauge(
            "gateway_cached_plans", "Plans of operations in the cache.", registry=registry, multiprocess_mode="livesum"
        )
        self._restarts = self._counts(
            "gateway_transaction_restarts", "Writes that met another and began anew.", "reason"
        )
        self._issuer_keys = self._counts(
            "gateway_issuer_key_fetches", "Fetches of the public keys of token issuers.", "issuer", "outcome"
        )
        self._jobs = self._counts("gateway_jobs", "Jobs that were in hand, by how they were left.", "kind", "outcome")
        self._refusals = self._counts("gateway_admission_refused", "Requests refused because too many wait.", "queue")
        self._queues = cache(
            Gauge(
                "gateway_admission_waiting",
                "Requests that wait for their turn.",
                ["queue"],
                registry=registry,
                multiprocess_mode="livesum",
            ).labels
        )
        self._cuts = self._counts(
            "gateway_connections_closed", "Client connections that the gateway closed early, by why.", "reason"
        )
        self._counting: Mapping[type, Callable[[Any], None]] = {
            StatementRan: self._count_statement,
            RequestServed: self._count_request,
            OperationRan: self._count_operation,
            TransactionRestarted: lambda seen: self._restarts(seen.reason).inc(),
            IssuerKeysFetched: lambda seen: self._issuer_keys(
                seen.issuer, "failed" if seen.reason else "fetched"
            ).inc(),
            JobLeft: lambda seen: self._jobs(seen.kind, seen.outcome).inc(),
            QueueChanged: lambda seen: self._queues(seen.queue).set(seen.length),
            AdmissionRefused: lambda seen: self._refusals(seen.queue).inc(),
            ConnectionCut: lambda seen: self._cuts(seen.reason).inc(),
            **self._count_alone(),
        }

    def _count_alone(self) -> Mapping[type, Callable[[Any], None]]:
        """What is only counted, whatever it says."""
        counters = {
            ConnectionRefused: (
                "gateway_database_connection_errors",
                "Connections that the database refused for good.",
            ),
            ConfigurationBroken: ("gateway_configuration_errors", "Broken rows of configuration that were read."),
            EmbeddedPostgres: ("gateway_embedded_postgres_events", "Losses and starts of the embedded Postgres."),
            FaultMasked: ("gateway_unexpected_errors", "Unexpected errors, masked for the caller."),
        }
        made = {kind: Counter(*texts, registry=self._registry) for kind, texts in counters.items()}
        return {kind: partial(_count, counter) for kind, counter in made.items()}

    def __call__(self, observation: Observation) -> None:
        self._counting[type(observation)](observation)

    def _count_statement(self, ran: StatementRan) -> None:
        self._statements(ran.name).observe(ran.seconds)
        self._rows(ran.name).inc(ran.rows)

    def _count_request(self, served: RequestServed) -> None:
        self._requests(served.route, served.method, served.status).observe(served.seconds)

    def _count_operation(self, ran: OperationRan) -> None:
        is_cached = "true" if ran.is_kept else "false"
        self._operations(ran.kind, EXECUTORS[ran.way], ran.reason or "", is_cached).inc()
        if ran.plans != self._kept:
            self._kept = ran.plans
            self._plans.set(ran.plans)
        for stage, seconds in ran.stages:
            self._stages(stage).observe(seconds)

    def _times(self, name: str, what: str, *labels: str) -> Callable[..., _Tally | Histogram]:
        """What finds a histogram by its labels' values, and keeps it: they are few, and to look anew costs more than to count."""
        if self._directory is not None:
            return cache(Histogram(name, what, labels, buckets=SECONDS, registry=self._registry).labels)
        tallies = _Tallies(name, what, labels)
        self._registry.register(tallies)
        return cache(tallies.labels)

    def _counts(self, name: str, what: str, *labels: str) -> Callable[..., Counter]:
        return cache(Counter(name, what, labels, registry=self._registry).labels)

    def scrape(self) -> bytes:
        """The exposition, made anew unless that would take more than a twentieth of the time: strangers may ask for it, too."""
        begin = perf_counter()
        if begin >= self._fresh_until:
            self._scraped = self.exposition()
            end = perf_counter()
            self._fresh_until = end + SCRAPE_REST * (end - begin)
        return self._scraped

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format."""
        if self._directory is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._directory))
        return generate_latest(together)

"""Metrics for Prometheus: counts and durations of requests, operations, statements and jobs. Labels name no person.

Several server processes count in files of a common directory, so that each of them can expose the sums of all.
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
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from gateway.telemetry import (
    AdmissionRefused,
    AttributesComputed,
    ConfigurationBroken,
    ConnectionCut,
    ConnectionRefused,
    EdgeChanged,
    EdgeLookedUp,
    EmbeddedPostgres,
    FaultMasked,
    IssuerKeysFetched,
    JobLeft,
    JobsCounted,
    ListenerChanged,
    Observation,
    OperationRan,
    ProjectionTokenIssued,
    QueueChanged,
    RequestServed,
    StatementRan,
    TransactionRestarted,
)

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BUCKET_LABELS = (*map(str, map(float, BUCKETS_SECONDS)), "+Inf")
SCRAPE_REST = 19  # an exposition is served again for so many times as long as it took to make
JOB_GAUGES = {
    "open": ("gateway_open_jobs", "Jobs that wait or are worked on, but for recurring ones."),
    "oldest_seconds": ("gateway_oldest_open_job_seconds", "Age of the oldest of the open jobs."),
    "stalled": ("gateway_stalled_jobs", "Open jobs that failed several attempts in a row."),
}
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # the library reads it when it is imported, so it is set for new processes


@contextmanager
def count_together() -> Iterator[Path]:
    """Yield a directory for the counts of all processes that are started inside the block."""
    with TemporaryDirectory(prefix="gateway-metrics-") as directory:
        os.putenv(DIRECTORY, directory)
        try:
            yield Path(directory)
        finally:
            os.unsetenv(DIRECTORY)


def drop_process_gauges(directory: Path, process_id: int | None) -> None:
    """Drop the gauges of a process that has ended; its counters still count."""
    mark_process_dead(process_id, str(directory))


class _Durations:
    """Durations counted in plain numbers: the library's histogram takes several locks for each of them."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self.seconds += seconds

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Pairs of a bucket's upper bound and the number of durations up to it."""
        return list(zip(BUCKET_LABELS, accumulate(self._counts), strict=True))


class _DurationsByLabels(Collector):
    """A histogram with labels, of a process that counts alone."""

    def __init__(self, name: str, what: str, labels: Sequence[str]) -> None:
        self._family = partial(HistogramMetricFamily, name, what, labels=labels)
        self._by_labels: dict[tuple[str, ...], _Durations] = {}

    def labels(self, *values: object) -> _Durations:
        """Return the durations of these values of the labels."""
        return self._by_labels.setdefault(tuple(map(str, values)), _Durations())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram of all durations so far."""
        family = self._family()
        for values, durations in self._by_labels.items():
            family.add_metric(values, durations.buckets, durations.seconds)
        yield family


def _count(counter: Counter, _: Any) -> None:
    counter.inc()


MAX_ATTRIBUTES: Final = 1_000
"""Computed attributes of all sandboxes that are counted each for itself; the others are counted as one."""
OTHER_ATTRIBUTES: Final = ("", "", "(others)")


class _Attributes:
    """Counts values of computed attributes, by organization, sandbox and attribute.

    Each read tells of all its attributes, and the library's counters take two locks for each. So what was computed together is added up in
    plain numbers, and given to the counters by `flush`; `at_once` if other processes look at these.
    """

    def __init__(self, counts: Callable[..., Callable[..., Counter]], *, at_once: bool) -> None:
        labels = ("organization", "sandbox", "attribute")
        self._seconds = counts(
            "gateway_computed_attribute_seconds",
            "Time that values of computed attributes took as they were read.",
            *labels,
        )
        self._values = counts(
            "gateway_computed_attribute_values", "Values of computed attributes that were read.", *labels
        )
        self._most = 1 if at_once else MAX_ATTRIBUTES
        self._known: set[tuple[str, str, str]] = set()
        self._sums: dict[tuple[Any, ...], tuple[float, int]] = {}

    def __call__(self, computed: AttributesComputed) -> None:
        *together, seconds, records = computed
        key = tuple(together)
        before = self._sums.get(key, (0.0, 0))
        self._sums[key] = before[0] + seconds, before[1] + records
        if len(self._sums) >= self._most:
            self.flush()

    def flush(self) -> None:
        """Give the counters what was computed since the last time."""
        sums, self._sums = self._sums, {}
        for (organization, sandbox, costs), (seconds, records) in sums.items():
            total = sum(cost for _, cost in costs)
            for name, cost in costs:
                labels = (organization, sandbox, name)
                if labels not in self._known and len(self._known) >= MAX_ATTRIBUTES:
                    labels = OTHER_ATTRIBUTES
                self._known.add(labels)
                self._seconds(*labels).inc(seconds * cost / total)
                self._values(*labels).inc(records)


class Metrics:
    """Listens to the telemetry of one process, which may count together with others in a directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._scraped, self._fresh_until = b"", 0.0
        self._plan_count = 0
        self._registry = CollectorRegistry()
        if directory is None:
            ProcessCollector(registry=self._registry)  # memory and the like of several processes cannot be added up
        self._requests = self._times(
            "gateway_request_seconds", "Time to answer HTTP requests.", "route", "method", "status"
        )
        self._statements = self._times("gateway_statement_seconds", "Time of SQL statements.", "name")
        self._rows = self._counts("gateway_statement_rows", "Rows that SQL statements returned.", "name")
        self._operations = self._counts(
            "gateway_operations",
            "GraphQL operations that ran, by kind and whether the plan was cached.",
            "kind",
            "plan_cached",
        )
        self._stages = self._times(
            "gateway_operation_stage_seconds", "Time of the stages of GraphQL requests.", "stage"
        )
        self._plans = self._gauge("gateway_cached_plans", "Plans of operations in the cache.")
        self._restarts = self._counts(
            "gateway_transaction_restarts",
            "Write transactions that were restarted because of a concurrent one.",
            "reason",
        )
        self._issuer_keys = self._counts(
            "gateway_issuer_key_fetches", "Fetches of the public keys of token issuers.", "issuer", "outcome"
        )
        self._jobs = self._counts(
            "gateway_jobs", "Jobs that workers stopped working on, by outcome.", "kind", "outcome"
        )
        self._job_gauges = {field: self._last(*texts, "kind") for field, texts in JOB_GAUGES.items()}
        self._refusals = self._counts("gateway_admission_refused", "Requests refused because too many wait.", "queue")
        self._queues = cache(
            self._gauge("gateway_admission_waiting", "Requests that wait for their turn.", "queue").labels
        )
        self._cuts = self._counts(
            "gateway_connections_closed", "Client connections that the gateway closed early, by why.", "reason"
        )
        self._attributes = _Attributes(self._counts, at_once=directory is not None)
        self._counting: Mapping[type, Callable[[Any], None]] = {
            StatementRan: self._count_statement,
            RequestServed: self._count_request,
            OperationRan: self._count_operation,
            TransactionRestarted: lambda seen: self._restarts(seen.reason).inc(),
            IssuerKeysFetched: lambda seen: self._issuer_keys(
                seen.issuer, "failed" if seen.reason else "fetched"
            ).inc(),
            JobLeft: lambda seen: self._jobs(seen.kind, seen.outcome).inc(),
            JobsCounted: self._note_jobs,
            AttributesComputed: self._attributes,
            QueueChanged: lambda seen: self._queues(seen.queue).set(seen.length),
            AdmissionRefused: lambda seen: self._refusals(seen.queue).inc(),
            ConnectionCut: lambda seen: self._cuts(seen.reason).inc(),
            **self._unlabelled(),
            **self._of_edges(),
        }

    def _of_edges(self) -> Mapping[type, Callable[[Any], None]]:
        looked_up = self._counts(
            "gateway_edge_lookups", "Identities that an edge looked up, by what it has of them.", "outcome"
        )
        return {EdgeLookedUp: lambda seen: looked_up(seen.outcome).inc(seen.identities)}

    def _unlabelled(self) -> Mapping[type, Callable[[Any], None]]:
        counters = {
            ConnectionRefused: (
                "gateway_database_connection_errors",
                "Connections that the database refused for good.",
            ),
            ConfigurationBroken: ("gateway_configuration_errors", "Broken rows of configuration that were read."),
            EmbeddedPostgres: ("gateway_embedded_postgres_events", "Losses and starts of the embedded Postgres."),
            ListenerChanged: (
                "gateway_listener_events",
                "Losses and recoveries of the connection that listens for notifications.",
            ),
            EdgeChanged: ("gateway_edge_events", "Deliveries to edges that were held up, and went on again."),
            ProjectionTokenIssued: ("gateway_projection_tokens", "Tokens for projections that were issued."),
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
        for stage, seconds in tuple(served.stages.items()):
            self._stages(stage).observe(seconds)

    def _count_operation(self, ran: OperationRan) -> None:
        self._operations(ran.kind, "true" if ran.is_kept else "false").inc()
        if ran.plans != self._plan_count:
            self._plan_count = ran.plans
            self._plans.set(ran.plans)

    def _note_jobs(self, counted: JobsCounted) -> None:
        for field, gauge in self._job_gauges.items():
            gauge.labels(counted.kind).set(getattr(counted, field))

    def _times(self, name: str, what: str, *labels: str) -> Callable[..., _Durations | Histogram]:
        """Return a cached lookup of histograms by values of labels: to look one up costs more than to count."""
        if self._directory is not None:
            return cache(Histogram(name, what, labels, buckets=BUCKETS_SECONDS, registry=self._registry).labels)
        tallies = _DurationsByLabels(name, what, labels)
        self._registry.register(tallies)
        return cache(tallies.labels)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self._registry, multiprocess_mode="livesum")

    def _last(self, name: str, what: str, *labels: str) -> Gauge:
        """Return a gauge of what every process sees alike: the newest value counts."""
        return Gauge(name, what, labels, registry=self._registry, multiprocess_mode="livemostrecent")

    def _counts(self, name: str, what: str, *labels: str) -> Callable[..., Counter]:
        return cache(Counter(name, what, labels, registry=self._registry).labels)

    @property
    def is_fresh(self) -> bool:
        """Whether the last exposition is to be served again: it is made at most a twentieth of the time, as callers need no credentials."""
        return perf_counter() < self._fresh_until

    def scrape(self) -> bytes:
        """Return the exposition, a new one unless the last one is fresh."""
        begin = perf_counter()
        if begin >= self._fresh_until:
            self._scraped = self.exposition()
            end = perf_counter()
            self._fresh_until = end + SCRAPE_REST * (end - begin)
        return self._scraped

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        self._attributes.flush()
        if self._directory is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._directory))
        return generate_latest(together)

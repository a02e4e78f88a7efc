"""Metrics count observations, and contain no personal data."""

import subprocess
import sys
from typing import get_args

from gateway.server import metrics
from gateway.server.metrics import Metrics, count_together, drop_process_gauges
from gateway.telemetry import (
    AttributesComputed,
    FaultMasked,
    IssuerKeysFetched,
    JobLeft,
    Observation,
    OperationRan,
    RequestServed,
    StatementRan,
    TransactionRestarted,
)

KEPT_TWICE = 'gateway_operations_total{kind="query",plan_cached="true"} 2.0'
COMPUTED_TWICE = 'gateway_computed_attribute_values_total{attribute="total",organization="acme",sandbox="prod"} 20.0'
KEPT = OperationRan("query", is_kept=True, plans=3)
NEW = OperationRan("mutation", is_kept=False, plans=4)
QUICK = RequestServed("/graphql", "POST", 200, 0.01, {"execute": 0.002})
SLOW = RequestServed("/graphql", "POST", 200, 0.01, {"parse": 0.001, "execute": 0.003})
COUNT = """
import sys
from pathlib import Path
from gateway.server.metrics import Metrics
from gateway.telemetry import AttributesComputed, OperationRan
metrics = Metrics(Path(sys.argv[1]))
metrics(OperationRan("query", is_kept=True, plans=3))
metrics(AttributesComputed("acme", "prod", (("total", 5),), 0.5, 10))
"""


def lines(metrics):
    return set(metrics.exposition().decode().splitlines())


def test_operations_are_counted_by_how_they_ran_and_timed_by_stage():
    metrics = Metrics()
    for seen in [KEPT, KEPT, NEW, QUICK, QUICK, SLOW]:
        metrics(seen)
    assert lines(metrics) >= {
        KEPT_TWICE,
        'gateway_operations_total{kind="mutation",plan_cached="false"} 1.0',
        'gateway_operation_stage_seconds_count{stage="parse"} 1.0',
        'gateway_operation_stage_seconds_count{stage="execute"} 3.0',
        'gateway_operation_stage_seconds_bucket{le="0.0025",stage="execute"} 2.0',
        "gateway_cached_plans 4.0",
    }


def test_computed_attributes_are_counted_each_for_itself_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(metrics, "MAX_ATTRIBUTES", 2)
    counted = Metrics()
    for costs in ({"total": 2, "visits": 1}, {"total": 2, "third": 4, "fourth": 8}, {"visits": 4}):
        seconds = sum(costs.values()) / 4
        counted(AttributesComputed("acme", "prod", tuple(costs.items()), seconds, 10))
    acme = 'organization="acme",sandbox="prod"'
    assert {
        line for line in lines(counted) if line.startswith("gateway_computed_attribute") and "_created" not in line
    } == {
        f'gateway_computed_attribute_seconds_total{{attribute="total",{acme}}} 1.0',
        f'gateway_computed_attribute_seconds_total{{attribute="visits",{acme}}} 1.25',
        'gateway_computed_attribute_seconds_total{attribute="(others)",organization="",sandbox=""} 3.0',
        f'gateway_computed_attribute_values_total{{attribute="total",{acme}}} 20.0',
        f'gateway_computed_attribute_values_total{{attribute="visits",{acme}}} 20.0',
        'gateway_computed_attribute_values_total{attribute="(others)",organization="",sandbox=""} 20.0',
    }


def test_observations_are_counted_without_personal_data():
    metrics = Metrics()
    for seen in [
        StatementRan("tenants.authenticate", 0.002, 2),
        RequestServed("/graphql", "POST", 200, 0.01),
        TransactionRestarted("outdated", 1),
        JobLeft("ABORT_BATCH", "completed", 3),
        FaultMasked(ValueError("ada@example.com")),
        IssuerKeysFetched("https://idp.example", "TimeoutError", 5),
    ]:
        metrics(seen)
    assert lines(metrics) >= {
        'gateway_statement_seconds_count{name="tenants.authenticate"} 1.0',
        'gateway_statement_rows_total{name="tenants.authenticate"} 2.0',
        'gateway_request_seconds_count{method="POST",route="/graphql",status="200"} 1.0',
        'gateway_transaction_restarts_total{reason="outdated"} 1.0',
        'gateway_jobs_total{kind="ABORT_BATCH",outcome="completed"} 1.0',
        "gateway_unexpected_errors_total 1.0",
        'gateway_issuer_key_fetches_total{issuer="https://idp.example",outcome="failed"} 1.0',
    }
    assert "ada" not in metrics.exposition().decode()


def test_every_observation_has_a_metric():
    """Telemetry calls every listener where something happens: one that knows it not would break a request."""
    assert Metrics()._counting.keys() == set(get_args(Observation))


def test_durations_are_counted_once_however_often_they_are_scraped():
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 0.0024, 40):  # a bound belongs to what is below it
        metrics(StatementRan("people.read_people", seconds, 1))
        told = {line for line in lines(metrics) if line.startswith("gateway_statement_seconds")}
    assert told >= {
        'gateway_statement_seconds_bucket{le="0.001",name="people.read_people"} 1.0',
        'gateway_statement_seconds_bucket{le="0.0025",name="people.read_people"} 3.0',
        'gateway_statement_seconds_bucket{le="30.0",name="people.read_people"} 3.0',
        'gateway_statement_seconds_bucket{le="+Inf",name="people.read_people"} 4.0',
        'gateway_statement_seconds_count{name="people.read_people"} 4.0',
    }
    assert told <= lines(metrics)


def test_processes_count_together_and_gauges_of_an_ended_one_are_dropped():
    with count_together() as directory:
        started = [subprocess.Popen([sys.executable, "-c", COUNT, directory]) for _ in range(2)]
        assert [process.wait() for process in started] == [0, 0]
        ours = Metrics(directory)
        assert lines(ours) >= {"gateway_cached_plans 6.0", KEPT_TWICE, COMPUTED_TWICE}
        drop_process_gauges(directory, started[0].pid)
        assert lines(ours) >= {"gateway_cached_plans 3.0", KEPT_TWICE}
    assert not directory.exists()
    assert subprocess.run([sys.executable, "-c", COUNT, directory], check=False).returncode == 0


def test_the_exposition_takes_a_twentieth_of_the_time_however_often_it_is_scraped(monkeypatch):
    now, made, given = 0.0, 0, Metrics()

    def exposition():
        nonlocal now, made
        now, made = now + 1, made + 1  # it takes a second
        return b"%d" % made

    monkeypatch.setattr(metrics, "perf_counter", lambda: now)
    monkeypatch.setattr(given, "exposition", exposition)
    told = []
    while now < 60:
        told.append(given.scrape())
        now += 0.5
    assert made == 3
    assert told == sorted(told)

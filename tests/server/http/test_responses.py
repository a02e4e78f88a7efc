"""Headers of answers."""

import pytest

from gateway.api.execution import operations
from gateway.api.execution.errors import single_error_entries
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome
from gateway.errors import Timeout, Unavailable
from gateway.server.http.graphql import response_of
from gateway.server.http.responses import error_response, server_timing


@pytest.mark.parametrize(("error", "status", "after"), [(Unavailable("x"), 503, "1"), (Timeout(), 504, None)])
def test_an_unavailable_response_says_when_to_retry_at_every_stage(error, status, after):
    failed = operations.Response(Outcome.FAILED, {"errors": single_error_entries(error)})
    for answer in (
        error_response(error),
        response_of(failed, operations.Request("{ a }"), "application/json", Limits()),
    ):
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, after)


def test_server_timing_lists_stages_in_order_and_in_milliseconds():
    stages = [("parse", 0.0001), ("validate", 0.0123456), ("run", 1.5)]
    assert server_timing(stages) == "parse;dur=0.100, validate;dur=12.346, run;dur=1500.000"

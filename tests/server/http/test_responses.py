"""Headers of answers."""

import pytest

from gateway.api.execution import operations
from gateway.api.execution.errors import single_error_entries
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome
from gateway.errors import Timeout, Unavailable
from gateway.server.http.graphql import response_of
from gateway.server.http.responses import refusal, server_timing


@pytest.mark.parametrize(("error", "status", "after"), [(Unavailable("x"), 503, "1"), (Timeout(), 504, None)])
def test_who_finds_us_unavailable_is_told_when_to_ask_again_however_far_the_operation_came(error, status, after):
    failed = operations.Response(Outcome.FAILED, {"errors": single_error_entries(error)})
    for answer in (refusal(error), response_of(failed, operations.Request("{ a }"), "application/json", Limits())):
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, after)


def test_the_stages_are_told_in_order_and_in_milliseconds():
    stages = [("parse", 0.0001), ("validate", 0.0123456), ("run", 1.5)]
    assert server_timing(stages) == "parse;dur=0.100, validate;dur=12.346, run;dur=1500.000"

"""Headers of answers."""

import pytest

from gateway.api.execution.stages import Stages
from gateway.errors import Timeout, Unavailable
from gateway.server.http.responses import error_response, json_answer, server_timing


@pytest.mark.parametrize(("error", "status", "after"), [(Unavailable("x"), 503, "1"), (Timeout(), 504, None)])
def test_an_unavailable_response_says_when_to_retry(error, status, after):
    answer = error_response(error)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, after)


def test_server_timing_lists_stages_in_order_and_in_milliseconds():
    stages = {"parse": 0.0001, "validate": 0.0123456, "execute": 1.5}
    assert server_timing(stages) == "parse;dur=0.100, validate;dur=12.346, execute;dur=1500.000"


def test_a_stage_that_broke_off_ends_where_the_answer_is_written():
    stages = Stages()
    stages.begin("execute")
    answer = json_answer({}, stages=stages)
    assert [each.partition(";")[0] for each in answer.headers["server-timing"].split(", ")] == ["execute", "encode"]

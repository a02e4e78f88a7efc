"""What the caller is told of each error, and what only the operator sees."""

import pytest
from graphql import GraphQLError, Source, parse

from gateway.api.execution.errors import MASKED, error_entries
from gateway.errors import (
    BadCursor,
    BadInput,
    BadSelector,
    Forbidden,
    GatewayError,
    LimitExceeded,
    NotFound,
    Timeout,
    Unauthenticated,
    Unavailable,
)
from gateway.telemetry import FaultMasked, correlation_id, listen

FIELD = parse(Source("{ a }")).definitions[0].selection_set.selections[0]


@pytest.fixture
def masked():
    """What the operator was told of meanwhile."""
    seen = []
    end = listen(lambda each: seen.append(each.error) if isinstance(each, FaultMasked) else None)
    yield seen
    end()


def met(cause):
    """The error as the executor reports it."""
    return GraphQLError(str(cause), [FIELD], path=["a"], original_error=cause)


@pytest.mark.parametrize(
    ("cause", "extensions"),
    [
        (BadInput("x"), {"code": "BAD_INPUT"}),
        (BadCursor(), {"code": "BAD_CURSOR"}),
        (LimitExceeded("x"), {"code": "LIMIT_EXCEEDED"}),
        (BadSelector("x", line=2, column=3), {"code": "BAD_SELECTOR", "line": 2, "column": 3}),
        (Forbidden(), {"code": "FORBIDDEN"}),
        (Timeout(), {"code": "TIMEOUT"}),
        (Unavailable(), {"code": "UNAVAILABLE"}),
        (Unauthenticated(), {"code": "UNAUTHENTICATED"}),
        (Unauthenticated(error_code="403010"), {"code": "UNAUTHENTICATED", "errorCode": "403010"}),
        (NotFound("x"), {"code": "BAD_INPUT"}),
        (GraphQLError("an argument that does not fit", [FIELD]), {"code": "BAD_INPUT"}),
    ],
)
def test_errors_of_the_gateway_keep_their_message(masked, cause, extensions):
    (answer,) = error_entries([met(cause)])
    assert answer == {
        "message": str(cause), "locations": [{"line": 1, "column": 3}], "path": ["a"], "extensions": extensions,
    }  # fmt: skip
    assert masked == []


@pytest.mark.parametrize(
    "cause", [ValueError("secret"), GatewayError("secret"), GraphQLError("Int cannot represent the secret value")]
)
def test_other_errors_are_masked(masked, cause):
    before = correlation_id.set("abc")
    (answer,) = error_entries([met(cause)])
    correlation_id.reset(before)
    assert answer["message"] == MASKED
    assert answer["extensions"] == {"code": "INTERNAL", "correlationId": "abc"}
    assert masked == [cause]


def test_one_cause_that_many_fields_fail_of_is_reported_once(masked):
    first, second = ValueError("a"), ValueError("a")
    assert len(error_entries([met(first), met(first), met(second), met(first)])) == 4
    assert masked == [first, second]


def test_a_stage_before_running_gives_its_own_code(masked):
    (answer,) = error_entries([GraphQLError("Expected Name.", [FIELD])], "GRAPHQL_PARSE_FAILED")
    assert answer["extensions"] == {"code": "GRAPHQL_PARSE_FAILED"}
    assert masked == []

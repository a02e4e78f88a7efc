"""Variables hold a bounded number of values: coercing them takes as long as they are many."""

import pytest
from graphql import parse

from gateway.api.execution.prepared import Prepared
from gateway.api.execution.sizes import MOST_VALUES
from gateway.api.schema import build_schema
from gateway.errors import LimitExceeded

NODES = "query ($x: [ID!]!) { nodes(ids: $x) { id } }"
PROFILES = "query ($x: [IdentityInput!]!) { profiles(identities: $x) { status } }"
PROFILE = "query ($x: IdentityInput!) { profile(identity: $x) { id } }"
SIMULATE = "query ($x: [SimulatedEventInput!]!) { simulateIdentityGraph(events: $x) { links { refusal } } }"


def read(text, value):
    document = parse(text)
    return Prepared(build_schema(), document, document.definitions[0], 5).variables.read({"x": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (NODES, ["a"] * (MOST_VALUES + 1)),
        (NODES, [None] * (MOST_VALUES + 1)),
        (PROFILES, [{"xid": "a"}] * (MOST_VALUES + 1)),
        (PROFILES, [{}] * (MOST_VALUES + 1)),
        (PROFILE, {str(number): "a" for number in range(MOST_VALUES + 1)}),
        (SIMULATE, [{"identities": []}] * (MOST_VALUES // 2 + 1)),
        (SIMULATE, [{"identities": [{"namespace": "a", "value": "b"}] * MOST_VALUES}]),
        (SIMULATE, [{"identities": [None] * MOST_VALUES}]),
    ],
)
def test_more_values_than_are_allowed_are_refused_before_they_are_coerced(text, value):
    with pytest.raises(LimitExceeded, match="more than 20,000 values"):
        read(text, value)


def test_what_the_largest_question_needs_is_allowed():
    event = {"timestamp": "2026-01-01T00:00:00Z", "identities": [{"namespace": "a", "value": "b"}] * 5}
    read(SIMULATE, [event] * 1_000)
    read(NODES, ["a"] * MOST_VALUES)


async def test_documents_to_ingest_count_as_one_value_each(client):
    mutation = (
        'mutation ($x: [JSON!]!) { ingestRecords(input: {datasetId: "a", documents: $x}) { userErrors { code } } }'
    )
    large = {"values": list(range(MOST_VALUES + 1))}
    assert (await client.data(mutation, x=[large]))["ingestRecords"]["userErrors"]
    error = await client.error(mutation, x=[{}] * (MOST_VALUES + 1))
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"

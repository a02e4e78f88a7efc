"""Variables hold a bounded number of values: coercing them takes as long as they are many."""

from threading import current_thread, main_thread

import pytest
from graphql import parse

from gateway.api.execution.inputs import Variables
from gateway.api.execution.prepared import Prepared
from gateway.api.execution.sizes import MAX_INPUT_VALUES, MAX_VALUES_INLINE
from gateway.api.schema import build_schema
from gateway.errors import LimitExceeded

NODES = "query ($x: [ID!]!) { nodes(ids: $x) { id } }"
PROFILES = "query ($x: [IdentityInput!]!) { profiles(identities: $x) { status } }"
PROFILE = "query ($x: IdentityInput!) { profile(identity: $x) { id } }"
SIMULATE = "query ($x: [SimulatedEventInput!]!) { simulateIdentityGraph(events: $x) { links { refusal } } }"


EVENT = {"timestamp": "2026-01-01T00:00:00Z", "identities": [{"namespace": "Email", "value": "a@x.io"}] * 5}


def variables(text):
    document = parse(text)
    return Prepared(build_schema(), document, document.definitions[0], 5).variables


def read(text, value):
    return variables(text).read({"x": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (NODES, ["a"] * (MAX_INPUT_VALUES + 1)),
        (NODES, [None] * (MAX_INPUT_VALUES + 1)),
        (PROFILES, [{"xid": "a"}] * (MAX_INPUT_VALUES + 1)),
        (PROFILES, [{}] * (MAX_INPUT_VALUES + 1)),
        (PROFILE, {str(number): "a" for number in range(MAX_INPUT_VALUES + 1)}),
        (SIMULATE, [{"identities": []}] * (MAX_INPUT_VALUES // 2 + 1)),
        (SIMULATE, [{"identities": [{"namespace": "a", "value": "b"}] * MAX_INPUT_VALUES}]),
        (SIMULATE, [{"identities": [None] * MAX_INPUT_VALUES}]),
    ],
)
def test_more_values_than_are_allowed_are_refused_before_they_are_coerced(text, value):
    with pytest.raises(LimitExceeded, match="more than 20,000 values"):
        read(text, value)


def test_what_the_largest_question_needs_is_allowed():
    read(SIMULATE, [EVENT] * 1_000)
    read(NODES, ["a"] * MAX_INPUT_VALUES)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        (SIMULATE, [EVENT] * (MAX_VALUES_INLINE // 16 + 2), True),
        (SIMULATE, [{"identities": [EVENT["identities"][0]] * MAX_VALUES_INLINE}], True),
        (SIMULATE, [EVENT], False),
        (SIMULATE, None, False),
        (SIMULATE, "no list", False),
        (PROFILES, [{"xid": "a"}] * 1_000, False),
    ],
)
def test_values_are_many_where_lists_are_nested_and_long(text, value, expected):
    assert variables(text).are_many({"x": value}) is expected


async def test_many_values_are_read_beside_the_event_loop(client, monkeypatch):
    threads, read_values = set(), Variables.read

    def read_and_note(self, given):
        threads.add(current_thread())
        return read_values(self, given)

    monkeypatch.setattr(Variables, "read", read_and_note)
    assert await client.data(SIMULATE, x=[EVENT] * 200)
    assert main_thread() not in threads
    assert (await client.error(SIMULATE, x=[EVENT] * 200 + [{"identities": 1}]))["extensions"]["code"] == "BAD_INPUT"
    assert main_thread() not in threads
    assert await client.data(SIMULATE, x=[EVENT])
    assert main_thread() in threads


async def test_documents_to_ingest_count_as_one_value_each(client):
    mutation = (
        'mutation ($x: [JSON!]!) { ingestRecords(input: {datasetId: "a", documents: $x}) { userErrors { code } } }'
    )
    large = {"values": list(range(MAX_INPUT_VALUES + 1))}
    assert (await client.data(mutation, x=[large]))["ingestRecords"]["userErrors"]
    error = await client.error(mutation, x=[{}] * (MAX_INPUT_VALUES + 1))
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"

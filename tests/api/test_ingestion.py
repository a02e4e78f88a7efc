"""Ingestion by mutations: what is sent as variables or as literals is answered for document by document."""

import pytest

from gateway.api.ids import global_id

SEND = """mutation Send($given: IngestEventsInput!) {
  ingestEvents(input: $given) { accepted failed { index path code message document } userErrors { message } } }"""
ECID = "1" * 38


def event(event_id, **fields):
    return {"_id": event_id, "timestamp": "2026-01-01T00:00:00Z", "identityMap": {"ECID": [{"id": ECID}]}, **fields}


def nested(depth):
    value = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("depth", [32, 240, 300, 1000])
async def test_a_document_that_nests_too_deeply_fails_alone_and_the_answer_can_be_written(client, depth):
    dataset_id = global_id("Dataset", client.world.shop.dataset_id)
    documents = [event("a"), event("b", x=nested(depth)), event("c")]
    data = await client.data(SEND, given={"datasetId": dataset_id, "documents": documents})
    answer = data["ingestEvents"]
    assert (answer["accepted"], answer["userErrors"]) == (2, [])
    assert [(failure["index"], failure["code"]) for failure in answer["failed"]] == [(1, "DEPTH")]


@pytest.mark.parametrize(
    ("literal", "code"), [("1e-16384", "TYPE"), ("0e-16384", "TYPE"), ("9" * 300, "TYPE"), (r'"\u0000"', "CHARACTER")]
)
async def test_a_literal_that_cannot_be_stored_fails_alone(client, literal, code):
    dataset_id = global_id("Dataset", client.world.shop.dataset_id)
    common = f'timestamp: "2026-01-01T00:00:00Z", identityMap: {{ECID: [{{id: "{ECID}"}}]}}'
    documents = f'{{_id: "a", {common}}}, {{_id: "b", eventType: {literal}, {common}}}'
    sent = f'ingestEvents(input: {{datasetId: "{dataset_id}", documents: [{documents}]}})'
    answer = (await client.data(f"mutation {{ {sent} {{ accepted failed {{ index path code }} }} }}"))["ingestEvents"]
    assert answer == {"accepted": 1, "failed": [{"index": 1, "path": "$.eventType", "code": code}]}

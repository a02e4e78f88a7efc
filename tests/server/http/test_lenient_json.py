"""Bodies of mutations with what nothing can store: the documents that hold it fail alone, and everything else like it is refused."""

import asyncio
import json
from threading import Event

import orjson
import pytest
from graphql import is_input_object_type
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.execution.unreadable import DOCUMENTS, TAKING
from gateway.api.schema import build_schema
from gateway.runtime import threads
from gateway.server.http.lenient_json import MAX_LOOP_BYTES, read_leniently
from gateway.server.http.negotiation import GRAPHQL

INGEST = """mutation M($input: IngestRecordsInput!) { ingestRecords(input: $input) {
  accepted failed { index code document } batch { id } userErrors { message } } }"""
LIST = """mutation M($id: ID!, $docs: [JSON!]!) { ingestRecords(input: {datasetId: $id, documents: $docs}) {
  accepted failed { index code document } batch { id } userErrors { message } } }"""
ONES = """mutation M($id: ID!, $a: JSON!, $b: JSON!, $c: JSON!) { ingestRecords(input: {datasetId: $id, documents: [$a, $b, $c]}) {
  accepted failed { index code document } batch { id } userErrors { message } } }"""
BROKEN = {
    r'"x": "\ud800"': "CHARACTER",
    r'"\udc00": 1': "CHARACTER",
    '"x": [1e400]': "RANGE",
    '"x": -1e400': "RANGE",
}
BROKEN |= {'"x": ' + "9" * 400: "RANGE", r'"x": ["a", 1e400, "\ud800"]': "RANGE"}
BROKEN = {f'{{"identityMap": {{"Email": [{{"id": "p@example.com"}}]}}, {part}}}': code for part, code in BROKEN.items()}


def person(number):
    return json.dumps({"personalEmail": {"address": f"p{number}@example.com"}, "identityMap": {"Email": [{"id": f"p{number}@example.com", "primary": True}]}})  # fmt: skip


@pytest.fixture
async def post(gateway):
    async def sent(text, accept=GRAPHQL):
        headers = (await gateway.headers()) | {"content-type": "application/json", "accept": accept}
        return await gateway.http.post("/graphql", content=text.encode(), headers=headers)

    return sent


def body(query, variables):
    return f'{{"query": {json.dumps(query)}, "variables": {variables}}}'


def by_each_way(dataset, documents):
    """Send the documents as the whole input, as a list, and one by one."""
    listed = ", ".join(documents)
    yield body(INGEST, f'{{"input": {{"datasetId": "{dataset}", "documents": [{listed}]}}}}')
    yield body(LIST, f'{{"id": "{dataset}", "docs": [{listed}]}}')
    named = ", ".join(f'"{name}": {each}' for name, each in zip("abc", documents, strict=True))
    yield body(ONES, f'{{"id": "{dataset}", {named}}}')


@pytest.mark.parametrize("broken", BROKEN, ids=lambda text: text[52:76])
async def test_a_document_that_cannot_be_stored_fails_alone_in_a_mutation_as_in_a_stream(gateway, post, broken):
    dataset = await gateway.dataset("INDIVIDUAL_PROFILE", "people")
    for way, text in enumerate(by_each_way(dataset, [person(0), broken, person(1)])):
        answer = await post(text)
        assert answer.status_code == 200, answer.text
        told = answer.json()["data"]["ingestRecords"]
        assert (told["accepted"], told["userErrors"]) == (0 if way else 2, [])
        (failure,) = told["failed"]
        assert (failure["index"], failure["code"]) == (1, BROKEN[broken])
        assert isinstance(failure["document"], str)
        kept = await gateway.run(
            "query Q($id: ID!) { batch(id: $id) { errors(last: 1) { nodes { code document } } } }",
            {"id": told["batch"]["id"]},
        )
        assert kept["batch"]["errors"]["nodes"] == [{"code": BROKEN[broken], "document": failure["document"]}]


ELSEWHERE = [
    body("query Q($code: String!) { identity(identity: {key: {namespace: $code, value: $code}}) { id } }", r'{"code": "\ud800"}'),
    body("query Q($f: EventFilter) { events(identities: [], filter: $f) { totalCount } }", r'{"f": {"properties": [{"path": "eventType", "operator": "EQ", "value": "\ud800"}]}}'),
    body("query Q($f: EventFilter) { events(identities: [], filter: $f) { totalCount } }", '{"f": {"properties": [{"path": "eventType", "operator": "EQ", "value": 1e400}]}}'),
    body("mutation M($given: CreateDatasetInput!) { createDataset(input: $given) { dataset { id } } }", r'{"given": {"name": "\ud800", "schemaId": "x"}}'),
    body(INGEST, r'{"input": {"datasetId": "\ud800", "documents": []}}'),
    body(INGEST, r'{"input": {"datasetId": "x", "batchId": 1e400, "documents": []}}'),
    body(INGEST, r'{"input": {"datasetId": "x", "documents": []}, "unknown": "\ud800"}'),
    body(INGEST, r'{"input": "\ud800"}'),
    body('mutation M($d: JSON!) { createSchema(input: {title: "x", class: INDIVIDUAL_PROFILE, customFields: $d}) { userErrors { code } } ingestRecords(input: {datasetId: "x", documents: [$d]}) { accepted } }', r'{"d": {"x": "\ud800"}}'),
    body('mutation M($d: JSON!) { ingestRecords(input: {datasetId: "x", documents: [{a: $d}]}) { accepted } }', r'{"d": "\ud800"}'),
    r'{"query": "{ __typename } # \ud800"}',
    r'{"query": "query Q { __typename }", "operationName": "\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("accept", [GRAPHQL, "application/json"])
@pytest.mark.parametrize("text", ELSEWHERE, ids=range(len(ELSEWHERE)))
async def test_text_that_cannot_be_stored_is_refused_outside_documents(post, text, accept):
    answer = await post(text, accept)
    codes = [error["extensions"]["code"] for error in answer.json()["errors"]]
    assert (answer.status_code, codes) == (400, ["BAD_INPUT"])
    assert "column" in answer.json()["errors"][0]["message"]


async def test_variables_of_wrong_types_are_errors_whatever_the_documents_contain(post):
    answer = await post(body(INGEST, r'{"input": {"documents": ["\ud800", 1e400], "\udc00": 1}}'))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_INPUT")
    answer = await post(body(INGEST, r'{"input": {"documents": ["\ud800", 1e400]}}'))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_INPUT")


@pytest.mark.parametrize("rest", ["}", ", NaN]", r'"\x"', "\udcff"])
async def test_a_body_with_broken_json_further_on_is_refused_as_a_whole(post, gateway, rest):
    text = body(INGEST, r'{"input": {"datasetId": "x", "documents": ["\ud800", ' + rest).encode(
        errors="surrogateescape"
    )
    headers = (await gateway.headers()) | {"content-type": "application/json", "accept": GRAPHQL}
    answer = await gateway.http.post("/graphql", content=text, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_INPUT")


async def test_a_long_body_is_parsed_in_a_thread(gateway, post):
    dataset = await gateway.dataset("INDIVIDUAL_PROFILE", "people")
    long = json.dumps({"x": "y" * MAX_LOOP_BYTES})
    (text, *_) = by_each_way(dataset, [person(0), r'{"x": "\ud800"}', long])
    busy = Event()
    blocker = asyncio.ensure_future(threads.DOCUMENTS.run(busy.wait))
    waiting = asyncio.ensure_future(post(text))
    while threads.DOCUMENTS._waiting < 2 and not waiting.done():  # noqa: ASYNC110 (nobody says when it has come so far)
        await asyncio.sleep(0.001)
    assert not waiting.done()
    busy.set()
    await blocker
    told = (await waiting).json()["data"]["ingestRecords"]
    assert (told["accepted"], [each["index"] for each in told["failed"]]) == (1, [1, 2])


def strict_error():
    try:
        orjson.loads("1e400")
    except orjson.JSONDecodeError as error:
        return error


NUMBERS = st.one_of(st.integers(-(10**25), 10**25), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(value=VALUES)
async def test_both_readers_read_the_same_from_what_both_can_read(value):
    text = json.dumps(value).encode()
    assert repr(await read_leniently(text, strict_error())) == repr(orjson.loads(text))


def test_no_other_input_has_documents():
    inputs = filter(is_input_object_type, build_schema().type_map.values())
    assert {each.name for each in inputs if DOCUMENTS in each.fields} == TAKING

"""Global ids: one spelling for one object, readable kind, nothing misread."""

from uuid import UUID

import pytest
from graphql import GraphQLID, get_named_type, get_nullable_type, is_list_type
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.ids import KINDS, MAX_ID_CHARACTERS, global_id, input_id, parse_id, read_id
from gateway.api.schema import build_schema
from gateway.errors import BadInput, NotFound

PARTS = {
    UUID: st.uuids(),
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
}
DATASET = UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")


@st.composite
def nodes(draw):
    type_name = draw(st.sampled_from(sorted(KINDS)))
    return type_name, tuple(draw(PARTS[part]) for part in KINDS[type_name][1])


@given(nodes())
def test_an_id_gives_its_type_and_key_back(node):
    type_name, key = node
    text = global_id(type_name, *key)
    assert read_id(text) == (type_name, key)
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@given(nodes(), nodes())
def test_two_objects_never_share_an_id(one, other):
    assert (one == other) == (global_id(one[0], *one[1]) == global_id(other[0], *other[1]))


@given(st.text() | st.from_regex(r"(dataset|event|sandbox|profile)_[A-Za-z0-9_=-]*", fullmatch=True))
def test_a_text_is_an_id_only_in_the_one_spelling_that_was_given_out(text):
    found = read_id(text)
    assert found is None or global_id(found[0], *found[1]) == text


def arguments_of_queries():
    """Every argument of the queries that is an id: the field, the argument, and what else the field needs."""
    others = {
        "diffMergePolicies": ', candidate: {name: "C", identityGraph: NONE, attributeMerge: {type: TIMESTAMP_ORDERED}}'
    }
    identity = 'identity: {key: {namespace: "Email", value: "a@x.io"}}'
    others |= {
        "testExpression": f', expression: "1", {identity}',
        "previewComputedAttribute": ', expression: "xEvent.count()"',
    }
    others |= {"profile": f", {identity}", "profiles": ", identities: []", "events": ", identities: []"}
    for name, field in build_schema().query_type.fields.items():
        for argument, taken in field.args.items():
            if get_named_type(taken.type) is GraphQLID and not is_list_type(get_nullable_type(taken.type)):
                yield name, argument, others.get(name, "")


@pytest.mark.parametrize("given", ["nonsense", global_id("IngestionWarning", DATASET)])
@pytest.mark.parametrize(("field", "argument", "others"), list(arguments_of_queries()))
async def test_a_text_that_is_no_id_finds_nothing_in_a_look_up_and_is_refused_elsewhere(
    module_client, field, argument, others, given
):
    query = f'{{ {field}({argument}: "{given}"{others}) {{ __typename }} }}'
    if argument == "id":
        assert await module_client.data(query) == {field: None}
    else:
        assert (await module_client.error(query))["extensions"]["code"] == "BAD_INPUT"


@pytest.mark.parametrize("field", ["dataset", "mergePolicy", "batch"])
async def test_a_text_that_is_no_id_reveals_nothing_without_the_scope(module_client, field):
    error = await module_client.error(f'{{ {field}(id: "nonsense") {{ id }} }}', scopes=[])
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_an_id_says_what_it_is_of():
    assert global_id("Dataset", DATASET) == "dataset_AAECAwQFBgcICQoLDA0ODw"


@pytest.mark.parametrize(
    "text",
    [
        "", "dataset", "dataset_", "dataset_AAECAwQFBgcICQoLDA0ODx", "dataset_AAECAwQFBgcICQoLDA0ODw=", "dataset_AAECAwQFBgcICQoLDA0ODwAA",
        " dataset_AAECAwQFBgcICQoLDA0ODw", "Dataset_AAECAwQFBgcICQoLDA0ODw", "event_" + "A" * MAX_ID_CHARACTERS, "ünïcode_AAAA",
    ],
)  # fmt: skip
def test_what_was_never_given_out_is_no_id(text):
    assert read_id(text) is None
    with pytest.raises(BadInput, match="`datasetId`"):
        parse_id(text, "Dataset", "datasetId")


def test_an_id_of_another_kind_is_named():
    with pytest.raises(BadInput, match="`batchId` is an id of type Dataset; here goes one of type Batch"):
        parse_id(global_id("Dataset", DATASET), "Batch", "batchId")
    assert parse_id(global_id("Dataset", DATASET), "Dataset") == DATASET
    assert parse_id(global_id("Profile", DATASET, DATASET), "Profile") == (DATASET, DATASET)


def test_in_a_mutation_an_id_that_means_nothing_is_an_unknown_one():
    with pytest.raises(NotFound) as caught:
        input_id("nonsense", "Dataset", "attributeMerge", "order")
    assert caught.value.path == ["attributeMerge", "order"]
